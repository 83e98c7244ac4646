//! The lines of a journal: what a record holds, and the hash that chains it to the next.
//!
//! Fields are only ever added. Lines of an older broker are read for years; and what an older broker
//! does not know in a line of a newer one, after a downgrade say, it passes over: it would else take
//! the number of the next record, and what is in flight, from a line further back. No field is lost
//! by that, since a line is never written again, and its hash covers all of it.

use super::in_flight::InFlight;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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
    /// A later broker found an intent whose end nobody had recorded, and closed it. It touched
    /// nothing.
    Closed,
    /// So many more of one kind were counted and not stored.
    Summary,
    /// Something that only a later broker knows. This one writes none.
    #[serde(other)]
    Later,
}

/// What the policy said to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decided {
    /// It allowed it; what came of it is the result.
    Permit,
    /// It did not, or could not be read.
    Refuse,
}

/// A step of a request: how long it took, and what was seen in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub step: String,
    /// How many microseconds it took, from the end of the step before it, or from the broker's start.
    pub us: u64,
    /// What was seen, in a sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

/// No line of a journal is longer, its newline included.
pub const LONGEST_LINE: usize = 60 << 10;

/// One record. Absent fields do not apply or were not known; without those that are in every record
/// since the first, a line is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number in this journal, counted from 1 and on over its files.
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
    /// The version of the broker that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The request's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The account of dom0 by which the caller came, as sudo vouches for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// `node NAME`, `operator NAME` or `root NAME`.
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
    /// What the policy said; absent until it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decided>,
    /// The rule behind that: file, key and line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// A word or two for programs: a refusal's reason, `fenced killed`, `started created`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Milliseconds since the request was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// What the broker did so far for this request, and what it saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// The process number of the broker that wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// That broker's start, in the kernel's ticks since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started: Option<u64>,
    /// In a closing: the number of the intent that is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes: Option<u64>,
    /// In a summary: what was counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<Event>,
    /// In a summary: how many more there were.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<u64>,
    /// What is in flight behind this record, so that the last line alone tells it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open: Vec<InFlight>,
    /// SHA-256 of the line before, in hexadecimal, also where that is the last of an older file;
    /// empty in the first.
    pub prev: String,
}

/// The SHA-256 of a line without its newline, in hexadecimal.
#[must_use]
pub fn hash(line: &[u8]) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}
