//! The shipped brokers: begun by sshd, run in fibers, killed.

use super::{Event, World};
use crate::calls::are_of;
use crate::cast::Who;
use crate::fiber::Fiber;
use crate::kernel::{Caller, Fd, Open, SESSION};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::ptr::null;
use xen_fence_broker::acl::CLUSTERS_DIR;
use xen_fence_broker::clock::BootClock;
use xen_fence_broker::hold::HOLDS_DIR;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::serve::{Door, House, RUN_DIR, serve};
use xen_fence_broker::session::Session;
use xen_fence_broker::settings::SETTINGS_FILE;
use xen_fence_protocol::{HostName, Request};

/// One broker.
pub struct Broker {
    pub host: usize,
    pub pid: i32,
    pub open: Open,
    pub fiber: Option<Box<Fiber>>,
    /// An event for it that has another number is too late.
    pub token: u64,
    /// It was killed. What still runs of it touches nothing.
    pub is_dead: bool,
    /// How long it was held up, in all.
    pub held_up: u64,
    pub(super) conn: usize,
    pub(super) who: Who,
    ended: bool,
    /// What it was asked, as the agent said it, and when it had read that.
    pub(super) request: Option<Request>,
    pub(super) asked: u64,
    /// When it said ready, last heard a word in time, and heard go; and how long it had been held up
    /// then.
    pub(super) ready: Option<u64>,
    pub(super) word: u64,
    pub(super) go: Option<(u64, u64)>,
    /// When it last began to look at all processes, when it had done so before the last listing that it
    /// asked for, and when that was taken.
    pub(super) scanned: u64,
    pub(super) looked: u64,
    pub(super) listed: u64,
    /// The same, when it said ready.
    pub(super) listed_for_ready: u64,
    /// When it had ended, or was killed.
    pub(super) gone: Option<u64>,
    /// When it last took its cluster's lock.
    pub(super) locked: u64,
    /// When it said fenced, and started.
    pub(super) said_fenced: Option<u64>,
    pub(super) said_started: Option<u64>,
    /// It has begun to kill.
    pub(super) has_begun: bool,
    /// What it said that cannot be kept.
    pub(super) lacks_record: bool,
    caller: Option<Box<Caller>>,
}

impl Broker {
    /// Whether it has ended or was killed.
    pub const fn is_over(&self) -> bool {
        self.ended || self.is_dead
    }
}

impl World {
    /// What messages call a broker.
    pub fn name(&self, broker: usize) -> String {
        let one = &self.brokers[broker];
        let asked = one.request.as_ref().map_or_else(String::new, |request| {
            let node = request.node().map_or_else(String::new, |node| format!(" {node}"));
            format!(" ({} asks {}{node})", one.who.name(), request.action())
        });
        format!("{}'s broker {broker}{asked}", Self::host_name(one.host))
    }

    /// sshd and sudo have started the broker of a connection.
    pub(super) fn broker_begins(&mut self, conn: usize) {
        let (host, session) = (self.conns[conn].host, self.conns[conn].sshd);
        let who = self.agents[self.conns[conn].agent].who;
        let now = self.now;
        let procs = &mut self.hosts[host].procs;
        let child = procs.begin(now, session, "sshd", &["sshd: fence"]);
        let sudo = procs.begin(now, child, "sudo", &["sudo"]);
        let pid = procs.begin(now, sudo, "xen-fence-broke", &["xen-fence-broker", "serve"]);
        let number = self.brokers.len();
        let caller = Box::new(Caller::new(self, number));
        let calls: *const Caller = &raw const *caller;
        let fiber = Fiber::new(Box::new(move || {
            are_of(calls);
            serve_once(who, host);
            are_of(null());
        }));
        self.brokers.push(Broker {
            host,
            pid,
            open: Open::new(),
            fiber: Some(fiber),
            token: 0,
            is_dead: false,
            held_up: 0,
            conn,
            who,
            ended: false,
            request: None,
            asked: 0,
            gone: None,
            locked: 0,
            said_fenced: None,
            said_started: None,
            ready: None,
            word: 0,
            go: None,
            scanned: 0,
            looked: 0,
            listed: 0,
            listed_for_ready: 0,
            has_begun: false,
            lacks_record: false,
            caller: Some(caller),
        });
        self.conns[conn].broker = Some(number);
        tell!(self, "{}'s broker {number} begins, for {}", Self::host_name(host), who.name());
        self.after(0, Event::Resume(number, 0));
    }

