//! ready and go as a hand-made client sees them: no kill without the word of an asker that lives,
//! no lock held for long, no second kill for the same request.

use crate::client::{Client, MOMENT, brokers, destroy_goes_on, next_broker};
use crate::{Dom0, Shared, ask, is_listing, long_after, recorded, settle, untouched};
use std::time::{Duration, Instant};

static SHARED: Shared = Shared::new();

#[test]
fn wait_holds_the_lock_and_go_still_counts() {
    let dom0 = SHARED.take();
    let mut client = Client::of(&dom0, "node1", 1);
    client.say("request", " off node2");
    let ready = client.hears("ready");
    assert!(ready.ends_with("node2 on here none"), "{ready}");
    for _ in 0..2 {
        MOMENT(1500);
        client.say("wait", "");
    }
    client.say("go", "");
    let _ = client.hears("fenced");
    let _ = client.hears("done");
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

#[test]
fn wait_holds_the_lock_for_five_seconds_in_all() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let mut client = Client::of(&dom0, "node1", 2);
        client.say("request", " off node2");
        let _ = client.hears("ready");
        for _ in 0..5 {
            MOMENT(1200);
            client.say("wait", "");
        }
        let end = client.hears("refused");
        assert!(end.contains("no-go"), "{end}");
    });
}

/// A broker that is killed lets go of the lock, but the destroy that it has begun goes on.
#[test]
fn the_victim_of_a_broker_that_was_killed_does_not_shoot_back() {
    let dom0 = crate::two_clusters().raise().unwrap();
    let before = brokers(&dom0);
    dom0.fault(&["fault", "destroy-hangs", "alpha-node2"]);
    let mut client = Client::ready(&dom0, "node1", 0x5b, "off node2");
    client.say("go", "");
    destroy_goes_on(&dom0);
    let broker = next_broker(&dom0, &before);
    let _ = dom0.on(&["kill", "-KILL", &broker.pid.to_string()]).exits(0);
    let back = ask(&dom0, "alpha", "node2", &["off", "node1"]).exits(3);
    let _ = back.saying("`xl destroy` of its domain is under way");
    assert!(dom0.domid("alpha", "node1").is_some());
}

#[test]
fn a_late_go_is_refused_for_what_it_is() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let mut client = Client::of(&dom0, "node1", 3);
        client.say("request", " off node2");
        let _ = client.hears("ready");
        MOMENT(3000);
        client.say("go", "");
        let end = client.hears("refused");
        assert!(end.contains("late-go"), "{end}");
        assert!(recorded(&dom0, "alpha", &["late-go"]));
    });
}

#[test]
fn an_asker_that_is_frozen_after_ready_lets_the_lock_go() {
    let dom0 = SHARED.take();
    let mut frozen = Client::of(&dom0, "node2", 4);
    frozen.say("request", " off node1");
    let _ = frozen.hears("ready");
    let began = Instant::now();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    // Dead by now, and its go with it.
    frozen.say("go", "");
    MOMENT(500);
    assert!(dom0.domid("alpha", "node1").is_some());
}

#[test]
fn another_requests_go_is_none() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let mut client = Client::of(&dom0, "node1", 5);
        client.say("request", " off node2");
        let _ = client.hears("ready");
        client.id = format!("{:032x}", 6);
        client.say("go", "");
        client.id = format!("{:032x}", 5);
        let end = client.hears("refused");
        assert!(end.contains("malformed"), "{end}");
    });
}

#[test]
fn whoever_hears_several_dom0s_may_look_again() {
    let dom0 = SHARED.take();
    let mut client = Client::of(&dom0, "node1", 7);
    client.say("request", " off node2");
    let _ = client.hears("ready");
    client.say("go-off", "");
    let _ = client.hears("fenced");
    let mut create = dom0.place().spawn(&["xl", "create", &dom0.node("alpha", "node2").config()]);
    while create.is_running() {
        client.say("wait", "");
        MOMENT(300);
    }
    client.say("look", "");
    let seen = client.hears("seen");
    assert!(seen.ends_with("node2 on"), "{seen}");
    let _ = client.hears("done");
}

