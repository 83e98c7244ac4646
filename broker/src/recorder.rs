//! One request's records: into the cluster's journal, and to syslog as a second witness.

use crate::acl::Node;
use crate::clock::{BootClock, Clock, Moment, boot_id, wall_time};
use crate::identity::Identity;
use crate::journal::{Event, Journal, Record};
use crate::names::ClusterName;
use crate::syslog::{self, Severe};
use std::path::Path;
use xen_fence_protocol::{Request, Text};

/// Collects what is known of a request, and writes it down each time something happens.
#[derive(Debug)]
pub struct Recorder {
    known: Record,
    journal: Option<Journal>,
    born: Moment,
    asked: Moment,
    phases: Vec<(String, u64)>,
}

impl Recorder {
    /// A recorder for a caller of this cluster; without a cluster it has syslog only.
    #[must_use]
    pub fn new(journals: &Path, cluster: Option<&ClusterName>) -> Self {
        let journal = cluster.map(|name| Journal::at(journals.join(format!("{name}.jsonl"))));
        let cluster = cluster.map_or_else(|| "-".to_owned(), ToString::to_string);
        let known = Record { cluster, boot: boot_id(), ..Record::default() };
        let now = BootClock.now();
        Self { known, journal, born: now, asked: now, phases: Vec::new() }
    }

    /// Who asks.
    pub fn asked_by(&mut self, identity: &Identity) {
        self.known.caller = Some(identity.caller.to_string());
        self.known.key = identity.key.as_ref().map(ToString::to_string);
        self.known.from = identity.from.map(|from| from.to_string());
    }

    /// What is asked.
    pub fn asked_for(&mut self, request: &Request) {
        self.known.request = Some(request.id().to_string());
        self.known.action = Some(request.action().to_string());
        self.known.node = request.node().map(ToString::to_string);
        self.asked = BootClock.now();
        self.passed("asked");
    }

    /// Notes that a step has ended, for the outcome's account of where the time went.
    pub fn passed(&mut self, step: &str) {
        let micros = BootClock.now().since(self.born).as_micros();
        self.phases.push((step.to_owned(), u64::try_from(micros).unwrap_or(u64::MAX)));
    }

    /// Which domain it is about.
    pub fn aims_at(&mut self, node: &Node, domid: Option<u32>) {
        self.known.domain = Some(node.domain().to_string());
        self.known.uuid = Some(node.uuid().to_string());
        self.known.domid = domid;
    }

    /// Writes a record to the journal and to syslog. `result` is for programs, `text` for people.
    ///
    /// # Errors
    /// A sentence if the record is not in the journal; syslog has been told then.
    pub fn record(
        &self,
        event: Event,
        severe: Severe,
        result: &str,
        text: &str,
    ) -> Result<(), String> {
        let now = BootClock.now();
        let took = now.since(self.asked).as_millis();
        let ends = matches!(event, Event::Outcome | Event::Start);
        let record = Record {
            event: Some(event),
            time: wall_time(),
            up_ms: now.millis(),
            result: Some(result.to_owned()),
            text: Some(Text::escaped(text).as_str().to_owned()),
            took_ms: u64::try_from(took).ok(),
            phases: if ends { self.phases.clone() } else { Vec::new() },
            ..self.known.clone()
        };
        let line = in_a_line(&record);
        let written = self.journal.as_ref().map(|journal| journal.append(record));
        let (head, lost) = match written {
            Some(Ok(head)) => (format!("journal {}", head.get(..16).unwrap_or(&head)), Ok(())),
            Some(Err(error)) => (format!("NOT in the journal: {error}"), Err(error)),
            None => ("no journal".to_owned(), Ok(())),
        };
        // Where syslog takes nothing either, the agent still hears of the missing record.
        match (syslog::send(severe, &format!("{line} [{head}]")), lost) {
            (Err(deaf), Err(error)) => {
                Err(format!("{error}; and syslog has no record either: {deaf}"))
            }
            (_, lost) => lost,
        }
    }
}

/// A record as syslog's readers want it: who, what, how it ended.
fn in_a_line(record: &Record) -> String {
    let or_dash = |field: &Option<String>| field.as_deref().unwrap_or("-").to_owned();
    let domid = record.domid.map_or_else(String::new, |domid| format!(" (domain {domid})"));
    format!(
        "cluster {}: {} from {} asked {} {}{domid}: {}: {} [request {}]",
        record.cluster,
        or_dash(&record.caller),
        or_dash(&record.from),
        or_dash(&record.action),
        or_dash(&record.node),
        or_dash(&record.result),
        or_dash(&record.text),
        or_dash(&record.request),
    )
}
