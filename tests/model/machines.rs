//! The machines that ship, as numbers: each state of a [`Round`] and of a [`Standoff`] that ever
//! occurs has one, and each of their steps is taken once, by the shipped code, and remembered.
//!
//! It must not decide anything: whatever comes out of here came out of the product.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::RwLock;
use std::time::Duration;
use xen_fence_broker::clock::Moment;
use xen_fence_broker::session::Heard;
use xen_fence_broker::standoff::{Next, Standoff, Then};
use xen_fence_protocol::{
    Action, Asker, Body, ClientLine, Event, Failure, Hold, How, NodeName, Outcome, Power, Refusal,
    Request, RequestId, Round, Standing, Text, Why,
};

/// What an agent says, without the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Up {
    Request = 1,
    Wait,
    Go,
    GoOff,
    GoLater,
    Look,
    Start,
}

/// What a broker says; what nothing follows from is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Down {
    ReadyOn = 1,
    ReadyOff,
    ReadyUnknown,
    Killed,
    Absent,
    Joined,
    Shell,
    SeenOn,
    SeenOff,
    SeenUnknown,
    LateGo,
    NoGo,
    Refused,
    Failed,
    Going,
}

/// What happens to a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happens {
    Tick,
    Reply(u8, Down),
    Lost(u8),
}

/// What a broker hears between `ready` and `go`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hears {
    InTime(Up),
    Late(Up),
    Silence,
    Gone,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Follows {
    Listen,
    LetGo,
    Go(Then),
    Gone,
    Refuse(Down),
}

/// Where a round stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stands {
    Going,
    /// Begin anew, with the same id: nothing was touched, or the answer was not heard.
    Again,
    Fenced,
    /// Somebody refused.
    Ended,
}

/// What a round says: the host's place in its order, and the line.
pub type Says = Vec<(u8, Up)>;

/// Values by number.
struct Numbers<T> {
    values: Vec<T>,
    numbers: HashMap<T, u16>,
}

impl<T: Clone + Eq + Hash> Numbers<T> {
    fn new() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new() }
    }

    fn of(&mut self, value: T) -> u16 {
        *self.numbers.entry(value).or_insert_with_key(|value| {
            self.values.push(value.clone());
            u16::try_from(self.values.len() - 1).unwrap()
        })
    }
}

type RoundStep = (u16, Says, Stands);

struct Inner {
    rounds: Numbers<Round>,
    round_steps: HashMap<(u16, Happens, u8), RoundStep>,
    standoffs: Numbers<Standoff>,
    hearings: HashMap<(u16, Hears), (u16, Follows)>,
}

/// The machines that occurred.
pub struct Machines(RwLock<Inner>);

impl Machines {
    pub fn new() -> Self {
        Self(RwLock::new(Inner {
            rounds: Numbers::new(),
            round_steps: HashMap::new(),
            standoffs: Numbers::new(),
            hearings: HashMap::new(),
        }))
    }

    /// A new round of this request.
    pub fn round(&self, id: u8, action: Action, target: usize, hosts: usize) -> u16 {
        let request = Request::new(request_id(id), action, Some(name(target))).unwrap();
        self.0.write().unwrap().rounds.of(Round::new(request, hosts, Duration::ZERO))
    }

    /// A step of a round, so many seconds after it began.
    pub fn step(&self, round: u16, target: usize, happens: Happens, second: u8) -> RoundStep {
        let key = (round, happens, second);
        if let Some(known) = self.0.read().unwrap().round_steps.get(&key) {
            return known.clone();
        }
        let mut inner = self.0.write().unwrap();
        let mut machine = inner.rounds.values[usize::from(round)].clone();
        let body;
        let event = match happens {
            Happens::Tick => Event::Tick,
            Happens::Lost(host) => Event::Lost(usize::from(host)),
            Happens::Reply(host, down) => {
                body = body_of(down, target);
                Event::Reply(usize::from(host), &body)
            }
        };
        let said = machine.step(event, Duration::from_secs(second.into()));
        let says = said.iter().map(|say| (u8::try_from(say.host).unwrap(), up(&say.line)));
        let says = says.collect();
        let stands = match machine.standing() {
            Standing::Going => Stands::Going,
            Standing::Again => Stands::Again,
            Standing::Ended(Outcome::Fenced) => Stands::Fenced,
            // What a person or a cluster gets to hear is final; what nobody heard is asked anew.
            Standing::Ended(Outcome::Untouched(Why::Lost(_)) | Outcome::Unknown(_)) => {
                Stands::Again
            }
            Standing::Ended(Outcome::Untouched(_)) => Stands::Ended,
        };
        let step = (inner.rounds.of(machine), says, stands);
        inner.round_steps.insert(key, step.clone());
        step
    }

