//! What a broker may answer.

use crate::VERSION;
use crate::codec::{Fields, WireError};
use crate::limits::MAX_REPLY_LINE;
use crate::name::{HostName, NodeName, RequestId, Text, Version};
use crate::words::{Asker, Failure, Hold, How, Level, Note, Power, Refusal, StartedHow, Step};
use std::fmt;

/// One line of a broker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's id; none before it is known, and where the request could not be read.
    pub id: Option<RequestId>,
    /// The dom0 that answers.
    pub dom0: HostName,
    /// The version of its broker.
    pub broker: Version,
    /// What it says.
    pub body: Body,
}

/// What a reply says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Lock, policy and target are settled; the broker waits for `go`.
    Ready {
        /// The target.
        node: NodeName,
        /// What the listing showed of it.
        power: Power,
        /// Where the asker is.
        asker: Asker,
        /// Whether the target is held.
        hold: Hold,
    },
    /// Something to know; more lines follow.
    Note {
        /// What it is about.
        about: Note,
        /// The sentence.
        text: Text,
    },
    /// No write of the node can reach the disk any more.
    Fenced {
        /// The target.
        node: NodeName,
        /// How.
        how: How,
    },
    /// What dom0 sees of a node: an answer to status, list and `look`.
    Seen {
        /// The node.
        node: NodeName,
        /// What is seen.
        power: Power,
    },
    /// The node runs.
    Started {
        /// The target.
        node: NodeName,
        /// How.
        how: StartedHow,
    },
    /// After a proven off, the power-on failed or was not tried: success with a warning.
    Unstarted {
        /// The target.
        node: NodeName,
        /// Why.
        text: Text,
    },
    /// One step of a rehearsal.
    Finding {
        /// The node it concerns; none for the host or the cluster.
        node: Option<NodeName>,
        /// How serious it is.
        level: Level,
        /// A stable word for programs, such as `toolstack`.
        step: Step,
        /// The sentence, with a hint where there is something to mend.
        text: Text,
    },
    /// The request was refused; nothing was touched.
    Refused {
        /// Why.
        reason: Refusal,
        /// The sentence.
        text: Text,
    },
    /// The request was granted and did not end well.
    Failed {
        /// Why.
        reason: Failure,
        /// The sentence.
        text: Text,
    },
    /// The last line of every session that did not end in `refused` or `failed`.
    Done,
}

impl Reply {
    /// Reads one line, newline included.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn decode(line: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of_line(line, MAX_REPLY_LINE)?;
        let word = fields.next("word")?;
        let id = match fields.next("id")? {
            "-" => None,
            id => Some(RequestId::parse(id)?),
        };
        let dom0 = HostName::parse(fields.next("dom0")?)?;
        let broker = Version::parse(fields.next("broker")?)?;
        let body = Self::decode_body(word, &mut fields)?;
        fields.end()?;
        let anonymous = matches!(
            body,
            Body::Refused { .. } | Body::Failed { .. } | Body::Note { about: Note::Listening, .. }
        );
        if id.is_none() && !anonymous {
            return Err(WireError::Id);
        }
        Ok(Self { id, dom0, broker, body })
    }

    fn decode_body(word: &str, fields: &mut Fields<'_>) -> Result<Body, WireError> {
        Ok(match word {
            "ready" => Body::Ready {
                node: NodeName::parse(fields.next("node")?)?,
                power: Power::from_word(fields.next("power")?)?,
                asker: Asker::from_word(fields.next("asker")?)?,
                hold: Hold::from_word(fields.next("hold")?)?,
            },
            "note" => Body::Note {
                about: Note::from_word(fields.next("note")?)?,
                text: Text::parse(fields.remainder("text")?)?,
            },
            "fenced" => Body::Fenced {
                node: NodeName::parse(fields.next("node")?)?,
                how: How::from_word(fields.next("how")?)?,
            },
            "seen" => Body::Seen {
                node: NodeName::parse(fields.next("node")?)?,
                power: Power::from_word(fields.next("power")?)?,
            },
            "started" => Body::Started {
                node: NodeName::parse(fields.next("node")?)?,
                how: StartedHow::from_word(fields.next("how")?)?,
            },
            "unstarted" => Body::Unstarted {
                node: NodeName::parse(fields.next("node")?)?,
                text: Text::parse(fields.remainder("text")?)?,
            },
            "finding" => Body::Finding {
                node: match fields.next("node")? {
                    "-" => None,
                    name => Some(NodeName::parse(name)?),
                },
                level: Level::from_word(fields.next("level")?)?,
                step: Step::parse(fields.next("step")?)?,
                text: Text::parse(fields.remainder("text")?)?,
            },
            "refused" => Body::Refused {
                reason: Refusal::from_word(fields.next("reason")?)?,
                text: Text::parse(fields.remainder("text")?)?,
            },
            "failed" => Body::Failed {
                reason: Failure::from_word(fields.next("reason")?)?,
                text: Text::parse(fields.remainder("text")?)?,
            },
            "done" => Body::Done,
            _ => return Err(WireError::UnknownWord),
        })
    }
}

/// The line as it stands on the wire, newline included.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION} {} ", self.body.word())?;
        match self.id {
            Some(id) => write!(f, "{id}")?,
            None => write!(f, "-")?,
        }
        write!(f, " {} {}", self.dom0, self.broker)?;
        match &self.body {
            Body::Ready { node, power, asker, hold } => {
                writeln!(f, " {node} {power} {asker} {hold}")
            }
            Body::Note { about, text } => writeln!(f, " {about} {text}"),
            Body::Fenced { node, how } => writeln!(f, " {node} {how}"),
            Body::Seen { node, power } => writeln!(f, " {node} {power}"),
            Body::Started { node, how } => writeln!(f, " {node} {how}"),
            Body::Unstarted { node, text } => writeln!(f, " {node} {text}"),
            Body::Finding { node: Some(node), level, step, text } => {
                writeln!(f, " {node} {level} {} {text}", step.as_str())
            }
            Body::Finding { node: None, level, step, text } => {
                writeln!(f, " - {level} {} {text}", step.as_str())
            }
            Body::Refused { reason, text } => writeln!(f, " {reason} {text}"),
            Body::Failed { reason, text } => writeln!(f, " {reason} {text}"),
            Body::Done => writeln!(f),
        }
    }
}

impl Body {
    /// The reply's word on the wire.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ready { .. } => "ready",
            Self::Note { .. } => "note",
            Self::Fenced { .. } => "fenced",
            Self::Seen { .. } => "seen",
            Self::Started { .. } => "started",
            Self::Unstarted { .. } => "unstarted",
            Self::Finding { .. } => "finding",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Done => "done",
        }
    }

    /// Whether a session ends with this line.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::Failed { .. } | Self::Done => true,
            Self::Ready { .. }
            | Self::Note { .. }
            | Self::Fenced { .. }
            | Self::Seen { .. }
            | Self::Started { .. }
            | Self::Unstarted { .. }
            | Self::Finding { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::Power;

    #[test]
    fn a_session_ends_with_a_refusal_a_failure_or_done() {
        let node = NodeName::parse("node2").unwrap();
        let text = Text::escaped("because");
        assert!(Body::Done.is_last());
        assert!(Body::Refused { reason: Refusal::NoGo, text: text.clone() }.is_last());
        assert!(Body::Failed { reason: Failure::Dying, text: text.clone() }.is_last());
        assert!(!Body::Note { about: Note::Going, text }.is_last());
        assert!(!Body::Fenced { node: node.clone(), how: How::Killed }.is_last());
        assert!(!Body::Seen { node, power: Power::Off }.is_last());
    }
}
