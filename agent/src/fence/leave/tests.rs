//! Leaving early, with dom0s that answer each word with the next one of the protocol.

use super::super::{Joined, Rounded, one_round};
use crate::client::{Start, Success, Terms};
use crate::clock::{Deadline, Moment};
use crate::course::Watch;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::gather::Way;
use crate::kept_id::KeptId;
use crate::phase::{Phase, Phases};
use crate::transport::{Broken, Moved, Over, Pace, Side};
use nix::poll::PollFlags;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;
use xen_fence_protocol::{Action, GO_BY, LineBuffer, NodeName, Request, RequestId, Text};

const ID: u128 = 0xc0ffee;

/// What is known of all sides.
#[derive(Default)]
struct Seen {
    said: Vec<String>,
    /// How often a side was asked whether everything has been passed on.
    asked: usize,
}

struct Obedient {
    host: usize,
    /// What it sees, and what it notes when it is ready.
    power: &'static str,
    notes: &'static [&'static str],
    last: Option<&'static str>,
    coming: VecDeque<String>,
    /// What it says when it is asked whether everything has been passed on.
    passes: VecDeque<Result<bool, ()>>,
    seen: Rc<RefCell<Seen>>,
}

impl Obedient {
    fn answers(&mut self, text: &str) {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let id = RequestId::from_bits(ID);
        let line = format!("xen-fence/1 {word} {id} xen{} 0.1.0 {rest}", self.host + 1);
        self.coming.push_back(format!("{}\n", line.trim_end()));
    }
}

impl Side for Obedient {
    fn say(&mut self, line: &str) {
        let word = line.split(' ').nth(1).unwrap().trim().to_owned();
        self.seen.borrow_mut().said.push(format!("{} {word}", self.host));
        match word.as_str() {
            "request" => {
                for note in self.notes {
                    self.answers(&format!("note {note}"));
                }
                self.answers(&format!("ready node2 {} here none", self.power));
            }
            "go" | "go-off" | "go-later" => {
                let how = if self.power == "on" { "killed" } else { "absent" };
                self.answers("note going it has heard go");
                self.answers(&format!("fenced node2 {how}"));
                if let Some(last) = self.last {
                    self.answers(last);
                }
            }
            "look" => self.answers("seen node2 off"),
            _ => {}
        }
    }

    fn advance(&mut self, buffer: &mut LineBuffer) -> Result<Moved, Over> {
        let Some(line) = self.coming.pop_front() else { return Ok(Moved::Nothing) };
        buffer.push(line.as_bytes());
        Ok(Moved::Heard)
    }

    fn pass_on(&mut self) -> Result<bool, Over> {
        self.seen.borrow_mut().asked += 1;
        let lost = |()| Over::Broken(Broken::Lost("reset".to_owned()));
        self.passes.pop_front().unwrap_or(Ok(false)).map_err(lost)
    }

    fn complaint(&self) -> Option<Text> {
        None
    }

    fn awaits(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        None
    }
}

/// Time that passes when it is waited for.
struct Leaps(Moment);

impl Pace for Leaps {
    fn now(&self) -> Moment {
        self.0
    }

    fn wait(&mut self, _: &[&dyn Side], until: Moment) {
        self.0 = until.min(self.0.plus(Duration::from_millis(100)));
    }
}

struct Hasty(bool);

impl Watch for Hasty {
    fn begins(&mut self, _: Phase) {}
    fn ended(&mut self, _: Phase, _: Duration, _: &str) {}
    fn retries(&mut self, _: &Error) {}
    fn tells(&mut self, _: &str) {}
    fn details(&mut self, _: &str) {}
    fn warns(&mut self, _: &str) {}
    fn stays_for_start(&self) -> bool {
        self.0
    }
}

fn side(host: usize, power: &'static str, seen: &Rc<RefCell<Seen>>) -> Obedient {
    let mut side = Obedient {
        host,
        power,
        notes: &[],
        last: None,
        coming: VecDeque::new(),
        passes: VecDeque::new(),
        seen: Rc::clone(seen),
    };
    let line = format!("xen-fence/1 note - xen{} 0.1.0 listening x\n", host + 1);
    side.coming.push_back(line);
    side
}

/// A reset by these dom0s; how its power-on ended for who watches, and how long that took.
fn reset(sides: Vec<Obedient>, stays: bool) -> (Start, Duration) {
    let several = sides.len() > 1;
    let joined = sides.into_iter().map(|side| {
        let endpoint = Endpoint::parse(&format!("fence-a@h{}", side.host + 1)).unwrap();
        let way = Way { endpoint, phases: Phases::default(), stuck_in: None, attempts: 1 };
        Joined { way, side: Box::new(side), home: true }
    });
    let node = NodeName::parse("node2").ok();
    let request = Request::new(RequestId::from_bits(ID), Action::Reset, node).unwrap();
    let kept = RefCell::new(KeptId::of(request.id()));
    let begun = Moment::of_millis(1_000_000);
    let deadline = Deadline::at(begun.plus(Duration::from_secs(50)));
    let terms = Terms { request: &request, begun, go_by: GO_BY, deadline, kept: &kept };
    let mut pace = Leaps(begun);
    let rounded: Rounded =
        one_round(joined.collect(), &terms, several, &mut pace, &mut Hasty(stays));
    assert_eq!(rounded.error, None);
    let start_of = |end: &Result<Success, Error>| match end {
        Ok(Success::Fenced { start, .. }) if *start != Start::NotAsked => Some(start.clone()),
        _ => None,
    };
    let start = rounded.answers.iter().find_map(|answer| start_of(&answer.end));
    (start.expect("somebody powers it on"), pace.0.since(begun))
}

#[test]
fn one_dom0_goes_on_by_itself() {
    let seen = Rc::default();
    let (start, took) = reset(vec![side(0, "on", &seen)], false);
    assert_eq!(start, Start::GoesOn);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert_eq!(seen.borrow().asked, 0, "nothing is under way to it");
    // A person waits.
    let (start, took) = reset(vec![side(0, "on", &Rc::default())], true);
    assert!(matches!(start, Start::NotSeen(_)) && took > Duration::from_secs(40), "{start:?}");
}

#[test]
fn what_is_left_off_says_why() {
    for note in ["config no uuid", "left-off too often", "hold it is held"] {
        let mut one = side(0, "on", &Rc::default());
        one.notes = Box::leak(vec![note].into_boxed_slice());
        one.last = Some("unstarted node2 the reason");
        let (start, _) = reset(vec![one], false);
        assert_eq!(start, Start::Unstarted("the reason".to_owned()), "{note}");
    }
}

#[test]
fn of_several_the_one_that_starts_it_has_to_have_heard_so() {
    let sides = |passes: &[Result<bool, ()>]| {
        let seen = Rc::default();
        let (first, mut second) = (side(0, "off", &seen), side(1, "on", &seen));
        second.passes = passes.iter().copied().collect();
        (vec![first, second], seen)
    };
    let (both, seen) = sides(&[Ok(false), Ok(false), Ok(true)]);
    let (start, took) = reset(both, false);
    assert_eq!(start, Start::GoesOn);
    assert_eq!(seen.borrow().asked, 3);
    assert_eq!(seen.borrow().said.last().map(String::as_str), Some("1 start"));
    assert!(took < Duration::from_secs(2), "{took:?}");

    for passes in [&[Ok(false), Err(())][..], &[]] {
        let (both, _) = sides(passes);
        let (start, took) = reset(both, false);
        assert!(matches!(&start, Start::NotSeen(why) if why.contains("xen2")), "{start:?}");
        assert!(took < Duration::from_secs(4), "{took:?}");
    }
}
