//! A hypervisor that does what has been seen on real hosts: `fenced` is never said before it is so.

use crate::{BROKER, Dom0, Shared, ask, counts, recorded, settle, stands_still, two_clusters};
use std::time::Duration;
use xen_fence_tests::throwaway::Running;

static SHARED: Shared = Shared::new();

fn start(dom0: &Dom0, arguments: &[&str]) -> Running {
    let words: Vec<&str> = std::iter::once("xen-fence").chain(arguments.iter().copied()).collect();
    dom0.in_node("alpha", "node1").spawn(&words)
}

/// The row of node2's UUID, under whatever name, is in the listing.
fn row_stands(dom0: &Dom0) -> bool {
    let uuid = &dom0.node("alpha", "node2").uuid;
    dom0.on(&["xl", "list", "-v"]).stdout.contains(uuid.as_str())
}

/// T79: destroy returned 0, name and backend were gone, and a write landed afterwards.
#[test]
fn t79_a_held_up_write_is_waited_for() {
    let dom0 = SHARED.take();
    dom0.fault(&["hold-writes", "alpha-node2"]);
    let mut asker = start(&dom0, &["off", "node2"]);
    settle(|| !dom0.on(&["xl", "list"]).stdout.contains("alpha-node2"));
    std::thread::sleep(Duration::from_secs(5));
    assert!(asker.is_running(), "fenced was said while a write was in flight\n{}", asker.wait());
    assert!(row_stands(&dom0));
    let before = dom0.sector("alpha", "node2");
    dom0.fault(&["release-writes", "alpha-node2"]);
    let _ = asker.wait().exits(0);
    assert!(!row_stands(&dom0), "fenced was said before the row was gone");
    assert_ne!(dom0.sector("alpha", "node2"), before, "the held-up write landed before fenced");
    stands_still(&dom0, "alpha", "node2");
}

/// However long it takes: the agent's deadline passes, the proof goes on, the outcome is recorded.
#[test]
fn t79_outlives_the_agents_deadline() {
    let dom0 = SHARED.take();
    dom0.fault(&["hold-writes", "alpha-node2"]);
    let late = start(&dom0, &["off", "node2", "--timeout", "6"]).wait();
    assert!([1, 7].contains(&late.code), "{late}");
    assert!(late.took < Duration::from_secs(9), "{late}");
    let again = start(&dom0, &["off", "node2", "--timeout", "20"]);
    std::thread::sleep(Duration::from_secs(2));
    dom0.fault(&["release-writes", "alpha-node2"]);
    let _ = again.wait().exits(0);
    settle(|| recorded(&dom0, "alpha", &["outcome", "node2"]));
}

/// T77: while destroy goes on, rows come and go stage by stage.
#[test]
fn t77_a_slow_destroy() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "slow-destroy", "7000", "alpha-node2"]);
    let output = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(output.took > Duration::from_secs(6), "{output}");
    assert!(!row_stands(&dom0));
    stands_still(&dom0, "alpha", "node2");
}

/// T89: a corpse beside a new instance of the same name and UUID. Both have to go.
#[test]
fn t89_a_corpse_beside_a_new_instance() {
    let dom0 = SHARED.take();
    let corpse = dom0.domid("alpha", "node2").unwrap().to_string();
    dom0.fault(&["hold-writes", &corpse]);
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    let mut asker = start(&dom0, &["off", "node2"]);
    settle(|| dom0.domid("alpha", "node2").is_none());
    std::thread::sleep(Duration::from_secs(3));
    assert!(asker.is_running(), "fenced beside a corpse\n{}", asker.wait());
    assert!(row_stands(&dom0));
    dom0.fault(&["release-writes", &corpse]);
    let _ = asker.wait().exits(0);
    assert!(!row_stands(&dom0));
    stands_still(&dom0, "alpha", "node2");
}

/// Nothing is created beside a corpse, whatever holds it: its last write may still be on the way.
#[test]
fn t82_no_power_on_beside_a_corpse() {
    let dom0 = SHARED.take();
    for fault in ["corpse", "hold-writes"] {
        let corpse = dom0.domid("alpha", "node2").unwrap().to_string();
        let _ = dom0.on(&["stand-in", "fault", fault, &corpse]).exits(0);
        let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
        assert!(row_stands(&dom0), "{fault} left no corpse");
        let rows = || dom0.on(&["xl", "list", "-v"]).stdout.lines().count();
        let before = rows();
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"])
            .exits(1)
            .saying(&format!("domain {corpse} is still dying"));
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(rows(), before, "{fault}: something was created beside a corpse");
        assert!(!recorded(&dom0, "alpha", &["powering on", &format!("\"domid\":{corpse}")]));
        let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(1).saying("unknown");
        match fault {
            "corpse" => dom0.fault(&["drop-row", &corpse]),
            _ => dom0.fault(&["release-writes", &corpse]),
        }
        settle(|| !row_stands(&dom0));
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
        dom0.fault(&["clear"]);
    }
}

