//! What a person is told of a fence: one sentence for what stands against it, and how far each dom0
//! came.

use super::Stands;
use super::member::Member;
use crate::ask::Answer;
use crate::client::{Start, Success, held, holds};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Retry};
use crate::exit::Exit;
use crate::transport::Broken;
use crate::verdict::{self, Verdict};
use xen_fence_protocol::{COLLECTED_BY, How, Power, Refusal, Request, StartedHow, Why};

/// A round that has to begin anew, because of this dom0 if one kept the others waiting.
pub(super) fn again(awaited: Option<usize>, members: &[Member<'_>]) -> Error {
    let said = || members.iter().find_map(|member| member.error.clone());
    let error = match awaited.and_then(|host| members.get(host)) {
        Some(slow) => not_in_step(slow, members),
        None => said().unwrap_or_else(|| {
            let text = format!("not every dom0 was ready to fence {} at one time", node(members));
            Error::new(Kind::TimedOut, text)
        }),
    };
    untouched_anywhere(error.retry(Retry::UntilDeadline))
}

/// One dom0 was not ready while others were.
fn not_in_step(slow: &Member<'_>, members: &[Member<'_>]) -> Error {
    let dom0 = slow.ear.dom0();
    let error = Error::new(
        Kind::TimedOut,
        format!("{dom0} was not ready to fence {} while the other dom0s were", node(members)),
    );
    let names = members.iter().map(|member| member.ear.dom0());
    if names.filter(|name| *name == dom0).count() > 1 {
        return error.hint(format!(
            "two of them call themselves {dom0}: if they are one, let known_hosts have the same \
             keys for both names of it"
        ));
    }
    error.hint(if slow.listens {
        format!(
            "its toolstack is slow ({} s for all is the limit), or another fence of this cluster is \
             under way there",
            COLLECTED_BY.as_secs()
        )
    } else {
        "sudo, which starts its broker, waits for syslog, PAM or the name service".to_owned()
    })
}

fn untouched_anywhere(mut error: Error) -> Error {
    if !error.message.contains("nothing was touched") {
        error.message.push_str("; nothing was touched on any dom0");
    }
    error
}

/// A dom0 that has to be asked is not there.
pub(super) fn missing(mut error: Error, one_of_several: Option<Endpoint>) -> Error {
    let Some(who) = one_of_several else { return error };
    if !error.message.contains(&who.host.to_string()) {
        error.message = format!("{who}: {}", error.message);
    }
    match error.message.strip_suffix("; nothing was touched") {
        Some(message) => error.message = format!("{message}; nothing was touched on any dom0"),
        None => error.message.push_str("; nothing was touched on any dom0"),
    }
    error
        .hint("if that host is down for certain, a person can say so: `xen-fence --confirmed-down`")
}

