//! The file of a cluster's holds: read whole or not at all, and in bounded time; replaced whole.

use super::Held;
use crate::bounded;
use crate::clock::Clock;
use crate::lock::Lock;
use crate::secure_file;
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use xen_fence_protocol::{NodeName, RECORD};

/// No file of holds is longer: one hold for each of the most nodes that a cluster has fits.
const CAP: u64 = 1 << 20;
/// How long one command waits for another that writes.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why the holds cannot be read or written: a sentence and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    sentence: String,
    hint: Option<String>,
}

impl Unreadable {
    pub(super) const fn new(sentence: String) -> Self {
        Self { sentence, hint: None }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl std::error::Error for Unreadable {}

/// The file's form.
#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    holds: Vec<Held>,
}

/// Reads the file; one that does not exist holds nothing.
pub(super) fn read(path: &Path) -> Result<Vec<Held>, Unreadable> {
    let of_thread = path.to_owned();
    match bounded::within(RECORD, move || secure_file::read(&of_thread, CAP)) {
        Ok(Ok(text)) => parse(path, &text),
        Ok(Err(error)) if error.is_missing() => Ok(Vec::new()),
        Ok(Err(error)) => Err(Unreadable { sentence: error.to_string(), hint: Some(error.hint()) }),
        Err(undone) => {
            Err(Unreadable::new(format!("{} could not be read {undone}", path.display())))
        }
    }
}

/// The holds that a file's text says, all of them sound.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Held>, Unreadable> {
    let damaged = |why: String| Unreadable {
        sentence: format!("{} is damaged: {why}", path.display()),
        hint: Some(format!(
            "see what it still says, move it away and set the holds again: mv {0} {0}.damaged",
            path.display()
        )),
    };
    let saved: Saved = serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
    for (at, held) in saved.holds.iter().enumerate() {
        let Ok(node) = NodeName::parse(&held.node) else {
            return Err(damaged(format!("{:?} is no name of a node", held.node)));
        };
        if saved.holds.iter().skip(at.saturating_add(1)).any(|other| other.is_of(&node)) {
            return Err(damaged(format!("{node} is held twice")));
        }
        if held.until <= held.set {
            return Err(damaged(format!("the hold of {node} ends before it was set")));
        }
    }
    Ok(saved.holds)
}

/// Keeps other commands from writing until the guard goes.
pub(super) fn lock(path: &Path, clock: &dyn Clock) -> Result<Lock, Unreadable> {
    let path = path.with_extension("lock");
    let cannot = |why: &str| Unreadable::new(format!("{} cannot be locked: {why}", path.display()));
    match Lock::take(&path, clock, clock.now().after(PATIENCE), || false) {
        Ok(Some(guard)) => Ok(guard),
        Ok(None) => Err(cannot("another command is writing")),
        Err(error) => Err(cannot(&error.to_string())),
    }
}

/// Replaces the file as a whole; a crash or a power cut leaves the old one or the new one.
pub(super) fn replace(path: &Path, holds: &[Held]) -> Result<(), Unreadable> {
    let written = || -> std::io::Result<()> {
        let mut text = serde_json::to_vec_pretty(&Saved { holds: holds.to_vec() })?;
        text.push(b'\n');
        whole_file::replace_for_good(path, &text)
    };
    written()
        .map_err(|error| Unreadable::new(format!("{} cannot be written: {error}", path.display())))
}