/// T60, T61: a guest that reboots itself is absent, then back with a new domid.
#[test]
fn t61_the_gap_of_a_reboot_is_no_death() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "reboot-gap", "3000", "alpha-node2"]);
    // Until it works, it heeds no signal.
    counts(&dom0, "alpha", "node2");
    let init = dom0.domain_init(dom0.node("alpha", "node2")).unwrap();
    let _ = dom0.on(&["kill", "-INT", &init.to_string()]).exits(0);
    settle(|| !row_stands(&dom0));
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    stands_still(&dom0, "alpha", "node2");
    assert_eq!(dom0.domid("alpha", "node2"), None, "it came back after fenced was said");
}

/// T99: with xenstored dead every command of xl hangs.
#[test]
fn t99_a_toolstack_that_hangs() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "xenstored-dead"]);
    let output = ask(&dom0, "alpha", "node1", &["off", "node2"]);
    dom0.fault(&["clear"]);
    let output = output.exits(1).saying("toolstack");
    assert!(output.took < Duration::from_secs(50), "{output}");
    counts(&dom0, "alpha", "node2");
}

/// T44: two destroys of one domain at once, an administrator's and ours.
#[test]
fn t44_two_destroys_at_once() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
    let domid = dom0.domid("alpha", "node2").unwrap().to_string();
    let destroys = || dom0.on(&["pgrep", "-c", "-f", "xl destroy"]).stdout.trim().to_owned();
    let asker = start(&dom0, &["off", "node2"]);
    settle(|| destroys() == "1");
    let by_hand = dom0.place().spawn(&["xl", "destroy", &domid]);
    settle(|| destroys() == "2");
    let _ = asker.wait().exits(0);
    assert!(!row_stands(&dom0), "fenced was said before the row was gone");
    let _ = by_hand.wait();
    stands_still(&dom0, "alpha", "node2");
}

/// Two nodes want a third one dead.
#[test]
fn two_fences_of_one_node() {
    let dom0 = Dom0::builder().cluster("alpha", &["node1", "node2", "node3"]).raise().unwrap();
    let domid = dom0.domid("alpha", "node2");
    let first = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
    let second = dom0.in_node("alpha", "node3").spawn(&["xen-fence", "off", "node2"]);
    let _ = first.wait().exits(0);
    let _ = second.wait().exits(0);
    assert!(domid.is_some() && dom0.domid("alpha", "node2").is_none());
}

/// Two nodes that shoot each other: one dies, one lives.
#[test]
fn never_both() {
    let dom0 = SHARED.take();
    for _ in 0..5 {
        let one = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
        let two = dom0.in_node("alpha", "node2").spawn(&["xen-fence", "off", "node1"]);
        let codes = [one.wait().code, two.wait().code];
        let alive: Vec<&str> = ["node1", "node2"]
            .into_iter()
            .filter(|node| dom0.domid("alpha", node).is_some())
            .collect();
        assert_eq!(alive.len(), 1, "alive: {alive:?}, exit codes {codes:?}");
        for node in ["node1", "node2"].iter().filter(|node| !alive.contains(node)) {
            let _ = dom0.on(&["xl", "create", &dom0.node("alpha", node).config()]).exits(0);
        }
    }
}

/// What xl says and returns is no proof.
#[test]
fn a_lying_xl() {
    let dom0 = SHARED.take();
    for fault in ["exit-lies", "destroy-fails-before-pause"] {
        dom0.fault(&["fault", fault, "alpha-node2"]);
        let output = ask(&dom0, "alpha", "node1", &["off", "node2", "--timeout", "8"]);
        assert!([1, 7].contains(&output.code), "{fault}\n{output}");
        dom0.fault(&["clear"]);
        counts(&dom0, "alpha", "node2");
    }
}

