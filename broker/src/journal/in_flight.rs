//! What was begun and has no end on record: told by the last line of a journal alone.
//!
//! Each record carries the list as it is behind it, so that the next broker finds out without
//! reading back. It only decides and words; it touches nothing.

use super::record::{Event, Record};
use crate::processes::Process;
use serde::{Deserialize, Serialize};

/// No record carries more than so many; a cluster has one kill under way at a time, and one proof
/// or power-on for each node.
const MOST: usize = 64;

/// The result of an intent to power a node on; other intents are kills.
pub const POWERING_ON: &str = "powering on";

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// A kill, or its proof.
    Kill,
    /// A power-on.
    PowerOn,
}

/// An intent whose end is not on record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InFlight {
    /// The number of the intent's record.
    pub n: u64,
    /// When it was written.
    pub time: String,
    /// In which boot of the host.
    pub boot: String,
    /// By which broker: its process number.
    pub pid: i32,
    /// And its start, in the kernel's ticks since boot.
    pub started: u64,
    /// The request's id.
    pub request: String,
    /// Who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// What was asked.
    pub action: String,
    /// Of which node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How far it has come.
    pub doing: Doing,
}

/// Why nobody will record an end any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The host was booted anew.
    Rebooted,
    /// The broker that carried it out has ended.
    BrokerEnded,
}

impl InFlight {
    /// The intent that a record speaks of; none if it is not one or does not say whose.
    fn begun_by(record: &Record) -> Option<Self> {
        let action = record.action.clone()?;
        Some(Self {
            n: record.n,
            time: record.time.clone(),
            boot: record.boot.clone(),
            pid: record.pid?,
            started: record.started?,
            request: record.request.clone()?,
            caller: record.caller.clone(),
            node: record.node.clone(),
            doing: if record.result.as_deref() == Some(POWERING_ON) {
                Doing::PowerOn
            } else {
                Doing::Kill
            },
            action,
        })
    }

    /// Whether a record is by the broker that carries this out, and for the same request.
    fn is_carried_on_by(&self, record: &Record) -> bool {
        record.request.as_ref() == Some(&self.request)
            && (record.pid, record.started) == (Some(self.pid), Some(self.started))
            && record.boot == self.boot
    }

    /// The broker that carries it out.
    #[must_use]
    pub fn broker(&self) -> Process {
        Process { pid: self.pid, started: self.started, what: "xen-fence-broker".to_owned() }
    }

    /// Why its end will not be recorded by the broker that began it, if that is so.
    #[must_use]
    pub fn is_cut(&self, boot: &str, lives: &dyn Fn(&Process) -> bool) -> Option<Cut> {
        if self.boot != boot {
            return Some(Cut::Rebooted);
        }
        (!lives(&self.broker())).then_some(Cut::BrokerEnded)
    }

    /// What it is, in words: `the kill of node2 (reset, asked by node node1 at TIME)`.
    #[must_use]
    pub fn words(&self) -> String {
        let doing = match self.doing {
            Doing::Kill => "kill",
            Doing::PowerOn => "power-on",
        };
        format!(
            "the {doing} of {} ({}, asked by {} at {})",
            self.node.as_deref().unwrap_or("a node"),
            self.action,
            self.caller.as_deref().unwrap_or("somebody"),
            self.time
        )
    }

    /// The record that closes it, written by the broker of `by`.
    pub(super) fn closing(&self, cut: Cut, by: &Record) -> Record {
        let (result, why) = match cut {
            Cut::Rebooted => ("unknown rebooted", "dom0 was booted anew while".to_owned()),
            Cut::BrokerEnded => {
                ("unknown broker-ended", format!("the broker (process {}) ended while", self.pid))
            }
        };
        let text = format!(
            "{why} {} was under way; how that ended is not on record here, and nothing is touched \
             now",
            self.words()
        );
        Record {
            time: by.time.clone(),
            boot: by.boot.clone(),
            up_ms: by.up_ms,
            event: Some(Event::Closed),
            cluster: by.cluster.clone(),
            version: by.version.clone(),
            request: Some(self.request.clone()),
            caller: self.caller.clone(),
            action: Some(self.action.clone()),
            node: self.node.clone(),
            result: Some(result.to_owned()),
            text: Some(text),
            pid: by.pid,
            started: by.started,
            closes: Some(self.n),
            ..Record::default()
        }
    }
}

