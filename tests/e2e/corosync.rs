//! A real cluster of corosync and Pacemaker in two domains: its own fencing calls the installed
//! `fence_xen`.

use crate::{Dom0, recorded, settle, two_clusters, within};
use std::path::Path;
use std::time::{Duration, Instant};
use xen_fence_tests::throwaway::Output;
use xen_fence_tests::{measured, skipped};

fn settings(dom0: &Dom0) -> String {
    let member = |(id, node): (usize, &str)| {
        let address = &dom0.node("alpha", node).address;
        format!("node {{\nname: {node}\nnodeid: {id}\nring0_addr: {address}\n}}\n")
    };
    let members: String = [(1, "node1"), (2, "node2")].into_iter().map(member).collect();
    format!(
        "totem {{\nversion: 2\ncluster_name: alpha\ntransport: udpu\ntoken: 2000\ncrypto_cipher: none\n\
         crypto_hash: none\n}}\n\
         logging {{\nto_stderr: no\nto_syslog: no\nto_logfile: yes\nlogfile: /run/corosync.log\n}}\n\
         quorum {{\nprovider: corosync_votequorum\ntwo_node: 1\nwait_for_all: 0\n}}\n\
         nodelist {{\n{members}}}\n"
    )
}

/// What of the cluster is a node's own: its settings, its state, its log and its sockets.
fn start_script(node: &str) -> String {
    let own = format!("/srv/pacemaker/{node}");
    format!(
        "mount --bind /srv/pacemaker/corosync /etc/corosync; mount --bind {own}/corosync /var/lib/corosync; \
         mount --bind {own}/pacemaker /var/lib/pacemaker; mount -t tmpfs tmpfs /run; \
         mkdir -m 750 -p /run/lock /run/crm; chown hacluster:haclient /run/crm; \
         mount -t tmpfs -o mode=1777 tmpfs /dev/shm; exec </dev/null >{own}/out 2>&1; \
         corosync; sleep 1.5; PCMK_logfile={own}/log setsid pacemakerd &"
    )
}

/// Both nodes are online, and nobody knows yet how to fence. None where Pacemaker is not here.
pub(crate) fn cluster_that_cannot_fence(case: &str) -> Option<Dom0> {
    if ["/usr/sbin/corosync", "/usr/sbin/pacemakerd"].iter().any(|path| !Path::new(path).exists()) {
        skipped(case, "there is no cluster here (packages pacemaker, corosync)");
        return None;
    }
    let dom0 = two_clusters().raise().unwrap();
    dom0.write("/srv/pacemaker/corosync/corosync.conf", settings(&dom0), 0o644);
    for node in ["node1", "node2"] {
        let own = format!("/srv/pacemaker/{node}");
        let made = format!(
            "mkdir -p {own}/corosync; cp -a /var/lib/pacemaker {own}/; touch {own}/log; \
             chown hacluster:haclient {own}/log; chmod 660 {own}/log"
        );
        let _ = dom0.sh(&made).exits(0);
        let line = ["unshare", "--mount", "sh", "-c", &start_script(node)];
        let _ = dom0.in_node("alpha", node).run(&line).exits(0);
    }
    let online = || pcmk(&dom0, "node1", &["crm_mon", "-1"]).says("Online: [ node1 node2 ]");
    assert!(within(Duration::from_secs(90), online), "{}", log(&dom0, "node1"));
    let enabled = ["crm_attribute", "-t", "crm_config", "-n", "stonith-enabled", "-v", "true"];
    let _ = pcmk(&dom0, "node1", &enabled).exits(0);
    Some(dom0)
}

/// Both nodes are online, and know how to fence each other. None where Pacemaker is not here.
fn cluster(case: &str) -> Option<Dom0> {
    let dom0 = cluster_that_cannot_fence(case)?;
    for resource in [
        "<primitive id=\"xen\" class=\"stonith\" type=\"fence_xen\"><instance_attributes id=\"a\">\
         <nvpair id=\"b\" name=\"dom0\" value=\"fence-alpha@xen1:2422\"/></instance_attributes></primitive>",
        "<primitive id=\"dummy\" class=\"ocf\" provider=\"pacemaker\" type=\"Dummy\"/>",
    ] {
        let _ =
            pcmk(&dom0, "node1", &["cibadmin", "-o", "resources", "-C", "-X", resource]).exits(0);
    }
    settle(|| {
        runs_on(&dom0, "node1", "xen").is_some() && runs_on(&dom0, "node1", "dummy").is_some()
    });
    Some(dom0)
}