/// Nobody was told to go.
pub(super) fn untouched(why: Why, members: &[Member<'_>]) -> Error {
    let node = node(members);
    let error = match why {
        Why::Said(host) | Why::Lost(host) => of(members, host),
        Why::OutOfPlace(host) => members.get(host).map_or_else(nobody, Member::misplaced),
        Why::Held(host) => {
            let Some(member) = members.get(host) else { return nobody() };
            match member.ear.terms.request.node() {
                Some(node) => held(node, &member.ear.dom0(), holds(member.ear.told).last()),
                None => nobody(),
            }
        }
        Why::TooLate => too_late(members),
        Why::Shell(_) | Why::SeenAgain(_) => {
            Error::new(Kind::Broken, format!("{node} was not touched"))
        }
    };
    match members {
        [_] | [] => error,
        several => with_stands(untouched_anywhere(error), several),
    }
}

/// `go` was said, and there is no proof.
pub(super) fn unknown(why: Why, members: &[Member<'_>]) -> Error {
    let node = node(members);
    let several = members.len() > 1;
    let error = match why {
        Why::Said(host) if several => {
            let mut error = of(members, host);
            // Whoever refused had nothing done; the others may have.
            error.kind = Kind::Failed;
            error.message = format!("{node} is not proven dead: {}", error.message);
            // It had let go of its lock. Asked again, it is told what became of the others.
            let late = error.reason == Some(Refusal::LateGo.word());
            if late { error.retry(Retry::UntilDeadline) } else { error }
        }
        Why::Said(host) | Why::Lost(host) => of(members, host),
        Why::OutOfPlace(host) => members.get(host).map_or_else(nobody, Member::misplaced),
        Why::Shell(host) => {
            let dom0 = members.get(host).map_or_else(String::new, |member| member.ear.dom0());
            Error::new(
                Kind::Failed,
                format!(
                    "{dom0} killed only the shell that a migration of {node} left: no proof of death"
                ),
            )
            .hint(if several {
                format!("{node} may run on a dom0 that was not asked")
            } else {
                format!("{node} may run on another dom0, which has to be asked")
            })
        }
        Why::SeenAgain(host) => {
            let dom0 = members.get(host).map_or_else(String::new, |member| member.ear.dom0());
            Error::new(
                Kind::Failed,
                format!(
                    "{node} is not proven dead: every dom0 said fenced, and {dom0} saw it again then"
                ),
            )
            .hint(format!("it may have migrated in between, or somebody started it: fence {node} again"))
        }
        Why::Held(_) | Why::TooLate => too_late(members),
    };
    if several { with_stands(error, members) } else { error }
}

/// Who has not answered in time.
fn too_late(members: &[Member<'_>]) -> Error {
    let waited_for = |member: &&Member<'_>| {
        !member.is_over() && !matches!(member.stands, Stands::Unasked | Stands::Looked(..))
    };
    let open = |member: &&Member<'_>| matches!(member.stands, Stands::Asked | Stands::Gone);
    let unstarted = |member: &&Member<'_>| members.len() > 1 && !member.listens;
    let late = members.iter().find(open).or_else(|| members.iter().find(unstarted));
    let late = late.or_else(|| members.iter().find(waited_for));
    late.or(members.first()).map_or_else(nobody, |member| member.broken(&Broken::TimedOut))
}

fn of(members: &[Member<'_>], host: usize) -> Error {
    let error = members.get(host).and_then(|member| member.error.clone());
    error.unwrap_or_else(nobody)
}

fn nobody() -> Error {
    Error::new(Kind::Broken, "no dom0 says why")
}

fn node<'a>(members: &'a [Member<'_>]) -> &'a str {
    let node = members.first().and_then(|member| member.ear.terms.request.node());
    node.map_or("the node", |node| node.as_str())
}

fn with_stands(mut error: Error, members: &[Member<'_>]) -> Error {
    for member in members {
        error = error.hint(format!("{}: {}", member.ear.dom0(), stands(member.stands)));
    }
    error
}

/// How far a dom0 came, for people and for `--json`.
pub(crate) fn stands(stands: Stands) -> String {
    match stands {
        Stands::Unasked => "was not asked".to_owned(),
        Stands::Asked => "was asked, and was not ready".to_owned(),
        Stands::Ready => "was ready, and was not told to go".to_owned(),
        Stands::Gone => "was told to go, and has not answered".to_owned(),
        Stands::Fenced(how) => format!("fenced ({how})"),
        Stands::Looked(how, Power::Off) => format!("fenced ({how}), and off when looked at again"),
        Stands::Looked(how, power) => format!("fenced ({how}), and {power} when looked at again"),
        Stands::Against => "refused or failed".to_owned(),
        Stands::Lost => "could not be heard to its end".to_owned(),
    }
}

/// The result of a fence that failed.
pub(super) fn failed(
    request: &Request,
    mut answers: Vec<Answer>,
    error: Error,
) -> (Vec<Answer>, Verdict) {
    if let [one] = answers.as_mut_slice() {
        one.end = Err(error);
        let verdict = verdict::judge(request, &answers, Vec::new());
        return (answers, verdict);
    }
    let exit = error.kind.exit();
    let mut verdict = Verdict::new(exit, exit.word());
    // The one that stands against it is named in the error; what else failed is worth a line.
    for answer in &answers {
        if let Err(other) = &answer.end
            && !error.message.contains(&other.message)
        {
            verdict.warnings.push(format!("{}: {other}", name(answer)));
        }
    }
    verdict.errors.push(error);
    (answers, verdict)
}

/// The result of a fence that is proven.
pub(super) fn fenced(request: &Request, answers: Vec<Answer>) -> (Vec<Answer>, Verdict) {
    if answers.len() == 1 {
        let verdict = verdict::judge(request, &answers, Vec::new());
        return (answers, verdict);
    }
    let node = request.node().map_or("-", |node| node.as_str());
    let mut verdict = Verdict::new(Exit::Success, "fenced");
    let (mut by, mut start) = (Vec::new(), None);
    for answer in &answers {
        match &answer.end {
            Ok(Success::Fenced { how, start: of }) => {
                by.push(match how {
                    How::Absent => format!("absent on {}", name(answer)),
                    How::Killed | How::Joined | How::Shell => format!("{how} by {}", name(answer)),
                });
                if *of != Start::NotAsked && start.is_none() {
                    start = Some((of, name(answer)));
                }
            }
            Err(error) => verdict.warnings.push(format!(
                "{} was left out, where {node} cannot run by its pin: {error}",
                name(answer)
            )),
            Ok(Success::Started(_) | Success::Answered) => {}
        }
    }
    let mut line = format!("{node} fenced ({})", by.join(", "));
    match start {
        None | Some((Start::NotAsked, _)) => {}
        Some((Start::Started(StartedHow::Created), dom0)) => {
            line.push_str(&format!(", and started by {dom0}"));
        }
        Some((Start::Started(StartedHow::Running), dom0)) => {
            line.push_str(&format!(", and running on {dom0}"));
        }
        Some((Start::GoesOn, dom0)) => line.push_str(&format!(", and is being started by {dom0}")),
        Some((Start::Unstarted(why), _)) => {
            line.push_str(", not started");
            verdict.warnings.push(format!("{node} is off and stays off: {why}"));
        }
        Some((Start::NotSeen(why), _)) => {
            line.push_str(", its start was not seen");
            let text = format!("{node} was fenced, but its start was not seen: {why}");
            verdict.warnings.push(text);
        }
    }
    verdict.lines.push(line);
    (answers, verdict)
}

fn name(answer: &Answer) -> String {
    answer.told.dom0.as_ref().map_or_else(|| answer.endpoint.to_string(), ToString::to_string)
}
