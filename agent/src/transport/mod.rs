//! The way to a dom0: TCP, then SSH, then a conversation in bytes.
//!
//! What is said in the conversation is not this module's business, and no exit status leaves it:
//! an SSH exit status that never arrived reads as success in the SSH library.

mod sentences;
pub(crate) mod ssh;
pub(crate) mod tcp;

use crate::clock::{Deadline, Moment};
use crate::error::Error;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::BorrowedFd;
use xen_fence_protocol::{LineBuffer, Text};

/// How a conversation can break off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The deadline passed.
    TimedOut,
    /// The other side ended the session in good order.
    Ended,
    /// The connection broke; the reason is escaped.
    Lost(String),
}

/// An open conversation with whatever dom0 started for us.
pub(crate) trait Conversation {
    /// Sends all of a line.
    ///
    /// # Errors
    /// How it broke off; part of the line may have gone out.
    fn send(&mut self, line: &str, deadline: Deadline) -> Result<(), Broken>;

    /// Waits for at least one byte and adds what came to the buffer.
    ///
    /// # Errors
    /// How it broke off.
    fn receive(&mut self, buffer: &mut LineBuffer, deadline: Deadline) -> Result<(), Broken>;

    /// The end of what the other side complained of outside the protocol.
    fn complaint(&self) -> Option<Text>;
}

/// What one step of a session that does not wait has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// There is nothing to do before the other side moves.
    Nothing,
    /// The broker has been started.
    Opened,
    /// Something was heard.
    Heard,
}

/// Why a session that does not wait is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// It broke off.
    Broken(Broken),
    /// It could not be opened.
    Closed(Error),
}

/// A session with one of several dom0s, which its first steps open. Nothing here waits.
pub(crate) trait Side {
    /// Says a line, as soon as it can be said.
    fn say(&mut self, line: &str);

    /// Does what can be done now, and adds what was heard to the buffer.
    ///
    /// # Errors
    /// Why the session is over.
    fn advance(&mut self, buffer: &mut LineBuffer) -> Result<Moved, Over>;

    /// Sees to it that what was said is on its way to the broker, whatever becomes of the connection;
    /// whether it is. It is repeated until then, and nothing else is done in between.
    ///
    /// # Errors
    /// It may never arrive.
    fn pass_on(&mut self) -> Result<bool, Over> {
        Ok(true)
    }

    /// The end of what the other side complained of outside the protocol.
    fn complaint(&self) -> Option<Text>;

    /// What is to be waited for before the next step; none if that is not for the system to say.
    fn awaits(&self) -> Option<(BorrowedFd<'_>, PollFlags)>;
}

/// The passing of time for those who talk to several.
pub(crate) trait Pace {
    /// Now.
    fn now(&self) -> Moment;

    /// Waits until one of the sessions can go on, or until then.
    fn wait(&mut self, sides: &[&dyn Side], until: Moment);
}

/// Time as it passes.
#[derive(Debug)]
pub(crate) struct BootClock;

impl Pace for BootClock {
    fn now(&self) -> Moment {
        Moment::now()
    }

    fn wait(&mut self, sides: &[&dyn Side], until: Moment) {
        let mut fds: Vec<PollFd<'_>> = sides
            .iter()
            .filter_map(|side| side.awaits())
            .map(|(fd, flags)| PollFd::new(fd, flags))
            .collect();
        // Rounded up, or the last millisecond would be spent in a busy loop.
        let left = Deadline::at(until).left().unwrap_or_default().as_millis().saturating_add(1);
        let timeout = PollTimeout::try_from(i32::try_from(left).unwrap_or(i32::MAX));
        // An interrupted wait is a short one: the caller looks at the time again.
        let _ = poll(&mut fds, timeout.unwrap_or(PollTimeout::MAX));
    }
}
