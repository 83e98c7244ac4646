//! One round with every dom0: what [`Round`] says is said, what the dom0s say is heard, until it has
//! come to something. No rule of the protocol is here.

use super::member::{Heard, Member, Stands};
use crate::client::{LAST_WORDS, Stage, Start, Terms, holds};
use crate::clock::Deadline;
use crate::error::{Error, Kind};
use crate::phase::Phase;
use crate::transport::{Broken, Pace, Side};
use std::time::Duration;
use xen_fence_protocol::{
    Action, Asker, Body, Event, Failure, How, LISTENING_BY, Note, Outcome, Round, Standing,
    WAIT_EVERY, Why,
};

/// What a round came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A new round has to begin; the number is that of the dom0 that kept the others waiting.
    Again(Option<usize>),
    /// It is over.
    Over(Outcome),
}

/// A round as it goes on.
pub(super) struct Driver<'a, 'm> {
    pub(super) members: &'m mut [Member<'a>],
    pub(super) terms: &'a Terms<'a>,
    pub(super) pace: &'m mut dyn Pace,
    /// Passes on what was told meanwhile.
    pub(super) tell: &'m mut dyn FnMut(),
    pub(super) round: Round,
    went: bool,
}

impl<'a, 'm> Driver<'a, 'm> {
    pub(super) fn new(
        members: &'m mut [Member<'a>],
        terms: &'a Terms<'a>,
        pace: &'m mut dyn Pace,
        tell: &'m mut dyn FnMut(),
    ) -> Self {
        let round = Round::new(terms.request.clone(), members.len(), Duration::ZERO);
        Self { members, terms, pace, tell, round, went: false }
    }

    /// Holds the round.
    pub(super) fn hold(&mut self) -> End {
        self.members.iter_mut().for_each(|member| member.course.begin(Phase::Channel));
        if let Some(end) = self.gather_ears() {
            return end;
        }
        self.step(Event::Tick);
        loop {
            self.hear_all();
            if let Some(end) = self.end() {
                return end;
            }
            if self.wait(WAIT_EVERY, self.terms.deadline).is_none() {
                return End::Over(self.round.give_up());
            }
            self.step(Event::Tick);
        }
    }

    /// Waits until all brokers run, so that no lock is held while sudo waits elsewhere; what the round
    /// came to if one of them does not.
    fn gather_ears(&mut self) -> Option<End> {
        let mut first = None;
        while self.members.len() > 1 {
            self.hear_all();
            if let Some(end) = self.end() {
                return Some(end);
            }
            let Some(silent) = self.members.iter().position(|member| !member.listens) else {
                break;
            };
            let now = self.pace.now();
            if self.members.iter().any(|member| member.listens) {
                first.get_or_insert(now);
            }
            // Those that run do not wait for their request for ever.
            if first.is_some_and(|first| now.since(first) >= LISTENING_BY) {
                return Some(End::Again(Some(silent)));
            }
            let until = Deadline::at(self.terms.begun.plus(self.terms.go_by));
            if self.wait(WAIT_EVERY, until.or_earlier(self.terms.deadline)).is_none() {
                return Some(End::Over(self.round.give_up()));
            }
        }
        None
    }

    /// What the round has come to; none while it goes on.
    fn end(&self) -> Option<End> {
        match self.round.standing() {
            Standing::Going => None,
            Standing::Again => {
                if self.went && !self.round.has_gone() {
                    self.terms.kept.borrow_mut().not_gone();
                }
                Some(End::Again(self.round.awaited()))
            }
            Standing::Ended(outcome) => Some(End::Over(outcome)),
        }
    }

    /// Hears the last words of a fence that is proven, and what became of the power-on, or, for one who
    /// does not stay, that it goes on.
    pub(super) fn watch_start(&mut self, stays: bool) -> Start {
        // What is heard from here on makes it neither better nor worse.
        for member in self.members.iter_mut() {
            member.ear.stage = Stage::Fenced;
        }
        if self.terms.request.action() != Action::Reset {
            let until = Deadline::at(self.pace.now().plus(LAST_WORDS));
            let until = until.or_earlier(self.terms.deadline);
            loop {
                self.hear_all();
                let heard_out = self.members.iter().all(|member| member.is_over());
                if heard_out || self.wait(LAST_WORDS, until).is_none() {
                    break;
                }
            }
            return Start::NotAsked;
        }
        // One dom0 alone knows by itself what forbids the start, and says why.
        let alone = (self.members.len() == 1).then_some(0);
        let Some(starter) = self.round.starter().or(alone) else {
            return Start::Unstarted(self.why_left_off());
        };
        if !stays {
            return self.leave(starter);
        }
        if let Some(member) = self.members.get_mut(starter) {
            member.course.begin(Phase::Start);
        }
        loop {
            self.hear_all();
            let Some(member) = self.members.get_mut(starter) else { break };
            if let Some(start) = start_of(member) {
                return start;
            }
            if self.wait(WAIT_EVERY, self.terms.deadline).is_none() {
                break;
            }
        }
        let silent = |member: &Member<'_>| member.broken(&Broken::TimedOut).message;
        Start::NotSeen(self.members.get(starter).map_or_else(String::new, silent))
    }

    fn why_left_off(&self) -> String {
        let about = |member: &Member<'_>| {
            let mut notes = member.ear.told.notes.iter();
            let why = notes.find(|(about, _)| matches!(about, Note::LeftOff | Note::Hold));
            why.map(|(_, text)| text.to_string())
        };
        let why = self.members.iter().find_map(about);
        why.unwrap_or_else(|| "a hold on it says so".to_owned())
    }

    /// Takes everything that has been said, one after the other, until the round comes to something.
    /// What is said to a dom0 goes out when it is heard again, so all are, until none has said more: the
    /// word that one is owed for what a later one said must not wait for the next tick.
    pub(super) fn hear_all(&mut self) {
        let before = self.round.standing();
        let mut more = true;
        while std::mem::take(&mut more) {
            for host in 0..self.members.len() {
                while let Some(heard) = self.members.get_mut(host).and_then(Member::hear) {
                    more = true;
                    match heard {
                        // That is for those who wait for it, and no part of the round.
                        Heard::Said(Body::Note { about: Note::Listening, .. }) => {}
                        Heard::Said(body) => self.step(Event::Reply(host, &body)),
                        Heard::Lost => self.step(Event::Lost(host)),
                    }
                    if self.round.standing() != before {
                        return;
                    }
                }
            }
        }
        (self.tell)();
    }

    fn step(&mut self, event: Event<'_>) {
        let now = self.pace.now().since(self.terms.begun);
        let says = self.round.step(event, now);
        let goes_on = self.round.standing() == Standing::Going;
        if goes_on && self.round.has_gone() && !self.went {
            self.went = true;
            self.tell_of_holds();
            self.warn_of_two_deaths();
            // Even a `go` that failed to go out may have gone out.
            self.terms.kept.borrow_mut().going();
            self.members.iter_mut().for_each(Member::is_gone);
        }
        for say in says {
            if let Some(member) = self.members.get_mut(say.host) {
                member.say(&say.line);
            }
        }
    }

    /// A hold that does not forbid what is going to be done is worth a word.
    fn tell_of_holds(&mut self) {
        for member in self.members.iter_mut() {
            for text in holds(member.ear.told) {
                let said = format!("{}: {text}", member.ear.dom0());
                member.course.warn(&said);
            }
        }
    }

    /// Promise 5 rests on a lock that both requests need: that of the dom0 that the asker is on.
    fn warn_of_two_deaths(&mut self) {
        let sees = |asker| self.members.iter().any(|member| member.asker == Some(asker));
        if sees(Asker::Here) || !sees(Asker::Elsewhere) {
            return;
        }
        let text = match &*self.members {
            [one] => format!(
                "{} does not see the domain of this node: of two nodes that fence each other at \
                 once, both may die",
                one.ear.dom0()
            ),
            _ => {
                "no dom0 that is asked sees the domain of this node: of two nodes that fence each \
                  other at once, both may die"
                    .to_owned()
            }
        };
        if let Some(first) = self.members.first_mut() {
            first.course.warn(&text);
            first.ear.told.warnings.push(text);
        }
    }

    /// Waits until something can be heard, for so long at most; none at the deadline.
    pub(super) fn wait(&mut self, longest: Duration, deadline: Deadline) -> Option<()> {
        (self.tell)();
        let now = self.pace.now();
        if deadline.is_past(now) {
            return None;
        }
        let sides: Vec<&dyn Side> = self
            .members
            .iter()
            .filter(|one| !one.is_over())
            .map(|one| &*one.side as &dyn Side)
            .collect();
        let until = Deadline::at(now.plus(longest)).or_earlier(deadline);
        self.pace.wait(&sides, until.moment());
        Some(())
    }
}

