//! A node that root holds: nobody's fence kills or starts it, everybody hears who, why and until
//! when, and the proof of a death is still to be had.

use crate::client::{Client, MOMENT, destroy_goes_on};
use crate::{Dom0, Shared, ask, long_after, recorded, settle, two_clusters, untouched};
use std::sync::MutexGuard;
use std::time::Duration;
use xen_fence_tests::throwaway::Output;

static SHARED: Shared = Shared::new();

const FILE: &str = "/var/lib/xen-fence/holds/alpha.json";

/// The dom0 for one case, in which nobody is held.
fn take() -> MutexGuard<'static, Dom0> {
    let dom0 = SHARED.take();
    let _ = dom0.sh("rm -f /var/lib/xen-fence/holds/*").exits(0);
    dom0
}

/// alice, through sudo, holds node2 for an upgrade.
fn hold(dom0: &Dom0, more: &str) -> Output {
    let length = if more.contains("--for") { "" } else { "--for 2h" };
    dom0.sh(&format!(
        "SUDO_USER=alice xen-fence-admin hold alpha node2 {length} --why 'kernel upgrade' {more}"
    ))
    .exits(0)
}

fn unhold(dom0: &Dom0) -> Output {
    dom0.sh("SUDO_USER=bob xen-fence-admin unhold alpha node2").exits(0)
}

/// Who, why, until when and what comes of it.
#[track_caller]
fn told_in_full(output: &Output) {
    for words in ["held by alice until 20", "(kernel upgrade)", "its cluster"] {
        assert!(output.says(words), "{words}\n{output}");
    }
}

#[test]
fn a_held_node_is_neither_killed_nor_started_until_the_hold_is_lifted() {
    let dom0 = take();
    let told = hold(&dom0, "").saying("every dom0").saying("ends by the wall clock");
    told_in_full(&told);
    assert_eq!(dom0.mode(FILE), (0o600, 0, 0));
    assert_eq!(dom0.mode("/var/lib/xen-fence/holds"), (0o700, 0, 0));
    let _ = dom0.on(&["xen-fence-admin", "holds"]).exits(0).saying("kernel upgrade");
    // It outlives a policy that is away for a while.
    let policy = "/etc/xen-fence/clusters.d/alpha.toml";
    let away =
        format!("mv {policy} /root/ && xen-fence-admin holds && mv /root/alpha.toml {policy}");
    let _ = dom0.sh(&away).exits(0).saying("kernel upgrade");
    untouched(&dom0, || {
        for action in ["reset", "off"] {
            let refused = ask(&dom0, "alpha", "node1", &[action, "node2"]).exits(3);
            told_in_full(&refused);
            assert!(refused.says("does not take over"), "{refused}");
        }
        let object = ask(&dom0, "alpha", "node1", &["off", "node2", "--json"]).exits(3);
        let object: serde_json::Value = serde_json::from_str(&object.stdout).unwrap();
        assert_eq!(object["errors"][0]["reason"], "held", "{object:#}");
        // What runs already is left to run, and the other node is not concerned.
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0).saying("already");
    });
    assert!(recorded(&dom0, "alpha", &["hold set", "root alice", "node2", "kernel upgrade"]));
    let told = |line: &str| {
        line.contains(" result=\"hold set\" ")
            && line.contains(" text=\"node2 is held by alice until")
    };
    settle(|| dom0.syslog().lines().any(told));
    let _ = unhold(&dom0).saying("no longer: node2 is held by alice");
    assert!(recorded(&dom0, "alpha", &["hold cleared", "root bob", "held by alice"]));
    let _ = dom0.on(&["xen-fence-admin", "holds"]).exits(0).saying("no node is held");
    let unhold = |cluster, node| dom0.on(&["xen-fence-admin", "unhold", cluster, node]);
    let _ = unhold("alpha", "node2").exits(1).saying("is not held");
    let _ = unhold("alpha", "node9").exits(2).saying("its nodes are node1, node2");
    let _ = unhold("alhpa", "node2").exits(2).saying("alhpa.toml");
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("and started");
}

