//! The one object of `--json`.

use crate::ask::Answer;
use crate::error::Error;
use crate::exit::Exit;
use crate::fence::{Stands, stands};
use crate::verdict::Verdict;
use serde_json::{Map, Value, json};
use std::time::Duration;
use xen_fence_protocol::Request;

/// The object for a call that asked its dom0s. Its id is that of the last request: a start that
/// asks around first makes several.
pub(crate) fn of_verdict(
    request: &Request,
    verdict: &Verdict,
    answers: &[Answer],
    total: Duration,
) -> Value {
    json!({
        "action": request.action().word(),
        "node": request.node().map(ToString::to_string),
        "id": answers.last().map_or(request, |answer| &answer.request).id().to_string(),
        "result": verdict.result,
        "exit": verdict.exit.code(),
        "exit_word": verdict.exit.word(),
        "ms": to_millis(total),
        "confirmed_down": request.confirmed_down().iter().map(ToString::to_string)
            .collect::<Vec<_>>(),
        "warnings": verdict.warnings,
        "errors": verdict.errors.iter().map(error_object).collect::<Vec<_>>(),
        "findings": verdict.findings.iter().map(|finding| json!({
            "dom0": finding.dom0,
            "node": finding.node,
            "level": finding.level.word(),
            "step": finding.step,
            "text": finding.text,
            "hints": finding.hints,
            "ms": finding.took.map(to_millis),
        })).collect::<Vec<_>>(),
        "dom0s": answers.iter().map(of_answer).collect::<Vec<_>>(),
    })
}

/// The object for a call that did not get as far.
pub(crate) fn of_error(error: &Error) -> Value {
    let exit = error.kind.exit();
    json!({
        "result": exit.word(),
        "exit": exit.code(),
        "exit_word": exit.word(),
        "error": error_object(error),
    })
}

fn of_answer(answer: &Answer) -> Value {
    let mut phases = Map::new();
    for (phase, took) in answer.phases.iter() {
        phases.insert(phase.word().replace(' ', "_"), json!(to_millis(took)));
    }
    let told = &answer.told;
    json!({
        "endpoint": answer.endpoint.to_string(),
        "asked": answer.request.action().word(),
        "id": answer.request.id().to_string(),
        "dom0": told.dom0.as_ref().map(ToString::to_string),
        "broker": told.broker.as_ref().map(ToString::to_string),
        "attempts": answer.attempts,
        "stands": answer.stands.map(stands),
        "phases": phases,
        "stuck_in": answer.stuck_in.filter(|_| answer.end.is_err()).map(|phase| phase.word()),
        "nodes": told.seen.iter().map(|(node, power)| json!({
            "node": node.as_str(),
            "power": power.word(),
        })).collect::<Vec<_>>(),
        "notes": told.notes.iter().map(|(about, text)| json!({
            "about": about.word(),
            "text": text.as_str(),
        })).collect::<Vec<_>>(),
        "warnings": told.warnings,
        "exit": exit_of(answer).map(Exit::code),
        "error": answer.end.as_ref().err().map(error_object),
    })
}

/// The exit code that its answer alone would have led to; none for a dom0 that has none, because it
/// was not asked, or not heard out.
fn exit_of(answer: &Answer) -> Option<Exit> {
    match (&answer.end, answer.stands) {
        (Err(error), _) => Some(error.kind.exit()),
        (Ok(_), None | Some(Stands::Fenced(_) | Stands::Looked(..))) => Some(Exit::Success),
        (Ok(_), Some(_)) => None,
    }
}

/// An error with its hints.
pub(crate) fn error_object(error: &Error) -> Value {
    json!({ "message": error.message, "hints": error.hints, "reason": error.reason })
}

fn to_millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 10_000.0).round() / 10.0
}
