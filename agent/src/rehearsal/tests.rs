//! Each step with its words, its time and its mend; and what only the agent can know of several dom0s.

use super::*;
use crate::client::{self, Success, Told};
use crate::endpoint::Endpoint;
use crate::phase::Phases;
use xen_fence_protocol::{Action, HostName, NodeName, Request, RequestId, Step, Text};

const MILLI: Duration = Duration::from_millis(1);

fn answer(dom0: &str, end: Result<Success, Error>) -> Answer {
    Answer {
        request: Request::new(RequestId::from_bits(1), Action::Check, None).unwrap(),
        endpoint: Endpoint::parse(&format!("fence-alpha@{dom0}:2422")).unwrap(),
        told: Told { took: 100 * MILLI, ..Told::default() },
        phases: Phases::default(),
        stuck_in: None,
        attempts: 1,
        stands: None,
        end,
    }
}

fn answered(dom0: &str, told: &[(&str, Level, &str)]) -> Answer {
    let mut answer = answer(dom0, Ok(Success::Answered));
    answer.told.findings = told
        .iter()
        .map(|(node, level, step)| client::Finding {
            node: NodeName::parse(node).ok(),
            level: *level,
            step: Step::parse(step).unwrap(),
            text: Text::escaped("said"),
            took: MILLI,
        })
        .collect();
    answer
}

/// Node, level and step of all that was found, without what is of every rehearsal.
fn found(answers: &[Answer]) -> Vec<(String, Level, String)> {
    let all = answers.iter().flat_map(findings).filter(|finding| finding.step != "ready");
    all.map(|one| (one.node.unwrap_or_default(), one.level, one.step)).collect()
}

fn stuck(phase: Phase, kind: Kind, more: impl FnOnce(&mut Answer)) -> Finding {
    let mut answer = answer("127.0.0.1", Err(Error::new(kind, "why").hint("theirs")));
    answer.stuck_in = Some(phase);
    more(&mut answer);
    findings(&answer).pop().unwrap()
}

#[test]
fn an_attempt_that_failed_has_its_step_its_time_and_its_mend() {
    let heard = |answer: &mut Answer| answer.told.broker = Version::parse("9.9.9").ok();
    let refused = |reason: Refusal| {
        move |answer: &mut Answer| {
            answer.told.broker = Version::parse("9.9.9").ok();
            answer.end = Err(Error::new(Kind::Refused, "why").reason(reason.word()).hint("theirs"));
        }
    };
    let key = |answer: &mut Answer| answer.told.own_key = Some("ssh-ed25519 AAAA".to_owned());
    let file = "/etc/xen-fence/clusters.d/alpha.toml";
    for (finding, step, mend) in [
        (stuck(Phase::Resolve, Kind::Unreachable, |_| ()), "name", "/etc/hosts"),
        (
            stuck(Phase::Connect, Kind::Unreachable, |_| ()),
            "address",
            "on 127.0.0.1, as root: systemctl start xen-fence-sshd",
        ),
        (stuck(Phase::KeyExchange, Kind::Unreachable, |_| ()), "host-key", "theirs"),
        (stuck(Phase::Connect, Kind::HostKey, |_| ()), "host-key", "theirs"),
        (stuck(Phase::Login, Kind::Login, key), "login", "hold \"ssh-ed25519 AAAA\""),
        (stuck(Phase::Login, Kind::Login, |_| ()), "login", "xen-fence-admin acl apply"),
        (stuck(Phase::Channel, Kind::Broken, |_| ()), "session", "setup --cluster alpha"),
        (stuck(Phase::Answer, Kind::Broken, |_| ()), "sudo", "sudo -l -U fence-alpha"),
        (
            stuck(Phase::Answer, Kind::Broken, |answer| answer.told.garbled = true),
            "protocol",
            "install the same version",
        ),
        (stuck(Phase::Answer, Kind::TimedOut, heard), "answer", "theirs"),
        (
            stuck(Phase::Answer, Kind::Refused, refused(Refusal::Policy)),
            "policy",
            "on 127.0.0.1, as root: xen-fence-admin acl check",
        ),
        (stuck(Phase::Answer, Kind::Refused, refused(Refusal::Identity)), "policy", file),
        (stuck(Phase::Answer, Kind::Refused, refused(Refusal::Source)), "policy", "`from` in"),
        (stuck(Phase::Answer, Kind::Refused, refused(Refusal::NotYours)), "policy", "[nodes.NAME]"),
        (stuck(Phase::Answer, Kind::Refused, refused(Refusal::NotGranted)), "policy", "`actions`"),
        (stuck(Phase::Answer, Kind::Refused, refused(Refusal::AskerDying)), "answer", "theirs"),
    ] {
        let said = finding.sentence();
        assert_eq!((finding.level, finding.step.as_str()), (Level::Fail, step), "{said}");
        assert!(said.contains(mend) && said.ends_with("(hint: theirs)"), "{mend}: {said}");
        assert_eq!(finding.took, Some(100 * MILLI), "{said}");
    }
}

