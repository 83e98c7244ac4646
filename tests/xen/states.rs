//! The states that a node can be in when it is fenced: hung, crashed, paused, half saved, half made,
//! under another name. Whatever xl is about to do with it, nothing of it is left or comes back.

use crate::{fresh, pause};
use xen_fence_tests::lab::Lab;
use xen_fence_tests::throwaway::Output;

/// node1 fences node2, for good.
fn off(lab: &Lab) -> Output {
    let off = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced");
    assert!(lab.rows("node2").is_empty(), "{off}\n{}", lab.listing());
    off
}

/// Nothing of node2 is there, and nothing brings it back.
fn stays_away(lab: &Lab) {
    lab.stands_still("node2");
    assert!(lab.rows("node2").is_empty(), "{}", lab.listing());
    assert!(lab.xl_processes_of("node2").is_empty(), "{:?}", lab.xl_processes_of("node2"));
}

/// The state of node2's only row, as xl shows it.
fn state(lab: &Lab) -> String {
    let uuid = &lab.node("node2").uuid;
    let listing = lab.listing().stdout;
    let row = listing.lines().find(|line| line.contains(uuid.as_str())).unwrap_or_default();
    let before: Vec<&str> = row.split(uuid.as_str()).next().unwrap().split_whitespace().collect();
    before.iter().rev().nth(1).map_or_else(String::new, |state| (*state).to_owned())
}

#[test]
fn paused() {
    let lab = fresh();
    let watch = lab.watch("node2");
    let _ = lab.sh("xl pause alpha-node2").exits(0);
    lab.settle("it is paused", || state(&lab).contains('p'));
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("on");
    let _ = off(&lab).saying("fenced (killed)");
    lab.judge(watch);
    stays_away(&lab);
}

/// node2 no longer writes, and its processor spins.
fn stuck(how: &str) {
    let lab = fresh();
    lab.remake("node2", how, "");
    // How long it takes until it does depends on what else the machine has to do.
    let mut before = (String::new(), None);
    lab.settle("it hangs", || {
        pause(3);
        let now = (lab.sector("node2"), lab.domid("node2"));
        let still = now == before && now.0.starts_with("node2") && now.1.is_some();
        before = now;
        still
    });
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("on");
    let _ = off(&lab).saying("fenced (killed)");
    stays_away(&lab);
}

#[test]
fn panicked_and_spinning() {
    stuck("do=panic");
}

#[test]
fn hung() {
    stuck("do=hang");
}

/// What xl does with a domain that crashed, by `on_crash`, and what a fence at that time comes to.
fn crashed(on_crash: &str, settled: impl Fn(&Lab, u32) -> bool, said: &str) {
    let lab = fresh();
    let lines = format!("on_crash = \"{on_crash}\"\n");
    lab.remake("node2", "do=panic panic=0", &lines);
    let first = lab.domid("node2").unwrap();
    lab.settle(&format!("it crashed, and xl did its {on_crash}"), || settled(&lab, first));
    let _ = off(&lab).saying(said);
    stays_away(&lab);
}

#[test]
fn crashed_and_destroyed() {
    crashed("destroy", |lab, _| lab.rows("node2").is_empty(), "fenced (absent)");
}

#[test]
fn crashed_and_restarted() {
    let anew = |lab: &Lab, first| lab.domid("node2").is_some_and(|domid| domid > first);
    crashed("restart", anew, "fenced");
}

#[test]
fn crashed_and_preserved() {
    crashed("preserve", |lab, _| state(lab).contains('c'), "fenced (killed)");
}

#[test]
fn crashed_and_dumped() {
    crashed("coredump-destroy", |lab, _| lab.rows("node2").is_empty(), "fenced (absent)");
}

#[test]
fn crashed_and_being_dumped() {
    crashed("coredump-restart", |lab, _| state(lab).contains('c'), "fenced (killed)");
}

#[test]
fn crashed_and_soft_reset() {
    crashed("soft-reset", |lab, first| lab.domid("node2") != Some(first), "fenced");
}

