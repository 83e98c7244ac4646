//! Two at once, and `kill -9` of what a fence consists of, at ten points of it: what was called dead
//! is dead, the next fence works, and nothing is left of the broken one.

use crate::fresh;
use std::time::Duration;
use xen_fence_tests::lab::Lab;

/// From before the login to after the power-on: the whole of a reset takes three to eight seconds.
const POINTS: [u64; 10] = [700, 1100, 1500, 1900, 2300, 2800, 3400, 4000, 4800, 5600];

/// Kills what `victims` prints the PIDs and arguments of, at each point. Returns what it hit.
fn killed_at_ten_points(victims: &str) -> Vec<String> {
    let lab = fresh();
    let before = lab.inventory();
    let mut hit = Vec::new();
    for point in POINTS {
        let watch = lab.watch("node2");
        let old = lab.domid("node2");
        // The monitors of now are none of the fence's processes.
        let _ = lab.sh("pgrep -x xl >/run/monitors").exits(0);
        let first = lab.ask("node1", &["reset", "node2"]);
        std::thread::sleep(Duration::from_millis(point));
        let strike =
            format!("{victims} | while read -r pid args; do kill -KILL $pid && echo $args; done");
        hit.extend(lab.sh(&strike).stdout.lines().map(str::to_owned));
        let first = first.wait();
        let said_dead = first.says("node2 fenced");
        assert_eq!(said_dead, first.code == 0, "{first}");
        assert!(!said_dead || old.is_none_or(|old| !lab.rows("node2").contains(&old)), "{first}");
        let second = lab.ask("node1", &["reset", "node2"]).wait();
        let second = second.exits(0).saying("node2 fenced");
        assert!(old.is_none_or(|old| !lab.rows("node2").contains(&old)), "{second}");
        lab.settle("it runs again", || lab.domid("node2").is_some());
        lab.counts("node2");
        lab.judge(watch);
    }
    lab.settle("nothing is left of it", || lab.inventory() == before);
    hit
}

#[test]
fn the_broker_is_killed() {
    let hit = killed_at_ten_points("pgrep -a -x xen-fence-broke");
    assert!(hit.len() >= 5, "{hit:?}");
}

#[test]
fn every_xl_is_killed() {
    let hit = killed_at_ten_points("pgrep -a -x xl | grep -vwFf /run/monitors");
    for what in ["xl list", "xl destroy", "xl create"] {
        assert!(hit.iter().any(|xl| xl.contains(what)), "no {what} was hit: {hit:?}");
    }
}

#[test]
fn sshds_child_is_killed() {
    let hit = killed_at_ten_points("pgrep -a -f '^sshd: fence-alpha'");
    assert!(hit.len() >= 5, "{hit:?}");
}

/// The kills on record, each begun with a word of its own.
fn kills(lab: &Lab) -> usize {
    lab.journal().iter().filter(|record| record["event"] == "intent").count()
}

#[test]
fn two_fences_of_one_domain_at_once() {
    let lab = fresh();
    let (watch, before) = (lab.watch("node2"), kills(&lab));
    let one = lab.ask("node1", &["reset", "node2"]);
    let other = lab.ask("node1", &["reset", "node2"]);
    let (one, other) = (one.wait().exits(0), other.wait().exits(0));
    let _ = (one.saying("node2 fenced"), other.saying("node2 fenced"));
    lab.counts("node2");
    lab.judge(watch);
    assert_eq!(kills(&lab), before + 1, "{:#?}", lab.journal());
    assert_eq!(lab.rows("node2").len(), 1, "{}", lab.listing());
}

#[test]
fn both_directions_at_once() {
    let lab = fresh();
    for round in 1..=3 {
        let (first, second) = (lab.watch("node1"), lab.watch("node2"));
        let before = kills(&lab);
        let one = lab.ask("node1", &["off", "node2"]);
        let two = lab.ask("node2", &["off", "node1"]);
        let (one, two) = (one.wait(), two.wait());
        assert!((one.code == 0) != (two.code == 0), "{one}\n{two}");
        let (winner, loser) = if one.code == 0 { ("node1", "node2") } else { ("node2", "node1") };
        assert_eq!(kills(&lab), before + 1, "{:#?}", lab.journal());
        assert!(lab.rows(loser).is_empty(), "round {round}: {}", lab.listing());
        lab.counts(winner);
        let (of_loser, of_winner) =
            if loser == "node2" { (second, first) } else { (first, second) };
        lab.judge(of_loser);
        let _ = lab.seen(of_winner);
        lab.blank(loser);
        let _ = lab.ask(winner, &["on", loser]).wait().exits(0);
        lab.counts(loser);
    }
}
