//! What `check` finds on this side: the steps up to the broker, each with a hint where it fails.

use crate::ask::Answer;
use crate::error::{Error, Kind};
use crate::phase::Phase;
use crate::resolve::{Source, without_asking};
use xen_fence_protocol::Level;

/// One line of a rehearsal, wherever it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The node it concerns.
    pub(crate) node: Option<String>,
    /// How serious it is.
    pub(crate) level: Level,
    /// The step, a stable word.
    pub(crate) step: String,
    /// The sentence.
    pub(crate) text: String,
}

impl Finding {
    /// A finding about this machine or the way to dom0.
    pub(crate) fn here(level: Level, step: &str, text: impl Into<String>) -> Self {
        Self { node: None, level, step: step.to_owned(), text: text.into() }
    }

    /// A finding that is an error.
    pub(crate) fn of_error(step: &str, error: &Error) -> Self {
        let hints = error.hints.iter().map(|hint| format!(" (hint: {hint})")).collect::<String>();
        Self::here(Level::Fail, step, format!("{error}{hints}"))
    }
}

/// The steps on the way to the broker, in their order, and what they are called here.
const STEPS: [(Phase, &str, &str); 6] = [
    (Phase::Resolve, "resolve", "the address is known"),
    (Phase::Connect, "connect", "sshd is there"),
    (Phase::KeyExchange, "host-key", "the host key is the recorded one"),
    (Phase::Login, "login", "the key is accepted"),
    (Phase::Channel, "session", "a session can be opened"),
    (Phase::Answer, "broker", "the broker answers"),
];

/// Two entries that may be one dom0 without the agent's knowing: it would wait for itself there.
pub(crate) fn one_name_twice(answers: &[Answer]) -> Option<Finding> {
    let name = |answer: &Answer| answer.told.dom0.clone();
    let (one, other) = answers.iter().enumerate().find_map(|(at, one)| {
        let mut before = answers.iter().take(at);
        before.find(|other| name(one).is_some() && name(other) == name(one)).map(|o| (o, one))
    })?;
    let text = format!(
        "{} and {} are both called {}: if they are one dom0, a fence may wait for itself there \
         (hint: let known_hosts have the same key for both, each by its own name and port)",
        one.endpoint,
        other.endpoint,
        name(one)?
    );
    Some(Finding::here(Level::Warn, "one-dom0", text))
}

/// Everything that asking a dom0 showed, this side's steps first.
pub(crate) fn findings(answer: &Answer) -> Vec<Finding> {
    let mut findings = Vec::new();
    let place = answer.endpoint.to_string();
    let (source, _) = without_asking(&answer.endpoint.host);
    if source == Source::Resolver {
        let host = &answer.endpoint.host;
        findings.push(Finding::here(
            Level::Warn,
            "dns",
            format!(
                "{place}: {host} needs DNS: a fence hangs to its deadline when the resolver does \
                 (hint: name dom0 by its address, or put {host} into /etc/hosts)"
            ),
        ));
    }
    for (phase, took) in answer.phases.iter() {
        if let Some((_, step, text)) = STEPS.iter().find(|(of, _, _)| *of == phase) {
            let took = crate::phase::millis(took);
            findings.push(Finding::here(Level::Ok, step, format!("{place}: {text} ({took} ms)")));
        }
    }
    findings.extend(answer.told.findings.iter().map(|found| Finding {
        node: found.node.as_ref().map(ToString::to_string),
        level: found.level,
        step: found.step.as_str().to_owned(),
        text: found.text.to_string(),
    }));
    if let Err(error) = &answer.end {
        let step = answer
            .stuck_in
            .and_then(|phase| STEPS.iter().find(|(of, _, _)| *of == phase))
            .map_or("host-key", |(_, step, _)| step);
        let step = if error.kind == Kind::HostKey { "host-key" } else { step };
        findings.push(Finding::of_error(step, error));
    } else if answer.told.findings.is_empty() {
        let text = format!("{place}: the broker reported nothing");
        findings.push(Finding::here(Level::Warn, "broker", text));
    }
    findings
}
