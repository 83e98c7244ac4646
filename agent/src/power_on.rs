//! `on` with several dom0s: all are asked whether the node is off before one is asked to start it.
//!
//! The rule that must not break: no dom0 is asked to start the node unless every dom0 has said that
//! it is off there, and before each further one all have said so once more. A dom0 that cannot say
//! counts as one where the node runs. Only a dom0 that cannot or may not start it leaves that to the
//! next: where its start was called off or is forbidden, somebody wants the node off.

use crate::ask::Answer;
use crate::clock::Deadline;
use crate::error::{Error, Kind};
use crate::exit::Exit;
use crate::targets::Target;
use crate::verdict::{self, Verdict};
use std::slice;
use xen_fence_protocol::{Action, Failure, NodeName, Power, Refusal, Request, RequestId};

/// Asks one dom0, from beginning to end.
pub(crate) type AskOne<'a> = dyn FnMut(&Target, &Request, Deadline) -> Answer + 'a;

/// A fresh id: a request with it is a new one to every dom0.
///
/// # Errors
/// The kernel gives no random numbers.
pub(crate) fn fresh_id() -> Result<RequestId, Error> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|error| {
        Error::new(Kind::Usage, format!("the kernel gives no random numbers: {error}"))
    })?;
    Ok(RequestId::from_bits(u128::from_be_bytes(id)))
}

/// Starts the node on the first dom0 that can, if all say that it is off. The order is the caller's;
/// agents that have one and the same never start a node twice.
///
/// # Errors
/// A request could not be made. Whatever dom0 did or said is in the verdict.
pub(crate) fn power_on(
    dom0s: &[Target],
    node: &NodeName,
    deadline: Deadline,
    ask: &mut AskOne<'_>,
) -> Result<(Vec<Answer>, Verdict), Error> {
    let mut answers = look_everywhere(dom0s, node, deadline, ask)?;
    if let Some(verdict) = forbids_start(&answers, node) {
        return Ok((answers, verdict));
    }

    let mut failures: Vec<Error> = Vec::new();
    for (at, target) in dom0s.iter().enumerate() {
        if deadline.left().is_none() {
            failures.push(too_late(target, node));
            break;
        }
        let answer = ask(target, &request(Action::On, node)?, deadline);
        let Err(error) = &answer.end else {
            let mut verdict = verdict::judge(&answer.request, slice::from_ref(&answer), vec![]);
            verdict.warnings.extend(failures.iter().map(ToString::to_string));
            answers.push(answer);
            return Ok((answers, verdict));
        };
        let mut error = error.clone();
        answers.push(answer);
        let is_last = at.saturating_add(1) == dom0s.len();
        let others_may = [Failure::PowerOn.word(), Refusal::NotGranted.word()];
        let mut goes_on = !is_last && error.reason.is_some_and(|word| others_may.contains(&word));
        if goes_on {
            // What failed may have left a domain behind, or somebody else may have started one.
            let again = look_everywhere(dom0s, node, deadline, ask)?;
            if let Some(doubt) = again.iter().find_map(|answer| doubt(answer, node)) {
                error = error.hint(format!("no other dom0 was asked to start {node}: {doubt}"));
                goes_on = false;
            }
            answers.extend(again);
        }
        failures.push(error);
        if !goes_on {
            break;
        }
    }
    Ok((answers, failed(failures)))
}

/// Asks all whether the node is off. The start that follows gets a share of the time as well.
fn look_everywhere(
    dom0s: &[Target],
    node: &NodeName,
    deadline: Deadline,
    ask: &mut AskOne<'_>,
) -> Result<Vec<Answer>, Error> {
    let count = u32::try_from(dom0s.len()).unwrap_or(u32::MAX);
    let mut answers = Vec::new();
    for (target, to_ask) in dom0s.iter().zip((1..=count).rev()) {
        let share = deadline.left().unwrap_or_default() / to_ask.saturating_add(1);
        let until = Deadline::after(share).or_earlier(deadline);
        answers.push(ask(target, &request(Action::Status, node)?, until));
    }
    Ok(answers)
}

