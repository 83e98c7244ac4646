//! The files of one journal: the one that is written, and older ones beside it, which are never
//! written again. `CLUSTER.jsonl`, `CLUSTER.jsonl.1`, `CLUSTER.jsonl.2`: the higher the later.
//!
//! Brokers write one after the other, by a flock(2) on the file itself. The file may have been
//! renamed while a broker waited for that, so each looks again once it has it.

use super::record::LONGEST_LINE;
use crate::lock::make_private_dir;
use nix::fcntl::OFlag;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xen_fence_protocol::RECORD;

/// The previous line is looked for in this much of a file's end, and its own end before it.
const TAIL: u64 = LONGEST_LINE as u64 + 1024;

/// The file that is written, locked.
pub(super) struct Current {
    file: File,
    path: PathBuf,
    length: u64,
}

/// The end of what is written so far.
pub(super) struct Tail {
    /// At most [`TAIL`] bytes, perhaps from the middle of a line on.
    pub(super) bytes: Vec<u8>,
    /// Whether the next line goes into the same file.
    pub(super) here: bool,
}

impl Current {
    /// Opens the file, makes it where there is none, and waits for its lock.
    pub(super) fn take(path: &Path) -> io::Result<Self> {
        let begun = Instant::now();
        loop {
            let file = open(path)?;
            lock(&file, begun)?;
            if is_still_at(&file, path) {
                let length = file.metadata()?.len();
                return Ok(Self { file, path: path.to_owned(), length });
            }
        }
    }

    /// How long the file is.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The end of the file, or of the last one before it if it is new.
    pub(super) fn tail(&mut self) -> io::Result<Tail> {
        if self.length > 0 {
            return Ok(Tail { bytes: tail(&mut self.file)?, here: true });
        }
        let bytes = match old_files(&self.path)?.pop() {
            Some((_, last)) => tail(&mut open_to_read(&last)?)?,
            None => Vec::new(),
        };
        Ok(Tail { bytes, here: false })
    }

    /// Appends whole lines and syncs them. What could not be written whole is taken back.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // A disk that fills up takes half a record; that of the next one may fit again. Where
            // it cannot be taken back it stays as a torn line, which readers know.
            let _torn = self.file.set_len(self.length);
            return Err(error);
        }
        self.file.sync_data()?;
        if self.length == 0 {
            // A new file is on disk when its name is.
            sync_dir(&self.path)?;
        }
        self.length = self.length.saturating_add(u64::try_from(bytes.len()).unwrap_or(0));
        Ok(())
    }

    /// Sets the file aside, under the next number. The next record begins a new one.
    pub(super) fn set_aside(self) -> io::Result<()> {
        let last = old_files(&self.path)?.pop().map_or(0, |(number, _)| number);
        let next = beside(&self.path, &format!(".{}", last.saturating_add(1)));
        fs::rename(&self.path, next)?;
        sync_dir(&self.path)
    }
}

/// Opens the file, and makes it where there is none.
pub(super) fn open(path: &Path) -> io::Result<File> {
    if let Some(dir) = path.parent() {
        make_private_dir(dir)?;
    }
    regular(
        OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(UNHELD.bits())
            .open(path)?,
    )
}

/// Opens a file of a journal to read it: no link is followed, and nothing is waited for.
///
/// # Errors
/// If it is not there, or is no file of a journal: a link, a pipe, a device, a directory.
pub fn open_to_read(path: &Path) -> io::Result<File> {
    regular(OpenOptions::new().read(true).custom_flags(UNHELD.bits()).open(path)?)
}

/// A record that goes into a pipe or a device is on no disk.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"))
}

/// How files are opened: no link is followed, and a pipe without another end holds nobody up.
const UNHELD: OFlag = OFlag::O_NOFOLLOW.union(OFlag::O_NONBLOCK);

/// The older files of the journal at this path, with their numbers, the oldest first.
///
/// # Errors
/// If the directory cannot be read.
pub fn old_files(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    let prefix = beside(path, ".");
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(&prefix)).and_then(numbered);
        found.extend(number.map(|number| (number, dir.join(name))));
    }
    found.sort();
    Ok(found)
}

/// A number as it is written here: without sign and leading zeros.
fn numbered(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number > 0 && number.to_string() == text).then_some(number)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    PathBuf::from(name)
}

/// Brokers of one cluster write one after the other, each for a moment.
fn lock(file: &File, begun: Instant) -> io::Result<()> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if begun.elapsed() > RECORD => {
                return Err(io::Error::other("another broker holds it"));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// Whether the path still leads to this file.
fn is_still_at(file: &File, path: &Path) -> bool {
    let identity = |found: fs::Metadata| (found.dev(), found.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(ours), Ok(theirs)) => identity(ours) == identity(theirs),
        (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => false,
        // What cannot be looked at is taken as it was opened.
        (Err(_), _) | (_, Err(_)) => true,
    }
}

/// The file's end.
fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}
