//! A syslog, a journal and a resolver in every bad state: they are witnesses and helpers, and none of
//! them stops an authorised fence.

use crate::client::{Client, brokers};
use crate::{BROKER, Dom0, ask, settle, two_clusters};
use std::time::Duration;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::Syslog;

#[test]
fn a_stuck_or_missing_syslog_stops_no_fence() {
    for syslog in [Syslog::Mute, Syslog::None] {
        let dom0 = two_clusters().syslog(syslog).raise().unwrap();
        let output = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
        assert!(output.took < Duration::from_secs(5), "{syslog:?}\n{output}");
        assert_eq!(dom0.domid("alpha", "node2"), None);
    }
}

/// The fence succeeds, its reply says that the record is missing, and syslog has it.
#[track_caller]
fn fenced_without_a_record(dom0: &Dom0, why: &str) {
    let known = intents(dom0);
    let output = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying(why);
    assert!(output.says("/var/lib/xen-fence/journal/alpha.jsonl"), "{output}");
    assert!(output.took < Duration::from_secs(8), "{output}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
    for result in ["killing", "\"fenced killed\""] {
        let has = |line: &str| {
            line.contains(&format!(" result={result} "))
                && line.contains(" lost=\"NOT in the journal: ")
        };
        settle(|| dom0.syslog().lines().any(has));
    }
    assert_eq!(intents(dom0), known);
}

fn intents(dom0: &Dom0) -> usize {
    dom0.file("/var/lib/xen-fence/journal/alpha.jsonl").matches("\"intent\"").count()
}

/// Once the disk takes records again, the chain holds, and the next kill is on record.
#[track_caller]
fn recorded_again(dom0: &Dom0) {
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    let known = intents(dom0);
    let output = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(!output.says("journal"), "{output}");
    assert_eq!(intents(dom0), known + 1);
    let _ = dom0.on(&["xen-fence-admin", "log", "--verify"]).exits(0).saying("the chain holds");
}

#[test]
fn a_read_only_journal_stops_no_fence() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    let place = "/var/lib/xen-fence";
    let _ = dom0.on(&["mount", "--bind", place, place]).exits(0);
    let _ = dom0.on(&["mount", "-o", "remount,bind,ro", place]).exits(0);
    fenced_without_a_record(&dom0, "Read-only file system");
    let _ = dom0.on(&["umount", place]).exits(0);
    recorded_again(&dom0);
}

/// A disk of four pages: half a record fits before it is full, and is taken back.
#[test]
fn a_full_disk_stops_no_fence() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = dom0
        .on(&["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "none", "/var/lib/xen-fence"])
        .exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    let _ = dom0.sh("cat /dev/zero >/var/lib/xen-fence/filler");
    let full = || ask(&dom0, "alpha", "node1", &["status", "node2"]).says("No space left");
    assert!((0..15).any(|_| full()), "it takes records without end");
    fenced_without_a_record(&dom0, "No space left");
    assert!(dom0.file("/var/lib/xen-fence/journal/alpha.jsonl").ends_with("}\n"), "it is torn");
    dom0.remove("/var/lib/xen-fence/filler");
    recorded_again(&dom0);
}

/// No name server answers, and there is no network beyond dom0.
#[test]
fn a_resolver_that_never_answers() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.write("/etc/resolv.conf", "nameserver 10.77.0.77\n", 0o644);
    // Packets to it vanish: a neighbour that never answers would be reported after 3 s.
    let _ = dom0.sh("ip route add blackhole 10.77.0.77 2>/dev/null; ip neigh add 10.77.0.77 lladdr 02:00:00:00:00:77 dev xenbr0").exits(0);
    let output = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(output.took < Duration::from_secs(10), "{output}");
    // A dom0 by a name that only DNS knows: the deadline holds, and check says what hangs.
    let place = ["check", "--dom0", "fence-alpha@xen9.example:2422", "--timeout", "5"];
    let check = ask(&dom0, "alpha", "node1", &place).exits(1).saying("DNS");
    assert!(check.took < Duration::from_secs(7), "{check}");
}

