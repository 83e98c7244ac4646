//! What comes of a conversation, turn by turn.

use super::fake::*;
use super::*;
use crate::error::Retry;
use xen_fence_protocol::MAX_REPLY_LINES;

#[test]
fn off_reset_and_on_succeed_by_their_lines() {
    let outcome = run(Action::Off, &[ready(), says("fenced node2 killed"), says("done")]);
    assert_eq!(outcome.end, Ok(Success::Fenced { how: How::Killed, start: Start::NotAsked }));
    assert_eq!(outcome.heard[0], format!("xen-fence/1 request {ID:032x} off node2\n"));
    assert_eq!(outcome.heard[1], format!("xen-fence/1 go {ID:032x}\n"));
    assert_eq!(outcome.told.dom0.unwrap().as_str(), "xen1");

    let start = Start::Started(StartedHow::Created);
    let outcome = run(
        Action::Reset,
        &[
            says("note progress listing takes its time"),
            ready(),
            says("note journal the journal could not be written"),
            says("fenced NODE2 joined"),
            says("started node2 created"),
            says("done"),
        ],
    );
    assert_eq!(outcome.end, Ok(Success::Fenced { how: How::Joined, start }));
    assert_eq!(outcome.told.notes.len(), 2);
    let warned = ["xen1: listing takes its time", "xen1: the journal could not be written"];
    assert_eq!(outcome.warned, warned);

    let on = [says("ready node2 off here none"), says("started node2 running"), says("done")];
    assert_eq!(run(Action::On, &on).end, Ok(Success::Started(StartedHow::Running)));
}

#[test]
fn nothing_short_of_a_proof_is_success() {
    let other_id = "xen-fence/1 fenced ffffffffffffffffffffffffffffffff xen1 0.1.0 node2 killed\n";
    for (what, turns) in [
        ("an end in good order", vec![ready(), Ends]),
        ("done without proof", vec![ready(), says("done")]),
        ("a started node", vec![ready(), says("started node2 created"), says("done")]),
        ("unstarted", vec![ready(), says("unstarted node2 why"), says("done")]),
        ("another node", vec![ready(), says("fenced node1 killed"), says("done")]),
        ("another request", vec![ready(), Says(other_id.to_owned()), says("done")]),
        (
            "half a line",
            vec![ready(), Says(format!("xen-fence/1 fenced {ID:032x} xen1 0.1.0 node2 kil")), Ends],
        ),
        (
            "a line without an end",
            vec![
                ready(),
                Says(format!("xen-fence/1 fenced {ID:032x} xen1 0.1.0 node2 killed")),
                Ends,
            ],
        ),
        ("no id", vec![ready(), Says("xen-fence/1 fenced - xen1 0.1.0 node2 killed\n".to_owned())]),
        (
            "another version",
            vec![ready(), Says(format!("xen-fence/2 fenced {ID:032x} xen1 0.1.0 node2 killed\n"))],
        ),
        ("seen off", vec![ready(), says("seen node2 off"), says("done")]),
        ("a second ready", vec![ready(), ready(), says("fenced node2 killed")]),
        ("garbage", vec![ready(), Says("OK\n".to_owned())]),
        ("control bytes", vec![ready(), Says("\u{1b}[2J\n".to_owned())]),
        ("an oversized line", vec![ready(), Says("x".repeat(5000))]),
        (
            "notes without end",
            std::iter::once(ready())
                .chain(std::iter::repeat_n(says("note progress x"), MAX_REPLY_LINES))
                .collect(),
        ),
    ] {
        for action in [Action::Off, Action::Reset] {
            let outcome = run(action, &turns);
            let error = outcome.error();
            assert_eq!(error.kind, Kind::Unknown, "{what}: {error}");
            assert!(
                error.message.starts_with("outcome unknown, node2 may or may not be dead"),
                "{error}"
            );
            assert!(!error.message.contains('\u{1b}'), "{error}");
            // Where the session broke off, another may tell what became of it.
            let broke_off = matches!(turns.last(), Some(Ends));
            let retry = if broke_off { Retry::UntilDeadline } else { Retry::Never };
            assert_eq!(error.retry, retry, "{what}");
            assert!(outcome.unheard, "{what}");
            assert_eq!(outcome.stuck_in, Some(Phase::Proof), "{what}");
        }
    }
    let shell = run(Action::Off, &[ready(), says("fenced node2 shell"), says("done")]);
    assert_eq!(shell.error().kind, Kind::Failed);
}

