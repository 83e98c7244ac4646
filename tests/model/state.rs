//! One state of two nodes, their agents, one or two brokers' hosts, and the sessions between them.
//!
//! Small and without anything that does not matter any more, so that states that go on alike are
//! one. Times are ranks: only what is earlier and what is later counts, on each host by itself.

use crate::link::{DownEnd, Link, Stage, UpEnd};
use xen_fence_broker::state::Phase;

/// Hosts at most.
pub const HOSTS: usize = 2;
/// Rounds of each node at most, those of all its lives and processes together.
pub const ROUNDS: usize = 3;

/// The whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub nodes: [Node; 2],
    pub hosts: [Host; HOSTS],
    pub links: [[[Link; HOSTS]; ROUNDS]; 2],
    pub left: Left,
    /// The promises that the last step broke, as bits.
    pub broken: u8,
}

/// How many of each fault may still come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Left {
    pub silences: u8,
    pub cuts: u8,
    pub agent_crashes: u8,
    pub broker_crashes: u8,
    pub falls: u8,
    pub moves: u8,
}

/// One node: its domain, and its agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Node {
    /// Where its domain lives, if it does.
    pub at: Option<u8>,
    /// A domain of it was left behind by a migration, on this host.
    pub shell: Option<u8>,
    /// Which of its lives it is, or was last.
    pub life: u8,
    /// Its lives that a fence ended, as bits.
    pub killed: u8,
    /// For each of its lives' requests, the lives of the other node that it ended, as bits.
    pub victims: [u8; 4],
    /// An off of it is proven: nothing may start it.
    pub stays_off: bool,
    pub agent: Agent,
}

/// The process that asks, or the one that will ask again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Agent {
    pub phase: AgentPhase,
    /// Its machine, by number.
    pub round: u16,
    /// The rounds so far, of all lives.
    pub rounds: u8,
    /// Seconds since the round began.
    pub second: u8,
    /// The life of the other node that it wants to end.
    pub victim: u8,
    /// A reset of a moment ago stands for the one that it asks for.
    pub satisfied: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AgentPhase {
    /// Its domain does not live, or nobody asks it for anything.
    #[default]
    None,
    /// It will ask.
    Idle,
    Asking,
    /// It, or the process that stood here before it, did not hear the answer.
    Again,
    Fenced,
    Ended,
}

/// One host, as far as brokers share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Host {
    /// Whose is the cluster's lock.
    pub lock: Option<Key>,
    /// The last fence of each node.
    pub records: [Record; 2],
    /// Whose power-on of each node is planned.
    pub plans: [Option<Key>; 2],
    /// The destroy of each node that goes on without the broker that has begun it.
    pub orphans: [Option<Orphan>; 2],
}

/// A destroy whose broker has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Orphan {
    /// Who had asked for it, under which id, and for which life.
    pub asker: u8,
    pub id: u8,
    pub life: u8,
}

/// A session's place: node, round, host.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Key {
    pub node: u8,
    pub round: u8,
    pub host: u8,
}

/// What is remembered of a fence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    pub phase: Option<Phase>,
    pub id: u8,
    pub restarts: bool,
    /// When it was proven.
    pub at: u8,
    /// When the node ran again; none yet if 0.
    pub started: u8,
    /// The broker that kills, if it lives.
    pub killer: Option<Key>,
}

impl State {
    pub fn link(&self, key: Key) -> &Link {
        &self.links[usize::from(key.node)][usize::from(key.round)][usize::from(key.host)]
    }

    pub fn link_mut(&mut self, key: Key) -> &mut Link {
        &mut self.links[usize::from(key.node)][usize::from(key.round)][usize::from(key.host)]
    }

    /// The moment it is on a host: later than all that happened there.
    pub fn now(&self, host: u8) -> u8 {
        let times = self.times(host);
        1 + times.into_iter().max().unwrap_or(0)
    }

    fn times(&self, host: u8) -> Vec<u8> {
        let at = usize::from(host);
        let links = self.links.iter().flatten().map(|hosts| &hosts[at]);
        let mut times: Vec<u8> = links.flat_map(|link| [link.accepted, link.asked]).collect();
        times.extend(self.hosts[at].records.iter().flat_map(|record| [record.at, record.started]));
        times
    }

    /// Forgets what does not matter any more.
    pub fn tidy(&mut self) {
        for rounds in &mut self.links {
            for hosts in rounds {
                for link in hosts {
                    let over = link.up.is_empty() && link.up_end != UpEnd::Open;
                    if link.stage == Stage::Accepted && over
                        || link.stage == Stage::Waiting && over && link.up_end == UpEnd::Fin
                    {
                        link.end();
                    }
                    if link.stage == Stage::None && link.down_end == DownEnd::Deaf {
                        *link = Link { down_end: DownEnd::Deaf, ..Link::default() };
                    }
                    if link.stage == Stage::None && link.down_end != DownEnd::Open {
                        link.id = 0;
                    }
                }
            }
        }
        for host in 0..HOSTS {
            self.rank(host);
        }
    }

    /// Numbers the times of a host anew, without gaps.
    fn rank(&mut self, host: usize) {
        let mut times = self.times(u8::try_from(host).unwrap());
        times.sort_unstable();
        times.dedup();
        let first = usize::from(times.first() != Some(&0));
        let rank = |time: &mut u8| {
            if *time > 0 {
                let place = times.binary_search(time).unwrap() + first;
                *time = u8::try_from(place).unwrap();
            }
        };
        for link in self.links.iter_mut().flatten().map(|hosts| &mut hosts[host]) {
            rank(&mut link.accepted);
            rank(&mut link.asked);
        }
        for record in &mut self.hosts[host].records {
            rank(&mut record.at);
            rank(&mut record.started);
        }
    }
}
