//! A broker that says whatever it is told to, for the tests of the conversation.

use super::*;
use crate::transport::{Broken, Moved, Over, Side};
use nix::poll::PollFlags;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use xen_fence_protocol::{LineBuffer, RequestId};

/// What the fake broker does next.
#[derive(Clone)]
pub(crate) enum Turn {
    Says(String),
    Ends,
    Breaks,
    IsSilent,
}
pub(crate) use Turn::{Breaks, Ends, IsSilent, Says};

pub(crate) struct Fake {
    pub(crate) turns: VecDeque<Turn>,
    pub(crate) heard: Vec<String>,
    pub(crate) deaf_to: Option<&'static str>,
    pub(crate) complaint: Option<&'static str>,
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

/// The same broker, as one of those who are never waited for.
struct Alone(Rc<RefCell<Fake>>, bool);

impl Side for Alone {
    fn say(&mut self, line: &str) {
        self.0.borrow_mut().heard.push(line.to_owned());
    }

    fn advance(&mut self, buffer: &mut LineBuffer) -> Result<Moved, Over> {
        let mut fake = self.0.borrow_mut();
        let deaf =
            fake.deaf_to.is_some_and(|word| fake.heard.iter().any(|line| line.contains(word)));
        if deaf {
            return Err(Over::Broken(Broken::Lost("broken pipe".to_owned())));
        }
        if !std::mem::replace(&mut self.1, true) {
            return Ok(Moved::Opened);
        }
        if let Some(IsSilent) = fake.turns.front() {
            return Ok(Moved::Nothing);
        }
        let heard = fake.receive(buffer, Deadline::after(Duration::ZERO));
        heard.map(|()| Moved::Heard).map_err(Over::Broken)
    }

    fn complaint(&self) -> Option<Text> {
        Conversation::complaint(&*self.0.borrow())
    }

    fn awaits(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        None
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

pub(crate) const ID: u128 = 0x0123_4567_89ab_cdef;

/// A line of the broker, from its word and what follows the version.
pub(crate) fn says(text: &str) -> Turn {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let rest = if rest.is_empty() { String::new() } else { format!(" {rest}") };
    Says(format!("xen-fence/1 {word} {} xen1 0.1.0{rest}\n", RequestId::from_bits(ID)))
}

pub(crate) fn ready() -> Turn {
    says("ready node2 on here none")
}

pub(crate) struct Outcome {
    pub(crate) end: Result<Success, Error>,
    pub(crate) told: Told,
    pub(crate) heard: Vec<String>,
    pub(crate) warned: Vec<String>,
    pub(crate) told_live: Vec<String>,
    pub(crate) stuck_in: Option<Phase>,
    pub(crate) unheard: bool,
}

impl Outcome {
    pub(crate) fn went(&self) -> bool {
        self.heard.iter().any(|line| line.contains(" go "))
    }

    pub(crate) fn error(&self) -> &Error {
        self.end.as_ref().expect_err("a failure")
    }
}

pub(crate) fn fake(turns: &[Turn]) -> Fake {
    Fake {
        turns: turns.iter().cloned().collect(),
        heard: Vec::new(),
        deaf_to: None,
        complaint: None,
    }
}

pub(crate) fn run_with(mut fake: Fake, action: Action, go_by: Duration) -> Outcome {
    let node = match action {
        Action::List | Action::Monitor | Action::Check => None,
        Action::Reset | Action::Off | Action::On | Action::Status => {
            Some(NodeName::parse("node2").unwrap())
        }
    };
    let request = Request::new(RequestId::from_bits(ID), action, node).unwrap();
    let deadline = Deadline::after(Duration::from_secs(50));
    let kept = RefCell::new(KeptId::of(request.id()));
    let terms = Terms { request: &request, begun: Moment::now(), go_by, deadline, kept: &kept };
    let mut told = Told::default();
    let mut watch = Nobody::default();
    let mut course = Course::new(&mut watch);
    let (end, stuck_in);
    if action.kills() {
        course.finish();
        let late = xen_fence_protocol::GO_BY.saturating_sub(go_by);
        let side = Alone(Rc::new(RefCell::new(fake)), false);
        let fake_after = Rc::clone(&side.0);
        let answer = crate::fence::tests::alone(Box::new(side), &terms, late, &mut watch);
        (told, end, stuck_in) = (answer.told, answer.end, answer.stuck_in);
        fake = Rc::try_unwrap(fake_after).ok().unwrap().into_inner();
    } else {
        end = converse(&mut fake, &terms, &mut told, &mut course);
        stuck_in = course.finish().1;
    }
    let Nobody(warned, told_live) = watch;
    let unheard = kept.borrow().is_unheard();
    Outcome { end, told, heard: fake.heard, warned, told_live, stuck_in, unheard }
}

pub(crate) fn run(action: Action, turns: &[Turn]) -> Outcome {
    run_with(fake(turns), action, xen_fence_protocol::GO_BY)
}
