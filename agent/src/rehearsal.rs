//! What a rehearsal finds: the steps of a fence in their order, each with its time, and where one
//! fails what mends it, and on which machine.
//!
//! The steps up to the broker are this side's; what dom0 finds comes as it is told. Nothing here
//! asks anybody.

mod complete;
mod hints;
pub(crate) mod one_line;
#[cfg(test)]
mod tests;

use crate::ask::Answer;
use crate::config::Settings;
use crate::error::{Error, Kind};
use crate::known_hosts::KnownHosts;
use crate::phase::{Phase, millis};
use crate::resolve::{Source, without_asking};
pub(crate) use complete::complete;
use std::time::Duration;
use xen_fence_protocol::{Level, Refusal, Version};

/// One line of a rehearsal, wherever it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The dom0 that was asked; none for what is here.
    pub(crate) dom0: Option<String>,
    /// The node it concerns.
    pub(crate) node: Option<String>,
    /// How serious it is.
    pub(crate) level: Level,
    /// The step, a stable word.
    pub(crate) step: String,
    /// The sentence.
    pub(crate) text: String,
    /// What mends it, each with the machine on which to do it.
    pub(crate) hints: Vec<String>,
    /// How long the step took.
    pub(crate) took: Option<Duration>,
}

impl Finding {
    /// A finding about this machine.
    pub(crate) fn here(level: Level, step: &str, text: impl Into<String>) -> Self {
        let (step, text) = (step.to_owned(), text.into());
        Self { dom0: None, node: None, level, step, text, hints: Vec::new(), took: None }
    }

    /// The sentence with its hints, in one.
    pub(crate) fn sentence(&self) -> String {
        let hints = self.hints.iter().map(|hint| format!(" (hint: {hint})"));
        hints.fold(self.text.clone(), |said, hint| said + &hint)
    }

    /// The lines that a person reads; of several dom0s each is named.
    pub(crate) fn lines(&self, several: bool) -> Vec<String> {
        let took = self.took.map(|took| format!(" ({} ms)", millis(took))).unwrap_or_default();
        let first = format!("{}{}{took}", self.head(several), self.text);
        let hints = self.hints.iter().map(|hint| format!("     hint: {hint}"));
        std::iter::once(first).chain(hints).collect()
    }

    /// The same in one line, for a log.
    pub(crate) fn line(&self, several: bool) -> String {
        format!("{}{}", self.head(several), self.sentence())
    }

    fn head(&self, several: bool) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let node = self.node.as_deref().unwrap_or("-");
        let place = self.dom0.as_ref().filter(|_| several);
        let place = place.map(|dom0| format!("{dom0}: ")).unwrap_or_default();
        format!("{level:4} {node} {} {place}", self.step)
    }
}

/// The settings that a fence would use.
pub(crate) fn settings(settings: &Settings) -> Finding {
    let dom0s: Vec<String> = settings.dom0s.iter().map(ToString::to_string).collect();
    let text =
        format!("a fence asks {}, within {} s", dom0s.join(" and "), settings.timeout.as_secs());
    Finding::here(Level::Ok, "settings", text)
}

/// Settings that no fence could use.
pub(crate) fn of_settings(error: &Error) -> Finding {
    let mut finding = local("settings", error);
    if error.kind == Kind::Usage {
        finding.hints = vec![hints::enroll("--dom0 fence-CLUSTER@HOST:PORT")];
    }
    finding
}

/// The hosts' keys.
pub(crate) fn known_hosts(known_hosts: &KnownHosts) -> Finding {
    let is = if known_hosts.exists() { "can be read" } else { "does not exist" };
    Finding::here(Level::Ok, "known-hosts", format!("{} {is}", known_hosts.path().display()))
}

/// A file of this machine that no fence could use.
pub(crate) fn local(step: &str, error: &Error) -> Finding {
    let mut finding = Finding::here(Level::Fail, step, error.message.clone());
    finding.hints = error.hints.iter().map(|hint| format!("here, as root: {hint}")).collect();
    if step == "key" && error.message.ends_with("does not exist") {
        finding.hints = vec![hints::enroll("")];
    }
    finding
}

/// The steps on the way to the broker, in their order, and what they are called here.
const STEPS: [(Phase, &str, &str); 5] = [
    (Phase::Resolve, "name", "the name is known: "),
    (Phase::Connect, "address", "sshd is there: "),
    (Phase::KeyExchange, "host-key", "it is the recorded one: "),
    (Phase::Login, "login", "the key is accepted: "),
    (Phase::Channel, "session", "a session is open"),
];

