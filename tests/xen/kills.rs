//! Two at once, and `kill -9` of what a fence consists of, at ten points of it: what was called dead
//! is dead, the next fence works, and nothing is left of the broken one.

use crate::fresh;
use std::time::Duration;
use xen_fence_tests::lab::Lab;

/// The whole of a reset takes three to eight seconds here.
const POINTS: [u64; 10] = [200, 500, 800, 1100, 1400, 1800, 2300, 3000, 4000, 5500];

fn killed_at_ten_points(victim: &str) {
    let lab = fresh();
    let before = lab.inventory();
    let mut struck = 0;
    for point in POINTS {
        let watch = lab.watch("node2");
        let old = lab.domid("node2");
        let first = lab.ask("node1", &["reset", "node2"]);
        std::thread::sleep(Duration::from_millis(point));
        struck += u32::from(lab.sh(&format!("pkill -KILL {victim}")).code == 0);
        let first = first.wait();
        let said_dead = first.says("node2 fenced");
        assert_eq!(said_dead, first.code == 0, "{first}");
        assert!(!said_dead || old.is_none_or(|old| !lab.rows("node2").contains(&old)), "{first}");
        let second = lab.ask("node1", &["reset", "node2"]).wait();
        let second = second.exits(0).saying("node2 fenced");
        assert!(old.is_none_or(|old| !lab.rows("node2").contains(&old)), "{second}");
        lab.judge(watch);
        lab.settle("it runs again", || lab.domid("node2").is_some());
        lab.counts("node2");
    }
    assert!(struck >= 5, "{victim} was there at {struck} of the points only");
    lab.settle("nothing is left of it", || lab.inventory() == before);
}

#[test]
fn the_broker_is_killed() {
    killed_at_ten_points("-x xen-fence-broke");
}

#[test]
fn every_xl_is_killed() {
    killed_at_ten_points("-x -f '.*/xl (list|destroy|create).*node2.*|.*/xl (list|destroy) .*'");
}

#[test]
fn sshds_child_is_killed() {
    killed_at_ten_points("-f '^sshd: fence-alpha'");
}

/// The kills on record, each begun with a word of its own.
fn kills(lab: &Lab) -> usize {
    lab.journal().iter().filter(|record| record["event"] == "intent").count()
}

#[test]
fn two_fences_of_one_domain_at_once() {
    let lab = fresh();
    let watch = lab.watch("node2");
    let one = lab.ask("node1", &["reset", "node2"]);
    let other = lab.ask("node1", &["reset", "node2"]);
    let (one, other) = (one.wait().exits(0), other.wait().exits(0));
    let _ = (one.saying("node2 fenced"), other.saying("node2 fenced"));
    lab.judge(watch);
    lab.counts("node2");
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
