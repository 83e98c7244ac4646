//! ready and go as a hand-made client sees them: no kill without the word of an asker that lives,
//! no lock held for long, no second kill for the same request.

use crate::client::{Client, MOMENT};
use crate::{Shared, ask, recorded, settle, untouched};
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
    client.say("go", "");
    client.say("wait", "");
    let _ = client.hears("fenced");
    MOMENT(1000);
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
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

/// What a migration left behind is not the node: not at first, and not for a retry either.
#[test]
fn the_shell_of_a_migration_never_counts() {
    let dom0 = SHARED.take();
    for _attempt in ["first", "again"] {
        if dom0.domain_init(dom0.node("alpha", "node2")).is_none() {
            let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
        }
        dom0.fault(&["row", "alpha-node2", "--migratedaway"]);
        let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
        let mut client = Client::of(&dom0, "node1", 9);
        client.say("request", " reset node2");
        let _ = client.hears("ready");
        client.say("go", "");
        let told = client.hears("fenced");
        assert!(told.ends_with("node2 shell"), "{told}");
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
