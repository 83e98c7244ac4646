//! What works: every action, and nothing written by a node after `fenced`.

use crate::fresh;

#[test]
fn reset_kills_and_starts_anew() {
    let lab = fresh();
    let before = lab.domid("node2");
    let watch = lab.watch("node2");
    let _ = lab.ask("node1", &["reset", "node2"]).wait().exits(0).saying("fenced (killed)");
    lab.judge(watch);
    assert!(lab.domid("node2") > before, "a new domain has a new domid");
    lab.counts("node2");
}

#[test]
fn off_is_off_until_on() {
    let lab = fresh();
    let watch = lab.watch("node2");
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced (killed)");
    assert_eq!(lab.domid("node2"), None);
    lab.stands_still("node2");
    lab.judge(watch);
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("off");
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0);
    let _ = lab.ask("node1", &["on", "node2"]).wait().exits(0);
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("on");
    lab.counts("node2");
    let domid = lab.domid("node2");
    let _ = lab.ask("node1", &["on", "node2"]).wait().exits(0);
    assert_eq!(lab.domid("node2"), domid, "what is on already is left alone");
    let _ = lab.ask("node1", &["list"]).wait().exits(0).saying("node1").saying("node2");
}
