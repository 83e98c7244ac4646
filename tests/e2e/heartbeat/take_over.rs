//! A node hangs, loses its network or its Heartbeat: the other one has it killed, and takes over when, and
//! only when, the death is proven.

use super::cluster::{Cluster, LONG, Member, RESOURCES};
use super::course::follow;
use super::lacks_it;
use super::lines::turns;
use crate::{Dom0, recorded, two_clusters, within};
use std::time::Duration;
use xen_fence_tests::measured;
use xen_fence_tests::throwaway::Sshd;

const XEN1: &str = "fence-alpha@xen1:2422";

/// Both nodes run Heartbeat, each with its resource.
fn cluster(dom0: &Dom0) -> Cluster<'_> {
    let member = |name| Member { dom0, cluster: "alpha", name };
    let cluster = Cluster::start(["node1", "node2"].map(member), XEN1);
    cluster.is_whole(None);
    cluster
}

/// This befalls node1: node2 takes over, and gives back what is node1's when that has booted.
fn survives(case: &str, what: &str, befalls: fn(Member<'_>)) {
    if lacks_it(case) {
        return;
    }
    let dom0 = two_clusters().raise().unwrap();
    let cluster = cluster(&dom0);
    let [node1, node2] = cluster.members;
    let before = cluster.before();
    befalls(node1);
    let course = follow(&cluster, &before);
    measured(&format!("{what}: {course}"));
    assert_eq!(course.survivor, node2.name);
    let log = cluster.said_since(&before, node2);
    let at = |text: &str| log.find(text).unwrap_or_else(|| panic!("{text}\n{log}"));
    assert!(at("node node1: is dead") < at("output: xen-fence: node1 fenced (killed) by xen1"));
    assert!(at("output: xen-fence: node1 fenced") < at("Acquiring resource group: node1 writer"));
    assert!(node2.log().contains("output: xen-fence: ok"), "its status was asked");

    cluster.is_whole(Some(&before));
    assert!(node1.domid() > before.lives[0], "it booted again");
    assert_eq!(node2.domid(), before.lives[1]);
    assert_eq!(turns(&cluster.lines(RESOURCES[0])), ["node1", "node2", "node1"]);
    assert_eq!(turns(&cluster.lines(RESOURCES[1])), ["node2"]);
    assert_eq!(cluster.kills(), ["node1"]);
}

#[test]
fn of_a_node_that_hangs() {
    survives("of_a_node_that_hangs", "node1 stands still", |node1| node1.freeze());
}

/// It lives and writes on until it is killed.
#[test]
fn of_a_node_without_network() {
    survives("of_a_node_without_network", "node1 has no network", |node1| node1.unplug());
}

/// So does this one, and it answers whoever asks.
#[test]
fn of_a_node_without_heartbeat() {
    let case = "of_a_node_without_heartbeat";
    survives(case, "node1's Heartbeat is killed", |node1| node1.kill_heartbeat());
}

/// No proof, no take-over, however long it takes; and the log says why.
#[test]
fn never_without_a_grant_or_a_way_to_dom0() {
    if lacks_it("never_without_a_grant_or_a_way_to_dom0") {
        return;
    }
    let dom0 = two_clusters().raise().unwrap();
    let agent = format!("{}/agent.toml", dom0.node("alpha", "node2").etc());
    dom0.write(&agent, dom0.file(&agent) + "timeout = 3\n", 0o644);
    let cluster = cluster(&dom0);
    let [node1, node2] = cluster.members;
    let policy = "/etc/xen-fence/clusters.d/alpha.toml";
    let granted = dom0.file(policy);
    let first = granted.lines().next().unwrap_or_default();
    dom0.write(policy, granted.replace(first, "actions = [\"status\"]"), 0o644);
    let before = cluster.before();
    node1.unplug();
    let says = |why: &str, times: usize| {
        let why = format!("output: xen-fence: error: {why}");
        let said = || cluster.said_since(&before, node2).matches(&why).count() >= times;
        assert!(within(LONG, said), "{why}\n{}", cluster.said());
    };
    says("xen1 refused: this host's policy does not grant you reset", 2);
    let _ = dom0.on(&["pkill", "-f", "sshd.*xen-fence/sshd_config"]).exits(0);
    says("dom0 [xen1]:2422 could not be reached: 10.77.0.254:2422: connection refused", 1);
    let taken = || turns(&cluster.lines(RESOURCES[0])) != ["node1"];
    assert!(!within(Duration::from_secs(3), taken), "{}", cluster.said());
    assert!(!recorded(&dom0, "alpha", &["intent"]));
    dom0.start_sshd(Sshd::Dedicated).unwrap();
    dom0.write(policy, granted, 0o644);
    let course = follow(&cluster, &before);
    measured(&format!("node1 has no network, and nobody may or can kill it for a while: {course}"));
}
