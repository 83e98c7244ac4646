//! The journal: one JSON object a line, each holding the hash of the line before it. Promise 7.
//!
//! Writing is bounded in time. A disk that is full, read-only or hung never stops a fence: the
//! caller hears that the record is missing, and says so to syslog and to the agent.

mod anchor;
mod file;
mod in_flight;
mod record;

use crate::bounded;
use crate::processes::{ProcFs, Process, Processes};
pub use anchor::{Anchor, Kept, LONGEST_ANCHOR, TAG, line as line_for_syslog};
use file::{Current, Tail};
pub use file::{old_files, open_to_read};
pub use in_flight::{Cut, Doing, InFlight, POWERING_ON};
pub use record::{Decided, Event, LONGEST_LINE, Record, Step, hash};
use std::io;
use std::path::{Path, PathBuf};
use xen_fence_protocol::{JOURNAL_FILE, RECORD};

/// Where the journals of a real host are.
pub const JOURNAL_DIR: &str = "/var/lib/xen-fence/journal";

/// One cluster's journal.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

/// A line that is on disk.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// What it holds.
    pub record: Record,
    /// Its hash: the head of the chain when it was written.
    pub head: String,
}

/// What came of an append.
#[derive(Debug)]
pub struct Appended {
    /// The number of the record.
    pub n: u64,
    /// The hash of its line, the new head of the chain.
    pub head: String,
    /// What was closed before it: intents that nobody will record an end of.
    pub closed: Vec<Written>,
}

impl Journal {
    /// The journal in this file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Appends a record, numbered and chained, and syncs it. What is in flight in the journal and
    /// can have no end any more is closed by records before it.
    ///
    /// # Errors
    /// A sentence that names the file, if the record is not known to be on disk within [`RECORD`].
    pub fn append(&self, record: Record) -> Result<Appended, String> {
        let whose = record.clone();
        let written = self.in_time(move |path| append(path, &whose, Some(record), &lives))?;
        let mut closed = written;
        let last = closed.pop().unwrap_or_default();
        Ok(Appended { n: last.record.n, head: last.head, closed })
    }

    /// Leaves the journal in order, once nobody waits: closes what can have no end any more, in the
    /// name of the broker of this record, and sets a file aside that has grown long.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn tend(&self, whose: Record) -> Result<Vec<Written>, String> {
        self.in_time(move |path| {
            if !path.try_exists()? && old_files(path).map_or(true, |old| old.is_empty()) {
                return Ok(Vec::new());
            }
            let closed = append(path, &whose, None, &lives)?;
            set_aside_at(path, JOURNAL_FILE)?;
            Ok(closed)
        })
    }

    /// Tries whether a record could be appended, without one.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn probe(&self) -> Result<(), String> {
        self.in_time(|path| file::open(path).and_then(|file| file.sync_all()))
    }

    /// Works on the file for [`RECORD`] at most.
    fn in_time<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let path = self.path.clone();
        match bounded::within(RECORD, move || work(&path)) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(format!("{} cannot be written: {error}", self.path.display())),
            Err(undone) => Err(format!("{} did not take the record {undone}", self.path.display())),
        }
    }
}

fn lives(broker: &Process) -> bool {
    ProcFs.acts(broker)
}

/// What the last lines tell of the next one.
#[derive(Debug, Default)]
struct Last {
    /// The hash of the last line, whatever it is.
    hash: String,
    /// The number of the last record.
    n: u64,
    /// What is in flight behind it.
    open: Vec<InFlight>,
}

impl Last {
    fn of(tail: &Tail) -> Self {
        let mut lines =
            tail.bytes.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty());
        let hash = lines.clone().next().map(hash).unwrap_or_default();
        // The chain goes on from the last line that is, the number and what is in flight from the
        // last one that can be read.
        match lines.find_map(|line| serde_json::from_slice::<Record>(line).ok()) {
            Some(before) => Self { hash, n: before.n, open: before.open },
            None => Self { hash, ..Self::default() },
        }
    }
}

/// Appends what closes the intents that are cut, and then this record if there is one.
fn append(
    path: &Path,
    whose: &Record,
    record: Option<Record>,
    lives: &dyn Fn(&Process) -> bool,
) -> io::Result<Vec<Written>> {
    let mut file = Current::take(path)?;
    let tail = file.tail()?;
    let mut last = Last::of(&tail);
    let cut = |one: &InFlight| Some(one.closing(one.is_cut(&whose.boot, lives)?, whose));
    let records: Vec<Record> = last.open.iter().filter_map(cut).chain(record).collect();
    let mut bytes = Vec::new();
    if tail.here && tail.bytes.last().is_some_and(|byte| *byte != b'\n') {
        // The end of a record that a crash cut off stays as it is, on a line of its own.
        bytes.push(b'\n');
    }
    let mut written = Vec::new();
    for mut record in records {
        record.n = last.n.saturating_add(1);
        record.prev = last.hash;
        record.open = in_flight::behind(last.open, &record);
        let line = serde_json::to_vec(&record)?;
        bytes.extend_from_slice(&line);
        bytes.push(b'\n');
        let head = hash(&line);
        last = Last { hash: head.clone(), n: record.n, open: record.open.clone() };
        written.push(Written { record, head });
    }
    if !written.is_empty() {
        file.write(&bytes)?;
    }
    Ok(written)
}

/// Sets the file aside if it is longer than this.
fn set_aside_at(path: &Path, limit: u64) -> io::Result<()> {
    let file = Current::take(path)?;
    if file.length() > limit {
        // A file that may not be renamed, as one that can only be added to (chattr +a), grows on:
        // nothing is lost by that.
        let _grows_on = file.set_aside();
    }
    Ok(())
}

#[cfg(test)]
mod tests;
