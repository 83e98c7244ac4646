//! What a client may say: a request, then `wait` and one of three `go`, then `look` and `start`.

use crate::VERSION;
use crate::codec::{Fields, WireError, words};
use crate::limits::MAX_CLIENT_LINE;
use crate::name::{HostName, NodeName, RequestId};
use std::fmt;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Kill, prove the death, and power on again.
    Reset,
    /// Kill and prove the death.
    Off,
    /// Power on.
    On,
    /// Tell whether one node is on, off or unknown.
    Status,
    /// Tell it of each node that the caller may name.
    List,
    /// Rehearse for the whole cluster without naming a node.
    Monitor,
    /// Rehearse a kill of one node, or of each that the caller may name.
    Check,
}

words!(Action, "action", {
    Reset = "reset",
    Off = "off",
    On = "on",
    Status = "status",
    List = "list",
    Monitor = "monitor",
    Check = "check",
});

impl Action {
    /// Whether the action changes something, and therefore waits for a `go`.
    #[must_use]
    pub const fn waits_for_go(self) -> bool {
        match self {
            Self::Reset | Self::Off | Self::On => true,
            Self::Status | Self::List | Self::Monitor | Self::Check => false,
        }
    }

    /// Whether the action ends a domain's life.
    #[must_use]
    pub const fn kills(self) -> bool {
        match self {
            Self::Reset | Self::Off => true,
            Self::On | Self::Status | Self::List | Self::Monitor | Self::Check => false,
        }
    }
}

/// One request, as the first line of a session carries it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    id: RequestId,
    action: Action,
    node: Option<NodeName>,
    down: Vec<HostName>,
}

impl Request {
    /// Puts a request together.
    ///
    /// # Errors
    /// [`WireError::NodeMismatch`] if the action needs a node and none is given, or takes none and
    /// one is.
    pub fn new(id: RequestId, action: Action, node: Option<NodeName>) -> Result<Self, WireError> {
        let fits = match action {
            Action::Reset | Action::Off | Action::On | Action::Status => node.is_some(),
            Action::List | Action::Monitor => node.is_none(),
            Action::Check => true,
        };
        if fits {
            Ok(Self { id, action, node, down: Vec::new() })
        } else {
            Err(WireError::NodeMismatch)
        }
    }

    /// This request, with the hosts of which a person has stated that they are down; it goes on
    /// record wherever it is asked.
    ///
    /// # Errors
    /// [`WireError::Field`] if the action changes nothing, [`WireError::Oversized`] if the names do
    /// not fit into a line.
    pub fn with_confirmed_down(mut self, hosts: Vec<HostName>) -> Result<Self, WireError> {
        if !hosts.is_empty() && !self.action.waits_for_go() {
            return Err(WireError::Field("down"));
        }
        self.down = hosts;
        let line = ClientLine::Request(self.clone()).to_string();
        if line.len() > MAX_CLIENT_LINE {
            return Err(WireError::Oversized(MAX_CLIENT_LINE));
        }
        Ok(self)
    }

    /// The hosts of which a person has stated that they are down.
    #[must_use]
    pub fn confirmed_down(&self) -> &[HostName] {
        &self.down
    }

    /// The id that every line of the session repeats.
    #[must_use]
    pub const fn id(&self) -> RequestId {
        self.id
    }

    /// What is asked.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Of which node, where the action names one.
    #[must_use]
    pub const fn node(&self) -> Option<&NodeName> {
        self.node.as_ref()
    }
}

/// One line from the client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientLine {
    /// The first line of a session.
    Request(Request),
    /// The asker lives and is still collecting other dom0s' `ready`.
    Wait(RequestId),
    /// The asker lives and means it, and asks no other dom0.
    Go(RequestId),
    /// It means it, asks others too, and will ask to look again; the node is left off here.
    GoOff(RequestId),
    /// The same, but a reset powers the node on here when the asker says [`Self::Start`].
    GoLater(RequestId),
    /// After `fenced`: list once more, because a domain can migrate between two answers.
    Look(RequestId),
    /// After all have looked: every dom0 agrees that the node is off, power it on.
    Start(RequestId),
}