/// Through the host's own sshd a stuck syslog stops the login before the broker begins: check finds
/// it within its deadline, and names it.
#[test]
fn a_stuck_syslog_before_the_hosts_own_sshd_is_found_by_check() {
    let dom0 = two_clusters().hosts_sshd().syslog(Syslog::Mute).raise().unwrap();
    let check = ask(&dom0, "alpha", "node1", &["check", "--timeout", "6"]).exits(1);
    let check = check.saying("FAIL").saying("syslog");
    assert!(check.took < Duration::from_secs(8), "{check}");
}

/// The journal's file system, frozen; a dom0 could not end with it.
struct Frozen<'a>(&'a Dom0);

impl<'a> Frozen<'a> {
    fn new(dom0: &'a Dom0) -> Self {
        let _ = dom0.on(&["fsfreeze", "--freeze", "/var/lib/xen-fence"]).exits(0);
        Self(dom0)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _ = self.0.on(&["fsfreeze", "--unfreeze", "/var/lib/xen-fence"]);
    }
}

/// A dom0 whose journal is on a disk of its own, which can be frozen. None where that cannot be had.
fn with_a_disk_for_the_journal(case: &str) -> Option<Dom0> {
    let dom0 = two_clusters().raise().unwrap();
    let disk = "mknod /dev/loop-control c 10 237 && \
                for i in 0 1 2 3 4 5 6 7; do mknod /dev/loop$i b 7 $i; done && \
                truncate -s 16M /srv/journal.img && mkfs.ext4 -q /srv/journal.img && \
                mount -o loop /srv/journal.img /var/lib/xen-fence";
    if dom0.sh(disk).code != 0 {
        skipped(case, "no loop device can be mounted here");
        return None;
    }
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    Some(dom0)
}

/// What is left of it is a thread in the middle of a write, which nothing ends before the disk answers. It
/// has neither the cluster's lock nor a fence under way.
#[test]
fn a_broker_that_is_killed_beside_a_hung_disk_keeps_nobody_waiting() {
    let case = "a_broker_that_is_killed_beside_a_hung_disk_keeps_nobody_waiting";
    let Some(dom0) = with_a_disk_for_the_journal(case) else { return };
    let frozen = Frozen::new(&dom0);
    let mut client = Client::ready(&dom0, "node1", 0xd1, "off node2");
    client.say("go", "");
    let broker = brokers(&dom0).pop().unwrap().pid.to_string();
    let hangs = format!("cat /proc/{broker}/task/*/stat | grep -q ') D '");
    settle(|| dom0.sh(&hangs).code == 0);
    let _ = dom0.on(&["kill", "-KILL", &broker]).exits(0);
    drop(client);
    let off = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(off.took < Duration::from_secs(8), "{off}");
    assert_eq!(dom0.sh(&hangs).code, 0, "it has ended, and nothing was tried here");
    // Nor is a node that it was about to kill taken for a dead one.
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node2", &["off", "node1"]).exits(0);
    drop(frozen);
    settle(|| dom0.on(&["pgrep", "-x", BROKER]).code != 0);
    let _ = dom0.on(&["umount", "/var/lib/xen-fence"]).exits(0);
}

/// A disk that hangs under the journal, and under the core that is wanted of the node, costs a second
/// at a time, and is said.
#[test]
fn a_journal_that_hangs_stops_no_fence() {
    let Some(dom0) = with_a_disk_for_the_journal("a_journal_that_hangs_stops_no_fence") else {
        return;
    };
    dom0.write("/etc/xen-fence/broker.toml", "dump = \"/var/lib/xen-fence/dumps\"\n", 0o644);
    let frozen = Frozen::new(&dom0);
    fenced_without_a_record(&dom0, "did not take the record within 1 s");
    settle(|| dom0.syslog().contains("there is no core of it: /var/lib/xen-fence/dumps did not"));
    drop(frozen);
    dom0.remove("/etc/xen-fence/broker.toml");
    settle(|| dom0.on(&["pgrep", "-x", BROKER]).code != 0);
    recorded_again(&dom0);
    let _ = dom0.on(&["umount", "/var/lib/xen-fence"]).exits(0);
}
