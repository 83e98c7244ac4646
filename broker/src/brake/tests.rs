//! When the brake is put on, what lifts it, and what a damaged count is worth.

use super::*;
use crate::acl;
use std::time::Duration;

fn brake(text: &str) -> Brake {
    let policy = format!(
        "actions = [\"reset\"]\nbrake = \"{text}\"\n[nodes.node2]\n\
         uuid = \"7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac\"\n\
         keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Tq0cFOFLqoBrYzXJ8CQYxDkSCqvOLrrPbKtWnQxxA node2\"]\n"
    );
    acl::parse(&alpha(), &policy).unwrap().brake().unwrap()
}

fn alpha() -> ClusterName {
    ClusterName::parse("alpha").unwrap()
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment::since_boot(Duration::from_secs(seconds))
}

/// Whether each of these resets, at so many seconds since boot, starts the node again.
fn starts(brake: Brake, moments: &[u64]) -> Vec<bool> {
    let mut resets = Resets::default();
    let mut started = Vec::new();
    for seconds in moments {
        let verdict = resets.verdict(brake, at(*seconds));
        let free = matches!(verdict, Verdict::Free(_));
        if free {
            resets.begun_ms.push(seconds * 1000);
        } else {
            resets.braked = Some("then".to_owned());
        }
        started.push(free);
    }
    started
}

#[test]
fn beyond_so_many_resets_within_the_window_a_node_is_left_off() {
    const MIN: u64 = 60;
    let table: [(&str, &str, &[u64], &[bool]); 8] = [
        ("a loop", "3 resets in 10m", &[0, 60, 120, 180], &[true, true, true, false]),
        (
            "the fourth just within ten minutes of the first",
            "3 resets in 10m",
            &[0, MIN, 2 * MIN, 10 * MIN - 1],
            &[true, true, true, false],
        ),
        (
            "the fourth just after them",
            "3 resets in 10m",
            &[0, MIN, 2 * MIN, 10 * MIN],
            &[true, true, true, true],
        ),
        (
            "lives longer than a third of the window, for ever",
            "3 resets in 10m",
            &[0, 210, 420, 630, 840, 1050, 1260],
            &[true; 7],
        ),
        (
            "the window slides",
            "3 resets in 10m",
            &[0, 500, 520, 610, 620],
            &[true, true, true, true, false],
        ),
        (
            "once on, it stays on after the window",
            "3 resets in 10m",
            &[0, 1, 2, 3, 4000, 8000],
            &[true, true, true, false, false, false],
        ),
        ("one in an hour", "1 reset in 1h", &[0, 3599], &[true, false]),
        ("one in an hour, and an hour", "1 reset in 1h", &[0, 3600], &[true, true]),
    ];
    for (what, text, moments, wanted) in table {
        assert_eq!(starts(brake(text), moments), wanted, "{what}");
    }
}

#[test]
fn what_is_said_names_the_rule_the_outcome_and_what_lifts_it() {
    let rule = brake("3 resets in 10m");
    assert_eq!(Verdict::Free(2).told(&alpha(), &node("node2")), None);
    let spent = Verdict::Spent(rule).told(&alpha(), &node("node2")).unwrap();
    assert_eq!(
        spent,
        "node2 has been reset too often (brake = \"3 resets in 10m\"): a reset kills it and leaves \
         it off, and its cluster goes on without it; `xen-fence on node2`, or `xen-fence-admin \
         brake clear alpha node2` on dom0, lifts the brake"
    );
    let on = Verdict::On(rule, "2026-11-21T20:00:00.000Z".to_owned());
    let on = on.told(&alpha(), &node("node2")).unwrap();
    assert!(on.starts_with("the brake of node2 is on since 2026-11-21T20:00:00.000Z"), "{on}");
}

#[test]
fn what_is_counted_is_recalled_until_it_is_lifted() {
    let dir = tempfile::tempdir().unwrap();
    let brakes = Brakes::of(dir.path(), &alpha());
    let (rule, one, two) = (brake("2 resets in 10m"), node("Web.a"), node("web.b"));
    assert_eq!(brakes.verdict(&one, rule, at(5)), Ok(Verdict::Free(0)));
    brakes.count(&one, at(5)).unwrap();
    brakes.count(&one, at(6)).unwrap();
    assert_eq!(brakes.verdict(&node("web.A"), rule, at(7)), Ok(Verdict::Spent(rule)));
    assert_eq!(brakes.verdict(&two, rule, at(7)), Ok(Verdict::Free(0)));
    brakes.put_on(&one).unwrap();
    let since = brakes.recall(&one).unwrap().braked.unwrap();
    brakes.put_on(&one).unwrap();
    assert_eq!(brakes.recall(&one).unwrap().braked, Some(since.clone()), "it is on already");
    assert_eq!(brakes.verdict(&one, rule, at(9999)), Ok(Verdict::On(rule, since)));
    let listed = brakes.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].as_ref().unwrap().node, "Web.a");
    let beta = Brakes::of(dir.path(), &ClusterName::parse("beta").unwrap());
    assert_eq!(beta.list(), Ok(vec![]));
    assert!(brakes.lift(&one).unwrap().is_some_and(|resets| resets.braked.is_some()));
    assert_eq!(brakes.lift(&one), Ok(None));
    assert_eq!(brakes.verdict(&one, rule, at(9999)), Ok(Verdict::Free(0)));
}

#[test]
fn a_damaged_count_is_none_and_is_said_and_one_of_another_boot_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let brakes = Brakes::of(dir.path(), &alpha());
    let (rule, node) = (brake("1 reset in 10m"), node("node2"));
    brakes.count(&node, at(5)).unwrap();
    let path = dir.path().join("brakes/alpha=node2.json");
    let whole = fs::read_to_string(&path).unwrap();
    for damaged in ["", "{", &whole[..whole.len() - 1], "[]", "{\"boot\":1}"] {
        fs::write(&path, damaged).unwrap();
        assert!(brakes.verdict(&node, rule, at(6)).is_err(), "{damaged}");
        assert!(matches!(brakes.list().unwrap()[..], [Err(_)]), "{damaged}");
    }
    brakes.count(&node, at(6)).unwrap();
    assert_eq!(brakes.recall(&node).unwrap().begun_ms, [6000], "it begins anew");
    fs::write(&path, whole.replace(&boot_id(), "another")).unwrap();
    assert_eq!(brakes.verdict(&node, rule, at(6)), Ok(Verdict::Free(0)));
    assert_eq!(brakes.list(), Ok(vec![]));
}

#[test]
fn a_count_that_cannot_be_written_is_said() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("brakes"), "in the way").unwrap();
    let brakes = Brakes::of(dir.path(), &alpha());
    let error = brakes.count(&node("node2"), at(5)).unwrap_err().to_string();
    assert!(error.contains("brakes/alpha=node2.json cannot be written: "), "{error}");
    assert!(brakes.put_on(&node("node2")).is_err());
}
