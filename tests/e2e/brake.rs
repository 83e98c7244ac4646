//! The brake: a node that is reset again and again is killed and left off, until somebody wants it.

use crate::client::Client;
use crate::{Dom0, ask, long_after, recorded, settle};
use xen_fence_tests::throwaway::Output;

fn with_brake(brake: &str) -> Dom0 {
    let lines = format!("actions = [\"reset\", \"off\", \"on\", \"status\"]\nbrake = \"{brake}\"");
    Dom0::builder().cluster("alpha", &["node1", "node2"]).policy("alpha", &lines).raise().unwrap()
}

#[track_caller]
fn reset(dom0: &Dom0) -> Output {
    ask(dom0, "alpha", "node1", &["reset", "node2"]).exits(0)
}

/// A reset that nobody can take for a repetition of the one before, which started the node.
#[track_caller]
fn reset_again(dom0: &Dom0) -> Output {
    std::thread::sleep(std::time::Duration::from_secs(11));
    reset(dom0)
}

#[track_caller]
fn starts(output: &Output) {
    assert!(output.says("and started") && !output.says("brake"), "{output}");
}

#[track_caller]
fn leaves_off(dom0: &Dom0, output: &Output, why: &str) {
    for words in ["fenced (", "not started", why, "goes on without it", "lifts the brake"] {
        assert!(output.says(words), "{words}\n{output}");
    }
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

#[test]
fn a_node_that_is_reset_too_often_is_killed_and_left_off_until_on_lifts_the_brake() {
    let dom0 = with_brake("2 resets in 10m");
    starts(&reset(&dom0));
    starts(&reset_again(&dom0));
    // Every door says it before it happens.
    let check = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    assert!(check.stdout.lines().any(|line| line.starts_with("warn node2 brake ")), "{check}");
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0).saying("reset too often");
    let monitor = ask(&dom0, "alpha", "node1", &["monitor"]).exits(0);
    assert!(monitor.says("1 of 2 nodes would be left off after a reset"), "{monitor}");
    let _ = dom0.on(&["xen-fence-admin", "brake", "list"]).exits(0).saying("leaves it off");

    let third = reset_again(&dom0);
    leaves_off(&dom0, &third, "node2 has been reset too often (brake = \"2 resets in 10m\")");
    assert!(third.says("(killed)"), "{third}");
    assert!(recorded(&dom0, "alpha", &["left off", "reset too often"]));
    // It stays off, also for a reset that finds it off.
    leaves_off(&dom0, &reset(&dom0), "the brake of node2 is on since 20");
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0).saying("is on since");
    let listed = dom0.on(&["xen-fence-admin", "brake", "list", "--format", "json"]).exits(0);
    let object: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(object["next_reset_leaves_off"], true, "{object}");

    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    assert!(recorded(&dom0, "alpha", &["brake lifted", "node2"]));
    let status = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    assert!(!status.says("brake"), "{status}");
    starts(&reset_again(&dom0));
}

#[test]
fn root_lifts_the_brake_and_it_counts_anew() {
    let dom0 = with_brake("1 reset in 10m");
    let clear = "SUDO_USER=alice xen-fence-admin brake clear alpha node2";
    let _ = dom0.sh(clear).exits(1).saying("nothing is counted");
    let _ = dom0.sh("xen-fence-admin brake clear alpha node9").exits(2).saying("are node1, node2");
    starts(&reset(&dom0));
    let check = ask(&dom0, "alpha", "node1", &["check", "node1"]).exits(0);
    assert!(check.says("0 resets count so far"), "{check}");
    leaves_off(&dom0, &reset_again(&dom0), "reset too often");
    let _ = dom0.sh(clear).exits(0).saying("is lifted");
    assert!(recorded(&dom0, "alpha", &["brake cleared", "root alice", "node2"]));
    assert_eq!(dom0.domid("alpha", "node2"), None, "to lift the brake starts nothing");
    starts(&reset(&dom0));
    leaves_off(&dom0, &reset_again(&dom0), "reset too often");
}

#[test]
fn off_and_on_are_no_resets() {
    let dom0 = with_brake("1 reset in 10m");
    for _ in 0..3 {
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    }
    starts(&reset_again(&dom0));
}

#[test]
fn a_count_that_is_not_kept_is_said_and_stops_no_reset() {
    let dom0 = with_brake("1 reset in 10m");
    let _ =
        dom0.sh("mkdir -p -m 700 /run/xen-fence; echo in the way >/run/xen-fence/brakes").exits(0);
    for _ in 0..2 {
        let reset = reset_again(&dom0);
        let _ = reset.clone().saying("and started");
        let _ = reset.saying("warning").saying("the brake does not know of this reset");
    }
    settle(|| dom0.domid("alpha", "node2").is_some());
    let _ = dom0.on(&["xen-fence-admin", "brake", "list"]).exits(1).saying("/run/xen-fence/brakes");
    let check = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    assert!(check.stdout.lines().any(|line| line.starts_with("warn node2 brake ")), "{check}");
    // A damaged count is worth a word, and begins anew.
    let _ = dom0.sh("rm /run/xen-fence/brakes; mkdir -m 700 /run/xen-fence/brakes").exits(0);
    dom0.write("/run/xen-fence/brakes/alpha=node2.json", "{", 0o600);
    let _ = reset_again(&dom0).saying("is damaged").saying("and started");
    let _ = dom0.on(&["xen-fence-admin", "brake", "list"]).exits(0).saying("leaves it off");
}

const ONE: &str = "actions = [\"reset\", \"off\", \"on\", \"status\"]\nbrake = \"1 resets in 10m\"";

/// The last reset that the brake lets pass is not braked by itself when it is repeated or joined.
#[test]
fn a_reset_that_is_repeated_or_joined_is_not_braked_by_itself() {
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2", "node3"]);
    let dom0 = builder.policy("alpha", ONE).raise().unwrap();
    let mut first = Client::ready(&dom0, "node1", 0x501, "reset node2");
    first.say("go-later", "");
    let _ = first.hears("fenced");
    let _ = first.hears("unstarted");
    let mut again = Client::ready(&dom0, "node1", 0x501, "reset node2");
    again.say("go", "");
    let _ = again.hears("fenced");
    let _ = again.hears("started");
    let joined = ask(&dom0, "alpha", "node3", &["reset", "node2"]).exits(0);
    assert!(joined.says("joined") && !joined.says("stays off"), "{joined}");
    assert!(dom0.domid("alpha", "node2").is_some());
    // Another one is one too many, and so is its retry.
    long_after(&dom0);
    for id in [0x502, 0x502] {
        let mut other = Client::ready(&dom0, "node1", id, "reset node2");
        other.say("go", "");
        let _ = other.hears("fenced");
        let _ = other.hears("unstarted");
    }
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

/// Whoever says go-off first, and asks once more by the same id, has not reset it uncounted.
#[test]
fn a_reset_that_is_finished_by_its_retry_counts() {
    let dom0 = with_brake("1 resets in 10m");
    for (id, starts) in [(0xd1, true), (0xd2, false)] {
        for go in ["go-off", "go"] {
            let mut client = Client::ready(&dom0, "node1", id, "reset node2");
            client.say(go, "");
            let _ = client.hears("fenced");
            if go == "go" {
                let _ = client.hears(if starts { "started" } else { "unstarted" });
            }
            settle(|| crate::client::brokers(&dom0).is_empty());
        }
    }
    assert_eq!(dom0.domid("alpha", "node2"), None);
}
