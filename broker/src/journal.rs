//! The journal: one JSON object a line, each holding the hash of the line before it. Promise 7.
//!
//! Writing is bounded in time. A disk that is full, read-only or hung never stops a fence: the
//! caller hears that the record is missing, and says so to syslog and to the agent.

use crate::lock::make_private_dir;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use xen_fence_protocol::RECORD;

/// Where the journals of a real host are.
pub const JOURNAL_DIR: &str = "/var/lib/xen-fence/journal";

/// The previous line is looked for in this much of the file's end; no record is longer.
const TAIL: u64 = 64 * 1024;

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Event {
    /// A request that changes nothing was answered.
    Answer,
    /// A rehearsal was answered.
    Rehearsal,
    /// A request was refused; nothing was touched.
    Refused,
    /// A kill or a power-on is about to begin.
    Intent,
    /// How a kill ended.
    Outcome,
    /// How a power-on ended.
    Start,
    /// Something else that a reader should know.
    Note,
}

/// One record. Absent fields do not apply or were not known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// Its number in this file, counted from 1.
    pub n: u64,
    /// The wall clock's time, RFC 3339, UTC.
    pub time: String,
    /// The host's boot id.
    pub boot: String,
    /// Milliseconds since that boot.
    pub up_ms: u64,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The cluster.
    pub cluster: String,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// `node NAME` or `operator NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The fingerprint of the caller's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The caller's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// Of which node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The node's domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The domain's UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The domid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domid: Option<u32>,
    /// A word or two for programs: a refusal's reason, `fenced killed`, `started created`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Milliseconds since the request was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Where the broker's time went, in an outcome: each step with the microseconds from the
    /// broker's start to the step's end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<(String, u64)>,
    /// SHA-256 of the line before, in hexadecimal; empty in the first.
    pub prev: String,
}

/// One cluster's journal.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
}

impl Journal {
    /// The journal in this file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Appends a record, numbered and chained, and syncs it; answers with the hash of its line,
    /// the new head of the chain.
    ///
    /// # Errors
    /// A sentence that names the file, if the record is not known to be on disk within [`RECORD`].
    pub fn append(&self, record: Record) -> Result<String, String> {
        let (tell, told) = mpsc::channel();
        let path = self.path.clone();
        // A write can hang in the kernel for as long as its device does, and nothing can end it:
        // so it hangs in a thread of its own, and the fence goes on.
        std::thread::spawn(move || tell.send(append(&path, record)));
        match told.recv_timeout(RECORD) {
            Ok(Ok(head)) => Ok(head),
            Ok(Err(error)) => Err(format!("{} cannot be written: {error}", self.path.display())),
            Err(_) => Err(format!(
                "{} did not take the record within {} s",
                self.path.display(),
                RECORD.as_secs()
            )),
        }
    }

    /// Tries whether a record could be appended, without one.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn probe(&self) -> Result<(), String> {
        let (tell, told) = mpsc::channel();
        let path = self.path.clone();
        std::thread::spawn(move || tell.send(open(&path).and_then(|file| file.sync_all())));
        match told.recv_timeout(RECORD) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("{} cannot be written: {error}", self.path.display())),
            Err(_) => Err(format!("{} does not sync", self.path.display())),
        }
    }
}

/// The SHA-256 of a line without its newline, in hexadecimal.
#[must_use]
pub fn hash(line: &[u8]) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(dir) = path.parent() {
        make_private_dir(dir)?;
    }
    OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
}

fn append(path: &Path, mut record: Record) -> std::io::Result<String> {
    let mut file = open(path)?;
    lock(&file)?;
    let tail = tail(&mut file)?;
    let torn = tail.last().is_some_and(|byte| *byte != b'\n');
    let mut lines = tail.split(|byte| *byte == b'\n').rev().filter(|line| !line.is_empty());
    record.prev = lines.clone().next().map(hash).unwrap_or_default();
    // The number goes on from the last line that has one, the chain from the last line that is.
    let before = lines.find_map(|line| serde_json::from_slice::<Record>(line).ok());
    record.n = before.map_or(0, |before| before.n).saturating_add(1);
    let line = serde_json::to_vec(&record)?;
    let mut bytes = Vec::with_capacity(line.len().saturating_add(2));
    if torn {
        // The end of a record that a crash cut off stays as it is, on a line of its own.
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(&line);
    bytes.push(b'\n');
    file.write_all(&bytes)?;
    file.sync_data()?;
    Ok(hash(&line))
}

/// Brokers of one cluster write one after the other, each for a moment.
fn lock(file: &File) -> std::io::Result<()> {
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(std::fs::TryLockError::Error(error)) => return Err(error),
            Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() > RECORD => {
                return Err(std::io::Error::other("another broker holds it"));
            }
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The file's end.
fn tail(file: &mut File) -> std::io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(text: &str) -> Record {
        let event = Some(Event::Note);
        Record {
            cluster: "alpha".to_owned(),
            event,
            text: Some(text.to_owned()),
            ..Record::default()
        }
    }

    fn read(path: &Path) -> Vec<Record> {
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    #[test]
    fn records_are_numbered_and_chained() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal/alpha.jsonl");
        let journal = Journal::at(path.clone());
        let heads: Vec<String> =
            ["one", "two", "three"].iter().map(|t| journal.append(record(t)).unwrap()).collect();
        let records = read(&path);
        assert_eq!(records.iter().map(|r| r.n).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(records[0].prev, "");
        assert_eq!(records[1].prev, heads[0]);
        assert_eq!(records[2].prev, heads[1]);
    }

    #[test]
    fn a_torn_last_line_stays_and_the_chain_goes_on_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alpha.jsonl");
        let journal = Journal::at(path.clone());
        journal.append(record("one")).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"n\":2,\"ti").unwrap();
        journal.append(record("three")).unwrap();
        let records = read(&path);
        assert_eq!(records.iter().map(|r| r.n).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(records[1].prev, hash(b"{\"n\":2,\"ti"));
    }

    #[test]
    fn two_writers_never_mix_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alpha.jsonl");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        Journal::at(path.clone()).append(record("x")).unwrap();
                    }
                });
            }
        });
        let records = read(&path);
        assert_eq!(records.iter().map(|r| r.n).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    }

    #[test]
    fn a_journal_that_cannot_be_written_is_named() {
        let error =
            Journal::at(PathBuf::from("/proc/no/alpha.jsonl")).append(record("x")).unwrap_err();
        assert!(error.starts_with("/proc/no/alpha.jsonl cannot be written: "), "{error}");
    }
}
