//! What happens to a round, what it says, and how it stands and ends.

use crate::reply::Body;
use crate::request::ClientLine;

/// What happens to the machine. A host is named by its place in the one order that every asker
/// keeps, that of the host keys' fingerprints.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The round begins, or time has passed.
    Tick,
    /// A host has said something.
    Reply(usize, &'a Body),
    /// The session with a host is over, or what it says is not to be trusted any more.
    Lost(usize),
}

/// A line to be said to a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Say {
    /// To whom.
    pub host: usize,
    /// What.
    pub line: ClientLine,
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It goes on, and wants a tick in [`WAIT_EVERY`](crate::WAIT_EVERY) at the latest.
    Going,
    /// Nothing was touched, and a new round has to begin, with new sessions.
    Again,
    /// It has ended.
    Ended(Outcome),
}

/// What a fence by all hosts came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Every host has proven that the node is dead there, and with several of them a second round
    /// of listings agrees.
    Fenced,
    /// `go` was said to nobody.
    Untouched(Why),
    /// `go` was said, and there is no proof.
    Unknown(Why),
}

/// What stands against a success. The number is the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// It refused or failed, and said why.
    Said(usize),
    /// The session with it ended before its answer.
    Lost(usize),
    /// It said something that has no place there.
    OutOfPlace(usize),
    /// It holds the node, and the node is not off everywhere.
    Held(usize),
    /// It killed only the shell that a migration left, and nobody killed the node.
    Shell(usize),
    /// In the second round of listings it did not say that the node is off.
    SeenAgain(usize),
    /// Time was up.
    TooLate,
}
