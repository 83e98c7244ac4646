//! A dead node shoots nobody, not even with a request that it sent alive and that waited for the
//! cluster's lock meanwhile: promise 5.

use crate::client::{Client, MOMENT, brokers, next_broker};
use crate::{Shared, ask, recorded, settle};

static SHARED: Shared = Shared::new();

/// The refusal is on record with its request and its reason; who would have heard it is dead.
fn refused(dom0: &crate::Dom0, id: u128, why: &str) -> bool {
    recorded(dom0, "alpha", &[&format!("{id:032x}"), "\"refused\"", "asker-dying", why])
}

#[test]
fn who_was_fenced_while_its_request_waited_is_refused() {
    let dom0 = SHARED.take();
    let mut killer = Client::ready(&dom0, "node1", 0xa1, "off node2");
    let before = brokers(&dom0);
    let mut victim = Client::of(&dom0, "node2", 0xa2);
    victim.say("request", " off node1");
    killer.say("wait", "");
    let waiting = next_broker(&dom0, &before).pid.to_string();
    killer.say("wait", "");
    // Held until the proof is written, or it would sometimes be refused a moment earlier.
    let _ = dom0.on(&["kill", "-STOP", &waiting]).exits(0);
    killer.say("go", "");
    let killed = killer.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    let _ = dom0.on(&["kill", "-CONT", &waiting]).exits(0);
    settle(|| brokers(&dom0).is_empty());
    assert!(refused(&dom0, 0xa2, "fenced after it had asked"), "{:#?}", dom0.journal("alpha"));
    assert!(dom0.domid("alpha", "node1").is_some(), "a dead node shot");
}

#[test]
fn who_is_being_killed_is_refused() {
    let dom0 = SHARED.take();
    let mut killer = Client::ready(&dom0, "node1", 0xb1, "off node2");
    let before = brokers(&dom0);
    let mut victim = Client::of(&dom0, "node2", 0xb2);
    victim.say("request", " off node1");
    killer.say("wait", "");
    let _ = next_broker(&dom0, &before);
    killer.say("wait", "");
    dom0.fault(&["hold-writes", "alpha-node2"]);
    killer.say("go", "");
    settle(|| refused(&dom0, 0xb2, "it is being killed"));
    assert!(!recorded(&dom0, "alpha", &[&format!("{:032x}", 0xb1), "outcome"]), "proven already?");
    dom0.fault(&["release-writes", "alpha-node2"]);
    let killed = killer.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    assert!(dom0.domid("alpha", "node1").is_some(), "a dying node shot");
}

/// Its broker looks at the host for so long that the other has ended before the answer is weighed.
#[test]
fn who_is_fenced_while_its_broker_looks_is_refused() {
    let dom0 = SHARED.take();
    let mut killer = Client::ready(&dom0, "node1", 0xd1, "off node2");
    let before = brokers(&dom0);
    let mut victim = Client::of(&dom0, "node2", 0xd2);
    victim.say("request", " off node1");
    killer.say("wait", "");
    let waiting = next_broker(&dom0, &before).pid.to_string();
    killer.say("wait", "");
    dom0.fault(&["hold-writes", "alpha-node2"]);
    dom0.fault(&["fault", "list-delay", "2000"]);
    killer.say("go", "");
    settle(|| dom0.on(&["pgrep", "-P", &waiting, "-x", "xl"]).code == 0);
    let _ = dom0.on(&["kill", "-STOP", &waiting]).exits(0);
    dom0.fault(&["lift", "list-delay"]);
    dom0.fault(&["release-writes", "alpha-node2"]);
    let killed = killer.hears("fenced");
    assert!(killed.ends_with("node2 killed"), "{killed}");
    drop(killer);
    settle(|| brokers(&dom0).len() == 1);
    let _ = dom0.on(&["kill", "-CONT", &waiting]).exits(0);
    settle(|| brokers(&dom0).is_empty());
    assert!(refused(&dom0, 0xd2, "fenced after it had asked"), "{:#?}", dom0.journal("alpha"));
    assert!(dom0.domid("alpha", "node1").is_some(), "a dead node shot");
}

/// What counts is when it connected, however late its broker begins.
#[test]
fn who_was_fenced_before_its_broker_began_is_refused() {
    let dom0 = crate::two_clusters().raise().unwrap();
    let mut killer = Client::ready(&dom0, "node1", 0xe1, "off node2");
    let _ = dom0.on(&["mv", "/usr/bin/sudo", "/usr/bin/sudo.real"]).exits(0);
    let late = "#!/bin/sh\nsleep 3.1\n/usr/bin/sudo.real \"$@\"\n";
    dom0.write("/usr/bin/sudo", late, 0o755);
    killer.say("wait", "");
    let mut victim = Client::of(&dom0, "node2", 0xe2);
    victim.say("request", " off node1");
    settle(|| dom0.on(&["pgrep", "-f", "sleep 3.1"]).code == 0);
    killer.say("go", "");
    let _ = killer.hears("fenced");
    settle(|| refused(&dom0, 0xe2, "fenced after it had asked"));
    assert!(dom0.domid("alpha", "node1").is_some(), "a dead node shot");
}

/// It was fenced in another life.
#[test]
fn who_has_booted_since_it_was_fenced_may_ask() {
    let dom0 = SHARED.take();
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("and started");
    let _ = ask(&dom0, "alpha", "node2", &["off", "node1"]).exits(0).saying("(killed)");
}

/// Nobody's fence: an administrator destroys it while its request waits.
#[test]
fn whose_domain_is_dying_is_refused() {
    let dom0 = SHARED.take();
    let frozen = Client::ready(&dom0, "node1", 0xc1, "off node2");
    let before = brokers(&dom0);
    let mut victim = Client::of(&dom0, "node2", 0xc2);
    victim.say("request", " off node1");
    let _ = next_broker(&dom0, &before);
    dom0.fault(&["hold-writes", "alpha-node2"]);
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    settle(|| refused(&dom0, 0xc2, "its domain is dying"));
    let end = frozen.hears("refused");
    assert!(end.contains("no-go"), "{end}");
    dom0.fault(&["release-writes", "alpha-node2"]);
    MOMENT(300);
    assert!(dom0.domid("alpha", "node1").is_some(), "a dying node shot");
}
