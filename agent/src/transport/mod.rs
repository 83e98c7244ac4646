//! The way to a dom0: TCP, then SSH, then a conversation in bytes.
//!
//! What is said in the conversation is not this module's business, and no exit status leaves it:
//! an SSH exit status that never arrived reads as success in the SSH library.

mod sentences;
pub(crate) mod ssh;
pub(crate) mod tcp;

use crate::clock::Deadline;
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
