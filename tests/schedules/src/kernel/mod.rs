//! What a broker finds below it: a kernel that carries out the calls that it makes, in one world with
//! other hosts, brokers and agents, or fails as kernels do.
//!
//! Here are a broker's own things: its time, its open files, its threads. Between two calls others
//! go on, and a broker can be held up or killed at each.

pub mod disk;
mod files;
mod names;
pub mod proc;
mod programs;
mod threads;

use crate::calls::Answer;
use crate::fiber::Fiber;
use crate::world::{Event, World};
use libc::{c_int, clockid_t, timespec};
use std::collections::BTreeMap;
pub use threads::Helper;

/// A broker, or a thread of one, when it makes a call.
pub struct Caller {
    world: *mut World,
    /// Which broker.
    pub broker: usize,
    /// A thread that the broker has begun, and waits for.
    helper: Option<std::sync::Arc<Helper>>,
}

/// What an open descriptor leads to.
#[derive(Clone)]
pub enum Fd {
    /// A file on the host's disk.
    File { inode: usize, path: String, at: usize, appends: bool, writes: bool, open: u64 },
    /// A file of /proc, as it was when it was opened.
    Shown { bytes: Vec<u8>, at: usize },
    /// A directory.
    Dir(String),
    /// /dev/null.
    Null,
    /// Standard input of the session.
    In,
    /// Standard output of the session.
    Out,
    /// The end of a pipe, by its number among the broker's pipes, from which is read.
    From(usize),
    /// The other end.
    To(usize),
    /// A socket to syslog.
    Syslog,
}

/// A pipe between a broker and a program.
#[derive(Default)]
pub struct Pipe {
    /// What was written and not yet read.
    pub bytes: Vec<u8>,
    /// So many descriptors and programs can still write.
    pub writers: u32,
}

/// What the kernel knows of a broker.
#[derive(Default)]
pub struct Open {
    pub fds: BTreeMap<c_int, Fd>,
    pub pipes: Vec<Pipe>,
    next: c_int,
    /// Where descriptors go in the program that is spawned next.
    spawns_with: Vec<(c_int, c_int)>,
    /// What was listed of directories that are being read.
    listings: BTreeMap<usize, Vec<String>>,
    /// Threads that hang in a call.
    pub hung: Vec<std::sync::Arc<Helper>>,
    /// How long the clock of a broker that was killed has run on.
    ran_on: u64,
    /// The lock that it did not get when it last tried; and, while it sleeps over that, until when it
    /// would sleep at least.
    pub waits_for: Option<(usize, u64)>,
    /// It waits for its session or for a program.
    pub polls: bool,
    /// The program that it has forked.
    forked: Option<libc::pid_t>,
}

/// Descriptors of simulated brokers; no real one is that high.
const FIRST_FD: c_int = 1 << 20;
/// Standard input and output of every broker.
pub const SESSION: (c_int, c_int) = (FIRST_FD, FIRST_FD + 1);

/// The wall clock when a world begins, in seconds.
const WALL: u64 = 1_795_000_000;
/// How long a broker that waits for something is left alone, in microseconds.
const LONG: u64 = 150_000;
/// How long calls are held up that are: milliseconds.
const HELD_UP: [u64; 6] = [0, 1, 7, 60, 400, 2_300];

impl Open {
    /// A broker that has a session and nothing else.
    pub fn new() -> Self {
        let mut open = Self { next: FIRST_FD, ..Self::default() };
        open.add(Fd::In);
        open.add(Fd::Out);
        open
    }

    fn add(&mut self, fd: Fd) -> c_int {
        let number = self.next;
        self.next += 1;
        self.fds.insert(number, fd);
        number
    }
}

impl Caller {
    /// The caller that a broker is. The world has to outlive it.
    pub const fn new(world: *mut World, broker: usize) -> Self {
        Self { world, broker, helper: None }
    }

    /// The world, for the length of one step: others use it whenever this caller pauses.
    #[expect(clippy::mut_from_ref, reason = "one of them runs at a time, see the comment inside")]
    fn world(&self) -> &mut World {
        // SAFETY: the world outlives its callers, and one thread at a time is in it: a fiber runs
        // while the world waits for it, and a helper while its fiber does. No reference into it is
        // held across a pause.
        unsafe { &mut *self.world }
    }

    fn open_of(&self) -> &mut Open {
        &mut self.world().brokers[self.broker].open
    }

    fn host(&self) -> usize {
        self.world().brokers[self.broker].host
    }

