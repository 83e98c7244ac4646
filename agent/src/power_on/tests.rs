//! `on` with several dom0s: who is asked what, in which order, and what comes of it.

use super::*;
use crate::client::{Success, Told};
use crate::endpoint::Endpoint;
use crate::phase::Phases;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use xen_fence_protocol::{HostName, StartedHow};

/// What a dom0 answers: the host that is asked, the name it gives itself, and the end.
type Turn = (&'static str, &'static str, Said);

enum Said {
    Sees(Power),
    Starts(StartedHow),
    Fails(Kind, Option<&'static str>),
}
use Said::{Fails, Sees, Starts};

struct Run {
    asked: Vec<String>,
    ids: Vec<RequestId>,
    verdict: Verdict,
}

/// Plays the turns, each of which has to be asked for in its order.
fn run_within(deadline: Duration, hosts: &[&str], turns: Vec<Turn>) -> Run {
    let node = NodeName::parse("node2").unwrap();
    let target = |host: &&str| Target::at(Endpoint::parse(&format!("fence-a@{host}")).unwrap());
    let dom0s: Vec<Target> = hosts.iter().map(target).collect();
    let overall = Deadline::after(deadline);
    let mut turns: VecDeque<Turn> = turns.into();
    let (mut asked, mut ids) = (Vec::new(), Vec::new());
    let mut ask = |target: &Target, request: &Request, until: Deadline| {
        let endpoint = &target.first;
        assert_eq!(until.or_earlier(overall), until, "past the overall deadline");
        asked.push(format!("{} {}", request.action(), endpoint.host));
        ids.push(request.id());
        let (host, dom0, said) = turns.pop_front().expect("nobody else to be asked");
        assert_eq!(host, endpoint.host.to_string());
        let mut told = Told { dom0: HostName::parse(dom0).ok(), ..Told::default() };
        let end = match said {
            Sees(power) => {
                told.seen.push((request.node().unwrap().clone(), power));
                Ok(Success::Answered)
            }
            Starts(how) => Ok(Success::Started(how)),
            Fails(kind, reason) => {
                let error = Error::new(kind, format!("{dom0} says why"));
                Err(match reason {
                    Some(word) => error.reason(word),
                    None => error,
                })
            }
        };
        Answer {
            request: request.clone(),
            endpoint: endpoint.clone(),
            told,
            phases: Phases::default(),
            stuck_in: None,
            attempts: 1,
            stands: None,
            end,
        }
    };
    let (answers, verdict) = power_on(&dom0s, &node, overall, &mut ask).unwrap();
    assert!(turns.is_empty(), "more was to be asked");
    assert_eq!(answers.len(), asked.len());
    Run { asked, ids, verdict }
}

fn run(turns: Vec<Turn>) -> Run {
    run_within(Duration::from_secs(50), &["h1", "h2"], turns)
}

fn off(host: &'static str, dom0: &'static str) -> Turn {
    (host, dom0, Sees(Power::Off))
}

const POWER_ON: Said = Fails(Kind::Failed, Some("power-on"));

#[test]
fn a_node_that_is_off_everywhere_is_started_on_the_first() {
    let run = run(vec![
        off("h1", "xen1"),
        off("h2", "xen2"),
        ("h1", "xen1", Starts(StartedHow::Created)),
    ]);
    assert_eq!(run.asked, ["status h1", "status h2", "on h1"]);
    assert_eq!(run.ids.iter().map(ToString::to_string).collect::<BTreeSet<_>>().len(), 3);
    assert_eq!((run.verdict.exit, run.verdict.result), (Exit::Success, "started"));
    assert_eq!(run.verdict.lines, ["node2 started by xen1"]);
    assert!(run.verdict.warnings.is_empty() && run.verdict.errors.is_empty());
}

#[test]
fn a_node_that_is_on_somewhere_is_not_started() {
    let one = run(vec![off("h1", "xen1"), ("h2", "xen2", Sees(Power::On))]);
    assert_eq!(one.asked, ["status h1", "status h2"]);
    assert_eq!(one.verdict.exit, Exit::Success);
    assert_eq!(one.verdict.lines, ["node2 runs on xen2 already"]);
    assert!(one.verdict.warnings.is_empty());
    let both = run(vec![("h1", "xen1", Sees(Power::On)), ("h2", "xen2", Sees(Power::On))]);
    assert!(both.verdict.warnings[0].starts_with("node2 runs on xen1 and xen2 at once"));
    let same = run(vec![("h1", "xen1", Sees(Power::On)), ("h2", "xen1", Sees(Power::On))]);
    assert!(same.verdict.warnings.is_empty(), "two addresses of one dom0");
}

#[test]
fn a_dom0_that_cannot_say_off_keeps_the_node_off() {
    for (said, exit) in [
        (Sees(Power::Unknown), Exit::Failed),
        (Fails(Kind::Refused, Some("not-granted")), Exit::Refused),
        (Fails(Kind::Unreachable, None), Exit::Unreachable),
        (Fails(Kind::HostKey, None), Exit::HostKey),
        (Fails(Kind::Login, None), Exit::Authentication),
        (Fails(Kind::TimedOut, None), Exit::TimedOut),
        (Fails(Kind::Failed, Some("toolstack")), Exit::Failed),
        (Fails(Kind::Failed, Some("power-on")), Exit::Failed),
        (Fails(Kind::Broken, None), Exit::Failed),
    ] {
        let run = run(vec![off("h1", "xen1"), ("h2", "xen2", said)]);
        assert_eq!(run.asked, ["status h1", "status h2"]);
        assert_eq!(run.verdict.exit, exit);
        let message = &run.verdict.errors[0].message;
        assert!(message.starts_with("node2 was not started: "), "{message}");
        assert!(message.contains("fence-a@h2"), "{message}");
    }
    let mixed =
        run(vec![("h1", "xen1", Fails(Kind::HostKey, None)), ("h2", "xen2", Sees(Power::On))]);
    assert_eq!(mixed.verdict.exit, Exit::HostKey);
    assert_eq!(mixed.verdict.errors[0].hints, ["node2 runs on xen2"]);
    assert!(mixed.verdict.lines.is_empty());
}

#[test]
fn a_dom0_that_cannot_start_it_leaves_it_to_the_next() {
    let before = || vec![off("h1", "xen1"), off("h2", "xen2")];
    let started = || ("h2", "xen2", Starts(StartedHow::Created));
    let mut turns = before();
    turns.push(("h1", "xen1", POWER_ON));
    turns.extend(before());
    turns.push(started());
    let failed_first = run(turns);
    assert_eq!(failed_first.asked[2..], ["on h1", "status h1", "status h2", "on h2"]);
    assert_eq!(failed_first.verdict.exit, Exit::Success);
    assert_eq!(failed_first.verdict.lines, ["node2 started by xen2"]);
    assert_eq!(failed_first.verdict.warnings, ["xen1 says why"]);
    let ids: BTreeSet<_> = failed_first.ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids.len(), 6);

