//! check and monitor say what a fence would do, and do nothing.

use crate::{Dom0, ask, recorded, two_clusters};
use std::time::Duration;
use xen_fence_tests::throwaway::Syslog;

fn domids(dom0: &Dom0) -> Vec<Option<u32>> {
    dom0.nodes().iter().map(|node| dom0.domid(&node.cluster, &node.name)).collect()
}

/// Appends to alpha's policy, and gives sshd its key files anew.
fn amend(dom0: &Dom0, lines: &str) {
    let path = "/etc/xen-fence/clusters.d/alpha.toml";
    let text = format!("{}\n{lines}\n", dom0.file(path));
    dom0.write(path, text, 0o644);
    let _ = dom0.on(&["xen-fence-admin", "acl", "apply"]).exits(0);
}

#[test]
fn check_walks_the_way_of_each_node_and_kills_nobody() {
    let dom0 = two_clusters().raise().unwrap();
    let before = domids(&dom0);
    let check = ask(&dom0, "alpha", "node1", &["check"]).exits(0);
    for step in ["policy", "toolstack", "journal", "state", "syslog", "host-name"] {
        assert!(check.stdout.lines().any(|line| line.contains(step)), "{step}\n{check}");
    }
    for node in ["node1", "node2"] {
        assert!(check.stdout.lines().any(|line| line.contains(node)), "{node}\n{check}");
    }
    assert!(!check.says("db1"), "{check}");
    assert_eq!(domids(&dom0), before);
    assert!(recorded(&dom0, "alpha", &["rehearsal", "node node1"]));
    assert!(!recorded(&dom0, "alpha", &["intent"]));
    let one = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    assert!(one.says("node2"), "{one}");
    let _ = ask(&dom0, "alpha", "node1", &["check", "db1"]).exits(1).saying("among your targets");
}

#[test]
fn check_finds_what_would_hold_up_a_fence() {
    let dom0 = two_clusters().syslog(Syslog::Mute).raise().unwrap();
    let hosts = dom0.file("/etc/hosts");
    dom0.write("/etc/hosts", hosts.replace("xen1", "xen9"), 0o644);
    let place = ["check", "--dom0", "fence-alpha@10.77.0.254:2422"];
    let check = ask(&dom0, "alpha", "node1", &place).exits(0);
    for (step, words) in [("syslog", "does not read"), ("host-name", "not in /etc/hosts")] {
        let found = check.stdout.lines().find(|line| line.contains(step) && line.contains(words));
        assert!(found.is_some_and(|line| line.starts_with("warn")), "{step}\n{check}");
    }
}

#[test]
fn check_fails_where_a_fence_would() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["fault", "xenstored-dead"]);
    let check = ask(&dom0, "alpha", "node1", &["check"]).exits(1).saying("toolstack");
    assert!(check.took < Duration::from_secs(20), "{check}");
    let _ = ask(&dom0, "alpha", "node1", &["monitor"]).exits(1).saying("toolstack");
    dom0.fault(&["clear"]);
    let _ = ask(&dom0, "alpha", "node1", &["monitor"]).exits(0);
}

/// A row of the node's UUID under another name: no fence would touch it, and check says so.
#[test]
fn check_fails_for_a_node_whose_uuid_runs_under_another_name() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["add-row", "somebody-else", &dom0.node("alpha", "node2").uuid]);
    let before = domids(&dom0);
    for words in [&["check"][..], &["check", "node2"]] {
        let check = ask(&dom0, "alpha", "node1", words).exits(1);
        let target = |node: &str| {
            let of_node = |line: &&str| line.contains(node) && line.contains(" target ");
            check.stdout.lines().find(of_node).unwrap_or_default()
        };
        let found = target("node2");
        assert!(found.starts_with("FAIL"), "{check}");
        if words.len() == 1 {
            assert!(target("node1").starts_with("ok"), "node1 is not concerned\n{check}");
        }
    }
    let _ =
        ask(&dom0, "alpha", "node1", &["monitor"]).exits(0).saying("1 of 2 nodes can be fenced");
    assert_eq!(domids(&dom0), before);
}

#[test]
fn monitor_names_no_node_and_fails_where_nobody_may_kill() {
    let dom0 = two_clusters().policy("beta", "actions = [\"status\"]").raise().unwrap();
    let monitor = ask(&dom0, "alpha", "node1", &["monitor", "--json"]).exits(0);
    assert!(!monitor.stdout.contains("node2"), "{monitor}");
    let _ = ask(&dom0, "beta", "db1", &["monitor"]).exits(1);
    let _ = ask(&dom0, "beta", "db1", &["off", "db2"]).exits(3);
}

#[test]
fn a_node_that_would_be_left_off_is_warned_of_and_killed_all_the_same() {
    let dom0 = two_clusters().raise().unwrap();
    let config = dom0.node("alpha", "node2").config();
    let other = dom0.file(&config).replace("uuid = \"5eed", "uuid = \"0bad");
    dom0.write(&config, other, 0o644);
    let check = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    assert!(check.stdout.lines().any(|line| line.starts_with("warn")), "{check}");
    let reset = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    assert!(reset.says("warning") && reset.says("uuid"), "{reset}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(1).saying("uuid");
}

#[test]
fn an_operator_may_do_what_is_listed_and_no_more() {
    let dom0 = two_clusters().raise().unwrap();
    let etc = dom0.node("alpha", "node1").etc();
    let key = format!("{etc}/nagios");
    let _ = dom0.on(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key]).exits(0);
    let public = dom0.file(&format!("{key}.pub"));
    amend(
        &dom0,
        &format!(
            "[operators.nagios]\nactions = [\"status\", \"monitor\"]\nkeys = [\"{}\"]",
            public.trim()
        ),
    );
    let nagios = |words: &[&str]| {
        let identity = ["--identity", "/etc/xen-fence/nagios"];
        ask(&dom0, "alpha", "node1", &[words, &identity].concat())
    };
    let _ = nagios(&["status", "node2"]).exits(0).saying("node2 on");
    let _ = nagios(&["monitor"]).exits(0);
    for refused in [&["off", "node2"][..], &["reset", "node2"], &["list"]] {
        let _ = nagios(refused).exits(3);
    }
    let _ = nagios(&["check"]).exits(1).saying("not grant you check");
    assert!(recorded(&dom0, "alpha", &["operator nagios", "refused", "not-granted"]));
    assert!(dom0.domid("alpha", "node2").is_some());
}
