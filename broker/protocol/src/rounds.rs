//! The asker's half of ready and go, for one dom0 or several: whom to ask when, when to say `go`,
//! and what the answers come to.
//!
//! A machine without input, output or clock, so that a model can drive what ships. It never ends in
//! [`Outcome::Fenced`] but on the word of every dom0, and says `go` to none while another has not
//! become ready: two opposed requests ask their dom0s in one order, and meet at the first that both
//! of them ask. That one hears `go` first, and the others when it has confirmed it: a dom0 can have
//! let go of its lock long ago without the asker's knowing, and two askers that held their locks at
//! different times would kill each other.

use crate::limits::{COLLECTED_BY, GO_BY, WAIT_EVERY};
use crate::reply::Body;
use crate::request::{Action, ClientLine, Request};
use crate::words::{Asker, Hold, How, Note, Power, Refusal};
use std::time::Duration;

mod terms;

pub use terms::{Event, Outcome, Say, Standing, Why};

/// What is known of one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Host {
    Unasked,
    Asked,
    Ready { power: Power, hold: Hold },
    Gone,
    Fenced(How),
    Looking(How),
    Agrees,
    Out(Why),
}

/// One round with every host.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Round {
    request: Request,
    hosts: Vec<Host>,
    /// When the asker began to ask, in all rounds.
    begun: Duration,
    /// When the first host was ready.
    first_ready: Option<Duration>,
    /// When `wait` was said last.
    waited: Duration,
    /// Those that have said that they cannot power the node on.
    unable: Vec<usize>,
    /// Those that saw the node off when they were ready.
    off_at_ready: Vec<usize>,
    /// Those that the node cannot run on.
    elsewhere: Vec<usize>,
    /// Whether a hold or a brake anywhere leaves the node off, which then holds everywhere.
    left_off: bool,
    asker_seen: bool,
    gone: bool,
    /// The first host has heard `go` in time.
    confirmed: bool,
    starter: Option<usize>,
    standing: Standing,
}

impl Round {
    /// A round of a request that kills, with so many hosts. Times are those of any one clock;
    /// `begun` is when the first round began.
    #[must_use]
    pub fn new(request: Request, hosts: usize, begun: Duration) -> Self {
        Self {
            request,
            hosts: vec![Host::Unasked; hosts],
            begun,
            first_ready: None,
            waited: begun,
            unable: Vec::new(),
            off_at_ready: Vec::new(),
            elsewhere: Vec::new(),
            left_off: false,
            asker_seen: false,
            gone: false,
            confirmed: false,
            starter: None,
            standing: Standing::Going,
        }
    }

    /// The node cannot run on this host: it is not to power it on.
    pub fn cannot_run_on(&mut self, host: usize) {
        self.elsewhere.push(host);
    }

    /// How things stand.
    #[must_use]
    pub const fn standing(&self) -> Standing {
        self.standing
    }

    /// Whether `go` has been said to anybody: from then on the node may be dead.
    #[must_use]
    pub const fn has_gone(&self) -> bool {
        self.gone
    }

    /// Whether a host that is ready sees the asker's own domain.
    #[must_use]
    pub const fn asker_is_seen(&self) -> bool {
        self.asker_seen
    }

    /// The host by which a reset powers the node on again, once `go` has been said.
    #[must_use]
    pub const fn starter(&self) -> Option<usize> {
        self.starter
    }

    /// The host that has been asked and keeps the others waiting.
    #[must_use]
    pub fn awaited(&self) -> Option<usize> {
        self.hosts.iter().position(|host| *host == Host::Asked)
    }

    /// Takes an event, and answers with what is to be said, in this order.
    #[must_use]
    pub fn step(&mut self, event: Event<'_>, now: Duration) -> Vec<Say> {
        let mut said = Vec::new();
        if self.standing != Standing::Going {
            return said;
        }
        match event {
            Event::Tick => {}
            Event::Lost(host) => self.out(host, Why::Lost(host)),
            Event::Reply(host, body) => self.hear(host, body, now),
        }
        if self.standing == Standing::Going {
            if self.gone { self.prove(&mut said) } else { self.collect(now, &mut said) }
        }
        if self.standing == Standing::Going {
            self.wait(now, &mut said);
        }
        said
    }

