//! One session between an agent and a broker: what is on its way, and how far the broker is.
//!
//! A connection keeps the order of what is said, loses nothing in between, and can end at any time;
//! how long a word takes is open.

use crate::machines::{Down, Up};
use xen_fence_broker::standoff::Then;

/// One session, with the broker at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Link {
    pub stage: Stage,
    /// What was said and not heard, each way; first in, first out.
    pub up: Queue,
    pub down: Queue,
    pub up_end: UpEnd,
    pub down_end: DownEnd,
    /// The request's number: the asker and its life.
    pub id: u8,
    pub accepted: u8,
    pub asked: u8,
    pub standoff: u16,
    /// `go` was said into it.
    pub said_go: bool,
    /// An earlier fence already is what is asked for; whether that one powers the node on.
    pub join: Option<bool>,
    /// What the listing showed before `ready`, or at `go`.
    pub saw: Saw,
    /// Which go was heard; a plain one at first.
    pub then: Heed,
    pub killed_node: bool,
    pub killed_shell: bool,
    /// It has looked again, and waits to be told to power the node on.
    pub looked: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stage {
    /// There is no broker, any more or yet.
    #[default]
    None,
    /// The request was not read yet.
    Accepted,
    /// It waits for the lock.
    Waiting,
    /// `ready` was said.
    Ready,
    /// `go` was heard, and the kill written down.
    Killing,
    /// No domain of the node lives here any more.
    Proving,
    /// One has come since.
    Again,
    /// `fenced` was said.
    Fenced,
    /// What is left is to power it on.
    Starting,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpEnd {
    #[default]
    Open,
    /// Behind what is on its way comes the end.
    Fin,
    /// Nothing comes, and no end: the asker's domain is dead.
    Mute,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DownEnd {
    #[default]
    Open,
    /// Behind what is on its way comes the end.
    Fin,
    /// Nobody listens.
    Deaf,
}

/// [`Then`], with a value to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Heed {
    #[default]
    Alone,
    LeaveOff,
    OnWord,
}

impl From<Then> for Heed {
    fn from(then: Then) -> Self {
        match then {
            Then::Start => Self::Alone,
            Then::LeaveOff => Self::LeaveOff,
            Then::OnWord => Self::OnWord,
        }
    }
}

/// What a listing shows of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Saw {
    #[default]
    Nothing,
    Node,
    Shell,
}

/// Up to eight words, a half byte each.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Queue(u32);

impl Queue {
    pub fn push(&mut self, word: u8) {
        let at = (32 - self.0.leading_zeros()).div_ceil(4);
        assert!(at < 8 && word > 0 && word < 16, "the queue is too short");
        self.0 |= u32::from(word) << (4 * at);
    }

    pub fn head(self) -> Option<u8> {
        Some((self.0 & 15) as u8).filter(|word| *word > 0)
    }

    pub fn pop(&mut self) {
        self.0 >>= 4;
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

const UPS: [Up; 7] = [Up::Request, Up::Wait, Up::Go, Up::GoOff, Up::GoLater, Up::Look, Up::Start];
const DOWNS: [Down; 15] = [
    Down::ReadyOn,
    Down::ReadyOff,
    Down::ReadyUnknown,
    Down::Killed,
    Down::Absent,
    Down::Joined,
    Down::Shell,
    Down::SeenOn,
    Down::SeenOff,
    Down::SeenUnknown,
    Down::LateGo,
    Down::NoGo,
    Down::Refused,
    Down::Failed,
    Down::Going,
];

impl Link {
    /// What the broker hears next.
    pub fn heard(&self) -> Option<Up> {
        self.up.head().map(|word| UPS[usize::from(word) - 1])
    }

    /// What the agent hears next.
    pub fn answered(&self) -> Option<Down> {
        self.down.head().map(|word| DOWNS[usize::from(word) - 1])
    }

    pub fn say(&mut self, word: Down) {
        if self.down_end == DownEnd::Open {
            self.down.push(word as u8);
        }
    }

    /// The broker ends.
    pub fn end(&mut self) {
        *self = Self { down: self.down, down_end: self.down_end, ..Self::default() };
        if self.down_end == DownEnd::Open {
            self.down_end = DownEnd::Fin;
        }
    }

    /// Nobody hears the broker any more.
    pub fn is_not_heard(&mut self) {
        self.down = Queue::default();
        self.down_end = DownEnd::Deaf;
    }
}