    /// The fiber of a broker that is to go on now, if it is not too late for that.
    pub(super) fn resumable(&mut self, broker: usize, token: u64) -> Option<*mut Fiber> {
        let broker = &mut self.brokers[broker];
        let fiber = broker.fiber.as_mut().filter(|_| broker.token == token)?;
        Some(&raw mut **fiber)
    }

    /// A broker has paused, or has ended.
    pub(super) fn has_paused(&mut self, broker: usize) {
        let Some(fiber) = &self.brokers[broker].fiber else { return };
        if !fiber.has_ended() {
            return;
        }
        let panicked = fiber.panicked;
        self.brokers[broker].fiber = None;
        self.brokers[broker].caller = None;
        if panicked && !self.brokers[broker].is_dead {
            self.breaks("a broker never panics", &self.name(broker));
        }
        if !self.brokers[broker].is_over() {
            tell!(self, "{} has ended", self.name(broker));
            self.brokers[broker].ended = true;
            self.broker_is_gone(broker, false);
            self.has_served(broker);
        }
    }

    /// Lets a broker go on, if it waits: at that moment or now, whichever is later.
    pub(super) fn wakes(&mut self, broker: usize, earliest: u64) {
        if self.brokers[broker].fiber.is_some() {
            self.brokers[broker].token += 1;
            let token = self.brokers[broker].token;
            self.at(earliest, Event::Resume(broker, token));
        }
    }

    /// What is left of a broker when its process is gone, killed or not.
    pub(super) fn broker_is_gone(&mut self, broker: usize, killed: bool) {
        self.brokers[broker].is_dead = killed;
        self.brokers[broker].gone = Some(self.now);
        let (host, pid, conn) =
            (self.brokers[broker].host, self.brokers[broker].pid, self.brokers[broker].conn);
        for fd in std::mem::take(&mut self.brokers[broker].open.fds).into_values() {
            self.lets_go_of(broker, &fd);
        }
        let procs = &mut self.hosts[host].procs.all;
        procs.remove(&pid);
        procs.retain(|_, proc| proc.parent != pid || proc.ended.is_none());
        procs.remove(&self.conns[conn].sshd);
        // What the agent hears of it: sshd says so, but perhaps not soon.
        self.says_end(conn);
    }

    /// A descriptor was closed.
    pub fn lets_go_of(&mut self, broker: usize, closed: &Fd) {
        let host = self.brokers[broker].host;
        match closed {
            Fd::File { open, .. } => {
                let still = |fd: &Fd| matches!(fd, Fd::File { open: other, .. } if other == open);
                if !self.brokers[broker].open.fds.values().any(still) {
                    self.unlocks(host, *open);
                }
            }
            Fd::To(pipe) => {
                let pipe = &mut self.brokers[broker].open.pipes[*pipe];
                pipe.writers = pipe.writers.saturating_sub(1);
            }
            Fd::Shown { .. }
            | Fd::Dir(_)
            | Fd::Null
            | Fd::In
            | Fd::Out
            | Fd::From(_)
            | Fd::Syslog => {}
        }
    }
}

/// What `xen-fence-broker serve` does, with what sudo and sshd say of the caller.
fn serve_once(who: Who, host: usize) {
    let house = House {
        door: Door::Sudo(who.environment()),
        settings: Path::new(SETTINGS_FILE),
        clusters: Path::new(CLUSTERS_DIR),
        journals: Path::new(JOURNAL_DIR),
        holds: Path::new(HOLDS_DIR),
        run: Path::new(RUN_DIR),
        clock: &BootClock,
    };
    // SAFETY: they are open for as long as the broker runs, as far as its own kernel goes; below
    // that nothing has these numbers.
    let (input, output) =
        unsafe { (BorrowedFd::borrow_raw(SESSION.0), BorrowedFd::borrow_raw(SESSION.1)) };
    let name = HostName::of_kernel(&World::host_name(host));
    serve(&house, &mut Session::new(input, output, name));
}
