//! What the guests' disk and Xen itself say, against what the product said.

use super::Lab;
use crate::running::Output;
use serde_json::Value;
use std::time::Duration;

/// One look at a node's sector that found it changed.
#[derive(Clone, Debug)]
pub struct Change {
    /// When the look before began, which had not seen it: ms of dom0's uptime.
    pub not_before: u64,
    /// When it had been seen: ms of dom0's uptime.
    pub seen: u64,
    /// The running number that the node had written.
    pub number: u64,
}

/// Somebody in dom0 who keeps looking at a node's sector.
#[derive(Debug)]
#[must_use]
pub struct Watch {
    node: String,
    log: String,
}

impl Lab {
    /// Begins to watch a node's sector, and returns when the first look has been taken.
    ///
    /// # Panics
    /// If dom0 does not answer.
    #[track_caller]
    pub fn watch(&self, node: &str) -> Watch {
        let slot = self.node(node).slot;
        let log = format!("/run/watch.{node}");
        let _ = self.sh(&format!(
            "rm -f {log}; /lab/disk watch {slot} {log} </dev/null >/dev/null 2>&1 & echo $! >{log}.pid
            until [ -s {log} ]; do sleep 0.1; done"
        ));
        Watch { node: node.to_owned(), log }
    }

    /// Ends a watch: what it saw.
    ///
    /// # Panics
    /// If dom0 does not answer, or the log is not understood.
    #[must_use]
    #[track_caller]
    pub fn seen(&self, watch: Watch) -> Vec<Change> {
        let Watch { node, log } = watch;
        let text = self.sh(&format!("kill $(cat {log}.pid); cat {log}")).exits(0).stdout;
        let lines = text.lines().filter(|line| line.contains(&node));
        lines.map(|line| change(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }

    /// Ends a watch, and compares it with the journal: after each record that says that the node was
    /// fenced, the instance of then has written nothing. (A look that had begun when the record was
    /// written is no proof of that either way.)
    ///
    /// # Panics
    /// If it has, or there is no such record.
    #[track_caller]
    pub fn judge(&self, watch: Watch) {
        let node = watch.node.clone();
        let seen = self.seen(watch);
        let began = seen.first().map_or(0, |change| change.seen);
        let fences = self.fenced_since(&node, began);
        assert!(!fences.is_empty(), "no record says that {node} was fenced: {:#?}", self.journal());
        for fenced in fences {
            let (before, after): (Vec<&Change>, Vec<&Change>) =
                seen.iter().partition(|change| change.not_before <= fenced);
            let Some(before) = before.last() else {
                panic!("{node} was never seen to write before {fenced}: {seen:?}")
            };
            // The next instance counts from 1 again.
            if let Some(next) = after.first() {
                assert!(next.number < before.number, "{node}, fenced at {fenced}, wrote: {seen:?}");
            }
        }
    }

    /// When the journal says that a node had been fenced, since then: ms of dom0's uptime. A request
    /// that joined an earlier one speaks of that one's kill, and of an instance that may run again.
    fn fenced_since(&self, node: &str, since: u64) -> Vec<u64> {
        let fenced = |record: &&Value| {
            let result = record["result"].as_str().unwrap_or_default();
            record["node"] == node && result.starts_with("fenced") && result != "fenced joined"
        };
        let times = self.journal();
        let times = times.iter().filter(fenced).filter_map(|record| record["up_ms"].as_u64());
        times.filter(|up| *up >= since).collect()
    }

    /// The records of the journal of alpha, the only cluster in most labs.
    ///
    /// # Panics
    /// As [`Lab::journal_of`].
    #[must_use]
    #[track_caller]
    pub fn journal(&self) -> Vec<Value> {
        self.journal_of("alpha")
    }

    /// The records of a cluster's journal.
    ///
    /// # Panics
    /// If one is no JSON.
    #[must_use]
    #[track_caller]
    pub fn journal_of(&self, cluster: &str) -> Vec<Value> {
        let text = self.sh(&format!("cat /var/lib/xen-fence/journal/{cluster}*")).stdout;
        text.lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    /// The listing with UUIDs, as xl prints it.
    #[must_use]
    #[track_caller]
    pub fn listing(&self) -> Output {
        self.sh("xl list -v").exits(0)
    }

    /// The domids of every row with a node's UUID, whatever its state.
    #[must_use]
    #[track_caller]
    pub fn rows(&self, node: &str) -> Vec<u32> {
        let uuid = &self.node(node).uuid;
        let listing = self.listing().stdout;
        let rows = listing.lines().filter(|line| line.contains(uuid.as_str()));
        // The name may be missing or hold spaces, the UUID is unmistakable.
        rows.filter_map(|row| {
            let before: Vec<&str> = row.split(uuid.as_str()).next()?.split_whitespace().collect();
            before[before.len().checked_sub(5)?].parse().ok()
        })
        .collect()
    }

    /// The domid of the node's domain, if it is there under its own name.
    #[must_use]
    #[track_caller]
    pub fn domid(&self, node: &str) -> Option<u32> {
        let domid = self.sh(&format!("xl domid {}", self.node(node).domain));
        (domid.code == 0).then(|| domid.stdout.trim().parse().ok())?
    }

    /// What a dom0 with both nodes has: its processes, its rows, what xenstore knows, locks. The
    /// numbers of domains and processes, which are new each time, are left out.
    ///
    /// # Panics
    /// If dom0 does not answer.
    #[must_use]
    #[track_caller]
    pub fn inventory(&self) -> Vec<String> {
        let numbers = ["node1", "node2"].map(|node| self.domid(node).unwrap_or_default());
        let unnumbered = numbers.map(|number| format!("-e 's#/{number}\\(/\\|$\\)#/N\\1#g'"));
        let script = format!(
            "ps --ppid 2 -p 2 --deselect -o user=,args= |
             grep -vE '^[^ ]+ +(bash /run/control[^ ]*|/bin/bash /lab/control|ps|sort|grep|sed|sleep)( |$)' |
             sed -e 's/ [^ ]* startups/ startups/' | sort
             xl list | sed 1d | awk '{{ print \"row\", $1, NF }}' | sort
             xenstore-ls -f | sed -e 's/ = .*//' | grep -vE '^/local/domain/0/(device-model|memory)' | sed {} | sort -u
             ls -A /run/lock /run/xen-hotplug 2>&1 | sed 's/^total.*//' | sort
             losetup -a | sort",
            unnumbered.join(" ")
        );
        self.sh(&script).stdout.lines().map(str::to_owned).collect()
    }

    /// Asserts that the inventory is this again, within a minute.
    #[track_caller]
    pub fn is_as_before(&self, before: &[String]) {
        let as_before = || self.inventory() == before;
        if self.until("it is as before", Duration::from_secs(60), as_before).is_err() {
            let now = self.inventory();
            let only = |these: &[String], those: &[String]| -> Vec<String> {
                these.iter().filter(|line| !those.contains(line)).cloned().collect()
            };
            let (new, gone) = (only(&now, before), only(before, &now));
            assert_eq!(now, before, "new: {new:#?}, gone: {gone:#?}");
        }
    }

    /// Asserts that a node is seen to write, within two minutes.
    #[track_caller]
    pub fn counts(&self, node: &str) {
        let slot = self.node(node).slot;
        let changes = self.sh(&format!("/lab/disk changes {slot} 120"));
        assert_eq!(changes.code, 0, "{node} does not write: {changes}");
    }

    /// Asserts that a node's sector does not change for five seconds, ten times what lies between two writes.
    #[track_caller]
    pub fn stands_still(&self, node: &str) {
        let slot = self.node(node).slot;
        let rests = self.sh(&format!("/lab/disk rests {slot} 5"));
        assert_eq!(rests.code, 0, "{node} has written: {rests}");
    }
}

/// `BEFORE SEEN NAME NUMBER UPTIME`, the first two in ms of dom0's uptime.
fn change(line: &str) -> Option<Change> {
    let mut fields = line.split_whitespace();
    let (not_before, seen) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Change { not_before, seen, number: fields.nth(1)?.parse().ok()? })
}
