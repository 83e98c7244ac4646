//! Rounds with dom0s that say what they are told to.

mod played;

use super::*;
use crate::error::Kind;
use crate::exit::Exit;
pub(crate) use played::alone;
use played::{ID, Script, play};
use std::time::Duration;
use xen_fence_protocol::{Action, NodeName, Request, RequestId};

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

/// What one of several tried and did not end may still come to something, whatever the others say.
#[test]
fn an_id_is_given_up_when_all_say_that_nothing_was_done() {
    const READY: (&str, u64, &str) = ("request", 30, "ready node2 on here none");
    const GOING: (&str, u64, &str) = ("go", 1, "note going go was heard in time");
    const FAILED: Script = &[READY, GOING, ("go", 30, "failed alive it lives on")];
    const REFUSED: Script = &[READY, GOING, ("go", 30, "refused late-go x")];
    for (scripts, unheard) in [
        (&[FAILED, REFUSED][..], true),
        (&[REFUSED, FAILED], true),
        (&[FAILED, FAILED], true),
        (&[REFUSED, REFUSED], false),
        (&[FAILED], false),
    ] {
        let played = play(Action::Off, scripts);
        assert!(played.went() && played.error().kind != Kind::Unknown);
        assert_eq!(played.unheard, unheard, "{scripts:?}");
    }
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
