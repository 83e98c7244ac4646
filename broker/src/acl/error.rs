//! What is wrong with a policy file: for the administrator in full, for a guest in one sentence.

use std::fmt;
use std::path::{Path, PathBuf};

/// The first thing that is wrong with a policy file; because of it the whole file is refused.
#[derive(Debug)]
pub struct PolicyError {
    file: PathBuf,
    place: Option<Place>,
    message: String,
    hint: Option<String>,
    missing: bool,
}

/// Where in a file, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// How many characters are meant; at least one.
    pub width: usize,
    /// The whole line.
    pub source: String,
}

impl PolicyError {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Where in the file; none if it could not be read at all.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// The sentence, without place and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Whether there is no such file, and therefore no such cluster.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        self.missing
    }

    /// All that a guest may hear of it.
    #[must_use]
    pub const fn short(&self) -> &'static str {
        "this host's policy for your cluster is broken; its administrator finds the reason in the \
         host's log and with `xen-fence-admin acl check`"
    }

    /// The error in one line, for syslog and the journal.
    #[must_use]
    pub fn one_line(&self) -> String {
        String::new()
    }
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl PolicyError {
    pub(super) fn stub() -> Self {
        Self {
            file: PathBuf::new(),
            place: None,
            message: String::new(),
            hint: None,
            missing: true,
        }
    }
}
