//! The conversation with a broker: one request, `go` where it takes one, and the answer.
//!
//! Success comes from a reply line with our id and our node and from nothing else. Until `go` has
//! been sent every failure says that nothing was touched; after it, every failure says that the
//! outcome is unknown, unless the broker itself says what it is.

mod ear;
#[cfg(test)]
pub(crate) mod fake;
mod replies;
#[cfg(test)]
mod tests;

use crate::clock::{Deadline, Moment};
use crate::course::Course;
use crate::error::{Error, Kind};
use crate::kept_id::KeptId;
use crate::phase::Phase;
use crate::transport::Conversation;
pub(crate) use ear::{Ear, Stage, with_complaint};
use replies::Replies;
use std::cell::RefCell;
use std::time::Duration;
use xen_fence_protocol::{
    Action, Body, ClientLine, Hold, HostName, How, Level, NodeName, Note, Power, Refusal, Request,
    StartedHow, Step, Text, Version,
};

/// How long the last line is waited for once a node is fenced; only notes can still come.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(2);

/// What holds for one conversation.
#[derive(Debug)]
pub(crate) struct Terms<'a> {
    /// What is asked.
    pub(crate) request: &'a Request,
    /// When the request was made.
    pub(crate) begun: Moment,
    /// How long after that `go` may still be sent.
    pub(crate) go_by: Duration,
    /// The deadline for everything.
    pub(crate) deadline: Deadline,
    /// The request's id, which hears of every `go` and of what came of it.
    pub(crate) kept: &'a RefCell<KeptId>,
}

/// One finding of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The node it concerns.
    pub(crate) node: Option<NodeName>,
    /// How serious it is.
    pub(crate) level: Level,
    /// The step.
    pub(crate) step: Step,
    /// The sentence.
    pub(crate) text: Text,
    /// How long after what was said before it.
    pub(crate) took: Duration,
}

/// Everything that a broker told, whatever came of it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Its dom0.
    pub(crate) dom0: Option<HostName>,
    /// Its version.
    pub(crate) broker: Option<Version>,
    /// How long it took until it said its first line.
    pub(crate) first_word: Option<Duration>,
    /// How long the whole way to it and the answer took.
    pub(crate) took: Duration,
    /// The public key that it was shown, as a line has it.
    pub(crate) own_key: Option<String>,
    /// Something was heard that is not in the protocol's form.
    pub(crate) garbled: bool,
    /// Its notes.
    pub(crate) notes: Vec<(Note, Text)>,
    /// What it sees of which node.
    pub(crate) seen: Vec<(NodeName, Power)>,
    /// Its findings.
    pub(crate) findings: Vec<Finding>,
    /// What the agent itself has to say about it.
    pub(crate) warnings: Vec<String>,
}

/// What became of the power-on after a proven death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// None was asked for.
    NotAsked,
    /// The node runs.
    Started(StartedHow),
    /// The broker says why it does not.
    Unstarted(String),
    /// dom0 goes on with it, and the agent does not stay for it.
    GoesOn,
    /// The agent did not see the end of it, and says why.
    NotSeen(String),
}

/// How a conversation ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Success {
    /// The node is fenced.
    Fenced { how: How, start: Start },
    /// The node runs.
    Started(StartedHow),
    /// The answer is in what was told.
    Answered,
}

/// Holds the conversation of anything but a fence, which [`crate::fence`] holds.
///
/// # Errors
/// What went wrong, with what is known of the node.
pub(crate) fn converse(
    talk: &mut dyn Conversation,
    terms: &Terms<'_>,
    told: &mut Told,
    course: &mut Course<'_>,
) -> Result<Success, Error> {
    let action = terms.request.action();
    if action.kills() {
        return Err(Error::new(Kind::Broken, "a fence is held by all dom0s; nothing was touched"));
    }
    let acts = action.waits_for_go();
    course.begin(if acts { Phase::Ready } else { Phase::Answer });
    let mut replies = Replies::new(talk, terms, told);
    replies.say(&ClientLine::Request(terms.request.clone()))?;
    match terms.request.node() {
        Some(node) if acts => {
            become_ready(&mut replies, node, terms, course)?;
            // From here on the node may run whatever else happens: even a `go` that failed to go out
            // may have gone out.
            replies.ear.stage = Stage::Gone;
            start(replies, node, course)
        }
        node => listen(replies, node, course),
    }
}

