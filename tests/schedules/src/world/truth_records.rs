//! The promises about records: promises 3 and 7.

use super::World;
use xen_fence_broker::journal::{Event as Recorded, Record, hash};

impl World {
    fn records(&self, host: usize, cluster: &str) -> Vec<Record> {
        let text =
            self.hosts[host].disk.text(&format!("/var/lib/xen-fence/journal/{cluster}.jsonl"));
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(super) fn has_record(&self, broker: usize, event: Recorded) -> bool {
        let one = &self.brokers[broker];
        let id = one.request.as_ref().map(|request| request.id().to_string());
        let is_it = |record: &Record| {
            record.event == Some(event) && record.pid == Some(one.pid) && record.request == id
        };
        self.records(one.host, one.who.cluster()).iter().any(is_it)
    }

    /// Promises 3 and 7, when a broker has served: what it began has an end on record.
    pub(super) fn has_served(&mut self, broker: usize) {
        let host = self.brokers[broker].host;
        if self.records_may_lack(host) || !self.has_record(broker, Recorded::Intent) {
            return;
        }
        let ended =
            self.has_record(broker, Recorded::Outcome) || self.has_record(broker, Recorded::Start);
        if !ended {
            let name = self.name(broker);
            self.breaks(
                "7, written before done",
                &format!("{name} has an intent and no outcome on record"),
            );
        }
    }

    /// Promise 7, behind it all: the chain is whole, and what was cut short is closed.
    pub(super) fn reads_journal(&mut self, host: usize, cluster: &str) {
        let text =
            self.hosts[host].disk.text(&format!("/var/lib/xen-fence/journal/{cluster}.jsonl"));
        let (mut before, mut number) = (String::new(), 0);
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Ok(record) = serde_json::from_str::<Record>(line) {
                if record.prev != before || record.n != number + 1 {
                    return self
                        .breaks("7, written before done", &format!("the chain breaks at {line}"));
                }
                number = record.n;
            }
            before = hash(line.as_bytes());
        }
        let open = self.records(host, cluster).pop().map(|last| last.open).unwrap_or_default();
        if !open.is_empty() {
            self.breaks(
                "7, written before done",
                &format!("nobody says what became of {}", open[0].words()),
            );
        }
    }
}