/// Two entries that may be one dom0 without the agent's knowing: it would wait for itself there.
pub(crate) fn one_name_twice(answers: &[Answer]) -> Option<Finding> {
    let name = |answer: &Answer| answer.told.dom0.clone();
    let (one, other) = answers.iter().enumerate().find_map(|(at, one)| {
        let mut before = answers.iter().take(at);
        before.find(|other| name(one).is_some() && name(other) == name(one)).map(|o| (o, one))
    })?;
    let text = format!(
        "{} and {} are both called {}: if they are one dom0, a fence may wait for itself there",
        one.endpoint,
        other.endpoint,
        name(one)?
    );
    let mut finding = Finding::here(Level::Warn, "one-dom0", text);
    finding.hints = vec![
        "here: let known_hosts have the same key for both, each by its own name and port"
            .to_owned(),
    ];
    Some(finding)
}

/// Everything that asking a dom0 showed, in the order of a fence.
pub(crate) fn findings(answer: &Answer) -> Vec<Finding> {
    let place = answer.endpoint.to_string();
    let found = |level, step: &str, text: String, took| Finding {
        dom0: Some(place.clone()),
        took,
        ..Finding::here(level, step, text)
    };
    let mut findings = Vec::new();
    for (phase, took, detail) in answer.phases.in_full() {
        let Some((_, step, text)) = STEPS.iter().find(|(of, _, _)| *of == phase) else { continue };
        let detail = detail.split(';').next().unwrap_or_default();
        let mut finding = found(Level::Ok, step, format!("{text}{detail}"), Some(took));
        if phase == Phase::Resolve && without_asking(&answer.endpoint.host).0 == Source::Resolver {
            finding.level = Level::Warn;
            finding.text = format!(
                "{} needs DNS: a fence hangs to its deadline when the resolver does",
                answer.endpoint.host
            );
            finding.hints = vec![hints::hosts_file(answer)];
        }
        findings.push(finding);
    }
    if let Some(broker) = &answer.told.broker {
        let dom0 = answer.told.dom0.as_ref().map_or("dom0", |dom0| dom0.as_str());
        let text = format!("it has started the broker on {dom0}");
        findings.push(found(Level::Ok, "sudo", text, answer.told.first_word));
        let (level, text) = protocol(broker, dom0);
        let mut finding = found(level, "protocol", text, None);
        finding.hints =
            (level != Level::Ok).then(|| hints::one_version(dom0)).into_iter().collect();
        findings.push(finding);
    }
    findings.extend(answer.told.findings.iter().map(|told| {
        let (text, took, hint) = hints::taken_apart(told.text.as_str());
        let took = took.unwrap_or(told.took);
        let mut finding = found(told.level, told.step.as_str(), text, Some(took));
        finding.node = told.node.as_ref().map(ToString::to_string);
        finding.hints = hint.into_iter().collect();
        finding
    }));
    if let Err(error) = &answer.end {
        let step = stuck_at(answer, error);
        let took = answer.told.took.saturating_sub(answer.phases.total());
        let took = (!answer.told.took.is_zero()).then_some(took);
        let mut finding = found(Level::Fail, step, error.message.clone(), took);
        finding.hints = hints::of(step, error, answer);
        findings.push(finding);
    } else if answer.told.findings.is_empty() {
        let text = "the broker reported nothing".to_owned();
        findings.push(found(Level::Warn, "policy", text, None));
    }
    findings
}

/// Both speak the same protocol, or nothing would have been understood.
fn protocol(broker: &Version, dom0: &str) -> (Level, String) {
    let own = env!("CARGO_PKG_VERSION");
    let text = format!(
        "{}; the broker on {dom0} is {broker}, this agent {own}",
        xen_fence_protocol::VERSION
    );
    (if broker.to_string() == own { Level::Ok } else { Level::Warn }, text)
}

/// The reasons by which the policy says no.
const POLICY: [Refusal; 5] =
    [Refusal::Policy, Refusal::Identity, Refusal::Source, Refusal::NotYours, Refusal::NotGranted];

/// The step that an attempt ended in.
fn stuck_at(answer: &Answer, error: &Error) -> &'static str {
    if error.kind == Kind::HostKey {
        return "host-key";
    }
    let of_policy = |word| POLICY.iter().any(|reason| reason.word() == word);
    match answer.stuck_in {
        Some(Phase::Answer) if answer.told.garbled => "protocol",
        Some(Phase::Answer) if answer.told.broker.is_none() => "sudo",
        Some(Phase::Answer) if error.reason.is_some_and(of_policy) => "policy",
        Some(phase) => STEPS.iter().find(|(of, _, _)| *of == phase).map_or("answer", |step| step.1),
        None => "host-key",
    }
}