    /// Whether the broker was killed. What it does after that touches nothing; it only comes to its end.
    fn is_dead(&self) -> bool {
        self.helper.as_ref().is_some_and(|helper| helper.was_let_go())
            || self.world().brokers[self.broker].is_dead
    }

    fn alive(&self) -> Answer<()> {
        if self.is_dead() { Err(libc::EIO) } else { Ok(()) }
    }

    /// A call at which others may come in, and at which the broker may be killed.
    fn comes_to(&self, what: &str) -> Answer<()> {
        self.alive()?;
        let world = self.world();
        if world.kills_broker(self.broker, what) {
            return Err(libc::EIO);
        }
        if self.helper.is_none() {
            let held = HELD_UP[world.choices.seldom(world.haste, 6) as usize] * 1000;
            if held > 0 {
                tell!(
                    world,
                    "{} is held up for {} ms at {what}",
                    world.name(self.broker),
                    held / 1000
                );
                world.brokers[self.broker].held_up += held;
                world.keeps_others_waiting(self.broker);
                let until = world.now + held;
                while self.world().now < until && !self.is_dead() {
                    self.pause_until(until);
                }
                self.alive()?;
            }
        }
        Ok(())
    }

    /// Lets others go on until then, or until something happens to this broker.
    fn pause_until(&self, until: u64) {
        if self.is_dead() {
            return;
        }
        let world = self.world();
        let broker = &mut world.brokers[self.broker];
        broker.token += 1;
        if world.passes_quietly(until) {
            return;
        }
        let broker = &mut world.brokers[self.broker];
        let event = Event::Resume(self.broker, broker.token);
        let fiber: *mut Fiber = &raw mut **broker.fiber.as_mut().expect("it runs in a fiber");
        world.at(until, event);
        Fiber::pause(fiber);
    }

    pub(crate) fn clock_gettime(&self, clock: clockid_t, time: *mut timespec) -> Answer<c_int> {
        let mut micros = if self.helper.as_ref().is_some_and(|helper| helper.was_let_go()) {
            0
        } else {
            self.world().now
        };
        if self.is_dead() && self.helper.is_none() {
            let open = self.open_of();
            open.ran_on += 20_000_000;
            micros += open.ran_on;
        }
        let seconds = micros / 1_000_000 + if clock == libc::CLOCK_REALTIME { WALL } else { 0 };
        let (seconds, nanos) = (i64::try_from(seconds), i64::try_from(micros % 1_000_000 * 1000));
        let now = timespec { tv_sec: seconds.unwrap_or(0), tv_nsec: nanos.unwrap_or(0) };
        // SAFETY: the caller gave a place for it.
        unsafe { time.write(now) };
        Ok(0)
    }

    pub(crate) fn sleep(&self, time: *const timespec) -> Answer<c_int> {
        // SAFETY: the caller gave a time.
        let micros = unsafe { micros(&*time) };
        self.sleep_for(micros)
    }

    pub(crate) fn sleep_on_clock(&self, flags: c_int, time: *const timespec) -> Answer<c_int> {
        // SAFETY: as above.
        let micros = unsafe { micros(&*time) };
        let now = if flags == libc::TIMER_ABSTIME { self.world().now } else { 0 };
        self.sleep_for(micros.saturating_sub(now))
    }

    fn sleep_for(&self, micros: u64) -> Answer<c_int> {
        if let Some(helper) = &self.helper {
            // It waits for a lock that a thread which hangs has.
            helper.hang();
            return Ok(0);
        }
        let world = self.world();
        let mut until = world.now + micros.max(1);
        if let Some((_, earliest)) = &mut self.open_of().waits_for {
            // Who waits for a lock is not scheduled each time, but when it is free.
            *earliest = until;
            until = world.now + micros.max(LONG);
        } else if self.waits_for_forked() {
            // It looks again and again at what only an event can change.
            let changes = world.next_moment().unwrap_or(u64::MAX).min(world.now + LONG);
            let looks = changes.saturating_sub(world.now).div_ceil(micros.max(1));
            until = world.now + micros.max(1) * looks.max(1);
        }
        self.pause_until(until);
        self.open_of().waits_for = None;
        Ok(0)
    }

    /// Whether what it has forked still runs.
    fn waits_for_forked(&self) -> bool {
        let procs = &self.world().hosts[self.host()].procs.all;
        let forked = self.open_of().forked.and_then(|pid| procs.get(&pid));
        forked.is_some_and(|proc| proc.ended.is_none())
    }
}

/// A span of time.
const fn micros(time: &timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1000
}
