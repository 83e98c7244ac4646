//! One call of the agent, by whichever door it came in: settings, then what is local, then the dom0s,
//! for a fence all together and else one after the other, then one verdict.
//!
//! Nothing here decides whether a node is dead, and nothing here speaks to anybody but the dom0s and
//! whoever watches.

use crate::ask::{self, Answer, Ask};
use crate::clock::{Deadline, Moment};
use crate::config::{Settings, Wishes};
use crate::course::Watch;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::fence;
use crate::identity::Identity;
use crate::kept_id::KeptId;
use crate::known_hosts::KnownHosts;
use crate::power_on::{fresh_id, power_on};
use crate::reach::Means;
use crate::rehearsal::{self, Finding};
use crate::targets::{self, Target};
use crate::transport::ssh::is_hash_of;
use crate::verdict::{self, Verdict};
use std::cell::RefCell;
use std::slice;
use std::sync::Arc;
use std::time::Duration;
use xen_fence_protocol::{AGENT_DEADLINE, Action, HostName, Level, NodeName, Request};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// What to do.
    pub(crate) action: Action,
    /// The node it concerns.
    pub(crate) node: Option<NodeName>,
    /// The nodes that a rehearsal is about, where it is about several and not all.
    pub(crate) nodes: Vec<NodeName>,
    /// The dom0s that a person says are down.
    pub(crate) confirmed_down: Vec<String>,
    /// What is not to be as agent.toml has it.
    pub(crate) wishes: Wishes,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Carried {
    /// What was asked of the dom0s.
    pub(crate) request: Request,
    /// What they answered.
    pub(crate) answers: Vec<Answer>,
    /// What that comes to.
    pub(crate) verdict: Verdict,
    /// How long all of it might have taken.
    pub(crate) timeout: Duration,
}

impl Call {
    /// Carries it out.
    ///
    /// # Errors
    /// No dom0 could be asked. Whatever a dom0 did or said is in the verdict.
    pub(crate) fn carry_out(&self, begun: Moment, watch: &mut dyn Watch) -> Result<Carried, Error> {
        let action = self.action;
        let mut request = Request::new(fresh_id()?, action, self.node.clone())
            .map_err(|error| Error::new(Kind::Usage, error.to_string()))?;
        let settings = match Settings::load(&self.wishes) {
            // A rehearsal reports what the settings on file would do to a fence.
            Err(error) if action == Action::Check && !self.wishes.names_dom0() => {
                let here = vec![rehearsal::of_settings(&error)];
                let verdict = verdict::judge(&request, &[], here);
                let timeout = AGENT_DEADLINE;
                return Ok(Carried { request, answers: Vec::new(), verdict, timeout });
            }
            settings => settings?,
        };
        let deadline = Deadline::at(begun.plus(settings.timeout));

        let mut here = vec![rehearsal::settings(&settings)];
        let identity = local("key", Identity::read(&settings.identity), action, &mut here)?;
        let known_hosts =
            local("known-hosts", KnownHosts::read(&settings.known_hosts), action, &mut here)?;
        let (mut answers, mut judged) = (Vec::new(), None);
        if let (Some(identity), Some(known_hosts)) = (identity, known_hosts) {
            let text = format!("{} can be used", identity.name());
            here.push(Finding::here(Level::Ok, "key", text));
            here.push(rehearsal::known_hosts(&known_hosts));
            let mut targets = targets(&settings, action, &known_hosts);
            let means = Arc::new(Means { identity, known_hosts });
            match (request.node().cloned(), action) {
                (Some(node), Action::Reset | Action::Off) => {
                    let down = targets::without(&mut targets, &self.confirmed_down)?;
                    targets::pin(&mut targets, settings.pins.get(&node));
                    let kept = KeptId::take(&node, action)?;
                    request = fencing(&kept, action, node, down)?;
                    for text in kept.word().into_iter().chain([asking(&targets, &request).as_str()])
                    {
                        watch.details(text);
                    }
                    let kept = RefCell::new(kept);
                    let ask = Ask { request: &request, means: &means, begun, kept: &kept };
                    let (said, verdict) = fence::fence(targets, &ask, deadline, watch);
                    kept.borrow_mut().untouched();
                    (answers, judged) = (said, Some(verdict));
                }
                (Some(node), Action::On) if targets.len() > 1 => {
                    let mut ask = |target: &Target, request: &Request, until| {
                        ask_one(target, request, &means, Moment::now(), until, watch)
                    };
                    let (said, verdict) = power_on(&targets, &node, deadline, &mut ask)?;
                    (answers, judged) = (said, Some(verdict));
                }
                _ => {
                    let mut ask = |target: &Target, until| {
                        ask_one(target, &request, &means, begun, until, watch)
                    };
                    answers = ask_all(&targets, deadline, &mut ask);
                    if action == Action::Check {
                        rehearsal::complete(&mut answers, &self.nodes, settings.timeout);
                    }
                }
            }
        }
        let verdict = judged.unwrap_or_else(|| verdict::judge(&request, &answers, here));
        Ok(Carried { request, answers, verdict, timeout: settings.timeout })
    }
}

