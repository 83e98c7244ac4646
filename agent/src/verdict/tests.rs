//! The rules by which answers become one result.

use super::*;
use crate::client::Told;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::phase::{Phase, Phases};
use std::slice;
use std::time::Duration;
use xen_fence_protocol::{HostName, How, NodeName, RequestId, Step, Text};

fn answer(dom0: &str, end: Result<Success, Error>) -> Answer {
    Answer {
        request: request(Action::List),
        endpoint: Endpoint::parse(&format!("fence-a@{dom0}.invalid")).unwrap(),
        told: Told { dom0: HostName::parse(dom0).ok(), ..Told::default() },
        phases: Phases::default(),
        stuck_in: None,
        attempts: 1,
        stands: None,
        end,
    }
}

fn saw(dom0: &str, seen: &[(&str, Power)]) -> Answer {
    let mut answer = answer(dom0, Ok(Success::Answered));
    let node = |name| NodeName::parse(name).unwrap();
    answer.told.seen = seen.iter().map(|(name, power)| (node(name), *power)).collect();
    answer
}

fn failed(dom0: &str, kind: Kind) -> Answer {
    answer(dom0, Err(Error::new(kind, "why")))
}

fn request(action: Action) -> Request {
    let names = action.waits_for_go() || action == Action::Status;
    let node = names.then(|| NodeName::parse("node2").unwrap());
    Request::new(RequestId::from_bits(1), action, node).unwrap()
}

#[test]
fn one_on_is_on_and_only_all_off_is_off() {
    let one = |power| saw("xen1", &[("node2", power)]);
    let two = |power| saw("xen2", &[("node2", power)]);
    for (answers, line, exit) in [
        (vec![one(Power::On)], "node2 on", Exit::Success),
        (vec![one(Power::Off)], "node2 off", Exit::Success),
        (vec![one(Power::Unknown)], "node2 unknown", Exit::Failed),
        (vec![one(Power::Off), two(Power::On)], "node2 on", Exit::Success),
        (vec![one(Power::On), failed("xen2", Kind::Unreachable)], "node2 on", Exit::Success),
        (vec![one(Power::Off), two(Power::Off)], "node2 off", Exit::Success),
        (vec![one(Power::Off), two(Power::Unknown)], "node2 unknown", Exit::Failed),
        (
            vec![one(Power::Off), failed("xen2", Kind::Unreachable)],
            "node2 unknown",
            Exit::Unreachable,
        ),
        (vec![one(Power::Off), saw("xen2", &[])], "node2 unknown", Exit::Failed),
        (vec![failed("xen1", Kind::HostKey)], "node2 unknown", Exit::HostKey),
        (
            vec![failed("xen1", Kind::HostKey), failed("xen2", Kind::Login)],
            "node2 unknown",
            Exit::Failed,
        ),
        (vec![], "node2 unknown", Exit::Failed),
    ] {
        let verdict = judge(&request(Action::Status), &answers, vec![]);
        assert_eq!((verdict.lines[0].as_str(), verdict.exit), (line, exit), "{answers:?}");
    }
}

#[test]
fn a_list_says_which_dom0_where_there_are_several() {
    let one = || saw("xen1", &[("node1", Power::On), ("node2", Power::Off)]);
    let verdict = judge(&request(Action::List), &[one()], vec![]);
    assert_eq!(verdict.lines, ["node1 on", "node2 off"]);
    let verdict =
        judge(&request(Action::List), &[one(), saw("xen2", &[("node2", Power::On)])], vec![]);
    assert_eq!(verdict.lines, ["node1 on xen1", "node2 off xen1", "node2 on xen2"]);
    // Two addresses of one dom0.
    let again = saw("xen1", &[("node2", Power::Off), ("NODE1", Power::Unknown)]);
    let verdict = judge(&request(Action::List), &[one(), again], vec![]);
    assert_eq!(verdict.lines, ["node1 on xen1", "node2 off xen1"]);
    let verdict = judge(&request(Action::List), &[one(), failed("xen2", Kind::Login)], vec![]);
    assert_eq!((verdict.lines.len(), verdict.exit), (2, Exit::Authentication));
}

#[test]
fn only_fenced_and_started_are_success() {
    let fenced = |start| Ok(Success::Fenced { how: How::Killed, start });
    for (end, line, warns) in [
        (fenced(Start::NotAsked), "node2 fenced (killed) by xen1", false),
        (
            fenced(Start::Started(StartedHow::Created)),
            "node2 fenced (killed) by xen1, and started",
            false,
        ),
        (
            fenced(Start::Unstarted("why".to_owned())),
            "node2 fenced (killed) by xen1, not started",
            true,
        ),
        (
            fenced(Start::NotSeen("why".to_owned())),
            "node2 fenced (killed) by xen1, its start was not seen",
            true,
        ),
    ] {
        let verdict = judge(&request(Action::Reset), &[answer("xen1", end)], vec![]);
        assert_eq!((verdict.exit, verdict.result), (Exit::Success, "fenced"));
        assert_eq!((verdict.lines[0].as_str(), verdict.warnings.len()), (line, usize::from(warns)));
    }
    for kind in [Kind::Refused, Kind::Failed, Kind::Unknown, Kind::TimedOut, Kind::Broken] {
        let verdict = judge(&request(Action::Off), &[failed("xen1", kind)], vec![]);
        assert_eq!(verdict.exit, kind.exit());
        assert_ne!(verdict.exit, Exit::Success);
        assert!(verdict.lines.is_empty());
    }
    let verdict = judge(&request(Action::Off), &[answer("xen1", Ok(Success::Answered))], vec![]);
    assert_eq!(verdict.exit, Exit::Failed);
    assert_eq!(judge(&request(Action::Off), &[], vec![]).exit, Exit::Failed);
}