/// A command beside the daemons of a node.
pub(crate) fn pcmk(dom0: &Dom0, node: &str, words: &[&str]) -> Output {
    let processes = dom0.processes_of("alpha", node);
    let daemon = processes.iter().find(|process| process.name.starts_with("corosync"));
    let pid = daemon.map_or_else(|| "1".to_owned(), |process| process.pid.to_string());
    let line = [&["nsenter", "-t", &pid, "-m", "-u", "-n", "-p", "-i"], words].concat();
    dom0.on(&line)
}

fn log(dom0: &Dom0, node: &str) -> String {
    dom0.file(&format!("/srv/pacemaker/{node}/log"))
        + &dom0.file(&format!("/srv/pacemaker/{node}/out"))
}

/// Where a resource runs, as a node sees it.
pub(crate) fn runs_on(dom0: &Dom0, node: &str, resource: &str) -> Option<String> {
    let seen = pcmk(dom0, node, &["crm_mon", "-1"]).stdout;
    let row = seen.lines().find(|line| line.contains(&format!("* {resource}\t")))?;
    row.split("Started ").nth(1).map(|node| node.trim().to_owned())
}

#[test]
fn a_hung_node_is_fenced_by_the_cluster_itself() {
    let Some(dom0) = cluster("a_hung_node_is_fenced_by_the_cluster_itself") else { return };
    let victim = runs_on(&dom0, "node1", "dummy").unwrap();
    let survivor = if victim == "node1" { "node2" } else { "node1" };
    let life = dom0.domid("alpha", &victim);
    let frozen = Instant::now();
    let _ = dom0.on(&["xl", "pause", &format!("alpha-{victim}")]).exits(0);
    let fenced = || recorded(&dom0, "alpha", &["fenced killed", &victim]);
    // As Pacemaker says it when it has decided.
    let declared = || log(&dom0, survivor).contains(&format!("node {victim} will be fenced"));
    assert!(within(Duration::from_secs(40), declared), "{}", log(&dom0, survivor));
    let dead = frozen.elapsed();
    assert!(within(Duration::from_secs(40), fenced), "{}", log(&dom0, survivor));
    let proven = frozen.elapsed();
    let taken = || runs_on(&dom0, survivor, "dummy").as_deref() == Some(survivor);
    assert!(within(Duration::from_secs(20), taken), "{}", log(&dom0, survivor));
    let taken = frozen.elapsed();
    measured(&format!(
        "a frozen node and Pacemaker, with a token of 2 s: declared dead after {dead:.1?}; fenced {:.1?} after \
         that; the resource runs elsewhere {:.1?} after the proof",
        proven - dead,
        taken - proven,
    ));
    settle(|| dom0.domid("alpha", &victim).is_some_and(|now| Some(now) > life));
    let history = pcmk(&dom0, survivor, &["stonith_admin", "-H", &victim, "--verbose"]).exits(0);
    let _ = history.saying(&format!("reboot of {victim} successful"));
}

/// No proof, no take-over; Pacemaker's log says why, and dom0 is not flooded.
#[test]
fn without_a_grant_the_resource_stays_where_it_was() {
    let Some(dom0) = cluster("without_a_grant_the_resource_stays_where_it_was") else { return };
    let victim = runs_on(&dom0, "node1", "dummy").unwrap();
    let survivor = if victim == "node1" { "node2" } else { "node1" };
    let policy = "/etc/xen-fence/clusters.d/alpha.toml";
    let granted = dom0.file(policy);
    let first = granted.lines().next().unwrap_or_default();
    dom0.write(policy, granted.replace(first, "actions = [\"status\"]"), 0o644);
    let _ = dom0.on(&["xl", "pause", &format!("alpha-{victim}")]).exits(0);
    let refusals = || log(&dom0, survivor).matches("stderr: [ fence_xen: xen1 refused: ").count();
    settle(|| refusals() >= 1);
    let (before, window) = (refusals(), Duration::from_secs(4));
    let moved = || runs_on(&dom0, survivor, "dummy").as_deref() == Some(survivor);
    assert!(!within(window, moved), "{}", log(&dom0, survivor));
    assert!((1..=4).contains(&(refusals() - before)), "{}", log(&dom0, survivor));
    assert!(!recorded(&dom0, "alpha", &["intent"]));
    dom0.write(policy, granted, 0o644);
    let (granted, fenced) =
        (Instant::now(), || recorded(&dom0, "alpha", &["fenced killed", &victim]));
    settle(fenced);
    let proven = granted.elapsed();
    settle(moved);
    let taken = granted.elapsed() - proven;
    measured(&format!(
        "a frozen node and Pacemaker, which may not kill it for a while: fenced {proven:.1?} after the grant; the \
         resource runs elsewhere {taken:.1?} after the proof"
    ));
}
