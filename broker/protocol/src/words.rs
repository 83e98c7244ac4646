//! The words of a reply: each a closed table, read and written in one place.

use crate::codec::{WireError, words};

/// What dom0 can say of a node. `Unknown` is never off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// The journal could not be written, so that promise 7 rests on syslog and this reply; or it has
    /// no end of an earlier request for this node.
    Journal,
    /// The state file could not be written or read: promise 4 and the brake are not kept.
    State,
    /// The node's configuration does not fit: it will not be powered on.
    Config,
    /// Who holds the node, why and until when; or that the holds cannot be read and forbid nothing.
    Hold,
    /// The node will not be powered on, because of the brake or for want of a place to plan it.
    LeftOff,
    /// The broker could not leave the SSH session's cgroup.
    Cgroup,
    /// Something goes on that takes its time.
    Progress,
    /// `go` was heard in time, and is obeyed.
    Going,
    /// The broker runs and reads: its first line, before it knows an id.
    Listening,
}
words!(Note, "note", {
    Journal = "journal",
    State = "state",
    Config = "config",
    Hold = "hold",
    LeftOff = "left-off",
    Cgroup = "cgroup",
    Progress = "progress",
    Going = "going",
    Listening = "listening",
});

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