    /// Ends it where it is; the outcome is what is known by now.
    #[must_use]
    pub const fn give_up(&self) -> Outcome {
        match self.standing {
            Standing::Ended(outcome) => outcome,
            Standing::Going | Standing::Again if self.gone => Outcome::Unknown(Why::TooLate),
            Standing::Going | Standing::Again => Outcome::Untouched(Why::TooLate),
        }
    }

    fn hear(&mut self, host: usize, body: &Body, now: Duration) {
        let Some(at) = self.hosts.get(host).copied() else { return };
        let is_ours = |node| self.request.node() == Some(node);
        match (at, body) {
            (_, Body::Note { about: Note::Config, .. }) => self.unable.push(host),
            (_, Body::Note { about: Note::LeftOff, .. }) => self.left_off = true,
            (Host::Gone, Body::Note { about: Note::Going, .. }) if host == 0 => {
                self.confirmed = true;
            }
            (_, Body::Note { .. }) => {}
            (Host::Asked, Body::Ready { node, power, asker, hold }) if is_ours(node) => {
                self.first_ready.get_or_insert(now);
                self.asker_seen |= *asker == Asker::Here;
                self.left_off |= *hold != Hold::None;
                if *power == Power::Off {
                    self.off_at_ready.push(host);
                }
                self.set(host, Host::Ready { power: *power, hold: *hold });
            }
            // It has let go of its lock, because the others took too long.
            (Host::Ready { .. }, Body::Refused { reason: Refusal::NoGo, .. }) if !self.gone => {
                self.standing = Standing::Again;
            }
            // It was not asked in time, because one before it took too long.
            (Host::Unasked, Body::Refused { .. }) if !self.gone => self.standing = Standing::Again,
            (Host::Gone, Body::Fenced { node, how }) if is_ours(node) => {
                self.confirmed |= host == 0;
                self.set(host, Host::Fenced(*how));
            }
            (Host::Looking(how), Body::Seen { node, power }) if is_ours(node) => {
                // An earlier reset that this one joined may have powered it on again: then it was on, or
                // about to be, when this host was ready. Where it was off, it has come from elsewhere.
                let joined = how == How::Joined && self.request.action() == Action::Reset;
                let powered_on = joined && !self.off_at_ready.contains(&host);
                let agrees = *power == Power::Off || powered_on;
                self.set(host, if agrees { Host::Agrees } else { Host::Out(Why::SeenAgain(host)) });
            }
            // It knew that it came too late, and no other host was told to go.
            (Host::Gone, Body::Refused { reason: Refusal::LateGo, .. })
                if host == 0 && !self.confirmed =>
            {
                self.gone = false;
                self.standing = Standing::Again;
            }
            // What becomes of the power-on makes a fence neither better nor worse.
            (Host::Agrees, _) => {}
            (_, Body::Refused { .. } | Body::Failed { .. }) => self.out(host, Why::Said(host)),
            (_, _) => self.out(host, Why::OutOfPlace(host)),
        }
    }

    /// Asks one after the other, and says go when all are ready.
    fn collect(&mut self, now: Duration, said: &mut Vec<Say>) {
        if let Some(why) = self.first_out() {
            return self.end(Outcome::Untouched(why));
        }
        if now.saturating_sub(self.begun) >= GO_BY {
            return self.end(Outcome::Untouched(Why::TooLate));
        }
        let held_for = self.first_ready.map(|first| now.saturating_sub(first));
        if held_for.is_some_and(|time| time >= COLLECTED_BY) {
            self.standing = Standing::Again;
            return;
        }
        if self.hosts.contains(&Host::Asked) {
            return;
        }
        if let Some(next) = self.hosts.iter().position(|host| *host == Host::Unasked) {
            self.set(next, Host::Asked);
            said.push(Say { host: next, line: ClientLine::Request(self.request.clone()) });
            return;
        }
        self.go(now, said);
    }

    /// All are ready: the first is told.
    fn go(&mut self, now: Duration, said: &mut Vec<Say>) {
        let is_off = |host: &Host| matches!(host, Host::Ready { power: Power::Off, .. });
        let off_everywhere = self.hosts.iter().all(is_off);
        let holds = |host: &Host| matches!(host, Host::Ready { hold: Hold::Forbid, .. });
        if let Some(holder) = self.hosts.iter().position(holds).filter(|_| !off_everywhere) {
            return self.end(Outcome::Untouched(Why::Held(holder)));
        }
        self.gone = true;
        let resets = self.request.action() == Action::Reset;
        self.starter = (resets && !self.left_off).then(|| self.best_starter());
        self.tell(0, said);
        self.waited = now;
    }