/// What the dom0 that powers the node on has said of it; none yet.
pub(super) fn start_of(member: &mut Member<'_>) -> Option<Start> {
    let terms = member.ear.terms;
    let node = terms.request.node();
    match member.start.as_ref().or(member.last.as_ref()) {
        Some(Body::Started { node: of, how }) if Some(of) == node => {
            let how = *how;
            member.course.end(how.word());
            return Some(Start::Started(how));
        }
        Some(Body::Unstarted { node: of, text }) if Some(of) == node => {
            return Some(Start::Unstarted(text.to_string()));
        }
        Some(body @ (Body::Started { .. } | Body::Unstarted { .. })) => {
            return Some(Start::NotSeen(member.ear.misplaced(body).message));
        }
        Some(Body::Done) if member.how == Some(How::Joined) => {
            let why = "an earlier request, which this one joined, powers it on";
            return Some(Start::NotSeen(why.to_owned()));
        }
        Some(body @ Body::Done) => {
            return Some(Start::NotSeen(member.ear.out_of_place(body).message));
        }
        Some(_) | None => {}
    }
    let error: &Error = member.error.as_ref()?;
    if error.reason == Some(Failure::PowerOn.word()) {
        Some(Start::Unstarted(error.message.clone()))
    } else {
        Some(Start::NotSeen(error.message.clone()))
    }
}

/// Whether any dom0 has not said its last word on a `go` that it may have heard; or, of several, has
/// done something or tried to, which is no end for the others: the next request is then the same one.
pub(super) fn is_unheard(members: &[Member<'_>]) -> bool {
    let several = members.len() > 1;
    members.iter().any(|member| match member.stands {
        Stands::Gone | Stands::Lost => true,
        Stands::Fenced(_) | Stands::Looked(..) => several,
        Stands::Against => several && !has_refused(member),
        Stands::Unasked | Stands::Asked | Stands::Ready => false,
    })
}

/// Whether a dom0 that is out says that it has had nothing done.
pub(super) fn has_refused(member: &Member<'_>) -> bool {
    member.error.as_ref().is_some_and(|error| error.kind == Kind::Refused)
}

/// The hosts that an outcome speaks of.
pub(super) const fn culprit(why: Why) -> Option<usize> {
    match why {
        Why::Said(host)
        | Why::Lost(host)
        | Why::OutOfPlace(host)
        | Why::Held(host)
        | Why::Shell(host)
        | Why::SeenAgain(host) => Some(host),
        Why::TooLate => None,
    }
}
