//! The directory of kept ids and the files in it: ours alone, never reached through a symbolic link,
//! each locked by the one process that uses it.
//!
//! A file is only removed by whoever holds its lock, and a lock counts only while the file still
//! has its name; so two processes never hold the same.

use crate::secure_file::reason;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// More than a kept id ever is.
const MAX_FILE: u64 = 512;

/// The directory, held open.
#[derive(Debug)]
pub(super) struct Dir {
    file: File,
    path: PathBuf,
}

impl Dir {
    /// Opens the directory, and makes it if it is not there.
    ///
    /// # Errors
    /// Why it cannot be had, or cannot be trusted.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let fail = |error: &io::Error| format!("{}: {}", path.display(), reason(error));
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fail(&error)),
            Ok(()) | Err(_) => {}
        }
        let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|error| fail(&error))?;
        let meta = file.metadata().map_err(|error| fail(&error))?;
        if meta.uid() == nix::unistd::geteuid().as_raw() && meta.mode() & 0o077 == 0 {
            Ok(Self { file, path: path.to_owned() })
        } else {
            Err(format!(
                "{} belongs to user {} and has the mode {:04o}; it has to be the caller's alone",
                path.display(),
                meta.uid(),
                meta.mode() & 0o7777
            ))
        }
    }

    /// A file that is there and that no process uses.
    pub(super) fn left_behind(&self, name: &str) -> Option<Slot> {
        self.lock(name, OFlag::O_RDWR).ok().flatten()
    }

    /// A new file; none if one of this name is there.
    ///
    /// # Errors
    /// Why it cannot be made.
    pub(super) fn new_slot(&self, name: &str) -> Result<Option<Slot>, String> {
        self.lock(name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    fn lock(&self, name: &str, how: OFlag) -> Result<Option<Slot>, String> {
        let flags = how | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&self.file, name, flags, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(file) => File::from(file),
            Err(Errno::EEXIST) => return Ok(None),
            Err(error) => return Err(self.fail(name, &error.into())),
        };
        // Another process may have been quicker to lock a file that this one has made.
        if file.try_lock().is_err() {
            return Ok(None);
        }
        let (Ok(meta), Ok(named)) =
            (file.metadata(), fstatat(&self.file, name, AtFlags::AT_SYMLINK_NOFOLLOW))
        else {
            return Ok(None);
        };
        let ours = meta.uid() == nix::unistd::geteuid().as_raw() && meta.mode() & 0o077 == 0;
        let still_named = (meta.dev(), meta.ino()) == (named.st_dev, named.st_ino);
        if !meta.is_file() || !ours || !still_named {
            return Ok(None);
        }
        let dir = self.file.try_clone().map_err(|error| self.fail(name, &error))?;
        Ok(Some(Slot { file, dir, name: name.to_owned(), path: self.path.join(name) }))
    }

    fn fail(&self, name: &str, error: &io::Error) -> String {
        format!("{}: {}", self.path.join(name).display(), reason(error))
    }
}

/// One file, locked by this process.
#[derive(Debug)]
pub(super) struct Slot {
    file: File,
    dir: File,
    name: String,
    path: PathBuf,
}

impl Slot {
    /// What it holds; none if that is nothing of ours.
    pub(super) fn read(&mut self) -> Option<String> {
        let mut text = String::new();
        (&self.file).take(MAX_FILE).read_to_string(&mut text).ok().map(|_| text)
    }

    /// Writes a new file in one go. One that was cut short lacks its end, and is not believed.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub(super) fn write(&mut self, text: &str) -> Result<(), String> {
        self.file
            .write_all(text.as_bytes())
            .map_err(|error| format!("{}: {}", self.path.display(), reason(&error)))
    }

    /// Its name.
    #[cfg(test)]
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Removes the file, and lets its lock go.
    pub(super) fn remove(self) {
        // One that cannot be removed is too old before long.
        let _ = unlinkat(&self.dir, self.name.as_str(), UnlinkatFlags::NoRemoveDir);
    }
}