#[test]
fn before_go_nothing_is_touched() {
    for (what, turns, kind, retry) in [
        ("an end", vec![Ends], Kind::Broken, Retry::Soon),
        ("a broken connection", vec![Breaks], Kind::Unreachable, Retry::UntilDeadline),
        ("silence", vec![IsSilent], Kind::TimedOut, Retry::Never),
        ("garbage", vec![Says("Welcome to xen1\n".to_owned())], Kind::Broken, Retry::Never),
        ("an oversized line", vec![Says("x".repeat(5000))], Kind::Broken, Retry::Never),
        ("fenced unasked", vec![says("fenced node2 killed")], Kind::Broken, Retry::Never),
        (
            "ready for another node",
            vec![says("ready node1 on here none")],
            Kind::Broken,
            Retry::Never,
        ),
        ("done", vec![says("done")], Kind::Broken, Retry::Never),
    ] {
        let outcome = run(Action::Reset, &turns);
        let error = outcome.error();
        assert_eq!((error.kind, error.retry), (kind, retry), "{what}: {error}");
        assert!(error.message.ends_with("nothing was touched"), "{what}: {error}");
        assert!(!outcome.went(), "{what}");
        assert_eq!(outcome.stuck_in, Some(Phase::Ready), "{what}");
    }
}

#[test]
fn a_go_that_may_have_gone_out_is_unknown() {
    for deaf_to in [" go ", " request "] {
        let fake = Fake { deaf_to: Some(deaf_to), ..fake(&[ready()]) };
        let outcome = run_with(fake, Action::Off, xen_fence_protocol::GO_BY);
        let expected = if deaf_to == " go " { Kind::Unknown } else { Kind::Unreachable };
        assert_eq!(outcome.error().kind, expected);
    }
}

#[test]
fn after_go_silence_is_a_time_out_and_a_break_unknown() {
    let error = run(Action::Off, &[ready(), IsSilent]).end.unwrap_err();
    assert_eq!(error.kind, Kind::TimedOut);
    assert!(error.message.contains("may or may not be dead"), "{error}");
    assert!(error.hints[0].contains("xen-fence status node2"), "{error:?}");
    let on = [says("ready node2 off here none"), IsSilent];
    assert!(run(Action::On, &on).error().hints[0].contains("xen-fence status node2"));
    assert_eq!(run(Action::Off, &[ready(), Breaks]).error().kind, Kind::Unknown);
    let error = run(Action::On, &[says("ready node2 off here none"), Breaks]).end.unwrap_err();
    assert!(error.message.contains("may or may not have been started"), "{error}");
}

#[test]
fn a_late_ready_is_not_answered_with_go() {
    let outcome = run_with(fake(&[ready()]), Action::Off, Duration::ZERO);
    assert_eq!(outcome.error().kind, Kind::TimedOut);
    assert!(!outcome.went());
}

#[test]
fn a_held_node_is_left_alone_unless_it_is_off() {
    for (action, power, goes) in [
        (Action::Off, "on", false),
        (Action::Off, "unknown", false),
        (Action::Off, "off", true),
        (Action::Reset, "off", true),
        (Action::On, "off", false),
        (Action::On, "on", true),
    ] {
        let outcome = run(action, &[says(&format!("ready node2 {power} here forbid"))]);
        assert_eq!(outcome.went(), goes, "{action} {power}");
        if !goes {
            let error = outcome.error();
            assert_eq!((error.kind, error.reason), (Kind::Refused, Some("held")));
        }
    }
    assert!(run(Action::Off, &[says("ready node2 on here leave-off")]).went());
    // Who holds it is said once: by the refusal, or as a warning where it goes on.
    let told = || says("note hold node2 is held by alice until then (upgrade)");
    let refused = run(Action::Off, &[told(), says("ready node2 on here forbid")]);
    assert!(refused.error().message.contains("held by alice until then (upgrade)"));
    assert!(refused.warned.is_empty(), "{:?}", refused.warned);
    for (power, hold) in [("off", "forbid"), ("on", "leave-off")] {
        let outcome =
            run(Action::Off, &[told(), says(&format!("ready node2 {power} here {hold}"))]);
        assert!(outcome.went());
        assert_eq!(outcome.warned, ["xen1: node2 is held by alice until then (upgrade)"]);
    }
}

