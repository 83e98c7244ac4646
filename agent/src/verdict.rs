//! From the answers of all dom0s to one result: a word, an exit code, the lines of the answer.
//!
//! Pure, so that the rules stand in one place: unknown is never off, and one dom0 that did not
//! answer keeps the others from saying off.

use crate::ask::Answer;
use crate::client::{Start, Success};
use crate::error::Error;
use crate::exit::Exit;
use crate::rehearsal::{self, Finding};
use xen_fence_protocol::{Action, HostName, Level, NodeName, Power, Request, StartedHow};

/// What the whole call came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The exit code.
    pub(crate) exit: Exit,
    /// A stable word for programs.
    pub(crate) result: &'static str,
    /// The answer, for standard output.
    pub(crate) lines: Vec<String>,
    /// What to know besides.
    pub(crate) warnings: Vec<String>,
    /// What failed, in the order in which it is said; a rehearsal has it among its findings.
    pub(crate) errors: Vec<Error>,
    /// The findings of a rehearsal.
    pub(crate) findings: Vec<Finding>,
}

impl Verdict {
    /// A verdict with nothing to say yet.
    pub(crate) const fn new(exit: Exit, result: &'static str) -> Self {
        Self {
            exit,
            result,
            lines: Vec::new(),
            warnings: Vec::new(),
            errors: Vec::new(),
            findings: Vec::new(),
        }
    }
}

/// Judges the answers. `here` is what a rehearsal found before any dom0 was asked.
pub(crate) fn judge(request: &Request, answers: &[Answer], here: Vec<Finding>) -> Verdict {
    let mut verdict = match request.action() {
        Action::Reset | Action::Off | Action::On => acted(request, answers),
        Action::Status => status(request, answers),
        Action::List => list(answers),
        Action::Monitor | Action::Check => return rehearsed(request, answers, here),
    };
    verdict.errors =
        answers.iter().filter_map(|answer| answer.end.as_ref().err()).cloned().collect();
    verdict
}

fn acted(request: &Request, answers: &[Answer]) -> Verdict {
    let node = request.node().map_or("-", |node| node.as_str());
    // One answer, or none, which is no success: crate::fence judges a fence by several dom0s, and
    // crate::power_on each start by itself.
    let [answer] = answers else { return Verdict::new(Exit::Failed, "failed") };
    let dom0 = answer.told.dom0.as_ref().map_or("dom0", |dom0| dom0.as_str());
    match &answer.end {
        Err(error) => Verdict::new(error.kind.exit(), error.kind.exit().word()),
        Ok(Success::Fenced { how, start }) => {
            let mut verdict = Verdict::new(Exit::Success, "fenced");
            let mut line = format!("{node} fenced ({how}) by {dom0}");
            match start {
                Start::NotAsked => {}
                Start::Started(StartedHow::Created) => line.push_str(", and started"),
                Start::Started(StartedHow::Running) => line.push_str(", and running"),
                Start::GoesOn => line.push_str(", and is being started"),
                Start::Unstarted(why) => {
                    line.push_str(", not started");
                    verdict.warnings.push(format!("{node} is off and stays off: {why}"));
                }
                Start::NotSeen(why) => {
                    line.push_str(", its start was not seen");
                    verdict
                        .warnings
                        .push(format!("{node} was fenced, but its start was not seen: {why}"));
                }
            }
            verdict.lines.push(line);
            verdict
        }
        Ok(Success::Started(how)) => {
            let mut verdict = Verdict::new(Exit::Success, "started");
            let line = match how {
                StartedHow::Created => format!("{node} started by {dom0}"),
                StartedHow::Running => format!("{node} runs on {dom0} already"),
            };
            verdict.lines.push(line);
            verdict
        }
        // Cannot be: the conversation of these actions does not end like this. It is no success.
        Ok(Success::Answered) => Verdict::new(Exit::Failed, "failed"),
    }
}

fn status(request: &Request, answers: &[Answer]) -> Verdict {
    let node = request.node().map_or("-", |node| node.as_str());
    let said: Vec<Power> = answers
        .iter()
        .map(|answer| match (&answer.end, answer.told.seen.as_slice()) {
            (Ok(_), [(_, power)]) => *power,
            (Ok(_) | Err(_), _) => Power::Unknown,
        })
        .collect();
    let power = combined(&said);
    let exit = match power {
        Power::On | Power::Off => Exit::Success,
        Power::Unknown => failures(answers).unwrap_or(Exit::Failed),
    };
    let mut verdict = Verdict::new(exit, power.word());
    verdict.lines.push(format!("{node} {power}"));
    verdict
}

/// On where anybody says on, off where everybody says off, and else unknown.
fn combined(said: &[Power]) -> Power {
    if said.contains(&Power::On) {
        Power::On
    } else if !said.is_empty() && said.iter().all(|power| *power == Power::Off) {
        Power::Off
    } else {
        Power::Unknown
    }
}

fn list(answers: &[Answer]) -> Verdict {
    let one = answers.len() == 1;
    let exit = failures(answers).unwrap_or(Exit::Success);
    let mut verdict =
        Verdict::new(exit, if exit == Exit::Success { "listed" } else { exit.word() });
    // A dom0 that was asked at two of its addresses speaks of each node once.
    let mut rows: Vec<(&NodeName, Option<&HostName>, Vec<Power>)> = Vec::new();
    for answer in answers.iter().filter(|answer| answer.end.is_ok()) {
        let dom0 = answer.told.dom0.as_ref();
        for (node, power) in &answer.told.seen {
            let same = rows.iter_mut().find(|(of, by, _)| *of == node && *by == dom0);
            match same.filter(|_| dom0.is_some()) {
                Some((_, _, said)) => said.push(*power),
                None => rows.push((node, dom0, vec![*power])),
            }
        }
    }
    for (node, dom0, said) in &rows {
        let power = combined(said);
        verdict.lines.push(match (dom0, one) {
            (Some(dom0), false) => format!("{node} {power} {dom0}"),
            (Some(_) | None, _) => format!("{node} {power}"),
        });
    }
    verdict
}

fn rehearsed(request: &Request, answers: &[Answer], here: Vec<Finding>) -> Verdict {
    let mut findings = here;
    for answer in answers {
        let all = rehearsal::findings(answer);
        findings.extend(all);
    }
    findings.extend(rehearsal::one_name_twice(answers));
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    let exit = match (failed, request.action()) {
        (false, _) if answers.is_empty() => Exit::Failed,
        (false, _) => Exit::Success,
        // A monitor that did not get through says why in its code; a check says it in its lines.
        (true, Action::Monitor) => failures(answers).unwrap_or(Exit::Failed),
        (true, _) => Exit::Failed,
    };
    let mut verdict = Verdict::new(exit, if exit == Exit::Success { "ok" } else { "failed" });
    for finding in &findings {
        let several = answers.len() > 1;
        // A monitor is for programs that call often: it is silent about what is well.
        if request.action() == Action::Check {
            verdict.lines.extend(finding.lines(several));
        } else if finding.level != Level::Ok {
            verdict.lines.push(finding.line(several));
        }
    }
    verdict.findings = findings;
    verdict
}

/// The exit code of the dom0s that failed: theirs where they agree, else simply failed.
fn failures(answers: &[Answer]) -> Option<Exit> {
    let mut exits = answers
        .iter()
        .filter_map(|answer| answer.end.as_ref().err())
        .map(|error| error.kind.exit());
    let first = exits.next()?;
    Some(if exits.all(|exit| exit == first) { first } else { Exit::Failed })
}

#[cfg(test)]
mod tests;
