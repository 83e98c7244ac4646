//! One request as it goes on: the session, the records, and the parts of the host it works with.

use super::{Door, House};
use crate::acl::{Grant, Node, PolicyError};
use crate::brake::Brakes;
use crate::clock::Moment;
use crate::fence::NotFenced;
use crate::hold::Holds;
use crate::identity::{Identity, Unproven};
use crate::journal::Event;
use crate::names::{Caller, ClusterName};
use crate::power_on::Starts;
use crate::processes::{ProcFs, Writers};
use crate::recorder::Recorder;
use crate::session::Session;
use crate::settings::{Dump, Settings, SettingsError};
use crate::sight::{Blind, Host, Sight};
use crate::state::{Remembered, State};
use crate::syslog::Severe;
use crate::toolstack::Toolstack;
use std::path::{Path, PathBuf};
use xen_fence_protocol::{Body, Failure, HostName, Note, Power, Refusal, Request, RequestId, Text};

/// How a request ends when it does not end well.
#[derive(Debug)]
pub(super) enum End {
    /// Nothing was touched.
    Refused { reason: Refusal, told: String, recorded: String },
    /// It was granted and did not succeed. What is recorded may name what the guest must not learn.
    Failed { reason: Failure, told: String, recorded: String },
    /// The agent went away before anything was touched; the words say when.
    Gone(&'static str),
}

impl End {
    pub(super) fn refuse(reason: Refusal, text: &str) -> Self {
        Self::Refused { reason, told: text.to_owned(), recorded: text.to_owned() }
    }

    pub(super) fn failed(reason: Failure, text: String) -> Self {
        Self::Failed { reason, told: text.clone(), recorded: text }
    }

    pub(super) fn internal(text: String) -> Self {
        Self::failed(Failure::Internal, text)
    }

    pub(super) fn unproven(unproven: Unproven) -> Self {
        Self::Refused {
            reason: Refusal::Identity,
            told: "this host does not know who you are; its administrator finds the reason in the \
                   host's log"
                .to_owned(),
            recorded: unproven.why,
        }
    }

    pub(super) fn policy(error: &PolicyError) -> Self {
        Self::Refused {
            reason: Refusal::Policy,
            told: error.short().to_owned(),
            recorded: error.one_line(),
        }
    }

    pub(super) fn settings(error: &SettingsError) -> Self {
        Self::Refused {
            reason: Refusal::Policy,
            told:
                "this host's broker.toml is broken, so it serves nobody; its administrator finds \
                   the reason in the host's log"
                    .to_owned(),
            recorded: error.one_line(),
        }
    }
}

impl From<Blind> for End {
    fn from(blind: Blind) -> Self {
        Self::Failed { reason: blind.failure(), told: blind.told(), recorded: blind.to_string() }
    }
}

impl From<NotFenced> for End {
    fn from(not: NotFenced) -> Self {
        Self::Failed { reason: not.failure, told: not.told, recorded: not.recorded }
    }
}

/// One request.
pub(super) struct Case<'a, 'fd> {
    pub(super) house: &'a House<'a>,
    pub(super) session: &'a mut Session<'fd>,
    pub(super) recorder: Recorder,
    /// When the request line had been read.
    pub(super) asked_at: Moment,
}

/// What is known once a request is granted, and the host that it is carried out on.
pub(super) struct Work<'a> {
    pub(super) id: RequestId,
    pub(super) cluster: ClusterName,
    pub(super) grant: Grant,
    pub(super) host: Host<'a>,
    /// The hosts of which the asker states that they are down.
    pub(super) confirmed_down: Vec<HostName>,
    /// What is wanted of a core before a kill.
    pub(super) dump: Option<Dump>,
    run: &'a Path,
    holds: &'a Path,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        house: &'a House<'a>,
        request: &Request,
        cluster: ClusterName,
        grant: Grant,
        toolstack: &'a dyn Toolstack,
        settings: &Settings,
    ) -> Self {
        let host = Host { toolstack, processes: &ProcFs, clock: house.clock };
        let confirmed_down = request.confirmed_down().to_vec();
        Self {
            id: request.id(),
            cluster,
            grant,
            host,
            confirmed_down,
            dump: settings.dump().cloned(),
            run: house.run,
            holds: house.holds,
        }
    }

    /// What an act rests on: the policy's rule, and what a person has stated.
    pub(super) fn basis(&self) -> String {
        format!("{}{}", self.grant.rule(), self.stated())
    }

    /// What a person has stated, as the end of a sentence.
    pub(super) fn stated(&self) -> String {
        let states = |host| format!("; {} states that {host} is down", self.grant.caller());
        self.confirmed_down.iter().map(states).collect()
    }

    /// The node that a granted reset, off, on or status is about.
    pub(super) fn target(&self) -> Result<&Node, End> {
        match self.grant.targets() {
            [node] => Ok(node),
            _ => Err(End::internal(
                "the grant does not name one node; nothing was touched".to_owned(),
            )),
        }
    }

    pub(super) fn lock_path(&self) -> PathBuf {
        self.run.join(format!("{}.lock", self.cluster))
    }

    /// The lock of this caller: whoever opens many sessions waits for himself, and another node of
    /// the cluster waits for one of them at most.
    pub(super) fn turn_path(&self) -> PathBuf {
        self.run.join(format!("{}={}.turn", self.cluster, self.caller()))
    }

    /// The lock of whoever is next to have the cluster's: nobody who comes later passes it.
    pub(super) fn next_path(&self) -> PathBuf {
        self.run.join(format!("{}.next", self.cluster))
    }

    /// Who asks, in the same letters each time.
    pub(super) fn caller(&self) -> String {
        match self.grant.caller() {
            Caller::Node(name) => format!("node={}", name.lower()),
            Caller::Operator(name) => format!("operator={}", name.lower()),
            Caller::Root(name) => format!("root={}", name.lower()),
        }
    }

    pub(super) fn state(&self) -> State {
        State::at(self.run.join(format!("{}.state", self.cluster)))
    }

    /// The holds of this cluster's nodes.
    pub(super) fn holds(&self) -> Holds {
        Holds::of(self.holds, &self.cluster)
    }

    /// The brakes of this cluster's nodes.
    pub(super) fn brakes(&self) -> Brakes {
        Brakes::of(self.run, &self.cluster)
    }

    /// The power-ons of this cluster, planned and under way.
    pub(super) fn starts(&self) -> Starts {
        Starts::of(self.run.join("starts"), self.cluster.clone())
    }

    /// Whether a power-on of the node is planned or under way at this moment.
    pub(super) fn is_starting(&self, node: &Node) -> bool {
        self.starts().has_plan_for(node, self.host.processes)
    }

    /// The processes that an earlier fence of the node has seen write for it, or that may, and not end.
    pub(super) fn writers_of_before(&self, node: &Node) -> Writers {
        let before = self.state().recall();
        before.fence_of(node.name()).map_or_else(Writers::default, |last| Writers {
            known: last.writers.clone(),
            perhaps: last.perhaps.clone(),
            neighbours: Vec::new(),
        })
    }

    /// What stands against taking the node for off, besides a domain that lives.
    pub(super) fn obstacle(&self, node: &Node, sight: &Sight) -> Option<String> {
        let writes = || {
            let mut writers = self.writers_of_before(node);
            writers.learn(&sight.writers);
            self.host.living_writer(&writers)
        };
        sight.obstacle().or_else(writes)
    }

    /// What a sight says of a node. One that is about to be powered on is not off, nor one that was
    /// when the look began: its domain may have come too late for the listing.
    pub(super) fn power(&self, node: &Node, sight: &Sight, was_starting: bool) -> Power {
        let power = sight.power(&self.host);
        let started = |state: &Remembered| state.fence_of(node.name())?.started_ms;
        let comes = || {
            was_starting
                || self.is_starting(node)
                || self.starts().has_orphan_for(node, &self.host).unwrap_or(true)
                || self.obstacle(node, sight).is_some()
                || started(&self.state().recall()).is_some_and(|at| at >= sight.at.millis())
        };
        if power == Power::Off && comes() { Power::Unknown } else { power }
    }
}

