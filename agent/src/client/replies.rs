//! The broker's replies one by one, waited for: notes put aside, and the error for everything that is
//! no reply.

use super::ear::{Ear, Stage, with_complaint};
use super::{Terms, Told};
use crate::clock::Deadline;
use crate::course::Course;
use crate::error::Error;
use crate::transport::{Broken, Conversation};
use xen_fence_protocol::{Body, ClientLine, NodeName};

/// The replies of one conversation.
pub(super) struct Replies<'a> {
    talk: &'a mut dyn Conversation,
    pub(super) ear: Ear<'a>,
    pub(super) deadline: Deadline,
}

impl<'a> Replies<'a> {
    pub(super) fn new(
        talk: &'a mut dyn Conversation,
        terms: &'a Terms<'a>,
        told: &'a mut Told,
    ) -> Self {
        Self { talk, ear: Ear::new(terms, told), deadline: terms.deadline }
    }

    /// Sends a line.
    pub(super) fn say(&mut self, line: &ClientLine) -> Result<(), Error> {
        self.talk.send(&line.to_string(), self.deadline).map_err(|broken| self.broken(&broken))
    }

    /// The next reply that is no note. `refused` and `failed` come as errors.
    pub(super) fn next(&mut self, course: &mut Course<'_>) -> Result<Body, Error> {
        loop {
            match self.ear.take(course).map_err(|error| self.complaining(error))? {
                Some(Body::Note { .. }) => {}
                Some(body) => match self.ear.is_no(&body) {
                    Some(no) => {
                        if self.ear.stage == Stage::Gone {
                            self.ear.terms.kept.borrow_mut().answered();
                        }
                        return Err(no);
                    }
                    None => return Ok(body),
                },
                None => self
                    .talk
                    .receive(&mut self.ear.buffer, self.deadline)
                    .map_err(|broken| self.broken(&broken))?,
            }
        }
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
        self.complaining(self.ear.out_of_place(body))
    }

    /// The error for an answer that does not keep to the protocol.
    pub(super) fn garbage(&self, why: &str) -> Error {
        self.complaining(self.ear.garbage(why))
    }

    fn broken(&self, broken: &Broken) -> Error {
        let complains = self.talk.complaint().is_some();
        self.complaining(self.ear.broken(broken, complains))
    }

    fn complaining(&self, error: Error) -> Error {
        with_complaint(error, self.talk.complaint())
    }
}