fn request(action: Action, node: &NodeName) -> Result<Request, Error> {
    Request::new(fresh_id()?, action, Some(node.clone()))
        .map_err(|error| Error::new(Kind::Usage, error.to_string()))
}

/// The verdict where the node must not be started; none if all say that it is off.
fn forbids_start(answers: &[Answer], node: &NodeName) -> Option<Verdict> {
    let running = running_on(answers);
    let failures: Vec<Error> = answers
        .iter()
        .filter_map(|answer| unable(answer, node))
        .map(|error| {
            if running.is_empty() {
                error
            } else {
                error.hint(format!("{node} runs on {}", running.join(" and ")))
            }
        })
        .collect();
    if let Some(first) = failures.first() {
        let exit = first.kind.exit();
        let mut verdict = failed(failures);
        (verdict.exit, verdict.result) = (exit, exit.word());
        return Some(verdict);
    }
    let (first, others) = running.split_first()?;
    let mut verdict = Verdict::new(Exit::Success, "started");
    verdict.lines.push(format!("{node} runs on {first} already"));
    if !others.is_empty() {
        verdict.warnings.push(format!(
            "{node} runs on {} at once: if it does not migrate just now, two of it write to its disks",
            running.join(" and ")
        ));
    }
    Some(verdict)
}

/// The dom0s that say on, each once, whatever the number of its addresses.
fn running_on(answers: &[Answer]) -> Vec<String> {
    let mut names = Vec::new();
    for answer in answers.iter().filter(|answer| power(answer) == Some(Power::On)) {
        let name = name(answer);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Why an answer does not tell whether the node is off.
fn unable(answer: &Answer, node: &NodeName) -> Option<Error> {
    let endpoint = &answer.endpoint;
    match (&answer.end, power(answer)) {
        (Err(error), _) => {
            let mut error = error.clone();
            error.message = format!(
                "{node} was not started: {endpoint} did not say whether it is off there: {error}"
            );
            Some(error)
        }
        (Ok(_), Some(Power::On | Power::Off)) => None,
        (Ok(_), Some(Power::Unknown) | None) => Some(
            Error::new(
                Kind::Failed,
                format!(
                    "{node} was not started: it is not known whether it is off on {} ({endpoint})",
                    name(answer)
                ),
            )
            .hint(format!("on that dom0: what does `xl list` show of {node}?")),
        ),
    }
}

/// Why the node may run on a dom0 that was asked again; none if that says off.
fn doubt(again: &Answer, node: &NodeName) -> Option<String> {
    if power(again) == Some(Power::On) {
        return Some(format!("{} says now that it is on", name(again)));
    }
    unable(again, node).map(|_| match &again.end {
        Err(error) => format!("{} did not say whether it is off: {error}", again.endpoint),
        Ok(_) => format!("{} does not know whether it is off", name(again)),
    })
}

fn power(answer: &Answer) -> Option<Power> {
    match (&answer.end, answer.told.seen.as_slice()) {
        (Ok(_), [(_, power)]) => Some(*power),
        (Ok(_) | Err(_), _) => None,
    }
}

fn name(answer: &Answer) -> String {
    answer.told.dom0.as_ref().map_or_else(|| answer.endpoint.to_string(), ToString::to_string)
}

fn too_late(target: &Target, node: &NodeName) -> Error {
    Error::new(
        Kind::TimedOut,
        format!("the deadline came before {} could be asked to start {node}", target.name()),
    )
}

/// The last failure is the answer; the others are said before it.
fn failed(errors: Vec<Error>) -> Verdict {
    let exit = errors.last().map_or(Exit::Failed, |error| error.kind.exit());
    let mut verdict = Verdict::new(exit, exit.word());
    verdict.errors = errors;
    verdict
}

#[cfg(test)]
mod tests;
