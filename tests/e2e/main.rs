//! The installed product in a throwaway dom0, end to end.

mod acl;
mod asker;
mod audit;
mod audit_guests;
mod audit_report;
mod brake;
mod client;
mod comebacks;
mod corosync;
mod crash;
mod detach;
mod dump;
mod enroll;
mod fence;
mod fencer;
mod harness;
mod heartbeat;
mod heartbeat_door;
mod hold;
mod hostile;
mod hung_disk;
mod install;
mod journal;
mod kill;
mod log;
mod networks;
mod pacemaker_door;
mod pcs_and_crm;
mod power_on;
mod quickstart;
mod reach;
mod refusals;
mod rehearsal;
mod retries;
mod root;
mod setup;
mod several;
mod standoff;
mod stonith;
mod storm;
mod witnesses;
mod xm;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use xen_fence_tests::throwaway::{Builder, Dom0, Output};

/// Two clusters of two nodes each: what most cases need.
fn two_clusters() -> Builder {
    Dom0::builder().cluster("alpha", &["node1", "node2"]).cluster("beta", &["db1", "db2"])
}

/// OpenSSH, with node1's key and our command: what it reads is what the broker gets.
const WIRE: [&str; 16] = [
    "ssh",
    "-F",
    "none",
    "-T",
    "-i",
    "/etc/xen-fence/id_ed25519",
    "-p",
    "2422",
    "-o",
    "UserKnownHostsFile=/etc/xen-fence/known_hosts",
    "-o",
    "BatchMode=yes",
    "-o",
    "IdentitiesOnly=yes",
    "fence-alpha@xen1",
    "xen-fence/1",
];

/// A dom0 that the cases of a module use one after the other.
struct Shared(OnceLock<Mutex<Dom0>>);

impl Shared {
    const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// The dom0 for one case alone: no fault set, no broker at work, the policies as they were at
    /// first, every node running.
    fn take(&self) -> MutexGuard<'_, Dom0> {
        let raise = || Mutex::new(two_clusters().raise().unwrap());
        let dom0 = self.0.get_or_init(raise).lock().unwrap_or_else(PoisonError::into_inner);
        dom0.fault(&["clear"]);
        let _ = dom0.sh("cd /etc/xen-fence; mkdir -p /root/first; cp -np clusters.d/* /root/first; cp -p /root/first/* clusters.d/");
        long_after(&dom0);
        let idle = || dom0.on(&["pgrep", "-x", BROKER]).code != 0;
        if !within(Duration::from_secs(15), idle) {
            let _ = dom0.on(&["pkill", "-KILL", "-x", BROKER]);
        }
        let ours = |row: &str| {
            dom0.nodes().iter().any(|node| row.starts_with(&format!("{} ", node.domain)))
        };
        let listing = dom0.on(&["xl", "list"]).exits(0).stdout;
        if !listing.lines().skip(2).all(ours) {
            dom0.fault(&["reset"]);
        }
        for node in dom0.nodes() {
            if dom0.domain_init(node).is_none() {
                let _ = dom0.on(&["xl", "create", &node.config()]).exits(0);
            }
        }
        dom0
    }
}

/// Lets it be long after every reset so far: until ten seconds after it, one counts for the next.
fn long_after(dom0: &Dom0) {
    let _ = dom0.sh("rm -f /run/xen-fence/*.state").exits(0);
}

/// What the kernel calls the broker: 15 bytes of its name.
const BROKER: &str = "xen-fence-broke";

/// Waits so long until this holds; says whether it did.
fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

/// Waits up to 20 s until this holds.
#[track_caller]
fn settle(holds: impl FnMut() -> bool) {
    assert!(within(Duration::from_secs(20), holds), "it did not come true in 20 s");
}

/// True while `xl list -v` runs.
fn is_listing(dom0: &Dom0) -> bool {
    dom0.processes().iter().any(|process| process.command.contains("list -v"))
}

/// `xen-fence` with these arguments, in a node.
fn ask(dom0: &Dom0, cluster: &str, node: &str, arguments: &[&str]) -> Output {
    let words: Vec<&str> = std::iter::once("xen-fence").chain(arguments.iter().copied()).collect();
    dom0.in_node(cluster, node).run(&words)
}

/// Watches a node's disk for ten seconds, in which not a byte of it may change.
#[track_caller]
fn stands_still(dom0: &Dom0, cluster: &str, node: &str) {
    let at_first = dom0.sector(cluster, node);
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        assert_eq!(dom0.sector(cluster, node), at_first, "a dead node has written");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A node's counter is seen to move.
#[track_caller]
fn counts(dom0: &Dom0, cluster: &str, node: &str) {
    let at_first = dom0.sector(cluster, node);
    settle(|| dom0.sector(cluster, node) != at_first);
}

/// True if a record of the cluster's journal holds all of these texts. What it tells of other
/// requests, in flight behind it, does not count.
fn recorded(dom0: &Dom0, cluster: &str, texts: &[&str]) -> bool {
    let mut records = dom0.journal(cluster);
    for record in &mut records {
        record.as_object_mut().and_then(|record| record.remove("open"));
    }
    records
        .iter()
        .map(ToString::to_string)
        .any(|record| texts.iter().all(|text| record.contains(text)))
}

/// Runs a case and asserts that every domain is what it was.
#[track_caller]
fn untouched(dom0: &Dom0, case: impl FnOnce()) {
    let rows = |dom0: &Dom0| -> Vec<Option<u32>> {
        dom0.nodes().iter().map(|node| dom0.domid(&node.cluster, &node.name)).collect()
    };
    let before = rows(dom0);
    assert!(before.iter().all(Option::is_some), "{before:?}");
    case();
    assert_eq!(rows(dom0), before, "a domain was touched");
}