#[test]
fn the_same_request_kills_once() {
    let dom0 = SHARED.take();
    let mut first = Client::of(&dom0, "node1", 8);
    first.say("request", " reset node2");
    let _ = first.hears("ready");
    first.say("go", "");
    let killed = first.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    let _ = first.hears("started");
    let domid = dom0.domid("alpha", "node2");
    let mut again = Client::of(&dom0, "node1", 8);
    again.say("request", " reset node2");
    let _ = again.hears("ready");
    again.say("go", "");
    let joined = again.hears("fenced");
    assert!(joined.ends_with("node2 joined"), "{joined}");
    settle(|| dom0.on(&["pgrep", "-x", "xen-fence-broke"]).code != 0);
    assert_eq!(dom0.domid("alpha", "node2"), domid, "the freshly booted node was shot");
    // An off of the same id does not shoot it either.
    let mut off = Client::of(&dom0, "node1", 8);
    off.say("request", " off node2");
    let end = off.hears("failed");
    assert!(end.contains("alive"), "{end}");
    assert_eq!(dom0.domid("alpha", "node2"), domid);
}

/// Of several nodes that miss the same peer each asks by itself. They want one kill.
#[test]
fn a_reset_counts_for_others_until_ten_seconds_after_it() {
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2", "node3", "node4"]);
    let dom0 = builder.raise().unwrap();
    dom0.fault(&["fault", "create-delay", "2000", "alpha-node2"]);
    let mut first = Client::ready(&dom0, "node1", 0x31, "reset node2");
    first.say("go", "");
    let _ = first.hears("fenced");
    let mut while_it_starts = Client::ready(&dom0, "node3", 0x32, "reset node2");
    while_it_starts.say("go", "");
    let joined = while_it_starts.hears("fenced");
    assert!(joined.ends_with("node2 joined"), "{joined}");
    let _ = first.hears("started");
    let domid = dom0.domid("alpha", "node2");
    assert!(domid.is_some());
    let shortly_after = || ask(&dom0, "alpha", "node4", &["reset", "node2"]).exits(0);
    let _ = shortly_after().saying("fenced (joined)").saying("running");
    assert_eq!(dom0.domid("alpha", "node2"), domid, "the freshly booted node was shot");
    // Who has had its answer means the node that has booted since.
    let _ = shortly_after().saying("fenced (killed)");
    let again = dom0.domid("alpha", "node2");
    assert!(again > domid, "it lives on");
    // And so on: node1 has not had that one.
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("fenced (joined)");
    assert_eq!(dom0.domid("alpha", "node2"), again, "the freshly booted node was shot");
    MOMENT(10_500);
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("fenced (killed)");
    assert_ne!(dom0.domid("alpha", "node2"), again);
    // What is off again is not what the last reset left.
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("fenced (absent)");
    // And an off always ends in off.
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("fenced (killed)");
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

/// Somebody else's start, while a reset has yet to begin its own, is no outcome of that reset.
#[test]
fn what_another_has_started_meanwhile_is_killed() {
    let dom0 = SHARED.take();
    let mut first = Client::ready(&dom0, "node1", 0x3a, "reset node2");
    first.say("go-later", "");
    let _ = first.hears("fenced");
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    let others = dom0.domid("alpha", "node2");
    first.say("wait", "");
    let mut second = Client::ready(&dom0, "node1", 0x3b, "reset node2");
    second.say("go", "");
    let killed = second.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) != others));
}

/// A power-on that ends while another reset looks at the host is no reason for that one to kill,
/// whether its listing began too late or shows late what it saw early.
#[test]
fn a_node_that_is_born_during_a_look_is_not_shot() {
    let dom0 = SHARED.take();
    for (fault, id) in [("list-delay", 0x3a), ("list-stale", 0x3d)] {
        long_after(&dom0);
        let mut first = Client::ready(&dom0, "node1", id, "reset node2");
        first.say("go-later", "");
        let _ = first.hears("fenced");
        first.say("look", "");
        let _ = first.hears("seen");
        // Only the look of the second one is slow.
        dom0.fault(&["fault", fault, "1500"]);
        let mut second = Client::of(&dom0, "node1", id + 1);
        second.say("request", " reset node2");
        settle(|| is_listing(&dom0));
        MOMENT(200);
        dom0.fault(&["lift", fault]);
        first.say("start", "");
        let _ = first.hears("started");
        let born = dom0.domid("alpha", "node2");
        let _ = second.hears("ready");
        second.say("go", "");
        let joined = second.hears("fenced");
        assert!(joined.ends_with("node2 joined"), "{fault}: {joined}");
        assert!(born.is_some() && dom0.domid("alpha", "node2") == born, "the newborn was shot");
    }
}

