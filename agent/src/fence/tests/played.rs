//! dom0s that say what they are told to, when they are told to, in a time of their own.

use super::super::*;
use crate::clock::Moment;
use crate::kept_id::KeptId;
use crate::phase::{Phase, Phases};
use crate::transport::{Broken, Moved, Over};
use nix::poll::PollFlags;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;
use xen_fence_protocol::{Action, LineBuffer, NodeName, Request, RequestId, Text};

/// A round with one dom0, for the tests of the conversation.
pub(crate) fn alone(
    side: Box<dyn Side>,
    terms: &Terms<'_>,
    late: Duration,
    watch: &mut dyn Watch,
) -> Answer {
    struct Leaps(Moment);
    impl Pace for Leaps {
        fn now(&self) -> Moment {
            self.0
        }
        fn wait(&mut self, _: &[&dyn Side], until: Moment) {
            self.0 = until;
        }
    }
    let joined = vec![Joined { way: way("xen1"), side, home: true }];
    let rounded = one_round(joined, terms, false, &mut Leaps(terms.begun.plus(late)), watch);
    let mut answer = rounded.answers.into_iter().next().unwrap();
    if let Some(error) = rounded.error {
        answer.end = Err(error);
    }
    answer
}

fn way(host: &str) -> Way {
    let endpoint = Endpoint::parse(&format!("fence-a@{host}")).unwrap();
    Way { endpoint, phases: Phases::default(), stuck_in: None, attempts: 1 }
}

/// All dom0s of a test, and their time.
struct World {
    now: Moment,
    /// What was said to whom.
    said: Vec<String>,
    /// What will be heard: when, of which dom0, what; nothing is the end of the session.
    coming: Vec<(Moment, usize, Option<String>)>,
}

/// What a dom0 answers to a word, after so many milliseconds. `-` ends the session. Its broker runs
/// after as many as the empty word has.
pub(super) type Script = &'static [(&'static str, u64, &'static str)];

struct Played {
    host: usize,
    script: Script,
    /// What was said, and goes out with the next step.
    unsaid: Vec<String>,
    world: Rc<RefCell<World>>,
}

pub(super) const ID: u128 = 0xc0ffee;

impl Played {
    fn hears(&self, line: &str) {
        let word = line.split(' ').nth(1).unwrap().trim();
        let mut world = self.world.borrow_mut();
        world.said.push(format!("{} {word}", self.host));
        let on_it = |on: &str| on == word || (on == "go" && word.starts_with("go-"));
        for (_, delay, reply) in self.script.iter().filter(|(on, _, _)| on_it(on)) {
            let at = world.now.plus(Duration::from_millis(*delay));
            let (first, rest) = reply.split_once(' ').unwrap_or((reply, ""));
            let id = RequestId::from_bits(ID);
            let line = format!("xen-fence/1 {first} {id} xen{} 0.1.0 {rest}", self.host + 1);
            let line = (*reply != "-").then(|| format!("{}\n", line.trim_end()));
            world.coming.push((at, self.host, line));
        }
        world.coming.sort_by_key(|(at, _, _)| *at);
    }
}

impl Side for Played {
    fn say(&mut self, line: &str) {
        self.unsaid.push(line.to_owned());
    }

    fn advance(&mut self, buffer: &mut LineBuffer) -> Result<Moved, Over> {
        for line in std::mem::take(&mut self.unsaid) {
            self.hears(&line);
        }
        let mut world = self.world.borrow_mut();
        let now = world.now;
        let due =
            |(at, host, _): &(Moment, usize, Option<String>)| *at <= now && *host == self.host;
        match world.coming.iter().position(due).map(|at| world.coming.remove(at)) {
            None => Ok(Moved::Nothing),
            Some((_, _, Some(line))) => {
                buffer.push(line.as_bytes());
                Ok(Moved::Heard)
            }
            Some((_, _, None)) => Err(Over::Broken(Broken::Lost("reset".to_owned()))),
        }
    }

    fn complaint(&self) -> Option<Text> {
        None
    }

    fn awaits(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        None
    }
}

struct Time(Rc<RefCell<World>>);

impl Pace for Time {
    fn now(&self) -> Moment {
        self.0.borrow().now
    }

    fn wait(&mut self, _: &[&dyn Side], until: Moment) {
        let mut world = self.0.borrow_mut();
        let next = world.coming.iter().map(|(at, _, _)| *at).min().unwrap_or(until);
        world.now = next.max(world.now).min(until);
    }
}

#[derive(Default)]
struct Warned(Vec<String>);

impl Watch for Warned {
    fn begins(&mut self, _: Phase) {}
    fn ended(&mut self, _: Phase, _: Duration, _: &str) {}
    fn retries(&mut self, _: &Error) {}
    fn tells(&mut self, _: &str) {}
    fn details(&mut self, _: &str) {}
    fn warns(&mut self, text: &str) {
        self.0.push(text.to_owned());
    }
}

/// How a round ended.
pub(super) struct Ended {
    pub(super) rounded: Rounded,
    /// Which dom0 was told what, in order.
    pub(super) said: Vec<String>,
    pub(super) warned: Vec<String>,
    /// Whether the id is kept for a retry.
    pub(super) unheard: bool,
    pub(super) took: Duration,
}

/// A round with dom0s that follow these scripts.
pub(super) fn play(action: Action, scripts: &[Script]) -> Ended {
    let begun = Moment::of_millis(1_000_000);
    let mut world = World { now: begun, said: Vec::new(), coming: Vec::new() };
    for (host, script) in scripts.iter().enumerate() {
        let slow = script.iter().find(|(on, _, _)| on.is_empty()).map_or(0, |(_, delay, _)| *delay);
        let line = format!("xen-fence/1 note - xen{} 0.1.0 listening x\n", host + 1);
        world.coming.push((begun.plus(Duration::from_millis(slow)), host, Some(line)));
    }
    let world = Rc::new(RefCell::new(world));
    let joined = scripts.iter().enumerate().map(|(host, script)| Joined {
        way: way(&format!("h{}", host + 1)),
        side: Box::new(Played { host, script, unsaid: Vec::new(), world: Rc::clone(&world) }),
        home: true,
    });
    let node = NodeName::parse("node2").ok();
    let request = Request::new(RequestId::from_bits(ID), action, node).unwrap();
    let kept = RefCell::new(KeptId::of(request.id()));
    let deadline = Deadline::at(begun.plus(Duration::from_secs(50)));
    let terms = Terms { request: &request, begun, go_by: GO_BY, deadline, kept: &kept };
    let (mut pace, mut watch) = (Time(Rc::clone(&world)), Warned::default());
    let rounded = one_round(joined.collect(), &terms, scripts.len() > 1, &mut pace, &mut watch);
    let (said, took) = (world.borrow().said.clone(), world.borrow().now.since(begun));
    let unheard = kept.borrow().is_unheard();
    Ended { rounded, said, warned: watch.0, unheard, took }
}

impl Ended {
    pub(super) fn error(&self) -> &Error {
        self.rounded.error.as_ref().expect("a failure")
    }

    pub(super) fn went(&self) -> bool {
        self.said.iter().any(|said| said.contains(" go"))
    }

    pub(super) fn stands(&self) -> Vec<Stands> {
        self.rounded.answers.iter().map(|answer| answer.stands.unwrap()).collect()
    }
}
