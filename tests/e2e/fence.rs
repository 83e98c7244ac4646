//! What works: every action, from the command in a node to the dead and restarted domain.

use crate::{Shared, ask, counts, recorded, settle, stands_still, two_clusters};
use std::collections::BTreeSet;

static SHARED: Shared = Shared::new();

#[test]
fn reset_kills_and_starts_anew() {
    let dom0 = SHARED.take();
    let (domid, processes) = (dom0.domid("alpha", "node2"), dom0.processes_of("alpha", "node2"));
    assert!(!processes.is_empty());
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("node2");
    for old in processes {
        let same = dom0.process(old.pid).filter(|now| now.command == old.command);
        assert!(same.is_none(), "{old:?} lives on");
    }
    settle(|| dom0.domid("alpha", "node2").is_some());
    assert!(dom0.domid("alpha", "node2") > domid, "a new domain has a new domid");
    counts(&dom0, "alpha", "node2");
    assert!(recorded(&dom0, "alpha", &["reset", "node2", "node1"]));
}

#[test]
fn off_is_off_until_on() {
    let dom0 = SHARED.take();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert_eq!(dom0.domid("alpha", "node2"), None);
    stands_still(&dom0, "alpha", "node2");
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0).saying("off");
    // What is off already is off: success again.
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0).saying("on");
    let domid = dom0.domid("alpha", "node2");
    counts(&dom0, "alpha", "node2");
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    assert_eq!(dom0.domid("alpha", "node2"), domid, "what is on already is left alone");
}

#[test]
fn a_node_may_fence_itself() {
    let dom0 = SHARED.take();
    let domid = dom0.domid("alpha", "node2");
    let asker = dom0.in_node("alpha", "node2").spawn(&["xen-fence", "reset", "node2"]);
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > domid));
    assert_ne!(asker.wait().code, 0, "who is dead reports no success");
    counts(&dom0, "alpha", "node2");
}

#[test]
fn looking_touches_nothing() {
    let dom0 = SHARED.take();
    let domids = |dom0: &crate::Dom0| -> Vec<Option<u32>> {
        dom0.nodes().iter().map(|node| dom0.domid(&node.cluster, &node.name)).collect()
    };
    let before = domids(&dom0);
    let list = ask(&dom0, "beta", "db1", &["list"]).exits(0).saying("db1").saying("db2");
    assert!(!list.says("node1"), "another cluster's node is listed\n{list}");
    let _ = ask(&dom0, "alpha", "node1", &["monitor"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["check"]).exits(0).saying("node2");
    let _ = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["status", "NODE2"]).exits(0).saying("on");
    assert_eq!(domids(&dom0), before);
}

#[test]
fn programs_get_one_json_object() {
    let dom0 = SHARED.take();
    for arguments in
        [&["status", "node2"][..], &["list"], &["monitor"], &["check"], &["off", "node2"]]
    {
        let words = [arguments, &["--json"]].concat();
        let output = ask(&dom0, "alpha", "node1", &words).exits(0);
        let parsed: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
        assert!(parsed.is_object(), "{output}");
    }
    let refused = ask(&dom0, "alpha", "node1", &["off", "db1", "--json"]).exits(3);
    let parsed: serde_json::Value = serde_json::from_str(&refused.stdout).unwrap();
    assert!(parsed.is_object(), "{refused}");
}

#[test]
fn each_record_is_whole_and_every_id_is_its_own() {
    let dom0 = SHARED.take();
    for _ in 0..2 {
        let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    }
    let records = dom0.journal("alpha");
    let ids: BTreeSet<&str> =
        records.iter().filter_map(|record| record["request"].as_str()).collect();
    assert!(ids.len() >= 2, "{records:#?}");
    assert!(dom0.syslog().contains("xen-fence"), "syslog has it too");
    let _ = dom0.on(&["xen-fence-admin", "log", "--cluster", "alpha"]).exits(0).saying("node2");
}

#[test]
fn through_the_hosts_own_sshd() {
    let dom0 = two_clusters().hosts_sshd().raise().unwrap();
    let domid = dom0.domid("alpha", "node2");
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > domid));
}

#[test]
fn clusters_fence_side_by_side() {
    let dom0 = SHARED.take();
    let alpha = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
    let beta = dom0.in_node("beta", "db1").spawn(&["xen-fence", "off", "db2"]);
    let _ = alpha.wait().exits(0);
    let _ = beta.wait().exits(0);
    assert_eq!(dom0.domid("alpha", "node2").or(dom0.domid("beta", "db2")), None);
}

/// On a terminal it tells phase by phase what it is at, and ends with a line of result and one of
/// timings; elsewhere there are plain lines and no control characters.
#[test]
fn a_person_at_a_terminal_sees_what_goes_on() {
    // Of its own: what was reset a moment ago would not be killed again.
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["fault", "slow-destroy", "1500", "alpha-node2"]);
    let terminal = ["script", "-qec", "xen-fence reset node2", "/dev/null"];
    let seen = dom0.in_node("alpha", "node1").run(&terminal).exits(0);
    let shown = seen.stdout.replace('\r', "\n");
    for words in ["node2 fenced (killed) by xen1, and started", "key exchange", "proof", "ms"] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    assert!(seen.stdout.contains('\u{1b}') || seen.stdout.contains('\r'), "{seen}");
    let plain = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    assert!(!plain.stdout.contains('\u{1b}') && !plain.stderr.contains('\u{1b}'), "{plain}");
}
