//! Split brain: the two nodes no longer hear each other and both reach dom0, which each asks to kill the
//! other. One dies and one lives, on one dom0 and on two; and if they stay apart, the brake ends it.
//!
//! So many rounds in a row as XEN_FENCE_SPLITS says: tests/split-brain runs twenty.

use super::cluster::{Cluster, Member, RESOURCES};
use super::course::{death, follow};
use super::lacks_it;
use super::lines::turns;
use crate::{Dom0, settle, within};
use std::time::Duration;
use xen_fence_tests::throwaway::{Builder, Network};
use xen_fence_tests::{measured, skipped};

/// How many rounds are wanted.
const ROUNDS: &str = "XEN_FENCE_SPLITS";

/// Without a wish.
const FEW: usize = 3;

/// The nodes hear each other over the guests' LAN, and reach dom0 over another.
pub(super) fn apart(builder: Builder) -> Builder {
    builder.network(Network::Vlans)
}

/// The guests' LAN goes down or comes up, on every host.
pub(super) fn lan(dom0s: &[&Dom0], state: &str) {
    for dom0 in dom0s {
        let _ = dom0.on(&["ip", "link", "set", "xenbr10", state]).exits(0);
    }
}

/// Both hear nothing of each other, again and again: each time one dies, the other one takes over, and in the
/// end they have each other back.
fn splits(case: &str, cluster: &Cluster<'_>, dom0s: &[&Dom0]) {
    let wanted: Option<usize> = std::env::var(ROUNDS).ok().map(|rounds| rounds.parse().unwrap());
    if wanted.is_none() {
        skipped(case, &format!("all rounds but {FEW} of 20; tests/split-brain holds them all"));
    }
    let rounds = wanted.unwrap_or(FEW);
    let (mut deaths, mut both) = ([0, 0], 0);
    for round in 1..=rounds {
        let both_ask = round % 2 == 1;
        if both_ask && round > 1 {
            // Heartbeat is slower to give up a node that has just come back.
            std::thread::sleep(Duration::from_secs(12));
        }
        let before = cluster.before();
        if both_ask {
            // A toolstack that takes its time, as on real Xen: both have asked by then.
            for dom0 in dom0s {
                dom0.fault(&["fault", "list-delay", "700"]);
            }
        }
        lan(dom0s, "down");
        let course = follow(cluster, &before);
        let (survivor, victim) = cluster.by_survivor(course.survivor);
        // It may have been slower than that.
        let said = cluster.said_since(&before, victim);
        let asked = said.contains("Resetting node");
        for dom0 in dom0s {
            dom0.fault(&["clear"]);
        }
        lan(dom0s, "up");
        let word = if asked { "wanted the same" } else { "had not asked yet" };
        let (by, who) = (survivor.name, victim.name);
        measured(&format!("{case} {round}: {by} shot {who}, which {word}; {course}"));
        cluster.is_whole(Some(&before));
        let place = usize::from(victim.name == cluster.members[1].name);
        deaths[place] += 1;
        both += usize::from(asked);
        let lives = cluster.members.map(|member| member.domid());
        assert!(lives[place] > before.lives[place], "{lives:?}");
        assert_eq!(lives[1 - place], before.lives[1 - place]);
        assert_eq!(cluster.kills().len(), round, "one kill a round");
    }
    println!(
        "{case}: {rounds} rounds, one died and one lived in each: node1 {} times, node2 {}; both had asked in {both}",
        deaths[0], deaths[1]
    );
}

#[test]
fn on_one_dom0() {
    if lacks_it("split on_one_dom0") {
        return;
    }
    let dom0 = apart(Dom0::builder().cluster("alpha", &["node1", "node2"])).raise().unwrap();
    let member = |name| Member { dom0: &dom0, cluster: "alpha", name };
    let cluster = Cluster::start(["node1", "node2"].map(member), "fence-alpha@xen1:2422");
    cluster.is_whole(None);
    splits("split on_one_dom0", &cluster, &[&dom0]);
}

#[test]
fn on_two_dom0s() {
    if lacks_it("split on_two_dom0s") {
        return;
    }
    let builder = apart(Dom0::builder().cluster("alpha", &["node1", "node2"]));
    let (xen1, xen2) = builder.raise_two(&[("alpha", "node2")]).unwrap();
    let node1 = Member { dom0: &xen1, cluster: "alpha", name: "node1" };
    let node2 = Member { dom0: &xen2, cluster: "alpha", name: "node2" };
    let both = "fence-alpha@xen1:2422 fence-alpha@xen2:2422";
    let cluster = Cluster::start([node1, node2], both);
    cluster.is_whole(None);
    splits("split on_two_dom0s", &cluster, &[&xen1, &xen2]);
}

/// Who was shot boots, hears nobody, and shoots back.
#[test]
fn the_brake_ends_it_where_they_stay_apart() {
    if lacks_it("the_brake_ends_it_where_they_stay_apart") {
        return;
    }
    let policy = "actions = [\"reset\", \"off\", \"on\", \"status\"]\nbrake = \"1 reset in 10m\"";
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2"]).policy("alpha", policy);
    let dom0 = apart(builder).raise().unwrap();
    let member = |name| Member { dom0: &dom0, cluster: "alpha", name };
    let cluster = Cluster::start(["node1", "node2"].map(member), "fence-alpha@xen1:2422");
    cluster.is_whole(None);
    let mut before = cluster.before();
    lan(&[&dom0], "down");
    let mut survivors = Vec::new();
    for _ in 0..3 {
        let (survivor, death) = death(&cluster, &before);
        measured(&format!("{} alone is left where they stay apart: {death}", survivor.name));
        survivors.push(survivor);
        before = cluster.before();
    }
    let [first, second, last] = [0, 1, 2].map(|at: usize| survivors[at]);
    assert_eq!((first.name, first.name != second.name), (last.name, true), "in turns");
    let taken =
        |resource: &&str| cluster.lines(resource).last().is_some_and(|line| line.node == last.name);
    settle(|| RESOURCES.iter().all(taken));
    let lives = last.domid();
    // As long as a node would need to boot and to give its peer up.
    let again = || cluster.kills().len() > 3 || cluster.peer_of(last).domid().is_some();
    assert!(!within(Duration::from_secs(11), again), "{:?}\n{}", cluster.kills(), cluster.said());
    assert!(lives.is_some() && last.domid() == lives);
    let off = format!("{} is off and stays off: ", cluster.peer_of(last).name);
    let log = last.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("output: xen-fence")).collect();
    let says = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(says(&off) && says("has been reset too often"), "{lines:#?}");
    for resource in RESOURCES {
        println!("{resource}: {}", turns(&cluster.lines(resource)).join(", then "));
    }
}