#[test]
fn who_only_looks_hears_of_the_hold() {
    let dom0 = take();
    let _ = hold(&dom0, "");
    for words in [&["status", "node2"][..], &["list"]] {
        told_in_full(&ask(&dom0, "alpha", "node1", words).exits(0));
    }
    let other = ask(&dom0, "alpha", "node1", &["status", "node1"]).exits(0);
    assert!(!other.says("held"), "{other}");
    let check = ask(&dom0, "alpha", "node1", &["check"]).exits(1);
    told_in_full(&check);
    assert!(check.stdout.lines().any(|line| line.starts_with("FAIL node2 hold ")), "{check}");
    let _ = ask(&dom0, "alpha", "node1", &["check", "node1"]).exits(0);
    let monitor = ask(&dom0, "alpha", "node1", &["monitor"]).exits(0);
    assert!(monitor.says("1 of 2 nodes can be fenced; held by root of this host: 1"), "{monitor}");
    assert!(!monitor.stdout.contains("node2"), "monitor names no node\n{monitor}");
    let beta = ask(&dom0, "beta", "db1", &["check"]).exits(0);
    assert!(!beta.says("alice"), "another cluster's business\n{beta}");
    let _ = hold(&dom0, "--on-fence=off");
    let check = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    assert!(check.stdout.lines().any(|line| line.starts_with("warn node2 hold ")), "{check}");
}

#[test]
fn a_client_that_ignores_the_hold_is_refused_by_the_broker() {
    let dom0 = take();
    let _ = hold(&dom0, "");
    untouched(&dom0, || {
        for (id, action) in [(0x501, "off"), (0x502, "reset")] {
            let mut client = Client::of(&dom0, "node1", id);
            client.say("request", &format!(" {action} node2"));
            let ready = client.hears("ready");
            assert!(ready.ends_with("node2 on here forbid"), "{ready}");
            client.say("go", "");
            let end = client.hears("refused");
            for words in [" held ", "nothing was touched", "runs as domain", "held by alice"] {
                assert!(end.contains(words), "{words}: {end}");
            }
            let id = format!("{id:032x}");
            assert!(recorded(&dom0, "alpha", &[&id, "\"result\":\"held\""]));
            assert!(!recorded(&dom0, "alpha", &[&id, "intent"]));
        }
    });
}

#[test]
fn a_hold_that_is_set_after_ready_binds_all_the_same() {
    let dom0 = take();
    let _ = hold(&dom0, "");
    let _ = dom0.sh(&format!("mv {FILE} /root/held.json")).exits(0);
    untouched(&dom0, || {
        let mut client = Client::ready(&dom0, "node1", 0x503, "off node2");
        let _ = dom0.sh(&format!("mv /root/held.json {FILE}")).exits(0);
        client.say("go", "");
        let end = client.hears("refused");
        assert!(end.contains(" held ") && end.contains("held by alice"), "{end}");
    });
}

/// The command itself waits for a kill that is being decided: when it has ended, none begins.
#[test]
fn the_command_waits_for_a_kill_that_was_there_first() {
    let dom0 = take();
    dom0.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
    let mut client = Client::ready(&dom0, "node1", 0x504, "off node2");
    client.say("go", "");
    destroy_goes_on(&dom0);
    let told = hold(&dom0, "");
    assert!(told.took > Duration::from_millis(800), "{told}");
    assert_eq!(dom0.domid("alpha", "node2"), None, "a kill went on after the hold was set");
    let _ = client.hears("fenced");
}

#[test]
fn a_held_node_that_is_off_is_fenced_and_not_started() {
    let dom0 = take();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = hold(&dom0, "");
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("(absent)");
    let reset = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    let _ = reset.clone().saying("(absent)").saying("not started").saying("stays off");
    told_in_full(&reset);
    let on = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(3);
    told_in_full(&on);
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let _ = unhold(&dom0);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
}

/// Root starts it by hand, as one does with a held node, while an older fence still waits for its corpse.
#[test]
fn what_root_starts_by_hand_is_not_killed_by_a_proof_that_goes_on() {
    let dom0 = take();
    let domid = dom0.domid("alpha", "node2").unwrap().to_string();
    dom0.fault(&["hold-writes", &domid]);
    let mut client = Client::ready(&dom0, "node1", 0x50a, "off node2");
    client.say("go", "");
    settle(|| dom0.on(&["xl", "list", "alpha-node2"]).code != 0);
    let told = hold(&dom0, "");
    assert!(told.says("waits for the proof of its death"), "{told}");
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    let by_hand = dom0.domid("alpha", "node2");
    let end = client.hears("failed");
    assert!(end.contains(" alive ") && end.contains("held by alice"), "{end}");
    dom0.fault(&["release-writes", &domid]);
    assert!(by_hand.is_some() && dom0.domid("alpha", "node2") == by_hand, "it was killed");
}