#[test]
fn an_asker_that_is_elsewhere_is_told_so() {
    let turns = [says("ready node2 on elsewhere none"), says("fenced node2 killed"), says("done")];
    let outcome = run(Action::Off, &turns);
    assert!(outcome.end.is_ok());
    assert_eq!(outcome.told.warnings.len(), 1);
    assert!(outcome.warned[0].contains("both may die"));
}

#[test]
fn refusals_and_failures_are_the_brokers() {
    for turns in [
        vec![says("refused not-yours node2 is no target of node1")],
        vec![Says("xen-fence/1 refused - xen1 0.1.0 malformed the line is empty\n".to_owned())],
    ] {
        let error = run(Action::Off, &turns).end.unwrap_err();
        assert_eq!((error.kind, error.retry), (Kind::Refused, Retry::Never));
        assert!(error.reason.is_some());
    }
    // Nothing was touched, and a new go may come in time.
    let error = run(Action::Off, &[ready(), says("refused late-go it came after 2 s")]).end;
    let error = error.unwrap_err();
    assert_eq!((error.kind, error.retry), (Kind::Refused, Retry::UntilDeadline));
    for turns in [
        vec![says("failed toolstack xl did not answer in 10 s")],
        vec![ready(), says("failed dying held by tapdisk")],
    ] {
        assert_eq!(run(Action::Off, &turns).error().kind, Kind::Failed);
    }
}

#[test]
fn a_fenced_node_stays_fenced_whatever_becomes_of_its_start() {
    for (turn, start) in [
        (says("unstarted node2 it is held"), Start::Unstarted("it is held".to_owned())),
        (says("failed power-on no memory"), Start::Unstarted("xen1 failed: no memory".to_owned())),
        (Breaks, Start::NotSeen(String::new())),
        (Ends, Start::NotSeen(String::new())),
        (IsSilent, Start::NotSeen(String::new())),
        (says("done"), Start::NotSeen(String::new())),
        (says("started node1 created"), Start::NotSeen(String::new())),
        (Says("garbage\n".to_owned()), Start::NotSeen(String::new())),
    ] {
        let outcome = run(Action::Reset, &[ready(), says("fenced node2 killed"), turn]);
        match outcome.end {
            Ok(Success::Fenced { how: How::Killed, start: Start::NotSeen(_) })
                if matches!(start, Start::NotSeen(_)) => {}
            end => assert_eq!(end, Ok(Success::Fenced { how: How::Killed, start })),
        }
    }
    for turn in [Breaks, Ends, IsSilent] {
        assert!(run(Action::Off, &[ready(), says("fenced node2 absent"), turn]).end.is_ok());
    }
}

#[test]
fn words_of_dom0_outside_the_protocol_become_a_hint() {
    let fake = Fake { complaint: Some("sudo: a password is required\u{7}"), ..fake(&[Ends]) };
    let error = run_with(fake, Action::Off, xen_fence_protocol::GO_BY).end.unwrap_err();
    assert_eq!(error.retry, Retry::Never);
    assert!(error.hints.iter().any(|hint| hint.contains("sudo: a password is required\\u{7}")));
}

#[test]
fn notes_before_an_answer_are_warnings() {
    let note = || says("note progress domain 7 has its UUID and another name");
    for (action, answer) in [
        (Action::Status, says("seen node2 unknown")),
        (Action::List, says("seen node2 unknown")),
        (Action::Check, says("finding - ok toolstack fine")),
        (Action::Monitor, says("finding - ok toolstack fine")),
    ] {
        let outcome = run(action, &[note(), answer, says("done")]);
        assert_eq!(outcome.end, Ok(Success::Answered), "{action}");
        assert_eq!(outcome.warned, ["xen1: domain 7 has its UUID and another name"], "{action}");
        assert_eq!(outcome.told_live, outcome.warned, "{action}");
    }
    let outcome = run(Action::Off, &[ready(), note(), says("fenced node2 killed"), says("done")]);
    assert!(outcome.end.is_ok() && outcome.warned.is_empty());
    assert_eq!(outcome.told_live.len(), 1, "behind go it is progress");
}

