//! One cluster's journal, line by line over its files, the oldest first: in little memory, and on as it
//! grows. A file that is set aside meanwhile is read to its end under its new name.
//!
//! It only reads, and takes no lock: a line that is being written at this moment is left for the next
//! time.

use super::lines::{BEGINNING, Lines, RawLine};
use nix::errno::Errno;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use xen_fence_broker::journal::{LONGEST_LINE, old_files, open_to_read};
use xen_fence_broker::names::ClusterName;
use xen_fence_protocol::JOURNAL_FILE;

/// A file that is so much longer than one is set aside at was not written by brokers alone.
const LONG: u64 = 32 * JOURNAL_FILE;
/// So many lines that begin otherwise, and a file is given up: it is something else.
const FOREIGN: u32 = 1000;

/// What comes next in a journal.
#[derive(Debug)]
pub(super) enum Next {
    /// A file begins.
    File {
        /// Its path.
        name: String,
        /// The number of one that is set aside; none of the one that is written.
        number: Option<u64>,
        /// What is odd about it, in a sentence.
        odd: Option<String>,
    },
    /// A line of it.
    Line {
        /// Its number in the file.
        number: usize,
        /// What it holds. One without an end is the last of a file that is not written any more.
        line: RawLine,
    },
    /// Something of it could not be read, in a sentence.
    Fault(String),
}

/// One journal as it is read.
#[derive(Debug)]
pub(super) struct Reader {
    /// The file that is written.
    path: PathBuf,
    at: Option<At>,
    /// The number of the last file that was set aside and is read, or given up.
    done: u64,
    /// The current file cannot be read.
    given_up: bool,
}

/// Where it is being read.
#[derive(Debug)]
struct At {
    name: String,
    lines: Lines<File>,
    line: usize,
    /// How many lines are no records, by their beginnings.
    foreign: u32,
    /// Nothing is added to it any more: its end is its end.
    set_aside: bool,
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

impl Reader {
    /// The journal whose current file is at this path, from its beginning.
    pub(super) const fn of(path: PathBuf) -> Self {
        Self { path, at: None, done: 0, given_up: false }
    }

    /// What comes next; none at the end, as it is at this moment.
    pub(super) fn next(&mut self) -> Option<Next> {
        loop {
            let Some(at) = &mut self.at else {
                return self.open_next();
            };
            match at.lines.next() {
                Ok(Some(line)) => {
                    at.line = at.line.saturating_add(1);
                    let foreign = line.length > 0 && !line.bytes.starts_with(BEGINNING);
                    at.foreign = at.foreign.saturating_add(u32::from(foreign));
                    if at.foreign > FOREIGN {
                        return Some(
                            self.give_up(&format!("{FOREIGN} of its lines are no records")),
                        );
                    }
                    return Some(Next::Line { number: at.line, line });
                }
                Ok(None) if at.set_aside => {
                    let number = at.line.saturating_add(1);
                    let rest = at.lines.take_begun();
                    self.at = None;
                    if rest.length > 0 {
                        return Some(Next::Line { number, line: rest });
                    }
                }
                Ok(None) => match still_written(at.lines.source(), &self.path, at.lines.read()) {
                    Written::On => return None,
                    Written::Cut => {
                        let why = format!(
                            "{}: it was made shorter while it was read, and journals are only ever \
                             added to; it is read again from its beginning",
                            at.name
                        );
                        self.at = None;
                        return Some(Next::Fault(why));
                    }
                    Written::SetAside => {
                        // What was added between the last read and this is read first.
                        at.set_aside = true;
                        self.number_it();
                    }
                },
                Err(error) => return Some(self.give_up(&error.to_string())),
            }
        }
    }

    /// Leaves the rest of the file that is read.
    fn give_up(&mut self, why: &str) -> Next {
        let Some(at) = self.at.take() else { return Next::Fault(why.to_owned()) };
        self.given_up |= !at.set_aside;
        Next::Fault(format!("{}: {why}; the rest of it was not read", at.name))
    }

    /// Whether nothing can come any more, whatever is added.
    pub(super) const fn is_given_up(&self) -> bool {
        self.given_up
    }

    /// The line that is begun and has no end yet, if there is one, and its number in the file.
    pub(super) fn torn(&self) -> Option<(usize, &RawLine)> {
        let at = self.at.as_ref()?;
        Some((at.line.saturating_add(1), at.lines.begun()?))
    }

    /// Opens the file behind the one that is read.
    fn open_next(&mut self) -> Option<Next> {
        let old = match old_files(&self.path) {
            Ok(old) => old,
            // The broker makes it with its first record.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) if self.done == 0 && !self.given_up => {
                self.given_up = true;
                let dir = self.path.parent().unwrap_or(Path::new("/"));
                return Some(Next::Fault(format!("{} cannot be read: {error}", dir.display())));
            }
            Err(_) => return None,
        };
        let next = old.into_iter().find(|(number, _)| *number > self.done);
        let (number, path) = match next {
            Some((number, path)) => {
                self.done = number;
                (Some(number), path)
            }
            None if self.given_up => return None,
            None => (None, self.path.clone()),
        };
        let name = path.display().to_string();
        let opened = open_to_read(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((length, file)) => {
                let lines = Lines::of(file, LONGEST_LINE);
                let set_aside = number.is_some();
                self.at = Some(At { name: name.clone(), lines, line: 0, foreign: 0, set_aside });
                let odd = (length > LONG).then(|| {
                    format!(
                        "{name} is {} MiB long, and the broker sets a file aside after {} MiB, unless it \
                         may not rename it: somebody else may have written this",
                        length >> 20,
                        JOURNAL_FILE >> 20
                    )
                });
                Some(Next::File { name, number, odd })
            }
            // Set aside, and nothing written since.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number.is_none() => None,
            Err(error) => {
                self.given_up |= number.is_none();
                Some(Next::Fault(match error.raw_os_error().map(Errno::from_raw) {
                    Some(Errno::ELOOP) => format!(
                        "{name} is a symbolic link, which is not followed; see with `ls -l {name}` who \
                         put it there"
                    ),
                    _ => format!(
                        "{name} cannot be read: {error}; see with `ls -l {name}` what it is"
                    ),
                }))
            }
        }
    }

    /// Finds out which number the file has that has just been set aside, so that the next one is the one
    /// behind it.
    fn number_it(&mut self) {
        let Some(at) = &self.at else { return };
        let Ok(ours) = at.lines.source().metadata() else { return };
        let is_it = |path: &Path| {
            fs::symlink_metadata(path)
                .is_ok_and(|found| (found.dev(), found.ino()) == (ours.dev(), ours.ino()))
        };
        let old = old_files(&self.path).unwrap_or_default();
        // Taken away by somebody, it is followed by whatever there is.
        if let Some((number, _)) = old.into_iter().find(|(_, path)| is_it(path)) {
            self.done = number;
        }
    }
}

/// Whether a file is still the one that is written.
enum Written {
    On,
    Cut,
    SetAside,
}

fn still_written(file: &File, path: &Path, read: u64) -> Written {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) if (ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()) => {
            Written::SetAside
        }
        (Ok(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => Written::SetAside,
        (Ok(ours), _) if ours.len() < read => Written::Cut,
        // What cannot be looked at is taken as it was opened.
        (Ok(_) | Err(_), _) => Written::On,
    }
}

#[cfg(test)]
mod tests;