/// A start that found the node running has not started it: the next reset kills.
#[test]
fn a_node_that_ran_already_counts_for_no_reset() {
    let dom0 = SHARED.take();
    let mut first = Client::ready(&dom0, "node1", 0x3c, "reset node2");
    first.say("go-later", "");
    let _ = first.hears("fenced");
    first.say("look", "");
    let _ = first.hears("seen");
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    first.say("start", "");
    let started = first.hears("started");
    assert!(started.ends_with("node2 running"), "{started}");
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("fenced (killed)");
}

/// The node stays off until every dom0 has looked again, as long as the agent says that it lives.
#[test]
fn a_reset_by_several_dom0s_powers_on_when_its_agent_says_that_all_agree() {
    let dom0 = SHARED.take();
    let mut client = Client::ready(&dom0, "node1", 0x33, "reset node2");
    client.say("go-later", "");
    let _ = client.hears("fenced");
    for _ in 0..3 {
        MOMENT(1000);
        assert_eq!(dom0.domid("alpha", "node2"), None);
        client.say("wait", "");
    }
    client.say("look", "");
    let seen = client.hears("seen");
    assert!(seen.ends_with("node2 off"), "{seen}");
    MOMENT(1000);
    assert_eq!(dom0.domid("alpha", "node2"), None, "another dom0 may have seen it");
    client.say("start", "");
    let _ = client.hears("started");
    settle(|| dom0.domid("alpha", "node2").is_some());
}

/// It may live on another dom0 by now. A retry knows that it was left off.
#[test]
fn a_node_is_left_off_when_its_agent_dies_before_all_agree() {
    let dom0 = SHARED.take();
    for looks in [false, true] {
        let id = 0x37 + u128::from(looks);
        let mut client = Client::ready(&dom0, "node1", id, "reset node2");
        client.say("go-later", "");
        let _ = client.hears("fenced");
        if looks {
            client.say("look", "");
            let _ = client.hears("seen");
        }
        let off = client.hears("unstarted");
        assert!(off.contains("did not say that every dom0 agrees"), "{off}");
        assert_eq!(dom0.domid("alpha", "node2"), None);
        assert!(recorded(&dom0, "alpha", &[&format!("{id:032x}"), "left off"]));
        let mut again = Client::ready(&dom0, "node1", id, "reset node2");
        again.say("go-later", "");
        let joined = again.hears("fenced");
        assert!(joined.ends_with("node2 joined"), "{joined}");
        again.say("look", "");
        let _ = again.hears("seen");
        again.say("start", "");
        let _ = again.hears("started");
        settle(|| dom0.domid("alpha", "node2").is_some());
        crate::long_after(&dom0);
    }
}