/// Whether everything is there that a call needs on this side. Nobody is asked.
///
/// # Errors
/// What is missing or wrong first.
pub(crate) fn validate(wishes: &Wishes) -> Result<(), Error> {
    let settings = Settings::load(wishes)?;
    Identity::read(&settings.identity)?;
    let known_hosts = KnownHosts::read(&settings.known_hosts)?;
    for dom0 in &settings.dom0s {
        let pins = known_hosts.find(dom0, &is_hash_of);
        if let Some(error) = pins.unusable() {
            return Err(error);
        }
        if pins.algorithms().is_none() {
            let (file, name) = (known_hosts.path().display(), dom0.known_as());
            let why = format!("{file} has no host key of {name}");
            return Err(Error::new(Kind::HostKey, why)
                .hint(format!("ssh-keyscan -p {} {} shows it; compare it", dom0.port, dom0.host)));
        }
    }
    Ok(())
}

/// The request of a fence, under the id that is kept for it.
fn fencing(
    kept: &KeptId,
    action: Action,
    node: NodeName,
    down: Vec<HostName>,
) -> Result<Request, Error> {
    Request::new(kept.id(), action, Some(node))
        .and_then(|request| request.with_confirmed_down(down))
        .map_err(|error| Error::new(Kind::Usage, format!("--confirmed-down: {error}")))
}

fn ask_one(
    target: &Target,
    request: &Request,
    means: &Arc<Means>,
    begun: Moment,
    until: Deadline,
    watch: &mut dyn Watch,
) -> Answer {
    watch.details(&asking(slice::from_ref(target), request));
    let kept = RefCell::new(KeptId::of(request.id()));
    ask::ask(target, &Ask { request, means, begun, kept: &kept }, until, watch)
}

fn asking(targets: &[Target], request: &Request) -> String {
    let names: Vec<String> = targets.iter().map(Target::name).collect();
    format!("asking {}: {} {}", names.join(", "), request.action(), request.id())
}

/// The dom0s to ask. A rehearsal walks every way by itself; everything else takes those that lead to
/// one dom0 together.
fn targets(settings: &Settings, action: Action, known_hosts: &KnownHosts) -> Vec<Target> {
    let keys = |endpoint: &Endpoint| known_hosts.find(endpoint, &is_hash_of).prints();
    let own_keys = |endpoint: &Endpoint| known_hosts.find(endpoint, &is_hash_of).own_prints();
    match (action, settings.dom0s.as_slice()) {
        (Action::Check | Action::Monitor, _) | (_, [_]) => {
            settings.dom0s.iter().cloned().map(Target::at).collect()
        }
        (Action::On, dom0s) => {
            let mut targets = targets::together(dom0s, &own_keys);
            targets::in_order(&mut targets, &keys);
            targets
        }
        (Action::Reset | Action::Off | Action::Status | Action::List, dom0s) => {
            targets::together(dom0s, &own_keys)
        }
    }
}

/// What a local step gave. A rehearsal goes on to report it; everything else ends with it.
fn local<T>(
    step: &str,
    result: Result<T, Error>,
    action: Action,
    here: &mut Vec<Finding>,
) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if action == Action::Check => {
            here.push(rehearsal::local(step, &error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One dom0 after the other; those still to be asked share the time that is left.
fn ask_all(
    targets: &[Target],
    deadline: Deadline,
    ask: &mut dyn FnMut(&Target, Deadline) -> Answer,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    for (target, to_ask) in targets.iter().zip((1..=count).rev()) {
        let share = deadline.left().unwrap_or_default() / to_ask;
        answers.push(ask(target, Deadline::after(share).or_earlier(deadline)));
    }
    answers
}
