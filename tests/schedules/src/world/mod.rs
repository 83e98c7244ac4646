//! A world in which requests are served: hosts, domains, connections, agents and brokers, one clock,
//! and everything that can go wrong between them. The brokers are the shipped ones.

mod agents;
mod brokers;
mod domains;
mod faults;
mod hosts;
mod net;
mod plot;
mod truth;
mod truth_joined;
mod truth_kills;
mod truth_records;
mod xl;

use crate::choices::Choices;
use crate::fiber::Fiber;
use agents::Agent;
pub use brokers::Broker;
use domains::Life;
use hosts::Host;
use net::Conn;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use truth::Truth;

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// A broker goes on, if it has not since.
    Resume(usize, u64),
    /// sshd and sudo have started the broker of a connection.
    Begin(usize),
    /// Bytes arrive at the broker's side of a connection, or its end does.
    Up(usize, Option<Vec<u8>>),
    /// The same at the agent's side.
    Down(usize, Option<Vec<u8>>),
    /// An agent begins to ask.
    Ask(usize),
    /// An agent looks at its clock, if it has done nothing since.
    Tick(usize, u64),
    /// A rude agent says its next line.
    Rude(usize, usize),
    /// A program on a host takes its next step.
    Program(usize, i32),
    /// A corpse is gone.
    Buried(usize),
    /// A device model ends.
    WriterEnds(usize),
    /// A monitor ends.
    MonitorEnds(usize, i32),
    /// A monitor gives its guest a new life.
    Reborn(usize),
    /// Something that the plot has in store.
    Plot(plot::Deed),
}

/// The world.
pub struct World {
    /// Microseconds since the hosts were booted.
    pub now: u64,
    pub choices: Choices,
    pub hosts: Vec<Host>,
    pub brokers: Vec<Broker>,
    /// Once in so many calls a broker is held up.
    pub haste: u32,
    conns: Vec<Conn>,
    agents: Vec<Agent>,
    lives: Vec<Life>,
    queue: BinaryHeap<Reverse<(u64, u64, Event)>>,
    numbers: u64,
    truth: Truth,
    /// Brokers that may still be killed.
    crashes: u32,
    /// What root does about the first fence.
    regret: Option<plot::Regret>,
    /// The plot is over: nothing fails any more, and the journals are looked at.
    calm: bool,
    told: Option<Vec<String>>,
}

/// What became of a schedule.
pub struct Seen {
    /// The promises that broke.
    pub broken: Vec<String>,
    /// All choices that were made.
    pub choices: Vec<u32>,
    /// What happened, if that was to be told.
    pub told: Vec<String>,
    /// How many brokers served, kills were begun, brokers crashed.
    pub counts: [u64; 4],
}

/// No schedule lasts longer than this; what goes on then hangs.
const LONGEST: u64 = 3_000_000_000;

/// Lives through one schedule.
pub fn live(choices: Choices, tells: bool) -> Seen {
    let mut world = Box::new(World {
        now: 1_000_000_000,
        choices,
        hosts: Vec::new(),
        brokers: Vec::new(),
        haste: 30,
        conns: Vec::new(),
        agents: Vec::new(),
        lives: Vec::new(),
        queue: BinaryHeap::new(),
        numbers: 0,
        truth: Truth::default(),
        crashes: 0,
        regret: None,
        calm: false,
        told: tells.then(Vec::new),
    });
    world.begins();
    goes_on(&raw mut *world);
    world.calms_down();
    goes_on(&raw mut *world);
    world.ends();
    if world.tells() {
        for (host, name) in (0..world.hosts.len()).map(|host| (host, World::host_name(host))) {
            for line in std::mem::take(&mut world.hosts[host].syslog) {
                tell!(world, "syslog of {name}: {line}");
            }
        }
    }
    let crashed = world.brokers.iter().filter(|broker| broker.is_dead).count();
    Seen {
        broken: std::mem::take(&mut world.truth.broken),
        choices: world.choices.made().to_vec(),
        told: world.told.take().unwrap_or_default(),
        counts: [
            world.brokers.len() as u64,
            world.truth.kills.len() as u64,
            crashed as u64,
            world.truth.proofs.len() as u64,
        ],
    }
}

/// Lets happen what happens, until nothing can any more. While a broker runs, the world is its own:
/// so nothing here holds on to it then.
fn goes_on(world: *mut World) {
    // SAFETY: whoever calls this has the world to himself, and lends it to one fiber at a time.
    unsafe {
        while let Some(event) = (*world).next() {
            let Event::Resume(broker, token) = event else {
                (*world).happens(event);
                continue;
            };
            if let Some(fiber) = (*world).resumable(broker, token) {
                Fiber::resume(fiber);
                (*world).has_paused(broker);
            }
        }
    }
}

impl World {
    /// Lets something happen at a moment.
    pub fn at(&mut self, moment: u64, event: Event) {
        let number = self.number();
        self.queue.push(Reverse((moment.max(self.now), number, event)));
    }

    /// The same, so many microseconds from now.
    fn after(&mut self, micros: u64, event: Event) {
        self.at(self.now + micros, event);
    }

    /// A number that was not given out before.
    pub const fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// Whether somebody wants to know what happens.
    pub const fn tells(&self) -> bool {
        self.told.is_some()
    }

    /// Tells what happens, to whoever replays it.
    pub fn told(&mut self, what: String) {
        let line = format!("{:>10.3}  {what}", self.now as f64 / 1e6 - 1000.0);
        self.told.get_or_insert_default().push(line);
    }

    /// Lets the time until then pass for a broker that runs, if nothing happens before: to leave its stack
    /// and come back costs more than all the rest of a wait.
    pub fn passes_quietly(&mut self, until: u64) -> bool {
        let moment = until.max(self.now);
        let is_quiet = self.truth.broken.is_empty()
            && moment <= LONGEST
            && self.next_moment().is_none_or(|next| next > moment);
        if is_quiet {
            // As if it had been in the queue.
            self.numbers += 1;
            self.now = moment;
        }
        is_quiet
    }

    /// When something happens next.
    pub fn next_moment(&self) -> Option<u64> {
        self.queue.peek().map(|Reverse((moment, ..))| *moment)
    }

    /// The next event; none if nothing can happen any more, or a promise is broken.
    fn next(&mut self) -> Option<Event> {
        if !self.truth.broken.is_empty() {
            return None;
        }
        let Reverse((moment, _, event)) = self.queue.pop()?;
        self.now = moment;
        if moment > LONGEST {
            self.breaks("every request ends", "the schedule does not");
            return None;
        }
        Some(event)
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Resume(..) => {}
            Event::Begin(conn) => self.broker_begins(conn),
            Event::Up(conn, bytes) => self.arrives_up(conn, bytes),
            Event::Down(conn, bytes) => self.arrives_down(conn, bytes),
            Event::Ask(agent) => self.asks(agent),
            Event::Tick(agent, token) => self.ticks(agent, token),
            Event::Rude(agent, line) => self.is_rude(agent, line),
            Event::Program(host, pid) => self.program_steps(host, pid),
            Event::Buried(life) => self.is_buried(life),
            Event::WriterEnds(life) => self.writer_ends(life),
            Event::MonitorEnds(host, pid) => {
                self.hosts[host].procs.all.remove(&pid);
            }
            Event::Reborn(life) => self.is_reborn(life),
            Event::Plot(deed) => self.is_done(deed),
        }
    }
}