fn found(level: Level) -> Answer {
    let mut answer = answer("xen1", Ok(Success::Answered));
    answer.phases.push(Phase::Login, Duration::from_millis(12), "fence-a with a key");
    answer.told.findings.push(crate::client::Finding {
        node: NodeName::parse("node2").ok(),
        level,
        step: Step::parse("config").unwrap(),
        text: Text::escaped("a sentence (hint: on xen1, as root: mend it)"),
        took: Duration::from_millis(3),
    });
    answer
}

#[test]
fn a_check_prints_every_step_and_fails_by_any() {
    for (level, word, exit) in [
        (Level::Ok, "ok  ", Exit::Success),
        (Level::Warn, "warn", Exit::Success),
        (Level::Fail, "FAIL", Exit::Failed),
    ] {
        let here = vec![Finding::here(Level::Ok, "key", "good")];
        let verdict = judge(&request(Action::Check), &[found(level)], here);
        assert_eq!(verdict.exit, exit);
        let login = "ok   - login the key is accepted: fence-a with a key (12.0 ms)";
        let found = format!("{word} node2 config a sentence (3.0 ms)");
        let lines = ["ok   - key good", login, &found, "     hint: on xen1, as root: mend it"];
        assert_eq!(verdict.lines, lines);
    }
    let mut stuck = failed("xen1", Kind::Login);
    stuck.stuck_in = Some(Phase::Login);
    let verdict = judge(&request(Action::Check), &[stuck], vec![]);
    assert_eq!(verdict.exit, Exit::Failed);
    let said = verdict.lines.join("\n");
    assert!(said.starts_with("FAIL - login why\n     hint: on xen1.invalid, as root: "), "{said}");
    let mut hung = answer("xen1", Err(Error::new(Kind::TimedOut, "silence").hint("syslog?")));
    for (phase, step) in
        [(Phase::KeyExchange, "host-key"), (Phase::Login, "login"), (Phase::Channel, "session")]
    {
        hung.stuck_in = Some(phase);
        let verdict = judge(&request(Action::Check), slice::from_ref(&hung), vec![]);
        assert_eq!(verdict.lines.first(), Some(&format!("FAIL - {step} silence")));
        assert_eq!(verdict.lines.last().unwrap(), "     hint: syslog?");
    }
    let broken = vec![Finding::here(Level::Fail, "key", "missing")];
    assert_eq!(judge(&request(Action::Check), &[], broken).exit, Exit::Failed);
}

#[test]
fn two_entries_that_are_called_alike_are_a_warning() {
    let called = |host: &str, dom0: &str| {
        let mut one = found(Level::Ok);
        one.endpoint = answer(host, Ok(Success::Answered)).endpoint;
        one.told.dom0 = HostName::parse(dom0).ok();
        one
    };
    let warned = |answers: &[Answer]| {
        let verdict = judge(&request(Action::Check), answers, vec![]);
        verdict.lines.iter().any(|line| line.starts_with("warn - one-dom0 ") && line.contains("h2"))
    };
    assert!(warned(&[called("h1", "xen1"), called("h2", "xen1")]));
    assert!(!warned(&[called("h1", "xen1"), called("h2", "xen2")]));
    assert!(!warned(&[found(Level::Ok), answer("h2", Err(Error::new(Kind::Login, "why")))]));
}

#[test]
fn a_monitor_is_silent_about_what_is_well_and_keeps_the_code() {
    let verdict = judge(&request(Action::Monitor), &[found(Level::Ok)], vec![]);
    assert_eq!(verdict.exit, Exit::Success);
    assert_eq!(verdict.lines, [""; 0]);
    let verdict = judge(&request(Action::Monitor), &[found(Level::Warn)], vec![]);
    assert_eq!(
        verdict.lines,
        ["warn node2 config a sentence (hint: on xen1, as root: mend it)"],
        "one line in a log"
    );
    let verdict = judge(&request(Action::Monitor), &[failed("xen1", Kind::Unreachable)], vec![]);
    assert_eq!(verdict.exit, Exit::Unreachable);
    assert_eq!(judge(&request(Action::Monitor), &[found(Level::Fail)], vec![]).exit, Exit::Failed);
}

#[test]
fn the_object_for_programs() {
    let fenced = Success::Fenced { how: How::Killed, start: Start::NotAsked };
    let mut fine = answer("xen1", Ok(fenced));
    fine.phases.push(Phase::KeyExchange, Duration::from_micros(12_345), "");
    let request = request(Action::Off);
    let object = |answers: &[Answer]| {
        let verdict = judge(&request, answers, vec![]);
        crate::json::of_verdict(&request, &verdict, answers, Duration::from_millis(31))
    };
    let value = object(&[fine]);
    assert_eq!(value["result"], "fenced");
    assert_eq!(value["exit"], 0);
    assert_eq!(value["node"], "node2");
    assert_eq!(value["dom0s"][0]["dom0"], "xen1");
    assert_eq!(value["dom0s"][0]["phases"]["key_exchange"], 12.3);
    assert!(value["dom0s"][0]["error"].is_null());
    let value = object(&[failed("xen1", Kind::TimedOut)]);
    assert_eq!((&value["result"], &value["exit"]), (&"timed-out".into(), &7.into()));
    assert_eq!(value["dom0s"][0]["error"]["message"], "why");
}
