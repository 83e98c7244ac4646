//! What can go wrong while a machine for tests is raised or used: one sentence, with its context.

use std::fmt;

/// A sentence for the person who runs the tests: what failed, on what, and why.
#[derive(Debug)]
pub struct Error(String);

/// The result of everything that can.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with this sentence.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Adds to an error what was being done when it came up.
pub(crate) trait Doing<T> {
    /// Names the deed: "cannot {deed}: {cause}".
    fn doing(self, deed: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, deed: impl fmt::Display) -> Result<T> {
        self.map_err(|cause| Error(format!("cannot {deed}: {cause}")))
    }
}
