//! Reads files that only root may have written; everything is checked on the open handle.
//!
//! What this refuses, nobody may act on: a policy that a tenant can write is no policy. It follows
//! no link in the last component and never waits for a pipe or a device. A draft may be anybody's.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a file is not believed: a sentence with the path, and the command that mends it.
#[derive(Debug)]
pub struct InsecureFile {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Missing,
    Link,
    NotRegular,
    Owner { found: u32, wanted: u32 },
    Writable { mode: u32 },
    TooLong { cap: u64 },
    NotUtf8 { at: usize },
    Changed,
    Io(io::Error),
}

impl InsecureFile {
    /// The file, or its directory, whichever is at fault.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no such file at all.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self.fault, Fault::Missing)
    }

    /// Whether it is not there or could not be looked at, which says nothing of what is in it.
    #[must_use]
    pub const fn is_out_of_reach(&self) -> bool {
        matches!(self.fault, Fault::Missing | Fault::Io(_))
    }

    /// Whether somebody else than its owner may have changed it.
    #[must_use]
    pub const fn is_loose(&self) -> bool {
        matches!(self.fault, Fault::Owner { .. } | Fault::Writable { .. })
    }

    /// What mends it.
    #[must_use]
    pub fn hint(&self) -> String {
        let path = self.path.display();
        match &self.fault {
            Fault::Missing => format!("make {path}, or correct the name"),
            Fault::Link => format!("put the file itself in the place of the link: {path}"),
            Fault::NotRegular => format!("move it away, and put a plain file at {path}"),
            Fault::Owner { wanted: 0, .. } => format!("chown root:root {path}"),
            Fault::Owner { wanted, .. } => format!("chown {wanted} {path}"),
            Fault::Writable { .. } => format!("chmod go-w {path}"),
            Fault::TooLong { .. } | Fault::NotUtf8 { .. } => {
                format!("see with `file {path}` what it is")
            }
            Fault::Changed => {
                format!("ask again when it is written; `mv` puts a new {path} in its place at once")
            }
            Fault::Io(_) => format!("see with `ls -ld {path}` what is there"),
        }
    }
}

impl fmt::Display for InsecureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Missing => write!(f, "{path} does not exist"),
            Fault::Link => write!(f, "{path} is a symbolic link, which is not followed"),
            Fault::NotRegular => write!(f, "{path} is not a regular file"),
            Fault::Owner { found, wanted: 0 } => {
                write!(f, "{path} belongs to the user id {found} and not to root")
            }
            Fault::Owner { found, wanted } => {
                write!(f, "{path} belongs to the user id {found} and not to {wanted}")
            }
            Fault::Writable { mode } => {
                write!(f, "{path} can be written by others than its owner (mode {mode:04o})")
            }
            Fault::TooLong { cap } => write!(f, "{path} is longer than {cap} bytes"),
            Fault::NotUtf8 { at } => write!(f, "{path} is not UTF-8 text from byte {at} on"),
            Fault::Changed => write!(f, "{path} was changed while it was read"),
            Fault::Io(error) => write!(f, "{path} cannot be read: {error}"),
        }
    }
}

impl std::error::Error for InsecureFile {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) => Some(error),
            Fault::Missing
            | Fault::Link
            | Fault::NotRegular
            | Fault::Owner { .. }
            | Fault::Writable { .. }
            | Fault::TooLong { .. }
            | Fault::NotUtf8 { .. }
            | Fault::Changed => None,
        }
    }
}

/// Reads a file of at most `cap` bytes, if it and its directory are root's alone.
///
/// # Errors
/// A sentence with the path and the command that mends it.
pub fn read(path: &Path, cap: u64) -> Result<String, InsecureFile> {
    read_of(path, cap, Some(0))
}

/// Reads a draft of at most `cap` bytes, whoever may write it and its directory.
///
/// # Errors
/// As [`read`], but for owner and mode.
pub fn read_draft(path: &Path, cap: u64) -> Result<String, InsecureFile> {
    read_of(path, cap, None)
}

/// The same for any owner, so that tests need not be root. A file that is being written is read
/// again when its writer may be done.
fn read_of(path: &Path, cap: u64, owner: Option<u32>) -> Result<String, InsecureFile> {
    let mut text = read_once(path, cap, owner);
    for _ in 1..TRIES {
        match text {
            Err(InsecureFile { fault: Fault::Changed, .. }) => std::thread::sleep(PAUSE),
            Ok(_) | Err(_) => break,
        }
        text = read_once(path, cap, owner);
    }
    text
}

/// So often a file is read that is changed meanwhile, with a pause between: a writer is done in less,
/// and a fence does not notice.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

fn read_once(path: &Path, cap: u64, owner: Option<u32>) -> Result<String, InsecureFile> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |fault| InsecureFile { path, fault }
    };
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(at(path)(Fault::NotRegular));
    };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let handle = open(dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map(File::from)
        .map_err(fault_of)
        .map_err(at(dir))?;
    metadata(&handle).and_then(|found| alone(&found, owner)).map_err(at(dir))?;

    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(&handle, name, flags, Mode::empty())
        .map(File::from)
        .map_err(fault_of)
        .map_err(at(path))?;
    let found = metadata(&file).map_err(at(path))?;
    if !found.is_file() {
        return Err(at(path)(Fault::NotRegular));
    }
    alone(&found, owner).map_err(at(path))?;

    let mut bytes = Vec::new();
    (&file)
        .take(cap.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| at(path)(Fault::Io(error)))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > cap) {
        return Err(at(path)(Fault::TooLong { cap }));
    }
    if is_other(&found, &metadata(&file).map_err(at(path))?) {
        return Err(at(path)(Fault::Changed));
    }
    String::from_utf8(bytes)
        .map_err(|error| at(path)(Fault::NotUtf8 { at: error.utf8_error().valid_up_to() }))
}

fn metadata(file: &File) -> Result<Metadata, Fault> {
    file.metadata().map_err(Fault::Io)
}

/// Whether somebody has written to the file between the two, or put another in its place. Half of two
/// versions would be a policy that nobody wrote.
fn is_other(before: &Metadata, after: &Metadata) -> bool {
    let of = |found: &Metadata| {
        let changed = (found.ctime(), found.ctime_nsec());
        (found.size(), found.mtime(), found.mtime_nsec(), changed)
    };
    of(before) != of(after)
}

/// Nobody but the owner can have changed it; that is nobody's business where it may be anybody's.
fn alone(found: &Metadata, wanted: Option<u32>) -> Result<(), Fault> {
    let Some(wanted) = wanted else { return Ok(()) };
    if found.uid() != wanted {
        Err(Fault::Owner { found: found.uid(), wanted })
    } else if found.mode() & 0o022 != 0 {
        Err(Fault::Writable { mode: found.mode() & 0o7777 })
    } else {
        Ok(())
    }
}

fn fault_of(errno: Errno) -> Fault {
    if errno == Errno::ENOENT {
        Fault::Missing
    } else if errno == Errno::ELOOP {
        Fault::Link
    } else if errno == Errno::ENXIO {
        // A socket, or a device without a driver.
        Fault::NotRegular
    } else {
        Fault::Io(errno.into())
    }
}

#[cfg(test)]
mod tests;
