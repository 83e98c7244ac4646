//! Two real Heartbeat clusters in guests on real Xen, each of two nodes, with the product installed in the
//! nodes and in dom0. A kernel hangs, and its peer takes over when, and only when, dom0 has proven its
//! death. `tests/xen-lab suite heartbeat` runs it.
//!
//! One boot serves all cases, one at a time; each leaves both clusters whole.

mod cluster;
mod course;
mod take_over;

use cluster::{ALPHA, BETA, Cluster, LONG};
use course::{Course, clock};
use std::sync::{Mutex, MutexGuard, PoisonError};
use take_over::{Before, TakeOver, follow, table};
use xen_fence_tests::lab::Lab;

static LAB: Mutex<Option<Course>> = Mutex::new(None);

/// Does this in the lab, both clusters whole.
fn in_the_lab(case: impl FnOnce(&mut Course)) {
    let mut lab: MutexGuard<'_, Option<Course>> =
        LAB.lock().unwrap_or_else(PoisonError::into_inner);
    if lab.is_none() {
        let mut course = Course::of(Lab::raise_clusters().unwrap());
        for cluster in [ALPHA, BETA] {
            cluster.is_whole(&mut course, 0, &cluster.nodes);
        }
        println!("both clusters are whole {} s after dom0's boot", course.now() / 1000);
        *lab = Some(course);
    }
    case(lab.as_mut().unwrap());
}

/// node1's kernel hangs by this command of dom0's: node2 takes over, and gives back what is node1's when
/// that has booted. When it hung, and what came of it.
#[track_caller]
fn hangs(course: &mut Course, command: &str) -> (u64, TakeOver) {
    let (before, beside) = (Before::of(ALPHA, course), BETA.looks_on(course));
    let domid = course.lab.domid("node1");
    let hung = course.lab.sh(&format!("{command} && cat /proc/uptime")).exits(0);
    let hung = clock(&hung.stdout);
    // It is there, and would be for ever.
    let row = course.lab.sh("sleep 4; xl list alpha-node1 | tail -n 1").exits(0);
    println!("{command}, and 4 s later: {}", row.stdout.trim());
    assert_eq!(course.lab.domid("node1"), domid);
    let course_of_it = follow(ALPHA, course, &before);
    assert_eq!((course_of_it.victim, course_of_it.survivor), ("node1", "node2"));
    beside.has_not_noticed(course);
    (hung, course_of_it)
}

#[test]
fn a_kernel_hangs() {
    in_the_lab(|course| {
        let (pause, paused) = hangs(course, "xl pause alpha-node1");
        table(&[("paused", pause, &paused)]);
        let (panic, panicked) = hangs(course, "xl sysrq alpha-node1 c");
        assert!(course.said("node1", "Kernel panic", panic - 2000).is_some());
        table(&[("paused", pause, &paused), ("panicked", panic, &panicked)]);
    });
}

/// They hear each other no more, and both reach dom0. Who was killed comes back with a new network
/// interface, over which they hear each other again.
#[test]
fn two_nodes_lose_each_other() {
    in_the_lab(|course| {
        let (before, beside) = (Before::of(ALPHA, course), BETA.looks_on(course));
        let isolate = ALPHA
            .lives(course)
            .map(|life| format!("bridge link set dev vif{}.0 isolated on && ", life.unwrap()));
        let split = course.lab.sh(&format!("{} cat /proc/uptime", isolate.concat())).exits(0);
        let split = clock(&split.stdout);
        let course_of_it = follow(ALPHA, course, &before);
        let (victim, survivor) = (course_of_it.victim, course_of_it.survivor);
        let asked = course.said(victim, "Resetting node", split).is_some();
        let word = if asked { "wanted the same" } else { "had not asked yet" };
        println!("{survivor} shot {victim}, which {word}");
        table(&[("split", split, &course_of_it)]);
        beside.has_not_noticed(course);
    });
}

/// Runs a command in a node, at its console: its exit code, and what it said.
#[track_caller]
fn run_in(course: &mut Course, node: &str, command: &str) -> (i32, String) {
    let since = course.now();
    course.lab.type_at(node, &format!("{since} {command}"));
    let ended = format!("lab-init: {since} ended with ");
    course.wait_for(command, LONG, |course| {
        let said: Vec<&str> = course.spoken(node, since).map(|(_, line)| line).collect();
        let end = said.iter().find_map(|line| line.split_once(&ended))?;
        Some((end.1.trim().parse().ok()?, said.join("\n")))
    })
}

/// Told to shoot across, by its own account and by the other's: nothing is touched.
#[test]
fn nobody_shoots_across() {
    in_the_lab(|course| {
        let beside = [ALPHA, BETA].map(|cluster| cluster.looks_on(course));
        let across = |from: Cluster, to: Cluster, course: &mut Course| {
            for (account, refusal) in [(from, "refused"), (to, "does not accept the key")] {
                let command = format!(
                    "stonith -t external/xen-fence dom0=fence-{}@xen1:2422 -T reset {}",
                    account.name, to.nodes[0]
                );
                let (code, said) = run_in(course, from.nodes[1], &command);
                assert!(code == 5 && said.contains(refusal), "{code}\n{said}");
                let reason = said.lines().find(|line| line.contains(refusal)).unwrap_or_default();
                let reason = reason.split_once("output: ").map_or(reason, |(_, reason)| reason);
                println!("{} at {}: {reason}", from.nodes[1], to.nodes[0]);
            }
        };
        across(ALPHA, BETA, course);
        across(BETA, ALPHA, course);
        for beside in beside {
            beside.has_not_noticed(course);
        }
    });
}
