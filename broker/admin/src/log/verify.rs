//! `log --verify`: does each line hold the hash of the one before it, over all files, and does syslog say
//! the same?
//!
//! What a chain cannot show is that lines at its end are gone, or that all of it was written anew. For
//! that syslog has the head behind each record.

use super::ASIDE;
use super::anchors::{Anchors, Dispute, Syslog, Verdict};
use super::lines::RawLine;
use xen_fence_broker::journal::{Record, hash};

/// So many faults of one journal are told one by one: behind the first, the others tell little.
const FAULTS: usize = 20;
/// So much of a hash is shown.
const SHOWN: usize = 16;

/// What a walk along a chain has found so far.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    cluster: &'a str,
    syslog: &'a Syslog,
    anchors: Option<&'a Anchors>,
    /// The file that is walked through.
    file: String,
    /// Nothing is older than this file.
    is_first: bool,
    /// The number of the file before.
    file_before: u64,
    /// How many files there are.
    files: usize,
    /// How many records.
    records: u64,
    /// The numbers of the first and of the last.
    numbers: Option<(u64, u64)>,
    /// The hash of the last line; none behind one that was not read whole.
    head: Option<String>,
    /// The last record that syslog has too: its number, and where; and how many have followed it.
    anchored: Option<(u64, String, u64)>,
    /// How many records syslog has too.
    in_syslog: u64,
    /// Where it does not hold.
    broken: Vec<String>,
    /// How many more such places there are.
    more_broken: u64,
    /// What a reader should know although it holds.
    remarks: Vec<String>,
}

impl<'a> Walk<'a> {
    /// Before the first file of this cluster's journal.
    pub(super) fn of(cluster: &'a str, syslog: &'a Syslog) -> Self {
        Self {
            cluster,
            syslog,
            anchors: syslog.of(cluster),
            file: String::new(),
            is_first: false,
            file_before: 0,
            files: 0,
            records: 0,
            numbers: None,
            head: Some(String::new()),
            anchored: None,
            in_syslog: 0,
            broken: Vec::new(),
            more_broken: 0,
            remarks: Vec::new(),
        }
    }

    /// Goes on to the next file.
    pub(super) fn file(&mut self, name: String, number: Option<u64>) {
        // The one that is written has the number that it will be given.
        let expected = self.file_before.saturating_add(1);
        let this = number.unwrap_or(expected);
        if this != expected && self.files > 0 {
            self.breaks(format!("{name}: {} not here", missing(expected, this)));
        }
        self.file_before = this;
        self.files = self.files.saturating_add(1);
        self.is_first = number == Some(1);
        self.file = name;
    }

    /// Goes on to the next line of the file.
    pub(super) fn line(&mut self, number: usize, line: &RawLine) {
        if line.length == 0 {
            return;
        }
        let place = format!("{}:{number}", self.file);
        if !line.is_whole() {
            self.head = None;
            return self.breaks(format!(
                "{place}: this line is longer than any record; no broker wrote it"
            ));
        }
        let hash = hash(&line.bytes);
        let before = self.head.replace(hash.clone());
        let Ok(record) = serde_json::from_slice::<Record>(&line.bytes) else {
            return self.no_record(&place, line);
        };
        self.records = self.records.saturating_add(1);
        if record.cluster != self.cluster {
            self.breaks(format!(
                "{place}: this is a record of another cluster, {:?}",
                record.cluster
            ));
        }
        self.compare(&place, record.n, &hash);
        let last = self.numbers.map(|(_, last)| last);
        let first = self.numbers.map_or(record.n, |(first, _)| first);
        self.numbers = Some((first, record.n));
        let Some(before) = before else { return };
        if before.is_empty() && !record.prev.is_empty() && !self.is_first {
            self.remarks.push(format!(
                "{place}: records 1 to {} are in older files, which are not here; from this one on \
                 the chain can be followed",
                record.n.saturating_sub(1)
            ));
        } else if record.prev != before {
            self.breaks(match last {
                Some(last) if record.n > last.saturating_add(1) => format!(
                    "{place}: the chain is broken: records {} to {} are gone",
                    last.saturating_add(1),
                    record.n.saturating_sub(1)
                ),
                _ => format!(
                    "{place}: the chain is broken: the line before this one was changed, or lines \
                     between them are gone"
                ),
            });
        } else if last.is_some_and(|last| record.n != last.saturating_add(1)) {
            self.remarks.push(format!("{place}: the numbers begin anew, with {}", record.n));
        }
    }

    /// A line that is no record: what a crash has left of one, or something else.
    fn no_record(&mut self, place: &str, line: &RawLine) {
        if line.begins_a_record() {
            self.remarks.push(format!(
                "{place}: this line is no record, cut off by a crash perhaps; the chain holds its \
                 hash"
            ));
        } else {
            self.breaks(format!(
                "{place}: this line is no record, nor the beginning of one; no broker wrote it so"
            ));
        }
    }

    /// Compares a record with what syslog has of it.
    fn compare(&mut self, place: &str, n: u64, hash: &str) {
        match self.anchors.map_or(Verdict::Silent, |anchors| anchors.of(n, hash)) {
            Verdict::Same(at) => {
                self.in_syslog = self.in_syslog.saturating_add(1);
                self.anchored = Some((n, self.syslog.place(at), 0));
            }
            Verdict::Other(head, at) => {
                let told = format!(
                    "{place}: this is not the record {n} that {} anchors: the head was {} there, and \
                     is {} with this line",
                    self.syslog.place(at),
                    shown(head),
                    shown(hash)
                );
                self.breaks(told);
            }
            // That is told at the end, once for all of them.
            Verdict::Disputed => {}
            Verdict::Silent => {
                if let Some((_, _, since)) = &mut self.anchored {
                    *since = since.saturating_add(1);
                }
            }
        }
    }

