//! Records as they come into a journal of their own; syslog may hear of them or not.

use super::*;

fn recorder(dir: &Path) -> Recorder {
    let cluster = ClusterName::parse("alpha").unwrap();
    let mut recorder = Recorder::new(dir, &dir.join("run"), Some(&cluster));
    recorder.known.caller = Some("node node1".to_owned());
    recorder
}

fn records(dir: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(dir.join("alpha.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_flood_is_stored_in_part_and_a_kill_amidst_it_whole() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..100 {
        let mut refused = recorder(dir.path());
        let _ = refused.record(Event::Refused, Severe::Warning, "not-yours", "no such node");
        refused.finish();
    }
    let stored = usize::try_from(xen_fence_protocol::STORED_PER_WINDOW).unwrap();
    assert_eq!(records(dir.path()).len(), stored);
    let mut kills = recorder(dir.path());
    for _ in 0..100 {
        let _ = kills.record(Event::Intent, Severe::Notice, "killing", "");
        let _ = kills.record(Event::Outcome, Severe::Error, "dying", "");
    }
    assert_eq!(records(dir.path()).len(), stored + 200);
}

#[test]
fn each_record_says_which_broker_wrote_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = recorder(dir.path());
    let _ = one.record(Event::Answer, Severe::Notice, "answered", "");
    let record = records(dir.path()).remove(0);
    assert_eq!(record.pid, i32::try_from(std::process::id()).ok());
    assert_eq!(record.started, start_of(record.pid.unwrap()));
}

#[test]
fn a_record_tells_what_led_to_it_with_the_rule_and_each_step() {
    let dir = tempfile::tempdir().unwrap();
    let mut one = recorder(dir.path());
    one.decided(Decided::Permit, "clusters.d/alpha.toml: actions (line 1)");
    one.passed("granted", "");
    one.passed("listed", &"a corpse\n".repeat(100));
    let _ = one.record(Event::Intent, Severe::Notice, "killing", "");
    for _ in 0..100 {
        one.passed("destroyed", "x");
    }
    one.passed("proven", "");
    let _ = one.record(Event::Note, Severe::Notice, "dumped", "");
    let _ = one.record(Event::Outcome, Severe::Notice, "fenced killed", "");
    let [intent, note, outcome] = &records(dir.path())[..] else { panic!("three are written") };
    assert_eq!(intent.version.as_deref(), Some(VERSION));
    assert_eq!(intent.decision, Some(Decided::Permit));
    assert_eq!(intent.rule.as_deref(), Some("clusters.d/alpha.toml: actions (line 1)"));
    let [granted, listed] = &intent.steps[..] else { panic!("two steps: {:?}", intent.steps) };
    assert_eq!((granted.step.as_str(), granted.evidence.as_deref()), ("granted", None));
    let evidence = listed.evidence.as_deref().unwrap();
    assert!(
        evidence.starts_with("a corpse\\u{a}a corpse") && evidence.ends_with(" [cut]"),
        "{evidence}"
    );
    assert_eq!(note.steps, []);
    assert_eq!((outcome.steps.len(), outcome.steps[23].step.as_str()), (24, "proven"));
    assert_eq!(outcome.steps[..2], intent.steps[..]);
}

#[test]
fn the_question_whether_syslog_is_read_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..30 {
        let mut checks = recorder(dir.path());
        let _ = checks.probe_syslog();
        checks.finish();
    }
    let pending = Flood::at(dir.path().join("run/alpha.flood")).pending();
    let [more] = &pending[..] else { panic!("one kind: {pending:?}") };
    let stored = u64::from(xen_fence_protocol::STORED_PER_WINDOW);
    assert_eq!((more.count, more.kind.result.as_str()), (30 - stored, SYSLOG_ASKED));
}

#[test]
fn what_was_cut_short_is_said_to_who_asks_for_its_node() {
    let dir = tempfile::tempdir().unwrap();
    for (node, hears) in [("node2", 1), ("node3", 0)] {
        let mut dead = recorder(dir.path());
        dead.known.boot = "earlier".to_owned();
        dead.known.request = Some("c0ffee".to_owned());
        dead.known.action = Some("reset".to_owned());
        dead.known.node = Some("node2".to_owned());
        assert_eq!(dead.record(Event::Intent, Severe::Notice, "killing", ""), [""; 0]);
        let mut next = recorder(dir.path());
        next.known.node = Some(node.to_owned());
        let said = next.record(Event::Answer, Severe::Notice, "answered", "");
        assert_eq!(said.len(), hears, "{said:?}");
        assert!(said.iter().all(|said| said.starts_with("dom0 was booted anew")), "{said:?}");
    }
    let closed = |record: &Record| record.event == Some(Event::Closed);
    assert_eq!(records(dir.path()).into_iter().filter(closed).count(), 2);
}