    let not_granted = || Fails(Kind::Refused, Some("not-granted"));
    let mut turns = before();
    turns.push(("h1", "xen1", not_granted()));
    turns.extend(before());
    turns.push(started());
    let run_on = run(turns);
    assert_eq!(run_on.asked[2..], ["on h1", "status h1", "status h2", "on h2"]);
    assert_eq!(run_on.verdict.exit, Exit::Success);

    let mut turns = before();
    turns.push(("h1", "xen1", POWER_ON));
    turns.extend(before());
    turns.push(("h2", "xen2", not_granted()));
    let nobody = run(turns);
    assert_eq!(nobody.verdict.exit, Exit::Refused, "the last failure is the answer");
    assert_eq!(nobody.verdict.errors.len(), 2);
    assert!(nobody.verdict.lines.is_empty());
}

#[test]
fn the_next_is_not_asked_while_the_node_may_run_anywhere() {
    for (kind, reason) in [(Kind::Failed, "power-on"), (Kind::Refused, "not-granted")] {
        for at_the_next in [false, true] {
            for said in [Sees(Power::On), Sees(Power::Unknown), Fails(Kind::Unreachable, None)] {
                let again = if at_the_next {
                    [off("h1", "xen1"), ("h2", "xen2", said)]
                } else {
                    [("h1", "xen1", said), off("h2", "xen2")]
                };
                let mut turns = vec![off("h1", "xen1"), off("h2", "xen2")];
                turns.push(("h1", "xen1", Fails(kind, Some(reason))));
                turns.extend(again);
                let run = run(turns);
                assert_eq!(run.verdict.exit, kind.exit());
                let hint = &run.verdict.errors[0].hints[0];
                assert!(hint.starts_with("no other dom0 was asked to start node2: "), "{hint}");
            }
        }
    }
    for (kind, reason) in [
        (Kind::Unknown, None),
        (Kind::TimedOut, None),
        (Kind::Unreachable, None),
        (Kind::Refused, Some("held")),
        (Kind::Refused, Some("busy")),
        (Kind::Failed, Some("toolstack")),
        (Kind::Failed, Some("internal")),
    ] {
        let run =
            run(vec![off("h1", "xen1"), off("h2", "xen2"), ("h1", "xen1", Fails(kind, reason))]);
        assert_eq!(run.verdict.exit, kind.exit());
        assert_eq!(run.verdict.errors.len(), 1);
    }
}

#[test]
fn past_the_deadline_nothing_is_started() {
    let run = run_within(Duration::ZERO, &["h1", "h2"], vec![off("h1", "xen1"), off("h2", "xen2")]);
    assert_eq!(run.verdict.exit, Exit::TimedOut);
    assert!(run.verdict.errors[0].message.contains("fence-a@h1"));
}
