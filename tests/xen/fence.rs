//! What works: every action, and nothing written by a node after `fenced`.

use crate::fresh;

#[test]
fn reset_kills_and_starts_anew() {
    let lab = fresh();
    let before = lab.domid("node2");
    let watch = lab.watch("node2");
    let _ = lab.ask("node1", &["reset", "node2"]).wait().exits(0).saying("fenced (killed)");
    assert!(lab.domid("node2") > before, "a new domain has a new domid");
    lab.counts("node2");
    lab.judge(watch);
}

#[test]
fn off_is_off_until_on() {
    let lab = fresh();
    let watch = lab.watch("node2");
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced (killed)");
    assert_eq!(lab.domid("node2"), None);
    lab.stands_still("node2");
    lab.judge(watch);
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("node2 off");
    let _ = lab.ask("node1", &["list"]).wait().exits(0).saying("node1 on").saying("node2 off");
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0);
    let _ = lab.ask("node1", &["on", "node2"]).wait().exits(0);
    let _ = lab.ask("node1", &["status", "node2"]).wait().exits(0).saying("on");
    lab.counts("node2");
    let domid = lab.domid("node2");
    let _ = lab.ask("node1", &["on", "node2"]).wait().exits(0);
    assert_eq!(lab.domid("node2"), domid, "what is on already is left alone");
    let _ = lab.ask("node1", &["list"]).wait().exits(0).saying("node1 on").saying("node2 on");
}

#[test]
fn twenty_resets_in_a_row() {
    let lab = fresh();
    let before = lab.inventory();
    for _ in 0..20 {
        let watch = lab.watch("node2");
        let old = lab.domid("node2");
        // As if ten seconds had passed: until then a reset counts for the next one.
        let _ = lab.sh("rm -f /run/xen-fence/alpha.state").exits(0);
        let reset = lab.ask("node1", &["reset", "node2"]).wait().exits(0);
        let _ = reset.saying("fenced (killed)").saying("and started");
        assert!(lab.domid("node2") > old);
        lab.counts("node2");
        lab.judge(watch);
    }
    lab.is_as_before(&before);
}

/// What `xl dump-core` writes of a paused guest, and the kill after it.
#[test]
fn a_core_is_written_before_the_kill() {
    let lab = fresh();
    let watch = lab.watch("node2");
    let domid = lab.domid("node2").unwrap();
    lab.write("/etc/xen-fence/broker.toml", "dump = \"/srv/cores\"\ndump_megabytes = 300\n");
    let off = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced (killed)");
    let core = format!("/srv/cores/alpha-node2.{domid}.core");
    let looked = lab.sh(&format!("head -c 4 {core} && stat -c ' %s' {core}")).exits(0);
    assert!(looked.stdout.contains("ELF"), "{looked}");
    let size = looked.stdout.split_whitespace().last().and_then(|size| size.parse::<u64>().ok());
    assert!(size > Some(100 << 20), "{looked}\n{off}");
    lab.stands_still("node2");
    lab.judge(watch);
}

/// With nothing in flight the first listing after the kill shows the death, or the second.
#[test]
fn at_most_two_listings_after_the_kill() {
    let lab = fresh();
    lab.note_calls_of_xl().unwrap();
    for _ in 0..3 {
        let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced (killed)");
        let calls = lab.calls_of_xl();
        let after = calls.iter().rev().take_while(|call| call.starts_with("list")).count();
        assert!(calls.iter().any(|call| call.starts_with("destroy")), "{calls:?}");
        assert!((1..=2).contains(&after), "{calls:?}");
        let _ = lab.ask("node1", &["on", "node2"]).wait().exits(0);
        let _ = lab.calls_of_xl();
    }
}
