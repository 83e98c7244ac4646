//! What an audit finds: a code that never changes its meaning, what it concerns, the evidence, and
//! what mends it.

use std::fmt;

/// How bad it is; the order is that of the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Good to know; nothing has to be done.
    Note,
    /// It weakens the host's defence, or a fence could fail under further circumstances.
    Warning,
    /// Somebody can kill or do what he may not, or a fence that is owed would fail now.
    Serious,
}

impl Severity {
    /// The word for people and programs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Serious => "serious",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A kind of finding. `docs/audit.md` has a section for each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    /// `XF` and three digits: below 100 too much could get through, from 100 on a fence would fail.
    pub(crate) id: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// What it is, in a few words.
    pub(crate) title: &'static str,
}

impl Code {
    /// Whether it is about what could get through, and not about a fence that would fail.
    pub(crate) fn is_of_too_much(&self) -> bool {
        self.id < "XF100"
    }
}

/// One thing that an audit found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Its kind.
    pub(crate) code: &'static Code,
    /// The clusters that it concerns; none if it is the host's.
    pub(crate) clusters: Vec<String>,
    /// What has the fault: a file with its line, an account, a node.
    pub(crate) about: String,
    /// What was seen, in a sentence.
    pub(crate) evidence: String,
    /// What to type or change; typed literally it makes the finding go away.
    pub(crate) mend: String,
}

impl Finding {
    /// Whether it belongs into the audit of this cluster.
    pub(crate) fn concerns(&self, cluster: &str) -> bool {
        self.clusters.is_empty() || self.clusters.iter().any(|name| name == cluster)
    }
}
