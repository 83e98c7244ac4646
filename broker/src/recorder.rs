//! One request's records: into the cluster's journal, and to syslog as a second witness.
//!
//! What is told over and over is counted instead, in both. Nothing here can fail a fence, and what
//! can wait is done after the answer.

use crate::acl::Node;
use crate::clock::{BootClock, Clock, Moment, boot_id, wall_time};
use crate::flood::{Flood, Kind, More};
use crate::identity::Identity;
use crate::journal::{Event, Journal, Record, Written};
use crate::names::ClusterName;
use crate::processes::start_of;
use crate::syslog::{self, Severe};
use std::path::Path;
use xen_fence_protocol::{NodeName, Request, Text};

/// Collects what is known of a request, and writes it down each time something happens.
#[derive(Debug)]
pub struct Recorder {
    known: Record,
    journal: Option<Journal>,
    flood: Flood,
    born: Moment,
    asked: Moment,
    phases: Vec<(String, u64)>,
    /// It has written an intent: whatever it has to say from there on is written too.
    acts: bool,
    /// The journal did not take a record.
    lost: bool,
    /// Counted in windows that have ended, and not yet told.
    ended: Vec<More>,
}

impl Recorder {
    /// A recorder for a caller of this cluster; without a cluster it has syslog only. Counters are
    /// kept in `run`.
    #[must_use]
    pub fn new(journals: &Path, run: &Path, cluster: Option<&ClusterName>) -> Self {
        let journal = cluster.map(|name| Journal::at(journals.join(format!("{name}.jsonl"))));
        let cluster = cluster.map_or_else(|| "-".to_owned(), ToString::to_string);
        let flood = Flood::at(run.join(format!("{cluster}.flood")));
        let pid = i32::try_from(std::process::id()).ok();
        let started = pid.and_then(start_of);
        let known = Record { cluster, boot: boot_id(), pid, started, ..Record::default() };
        let now = BootClock.now();
        Self {
            known,
            journal,
            flood,
            born: now,
            asked: now,
            phases: Vec::new(),
            acts: false,
            lost: false,
            ended: Vec::new(),
        }
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

    /// What root did by hand, who that was, and to which node.
    pub fn by_root(&mut self, who: &str, action: &str, node: &NodeName) {
        self.known.caller = Some(format!("root {who}"));
        self.known.action = Some(action.to_owned());
        self.known.node = Some(node.to_string());
        // What root does is never counted away.
        self.acts = true;
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

    /// Writes a record to the journal and to syslog, or counts it if it is one of many. `result` is
    /// for programs, `text` for people. Answers with what the agent should hear of the journal: that
    /// the record is not in it, or that an earlier request for its node was cut short.
    pub fn record(
        &mut self,
        event: Event,
        severe: Severe,
        result: &str,
        text: &str,
    ) -> Vec<String> {
        let now = BootClock.now();
        let time = wall_time();
        self.acts |= event == Event::Intent;
        if self.may_be_counted(event) {
            let passed =
                self.flood.pass(Some(self.kind(event, result)), &self.known.boot, now, &time);
            self.ended.extend(passed.ended);
            if !passed.stored {
                return Vec::new();
            }
        }
        let took = now.since(self.asked).as_millis();
        let ends = matches!(event, Event::Outcome | Event::Start);
        self.write(
            severe,
            Record {
                event: Some(event),
                time,
                up_ms: now.millis(),
                result: Some(result.to_owned()),
                text: Some(Text::escaped(text).as_str().to_owned()),
                took_ms: u64::try_from(took).ok(),
                phases: if ends { self.phases.clone() } else { Vec::new() },
                ..self.known.clone()
            },
        )
    }

    /// Writes down what could wait for the answer: what was counted in windows that have ended,
    /// and the closing of what an earlier broker left; and sets a long journal aside.
    pub fn finish(&mut self) {
        let (now, time) = (BootClock.now(), wall_time());
        let passed = self.flood.pass(None, &self.known.boot, now, &time);
        let blank = Record {
            time,
            boot: self.known.boot.clone(),
            up_ms: now.millis(),
            cluster: self.known.cluster.clone(),
            pid: self.known.pid,
            started: self.known.started,
            ..Record::default()
        };
        if self.lost {
            // Each further try would wait for the same disk. Summaries still go to syslog.
            self.journal = None;
        }
        for more in std::mem::take(&mut self.ended).into_iter().chain(passed.ended) {
            // Who should hear of it is not there any more; syslog hears of what is lost.
            let _unheard = self.write(
                Severe::Warning,
                Record {
                    event: Some(Event::Summary),
                    text: Some(more.words()),
                    of: Some(more.kind.event),
                    more: Some(more.count),
                    caller: more.kind.caller,
                    action: more.kind.action,
                    result: Some(more.kind.result),
                    ..blank.clone()
                },
            );
        }
        if let Some(Ok(closed)) = self.journal.as_ref().map(|journal| journal.tend(blank)) {
            let _unheard = self.tell_closed(&closed);
        }
    }

    /// Only what changes nothing: an answer, a refusal, an agent that left, or the end of a request that
    /// touched nothing, as an off of a node that is off.
    const fn may_be_counted(&self, event: Event) -> bool {
        match event {
            Event::Answer
            | Event::Rehearsal
            | Event::Refused
            | Event::Note
            | Event::Outcome
            | Event::Start => !self.acts,
            Event::Intent | Event::Closed | Event::Summary => false,
        }
    }

    fn kind(&self, event: Event, result: &str) -> Kind {
        Kind {
            event,
            caller: self.known.caller.clone(),
            action: self.known.action.clone(),
            result: result.to_owned(),
        }
    }

    /// Writes a record to the journal and to syslog; answers with what the agent should hear.
    fn write(&mut self, severe: Severe, record: Record) -> Vec<String> {
        let line = in_a_line(&record);
        let mut said = Vec::new();
        let written = self.journal.as_ref().map(|journal| journal.append(record));
        let (witness, lost) = match written {
            Some(Ok(appended)) => {
                said.extend(self.tell_closed(&appended.closed));
                (in_journal(&appended.head), None)
            }
            Some(Err(error)) => {
                self.lost = true;
                (format!("NOT in the journal: {error}"), Some(error))
            }
            None => ("no journal".to_owned(), None),
        };
        let told = syslog::send(severe, &format!("{line} [{witness}]"));
        // Where syslog takes nothing either, the agent still hears of the missing record.
        said.extend(match (told, lost) {
            (Err(deaf), Some(error)) => {
                Some(format!("{error}; and syslog has no record either: {deaf}"))
            }
            (_, lost) => lost,
        });
        said
    }

    /// Tells syslog what was closed; answers with what concerns the node that is asked for.
    fn tell_closed(&self, closed: &[Written]) -> Vec<String> {
        let mut said = Vec::new();
        for Written { record, head } in closed {
            let line = format!("{} [{}]", in_a_line(record), in_journal(head));
            // The journal has it.
            let _deaf = syslog::send(Severe::Warning, &line);
            if self.known.node.is_some() && record.node == self.known.node {
                said.extend(record.text.clone());
            }
        }
        said
    }
}

/// How syslog names a line of the journal.
fn in_journal(head: &str) -> String {
    format!("journal {}", head.get(..16).unwrap_or(head))
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

#[cfg(test)]
mod tests;
