//! The contract between the agent in a domU and the broker in dom0.
//!
//! One SSH session carries one request. Both sides write lines of printable ASCII, each ending in
//! one `\n`, each beginning with the version ([`VERSION`]), a word and the request's id:
//!
//! ```text
//! agent                                         broker
//! xen-fence/1 request ID reset node2
//!                                               xen-fence/1 ready ID xen1 0.1.0 node2 on here none
//! xen-fence/1 go ID
//!                                               xen-fence/1 fenced ID xen1 0.1.0 node2 killed
//!                                               xen-fence/1 started ID xen1 0.1.0 node2 created
//!                                               xen-fence/1 done ID xen1 0.1.0
//! ```
//!
//! Fields stand in a fixed order with exactly one space between them; only the last field of a
//! line, a sentence for a person, may hold spaces. Whatever does not have that form is refused and
//! never guessed at. docs/protocol.md shows every line byte for byte; the tests read them there.

#![forbid(unsafe_code)]

mod codec;
mod limits;
mod name;
mod reply;
mod request;
mod rounds;
mod words;

pub use codec::{LineBuffer, WireError};
pub use limits::*;
pub use name::{HostName, NodeName, RequestId, Text, Version};
pub use reply::{Body, Reply};
pub use request::{Action, ClientLine, Request};
pub use rounds::{Event, Outcome, Round, Say, Standing, Why};
pub use words::{Asker, Failure, Hold, How, Level, Note, Power, Refusal, StartedHow, Step};

/// The first field of every line: the protocol's name and version.
pub const VERSION: &str = "xen-fence/1";

/// The command that the agent asks sshd to execute. The account's login shell accepts no other,
/// so a person who logs in by hand gets a sentence of help and no broker.
pub const EXEC_COMMAND: &str = "xen-fence/1";