/// What is in flight behind a numbered record, if this was before it.
#[must_use]
pub(super) fn behind(mut open: Vec<InFlight>, record: &Record) -> Vec<InFlight> {
    match record.event {
        Some(Event::Intent) => {
            // What does not fit is still an intent in the journal, for whoever reads all of it.
            open.extend(InFlight::begun_by(record).filter(|_| open.len() < MOST));
        }
        Some(Event::Outcome) => {
            // A reset goes on behind the proven death of its node.
            let fenced = record.result.as_deref().is_some_and(|word| word.starts_with("fenced "));
            open.retain_mut(|one| {
                if !one.is_carried_on_by(record) {
                    return true;
                }
                let goes_on = fenced && one.action == "reset";
                one.doing = Doing::PowerOn;
                goes_on
            });
        }
        Some(Event::Start) => open.retain(|one| !one.is_carried_on_by(record)),
        Some(Event::Closed) => open.retain(|one| Some(one.n) != record.closes),
        Some(
            Event::Answer
            | Event::Rehearsal
            | Event::Refused
            | Event::Note
            | Event::Summary
            | Event::Later,
        )
        | None => {}
    }
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: Event, action: &str, result: &str) -> Record {
        Record {
            n: 7,
            boot: "this".to_owned(),
            event: Some(event),
            request: Some("c0ffee".to_owned()),
            caller: Some("node node1".to_owned()),
            action: Some(action.to_owned()),
            node: Some("node2".to_owned()),
            result: Some(result.to_owned()),
            pid: Some(12),
            started: Some(345),
            ..Record::default()
        }
    }

    fn open(action: &str) -> Vec<InFlight> {
        let result = if action == "on" { POWERING_ON } else { "killing" };
        behind(Vec::new(), &record(Event::Intent, action, result))
    }

    fn doing(open: &[InFlight]) -> Vec<Doing> {
        open.iter().map(|one| one.doing).collect()
    }

    #[test]
    fn a_kill_is_in_flight_until_its_outcome_and_a_reset_until_its_start() {
        assert_eq!(doing(&open("off")), [Doing::Kill]);
        assert_eq!(doing(&open("on")), [Doing::PowerOn]);
        // What joins an earlier kill has only the start to do.
        let joins = behind(Vec::new(), &record(Event::Intent, "reset", POWERING_ON));
        assert_eq!(doing(&joins), [Doing::PowerOn]);
        let fenced = |action| record(Event::Outcome, action, "fenced killed");
        assert_eq!(doing(&behind(open("off"), &fenced("off"))), []);
        let starting = behind(open("reset"), &fenced("reset"));
        assert_eq!(doing(&starting), [Doing::PowerOn]);
        for result in ["started created", "not started", "left off"] {
            let start = record(Event::Start, "reset", result);
            assert_eq!(doing(&behind(starting.clone(), &start)), [], "{result}");
        }
        for result in ["not fenced", "dying", "internal"] {
            let failed = record(Event::Outcome, "reset", result);
            assert_eq!(doing(&behind(open("reset"), &failed)), [], "{result}");
        }
    }

    #[test]
    fn only_the_same_broker_and_request_end_it() {
        let outcome = record(Event::Outcome, "off", "fenced killed");
        for other in [
            Record { request: Some("another".to_owned()), ..outcome.clone() },
            Record { pid: Some(13), ..outcome.clone() },
            Record { started: Some(346), ..outcome.clone() },
            Record { boot: "earlier".to_owned(), ..outcome.clone() },
            Record { event: Some(Event::Note), ..outcome.clone() },
            Record { event: Some(Event::Refused), ..outcome },
        ] {
            assert_eq!(doing(&behind(open("off"), &other)), [Doing::Kill], "{other:?}");
        }
    }

    #[test]
    fn it_is_cut_by_a_reboot_or_by_the_end_of_its_broker_and_not_before() {
        let one = open("off").remove(0);
        assert_eq!(one.is_cut("this", &|_| true), None);
        assert_eq!(one.is_cut("this", &|_| false), Some(Cut::BrokerEnded));
        // A process of the same number and start in another boot is another one.
        assert_eq!(one.is_cut("next", &|_| true), Some(Cut::Rebooted));
    }

    #[test]
    fn its_closing_names_it_and_ends_it() {
        let one = open("off").remove(0);
        let by = Record { n: 9, boot: "next".to_owned(), pid: Some(1), ..Record::default() };
        let closing = one.closing(Cut::Rebooted, &by);
        assert_eq!(closing.closes, Some(7));
        assert_eq!(closing.request.as_deref(), Some("c0ffee"));
        assert_eq!(closing.boot, "next");
        let text = closing.text.clone().unwrap();
        assert!(
            text.starts_with(
                "dom0 was booted anew while the kill of node2 (off, asked by node node1 at "
            ),
            "{text}"
        );
        assert_eq!(doing(&behind(vec![one], &closing)), []);
    }

    #[test]
    fn an_intent_that_does_not_say_whose_it_is_is_not_in_flight() {
        let nobodys = Record { pid: None, ..record(Event::Intent, "off", "killing") };
        assert_eq!(behind(Vec::new(), &nobodys), []);
    }

    #[test]
    fn the_list_is_bounded() {
        let intent = record(Event::Intent, "off", "killing");
        let full = (0..200).fold(Vec::new(), |open, _| behind(open, &intent));
        assert_eq!(full.len(), MOST);
    }
}
