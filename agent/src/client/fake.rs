//! A broker that says whatever it is told to, for the tests of the conversation.

use super::*;
use crate::transport::Broken;
use std::collections::VecDeque;
use xen_fence_protocol::{LineBuffer, RequestId};

/// What the fake broker does next.
#[derive(Clone)]
pub(super) enum Turn {
    Says(String),
    Ends,
    Breaks,
    IsSilent,
}
pub(super) use Turn::{Breaks, Ends, IsSilent, Says};

pub(super) struct Fake {
    pub(super) turns: VecDeque<Turn>,
    pub(super) heard: Vec<String>,
    pub(super) deaf_to: Option<&'static str>,
    pub(super) complaint: Option<&'static str>,
}

impl Conversation for Fake {
    fn send(&mut self, line: &str, _: Deadline) -> Result<(), Broken> {
        self.heard.push(line.to_owned());
        match self.deaf_to {
            Some(word) if line.contains(word) => Err(Broken::Lost("broken pipe".to_owned())),
            _ => Ok(()),
        }
    }

    fn receive(&mut self, buffer: &mut LineBuffer, _: Deadline) -> Result<(), Broken> {
        match self.turns.pop_front() {
            Some(Says(text)) => {
                buffer.push(text.as_bytes());
                Ok(())
            }
            Some(Ends) | None => Err(Broken::Ended),
            Some(Breaks) => Err(Broken::Lost("connection reset by peer".to_owned())),
            Some(IsSilent) => Err(Broken::TimedOut),
        }
    }

    fn complaint(&self) -> Option<Text> {
        self.complaint.map(Text::escaped)
    }
}

#[derive(Default)]
struct Nobody(Vec<String>, Vec<String>);

impl crate::course::Watch for Nobody {
    fn begins(&mut self, _: Phase) {}
    fn ended(&mut self, _: Phase, _: Duration, _: &str) {}
    fn retries(&mut self, _: &Error) {}
    fn tells(&mut self, text: &str) {
        self.1.push(text.to_owned());
    }
    fn details(&mut self, _: &str) {}
    fn warns(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

pub(super) const ID: u128 = 0x0123_4567_89ab_cdef;

/// A line of the broker, from its word and what follows the version.
pub(super) fn says(text: &str) -> Turn {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = if rest.is_empty() { String::new() } else { format!(" {rest}") };
    Says(format!("xen-fence/1 {word} {} xen1 0.1.0{rest}\n", RequestId::from_bits(ID)))
}

pub(super) fn ready() -> Turn {
    says("ready node2 on here none")
}

pub(super) struct Outcome {
    pub(super) end: Result<Success, Error>,
    pub(super) told: Told,
    pub(super) heard: Vec<String>,
    pub(super) warned: Vec<String>,
    pub(super) told_live: Vec<String>,
    pub(super) stuck_in: Option<Phase>,
}

impl Outcome {
    pub(super) fn went(&self) -> bool {
        self.heard.iter().any(|line| line.contains(" go "))
    }

    pub(super) fn error(&self) -> &Error {
        self.end.as_ref().expect_err("a failure")
    }
}

pub(super) fn fake(turns: &[Turn]) -> Fake {
    Fake {
        turns: turns.iter().cloned().collect(),
        heard: Vec::new(),
        deaf_to: None,
        complaint: None,
    }
}

pub(super) fn run_with(mut fake: Fake, action: Action, go_by: Duration) -> Outcome {
    let node = match action {
        Action::List | Action::Monitor | Action::Check => None,
        Action::Reset | Action::Off | Action::On | Action::Status => {
            Some(NodeName::parse("node2").unwrap())
        }
    };
    let request = Request::new(RequestId::from_bits(ID), action, node).unwrap();
    let deadline = Deadline::after(Duration::from_secs(50));
    let terms = Terms { request: &request, begun: Moment::now(), go_by, deadline };
    let mut told = Told::default();
    let mut watch = Nobody::default();
    let mut course = Course::new(&mut watch);
    let end = converse(&mut fake, &terms, &mut told, &mut course);
    let (_, stuck_in) = course.finish();
    let Nobody(warned, told_live) = watch;
    Outcome { end, told, heard: fake.heard, warned, told_live, stuck_in }
}

pub(super) fn run(action: Action, turns: &[Turn]) -> Outcome {
    run_with(fake(turns), action, xen_fence_protocol::GO_BY)
}