#[test]
fn the_steps_stand_in_the_order_of_a_fence_each_with_its_time() {
    let mut answer =
        answered("127.0.0.1", &[("", Level::Ok, "policy"), ("node2", Level::Ok, "hold")]);
    for (phase, detail) in [
        (Phase::Resolve, "an address"),
        (Phase::Connect, "127.0.0.1:2422"),
        (Phase::KeyExchange, "ssh-ed25519 SHA256:x as at file:1; kex, methods"),
        (Phase::Login, "fence-alpha with ssh-ed25519 SHA256:y"),
        (Phase::Channel, ""),
        (Phase::Answer, ""),
    ] {
        answer.phases.push(phase, MILLI, detail);
    }
    answer.told.broker = Version::parse(env!("CARGO_PKG_VERSION")).ok();
    answer.told.dom0 = HostName::parse("xen1").ok();
    answer.told.first_word = Some(2 * MILLI);
    let mut answers = [answer];
    complete(&mut answers, &[], Duration::from_secs(50));
    let all = findings(&answers[0]);
    let steps: Vec<&str> = all.iter().map(|one| one.step.as_str()).collect();
    assert_eq!(
        steps,
        [
            "name", "address", "host-key", "login", "session", "sudo", "protocol", "policy",
            "hold", "ready"
        ]
    );
    assert!(all.iter().all(|one| one.took.is_some() || one.step == "protocol"), "{all:?}");
    assert!(all.iter().all(|one| one.level == Level::Ok), "{all:?}");
    assert_eq!(all[2].text, "it is the recorded one: ssh-ed25519 SHA256:x as at file:1");
    assert!(all[9].text.contains("0.10 s; it has to by 40 s, and to end by 50 s"), "{all:?}");
    answers[0].told.broker = Version::parse("9.9.9").ok();
    let other = findings(&answers[0]).into_iter().find(|one| one.step == "protocol").unwrap();
    assert!(other.level == Level::Warn && other.sentence().contains("9.9.9"), "{other:?}");
}

#[test]
fn an_answer_that_takes_half_of_the_time_is_a_warning_that_names_the_slowest_step() {
    let mut slow = answered("127.0.0.1", &[("", Level::Ok, "toolstack")]);
    slow.told.findings[0].took = 2 * Duration::from_secs(1);
    slow.told.took = 3 * Duration::from_secs(1);
    for (timeout, level) in [(50, Level::Ok), (5, Level::Warn)] {
        let mut answers = [answered("127.0.0.1", &[])];
        answers[0].told.took = slow.told.took;
        answers[0].told.findings = slow.told.findings.clone();
        complete(&mut answers, &[], Duration::from_secs(timeout));
        let ready = findings(&answers[0]).pop().unwrap();
        assert_eq!((ready.level, ready.step.as_str()), (level, "ready"));
        assert_eq!(ready.sentence().contains("toolstack took 2.00 s"), level == Level::Warn);
    }
}

#[test]
fn a_node_is_seen_by_some_dom0_or_by_none() {
    let (asks, absent) = (("node1", Level::Warn, "asker"), ("node2", Level::Warn, "absent"));
    let (seen1, seen2) = (("node1", Level::Ok, "domain"), ("node2", Level::Ok, "domain"));
    let levels = |answers: &mut [Answer]| {
        complete(answers, &[], Duration::from_secs(50));
        found(answers).into_iter().map(|(_, level, _)| level).collect::<Vec<_>>()
    };
    let mut here = [answered("h1", &[asks, seen2]), answered("h2", &[seen1, absent])];
    here.iter_mut().for_each(|answer| answer.phases = Phases::default());
    assert_eq!(levels(&mut here), [Level::Ok; 4]);
    let mut nowhere = [answered("h1", &[asks, absent]), answered("h2", &[asks, absent])];
    let expected = [Level::Fail, Level::Warn, Level::Fail, Level::Warn];
    assert_eq!(levels(&mut nowhere), expected);
    // One that did not answer may see it.
    let silent = answer("h2", Err(Error::new(Kind::TimedOut, "silence")));
    let mut perhaps = [answered("h1", &[asks, absent]), silent];
    assert_eq!(levels(&mut perhaps), [Level::Warn, Level::Warn, Level::Fail]);
}

#[test]
fn of_several_nodes_those_that_are_named_are_told_and_none_is_passed_over() {
    let told = [
        ("", Level::Ok, "policy"),
        ("node1", Level::Fail, "hold"),
        ("node2", Level::Ok, "hold"),
        ("node3", Level::Ok, "hold"),
    ];
    let nodes = ["node2", "NODE3", "db1"].map(|name| NodeName::parse(name).unwrap());
    let mut answers = [answered("h1", &told)];
    complete(&mut answers, &nodes, Duration::from_secs(50));
    let expected = [
        ("", Level::Ok, "policy"),
        ("node2", Level::Ok, "hold"),
        ("node3", Level::Ok, "hold"),
        ("db1", Level::Fail, "policy"),
    ];
    let expected = expected.map(|(node, level, step)| (node.to_owned(), level, step.to_owned()));
    assert_eq!(found(&answers), expected);
}

#[test]
fn a_brokers_time_and_hint_are_taken_from_its_sentence() {
    let parts = |text: &str| hints::taken_apart(text);
    let took = Some(Duration::from_micros(1500));
    for (text, said, took, hint) in [
        ("no", "no", None, None),
        ("no (hint: do)", "no", None, Some("do")),
        ("no (1.5 ms)", "no", took, None),
        ("no (or 2) (1.5 ms) (hint: do (it))", "no (or 2)", took, Some("do (it)")),
        ("no (-1 ms)", "no (-1 ms)", None, None),
        // Cut off by a broker: it stays as it is.
        ("no (1.5 ms) (hint: d [cut]", "no (1.5 ms) (hint: d [cut]", None, None),
    ] {
        assert_eq!(parts(text), (said.to_owned(), took, hint.map(str::to_owned)), "{text}");
    }
}
