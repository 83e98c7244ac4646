//! A guest in the hardware's own virtual machine, without a device model: the processor's nested
//! paging instead of Xen's, and the same paravirtual disk from blkback.

use crate::backends::fenced_is_on_record;
use crate::{fresh, pause};
use xen_fence_tests::lab::Lab;

fn as_pvh(lab: &Lab) {
    lab.remake("node2", "", "type = \"pvh\"\n");
    // Of another kind than node1's: that it was made so is seen in Xen, not taken from the file.
    let kind = "xl list -l alpha-node2 | grep -c '\"type\": \"pvh\"'";
    let _ = lab.sh(kind).exits(0);
}

#[test]
fn reset_of_a_pvh_guest() {
    let lab = fresh();
    as_pvh(&lab);
    let watch = lab.watch("node2");
    let before = lab.domid("node2");
    let _ = lab.ask("node1", &["reset", "node2"]).wait().exits(0).saying("fenced (killed)");
    lab.settle("it is on again", || lab.domid("node2") > before);
    lab.counts("node2");
    lab.judge(watch);
}

#[test]
fn fenced_waits_for_the_write_of_a_pvh_guest() {
    let lab = fresh();
    as_pvh(&lab);
    let watch = lab.watch("node2");
    let _ = lab.sh("fsfreeze -f /srv/shared").exits(0);
    pause(3);
    let held_up = lab.sector("node2");
    let mut off = lab.ask("node1", &["off", "node2", "-v"]);
    lab.settle("its domain is dying", || lab.domid("node2").is_none());
    pause(8);
    assert!(off.is_running(), "{}", off.wait());
    assert!(!fenced_is_on_record(&lab), "{}", lab.listing());
    assert_eq!(lab.rows("node2").len(), 1, "{}", lab.listing());
    let _ = lab.sh("fsfreeze -u /srv/shared").exits(0);
    let _ = off.wait().exits(0).saying("fenced (killed)");
    assert_ne!(lab.sector("node2"), held_up, "the write of the dead guest has landed");
    lab.judge(watch);
    lab.stands_still("node2");
}