#[test]
fn an_unknown_outcome_tells_what_dom0_was_waiting_for() {
    for turn in [IsSilent, Ends, Breaks] {
        let note = says("note progress domain 2 is still dying");
        let outcome = run(Action::Off, &[ready(), note, turn]);
        let message = &outcome.error().message;
        assert!(message.starts_with("outcome unknown, node2 may or may not be dead"), "{message}");
        assert!(message.ends_with("; the last word of xen1: domain 2 is still dying"), "{message}");
    }
    let before = says("note progress another request holds the cluster's lock");
    let outcome = run(Action::Off, &[before, ready(), IsSilent]);
    assert!(!outcome.error().message.contains("lock"), "that was over: {:?}", outcome.error());
}

#[test]
fn silence_before_the_brokers_first_line_has_a_hint() {
    for (turns, hinted) in [
        (vec![IsSilent], true),
        (vec![says("note progress waiting for the lock"), IsSilent], false),
    ] {
        let error = run(Action::Status, &turns).end.unwrap_err();
        assert_eq!((error.kind, error.retry), (Kind::TimedOut, Retry::Never));
        assert_eq!(error.hints.iter().any(|hint| hint.contains("sudo")), hinted, "{error:?}");
    }
}

#[test]
fn answers_that_change_nothing_are_whole_or_no_answers() {
    let outcome = run(Action::Status, &[says("seen node2 off"), says("done")]);
    assert_eq!(outcome.end, Ok(Success::Answered));
    assert_eq!(outcome.told.seen[0].1, Power::Off);
    assert!(!outcome.went());
    let outcome = run(Action::List, &[says("seen node1 on"), says("seen node2 off"), says("done")]);
    assert_eq!(outcome.told.seen.len(), 2);
    assert!(run(Action::List, &[says("done")]).end.is_ok());
    let finding = says("finding - warn dns the name of dom0 needs DNS");
    let outcome = run(Action::Check, &[finding.clone(), says("done")]);
    assert_eq!(outcome.told.findings.len(), 1);
    for (action, turns) in [
        (Action::Status, vec![says("done")]),
        (Action::Status, vec![says("seen node1 off"), says("done")]),
        (Action::Status, vec![says("seen node2 off"), Ends]),
        (Action::Status, vec![says("seen node2 off"), says("seen node2 on"), says("done")]),
        (Action::List, vec![says("seen node1 on"), Ends]),
        (Action::List, vec![finding, says("done")]),
        (Action::Monitor, vec![says("seen node1 on"), says("done")]),
        (Action::Status, vec![ready()]),
    ] {
        let outcome = run(action, &turns);
        assert_eq!(outcome.error().kind, Kind::Broken, "{action}");
        assert!(!outcome.error().message.contains("touched"), "{action}");
    }
}

#[test]
fn what_became_of_a_go_is_heard_or_not() {
    for (what, turns, unheard) in [
        ("fenced", vec![ready(), says("fenced node2 killed"), Breaks], false),
        ("a shell", vec![ready(), says("fenced node2 shell"), says("done")], false),
        ("failed", vec![ready(), says("failed dying held by vbd 51712")], false),
        ("refused", vec![ready(), says("refused late-go it came after 2 s")], false),
        ("silence", vec![ready(), IsSilent], true),
        ("a break", vec![ready(), Breaks], true),
        ("never said", vec![Breaks], false),
        ("refused before", vec![says("refused busy another request holds the lock")], false),
    ] {
        assert_eq!(run(Action::Reset, &turns).unheard, unheard, "{what}");
    }
    let on = [says("ready node2 off here none"), IsSilent];
    assert!(run(Action::On, &on).unheard);
}