#[test]
fn garbled_listings_prove_nothing() {
    let dom0 = SHARED.take();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    for kind in ["truncated", "no-header", "no-dom0", "binary", "empty", "partial-hang"] {
        dom0.fault(&["fault", "list-garbage", kind]);
        let output = ask(&dom0, "alpha", "node1", &["off", "node2"]);
        assert_eq!(output.code, 1, "{kind}\n{output}");
        let status = ask(&dom0, "alpha", "node1", &["status", "node2"]);
        assert!(!status.stdout.contains(" off"), "{kind}\n{status}");
        dom0.fault(&["clear"]);
    }
}

#[test]
fn a_disk_server_that_outlives_its_domain() {
    for backend in ["qdisk", "tap"] {
        let dom0 = two_clusters().disk_through(backend, "alpha", "node2").raise().unwrap();
        dom0.fault(&["fault", "outlive-writes", "alpha-node2"]);
        let mut asker = start(&dom0, &["off", "node2"]);
        settle(|| !row_stands(&dom0));
        std::thread::sleep(Duration::from_secs(2));
        assert!(asker.is_running(), "{backend} lives, and fenced was said\n{}", asker.wait());
        dom0.fault(&["release-writes", "alpha-node2"]);
        let _ = asker.wait().exits(0);
        stands_still(&dom0, "alpha", "node2");
    }
}

/// Root has killed the node, and what served its disk writes on: it is not off, and not started.
#[test]
fn no_power_on_beside_a_disk_server() {
    for backend in ["qdisk", "tap"] {
        let dom0 = two_clusters().disk_through(backend, "alpha", "node2").raise().unwrap();
        dom0.fault(&["fault", "outlive-writes", "alpha-node2"]);
        let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
        assert!(!row_stands(&dom0));
        for action in ["status", "on"] {
            let output = ask(&dom0, "alpha", "node1", &[action, "node2"]).exits(1);
            let _ = output.saying("still runs");
        }
        assert_eq!(dom0.domid("alpha", "node2"), None, "{backend}: created beside what writes");
        dom0.fault(&["release-writes", "alpha-node2"]);
        settle(|| ask(&dom0, "alpha", "node1", &["status", "node2"]).says("node2 off"));
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    }
}

const XENSTORE_LS: &str = "/usr/bin/xenstore-ls";

fn xenstore_falls_silent(dom0: &Dom0) {
    let _ = dom0.on(&["mv", XENSTORE_LS, "/srv/xenstore-ls"]).exits(0);
    dom0.write(XENSTORE_LS, "#!/bin/sh\nexit 1\n", 0o755);
}

fn xenstore_speaks(dom0: &Dom0) {
    let _ = dom0.on(&["mv", "/srv/xenstore-ls", XENSTORE_LS]).exits(0);
}

/// Which tapdisk was the node's, nobody tells any more: its configuration names another disk, and its domain
/// is gone. The broker that has seen it run is killed; the next one waits for it all the same, even if nobody
/// could tell whose it was.
#[test]
fn a_disk_server_that_only_a_killed_broker_has_seen() {
    let dom0 = two_clusters().disk_through("tap", "alpha", "node2").raise().unwrap();
    let config = dom0.node("alpha", "node2").config();
    let _ = dom0.sh("cp -r /srv/disks /srv/others").exits(0);
    dom0.write(&config, dom0.file(&config).replace("/srv/disks/", "/srv/others/"), 0o644);
    let kept_by_the_next = |silent: bool| {
        dom0.fault(&["fault", "outlive-writes", "alpha-node2"]);
        if silent {
            xenstore_falls_silent(&dom0);
        }
        let mut asker = start(&dom0, &["off", "node2"]);
        settle(|| !row_stands(&dom0));
        let state = "/run/xen-fence/alpha.state";
        assert!(dom0.file(state).contains("tapdisk"), "{}", dom0.file(state));
        let _ = dom0.on(&["pkill", "-KILL", "-x", BROKER]).exits(0);
        if silent {
            xenstore_speaks(&dom0);
        }
        std::thread::sleep(Duration::from_secs(3));
        assert!(asker.is_running(), "a tapdisk lives, and fenced was said\n{}", asker.wait());
        asker
    };
    let asker = kept_by_the_next(true);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(1).saying("tapdisk");
    dom0.fault(&["release-writes", "alpha-node2"]);
    let _ = asker.wait().exits(0);
    dom0.fault(&["clear"]);
    dom0.write(&config, dom0.file(&config).replace("/srv/others/", "/srv/disks/"), 0o644);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    dom0.write(&config, dom0.file(&config).replace("/srv/disks/", "/srv/others/"), 0o644);
    let asker = kept_by_the_next(false);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(1).saying("tapdisk");
    dom0.fault(&["release-writes", "alpha-node2"]);
    let _ = asker.wait().exits(0);
    stands_still(&dom0, "alpha", "node2");
}