/// Not proven off is not off: neither a corpse nor a device model that lives on.
#[test]
fn a_held_node_that_is_dying_is_not_fenced_before_it_is_gone() {
    let dom0 = take();
    let domid = dom0.domid("alpha", "node2").unwrap().to_string();
    let _ = hold(&dom0, "");
    dom0.fault(&["hold-writes", &domid]);
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    let mut client = Client::ready(&dom0, "node1", 0x505, "off node2");
    client.say("go", "");
    let end = client.hears("refused");
    assert!(end.contains(" held ") && end.contains("still dying"), "{end}");
    dom0.fault(&["release-writes", &domid]);
    settle(|| ask(&dom0, "alpha", "node1", &["off", "node2"]).code == 0);
}

#[test]
fn with_on_fence_off_a_held_node_is_killed_and_left_off() {
    let dom0 = take();
    let _ = hold(&dom0, "--on-fence=off").saying("kills it and leaves it off");
    let reset = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    let _ = reset.clone().saying("(killed)").saying("not started").saying("goes on without it");
    told_in_full(&reset);
    assert_eq!(dom0.domid("alpha", "node2"), None);
    assert!(recorded(&dom0, "alpha", &["left off", "held by alice"]));
    let on = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(3);
    told_in_full(&on);
    let _ = unhold(&dom0);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
}