#[test]
fn crashed_and_set_aside() {
    let aside = |lab: &Lab, _| lab.listing().says("alpha-node2-");
    crashed("rename-restart", aside, "fenced (killed)");
}

/// The same for one that rebooted itself.
fn rebooted(on_reboot: &str, settled: impl Fn(&Lab, u32) -> bool, said: &str) {
    let lab = fresh();
    lab.remake("node2", "do=reboot", &format!("on_reboot = \"{on_reboot}\"\n"));
    let first = lab.domid("node2").unwrap();
    lab.settle(&format!("it rebooted, and xl did its {on_reboot}"), || settled(&lab, first));
    let _ = off(&lab).saying(said);
    stays_away(&lab);
}

#[test]
fn rebooted_and_destroyed() {
    rebooted("destroy", |lab, _| lab.rows("node2").is_empty(), "fenced (absent)");
}

#[test]
fn rebooted_and_preserved() {
    rebooted("preserve", |lab, _| state(lab).contains('s'), "fenced (killed)");
}

#[test]
fn rebooted_and_dumped() {
    rebooted("coredump-destroy", |lab, _| lab.rows("node2").is_empty(), "fenced (absent)");
}

#[test]
fn rebooted_and_dumped_before_a_restart() {
    rebooted("coredump-restart", |lab, first| lab.domid("node2") != Some(first), "fenced");
}

/// xl keeps the old domain, with the node's UUID under a name with the time, and makes a new one.
#[test]
fn rebooted_and_set_aside() {
    rebooted("rename-restart", |lab, _| lab.listing().says("alpha-node2-"), "fenced (killed)");
}

#[test]
fn a_soft_reset_that_the_guest_did_not_ask_for() {
    rebooted("soft-reset", |lab, first| lab.domid("node2") != Some(first), "fenced");
}

#[test]
fn in_the_middle_of_a_save() {
    let lab = fresh();
    let watch = lab.watch("node2");
    let save = lab.start("xl save alpha-node2 /root/saved");
    // Behind xl's header comes its memory, 128 MB of it.
    let saving = || lab.sh("[ $(stat -c %s /root/saved) -gt 4000000 ]").code == 0;
    lab.settle("it is being saved", saving);
    let _ = off(&lab).saying("fenced (killed)");
    lab.judge(watch);
    let _ = save.wait();
    stays_away(&lab);
}

#[test]
fn while_it_is_made() {
    let lab = fresh();
    let _ = off(&lab);
    let create = lab.start(&format!("xl create {}", lab.node("node2").config()));
    lab.settle("it is half made", || state(&lab).contains('p'));
    let _ = off(&lab).saying("fenced (killed)");
    assert_ne!(create.wait().code, 0, "it was made before it was killed");
    stays_away(&lab);
}

#[test]
fn under_another_name() {
    let lab = fresh();
    let _ = lab.sh("xl rename alpha-node2 gamma").exits(0);
    let off_it = lab.ask("node1", &["off", "node2"]).wait().exits(1).saying("nothing was touched");
    assert!(!off_it.says("gamma"), "another tenant's name is not told: {off_it}");
    lab.counts("node2");
    let _ = lab.sh("xl rename gamma alpha-node2").exits(0);
    let _ = off(&lab).saying("fenced (killed)");
}

/// A neighbour who is called by the domid of the node lives on.
#[test]
fn beside_a_domain_named_with_its_domid() {
    let lab = fresh();
    let domid = lab.domid("node2").unwrap();
    let stranger = format!(
        "sed -e 's/^name.*/name = \"{domid}\"/' -e 's/^uuid/#/' -e 's/node=node2 slot=2/node=x slot=3/' \
         -e 's/loop2/loop3/' {} >/root/stranger.cfg && xl create /root/stranger.cfg && xl list -v",
        lab.node("node2").config()
    );
    let _ = lab.sh(&stranger).exits(0);
    let _ = off(&lab).saying("fenced (killed)");
    let left = lab.sh(&format!("xl list | grep '^{domid} '")).exits(0);
    assert_eq!(left.stdout.lines().count(), 1, "{left}");
    stays_away(&lab);
}