/// While xenstore is silent any tapdisk may be the node's, a neighbour's as well. That is not held against the
/// neighbour's once xenstore speaks again.
#[test]
fn a_neighbours_tapdisk_is_not_waited_for_when_it_is_known_as_that() {
    let tap = two_clusters().disk_through("tap", "alpha", "node2");
    let dom0 = tap.disk_through("tap", "beta", "db1").raise().unwrap();
    for killed in [true, false] {
        xenstore_falls_silent(&dom0);
        let mut asker = start(&dom0, &["off", "node2"]);
        settle(|| !row_stands(&dom0));
        std::thread::sleep(Duration::from_secs(2));
        assert!(asker.is_running(), "nobody can tell whose tapdisk there is\n{}", asker.wait());
        if killed {
            let _ = dom0.on(&["pkill", "-KILL", "-x", BROKER]).exits(0);
        }
        xenstore_speaks(&dom0);
        let _ = asker.wait().exits(0);
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    }
    counts(&dom0, "beta", "db1");
}

#[test]
fn a_power_on_that_fails_is_a_warning() {
    let dom0 = SHARED.take();
    for kind in ["no-memory", "disk", "config"] {
        dom0.fault(&["fault", "create-fails", kind]);
        let output = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
        assert!(output.says("warning"), "{kind}\n{output}");
        assert_eq!(dom0.domid("alpha", "node2"), None);
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(1);
        dom0.fault(&["clear"]);
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    }
}

/// Fenced is answered first: an xl lock that is held delays the start and not the answer.
#[test]
fn a_held_xl_lock_delays_the_start_only() {
    let dom0 = SHARED.take();
    let known = dom0.journal("alpha").len();
    dom0.fault(&["fault", "hold-lock", "4000"]);
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("started");
    let records = dom0.journal("alpha").split_off(known);
    let up = |event: &str| {
        let record = records.iter().find(|record| record["event"] == event);
        record.and_then(|record| record["up_ms"].as_u64()).unwrap_or_else(|| panic!("no {event}"))
    };
    assert!(up("outcome") - up("intent") < 2_000, "the answer waited for the lock");
    assert!(up("start") - up("outcome") > 2_000, "the start did not wait for the lock");
}

/// An off calls off the power-on that waits: after `fenced` nothing comes back.
#[test]
fn an_off_calls_a_waiting_power_on_off() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "hold-lock", "0"]);
    let mut reset = start(&dom0, &["reset", "node2"]);
    settle(|| dom0.on(&["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"]).code == 0);
    settle(|| dom0.domid("alpha", "node2").is_none());
    assert!(reset.is_running());
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = reset.wait().exits(0).saying("called");
    dom0.fault(&["clear"]);
    stands_still(&dom0, "alpha", "node2");
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let left = dom0.on(&["ls", "/run/xen-fence/starts"]).stdout;
    assert!(!left.contains('='), "tokens are left: {left}");
}

/// A row of our UUID under another name is nobody's to guess about.
#[test]
fn an_ambiguous_row_is_left_alone() {
    let dom0 = SHARED.take();
    let uuid = dom0.node("alpha", "node2").uuid.clone();
    dom0.fault(&["add-row", "somebody-else", &uuid]);
    let domid = dom0.domid("alpha", "node2");
    let _ =
        ask(&dom0, "alpha", "node1", &["off", "node2", "--json"]).exits(1).saying("\"ambiguous\"");
    assert_eq!(dom0.domid("alpha", "node2"), domid, "nothing is touched");
    dom0.fault(&["reset"]);
}

#[test]
fn incoming_and_migrated_away_rows_are_ours() {
    let dom0 = SHARED.take();
    for suffix in ["--incoming", "--migratedaway"] {
        dom0.fault(&["row", "alpha-node2", suffix]);
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
        assert!(!row_stands(&dom0), "{suffix}");
        let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    }
}

/// Turns are for fairness: where their files cannot be made, there is a fence all the same.
#[test]
fn without_room_for_a_turn_there_is_a_fence() {
    let dom0 = two_clusters().raise().unwrap();
    let full = "mkdir -p -m 700 /run/xen-fence && \
                mount -t tmpfs -o size=64k,nr_inodes=4,mode=700 full /run/xen-fence && \
                cd /run/xen-fence && touch alpha.lock alpha.state-lock more";
    let _ = dom0.sh(full).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("(killed)");
}
