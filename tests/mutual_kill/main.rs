//! Mutual kill, swept: two nodes shoot each other, one of them up to 200 ms after the other, with real
//! agents, sshd and sudo, and with delays on the way. Exactly one dies each time, and the other one
//! knows. A sample of it runs here; tests/sweep runs it all.

mod delay;
mod pair;
mod plan;
mod round;

use delay::Delay;
use pair::{Pair, Place};
use plan::PLAN;
use std::time::{Duration, Instant};
use xen_fence_tests::series::Series;

#[test]
fn on_one_dom0() {
    sweep(Place::OneDom0, Delay::None);
}

#[test]
fn on_one_dom0_with_delays_before_sshd() {
    sweep(Place::OneDom0, Delay::BeforeSshd);
}

#[test]
fn on_one_dom0_with_delays_in_pam() {
    sweep(Place::OneDom0, Delay::InPam);
}

#[test]
fn on_one_dom0_with_delays_in_sudo() {
    sweep(Place::OneDom0, Delay::InSudo);
}

#[test]
fn on_two_dom0s() {
    sweep(Place::TwoDom0s, Delay::None);
}

#[test]
fn on_two_dom0s_with_delays_before_sshd() {
    sweep(Place::TwoDom0s, Delay::BeforeSshd);
}

#[test]
fn on_two_dom0s_with_delays_in_pam() {
    sweep(Place::TwoDom0s, Delay::InPam);
}

#[test]
fn on_two_dom0s_with_delays_in_sudo() {
    sweep(Place::TwoDom0s, Delay::InSudo);
}

/// All rounds of one kind. A bad one does not end it: how many there are tells what is wrong.
#[track_caller]
fn sweep(place: Place, delay: Delay) {
    let began = Instant::now();
    let pair = Pair::raise(place, delay);
    let skews = PLAN.skews(place, delay);
    let (mut dead, mut unasked, mut bad) = ([0, 0], 0, Vec::new());
    let mut took = Series::new("");
    for skew in &skews {
        let round = round::hold(&pair, *skew, &mut PLAN.dice(place, delay, *skew));
        took.millis.push(round.took.as_secs_f64() * 1000.0);
        unasked += usize::from(round.unasked);
        match round.judged() {
            Ok(victim) => dead[victim] += 1,
            Err(why) => bad.push(format!("{why}\n{round}")),
        }
        pair.restore();
    }
    let rounds = skews.len();
    println!(
        "{place}, {delay}: {rounds} rounds in {} s, {} bad; node1 was shot in {}, node2 in {}; in {unasked} the \
         later one was dead before it could ask; from the first shot to the end of both agents {:.0} ms in the \
         middle, {:.0} at most",
        began.elapsed().as_secs(),
        bad.len(),
        dead[0],
        dead[1],
        took.median(),
        took.at(1.0),
    );
    let told = &*PLAN;
    assert!(bad.is_empty(), "{} of {rounds} rounds, {told}:\n{}", bad.len(), bad.join("\n"));
    assert_eq!(pair.kills(), rounds, "kills on record");
}

/// Waits so long until this holds; says whether it did.
fn within(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
