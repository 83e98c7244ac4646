//! What a broker may answer.

use crate::VERSION;
use crate::codec::{Fields, WireError, words};
use crate::limits::MAX_REPLY_LINE;
use crate::name::{HostName, NodeName, RequestId, Text, Version};
use std::fmt;

/// What dom0 can say of a node. `Unknown` is never off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// A domain of the node exists, in whatever state, or is about to come back.
    On,
    /// Proven absent.
    Off,
    /// Neither could be shown.
    Unknown,
}
words!(Power, "power", { On = "on", Off = "off", Unknown = "unknown" });

/// Where the asker's own domain is, as this dom0 sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The asker is a node and its domain runs on this dom0.
    Here,
    /// The asker is a node and this dom0 does not see its domain.
    Elsewhere,
    /// The asker is an operator and has no domain.
    Operator,
}
words!(Asker, "asker", { Here = "here", Elsewhere = "elsewhere", Operator = "operator" });

/// Whether an administrator holds the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// No hold.
    None,
    /// Neither kill nor power-on; only a node that is provably off is `fenced`.
    Forbid,
    /// Kill, and leave off.
    LeaveOff,
}
words!(Hold, "hold", { None = "none", Forbid = "forbid", LeaveOff = "leave-off" });

/// How a node came to be fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// This request's kill, proven.
    Killed,
    /// It was off already, proven.
    Absent,
    /// An earlier request's kill, joined or read.
    Joined,
    /// Only the shell that a migration leaves behind was killed here; this never counts as the
    /// kill of the node.
    Shell,
}
words!(How, "how", { Killed = "killed", Absent = "absent", Joined = "joined", Shell = "shell" });

/// How a node came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartedHow {
    /// This request created its domain.
    Created,
    /// It ran already.
    Running,
}
words!(StartedHow, "how", { Created = "created", Running = "running" });

/// How serious a finding of a rehearsal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// A fence works, with something to mend.
    Warn,
    /// A fence would fail.
    Fail,
}
words!(Level, "level", { Ok = "ok", Warn = "warn", Fail = "fail" });

/// Why a request was not carried out, decided before anything was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The line could not be read.
    Malformed,
    /// A byte came before `ready` was written.
    Early,
    /// The account, the node or the key is not one that the policy knows.
    Identity,
    /// The policy does not let the asker ask from this address.
    Source,
    /// The node is unknown or not one of the asker's targets: one answer for both.
    NotYours,
    /// The asker may not do this to its targets.
    NotGranted,
    /// The host's policy for this cluster is broken; nobody it covers is served.
    Policy,
    /// The asker's own domain is dying, or was fenced after its connection was accepted.
    AskerDying,
    /// An administrator holds the node.
    Held,
    /// `go` came after the answer was let go, or too late.
    LateGo,
    /// No `go` came.
    NoGo,
    /// The cluster's lock was not to be had in time.
    Busy,
}
words!(Refusal, "reason", {
    Malformed = "malformed",
    Early = "early",
    Identity = "identity",
    Source = "source",
    NotYours = "not-yours",
    NotGranted = "not-granted",
    Policy = "policy",
    AskerDying = "asker-dying",
    Held = "held",
    LateGo = "late-go",
    NoGo = "no-go",
    Busy = "busy",
});

/// Why a granted request did not end well. None of these says that the node is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The toolstack did not answer, or answered what cannot be read.
    Toolstack,
    /// A domain has the node's UUID and another name.
    Ambiguous,
    /// The node was killed and its death could not be proven in time.
    Dying,
    /// The node lives on.
    Alive,
    /// The node may not or cannot be powered on.
    PowerOn,
    /// The broker itself could not go on.
    Internal,
}
words!(Failure, "reason", {
    Toolstack = "toolstack",
    Ambiguous = "ambiguous",
    Dying = "dying",
    Alive = "alive",
    PowerOn = "power-on",
    Internal = "internal",
});

/// Something that the asker should know although the request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// The journal could not be written: promise 7 rests on syslog and this reply.
    Journal,
    /// The state file could not be written or read: promise 4 and the brake are not kept.
    State,
    /// The node's configuration does not fit: it will not be powered on.
    Config,
    /// The node will not be powered on, by hold or brake.
    LeftOff,
    /// The broker could not leave the SSH session's cgroup.
    Cgroup,
    /// Something goes on that takes its time.
    Progress,
}
words!(Note, "note", {
    Journal = "journal",
    State = "state",
    Config = "config",
    LeftOff = "left-off",
    Cgroup = "cgroup",
    Progress = "progress",
});

/// One line of a broker's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request's id; none where the request could not be read.
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

/// The word that names a step of a rehearsal: `[a-z][a-z-]{0,31}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step(String);

impl Step {
    /// Reads or makes a step's word.
    ///
    /// # Errors
    /// [`WireError::Field`] if it does not have the form.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let well_formed = (1..=32).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
            && !text.starts_with('-');
        if well_formed { Ok(Self(text.to_owned())) } else { Err(WireError::Field("step")) }
    }

    /// The word itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
        let anonymous = matches!(body, Body::Refused { .. } | Body::Failed { .. });
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