    /// `ready` has been said just now, in answer to a request that was read just now.
    pub fn standoff(&self, id: u8, action: Action) -> u16 {
        let now = Moment::since_boot(Duration::ZERO);
        let standoff = Standoff::new(request_id(id), action.kills(), now, now);
        self.0.write().unwrap().standoffs.of(standoff)
    }

    /// What follows from what a broker hears after `ready`.
    pub fn hear(&self, standoff: u16, id: u8, hears: Hears) -> (u16, Follows) {
        let key = (standoff, hears);
        if let Some(known) = self.0.read().unwrap().hearings.get(&key) {
            return *known;
        }
        let mut inner = self.0.write().unwrap();
        let mut machine = inner.standoffs.values[usize::from(standoff)].clone();
        let until = machine.until();
        let (heard, now) = match hears {
            Hears::InTime(up) => (line(up, id), Moment::since_boot(Duration::ZERO)),
            Hears::Late(up) => (line(up, id), until.after(Duration::from_secs(1))),
            Hears::Silence => (Heard::Silence, until),
            Hears::Gone => (Heard::Gone, until),
        };
        let follows = match machine.hear(&heard, now) {
            Next::Listen => Follows::Listen,
            Next::LetGo => Follows::LetGo,
            Next::Go(then) => Follows::Go(then),
            Next::Gone => Follows::Gone,
            Next::Refuse(Refusal::LateGo, _) => Follows::Refuse(Down::LateGo),
            Next::Refuse(Refusal::NoGo, _) => Follows::Refuse(Down::NoGo),
            Next::Refuse(..) => Follows::Refuse(Down::Refused),
        };
        let result = (inner.standoffs.of(machine), follows);
        inner.hearings.insert(key, result);
        result
    }
}

/// The id that a number stands for.
pub fn request_id(id: u8) -> RequestId {
    RequestId::from_bits(u128::from(id) + 1)
}

fn name(node: usize) -> NodeName {
    NodeName::parse(["node1", "node2"][node]).unwrap()
}

fn up(line: &ClientLine) -> Up {
    match line {
        ClientLine::Request(_) => Up::Request,
        ClientLine::Wait(_) => Up::Wait,
        ClientLine::Go(_) => Up::Go,
        ClientLine::GoOff(_) => Up::GoOff,
        ClientLine::GoLater(_) => Up::GoLater,
        ClientLine::Look(_) => Up::Look,
        ClientLine::Start(_) => Up::Start,
    }
}

fn line(up: Up, id: u8) -> Heard {
    let id = request_id(id);
    Heard::Line(match up {
        Up::Request => ClientLine::Request(Request::new(id, Action::List, None).unwrap()),
        Up::Wait => ClientLine::Wait(id),
        Up::Go => ClientLine::Go(id),
        Up::GoOff => ClientLine::GoOff(id),
        Up::GoLater => ClientLine::GoLater(id),
        Up::Look => ClientLine::Look(id),
        Up::Start => ClientLine::Start(id),
    })
}

fn body_of(down: Down, target: usize) -> Body {
    let node = name(target);
    let text = Text::escaped("because");
    let ready =
        |power| Body::Ready { node: name(target), power, asker: Asker::Here, hold: Hold::None };
    match down {
        Down::ReadyOn => ready(Power::On),
        Down::ReadyOff => ready(Power::Off),
        Down::ReadyUnknown => ready(Power::Unknown),
        Down::Killed => Body::Fenced { node, how: How::Killed },
        Down::Absent => Body::Fenced { node, how: How::Absent },
        Down::Joined => Body::Fenced { node, how: How::Joined },
        Down::Shell => Body::Fenced { node, how: How::Shell },
        Down::SeenOn => Body::Seen { node, power: Power::On },
        Down::SeenOff => Body::Seen { node, power: Power::Off },
        Down::SeenUnknown => Body::Seen { node, power: Power::Unknown },
        Down::LateGo => Body::Refused { reason: Refusal::LateGo, text },
        Down::NoGo => Body::Refused { reason: Refusal::NoGo, text },
        Down::Refused => Body::Refused { reason: Refusal::AskerDying, text },
        Down::Failed => Body::Failed { reason: Failure::Alive, text },
        Down::Going => Body::Note { about: xen_fence_protocol::Note::Going, text },
    }
}