/// A retry is told what the node does now, not what it did when it was powered on.
#[test]
fn a_retry_hears_that_the_node_is_off_again() {
    let dom0 = SHARED.take();
    let mut first = Client::ready(&dom0, "node1", 0x3d, "reset node2");
    first.say("go", "");
    let _ = first.hears("fenced");
    let _ = first.hears("started");
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    let mut again = Client::ready(&dom0, "node1", 0x3d, "reset node2");
    again.say("go", "");
    let joined = again.hears("fenced");
    assert!(joined.ends_with("node2 joined"), "{joined}");
    let off = again.hears("unstarted");
    assert!(off.contains("powered it on, and it is off again"), "{off}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
}

/// Nor does it kill what somebody has powered on after a kill whose proof nobody has seen.
#[test]
fn a_retry_leaves_alone_what_an_on_has_made_since() {
    let dom0 = Dom0::builder().cluster("alpha", &["node1", "node2", "node3"]).raise().unwrap();
    dom0.fault(&["fault", "slow-destroy", "1500", "alpha-node2"]);
    let before = brokers(&dom0);
    let mut client = Client::ready(&dom0, "node1", 0x3e, "off node2");
    client.say("go", "");
    destroy_goes_on(&dom0);
    let broker = next_broker(&dom0, &before);
    let _ = dom0.on(&["kill", "-KILL", &broker.pid.to_string()]).exits(0);
    dom0.fault(&["clear"]);
    settle(|| dom0.domid("alpha", "node2").is_none());
    settle(|| dom0.on(&["pgrep", "-f", "xl destroy"]).code != 0);
    let _ = ask(&dom0, "alpha", "node3", &["on", "node2"]).exits(0);
    let domid = dom0.domid("alpha", "node2");
    let mut again = Client::of(&dom0, "node1", 0x3e);
    again.say("request", " off node2");
    let end = again.hears("failed");
    assert!(end.contains("not killed twice"), "{end}");
    assert!(domid.is_some() && dom0.domid("alpha", "node2") == domid);
}

/// An agent that never agrees acts on nothing, however often it repeats that.
#[test]
fn who_never_agrees_fills_no_journal() {
    let dom0 = crate::two_clusters().stopped("alpha", "node2").raise().unwrap();
    for _ in 0..30 {
        let mut client = Client::ready(&dom0, "node1", 0x3f, "reset node2");
        client.say("go-later", "");
        let _ = client.hears("fenced");
        client.say("start", "");
        let _ = client.hears("unstarted");
    }
    settle(|| brokers(&dom0).is_empty());
    assert!(!recorded(&dom0, "alpha", &["powering on"]), "nothing was to be powered on");
    let records = dom0.journal("alpha").len();
    assert!(records < 60, "{records} records of 30 requests that touched nothing");
}

#[test]
fn go_off_leaves_it_to_another_dom0_to_power_the_node_on() {
    let dom0 = SHARED.take();
    let mut client = Client::ready(&dom0, "node1", 0x35, "reset node2 down=xen8,xen9");
    client.say("go-off", "");
    let killed = client.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    let _ = client.hears("done");
    settle(|| dom0.on(&["pgrep", "-x", "xen-fence-broke"]).code != 0);
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let stated = "node node1 states that xen8 is down; node node1 states that xen9 is down";
    assert!(recorded(&dom0, "alpha", &["intent", stated]));
    // Nothing has powered it on, so the next reset is none that this one counts for.
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("fenced (absent)");
    let mut on = Client::ready(&dom0, "node1", 0x36, "on node2");
    on.say("go-off", "");
    let end = on.hears("refused");
    assert!(end.contains("malformed"), "{end}");
}

/// What a migration left behind is not the node: not at first, and not for a retry either.
#[test]
fn the_shell_of_a_migration_never_counts() {
    let dom0 = SHARED.take();
    for attempt in ["first", "again"] {
        if dom0.domain_init(dom0.node("alpha", "node2")).is_none() {
            let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
        }
        dom0.fault(&["row", "alpha-node2", "--migratedaway"]);
        let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
        let mut client = Client::of(&dom0, "node1", 9);
        client.say("request", " reset node2");
        let _ = client.hears("ready");
        client.say(if attempt == "again" { "go-off" } else { "go" }, "");
        let told = client.hears("fenced");
        assert!(told.ends_with("node2 shell"), "{told}");
        if attempt == "again" {
            client.say("look", "");
            let _ = client.hears("seen");
        }
        let _ = client.hears("done");
        assert_eq!(dom0.domid("alpha", "node2"), None, "nothing is started here");
    }
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    dom0.fault(&["row", "alpha-node2", "--migratedaway"]);
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(1).saying("migrat");
}

/// A node that was off at ready and runs at go is not absent.
#[test]
fn absence_is_seen_after_go() {
    let dom0 = SHARED.take();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let mut client = Client::of(&dom0, "node1", 10);
    client.say("request", " off node2");
    let _ = client.hears("ready");
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    client.say("go", "");
    let told = client.hears("fenced");
    assert!(told.ends_with("node2 killed"), "{told}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

/// One node with many sessions, each holding the lock as long as it may, delays another by one.
#[test]
fn a_caller_with_many_sessions_waits_for_itself() {
    let dom0 = SHARED.take();
    let mut greedy: Vec<Client> = (0..6).map(|n| Client::of(&dom0, "node2", 100 + n)).collect();
    for client in &mut greedy {
        client.say("request", " off node1");
    }
    MOMENT(500);
    let fence = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
    for _ in 0..6 {
        for client in &mut greedy {
            client.say("wait", "");
        }
        MOMENT(1000);
    }
    let output = fence.wait().exits(0);
    assert!(output.took < Duration::from_secs(9), "{output}");
}
