//! Rounds with dom0s that say what they are told to, when they are told to, in a time of their own.

use super::*;
use crate::clock::Moment;
use crate::exit::Exit;
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
type Script = &'static [(&'static str, u64, &'static str)];

struct Played {
    host: usize,
    script: Script,
    /// What was said, and goes out with the next step.
    unsaid: Vec<String>,
    world: Rc<RefCell<World>>,
}

const ID: u128 = 0xc0ffee;

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

struct Played2 {
    rounded: Rounded,
    said: Vec<String>,
    warned: Vec<String>,
    unheard: bool,
    took: Duration,
}

fn play(action: Action, scripts: &[Script]) -> Played2 {
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
    Played2 { rounded, said, warned: watch.0, unheard, took }
}

impl Played2 {
    fn error(&self) -> &Error {
        self.rounded.error.as_ref().expect("a failure")
    }

    fn went(&self) -> bool {
        self.said.iter().any(|said| said.contains(" go"))
    }

    fn stands(&self) -> Vec<Stands> {
        self.rounded.answers.iter().map(|answer| answer.stands.unwrap()).collect()
    }
}

const AWAY: Script = &[
    ("request", 30, "ready node2 off here none"),
    ("go", 1, "note going go was heard in time"),
    ("go", 30, "fenced node2 absent"),
    ("look", 20, "seen node2 off"),
    ("look", 21, "done"),
];
const HOME: Script = &[
    ("request", 30, "ready node2 on elsewhere none"),
    ("go", 300, "fenced node2 killed"),
    ("look", 20, "seen node2 off"),
    ("start", 500, "started node2 created"),
    ("start", 501, "done"),
];

#[test]
fn two_dom0s_fence_together_and_one_starts_it() {
    let played = play(Action::Reset, &[AWAY, HOME]);
    assert_eq!(
        played.said,
        ["0 request", "1 request", "0 go-off", "1 go-later", "1 look", "0 look", "1 start"]
    );
    assert!(played.warned.is_empty(), "{:?}", played.warned);
    assert!(!played.unheard);
    let request =
        Request::new(RequestId::from_bits(ID), Action::Reset, NodeName::parse("node2").ok());
    assert!(played.rounded.error.is_none(), "{:?}", played.rounded.error);
    let (answers, verdict) = words::fenced(&request.unwrap(), played.rounded.answers);
    assert_eq!((verdict.exit, verdict.result), (Exit::Success, "fenced"));
    assert_eq!(
        verdict.lines,
        ["node2 fenced (absent on xen1, killed by xen2), and started by xen2"]
    );
    assert_eq!(answers[1].told.dom0.as_ref().unwrap().as_str(), "xen2");
    assert_eq!(stands(answers[0].stands.unwrap()), "fenced (absent), and off when looked at again");
}

#[test]
fn nothing_is_waited_for_after_the_last_word() {
    let off: Script = &[
        ("request", 30, "ready node2 on here none"),
        ("go", 30, "fenced node2 killed"),
        ("go", 31, "done"),
    ];
    assert_eq!(play(Action::Off, &[off]).took, Duration::from_millis(61));
    let played = play(Action::Off, &[AWAY, AWAY]);
    assert_eq!(played.took, Duration::from_millis(112));
}

#[test]
fn nobody_is_told_to_go_unless_all_are_ready() {
    for (script, kind, retry) in [
        (
            &[("request", 30, "refused asker-dying node1 was fenced")][..],
            Kind::Refused,
            Retry::Never,
        ),
        (&[("request", 30, "failed toolstack xl does not answer")], Kind::Failed, Retry::Never),
        (&[("request", 30, "-")], Kind::Unreachable, Retry::UntilDeadline),
        (&[("request", 30, "fenced node2 killed")], Kind::Broken, Retry::Never),
        (&[("request", 30, "ready node3 on here none")], Kind::Broken, Retry::Never),
        (&[("request", 30, "ready node2 on here forbid")], Kind::Refused, Retry::Never),
    ] {
        for scripts in [[AWAY, script], [script, AWAY]] {
            let played = play(Action::Off, &scripts);
            let error = played.error();
            assert!(!played.went() && !played.unheard, "{script:?}");
            assert_eq!((error.kind, error.retry), (kind, retry), "{error}");
            assert!(error.message.contains("nothing was touched"), "{error}");
            assert_eq!(
                error.hints.iter().filter(|hint| hint.starts_with("xen")).count()
                    + error.hints.iter().filter(|hint| hint.starts_with("fence-a@")).count(),
                2,
                "{error:?}"
            );
        }
    }
}

