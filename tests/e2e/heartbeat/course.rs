//! The course of a take-over, as a watcher sees it who looks every 10 ms.

use super::cluster::{Before, Cluster, LONG, RESOURCES};
use super::lines::turns;
use std::fmt;
use std::time::Duration;

/// Who survived, and when what happened, counted from what went wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// The node that is left.
    pub(super) survivor: &'static str,
    /// The survivor's Heartbeat said that its peer is dead.
    declared: Duration,
    /// A dom0 recorded that it is.
    fenced: Duration,
    /// The peer's resource wrote its first line on the survivor.
    taken: Duration,
}

/// Follows a take-over, by whichever node, to the first line of the victim's resource on the survivor;
/// and judges it by the files: no line of the victim comes after one of the survivor.
#[track_caller]
pub(super) fn follow(cluster: &Cluster<'_>, before: &Before) -> Course {
    let mut declared = [None; 2];
    let mut fenced = None;
    let (place, fenced, taken) = loop {
        let now = before.at.elapsed();
        for (declared, member) in declared.iter_mut().zip(cluster.members) {
            let dead = format!("node {}: is dead", cluster.peer_of(member).name);
            if declared.is_none() && cluster.said_since(before, member).contains(&dead) {
                *declared = Some(now);
            }
        }
        if let Some(victim) = cluster.kills().get(before.kills) {
            let place = usize::from(*victim == cluster.members[0].name);
            let fenced = *fenced.get_or_insert(now);
            let lines = cluster.lines(RESOURCES[1 - place]);
            if lines.last().is_some_and(|line| line.node == cluster.members[place].name) {
                break (place, fenced, before.at.elapsed());
            }
        }
        assert!(now < LONG, "no take-over\n{}", cluster.said());
        std::thread::sleep(Duration::from_millis(10));
    };
    let survivor = cluster.members[place];
    let declared = declared[place].expect("who fences has said that its peer is dead");
    let victim = cluster.peer_of(survivor);
    // What is under way comes to light.
    std::thread::sleep(Duration::from_millis(500));
    for (resource, from) in RESOURCES.iter().zip(before.lines) {
        let lines = cluster.lines(resource);
        // The line before the first is of who wrote then.
        let mut turns = turns(&lines[from.saturating_sub(1)..]);
        let is_the_victims = *resource == cluster.resource_of(victim);
        let wanted: &[&str] =
            if is_the_victims { &[victim.name, survivor.name] } else { &[survivor.name] };
        // A quick one has booted by now, and has it back.
        if is_the_victims && turns.len() == 3 && turns[2] == victim.name {
            turns.pop();
        }
        assert_eq!(turns, wanted, "{resource}\n{}", cluster.said());
    }
    assert_eq!(cluster.kills()[before.kills..], [victim.name], "{}", cluster.said());
    Course { survivor: survivor.name, declared, fenced, taken }
}

impl fmt::Display for Course {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = |from: Duration, to: Duration| to.saturating_sub(from).as_millis();
        write!(
            out,
            "declared dead after {:.2} s; fenced {} ms after that; the resource writes elsewhere {} ms after the \
             proof, {:.2} s in all",
            self.declared.as_secs_f64(),
            millis(self.declared, self.fenced),
            millis(self.fenced, self.taken),
            self.taken.as_secs_f64(),
        )
    }
}
