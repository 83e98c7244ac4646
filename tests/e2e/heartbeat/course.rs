//! The course of a take-over. What the survivor's Heartbeat said is heard by a watcher who looks every 10 ms; all
//! else is as dom0 and the resources have put it down, on one clock.

use super::cluster::{Before, Cluster, LONG, Member, RESOURCES};
use super::lines::turns;
use std::fmt;
use std::time::Duration;

/// A death, and when what led to it happened, counted from what went wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Death {
    /// The place of who survived.
    place: usize,
    /// The survivor's Heartbeat said that its peer is dead.
    declared: Duration,
    /// A dom0 recorded that it is.
    fenced: Duration,
    /// The same, on the boot clock.
    recorded: u64,
}

/// Who survived, and when what happened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    /// The node that is left.
    pub(super) survivor: &'static str,
    death: Death,
    /// How long before the record the victim began its last line.
    silent: Duration,
    /// The survivor began its first line of the victim's resource, counted from what went wrong.
    taken: Duration,
}

/// Waits for the next death: who survived it, and how it came.
#[track_caller]
pub(super) fn death<'a>(cluster: &Cluster<'a>, before: &Before) -> (Member<'a>, Death) {
    let mut declared = [None; 2];
    loop {
        let now = before.at.elapsed();
        for (declared, member) in declared.iter_mut().zip(cluster.members) {
            let dead = format!("node {}: is dead", cluster.peer_of(member).name);
            if declared.is_none() && cluster.said_since(before, member).contains(&dead) {
                *declared = Some(now);
            }
        }
        let died = cluster.deaths().get(before.kills).cloned();
        let place =
            died.as_ref().map(|(victim, _)| usize::from(*victim == cluster.members[0].name));
        // Who fences has said that its peer is dead.
        if let (Some(place), Some((_, recorded))) = (place, died)
            && let Some(declared) = declared[place]
        {
            let fenced = since(before, recorded);
            return (cluster.members[place], Death { place, declared, fenced, recorded });
        }
        assert!(now < LONG, "nobody was killed\n{}", cluster.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Follows a take-over, by whichever node, to the first line of the victim's resource on the survivor;
/// and judges it by the files: no line of the victim comes after one of the survivor, or was begun after its
/// death was on record, and none of the survivor before that.
#[track_caller]
pub(super) fn follow(cluster: &Cluster<'_>, before: &Before) -> Course {
    let (survivor, death) = death(cluster, before);
    let victim = cluster.peer_of(survivor);
    // The line before the first is of who wrote then.
    let written = |resource: usize| {
        let from = before.lines[resource].saturating_sub(1);
        cluster.lines(RESOURCES[resource]).split_off(from)
    };
    let taken = || written(1 - death.place).iter().any(|line| line.node == survivor.name);
    while !taken() {
        assert!(before.at.elapsed() < LONG, "no take-over\n{}", cluster.said());
        std::thread::sleep(Duration::from_millis(10));
    }
    // What is under way comes to light.
    std::thread::sleep(Duration::from_millis(500));
    for (place, resource) in RESOURCES.iter().enumerate() {
        let lines = written(place);
        let mut turns = turns(&lines);
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
    let lines = written(1 - death.place);
    let first = lines.iter().position(|line| line.node == survivor.name).unwrap();
    let (last, first, recorded) = (lines[first - 1].at, lines[first].at, death.recorded);
    assert!(last <= recorded, "it was dead at {recorded}, and wrote at {last}");
    // What it had read was up to 10 ms old.
    assert!(first + 10 > recorded, "taken over at {first}, and dead at {recorded}");
    let silent = Duration::from_millis(recorded - last);
    Course { survivor: survivor.name, death, silent, taken: since(before, first) }
}

/// From what went wrong to a time of the boot clock.
fn since(before: &Before, at: u64) -> Duration {
    Duration::from_millis(at.saturating_sub(before.up))
}

impl fmt::Display for Death {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { declared, fenced, .. } = self;
        let after = fenced.saturating_sub(*declared).as_millis();
        write!(
            out,
            "declared dead after {:.2} s; fenced {after} ms after that",
            declared.as_secs_f64()
        )
    }
}

impl fmt::Display for Course {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { death, silent, taken, .. } = self;
        write!(
            out,
            "{death}, and {} ms after its last write; the resource writes elsewhere {} ms after the proof, {:.2} s in \
             all",
            silent.as_millis(),
            taken.saturating_sub(death.fenced).as_millis(),
            taken.as_secs_f64(),
        )
    }
}