#[test]
fn one_that_is_slow_to_be_ready_costs_the_others_their_lock_and_a_new_round() {
    let slow: Script = &[("request", 6000, "ready node2 on here none")];
    let played = play(Action::Off, &[AWAY, slow]);
    assert!(!played.went());
    assert!(!played.rounded.has_gone);
    assert_eq!(played.error().retry, Retry::UntilDeadline);
    assert!(played.said.iter().filter(|said| *said == "0 wait").count() >= 3, "{:?}", played.said);
    assert!(played.took < Duration::from_secs(5), "{:?}", played.took);
    let error = played.error();
    assert!(error.message.starts_with("xen2 was not ready to fence node2"), "{error}");
    assert_eq!(played.rounded.can_be_left_out.unwrap().host.to_string(), "h2");
}

/// sudo waits for a name service that is as dead as the node.
#[test]
fn nobody_is_asked_before_all_brokers_run() {
    let slow: Script = &[
        ("", 6000, ""),
        ("request", 30, "ready node2 on here none"),
        ("go", 30, "fenced node2 killed"),
        ("look", 20, "seen node2 off"),
    ];
    let played = play(Action::Off, &[AWAY, slow]);
    assert!(played.rounded.error.is_none(), "{:?}", played.rounded.error);
    assert!(played.took >= Duration::from_secs(6), "{:?}", played.took);

    let slower: Script = &[("", 30_000, "")];
    let played = play(Action::Off, &[AWAY, slower]);
    assert!(played.said.is_empty(), "{:?}", played.said);
    assert_eq!(played.took, Duration::from_secs(8));
    let error = played.error();
    assert_eq!((error.kind, error.retry), (Kind::TimedOut, Retry::UntilDeadline));
    assert!(error.message.starts_with("fence-a@h2:22 was not ready"), "{error}");
    assert!(error.message.ends_with("nothing was touched on any dom0"), "{error}");
    assert!(error.hints.iter().any(|hint| hint.starts_with("sudo")), "{error:?}");
    assert_eq!(played.rounded.can_be_left_out.unwrap().host.to_string(), "h2");

    // All are equally slow.
    let both: Script = &[("", 39_000, ""), ("request", 2000, "ready node2 on here none")];
    let played = play(Action::Off, &[both, both]);
    assert!(!played.went() && played.took <= GO_BY, "{:?}", played.took);
    assert!(matches!(played.error().kind, Kind::TimedOut));
}

#[test]
fn silence_ends_with_the_time() {
    let played = play(Action::Off, &[&[]]);
    assert_eq!(played.error().kind, Kind::TimedOut);
    assert!(played.error().message.ends_with("nothing was touched"), "{}", played.error());
    let deaf: Script = &[("request", 30, "ready node2 on here none")];
    let played = play(Action::Off, &[AWAY, deaf]);
    assert!(played.went() && played.unheard);
    assert_eq!(played.took, Duration::from_secs(50));
    assert_eq!(played.error().kind, Kind::TimedOut);
    let message = &played.error().message;
    assert!(message.contains("may or may not be dead") && message.contains("h2"), "{message}");
    assert_eq!(played.stands()[1], Stands::Gone);
}

