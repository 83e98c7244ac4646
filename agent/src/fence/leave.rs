//! Leaving a reset whose node is proven dead: a cluster that takes over need not wait for a boot.
//!
//! With several dom0s one of them waits for the word that it may power the node on. That word must
//! not be lost with the connection, or the node stays off.

use super::round::{Driver, start_of};
use crate::client::{LAST_WORDS, Start};
use crate::clock::Deadline;
use xen_fence_protocol::Note;

impl Driver<'_, '_> {
    /// Leaves the power-on to the dom0 that does it, as soon as that is sure to do it.
    pub(super) fn leave(&mut self, starter: usize) -> Start {
        let until = Deadline::at(self.pace.now().plus(LAST_WORDS));
        let until = until.or_earlier(self.terms.deadline);
        let several = self.members.len() > 1;
        loop {
            self.hear_all();
            let Some(member) = self.members.get_mut(starter) else { return nobody() };
            if let Some(start) = start_of(member) {
                return start;
            }
            // Who has said that it will leave the node off is about to say why.
            let says_no =
                |(about, _): &(Note, _)| matches!(about, Note::Config | Note::LeftOff | Note::Hold);
            if !several && !member.ear.told.notes.iter().any(says_no) {
                return Start::GoesOn;
            }
            if several {
                break;
            }
            if self.wait(LAST_WORDS, until).is_none() {
                return Start::GoesOn;
            }
        }
        loop {
            let Some(member) = self.members.get_mut(starter) else { return nobody() };
            match member.side.pass_on() {
                Ok(true) => return Start::GoesOn,
                Ok(false) => {}
                Err(_) => return lost(&member.ear.dom0()),
            }
            let dom0 = member.ear.dom0();
            if self.wait(LAST_WORDS, until).is_none() {
                return lost(&dom0);
            }
        }
    }
}

fn lost(dom0: &str) -> Start {
    Start::NotSeen(format!("{dom0} may not have heard that it may power the node on"))
}

fn nobody() -> Start {
    Start::NotSeen("no dom0 was to power it on".to_owned())
}

#[cfg(test)]
mod tests;
