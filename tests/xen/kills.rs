//! Two at once, and `kill -9` of what a fence consists of, at ten points of it: what was called dead
//! is dead, the next fence works, and nothing is left of the broken one.

use crate::fresh;
use xen_fence_tests::lab::Lab;

/// From before the login to after the power-on, in seconds: the whole of a reset takes three to eight.
const POINTS: [&str; 10] = ["0.7", "1.1", "1.5", "1.9", "2.3", "2.8", "3.4", "4", "4.8", "5.6"];

/// Resets that are struck, one after another; each is followed by one that is not, and works.
fn struck<M>(lab: &Lab, moments: impl IntoIterator<Item = M>, mut strike: impl FnMut(&Lab, M)) {
    let before = lab.inventory();
    for moment in moments {
        let watch = lab.watch("node2");
        let old = lab.domid("node2");
        // As if ten seconds had passed: until then the reset of before counts for this one.
        let _ = lab.sh("rm -f /run/xen-fence/alpha.state").exits(0);
        let first = lab.ask("node1", &["reset", "node2"]);
        strike(lab, moment);
        let first = first.wait();
        let said_dead = first.says("node2 fenced");
        assert_eq!(said_dead, first.code == 0, "{first}");
        assert!(!said_dead || old.is_none_or(|old| !lab.rows("node2").contains(&old)), "{first}");
        let mut second = lab.ask("node1", &["reset", "node2"]).wait();
        // A broker that was killed while it powered the node on has not put on record that it runs;
        // the retry is told so, and its id is done with.
        if second.says("it is not killed twice") {
            second = lab.ask("node1", &["reset", "node2"]).wait();
        }
        let second = second.exits(0).saying("node2 fenced");
        assert!(old.is_none_or(|old| !lab.rows("node2").contains(&old)), "{second}");
        lab.settle("it runs again", || lab.domid("node2").is_some());
        lab.counts("node2");
        lab.judge(watch);
    }
    lab.is_as_before(&before);
}

/// At each point of time, kills what `victims` prints the PIDs and arguments of.
fn killed_at_ten_points(victims: &str) {
    let mut hit = Vec::new();
    struck(&fresh(), POINTS, |lab, wait| {
        let kill = "while read -r pid args; do kill -KILL $pid && echo $args; done";
        let hits = lab.sh(&format!("sleep {wait}; {victims} | {kill}")).stdout;
        hit.extend(hits.lines().map(str::to_owned));
    });
    assert!(hit.len() >= 5, "{hit:?}");
}

#[test]
fn the_broker_is_killed() {
    killed_at_ten_points("pgrep -a -x xen-fence-broke");
}

#[test]
fn sshds_child_is_killed() {
    killed_at_ten_points("pgrep -a -f '^sshd: fence-alpha'");
}

/// In xl's place: kills the xl that `/run/strike` names, by its command, how many of these pass
/// before it, and how many seconds it is left. Nobody who looks for processes from outside is quick
/// enough for one that takes a fifth of a second.
const MORTAL_XL: &str = r#"#!/bin/bash
if read -r what passes lives 2>/dev/null </run/strike && [ "$1" = "$what" ]; then
    if [ "$passes" -gt 0 ]; then
        echo "$what $((passes - 1)) $lives" >/run/strike
    else
        rm /run/strike
        {
            sleep "$lives"
            if kill -KILL $$; then echo "$*" >>/run/hits; fi
            # A create may be over, or be killed, and its monitor go on.
            [ "$what" != create ] || pgrep -x xl | grep -vwFf /run/monitors | xargs -r kill -KILL
        } </dev/null >/dev/null 2>&1 &
    fi
fi
exec -a "$0" /lab/real/xl "$@"
"#;

#[test]
fn every_xl_is_killed() {
    let lab = fresh();
    let place = lab.sh("ls /usr/lib/xen-*/bin/xl").exits(0).stdout.trim().to_owned();
    let _ = lab.sh(&format!("mkdir /lab/real && mv {place} /lab/real/xl")).exits(0);
    lab.write(&place, MORTAL_XL);
    let _ = lab.sh(&format!("chmod 755 {place}")).exits(0);
    let moments = [
        "list 0 0",
        "list 0 0.05",
        "list 1 0",
        "destroy 0 0",
        "destroy 0 0.2",
        "destroy 0 0.5",
        "create 0 0",
        "create 0 0.3",
        "create 0 0.6",
        "create 0 1.5",
    ];
    struck(&lab, moments, |lab, moment| {
        // The monitors of now are none of the fence's processes.
        lab.write("/run/strike", &format!("{moment}\n"));
        let _ = lab.sh("pgrep -x xl >/run/monitors").exits(0);
        lab.settle("an xl is hit", || lab.sh("! [ -e /run/strike ]").code == 0);
    });
    let hits = lab.sh("cat /run/hits").exits(0).stdout;
    for (what, times) in [("list", 2), ("destroy", 2), ("create", 3)] {
        let hit = hits.lines().filter(|hit| hit.starts_with(what)).count();
        assert!(hit >= times, "{what} was hit {hit} times: {hits}");
    }
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
