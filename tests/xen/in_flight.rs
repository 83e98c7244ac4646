//! A write in flight at the kill: the file system under the guests' disk is frozen, so dom0 holds a
//! write that a dead guest handed in, and does it when the file system thaws (T79).

use crate::{fresh, pause};
use xen_fence_tests::lab::Lab;

/// Freezes the disk, and waits until a write of each node hangs in dom0.
fn freeze(lab: &Lab) {
    let _ = lab.sh("fsfreeze -f /srv/shared").exits(0);
    let hanging = "cat /proc/[0-9]*/stat 2>/dev/null | grep -ac 'loop[12]) D '";
    lab.settle("both hang in a write", || lab.sh(hanging).stdout.trim() == "2");
}

fn thaw(lab: &Lab) {
    let _ = lab.sh("fsfreeze -u /srv/shared").exits(0);
}

fn fenced_is_on_record(lab: &Lab) -> bool {
    lab.journal().iter().any(|record| record["result"] == "fenced killed")
}

#[test]
fn fenced_waits_for_the_write_to_land() {
    let lab = fresh();
    let watch = lab.watch("node2");
    freeze(&lab);
    let held_up = lab.sector("node2");
    let mut off = lab.ask("node1", &["off", "node2", "-v"]);
    lab.settle("its domain is dying", || lab.domid("node2").is_none());
    pause(8);
    assert!(off.is_running(), "{}", off.wait());
    assert!(!fenced_is_on_record(&lab));
    assert_eq!(lab.rows("node2").len(), 1, "{}", lab.listing());
    assert_eq!(lab.sector("node2"), held_up);
    thaw(&lab);
    let thawed = std::time::Instant::now();
    let off = off.wait().exits(0).saying("still dying");
    assert!(thawed.elapsed().as_secs() < 10, "{off}");
    assert!(lab.rows("node2").is_empty(), "{}", lab.listing());
    assert_ne!(lab.sector("node2"), held_up, "the write of the dead guest has landed");
    lab.stands_still("node2");
    lab.judge(watch);
}

#[test]
fn a_limit_that_comes_first_is_a_failure_with_its_reason() {
    let lab = fresh();
    let watch = lab.watch("node2");
    freeze(&lab);
    let off = lab.ask("node1", &["off", "node2", "--timeout", "12"]).wait().exits(7);
    let off = off.saying("still dying");
    assert!(!off.says("node2 fenced"), "{off}");
    let _ = lab.ask("node1", &["status", "node2"]).wait().saying("still dying").saying("unknown");
    // Promise 3: the proof goes on without the agent.
    assert!(!fenced_is_on_record(&lab));
    thaw(&lab);
    lab.settle("the death is proven and recorded", || fenced_is_on_record(&lab));
    assert!(lab.rows("node2").is_empty(), "{}", lab.listing());
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("off");
    lab.stands_still("node2");
    lab.judge(watch);
}

#[test]
fn a_corpse_beside_a_new_domain_of_the_same_name() {
    let lab = fresh();
    let watch = lab.watch("node2");
    freeze(&lab);
    let config = lab.node("node2").config();
    let old = lab.domid("node2").unwrap();
    let _ = lab.sh("xl destroy alpha-node2").exits(0);
    let _ = lab.sh(&format!("xl create {config}")).exits(0);
    let new = lab.domid("node2").unwrap();
    assert_eq!(lab.rows("node2"), [old, new], "{}", lab.listing());
    let mut off = lab.ask("node1", &["off", "node2", "-v"]);
    lab.settle("the new one is gone", || lab.domid("node2").is_none());
    pause(5);
    assert!(off.is_running(), "{}", off.wait());
    assert!(lab.rows("node2").contains(&old), "{}", lab.listing());
    thaw(&lab);
    let _ = off.wait().exits(0).saying("fenced (killed)");
    assert!(lab.rows("node2").is_empty(), "{}", lab.listing());
    lab.stands_still("node2");
    lab.judge(watch);
}

#[test]
fn a_reset_powers_on_only_after_the_write_has_landed() {
    let lab = fresh();
    let watch = lab.watch("node2");
    freeze(&lab);
    let mut reset = lab.ask("node1", &["reset", "node2"]);
    lab.settle("its domain is dying", || lab.domid("node2").is_none());
    pause(6);
    assert!(reset.is_running(), "{}", reset.wait());
    assert_eq!(lab.domid("node2"), None, "nothing was started beside the corpse");
    thaw(&lab);
    let _ = reset.wait().exits(0).saying("fenced (killed)").saying("started");
    lab.counts("node2");
    lab.judge(watch);
}
