//! The broker's replies one by one: whole lines, decoded, with our id, notes put aside; and the
//! error for everything that is not one.

use super::{Terms, Told};
use crate::clock::Deadline;
use crate::course::Course;
use crate::error::{Error, Kind, Retry};
use crate::transport::{Broken, Conversation};
use xen_fence_protocol::{
    Action, Body, ClientLine, LineBuffer, MAX_REPLY_LINE, MAX_REPLY_LINES, NodeName, Note, Reply,
};

/// What can have happened to the node so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Nothing.
    Untouched,
    /// `go` may have been heard.
    Gone,
    /// It is proven dead.
    Fenced,
}

/// The replies of one conversation.
pub(super) struct Replies<'a> {
    talk: &'a mut dyn Conversation,
    pub(super) terms: &'a Terms<'a>,
    pub(super) told: &'a mut Told,
    pub(super) stage: Stage,
    pub(super) deadline: Deadline,
    buffer: LineBuffer,
    lines: usize,
    /// What dom0 said last that it waits for, since it may have heard `go`.
    waiting_for: Option<String>,
}

impl<'a> Replies<'a> {
    pub(super) fn new(
        talk: &'a mut dyn Conversation,
        terms: &'a Terms<'a>,
        told: &'a mut Told,
    ) -> Self {
        Self {
            talk,
            terms,
            told,
            stage: Stage::Untouched,
            deadline: terms.deadline,
            buffer: LineBuffer::new(MAX_REPLY_LINE),
            lines: 0,
            waiting_for: None,
        }
    }

    /// Sends a line.
    pub(super) fn say(&mut self, line: &ClientLine) -> Result<(), Error> {
        self.talk.send(&line.to_string(), self.deadline).map_err(|broken| self.broken(&broken))
    }

    /// The next reply that is no note. `refused` and `failed` come as errors.
    pub(super) fn next(&mut self, course: &mut Course<'_>) -> Result<Body, Error> {
        loop {
            let reply = self.next_reply()?;
            match reply.body {
                Body::Note { about, text } => {
                    let said = format!("{}: {text}", reply.dom0);
                    match about {
                        // What delays or spoils an answer has to be on record; what comes of a kill
                        // or a start is said by its own line.
                        // For those who have several dom0s to tell.
                        Note::Going => {}
                        Note::Progress if self.stage == Stage::Untouched => {
                            course.warn(&said);
                            course.tell(&said);
                        }
                        Note::Progress => {
                            course.tell(&said);
                            self.waiting_for = Some(said);
                        }
                        // Said with `ready`, or with the refusal that comes of it.
                        Note::Hold
                            if self.stage == Stage::Untouched
                                && self.terms.request.action().waits_for_go() => {}
                        Note::Journal
                        | Note::State
                        | Note::Hold
                        | Note::Config
                        | Note::LeftOff
                        | Note::Cgroup => course.warn(&said),
                    }
                    self.told.notes.push((about, text));
                }
                Body::Refused { reason, text } => {
                    return Err(Error::new(
                        Kind::Refused,
                        format!("{} refused: {text}", reply.dom0),
                    )
                    .reason(reason.word()));
                }
                Body::Failed { reason, text } => {
                    return Err(Error::new(Kind::Failed, format!("{} failed: {text}", reply.dom0))
                        .reason(reason.word()));
                }
                body @ (Body::Ready { .. }
                | Body::Fenced { .. }
                | Body::Seen { .. }
                | Body::Started { .. }
                | Body::Unstarted { .. }
                | Body::Finding { .. }
                | Body::Done) => return Ok(body),
            }
        }
    }

    fn next_reply(&mut self) -> Result<Reply, Error> {
        let line = loop {
            match self.buffer.take_line() {
                Ok(Some(line)) => break line,
                Ok(None) => {}
                Err(error) => return Err(self.garbage(&error.to_string())),
            }
            self.talk
                .receive(&mut self.buffer, self.deadline)
                .map_err(|broken| self.broken(&broken))?;
        };
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_REPLY_LINES {
            return Err(self.garbage("it has too many lines"));
        }
        let reply = Reply::decode(&line).map_err(|error| self.garbage(&error.to_string()))?;
        // A refusal of a line that could not be read carries no id, and no node is fenced by it.
        if reply.id.is_some_and(|id| id != self.terms.request.id()) {
            return Err(self.garbage("it answers another request"));
        }
        self.told.dom0 = Some(reply.dom0.clone());
        self.told.broker = Some(reply.broker.clone());
        Ok(reply)
    }