    /// Says `go` to a host. One host alone knows by itself what forbids the start, and says why.
    fn tell(&mut self, host: usize, said: &mut Vec<Say>) {
        let id = self.request.id();
        let line = match self.starter {
            _ if self.hosts.len() == 1 => ClientLine::Go(id),
            Some(starter) if starter == host => ClientLine::GoLater(id),
            Some(_) | None => ClientLine::GoOff(id),
        };
        said.push(Say { host, line });
        self.set(host, Host::Gone);
    }

    /// Where the node is, if that host can power it on; else a host that can.
    fn best_starter(&self) -> usize {
        let homes = |(at, _): &(usize, &Host)| !self.elsewhere.contains(at);
        let hosts = || self.hosts.iter().enumerate().filter(homes);
        let can = |at: usize| !self.unable.contains(&at);
        let has_it = |host: &Host| !matches!(host, Host::Ready { power: Power::Off, .. });
        let best = hosts().find(|(at, host)| can(*at) && has_it(host));
        let best = best.or_else(|| hosts().find(|(at, _)| can(*at)));
        // Nobody can: the one that says why.
        let best = best.or_else(|| hosts().find(|(_, host)| has_it(host)));
        best.or_else(|| hosts().next()).map_or(0, |(at, _)| at)
    }

    /// Waits for the proof of every host, and has all look again.
    fn prove(&mut self, said: &mut Vec<Say>) {
        for host in 1..self.hosts.len() {
            if self.confirmed && matches!(self.hosts.get(host), Some(Host::Ready { .. })) {
                self.tell(host, said);
            }
        }
        let pending = |host: &Host| matches!(host, Host::Gone | Host::Looking(_));
        if self.hosts.iter().any(pending) {
            return;
        }
        if let Some(why) = self.first_out() {
            return self.end(Outcome::Unknown(why));
        }
        if self.hosts.iter().all(|host| *host == Host::Agrees) {
            if let Some(host) = self.starter {
                said.push(Say { host, line: ClientLine::Start(self.request.id()) });
            }
            return self.end(Outcome::Fenced);
        }
        let killed = |host: &Host| matches!(host, Host::Fenced(How::Killed | How::Joined));
        let shell = |host: &Host| *host == Host::Fenced(How::Shell);
        let moved = self.hosts.iter().position(shell);
        if let Some(moved) = moved.filter(|_| !self.hosts.iter().any(killed)) {
            return self.end(Outcome::Unknown(Why::Shell(moved)));
        }
        if self.hosts.len() == 1 {
            return self.end(Outcome::Fenced);
        }
        for (host, at) in self.hosts.iter_mut().enumerate() {
            if let Host::Fenced(how) = *at {
                said.push(Say { host, line: ClientLine::Look(self.request.id()) });
                *at = Host::Looking(how);
            }
        }
    }

    /// Keeps those waiting that have to wait for others.
    fn wait(&mut self, now: Duration, said: &mut Vec<Say>) {
        if self.hosts.len() == 1 || now.saturating_sub(self.waited) < WAIT_EVERY {
            return;
        }
        self.waited = now;
        for (host, at) in self.hosts.iter().enumerate() {
            // It waits for the word that it may start the node, while others look again.
            let starts =
                self.starter == Some(host) && matches!(at, Host::Looking(_) | Host::Agrees);
            if starts || matches!(at, Host::Ready { .. } | Host::Gone | Host::Fenced(_)) {
                said.push(Say { host, line: ClientLine::Wait(self.request.id()) });
            }
        }
    }

    fn set(&mut self, host: usize, to: Host) {
        if let Some(at) = self.hosts.get_mut(host) {
            *at = to;
        }
    }

    /// What was said first is why: the end of the session follows it.
    fn out(&mut self, host: usize, why: Why) {
        if !matches!(self.hosts.get(host), Some(Host::Agrees | Host::Out(_))) {
            self.set(host, Host::Out(why));
        }
    }

    fn first_out(&self) -> Option<Why> {
        self.hosts.iter().find_map(|host| if let Host::Out(why) = host { Some(*why) } else { None })
    }

    const fn end(&mut self, outcome: Outcome) {
        self.standing = Standing::Ended(outcome);
    }
}

#[cfg(test)]
mod tests;
