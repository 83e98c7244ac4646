//! One request's records: into the cluster's journal, and to syslog as a second witness.
//!
//! What is told over and over is counted instead, in both. Nothing here can fail a fence, and what
//! can wait is done after the answer. A line of syslog is the same record, without its steps, its
//! clocks and what is in flight behind it.

mod steps;

use crate::acl::Node;
use crate::clock::{BootClock, Clock, Moment, boot_id, wall_time};
use crate::flood::{Flood, Kind, More};
use crate::host;
use crate::identity::Identity;
use crate::journal::{Decided, Event, Journal, Kept, Record, Written, line_for_syslog};
use crate::names::{Caller, ClusterName};
use crate::processes::start_of;
use crate::syslog::{self, Severe};
use std::path::Path;
use steps::Steps;
use xen_fence_protocol::{NodeName, Request, Text};

/// The version that records name.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The result by which the question whether syslog is read is counted.
const SYSLOG_ASKED: &str = "syslog asked";

/// Collects what is known of a request, and writes it down each time something happens.
#[derive(Debug)]
pub struct Recorder {
    known: Record,
    dom0: String,
    journal: Option<Journal>,
    flood: Flood,
    asked: Moment,
    steps: Steps,
    /// A person has stated something in the request: that is a kind of its own.
    states: bool,
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
        let version = Some(VERSION.to_owned());
        let known = Record { cluster, boot: boot_id(), version, pid, started, ..Record::default() };
        let now = BootClock.now();
        Self {
            known,
            dom0: host::own_name().to_string(),
            journal,
            flood,
            asked: now,
            steps: Steps::begun(now),
            states: false,
            acts: false,
            lost: false,
            ended: Vec::new(),
        }
    }

    /// Who asks.
    pub fn asked_by(&mut self, identity: &Identity) {
        match &identity.caller {
            Caller::Node(_) | Caller::Operator(_) => self.asked_through(&identity.cluster),
            Caller::Root(_) => self.known.account = Some(ROOT.to_owned()),
        }
        self.known.caller = Some(identity.caller.to_string());
        self.known.key = identity.key.as_ref().map(ToString::to_string);
        self.known.from = identity.from.map(|from| from.to_string());
    }

    /// By which cluster's account somebody asks, if no more is known of him.
    pub fn asked_through(&mut self, cluster: &ClusterName) {
        self.known.account = Some(cluster.account());
    }

    /// What the policy said, and by which rule.
    pub fn decided(&mut self, decision: Decided, rule: &str) {
        self.known.decision = Some(decision);
        self.known.rule = Some(Text::escaped(rule).as_str().to_owned());
    }

    /// What is asked.
    pub fn asked_for(&mut self, request: &Request) {
        self.known.request = Some(request.id().to_string());
        self.known.action = Some(request.action().to_string());
        self.known.node = request.node().map(ToString::to_string);
        self.states = !request.confirmed_down().is_empty();
        self.asked = BootClock.now();
        self.passed("asked", "");
    }

    /// What root did by hand, who that was, and to which node.
    pub fn by_root(&mut self, who: &str, action: &str, node: &NodeName) {
        self.known.account = Some(ROOT.to_owned());
        self.known.caller = Some(format!("root {who}"));
        self.known.action = Some(action.to_owned());
        self.known.node = Some(node.to_string());
        // What root does is never counted away.
        self.acts = true;
    }

    /// Notes that a step has ended, and what was seen in it; nothing, where that goes without saying.
    pub fn passed(&mut self, step: &str, evidence: &str) {
        self.steps.passed(step, evidence);
    }

    /// Whether syslog is read. The question is a line there, so it is counted like a record: who asks over
    /// and over is answered by a look that leaves none.
    ///
    /// # Errors
    /// A sentence that says what a stuck or missing syslog means.
    pub fn probe_syslog(&mut self) -> Result<(), String> {
        let (event, result) = (Event::Rehearsal, SYSLOG_ASKED);
        if !self.is_stored(event, result, BootClock.now(), &wall_time()) {
            return syslog::has_room();
        }
        let asked =
            Record { event: Some(event), result: Some(result.to_owned()), ..self.known.clone() };
        syslog::probe(&line_for_syslog(&self.dom0, &asked, Kept::Nowhere))
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
        if self.may_be_counted(event) && !self.is_stored(event, result, now, &time) {
            return Vec::new();
        }
        let took = now.since(self.asked).as_millis();
        // A note is one of several things that are told of one step.
        let steps = if event == Event::Note { Vec::new() } else { self.steps.so_far() };
        self.write(
            severe,
            Record {
                event: Some(event),
                time,
                up_ms: now.millis(),
                result: Some(result.to_owned()),
                text: Some(Text::escaped(text).as_str().to_owned()),
                took_ms: u64::try_from(took).ok(),
                steps,
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
            version: self.known.version.clone(),
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
            Event::Intent | Event::Closed | Event::Summary | Event::Later => false,
        }
    }

    /// Counts one of a kind; says whether it is to be stored.
    fn is_stored(&mut self, event: Event, result: &str, now: Moment, time: &str) -> bool {
        let kind = Some(self.kind(event, result));
        let passed = self.flood.pass(kind, &self.known.boot, now, time);
        self.ended.extend(passed.ended);
        passed.stored
    }

    fn kind(&self, event: Event, result: &str) -> Kind {
        Kind {
            event,
            caller: self.known.caller.clone(),
            action: self.known.action.as_ref().map(|action| {
                format!("{action}{}", if self.states { ", with a statement" } else { "" })
            }),
            result: result.to_owned(),
        }
    }

    /// Writes a record to the journal and to syslog; answers with what the agent should hear.
    fn write(&mut self, severe: Severe, record: Record) -> Vec<String> {
        let mut said = Vec::new();
        let written = self.journal.as_ref().map(|journal| journal.append(record.clone()));
        let line = |kept| line_for_syslog(&self.dom0, &record, kept);
        let (line, lost) = match written {
            Some(Ok(appended)) => {
                said.extend(self.tell_closed(&appended.closed));
                (line(Kept::InJournal { n: appended.n, head: &appended.head }), None)
            }
            Some(Err(error)) => (line(Kept::Lost(&error)), Some(error)),
            None => (line(Kept::Nowhere), None),
        };
        self.lost |= lost.is_some();
        // Where syslog takes nothing either, the agent still hears of the missing record.
        said.extend(match (syslog::send(severe, &line), lost) {
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
            let line = line_for_syslog(&self.dom0, record, Kept::InJournal { n: record.n, head });
            // The journal has it.
            let _deaf = syslog::send(Severe::Warning, &line);
            if self.known.node.is_some() && record.node == self.known.node {
                said.extend(record.text.clone());
            }
        }
        said
    }
}

/// The account of whoever needs none.
const ROOT: &str = "root";

#[cfg(test)]
mod tests;