/// Waits for `ready`, and sees that `go` may be said.
fn become_ready(
    replies: &mut Replies<'_>,
    node: &NodeName,
    terms: &Terms<'_>,
    course: &mut Course<'_>,
) -> Result<(), Error> {
    let reply = replies.next(course)?;
    let Body::Ready { node: of, power, hold, .. } = reply else {
        return Err(replies.out_of_place(&reply));
    };
    replies.is_about(node, &of)?;
    course.end(&format!("{node} is {power}"));
    let said = holds(replies.ear.told);
    let dom0 = replies.ear.dom0();
    if hold == Hold::Forbid && power != Power::On {
        return Err(held(node, &dom0, said.last()));
    }
    for text in said {
        course.warn(&format!("{dom0}: {text}"));
    }
    if terms.begun.elapsed() >= terms.go_by || terms.deadline.left().is_none() {
        return Err(Error::new(
            Kind::TimedOut,
            format!(
                "{} was ready only {:.0} s after the request, too late; nothing was touched",
                replies.ear.dom0(),
                terms.begun.elapsed().as_secs_f64()
            ),
        )
        .hint("what is slow there? `xen-fence -v check` shows where the time goes"));
    }
    Ok(())
}

/// Who holds the node, as a broker said.
pub(crate) fn holds(told: &Told) -> Vec<String> {
    let of_hold = |(about, text): &(Note, Text)| (*about == Note::Hold).then(|| text.to_string());
    told.notes.iter().filter_map(of_hold).collect()
}

/// The error for a node that a dom0 holds.
pub(crate) fn held(node: &NodeName, dom0: &str, said: Option<&String>) -> Error {
    let who = said.map_or_else(|| format!("{node} is held"), Clone::clone);
    Error::new(Kind::Refused, format!("{dom0}: nothing was touched: {who}"))
        .reason(Refusal::Held.word())
        .hint(format!(
            "the owner of {dom0} can lift the hold that was set with `xen-fence-admin hold`"
        ))
}

fn start(
    mut replies: Replies<'_>,
    node: &NodeName,
    course: &mut Course<'_>,
) -> Result<Success, Error> {
    course.begin(Phase::Start);
    replies.ear.terms.kept.borrow_mut().going();
    replies.say(&ClientLine::Go(replies.ear.terms.request.id()))?;
    let reply = replies.next(course)?;
    let Body::Started { node: of, how } = reply else {
        return Err(replies.out_of_place(&reply));
    };
    replies.is_about(node, &of)?;
    replies.ear.terms.kept.borrow_mut().answered();
    course.end(how.word());
    replies.deadline = replies.deadline.or_earlier(Deadline::after(LAST_WORDS));
    let _ = replies.next(course);
    Ok(Success::Started(how))
}

/// Takes the answer to what changes nothing; only `done` makes it whole.
fn listen(
    mut replies: Replies<'_>,
    node: Option<&NodeName>,
    course: &mut Course<'_>,
) -> Result<Success, Error> {
    let action = replies.ear.terms.request.action();
    let sees = matches!(action, Action::Status | Action::List);
    let mut before = Moment::now();
    loop {
        match replies.next(course)? {
            Body::Seen { node: of, power } if sees => {
                if let Some(node) = node {
                    replies.is_about(node, &of)?;
                }
                if replies.ear.told.seen.iter().any(|(other, _)| *other == of) {
                    return Err(replies.garbage(&format!("it speaks twice of {of}")));
                }
                replies.ear.told.seen.push((of, power));
            }
            Body::Finding { node, level, step, text } if !sees => {
                let now = Moment::now();
                let took = now.since(std::mem::replace(&mut before, now));
                replies.ear.told.findings.push(Finding { node, level, step, text, took });
            }
            Body::Done if action != Action::Status || !replies.ear.told.seen.is_empty() => {
                course.end("");
                return Ok(Success::Answered);
            }
            reply @ (Body::Ready { .. }
            | Body::Note { .. }
            | Body::Fenced { .. }
            | Body::Seen { .. }
            | Body::Started { .. }
            | Body::Unstarted { .. }
            | Body::Finding { .. }
            | Body::Refused { .. }
            | Body::Failed { .. }
            | Body::Done) => return Err(replies.out_of_place(&reply)),
        }
    }
}