#[test]
fn a_power_on_looks_at_the_hold_again_before_it_creates() {
    let dom0 = take();
    let domid = dom0.domid("alpha", "node2").unwrap().to_string();
    dom0.fault(&["hold-writes", &domid]);
    let mut client = Client::ready(&dom0, "node1", 0x506, "reset node2");
    client.say("go", "");
    settle(|| dom0.domid("alpha", "node2").is_none());
    let _ = hold(&dom0, "").saying("A power-on of node2 is under way");
    dom0.fault(&["release-writes", &domid]);
    let _ = client.hears("fenced");
    let end = client.hears("unstarted");
    assert!(end.contains("held by alice"), "{end}");
    MOMENT(1500);
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

/// Nobody asks another dom0 for what root has stopped: it is no failure of this one.
#[test]
fn a_hold_that_stops_an_on_is_told_apart_from_what_this_dom0_cannot() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    let mut client = Client::ready(&dom0, "node1", 0x507, "on node2");
    dom0.fault(&["fault", "list-delay", "2000"]);
    client.say("go", "");
    settle(|| dom0.sh("ls /run/xen-fence/starts/alpha=node2=*").code == 0);
    let _ = hold(&dom0, "");
    let end = client.hears("failed");
    assert!(end.contains(" internal ") && end.contains("held by alice"), "{end}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

#[test]
fn a_hold_ends_by_itself_and_needs_nothing_that_a_reboot_takes_away() {
    let dom0 = take();
    let _ = hold(&dom0, "--for 6s");
    let _ = dom0.sh("rm -rf /run/xen-fence").exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(3).saying("held by alice");
    settle(|| dom0.on(&["xen-fence-admin", "holds", "alpha"]).says("no node is held"));
    let off = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(!off.says("held"), "{off}");
}

#[test]
fn holds_that_cannot_be_read_forbid_nothing_and_are_reported() {
    let dom0 = take();
    let _ = hold(&dom0, "");
    let whole = dom0.file(FILE);
    for (text, mode, why) in [
        (&whole[..whole.len() / 2], 0o600, "is damaged"),
        ("", 0o600, "is damaged"),
        (whole.as_str(), 0o666, "can be written by others"),
    ] {
        dom0.write(FILE, text, mode);
        let known = dom0.journal("alpha").len();
        let check = ask(&dom0, "alpha", "node1", &["check"]).exits(0);
        let found = |line: &str| line.starts_with("warn - holds ") && line.contains(why);
        assert!(check.stdout.lines().any(found), "{check}");
        let status = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
        assert!(status.says(why) && status.says("no node of this cluster is held"), "{status}");
        long_after(&dom0);
        let reset = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
        assert!(reset.says("warning") && reset.says(why) && reset.says("and started"), "{reset}");
        let records = dom0.journal("alpha").split_off(known);
        let told = |record: &serde_json::Value| record["result"] == "holds unreadable";
        assert!(records.iter().any(told), "{records:#?}");
        settle(|| dom0.syslog().contains(&format!(" text=\"{FILE} {why}")));
        let _ = dom0.on(&["xen-fence-admin", "holds"]).exits(1).saying(why).saying("hint");
        // Nothing writes over what might still be read by a person.
        let hold = ["xen-fence-admin", "hold", "alpha", "node1", "--for", "1h", "--why", "x"];
        let _ = dom0.on(&hold).exits(2).saying("nothing was changed");
        assert_eq!(dom0.file(FILE), text);
    }
}

/// Whoever keeps the disk busy between `ready` and `go` lifts no hold.
#[test]
fn a_hold_that_was_known_holds_although_it_cannot_be_read_again() {
    let dom0 = take();
    let _ = hold(&dom0, "");
    untouched(&dom0, || {
        let mut client = Client::ready(&dom0, "node1", 0x7e, "off node2");
        dom0.write(FILE, "", 0o600);
        client.say("go", "");
        let end = client.hears("refused");
        assert!(end.contains("held"), "{end}");
    });
}

/// As an agent that asks several dom0s hears it.
#[test]
fn a_reset_of_a_held_node_that_is_off_is_looked_at_again_before_it_is_left_off() {
    let dom0 = take();
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    let _ = hold(&dom0, "");
    let mut client = Client::ready(&dom0, "node1", 0x7f, "reset node2");
    client.say("go-off", "");
    let absent = client.hears("fenced");
    assert!(absent.ends_with("node2 absent"), "{absent}");
    // However long it takes, others need not wait.
    client.say("wait", "");
    let mut other = Client::of(&dom0, "node1", 0x80);
    other.say("request", " off node2");
    let ready = other.hear_within(Duration::from_millis(1500)).unwrap_or_default();
    assert!(ready.contains(" hold "), "said with the lock in hand: {ready:?}");
    drop(other);
    client.say("look", "");
    let seen = client.hears("seen");
    assert!(seen.ends_with("node2 off"), "{seen}");
    let _ = client.hears("unstarted");
    let _ = client.hears("done");
}

/// However much root does in a minute, all of it is on record.
#[test]
fn what_root_does_is_never_counted_away() {
    let dom0 = take();
    let known = dom0.journal("alpha").len();
    let _ = dom0
        .sh("for n in $(seq 25); do xen-fence-admin hold alpha node2 --for ${n}h --why x; done");
    assert_eq!(dom0.journal("alpha").len(), known + 25);
}

#[test]
fn only_root_holds_and_only_what_the_policy_has() {
    let dom0 = take();
    let hold = |words: &str| dom0.sh(&format!("xen-fence-admin hold {words}"));
    for (words, why) in [
        ("alpha nobody --for 1h --why x", "its nodes are node1, node2"),
        ("alpha db1 --for 1h --why x", "has no node db1"),
        ("gamma node1 --for 1h --why x", "gamma.toml does not exist"),
        ("alpha node2 --why x", "--for"),
        ("alpha node2 --for 1h", "--why"),
        ("alpha node2 --for 1h --why ''", "says something"),
        ("alpha node2 --for 31d --why x", "at most 30d"),
        ("alpha node2 --for 1w --why x", "one number, one unit"),
        ("alpha node2 --for 1h --why x --on-fence=maybe", "refuse"),
    ] {
        let _ = hold(words).exits(2).saying(why);
    }
    assert!(!dom0.has(FILE));
    let nobody = "setpriv --reuid nobody --regid nogroup --clear-groups xen-fence-admin";
    let _ = dom0.sh(&format!("{nobody} hold alpha node2 --for 1h --why x")).exits(2);
    let _ = hold("alpha NODE2 --for 1h --why one").exits(0);
    let _ = hold("alpha node2 --for 2h --why two").exits(0).saying("takes the place of another");
    let listed = dom0.on(&["xen-fence-admin", "holds", "alpha", "--format", "json"]).exits(0);
    let object: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((&object["node"], &object["why"]), (&"node2".into(), &"two".into()));
}

/// A hold is for a reset that joins one of a moment ago, too.
#[test]
fn a_reset_right_after_another_heeds_a_hold_that_was_set_between() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("started");
    let hold = ["hold", "alpha", "node2", "--for", "1h", "--why", "why", "--on-fence=off"];
    let _ = dom0.on(&[&["xen-fence-admin"], &hold[..]].concat()).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("fenced (killed)");
    assert_eq!(dom0.domid("alpha", "node2"), None, "it was to be left off");
}
