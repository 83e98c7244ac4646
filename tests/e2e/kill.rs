//! A kill in its order: written before done, under the lock until it is harmless, one kill for a
//! death that several ask for, and never on the word of an old look.

use crate::client::{Client, MOMENT, brokers, destroy_goes_on, next_broker};
use crate::{Dom0, Shared, counts, recorded, settle, stands_still};
use std::time::{Duration, Instant};

static SHARED: Shared = Shared::new();

fn three_nodes() -> Dom0 {
    Dom0::builder().cluster("alpha", &["node1", "node2", "node3"]).raise().unwrap()
}

/// Somebody holds the cluster's lock.
fn locked(dom0: &Dom0) -> bool {
    dom0.on(&["flock", "--nonblock", "/run/xen-fence/alpha.lock", "true"]).code != 0
}

/// The record of an event of this request.
fn has(dom0: &Dom0, id: u128, event: &str) -> bool {
    recorded(dom0, "alpha", &[&format!("{id:032x}"), &format!("\"event\":\"{event}\"")])
}

#[test]
fn the_intent_is_written_first_and_the_lock_is_held_until_the_node_is_harmless() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
    let mut client = Client::ready(&dom0, "node1", 0x11, "off node2");
    assert!(locked(&dom0), "the lock is held at ready");
    assert!(!has(&dom0, 0x11, "intent"), "nothing is intended before go");
    client.say("go", "");
    destroy_goes_on(&dom0);
    assert!(has(&dom0, 0x11, "intent"), "destroy began without a record");
    assert!(!has(&dom0, 0x11, "outcome"), "the outcome came first");
    assert!(locked(&dom0), "the lock was let go while the node lived");
    let _ = client.hears("fenced");
    assert!(has(&dom0, 0x11, "outcome"), "fenced was said without a record");
    assert!(!locked(&dom0));
}

/// Two requests for one node: the second waits for the first one's proof and joins it.
#[test]
fn a_death_that_is_being_proven_is_waited_for() {
    let dom0 = three_nodes();
    let domid = dom0.domid("alpha", "node2").unwrap();
    let last = dom0.domid("alpha", "node3").unwrap();
    dom0.fault(&["hold-writes", &domid.to_string()]);
    let mut first = Client::ready(&dom0, "node1", 0x21, "reset node2");
    first.say("go", "");
    settle(|| dom0.domid("alpha", "node2").is_none());
    let mut second = Client::of(&dom0, "node3", 0x22);
    second.say("request", " reset node2");
    let _ = next_broker(&dom0, &brokers(&dom0)[..1]);
    let told = second.hear_within(Duration::from_millis(1500)).unwrap_or_default();
    assert!(told.contains("this one waits for it"), "{told}");
    let early = second.hear_within(Duration::from_millis(1500));
    assert_eq!(early, None, "the proof is open, and the second request goes on");
    dom0.fault(&["release-writes", &domid.to_string()]);
    let killed = first.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    let _ = second.hears("ready");
    second.say("go", "");
    let joined = second.hears("fenced");
    assert!(joined.ends_with("node2 joined"), "{joined}");
    let _ = first.hears("started");
    settle(|| brokers(&dom0).is_empty());
    assert_eq!(dom0.domid("alpha", "node2"), Some(last + 1), "it was killed or started twice");
    assert!(!has(&dom0, 0x22, "intent"), "who joins kills nothing");
}

