//! The files of one cluster's journal as they are read: all of them, from one moment.

use std::fs;
use std::io;
use std::path::Path;
use xen_fence_broker::journal::{Record, old_files};
use xen_fence_broker::names::ClusterName;

/// One file of a journal.
#[derive(Debug)]
pub(super) struct Part {
    /// Its path, for messages.
    pub(super) name: String,
    /// The number of one that was set aside; none of the one that is written.
    pub(super) number: Option<u64>,
    /// What it holds.
    pub(super) bytes: Vec<u8>,
}

/// The clusters that have a journal.
pub(super) fn clusters(dir: &Path) -> io::Result<Vec<ClusterName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some((stem, rest)) = name.to_str().and_then(|name| name.split_once(".jsonl")) else {
            continue;
        };
        let number = rest.strip_prefix('.').map(str::parse::<u64>);
        if rest.is_empty() || number.is_some_and(|number| number.is_ok()) {
            names.extend(ClusterName::parse(stem));
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// All files of a journal, the oldest first.
pub(super) fn read(path: &Path) -> io::Result<Vec<Part>> {
    loop {
        let before = old_files(path)?;
        let mut parts = Vec::new();
        for (number, path) in &before {
            let (name, bytes) = (path.display().to_string(), fs::read(path)?);
            parts.push(Part { name, number: Some(*number), bytes });
        }
        match fs::read(path) {
            Ok(bytes) => parts.push(Part { name: path.display().to_string(), number: None, bytes }),
            // Set aside, and nothing written since.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !parts.is_empty() => {}
            Err(error) => return Err(error),
        }
        // A file that was set aside meanwhile was read as neither.
        if old_files(path)?.len() == before.len() {
            return Ok(parts);
        }
    }
}

impl Part {
    /// Its lines, with their numbers; the last one may be torn.
    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = (usize, &[u8])> {
        let lines: Vec<_> = self.bytes.split(|byte| *byte == b'\n').collect();
        lines
            .into_iter()
            .enumerate()
            .filter(|(_, line)| !line.is_empty())
            .map(|(index, line)| (index.saturating_add(1), line))
    }

    /// Whether it ends amid a line.
    pub(super) fn is_torn(&self) -> bool {
        !self.bytes.is_empty() && !self.bytes.ends_with(b"\n")
    }
}

/// The last record that can be read.
pub(super) fn last_record(parts: &[Part]) -> Option<Record> {
    let mut lines = parts.iter().rev().flat_map(|part| part.lines().rev());
    lines.find_map(|(_, line)| serde_json::from_slice(line).ok())
}
