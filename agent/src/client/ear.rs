//! What a broker says, line by line: decoded, with our id, notes told as they come; and the sentence
//! for everything that is no answer.
//!
//! Pure but for what it tells: the bytes come from elsewhere, so that one dom0 or several can be
//! listened to.

use super::{Terms, Told};
use crate::clock::Moment;
use crate::course::Course;
use crate::error::{Error, Kind, Retry};
use crate::transport::Broken;
use xen_fence_protocol::{
    Action, Body, LineBuffer, MAX_REPLY_LINE, MAX_REPLY_LINES, Note, Reply, Text,
};

/// What can have happened to the node so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing.
    Untouched,
    /// `go` may have been heard.
    Gone,
    /// It is proven dead.
    Fenced,
}

/// One broker, as it is heard.
pub(crate) struct Ear<'a> {
    pub(crate) terms: &'a Terms<'a>,
    pub(crate) told: &'a mut Told,
    pub(crate) stage: Stage,
    /// What came and was not yet taken.
    pub(crate) buffer: LineBuffer,
    lines: usize,
    /// What it is called as long as it has not said its name.
    called: String,
    /// When it was begun to listen.
    since: Moment,
    /// What dom0 said last that it waits for, since it may have heard `go`.
    waiting_for: Option<String>,
}

impl<'a> Ear<'a> {
    pub(crate) fn new(terms: &'a Terms<'a>, told: &'a mut Told) -> Self {
        Self {
            terms,
            told,
            stage: Stage::Untouched,
            buffer: LineBuffer::new(MAX_REPLY_LINE),
            lines: 0,
            called: "dom0".to_owned(),
            since: Moment::now(),
            waiting_for: None,
        }
    }

    /// The same, with a name for as long as it has not said its own.
    pub(crate) fn called(mut self, name: Option<String>) -> Self {
        self.called = name.unwrap_or(self.called);
        self
    }

