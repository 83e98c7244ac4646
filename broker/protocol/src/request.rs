//! What a client may say: a request, then `wait`, `go` or `look`.

use crate::VERSION;
use crate::codec::{Fields, WireError, words};
use crate::limits::MAX_CLIENT_LINE;
use crate::name::{NodeName, RequestId};
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    id: RequestId,
    action: Action,
    node: Option<NodeName>,
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
        if fits { Ok(Self { id, action, node }) } else { Err(WireError::NodeMismatch) }
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientLine {
    /// The first line of a session.
    Request(Request),
    /// The asker lives and is still collecting other dom0s' `ready`.
    Wait(RequestId),
    /// The asker lives and means it.
    Go(RequestId),
    /// After `fenced`: list once more, because a domain can migrate between two answers.
    Look(RequestId),
}

impl ClientLine {
    /// The line's word on the wire.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Wait(_) => "wait",
            Self::Go(_) => "go",
            Self::Look(_) => "look",
        }
    }

    /// Reads one line, newline included.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(line: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of_line(line, MAX_CLIENT_LINE)?;
        let word = fields.next("word")?;
        if !matches!(word, "request" | "wait" | "go" | "look") {
            return Err(WireError::UnknownWord);
        }
        let id = RequestId::parse(fields.next("id")?)?;
        let line = match word {
            "wait" => Self::Wait(id),
            "go" => Self::Go(id),
            "look" => Self::Look(id),
            _ => {
                let action = Action::from_word(fields.next("action")?)
                    .map_err(|_| WireError::UnknownAction)?;
                let node = match fields.next("node")? {
                    "-" => None,
                    name => Some(NodeName::parse(name)?),
                };
                Self::Request(Request::new(id, action, node)?)
            }
        };
        fields.end()?;
        Ok(line)
    }
}

/// The line as it stands on the wire, newline included.
impl fmt::Display for ClientLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(Request { id, action, node: Some(node) }) => {
                writeln!(f, "{VERSION} request {id} {action} {node}")
            }
            Self::Request(Request { id, action, node: None }) => {
                writeln!(f, "{VERSION} request {id} {action} -")
            }
            Self::Wait(id) | Self::Go(id) | Self::Look(id) => {
                writeln!(f, "{VERSION} {} {id}", self.word())
            }
        }
    }
}
