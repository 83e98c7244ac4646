//! The lock of a cluster: one decision, one ready and go, one kill at a time.
//!
//! Two nodes that shoot each other meet here. The lock is flock(2)'s, so it ends with its process; its
//! descriptor is closed in every child, and in a thread that a disk may hold up.

use crate::clock::{Clock, Moment};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(5);

/// A lock, or several, held until it is dropped; by default none.
#[derive(Debug, Default)]
pub struct Lock {
    held: Vec<File>,
}

impl Lock {
    /// Takes the lock at `path`, waiting until `deadline` or until `give_up` says so; none if it
    /// was not to be had.
    ///
    /// # Errors
    /// If the lock's file or its directory cannot be made.
    pub fn take(
        path: &Path,
        clock: &dyn Clock,
        deadline: Moment,
        mut give_up: impl FnMut() -> bool,
    ) -> std::io::Result<Option<Self>> {
        let file = open(path)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self { held: vec![file] })),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            if give_up() || clock.now() >= deadline {
                return Ok(None);
            }
            clock.sleep(PAUSE);
        }
    }

    /// This lock and another one, held and let go together.
    #[must_use]
    pub fn together_with(mut self, other: Self) -> Self {
        self.held.extend(other.held);
        self
    }

    /// Tries whether the lock's file can be made and opened, without taking it.
    ///
    /// # Errors
    /// If it cannot.
    pub fn probe(path: &Path) -> std::io::Result<()> {
        open(path).map(drop)
    }
}

/// Makes a directory that is root's alone, with its parents; an existing one is left as it is.
///
/// # Errors
/// If it cannot be made.
pub fn make_private_dir(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn open(path: &Path) -> std::io::Result<File> {
    if let Some(dir) = path.parent() {
        make_private_dir(dir)?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootClock;

    #[test]
    fn a_second_taker_waits_and_then_gives_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/alpha.lock");
        let take = |patience| {
            let deadline = BootClock.now().after(Duration::from_millis(patience));
            Lock::take(&path, &BootClock, deadline, || false).unwrap()
        };
        let held = take(0).unwrap();
        assert!(take(20).is_none());
        drop(held);
        // Not at once: a child that another test forks just now holds a copy until its exec(2).
        assert!(take(10_000).is_some());
    }
}
