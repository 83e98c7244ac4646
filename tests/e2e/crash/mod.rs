//! Crashes at points that nobody has chosen: the broker is killed at each of its system calls, from the
//! request that it has read to its end, and what there is in dom0 then is judged, not what anybody says.
//!
//! By default at every third call that may change something outside of the broker, beginning anywhere;
//! with XEN_FENCE_CRASHES=changing at each of those, with XEN_FENCE_CRASHES=all at every call there is.

mod point;
mod tracer;
mod world;

use point::{Point, Shown};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracer::Calls;
use xen_fence_tests::{measured, skipped};

/// What is asked, and what after the crash.
#[derive(Clone, Copy)]
struct Course {
    action: &'static str,
    next: Next,
    /// Whether PID 1 starts the node, where a reset does.
    systemd: bool,
}

impl Course {
    const fn new(action: &'static str, next: Next) -> Self {
        Self { action, next, systemd: false }
    }
}

/// What is asked after a crash.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The agent asks the same again, by the same id.
    Retry,
    /// It wants the node off, and the reset is forgotten.
    Off,
}

/// Without a wish, one of so many calls is struck.
const SAMPLE: u32 = 3;

/// So many dom0s are struck side by side.
const DOM0S: usize = 2;

/// After so many crashes there is a new dom0: what is told over and over is counted instead of stored.
const POINTS_OF_A_DOM0: usize = 20;

/// How many calls a broker makes differs a little from one time to the next. When so many have come to
/// their own end before the call that they were to die at, there are no more of them.
const OUTLIVED: u32 = 6;

/// After so many points that failed, the rest are left.
const ENOUGH: usize = 5;

/// What all points of a course have shown.
#[derive(Default)]
struct Account {
    /// The calls that were struck, by name.
    struck: BTreeMap<String, u32>,
    answers: BTreeMap<String, u32>,
    /// The most calls that a broker has come to that was not killed.
    calls: u32,
    waited: Duration,
    failed: Vec<String>,
}

impl Account {
    fn add(&mut self, shown: Shown) -> bool {
        *self.answers.entry(shown.answer).or_default() += 1;
        self.waited = self.waited.max(shown.waited);
        if shown.trace.struck.is_none() {
            self.calls = self.calls.max(shown.trace.calls);
        }
        let struck = shown.trace.struck.map(|call| *self.struck.entry(call).or_default() += 1);
        struck.is_some()
    }
}

/// No course has fewer calls that may change something.
const LEAST: u32 = 60;

fn at_every_call(name: &str, course: Course) {
    if let Err(why) = tracer::is_allowed() {
        return skipped(&format!("crash points, {name}"), &format!("ptrace is refused: {why}"));
    }
    let wanted = std::env::var("XEN_FENCE_CRASHES").unwrap_or_default();
    let (calls, step) = match wanted.as_str() {
        "all" => (Calls::Every, 1),
        "changing" => (Calls::Changing, 1),
        _ => (Calls::Changing, SAMPLE),
    };
    let first = 1 + std::process::id() % step;
    let (account, begun) = (Mutex::new(Account::default()), Instant::now());
    let (next, outlived) = (AtomicU32::new(first), AtomicU32::new(0));
    let add = |at: u32, shown: std::thread::Result<Shown>| {
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        match shown {
            Ok(shown) => outlived.fetch_add(u32::from(!account.add(shown)), Ordering::Relaxed),
            Err(panic) => {
                let why = panic.downcast::<String>().map_or_else(|_| "-".to_owned(), |why| *why);
                account.failed.push(format!("at call {at}: {why}"));
                let no_more = if account.failed.len() < ENOUGH { 0 } else { OUTLIVED };
                outlived.fetch_add(no_more, Ordering::Relaxed)
            }
        }
    };
    let one_dom0 = || {
        let (dom0, files) = point::raise(course);
        for _ in 0..POINTS_OF_A_DOM0 {
            if outlived.load(Ordering::Relaxed) >= OUTLIVED {
                return;
            }
            let at = next.fetch_add(step, Ordering::Relaxed);
            let point = Point { dom0: &dom0, files: &files, course, at, calls };
            let shown = catch_unwind(AssertUnwindSafe(|| point.show()));
            let failed = shown.is_err();
            add(at, shown);
            if failed {
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..DOM0S {
            scope.spawn(|| {
                while outlived.load(Ordering::Relaxed) < OUTLIVED {
                    one_dom0();
                }
            });
        }
    });
    let account = account.into_inner().unwrap_or_else(PoisonError::into_inner);
    let points: u32 = account.struck.values().sum();
    let of = if calls == Calls::Every { "" } else { " that may change something" };
    let line = format!(
        "crash points, {name}: {points} struck of {} system calls{of}, every {step}. from the {first}. on, in \
         {:?}\n  {:?}\n  {:?}\n  a client heard of the end within {:?}",
        account.calls,
        begun.elapsed(),
        account.struck,
        account.answers,
        account.waited
    );
    measured(&line);
    assert!(account.failed.is_empty(), "{}", account.failed.join("\n"));
    // A broker that is not recognised outlives all of its crashes.
    assert!(points * step > LEAST, "{points} points are too few: is this the broker's course?");
    if calls != Calls::Every {
        let case = format!("crash points, {name}: the other system calls");
        skipped(&case, "XEN_FENCE_CRASHES=all tests/all crash strikes every one");
    }
}

#[test]
fn an_off_and_its_retry() {
    at_every_call("an off and its retry", Course::new("off", Next::Retry));
}

#[test]
fn a_reset_and_its_retry() {
    at_every_call("a reset and its retry", Course::new("reset", Next::Retry));
}

/// No power-on that a dead broker has planned or begun comes after the off.
#[test]
fn a_reset_and_an_off_after_it() {
    at_every_call("a reset and an off after it", Course::new("reset", Next::Off));
}

/// PID 1 may be asked for a power-on and carry it out when its broker is long dead.
#[test]
fn a_reset_with_systemd_and_an_off_after_it() {
    let name = "a reset with systemd and an off after it";
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        let case = format!("crash points, {name}");
        return skipped(&case, "there is no systemd here (package systemd)");
    }
    at_every_call(name, Course { systemd: true, ..Course::new("reset", Next::Off) });
}