    /// The dom0's own name, once it has said it.
    pub(super) fn dom0(&self) -> String {
        self.told.dom0.as_ref().map_or_else(|| "dom0".to_owned(), ToString::to_string)
    }

    /// Sees that a reply is about our node.
    pub(super) fn is_about(&self, node: &NodeName, of: &NodeName) -> Result<(), Error> {
        if node == of {
            Ok(())
        } else {
            Err(self.garbage(&format!("it is about {of}, not {node}")))
        }
    }

    /// The error for a reply that has no place here.
    pub(super) fn out_of_place(&self, body: &Body) -> Error {
        self.garbage(&format!("\"{}\" has no place here", body.word()))
    }

    /// The error for an answer that does not keep to the protocol.
    pub(super) fn garbage(&self, why: &str) -> Error {
        let message = format!("the answer of {} is not to be trusted: {why}", self.dom0());
        let error = match self.stage {
            Stage::Untouched => Error::new(Kind::Broken, self.untouched(&message)).hint(
                "are agent and broker of one version? does something print before the broker does?",
            ),
            Stage::Gone => self.unknown(Kind::Unknown, &message),
            Stage::Fenced => Error::new(Kind::Broken, message),
        };
        self.with_complaint(error)
    }

    fn broken(&self, broken: &Broken) -> Error {
        let dom0 = self.dom0();
        let (message, kind) = match broken {
            Broken::TimedOut => {
                ("the deadline passed before dom0 answered".to_owned(), Kind::TimedOut)
            }
            Broken::Ended => {
                (format!("{dom0} ended the session before it had answered"), Kind::Broken)
            }
            Broken::Lost(why) => {
                (format!("the connection to {dom0} broke: {why}"), Kind::Unreachable)
            }
        };
        let error = match (self.stage, kind) {
            (Stage::Gone, Kind::TimedOut) => self.unknown(Kind::TimedOut, &message),
            (Stage::Gone, _) => self.unknown(Kind::Unknown, &message),
            (Stage::Fenced, kind) => Error::new(kind, message),
            (Stage::Untouched, Kind::TimedOut) if self.told.broker.is_none() => Error::new(
                kind,
                self.untouched(&message),
            )
            .hint(
                "no broker has spoken: sudo, which starts it, waits for syslog, PAM or the name \
                     service as sshd does; or the toolstack or the cluster's lock keeps it waiting",
            ),
            (Stage::Untouched, kind) => {
                Error::new(kind, self.untouched(&message)).retry(match broken {
                    Broken::TimedOut => Retry::Never,
                    // Words instead of a broker: a person has to read them.
                    Broken::Ended if self.talk.complaint().is_some() => Retry::Never,
                    Broken::Ended => Retry::Soon,
                    Broken::Lost(_) => Retry::UntilDeadline,
                })
            }
        };
        self.with_complaint(error)
    }

    fn untouched(&self, message: &str) -> String {
        if self.terms.request.action().waits_for_go() {
            format!("{message}; nothing was touched")
        } else {
            message.to_owned()
        }
    }

    fn unknown(&self, kind: Kind, message: &str) -> Error {
        let node = self.terms.request.node().map_or("the node", |node| node.as_str());
        let what = if self.terms.request.action() == Action::On {
            format!("{node} may or may not have been started")
        } else {
            format!("{node} may or may not be dead")
        };
        // The reason, as far as anybody knows it; where one line is all that is shown, this is it.
        let last = self.waiting_for.as_ref();
        let last = last.map_or_else(String::new, |said| format!("; the last word of {said}"));
        Error::new(kind, format!("outcome unknown, {what}: {message}{last}"))
            .hint(format!("dom0 finishes and records what it began: ask `xen-fence status {node}`"))
            .hint("on dom0, `xen-fence-admin log` shows what became of it")
    }

    fn with_complaint(&self, error: Error) -> Error {
        match self.talk.complaint() {
            Some(complaint) => error.hint(format!("dom0 says: {complaint}")),
            None => error,
        }
    }
}
