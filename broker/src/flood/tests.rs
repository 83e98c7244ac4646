//! What is stored, what is counted, and when that is told.

use super::*;

const BOOT: &str = "this";

fn refusal(caller: &str) -> Kind {
    Kind {
        event: Event::Refused,
        caller: Some(caller.to_owned()),
        action: Some("off".to_owned()),
        result: "not-yours".to_owned(),
    }
}

/// Counts so many of a kind at this second; how many were stored, and what had ended.
fn many(saved: &mut Saved, kind: &Kind, count: u32, second: u64) -> (u32, Vec<More>) {
    let (mut stored, mut ended) = (0, Vec::new());
    for _ in 0..count {
        let time = format!("T{second}");
        let passed = saved.pass(Some(kind.clone()), BOOT, second * 1000, &time);
        stored += u32::from(passed.stored);
        ended.extend(passed.ended);
    }
    (stored, ended)
}

#[test]
fn the_first_of_a_kind_are_stored_and_the_rest_is_told_when_the_window_has_ended() {
    let (mut saved, kind) = (Saved::default(), refusal("node node1"));
    assert_eq!(many(&mut saved, &kind, 1000, 5), (STORED_PER_WINDOW, vec![]));
    assert_eq!(many(&mut saved, &kind, 1, 30), (0, vec![]));
    let ended = saved.pass(None, BOOT, 65_000, "T65").ended;
    let between = ("T5".to_owned(), "T30".to_owned());
    let count = u64::from(1001 - STORED_PER_WINDOW);
    assert_eq!(ended, [More { kind, count, between }]);
    assert_eq!(ended[0].words(), format!("{count} more of this kind between T5 and T30"));
    assert_eq!(saved.pass(None, BOOT, 66_000, "T66").ended, []);
}

#[test]
fn windows_of_a_flood_that_goes_on_grow_and_end_with_it() {
    let (mut saved, kind) = (Saved::default(), refusal("node node1"));
    let mut stored = 0;
    for second in 0..86_400 {
        stored += many(&mut saved, &kind, 10, second).0;
    }
    // A day of ten a second: a few windows until they last an hour, then one an hour.
    assert!(stored <= STORED_PER_WINDOW * 32, "{stored}");
    // An hour of quiet, and all is as at first.
    let _ = saved.pass(None, BOOT, 90_000_000, "");
    let _ = saved.pass(None, BOOT, 95_000_000, "");
    assert!(saved.counters.is_empty());
}

#[test]
fn other_callers_actions_and_results_are_other_kinds() {
    let (mut saved, kind) = (Saved::default(), refusal("node node1"));
    let _ = many(&mut saved, &kind, 1000, 5);
    for other in [
        refusal("node node3"),
        Kind { action: Some("on".to_owned()), ..kind.clone() },
        Kind { result: "policy".to_owned(), ..kind.clone() },
        Kind { event: Event::Answer, ..kind },
    ] {
        assert_eq!(many(&mut saved, &other, 1, 6).0, 1, "{other:?}");
    }
}

/// A few of each kind in a minute, of many kinds, all day.
#[test]
fn who_paces_himself_fills_no_disk_either() {
    let mut saved = Saved::default();
    let kind = |n: u64| Kind { result: format!("kind {n}"), ..refusal("node node1") };
    let mut stored = 0;
    for minute in 0..24 * 60 {
        for n in 0..40 {
            stored += many(&mut saved, &kind(n), 19, minute * 61).0;
        }
    }
    assert!(stored <= STORED_PER_CALLER * 25, "{stored}");
    // Another's are stored all the same, and what was not is told.
    assert_eq!(many(&mut saved, &refusal("node node3"), 1, 24 * 60 * 61).0, 1);
    assert!(!saved.pass(None, BOOT, 100_000_000, "").ended.is_empty());
}

#[test]
fn made_up_names_do_not_make_more_room() {
    let mut saved = Saved::default();
    let mut stored = 0;
    for name in 0..10_000 {
        stored += many(&mut saved, &refusal(&format!("node n{name}")), 1, 5).0;
    }
    assert_eq!(stored, 64 + STORED_PER_WINDOW);
    assert_eq!(saved.counters.len(), KINDS + 1);
}

#[test]
fn another_boot_ends_every_window() {
    let (mut saved, kind) = (Saved::default(), refusal("node node1"));
    let _ = many(&mut saved, &kind, 100, 5);
    let passed = saved.pass(Some(kind), "next", 1000, "T1");
    assert!(passed.stored);
    assert_eq!(passed.ended.len(), 1);
}

#[test]
fn counters_outlive_their_broker_and_where_none_can_be_kept_all_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let count = |path: &str| {
        let pass = |_| {
            let flood = Flood::at(dir.path().join(path));
            let kind = Some(refusal("node node1"));
            flood.pass(kind, BOOT, Moment::since_boot(Duration::from_secs(9)), "T").stored
        };
        (0..100).map(pass).filter(|stored| *stored).count()
    };
    assert_eq!(count("run/alpha.flood"), usize::try_from(STORED_PER_WINDOW).unwrap());
    assert_eq!(Flood::at(dir.path().join("run/alpha.flood")).pending().len(), 1);
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(count("file/alpha.flood"), 100);
    fs::write(dir.path().join("run/beta.flood"), "{\"bo").unwrap();
    assert_eq!(count("run/beta.flood"), usize::try_from(STORED_PER_WINDOW).unwrap());
}