#[test]
fn after_go_one_alone_proves_nothing() {
    for (script, what, unheard) in [
        (
            &[("request", 30, "ready node2 on here none"), ("go", 30, "-")][..],
            "may or may not",
            true,
        ),
        (
            &[
                ("request", 30, "ready node2 on here none"),
                ("go", 30, "fenced node2 killed"),
                ("look", 30, "seen node2 on"),
            ],
            "xen2 saw it again",
            true,
        ),
        (
            &[("request", 30, "ready node2 on here none"), ("go", 30, "fenced node2 shell")],
            "only the shell",
            true,
        ),
        (
            &[("request", 30, "ready node2 on here none"), ("go", 30, "failed dying held by vbd")],
            "not proven dead: xen2 failed",
            true,
        ),
    ] {
        let played = play(Action::Off, &[AWAY, script]);
        assert!(played.went());
        assert_eq!(played.unheard, unheard, "{what}");
        let error = played.error();
        assert!(error.message.contains(what), "{error}");
        assert_ne!(error.kind.exit(), Exit::Success);
        assert!(
            error.hints.iter().any(|hint| hint.starts_with("xen1: fenced (absent)")),
            "{error:?}"
        );
    }
    let ready: Script =
        &[("request", 30, "ready node2 on here none"), ("go", 30, "refused late-go x")];
    let played = play(Action::Off, &[ready, ready]);
    assert!(played.went() && !played.unheard, "all say that nothing was touched");
    // Late at the second alone: the first has fenced, and the same id can be asked again.
    let played = play(Action::Off, &[AWAY, ready]);
    assert!(played.unheard);
    assert_eq!(played.error().retry, Retry::UntilDeadline, "{}", played.error());
}

#[test]
fn that_nobody_sees_the_asker_is_said_once() {
    let elsewhere: Script = &[
        ("request", 30, "ready node2 off elsewhere none"),
        ("go", 30, "fenced node2 absent"),
        ("look", 20, "seen node2 off"),
    ];
    let played = play(Action::Off, &[elsewhere, elsewhere]);
    assert!(played.rounded.error.is_none());
    assert_eq!(played.warned.len(), 1);
    assert!(played.warned[0].contains("no dom0 that is asked sees"), "{:?}", played.warned);
    let operator: Script = &[("request", 30, "ready node2 off operator none")];
    assert!(play(Action::Off, &[operator]).warned.is_empty());
}

#[test]
fn what_is_said_against_it_by_one_that_need_not_answer() {
    let said = |script: Script| {
        let played = play(Action::Off, &[AWAY, script]);
        played.rounded.can_be_left_out.map(|endpoint| endpoint.host.to_string())
    };
    for script in [
        &[("request", 30, "-")][..],
        &[("request", 30, "refused not-yours no such node")],
        &[("request", 30, "refused policy the file is broken")],
        &[("request", 30, "failed toolstack xl does not answer")],
    ] {
        assert_eq!(said(script).as_deref(), Some("h2"), "{script:?}");
    }
    for script in [
        &[("request", 30, "refused asker-dying node1 was fenced")][..],
        &[("request", 30, "refused busy another request")],
        &[("request", 30, "ready node2 on here forbid")],
        &[("request", 30, "ready node2 on here none"), ("go", 30, "-")],
        &[("request", 30, "done")],
    ] {
        assert_eq!(said(script), None, "{script:?}");
    }
}

#[test]
fn a_joined_or_left_off_node_says_why_it_was_not_seen_to_start() {
    let joined: Script = &[
        ("request", 30, "ready node2 off here none"),
        ("go", 30, "fenced node2 joined"),
        ("go", 40, "done"),
    ];
    let start = |script: Script| {
        let played = play(Action::Reset, &[script]);
        match played.rounded.answers.into_iter().next().unwrap().end {
            Ok(Success::Fenced { start, .. }) => start,
            end => panic!("{end:?}"),
        }
    };
    assert!(matches!(start(joined), Start::NotSeen(why) if why.contains("an earlier request")));
    let braked: Script = &[
        ("request", 20, "note left-off three resets in ten minutes"),
        ("request", 30, "ready node2 on here none"),
        ("go", 30, "fenced node2 killed"),
        ("go", 31, "unstarted node2 three resets in ten minutes"),
        ("go", 32, "done"),
    ];
    assert_eq!(start(braked), Start::Unstarted("three resets in ten minutes".to_owned()));
}
