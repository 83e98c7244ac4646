//! One dom0 in a round: its session, what was heard of it, and why it is out if it is.

use crate::client::{Ear, Stage, Terms, Told, with_complaint};
use crate::course::Course;
use crate::error::Error;
use crate::phase::Phase;
use crate::transport::{Broken, Moved, Over, Side};
use xen_fence_protocol::{Asker, Body, ClientLine, How, Note, Power};

/// One dom0.
pub(super) struct Member<'a> {
    pub(super) side: &'a mut dyn Side,
    pub(super) ear: Ear<'a>,
    pub(super) course: Course<'a>,
    /// How far it came.
    pub(super) stands: Stands,
    /// Where it sees the asker.
    pub(super) asker: Option<Asker>,
    /// How it fenced the node.
    pub(super) how: Option<How>,
    /// Its last word but notes.
    pub(super) last: Option<Body>,
    /// What it said of the power-on.
    pub(super) start: Option<Body>,
    /// What stands against it.
    pub(super) error: Option<Error>,
    /// Its broker runs.
    pub(super) listens: bool,
    over: bool,
}

/// How far a dom0 came in a fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It was not asked.
    Unasked,
    /// It has not answered.
    Asked,
    /// It was ready.
    Ready,
    /// It was told to go, and has not answered.
    Gone,
    /// It says fenced.
    Fenced(How),
    /// It looked once more, and saw this.
    Looked(How, Power),
    /// It refused or failed.
    Against,
    /// Its session is over without a last word.
    Lost,
}

/// What a dom0 has done.
#[derive(Debug)]
pub(super) enum Heard {
    Said(Body),
    Lost,
}

impl<'a> Member<'a> {
    pub(super) fn new(
        name: Option<String>,
        side: &'a mut dyn Side,
        terms: &'a Terms<'a>,
        told: &'a mut Told,
        course: Course<'a>,
    ) -> Self {
        let ear = Ear::new(terms, told).called(name);
        Self {
            side,
            ear,
            course,
            stands: Stands::Unasked,
            asker: None,
            how: None,
            last: None,
            start: None,
            error: None,
            listens: false,
            over: false,
        }
    }

    /// Says a line.
    pub(super) fn say(&mut self, line: &ClientLine) {
        match line {
            ClientLine::Request(_) => self.stands = Stands::Asked,
            ClientLine::Go(_) | ClientLine::GoOff(_) | ClientLine::GoLater(_) => {
                self.course.begin(Phase::Proof);
                self.stands = Stands::Gone;
            }
            ClientLine::Wait(_) | ClientLine::Look(_) | ClientLine::Start(_) => {}
        }
        self.side.say(&line.to_string());
    }

    /// The next thing that it has done; none if nothing has come.
    pub(super) fn hear(&mut self) -> Option<Heard> {
        while !self.over {
            match self.ear.take(&mut self.course) {
                Ok(Some(body)) => return Some(self.heard(body)),
                Ok(None) => {}
                Err(error) => return Some(self.lost(error)),
            }
            match self.side.advance(&mut self.ear.buffer) {
                Ok(Moved::Nothing) => return None,
                Ok(Moved::Opened) => {
                    self.course.end("");
                    self.course.begin(Phase::Ready);
                }
                Ok(Moved::Heard) => {}
                Err(Over::Closed(error)) => return Some(self.lost(error)),
                Err(Over::Broken(broken)) => {
                    let error = self.broken(&broken);
                    return Some(self.lost(error));
                }
            }
        }
        None
    }

    /// Whether nothing more will be heard of it.
    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    /// The error for one that did not answer in time, or whose session broke off.
    pub(super) fn broken(&self, broken: &Broken) -> Error {
        let complaint = self.side.complaint();
        with_complaint(self.ear.broken(broken, complaint.is_some()), complaint)
    }

    /// The error for a last word that has no place where it was said.
    pub(super) fn misplaced(&self) -> Error {
        let error = match &self.last {
            Some(body) => self.ear.misplaced(body),
            None => self.ear.garbage("it says nothing"),
        };
        with_complaint(error, self.side.complaint())
    }

    fn heard(&mut self, body: Body) -> Heard {
        // What follows a last word is nothing, and not the loss of an answer.
        self.over = body.is_last();
        let node = self.ear.terms.request.node();
        match &body {
            Body::Ready { node: of, power, asker, .. }
                if self.stands == Stands::Asked && Some(of) == node =>
            {
                let node = node.map_or("-", |node| node.as_str());
                self.course.end(&format!("{node} is {power}"));
                self.asker = Some(*asker);
                self.stands = Stands::Ready;
            }
            Body::Fenced { node: of, how } if self.stands == Stands::Gone && Some(of) == node => {
                self.course.end(how.word());
                self.how = Some(*how);
                self.stands = Stands::Fenced(*how);
            }
            Body::Seen { node: of, power } if Some(of) == node => {
                if let Stands::Fenced(how) = self.stands {
                    self.stands = Stands::Looked(how, *power);
                }
            }
            Body::Started { .. } | Body::Unstarted { .. } => self.start = Some(body.clone()),
            Body::Refused { .. } | Body::Failed { .. } => {
                self.is_out(Stands::Against);
                self.error = self.error.take().or_else(|| self.ear.is_no(&body));
            }
            Body::Note { about: Note::Listening, .. } => self.listens = true,
            Body::Ready { .. }
            | Body::Note { .. }
            | Body::Fenced { .. }
            | Body::Seen { .. }
            | Body::Finding { .. }
            | Body::Done => {}
        }
        if !matches!(body, Body::Note { .. }) {
            self.last = Some(body.clone());
        }
        Heard::Said(body)
    }

    fn lost(&mut self, error: Error) -> Heard {
        self.over = true;
        self.is_out(Stands::Lost);
        self.error.get_or_insert(with_complaint_once(error, self.side));
        Heard::Lost
    }

    /// What becomes of the power-on makes a fence neither better nor worse.
    fn is_out(&mut self, stands: Stands) {
        let proven = self.ear.stage == Stage::Fenced || matches!(self.stands, Stands::Looked(..));
        if !proven {
            self.stands = stands;
        }
    }

    /// From here on the node may be dead.
    pub(super) const fn is_gone(&mut self) {
        self.ear.stage = Stage::Gone;
    }
}

fn with_complaint_once(error: Error, side: &dyn Side) -> Error {
    if error.hints.iter().any(|hint| hint.starts_with("dom0 says: ")) {
        error
    } else {
        with_complaint(error, side.complaint())
    }
}
