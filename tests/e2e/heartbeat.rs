//! A real Heartbeat cluster of two nodes with one resource, in two domains: it calls the installed
//! plugin, and takes over when, and only when, the death is proven.

use crate::{Dom0, recorded, settle, two_clusters, within};
use std::path::Path;
use std::time::{Duration, Instant};
use xen_fence_tests::skipped;

const HEARTBEAT: &str = "/usr/libexec/heartbeat/heartbeat";
/// Where the resource says when it was started and stopped, and where.
const RESOURCE_LOG: &str = "/srv/heartbeat/resource.log";

const RESOURCE: &str = "#!/bin/sh\n\
    case $1 in\n\
    status) test -e /var/lib/heartbeat/up && echo running || echo stopped ;;\n\
    start) touch /var/lib/heartbeat/up; echo \"$(uname -n) start\" >>/srv/heartbeat/resource.log ;;\n\
    stop) rm -f /var/lib/heartbeat/up; echo \"$(uname -n) stop\" >>/srv/heartbeat/resource.log ;;\n\
    esac\n";

fn settings(peer: &str) -> String {
    format!(
        "udpport 694\nkeepalive 500ms\nwarntime 2\ndeadtime 3\ninitdead 8\nucast eth0 {peer}\n\
         auto_failback off\ncrm no\nuse_logd off\nlogfacility none\nlogfile /var/log/ha-log\n\
         stonith_host * external/xen-fence fence-alpha@xen1:2422\nnode node1 node2\n"
    )
}

/// What of Heartbeat is a node's own: its settings, its state, its log and its sockets.
fn start_script(node: &str) -> String {
    let own = format!("/srv/heartbeat/{node}");
    format!(
        "mount --bind {own}/ha.d /etc/ha.d; mount --bind {own}/lib /var/lib/heartbeat; \
         touch /var/log/ha-log; mount --bind {own}/ha-log /var/log/ha-log; mount -t tmpfs tmpfs /run; \
         mkdir -p /run/heartbeat/ccm /run/heartbeat/crm /run/heartbeat/rsctmp; \
         chown -R hacluster:haclient /run/heartbeat; mount -t tmpfs tmpfs /dev/shm; \
         {HEARTBEAT} </dev/null >{own}/out 2>&1"
    )
}

/// Both nodes run Heartbeat, and node1 the resource. None where Heartbeat is not here.
fn cluster(case: &str) -> Option<Dom0> {
    if !Path::new(HEARTBEAT).exists() {
        skipped(case, "there is no Heartbeat here (package heartbeat)");
        return None;
    }
    let dom0 = two_clusters().raise().unwrap();
    for (node, peer) in [("node1", "node2"), ("node2", "node1")] {
        let own = format!("/srv/heartbeat/{node}");
        let copied = format!(
            "mkdir -p {own}; cp -a /etc/ha.d {own}/; cp -a /var/lib/heartbeat {own}/lib; touch {own}/ha-log"
        );
        let _ = dom0.sh(&copied).exits(0);
        let peer = settings(&dom0.node("alpha", peer).address);
        dom0.write(&format!("{own}/ha.d/ha.cf"), peer, 0o644);
        dom0.write(&format!("{own}/ha.d/haresources"), "node1 resource\n", 0o644);
        dom0.write(&format!("{own}/ha.d/authkeys"), "auth 1\n1 sha1 secret\n", 0o600);
        dom0.write(&format!("{own}/ha.d/resource.d/resource"), RESOURCE, 0o755);
    }
    for node in ["node1", "node2"] {
        let line = ["unshare", "--mount", "sh", "-c", &start_script(node)];
        let _ = dom0.in_node("alpha", node).run(&line).exits(0);
    }
    let acquired = || log(&dom0, "node2").contains("Initial resource acquisition complete");
    let said = || log(&dom0, "node2") + &dom0.file("/srv/heartbeat/node2/out");
    assert!(within(Duration::from_secs(30), acquired), "Heartbeat did not come up\n{}", said());
    settle(|| dom0.file(RESOURCE_LOG) == "node1 start\n");
    Some(dom0)
}

fn log(dom0: &Dom0, node: &str) -> String {
    dom0.file(&format!("/srv/heartbeat/{node}/ha-log"))
}

/// Every process of the node stands still, as under a kernel that hangs.
fn freeze(dom0: &Dom0, node: &str) {
    let _ = dom0.on(&["xl", "pause", &format!("alpha-{node}")]).exits(0);
}

#[test]
fn a_hung_node_is_fenced_and_its_resource_taken_over() {
    let Some(dom0) = cluster("a_hung_node_is_fenced_and_its_resource_taken_over") else { return };
    let life = dom0.domid("alpha", "node1");
    let frozen = Instant::now();
    freeze(&dom0, "node1");
    settle(|| dom0.file(RESOURCE_LOG).ends_with("node2 start\n"));
    println!("the resource runs {:?} after the freeze, with a deadtime of 3 s", frozen.elapsed());
    assert!(recorded(&dom0, "alpha", &["fenced killed", "node1"]));
    settle(|| dom0.domid("alpha", "node1").is_some_and(|now| Some(now) > life));
    let log = log(&dom0, "node2");
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}\n{log}"));
    assert!(at("node node1: is dead") < at("output: xen-fence: node1 fenced (killed) by xen1"));
    assert!(at("output: xen-fence: node1 fenced") < at("Acquiring resource group: node1 resource"));
    assert!(at("output: xen-fence: ok") < at("node node1: is dead"), "its status was asked");
}

/// No proof, no take-over, however long it takes; and the log says why.
#[test]
fn without_a_grant_nobody_takes_over() {
    let Some(dom0) = cluster("without_a_grant_nobody_takes_over") else { return };
    let policy = "/etc/xen-fence/clusters.d/alpha.toml";
    let granted = dom0.file(policy);
    let first = granted.lines().next().unwrap_or_default();
    dom0.write(policy, granted.replace(first, "actions = [\"status\"]"), 0o644);
    freeze(&dom0, "node1");
    let refused =
        "output: xen-fence: error: xen1 refused: this host's policy does not grant you reset";
    settle(|| log(&dom0, "node2").matches(refused).count() >= 2);
    let taken = || dom0.file(RESOURCE_LOG) != "node1 start\n";
    assert!(!within(Duration::from_secs(5), taken), "{}", dom0.file(RESOURCE_LOG));
    assert!(!recorded(&dom0, "alpha", &["intent"]));
    dom0.write(policy, granted, 0o644);
    settle(|| dom0.file(RESOURCE_LOG).ends_with("node2 start\n"));
    assert!(recorded(&dom0, "alpha", &["fenced killed", "node1"]));
}
