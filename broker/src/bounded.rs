//! Work that a hung disk can hold up for ever, in a thread of its own, so that it holds up nothing
//! else.
//!
//! Nothing can end such a thread: it goes on, and nobody hears of what it comes to.

use crate::detach::block_ends;
use crate::sys::keep_no_descriptors;
use nix::sys::signal::SigSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};
use xen_fence_protocol::RECORD;

/// Why there is no result.
#[derive(Debug)]
pub enum Undone {
    /// No thread could be had for it.
    NoThread(std::io::Error),
    /// It took too long.
    Late(Duration),
}

impl fmt::Display for Undone {
    /// The end of a sentence that names what was to be done, as in "… was not read within 1 s".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread(error) => write!(f, "for want of a thread: {error}"),
            Self::Late(limit) => write!(f, "within {} s", limit.as_secs()),
        }
    }
}

/// Works for so long at most, with no descriptors of this process but the standard ones: `work` opens what it
/// needs, and closes it, too.
///
/// # Errors
/// [`Undone`] if there is no result by then.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Undone> {
    let (tell, told) = mpsc::channel();
    // A thread has its parent's mask. One that hangs is there long after `go`, and would be where a
    // signal that ends the session finds the broker.
    let mask = SigSet::thread_get_mask();
    block_ends();
    let begun = thread::Builder::new().spawn(move || {
        keep_no_descriptors();
        drop(tell.send(work()));
    });
    if let Ok(mask) = mask {
        // It cannot fail for a mask that was in force.
        let _restored = mask.thread_set_mask();
    }
    begun.map_err(Undone::NoThread)?;
    told.recv_timeout(limit).map_err(|_| Undone::Late(limit))
}

/// So many paths are waited for in full; where more than that hang, the next are not.
const PATIENCE: usize = 3;
/// How long the next are waited for.
const HASTE: Duration = Duration::from_millis(50);

/// After so long a path is tried again: its disk may have come back.
const AGAIN: Duration = Duration::from_secs(30);

/// Looks at what somebody else has named, which may lie on a disk that hangs. None where it does; this
/// process leaves such a path alone for a while, so that not every later look costs the time once more.
pub fn look<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> T + Send + 'static,
) -> Option<T> {
    look_again(path, AGAIN, work)
}

fn look_again<T: Send + 'static>(
    path: &Path,
    again: Duration,
    work: impl FnOnce(&Path) -> T + Send + 'static,
) -> Option<T> {
    static HUNG: Mutex<Vec<(PathBuf, Instant)>> = Mutex::new(Vec::new());
    let hung = || HUNG.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = {
        let mut hung = hung();
        hung.retain(|(_, since)| since.elapsed() < again);
        if hung.iter().any(|(one, _)| one == path) {
            return None;
        }
        if hung.len() < PATIENCE { RECORD } else { HASTE }
    };
    let own = path.to_owned();
    let done = within(limit, move || work(&own));
    if let Err(Undone::Late(_)) = done {
        hung().push((path.to_owned(), Instant::now()));
    }
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::Signal;

    #[test]
    fn a_path_that_hangs_is_tried_once() {
        assert_eq!(look(Path::new("/a"), Path::to_owned), Some(PathBuf::from("/a")));
        let begun = Instant::now();
        let hangs = || look(Path::new("/hung"), |_| thread::sleep(Duration::from_secs(60)));
        assert_eq!((hangs(), hangs(), hangs()), (None, None, None));
        assert!(begun.elapsed() < RECORD * 2, "{:?}", begun.elapsed());
        assert_eq!(look(Path::new("/b"), |_| 7), Some(7));
        // Its disk has come back.
        assert_eq!(look(Path::new("/hung"), |_| 7), None);
        assert_eq!(look_again(Path::new("/hung"), Duration::ZERO, |_| 7), Some(7));
    }

    #[test]
    fn what_hangs_is_not_waited_for() {
        assert_eq!(within(Duration::from_secs(9), || 7).unwrap(), 7);
        let late = within(Duration::from_millis(20), || thread::sleep(Duration::from_secs(5)));
        assert_eq!(late.unwrap_err().to_string(), "within 0 s");
    }

    /// A thread that hangs when its process is killed would keep the cluster's lock for as long.
    #[test]
    fn no_descriptor_of_the_process_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let _kept = std::fs::File::create(&path).unwrap();
        let leads_there = |entry: &std::fs::DirEntry| {
            std::fs::read_link(entry.path()).is_ok_and(|target| target == path)
        };
        let there = |fds: &str| std::fs::read_dir(fds).unwrap().flatten().any(|e| leads_there(&e));
        assert!(there("/proc/self/fd"));
        let fds = || {
            let fds = std::fs::read_dir("/proc/thread-self/fd").unwrap().flatten();
            fds.filter_map(|fd| std::fs::read_link(fd.path()).ok()).collect::<Vec<PathBuf>>()
        };
        let in_thread = within(Duration::from_secs(9), fds).unwrap();
        assert!(!in_thread.contains(&path), "{in_thread:?}");
        assert!(there("/proc/self/fd"), "it is the thread alone that has closed it");
    }

    #[test]
    fn no_signal_that_ends_the_session_finds_it() {
        let has = |set: SigSet| set.contains(Signal::SIGTERM) && set.contains(Signal::SIGHUP);
        let blocked = within(Duration::from_secs(9), SigSet::thread_get_mask).unwrap().unwrap();
        assert!(has(blocked));
        assert!(!has(SigSet::thread_get_mask().unwrap()), "before go they end the broker");
    }
}
