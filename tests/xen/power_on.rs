//! A power-on that fails: the reset is a success all the same, with a warning, since the node is
//! dead; and what xl says of its own cleaning up is not taken for anything else.

use crate::fresh;

/// node2, which runs, is given a configuration with these lines, and is reset.
fn not_started(lines: &str, why: &str, words: &str) {
    let lab = fresh();
    let watch = lab.watch("node2");
    lab.configure("node2", "", lines);
    let reset = lab.ask("node1", &["reset", "node2"]).wait().exits(0);
    let reset = reset.saying("fenced (killed)").saying("not started").saying("warning").saying(why);
    assert!(lab.rows("node2").is_empty(), "{reset}\n{}", lab.listing());
    assert!(lab.xl_processes_of("node2").is_empty(), "{:?}", lab.xl_processes_of("node2"));
    lab.judge(watch);
    lab.stands_still("node2");
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("off");
    // By hand it fails as well, whatever xl then says of its own cleaning up.
    let by_hand = lab.sh(&format!("xl create {}", lab.node("node2").config()));
    assert!(by_hand.code != 0 && by_hand.says(words), "{by_hand}");
    // Nothing of the failure stands in the way of the next.
    lab.configure("node2", "", "");
    let _ = lab.ask("node1", &["on", "node2"]).wait().exits(0);
    lab.counts("node2");
}

/// What dom0's OOM killer does, say.
#[test]
fn a_create_that_is_killed() {
    let lab = fresh();
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0);
    let on = lab.ask("node1", &["on", "node2"]);
    let kill = "until xl list | grep -q 'alpha-node2 .* --p---'; do :; done
                kill -KILL $(pgrep -x -f '.*xl create .*node2.*')";
    let _ = lab.sh(kill).exits(0);
    let on = on.wait().saying("half built perhaps");
    assert_ne!(on.code, 0, "{on}");
    let _ = lab.ask("node1", &["reset", "node2"]).wait().exits(0).saying("fenced (killed)");
    lab.counts("node2");
}

#[test]
fn a_life_that_was_set_aside_is_not_on() {
    let lab = fresh();
    lab.remake("node2", "do=panic panic=0", "on_crash = \"rename-restart\"\n");
    lab.settle("it is set aside", || lab.listing().says("alpha-node2-"));
    lab.configure("node2", "", "");
    lab.settle("nothing of its monitor is left", || lab.xl_processes_of("node2").is_empty());
    let _ = lab.ask("node1", &["status", "node2"]).wait().saying("unknown");
    let on = lab.ask("node1", &["on", "node2"]).wait().saying("`off` removes it");
    assert_ne!(on.code, 0, "{on}");
    let _ = lab.ask("node1", &["reset", "node2"]).wait().exits(0).saying("fenced (killed)");
    lab.counts("node2");
}

#[test]
fn no_memory() {
    not_started("memory = 64000\n", "memory", "Destruction of domain failed");
}

#[test]
fn a_disk_that_another_domain_uses() {
    let disk = "disk = [\"phy:/dev/loop1,xvda,w\"]\n";
    not_started(disk, "/dev/loop1", "Destruction of domain failed");
}

#[test]
fn a_kernel_that_is_not_there() {
    not_started("kernel = \"/lab/none\"\n", "/lab/none", "/lab/none");
}

#[test]
fn a_configuration_that_xl_does_not_understand() {
    not_started("vcpus = = 2\n", "not started", "config");
}