/// Whoever hears `fenced` may leave at once, and what ends its session must not end the power-on.
#[test]
fn who_joins_an_off_and_powers_on_has_left_its_session_before_it_answers() {
    let dom0 = three_nodes();
    let domid = dom0.domid("alpha", "node2").unwrap();
    dom0.fault(&["hold-writes", &domid.to_string()]);
    let mut first = Client::ready(&dom0, "node1", 0x23, "off node2");
    first.say("go", "");
    settle(|| dom0.domid("alpha", "node2").is_none());
    let mut second = Client::of(&dom0, "node3", 0x24);
    second.say("request", " reset node2");
    let _ = next_broker(&dom0, &brokers(&dom0)[..1]);
    dom0.fault(&["release-writes", &domid.to_string()]);
    let _ = first.hears("fenced");
    let _ = second.hears("ready");
    second.say("go", "");
    let joined = second.hears("fenced");
    assert!(joined.ends_with("node2 joined"), "{joined}");
    drop(second);
    settle(|| brokers(&dom0).is_empty());
    assert!(dom0.domid("alpha", "node2").is_some(), "nobody has started it");
    let id = format!("{:032x}", 0x24);
    let records = dom0.journal("alpha");
    let outcome = records.iter().find(|it| it["event"] == "outcome" && it["request"] == id);
    let steps = outcome.unwrap()["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["step"] == "detached"), "{steps:#?}");
}

/// The lock is free while a corpse's proof is open: the cluster's next fence does not wait for it.
#[test]
fn another_node_is_fenced_beside_an_open_proof() {
    let dom0 = three_nodes();
    dom0.fault(&["hold-writes", "alpha-node2"]);
    let mut held = Client::ready(&dom0, "node1", 0x31, "off node2");
    held.say("go", "");
    settle(|| dom0.domid("alpha", "node2").is_none());
    let began = Instant::now();
    let other = crate::ask(&dom0, "alpha", "node1", &["off", "node3"]).exits(0);
    assert!(began.elapsed() < Duration::from_secs(5), "{other}");
    assert_eq!(dom0.domid("alpha", "node3"), None);
    assert!(!has(&dom0, 0x31, "outcome"));
    dom0.fault(&["release-writes", "alpha-node2"]);
    let _ = held.hears("fenced");
}

/// Nor is it killed where the other does not let go of the lock.
#[test]
fn who_cannot_take_the_lock_again_kills_nothing() {
    let dom0 = three_nodes();
    let killer = reboots_under(&dom0, 0x53);
    settle(|| !locked(&dom0));
    let _ = dom0.sh("setsid flock /run/xen-fence/alpha.lock sleep 60 >/dev/null 2>&1 &").exits(0);
    settle(|| dom0.domid("alpha", "node2").is_some());
    let alive = dom0.domid("alpha", "node2");
    let told = killer.hears("failed");
    assert!(told.contains("lives again") && told.contains("holds the lock; ask again"), "{told}");
    assert_eq!(dom0.domid("alpha", "node2"), alive);
}

/// Who has a session ready to ask the moment that another of his lets go of the lock passes nobody who waits.
#[test]
fn whoever_waits_for_the_lock_has_it_next() {
    let dom0 = three_nodes();
    for round in 0..4 {
        let ids = 0x60 + 4 * round;
        let mut holder = Client::ready(&dom0, "node2", ids, "off node3");
        let mut quick = Client::of(&dom0, "node2", ids + 1);
        let mut waits = Client::of(&dom0, "node1", ids + 2);
        waits.say("request", " off node3");
        // Long enough for it to have come to wait, and as long as no `wait` need be said.
        MOMENT(700);
        holder.say("nonsense", "");
        quick.say("request", " off node3");
        let _ = waits.hears("ready");
        let passed = quick.hear_within(Duration::from_millis(500)).unwrap_or_default();
        assert!(!passed.starts_with("ready"), "round {round}: it was passed");
        waits.say("nonsense", "");
        let _ = quick.hears("ready");
    }
}

/// Between ready and go an administrator was quicker: what is killed is what is there then.
#[test]
fn an_old_look_is_not_acted_on() {
    let dom0 = SHARED.take();
    for created in [true, false] {
        let id = 0x41 + u128::from(created);
        let mut client = Client::ready(&dom0, "node1", id, "off node2");
        let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
        if created {
            let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
        }
        for _ in 0..2 {
            MOMENT(1500);
            client.say("wait", "");
        }
        client.say("go", "");
        let told = client.hears("fenced");
        let how = if created { "node2 killed" } else { "node2 absent" };
        assert!(told.ends_with(how), "{told}");
        assert_eq!(dom0.domid("alpha", "node2"), None);
        if created {
            stands_still(&dom0, "alpha", "node2");
            let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
        }
    }
}

/// node1's `off node2`, behind go, while node2 reboots itself and is in no listing for three seconds.
fn reboots_under(dom0: &Dom0, id: u128) -> Client {
    dom0.fault(&["fault", "reboot-gap", "3000", "alpha-node2"]);
    // Until it works, it heeds no signal.
    counts(dom0, "alpha", "node2");
    let init = dom0.domain_init(dom0.node("alpha", "node2")).unwrap();
    let _ = dom0.on(&["kill", "-INT", &init.to_string()]).exits(0);
    settle(|| dom0.domid("alpha", "node2").is_none());
    let mut killer = Client::ready(dom0, "node1", id, "off node2");
    killer.say("go", "");
    killer
}

/// A node that comes back while its death is proven is killed again, and not while another request
/// holds the lock.
#[test]
fn who_kills_again_takes_the_lock_again() {
    let dom0 = three_nodes();
    let killer = reboots_under(&dom0, 0x51);
    let mut other = Client::ready(&dom0, "node3", 0x52, "off node1");
    settle(|| {
        other.say("wait", "");
        dom0.domid("alpha", "node2").is_some()
    });
    other.say("wait", "");
    MOMENT(1000);
    assert!(locked(&dom0), "the other request holds the lock no more: this machine is too slow");
    assert!(dom0.domid("alpha", "node2").is_some(), "it was killed without the lock");
    drop(other);
    let killed = killer.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
    assert!(dom0.domid("alpha", "node1").is_some());
}

/// A domain can die between ready and go, and leave a corpse.
#[test]
fn no_power_on_beside_a_corpse_that_came_after_ready() {
    let dom0 = SHARED.take();
    let corpse = dom0.domid("alpha", "node2").unwrap().to_string();
    let mut client = Client::ready(&dom0, "node1", 0x61, "on node2");
    dom0.fault(&["hold-writes", &corpse]);
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    client.say("go", "");
    let end = client.hears("failed");
    assert!(end.contains("still dying"), "{end}");
    assert_eq!(dom0.domid("alpha", "node2"), None, "created beside a corpse");
    dom0.fault(&["release-writes", &corpse]);
}
