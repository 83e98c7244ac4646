//! One process as proc(5) shows it: what is read of it, and whether it has ended. It decides
//! nothing about what the process is.

use super::Process;
use std::fs;
use std::path::{Path, PathBuf};

/// One directory of /proc.
pub(super) struct Entry {
    /// That of a thread that goes on, where the process's first has ended.
    directory: PathBuf,
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) name: String,
    state: char,
    pub(super) started: u64,
}

pub(super) fn entries() -> std::io::Result<Vec<Entry>> {
    entries_of(Path::new("/proc"))
}

fn entries_of(proc: &Path) -> std::io::Result<Vec<Entry>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(proc)? {
        let entry = entry?;
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid else { continue };
        let directory = entry.path();
        match Entry::at(&directory, pid) {
            Some(entry) if entry.is_dead() => {}
            Some(entry) => found.push(entry),
            // What is there and cannot be read may be any process; no list is whole without it.
            None if exists(&directory)
                && Entry::at(&directory, pid).is_none()
                && exists(&directory) =>
            {
                let what = format!("{} is not readable", directory.display());
                return Err(std::io::Error::other(what));
            }
            // A process that ends while it is looked at has nothing left to write or to restart.
            None => {}
        }
    }
    Ok(found)
}

/// The directory of a process.
pub(super) fn directory(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// Whether a process or thread is there, as far as can be told.
pub(super) fn exists(directory: &Path) -> bool {
    directory.try_exists().unwrap_or(true)
}

/// The name in a `stat` of proc(5), and the fields from the third on.
fn stat(directory: &Path) -> Option<(String, String)> {
    // A process may give itself a name of any bytes.
    let stat = fs::read(directory.join("stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name stands in parentheses and may itself hold any byte, parentheses too.
    let (head, tail) = stat.rsplit_once(") ")?;
    let (_, name) = head.split_once(" (")?;
    Some((name.to_owned(), tail.to_owned()))
}

const fn has_ended(state: char) -> bool {
    matches!(state, 'Z' | 'X')
}

/// A thread of a process that has not ended, with its state: one that cannot, where there is one.
fn living_thread(process: &Path) -> Option<(PathBuf, char)> {
    let threads = match fs::read_dir(process.join("task")) {
        Ok(threads) => threads.flatten().map(|entry| entry.path()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        // Who cannot be asked has not ended.
        Err(_) => return Some((process.to_owned(), 'D')),
    };
    let states = threads.filter_map(|path| match stat(&path) {
        Some((_, fields)) => Some((fields.chars().next()?, path)),
        None => exists(&path).then_some(('D', path)),
    });
    let living = states.filter(|(state, _)| !has_ended(*state));
    living.min_by_key(|(state, _)| *state != 'D').map(|(state, path)| (path, state))
}

impl Entry {
    pub(super) fn of_pid(pid: i32) -> Option<Self> {
        Self::at(&directory(pid), pid)
    }

    /// The same as its first thread alone has it.
    pub(super) fn of_first_thread(pid: i32) -> Option<Self> {
        Self::shown(&directory(pid), pid)
    }

    fn shown(directory: &Path, pid: i32) -> Option<Self> {
        let (name, fields) = stat(directory)?;
        let mut fields = fields.split(' ');
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // The state is field 3 of proc(5), the parent 4, the start 22.
        let started = fields.nth(17)?.parse().ok()?;
        let directory = directory.to_owned();
        Some(Self { directory, pid, parent, name, state, started })
    }

    fn at(directory: &Path, pid: i32) -> Option<Self> {
        let mut entry = Self::shown(directory, pid)?;
        // What a process shows is its first thread. A killed one is a zombie while others end, and
        // one in the middle of a write ends when the write does.
        if entry.is_dead()
            && let Some((directory, state)) = living_thread(&entry.directory)
        {
            (entry.directory, entry.state) = (directory, state);
        }
        Some(entry)
    }

    pub(super) fn process(&self, what: String) -> Process {
        Process { pid: self.pid, started: self.started, what }
    }

    /// A zombie none of whose threads goes on has closed its files; its writes are done.
    pub(super) fn is_dead(&self) -> bool {
        has_ended(self.state)
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    pub(super) fn args(&self) -> Vec<String> {
        let bytes = fs::read(self.path("cmdline")).unwrap_or_default();
        bytes
            .split(|byte| *byte == 0)
            .map(|arg| String::from_utf8_lossy(arg).into_owned())
            .filter(|arg| !arg.is_empty())
            .collect()
    }

    pub(super) fn open_files(&self) -> Vec<PathBuf> {
        let Ok(fds) = fs::read_dir(self.path("fd")) else { return Vec::new() };
        fds.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// A /proc of these processes, each with its state and those of its threads.
    fn proc(processes: &[(i32, char, &[char])]) -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (pid, state, threads) in processes {
            let process = dir.path().join(pid.to_string());
            let rest = "1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 77 8 9";
            let write = |directory: &Path, state: char| {
                fs::create_dir_all(directory).unwrap();
                fs::write(directory.join("stat"), format!("{pid} (x) y) {state} {rest}")).unwrap();
            };
            write(&process, *state);
            for (tid, state) in threads.iter().enumerate() {
                write(&process.join("task").join(tid.to_string()), *state);
            }
        }
        dir
    }

    fn pids(proc: &TempDir) -> Vec<i32> {
        let mut pids: Vec<_> =
            entries_of(proc.path()).unwrap().iter().map(|entry| entry.pid).collect();
        pids.sort_unstable();
        pids
    }

    #[test]
    fn a_process_goes_on_while_one_of_its_threads_does() {
        let proc = proc(&[
            (1, 'S', &['S']),
            (2, 'Z', &['Z', 'X']),
            (3, 'Z', &['Z', 'S', 'D', 'R']),
            // Reaped while it is looked at: no threads are there any more.
            (4, 'Z', &[]),
        ]);
        assert_eq!(pids(&proc), [1, 3]);
        let third = Entry::at(&proc.path().join("3"), 3).unwrap();
        assert_eq!((third.state, third.started, &*third.name), ('D', 77, "x) y"));
        assert_eq!(third.path("fd"), proc.path().join("3/task/2/fd"));
    }

    #[test]
    fn what_cannot_be_read_has_not_ended() {
        let proc = proc(&[(1, 'S', &['S']), (2, 'Z', &[])]);
        fs::write(proc.path().join("2/task"), "no directory").unwrap();
        assert_eq!(pids(&proc), [1, 2]);
        fs::create_dir(proc.path().join("3")).unwrap();
        let error = entries_of(proc.path()).err().unwrap().to_string();
        assert!(error.ends_with("/3 is not readable"), "{error}");
    }
}