impl ClientLine {
    /// The line's word on the wire.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Wait(_) => "wait",
            Self::Go(_) => "go",
            Self::GoOff(_) => "go-off",
            Self::GoLater(_) => "go-later",
            Self::Look(_) => "look",
            Self::Start(_) => "start",
        }
    }

    /// Reads one line, newline included.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(line: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of_line(line, MAX_CLIENT_LINE)?;
        let word = fields.next("word")?;
        if !matches!(word, "request" | "wait" | "go" | "go-off" | "go-later" | "look" | "start") {
            return Err(WireError::UnknownWord);
        }
        let id = RequestId::parse(fields.next("id")?)?;
        let line = match word {
            "wait" => Self::Wait(id),
            "go" => Self::Go(id),
            "go-off" => Self::GoOff(id),
            "go-later" => Self::GoLater(id),
            "start" => Self::Start(id),
            "look" => Self::Look(id),
            _ => {
                let action = Action::from_word(fields.next("action")?)
                    .map_err(|_| WireError::UnknownAction)?;
                let node = match fields.next("node")? {
                    "-" => None,
                    name => Some(NodeName::parse(name)?),
                };
                let down = fields.optional()?.map(hosts_down).transpose()?.unwrap_or_default();
                Self::Request(Request::new(id, action, node)?.with_confirmed_down(down)?)
            }
        };
        fields.end()?;
        Ok(line)
    }
}

/// What begins the field that names hosts confirmed to be down.
const DOWN: &str = "down=";

/// `down=NAME[,NAME...]`, none of them twice.
fn hosts_down(field: &str) -> Result<Vec<HostName>, WireError> {
    let names = field.strip_prefix(DOWN).ok_or(WireError::Trailing)?;
    let mut hosts = Vec::new();
    for name in names.split(',') {
        let host = HostName::parse(name)?;
        if hosts.contains(&host) {
            return Err(WireError::Field("down"));
        }
        hosts.push(host);
    }
    Ok(hosts)
}

/// The line as it stands on the wire, newline included.
impl fmt::Display for ClientLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(Request { id, action, node, down }) => {
                write!(f, "{VERSION} request {id} {action} ")?;
                match node {
                    Some(node) => write!(f, "{node}")?,
                    None => write!(f, "-")?,
                }
                if let Some((first, others)) = down.split_first() {
                    write!(f, " {DOWN}{first}")?;
                    for host in others {
                        write!(f, ",{host}")?;
                    }
                }
                writeln!(f)
            }
            Self::Wait(id)
            | Self::Go(id)
            | Self::GoOff(id)
            | Self::GoLater(id)
            | Self::Look(id)
            | Self::Start(id) => {
                writeln!(f, "{VERSION} {} {id}", self.word())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kills_waits_for_go_and_on_does_too() {
        use Action::{Check, List, Monitor, Off, On, Reset, Status};
        for (action, kills, waits) in [
            (Reset, true, true),
            (Off, true, true),
            (On, false, true),
            (Status, false, false),
            (List, false, false),
            (Monitor, false, false),
            (Check, false, false),
        ] {
            assert_eq!((action.kills(), action.waits_for_go()), (kills, waits), "{action}");
        }
    }

    #[test]
    fn hosts_that_are_down_are_named_as_long_as_they_fit_into_a_line() {
        let request = |action, node: Option<&str>| {
            let node = node.map(|node| NodeName::parse(node).unwrap());
            Request::new(RequestId::from_bits(7), action, node).unwrap()
        };
        let host = |length: usize| HostName::parse(&"h".repeat(length)).unwrap();
        let off = request(Action::Off, Some("node2"));
        assert!(off.confirmed_down().is_empty());
        let line = |hosts| {
            let named = off.clone().with_confirmed_down(hosts)?;
            Ok::<_, WireError>(ClientLine::Request(named).to_string().len())
        };
        let taken = line(vec![host(1)]).unwrap() - 1;
        // Each with the comma behind it, and the last one fills the line.
        let others: Vec<HostName> = (0..(MAX_CLIENT_LINE - taken) / 61).map(|_| host(60)).collect();
        let left = MAX_CLIENT_LINE - taken - others.len() * 61;
        let with_last = |length| [others.clone(), vec![host(length)]].concat();
        assert_eq!(line(with_last(left)), Ok(MAX_CLIENT_LINE));
        let oversized = Err(WireError::Oversized(MAX_CLIENT_LINE));
        assert_eq!(line(with_last(left + 1)), oversized);
        assert_eq!(line([with_last(60), with_last(60)].concat()), oversized);
        let named = off.clone().with_confirmed_down(vec![host(3)]).unwrap();
        assert_eq!(named.confirmed_down(), [host(3)]);
        let list = request(Action::List, None).with_confirmed_down(vec![host(3)]);
        assert_eq!(list, Err(WireError::Field("down")));
    }
}