    /// The next thing that was said, notes included; none if no whole line is there.
    ///
    /// # Errors
    /// It does not keep to the protocol.
    pub(crate) fn take(&mut self, course: &mut Course<'_>) -> Result<Option<Body>, Error> {
        let line = match self.buffer.take_line() {
            Ok(Some(line)) => line,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.told.garbled = true;
                return Err(self.garbage(&error.to_string()));
            }
        };
        self.lines = self.lines.saturating_add(1);
        if self.lines > MAX_REPLY_LINES {
            return Err(self.garbage("it has too many lines"));
        }
        let reply = Reply::decode(&line).map_err(|error| {
            self.told.garbled = true;
            self.garbage(&error.to_string())
        })?;
        let since = self.since;
        self.told.first_word.get_or_insert_with(|| since.elapsed());
        // What is said before a line was read, or of one that could not be, carries no id, and no
        // node is fenced by it.
        if reply.id.is_some_and(|id| id != self.terms.request.id()) {
            return Err(self.garbage("it answers another request"));
        }
        self.told.dom0 = Some(reply.dom0.clone());
        self.told.broker = Some(reply.broker.clone());
        if let Body::Note { about, text } = &reply.body {
            self.note(*about, text, course);
        }
        Ok(Some(reply.body))
    }

    fn note(&mut self, about: Note, text: &Text, course: &mut Course<'_>) {
        let said = format!("{}: {text}", self.dom0());
        match about {
            // What delays or spoils an answer has to be on record; what comes of a kill or a start is
            // said by its own line.
            Note::Progress if self.stage == Stage::Untouched => {
                course.warn(&said);
                course.tell(&said);
            }
            Note::Progress => {
                course.tell(&said);
                self.waiting_for = Some(said);
            }
            // They are for those who have several dom0s to tell.
            Note::Going | Note::Listening => return,
            // Said with `ready`, or with the refusal that comes of it.
            Note::Hold
                if self.stage == Stage::Untouched && self.terms.request.action().waits_for_go() => {
            }
            Note::Journal
            | Note::State
            | Note::Hold
            | Note::Config
            | Note::LeftOff
            | Note::Cgroup => course.warn(&said),
        }
        self.told.notes.push((about, text.clone()));
    }

    /// The error that a refusal or a failure is; none for anything else.
    pub(crate) fn is_no(&self, body: &Body) -> Option<Error> {
        let dom0 = self.dom0();
        match body {
            Body::Refused { reason, text } => Some(
                Error::new(Kind::Refused, format!("{dom0} refused: {text}")).reason(reason.word()),
            ),
            Body::Failed { reason, text } => Some(
                Error::new(Kind::Failed, format!("{dom0} failed: {text}")).reason(reason.word()),
            ),
            Body::Ready { .. }
            | Body::Note { .. }
            | Body::Fenced { .. }
            | Body::Seen { .. }
            | Body::Started { .. }
            | Body::Unstarted { .. }
            | Body::Finding { .. }
            | Body::Done => None,
        }
    }

    /// The dom0's own name, once it has said it.
    pub(crate) fn dom0(&self) -> String {
        self.told.dom0.as_ref().map_or_else(|| self.called.clone(), ToString::to_string)
    }

    /// The error for a reply that has no place here.
    pub(crate) fn out_of_place(&self, body: &Body) -> Error {
        self.garbage(&format!("\"{}\" has no place here", body.word()))
    }

    /// The error for a reply that has no place here, or is about another node.
    pub(crate) fn misplaced(&self, body: &Body) -> Error {
        let of = match body {
            Body::Ready { node, .. }
            | Body::Fenced { node, .. }
            | Body::Seen { node, .. }
            | Body::Started { node, .. }
            | Body::Unstarted { node, .. } => Some(node),
            Body::Note { .. }
            | Body::Finding { .. }
            | Body::Refused { .. }
            | Body::Failed { .. }
            | Body::Done => None,
        };
        match (of, self.terms.request.node()) {
            (Some(of), Some(node)) if of != node => {
                self.garbage(&format!("it is about {of}, not {node}"))
            }
            _ => self.out_of_place(body),
        }
    }

    /// The error for an answer that does not keep to the protocol.
    pub(crate) fn garbage(&self, why: &str) -> Error {
        let message = format!("the answer of {} is not to be trusted: {why}", self.dom0());
        match self.stage {
            Stage::Untouched => Error::new(Kind::Broken, self.untouched(&message)).hint(
                "are agent and broker of one version? does something print before the broker does?",
            ),
            Stage::Gone => self.unknown(Kind::Unknown, &message),
            Stage::Fenced => Error::new(Kind::Broken, message),
        }
    }

    /// The error for a conversation that broke off; `complains` if dom0 said something else instead.
    pub(crate) fn broken(&self, broken: &Broken, complains: bool) -> Error {
        let dom0 = self.dom0();
        let (message, kind) = match broken {
            Broken::TimedOut => {
                (format!("the deadline passed before {} answered", self.called), Kind::TimedOut)
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
                 service as sshd does",
            ),
            (Stage::Untouched, Kind::TimedOut) => Error::new(kind, self.untouched(&message))
                .hint("its broker runs: the toolstack or the cluster's lock keeps it waiting"),
            (Stage::Untouched, kind) => {
                Error::new(kind, self.untouched(&message)).retry(match broken {
                    Broken::TimedOut => Retry::Never,
                    // Words instead of a broker: a person has to read them.
                    Broken::Ended if complains => Retry::Never,
                    Broken::Ended => Retry::Soon,
                    Broken::Lost(_) => Retry::UntilDeadline,
                })
            }
        };
        // Under the same id dom0 only tells what became of it.
        match (self.stage, broken) {
            (Stage::Gone, Broken::Ended | Broken::Lost(_)) => error.retry(Retry::UntilDeadline),
            (Stage::Untouched | Stage::Gone | Stage::Fenced, _) => error,
        }
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
}

/// Adds what dom0 said instead of an answer.
pub(crate) fn with_complaint(error: Error, complaint: Option<Text>) -> Error {
    match complaint {
        Some(complaint) => error.hint(format!("dom0 says: {complaint}")),
        None => error,
    }
}
