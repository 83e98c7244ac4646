//! A dom0 that fails: without xenstored every xl command hangs; and its power is cut.

use crate::{fresh, pause};
use std::time::Duration;
use xen_fence_tests::lab::Lab;

/// After a dom0 has booted, an administrator or a service starts the nodes.
fn start_nodes(lab: &Lab) {
    for node in ["node1", "node2"] {
        lab.blank(node);
        let _ = lab.sh(&format!("xl create {}", lab.node(node).config())).exits(0);
        lab.counts(node);
    }
}

/// No broker, and no xl that lists or kills.
fn nothing_of_ours_runs(lab: &Lab) -> bool {
    lab.sh(
        "pgrep -x xen-fence-broke || pgrep -x xenstore-ls || pgrep -x -f '.*xl (list|destroy).*'",
    )
    .code
        != 0
}

#[test]
fn without_xenstored_nothing_is_said_to_be_dead() {
    let mut lab = fresh();
    let before = lab.inventory();
    let _ = lab.sh("kill -KILL $(cat /run/xenstored.pid)").exits(0);
    for words in [["status", "node2"], ["off", "node2"], ["reset", "node2"]] {
        let said = lab.ask("node1", &words).wait().saying("no answer within").exits(1);
        assert!(said.took < Duration::from_secs(30), "{said}");
        assert!(!said.says("fenced"), "{said}");
    }
    lab.settle("nothing of ours is left", || nothing_of_ours_runs(&lab));
    lab.counts("node2");
    lab.cut_power().unwrap();
    start_nodes(&lab);
    lab.is_as_before(&before);
    let watch = lab.watch("node2");
    let _ = lab.ask("node1", &["reset", "node2"]).wait().exits(0).saying("fenced (killed)");
    lab.judge(watch);
    lab.counts("node2");
    lab.is_as_before(&before);
}

#[test]
fn xenstored_dies_while_a_death_is_proven() {
    let mut lab = fresh();
    let before = lab.inventory();
    let _ = lab.sh("fsfreeze -f /srv/shared").exits(0);
    pause(2);
    let off = lab.ask("node1", &["off", "node2", "--timeout", "40"]);
    lab.settle("its domain is dying", || lab.domid("node2").is_none());
    let _ = lab.sh("kill -KILL $(cat /run/xenstored.pid); fsfreeze -u /srv/shared").exits(0);
    let off = off
        .wait()
        .exits(7)
        .saying("may or may not be dead")
        .saying("the last word of")
        .saying("no answer within");
    assert!(!off.says("node2 fenced"), "{off}");
    // The broker goes on looking, with one xl at a time, until its own limit or the host's restart.
    let hanging = lab.sh("pgrep -c -x -f '.*xl list.*'").stdout;
    assert!(["0", "1"].contains(&hanging.trim()), "{hanging}");
    lab.cut_power().unwrap();
    assert!(nothing_of_ours_runs(&lab));
    start_nodes(&lab);
    lab.is_as_before(&before);
    let watch = lab.watch("node2");
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced (killed)");
    lab.judge(watch);
    lab.stands_still("node2");
}