impl<'a, 'fd> Case<'a, 'fd> {
    pub(super) fn open(
        house: &'a House<'a>,
        session: &'a mut Session<'fd>,
        identity: &Result<Identity, Unproven>,
    ) -> Self {
        let cluster = match identity {
            Ok(identity) => Some(&identity.cluster),
            Err(unproven) => unproven.cluster.as_ref(),
        };
        let mut recorder = Recorder::new(house.journals, house.run, cluster);
        match (identity, cluster) {
            (Ok(identity), _) => recorder.asked_by(identity),
            (Err(_), Some(cluster)) => recorder.asked_through(cluster),
            (Err(_), None) => {}
        }
        Self { house, session, recorder, asked_at: house.clock.now() }
    }

    pub(super) fn asked_for(&mut self, request: &Request) {
        self.session.answers_to(request.id());
        self.recorder.asked_for(request);
        self.asked_at = self.house.clock.now();
    }

    /// Records something. A record that is missing from the journal is said, and stops nothing; so
    /// is an earlier request for this node that the journal has no end of.
    pub(super) fn record(&mut self, event: Event, severe: Severe, result: &str, text: &str) {
        for said in self.recorder.record(event, severe, result, text) {
            self.note(Note::Journal, &said);
        }
    }

    pub(super) fn note(&mut self, about: Note, text: &str) {
        self.session.say(Body::Note { about, text: Text::escaped(text) });
    }

    /// Answers and records the end of the request, and then what can wait for that.
    pub(super) fn close(mut self, end: Result<(), End>) {
        // A guest is not told what root has to know.
        let to_root = matches!(self.house.door, Door::Root(_));
        let text =
            |told: &str, recorded: &str| Text::escaped(if to_root { recorded } else { told });
        match end {
            Ok(()) => self.session.say(Body::Done),
            Err(End::Refused { reason, told, recorded }) => {
                self.record(Event::Refused, Severe::Warning, reason.word(), &recorded);
                self.session.say(Body::Refused { reason, text: text(&told, &recorded) });
            }
            Err(End::Failed { reason, told, recorded }) => {
                self.record(Event::Outcome, Severe::Error, reason.word(), &recorded);
                self.session.say(Body::Failed { reason, text: text(&told, &recorded) });
            }
            Err(End::Gone(when)) => {
                self.record(Event::Note, Severe::Notice, "gone", &format!("the agent left {when}"));
            }
        }
        self.recorder.finish();
    }
}
