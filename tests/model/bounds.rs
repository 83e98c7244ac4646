//! Within which bounds each exploration goes through everything.

use crate::state::Left;
use xen_fence_protocol::Action;

/// The bounds of one exploration.
#[derive(Clone, Copy)]
pub struct Bounds {
    pub name: &'static str,
    pub hosts: usize,
    /// Where the nodes live at first.
    pub homes: [u8; 2],
    /// What each node asks of the other, if it asks.
    pub asks: [Option<Action>; 2],
    /// What the first node asks when it asks again, if that is another request.
    pub then: Option<Action>,
    /// Whether a node that was powered on again asks, too.
    pub asks_again: bool,
    /// Rounds of each node.
    pub rounds: u8,
    /// How many of each fault.
    pub faults: Left,
    /// How many seconds an agent may wait between two answers, each with a `wait`.
    pub seconds: u8,
    /// The hosts' disks take nothing, so that no host remembers what was done.
    pub forgets: bool,
    /// Nothing is late, lost or dead but by a kill: exactly one node has to die, and to know it.
    pub good_day: bool,
}

const OFF: [Option<Action>; 2] = [Some(Action::Off); 2];
const RESET: [Option<Action>; 2] = [Some(Action::Reset); 2];
const ANY: u8 = u8::MAX;
const NONE: Left =
    Left { silences: 0, cuts: 0, agent_crashes: 0, broker_crashes: 0, falls: 0, moves: 0 };

const QUIET: Bounds = Bounds {
    name: "one host, off, a good day",
    hosts: 1,
    homes: [0, 0],
    asks: OFF,
    then: None,
    asks_again: false,
    rounds: 1,
    faults: NONE,
    seconds: 0,
    forgets: false,
    good_day: true,
};

/// Small ones: on these each rule is left out.
pub fn small() -> Vec<Bounds> {
    let one = Bounds { good_day: false, ..QUIET };
    let two = Bounds { hosts: 2, homes: [0, 1], ..one };
    let only = |action| [Some(action), None];
    let crash = Left { agent_crashes: 1, ..NONE };
    vec![
        QUIET,
        Bounds { name: "one host, reset, a good day", asks: RESET, ..QUIET },
        Bounds { name: "two hosts, off, a good day", good_day: true, ..two },
        Bounds {
            name: "two hosts, off, a good day, both on the first",
            good_day: true,
            homes: [0, 0],
            ..two
        },
        Bounds {
            name: "two hosts, off, a good day, both on the second",
            good_day: true,
            homes: [1, 1],
            ..two
        },
        Bounds {
            name: "two hosts, off, a good day, with waits",
            good_day: true,
            seconds: 1,
            ..two
        },
        Bounds { name: "two hosts, reset, a good day", good_day: true, asks: RESET, ..two },
        Bounds {
            name: "one host, off, late words",
            rounds: 2,
            faults: Left { silences: ANY, ..NONE },
            ..one
        },
        Bounds {
            name: "one host, off, late words, nothing is remembered",
            faults: Left { silences: ANY, ..NONE },
            forgets: true,
            ..one
        },
        Bounds {
            name: "one host, off, a broker crashes",
            faults: Left { broker_crashes: 1, ..NONE },
            ..one
        },
        Bounds {
            name: "one host, reset, a crash and a retry",
            asks: only(Action::Reset),
            rounds: 2,
            faults: crash,
            ..one
        },
        Bounds {
            name: "one host, reset, then off, a crash",
            asks: only(Action::Reset),
            then: Some(Action::Off),
            rounds: 2,
            faults: crash,
            ..one
        },
        Bounds {
            name: "one host, reset, brokers crash too",
            asks: only(Action::Reset),
            rounds: 3,
            faults: Left { silences: 1, cuts: 1, broker_crashes: 1, ..crash },
            ..one
        },
        Bounds {
            name: "two hosts, reset by one, a migration",
            asks: only(Action::Reset),
            homes: [0, 0],
            faults: Left { moves: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, off by one, a migration, a retry",
            asks: only(Action::Off),
            homes: [0, 0],
            rounds: 2,
            faults: Left { moves: 1, ..crash },
            ..two
        },
        Bounds {
            name: "two hosts, reset by one, a migration, a retry",
            asks: only(Action::Reset),
            homes: [0, 0],
            rounds: 2,
            faults: Left { moves: 1, ..crash },
            ..two
        },
        Bounds {
            name: "two hosts, off, late words",
            faults: Left { silences: ANY, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, off, one late word, a retry",
            rounds: 2,
            faults: Left { silences: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, off, a migration, a late word",
            homes: [0, 1],
            faults: Left { silences: 1, moves: 1, ..NONE },
            ..two
        },
    ]
}

/// Larger ones, for all rules together.
pub fn large() -> Vec<Bounds> {
    let one = Bounds { good_day: false, ..QUIET };
    let two = Bounds { hosts: 2, homes: [0, 1], ..one };
    let all =
        Left { silences: ANY, cuts: 1, agent_crashes: 1, broker_crashes: 1, falls: 1, moves: 0 };
    let some = Left { silences: 2, falls: 0, ..all };
    let only = |action| [Some(action), None];
    vec![
        Bounds { name: "one host, off, every fault, retries", rounds: 2, faults: all, ..one },
        Bounds {
            name: "one host, reset, every fault, retries, who is reborn asks",
            asks: RESET,
            rounds: 2,
            asks_again: true,
            faults: all,
            ..one
        },
        Bounds {
            name: "two hosts, off, late words, a cut",
            faults: Left { silences: ANY, cuts: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, off, late words, a broker crashes",
            faults: Left { silences: ANY, broker_crashes: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, off, both on the second, late words, a crash",
            homes: [1, 1],
            faults: Left { silences: 2, agent_crashes: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, off, two late words, retries",
            rounds: 2,
            faults: Left { silences: 2, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, off, a migration, a late word, retries",
            rounds: 2,
            faults: Left { silences: 1, moves: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, reset, who is reborn asks",
            asks: RESET,
            rounds: 2,
            asks_again: true,
            faults: NONE,
            ..two
        },
        Bounds {
            name: "two hosts, reset, a late word, a cut, crashes of agent and broker",
            asks: RESET,
            faults: Left { silences: 1, falls: 0, ..all },
            ..two
        },
        Bounds {
            name: "two hosts, reset, crashes of agent and broker, retries",
            asks: RESET,
            rounds: 2,
            faults: Left { agent_crashes: 1, broker_crashes: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, reset, a late word, a migration, retries",
            asks: RESET,
            rounds: 2,
            faults: Left { silences: 1, moves: 1, ..NONE },
            ..two
        },
        Bounds {
            name: "two hosts, reset, a late word, with waits",
            asks: RESET,
            faults: Left { silences: 1, ..NONE },
            seconds: 1,
            ..two
        },
        Bounds {
            name: "two hosts, reset by one, faults, retries",
            asks: only(Action::Reset),
            rounds: 2,
            faults: some,
            ..two
        },
        Bounds {
            name: "two hosts, reset by one, a migration, faults, retries",
            asks: only(Action::Reset),
            homes: [0, 0],
            rounds: 2,
            faults: Left { moves: 1, silences: 1, cuts: 1, ..NONE },
            ..two
        },
    ]
}