    /// Ends the walk, behind a line that has no end yet, if there is one.
    pub(super) fn ended(mut self, torn: Option<(usize, &RawLine)>) -> Found {
        if let Some((number, line)) = torn {
            let place = format!("{}:{number}", self.file);
            if line.begins_a_record() {
                self.remarks.push(format!(
                    "{place}: the last line is torn, by a crash or because it is being written"
                ));
            } else {
                self.no_record(&place, line);
            }
        }
        if let Some(dispute) = self.anchors.and_then(Anchors::dispute) {
            self.broken.push(self.disputed(&dispute));
        }
        let last = self.numbers.map_or(0, |(_, last)| last);
        if let Some((n, head, at)) =
            self.anchors.and_then(Anchors::last).filter(|(n, ..)| *n > last)
        {
            let place = self.syslog.place(at);
            let gone = match n.saturating_sub(last) {
                1 => format!("record {n} is"),
                _ => format!("records {} to {n} are", last.saturating_add(1)),
            };
            let head = shown(head);
            self.broken.push(format!(
                "{}: {gone} gone from its end: {place} anchors record {n}, with the head {head}",
                self.file
            ));
        }
        if let Some(count) =
            self.anchors.map(|anchors| anchors.set_aside).filter(|count| *count > 0)
        {
            self.remarks.push(format!(
                "{}: {count} records of syslog were in a journal that was set aside; see {ASIDE}",
                self.cluster
            ));
        }
        if let Some((count, at)) = self.anchors.and_then(|anchors| anchors.lost) {
            self.remarks.push(format!(
                "{}: {count} records that the disk did not take are in syslog alone, the first at {}",
                self.cluster,
                self.syslog.place(at)
            ));
        }
        if self.more_broken > 0 {
            self.broken
                .push(format!("{}: and {} more such places", self.cluster, self.more_broken));
        }
        let summary = vec![self.summary(), self.anchoring()];
        Found { broken: self.broken, remarks: self.remarks, summary }
    }

    fn breaks(&mut self, what: String) {
        if self.broken.len() < FAULTS {
            self.broken.push(what);
        } else {
            self.more_broken = self.more_broken.saturating_add(1);
        }
    }

    /// That syslog has two records of one number: whoever rewrites a journal can send such lines as well,
    /// but those from before stay beside them.
    fn disputed(&self, dispute: &Dispute<'_>) -> String {
        let Dispute { n, heads: [one, other], more } = dispute;
        let place = |at| self.syslog.place(at);
        let more = match more {
            0 => String::new(),
            more => format!(", and so of {more} later ones"),
        };
        format!(
            "{}: syslog has two different records {n}: {} has the head {}, and {} the head {}{more}; the \
             journal was begun anew, or rewritten",
            self.cluster,
            place(one.1),
            shown(one.0),
            place(other.1),
            shown(other.0)
        )
    }

    /// What the chain comes to, in one line.
    fn summary(&self) -> String {
        let (first, last) = self.numbers.unwrap_or_default();
        let files = if self.files == 1 { "file" } else { "files" };
        let verdict = match (self.broken.is_empty(), self.records) {
            (true, 0) => return format!("{}: there is no record yet", self.cluster),
            (true, _) => "the chain holds",
            (false, _) => "THE CHAIN IS BROKEN",
        };
        let records = if self.records == 1 { "record" } else { "records" };
        format!(
            "{}: {} {records} in {} {files}, {first} to {last}: {verdict}; its head is {}",
            self.cluster,
            self.records,
            self.files,
            self.head.as_deref().map_or("not known", shown)
        )
    }

    /// How far syslog vouches for it, in one line.
    fn anchoring(&self) -> String {
        let whole = self.in_syslog;
        match &self.anchored {
            Some((n, place, _)) if !self.broken.is_empty() => format!(
                "{}: the last record that syslog has just so is {n}, at {place}",
                self.cluster
            ),
            None if !self.broken.is_empty() && self.anchors.is_some() => {
                format!("{}: NOT anchored: syslog has none of its records just so", self.cluster)
            }
            Some((n, place, 0)) => format!(
                "{}: anchored: {place} has the head behind its last record, {n}; {whole} of its records \
                 are in syslog",
                self.cluster
            ),
            Some((n, place, since)) => format!(
                "{}: anchored up to record {n}, by {place}; syslog has no line for the {since} behind it",
                self.cluster
            ),
            None => format!(
                "{}: NOT anchored: there is no line for any of its records in {}; that its last lines \
                 were cut off, or all was written anew, would not show",
                self.cluster,
                self.syslog.sources()
            ),
        }
    }
}

/// What a walk found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where it does not hold, the first place first.
    pub(crate) broken: Vec<String>,
    /// What a reader should know although it holds.
    pub(crate) remarks: Vec<String>,
    /// What it comes to: the chain, and how far syslog vouches for it.
    pub(crate) summary: Vec<String>,
}

fn shown(hash: &str) -> &str {
    hash.get(..SHOWN).unwrap_or(hash)
}

fn missing(first: u64, next: u64) -> String {
    let last = next.saturating_sub(1);
    if first == last {
        format!("file .{first} before it is")
    } else {
        format!("files .{first} to .{last} before it are")
    }
}

#[cfg(test)]
mod tests;
