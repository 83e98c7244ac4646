//! What disks, toolstack and tasks of a host do that they should not, and since when.

use super::World;
use crate::kernel::Fd;

/// What ails a part of a disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// Nothing.
    #[default]
    Fine,
    /// It takes no more.
    Full,
    /// It was mounted read-only.
    ReadOnly,
    /// It reports errors, now and then.
    Errs,
    /// Whoever uses it hangs.
    Hangs,
}

/// The parts of a disk that can ail by themselves.
pub const PARTS: [&str; 4] =
    ["/run/xen-fence", "/var/lib/xen-fence/journal", "/var/lib/xen-fence/holds", "/sys/fs/cgroup"];
pub const RUN: usize = 0;
pub const JOURNAL: usize = 1;
pub const HOLDS: usize = 2;

/// What ails a host.
#[derive(Clone, Default)]
pub struct Moods {
    pub disk: [Mood; 4],
    /// Where something was refused that was asked for.
    pub has_failed: [bool; 4],
    /// The toolstack did something that it should not.
    pub toolstack_failed: bool,
    /// Until when no program can be begun.
    pub no_process_until: u64,
    /// No thread can be begun: the host's limit of tasks is reached.
    pub no_tasks: bool,
}

impl World {
    /// What a call on a file fails with, if it does: an errno, or 0 if it hangs.
    pub fn disk_fault(&mut self, host: usize, path: &str, call: &str) -> Option<i32> {
        if self.calm {
            return None;
        }
        let part = PARTS.iter().position(|part| path.starts_with(part))?;
        let reads = matches!(call, "read" | "open");
        let errno = match self.hosts[host].moods.disk[part] {
            Mood::Fine => return None,
            Mood::Full if matches!(call, "create" | "write" | "mkdir") => libc::ENOSPC,
            Mood::ReadOnly if !reads && call != "fsync" => libc::EROFS,
            Mood::Errs if self.choices.once_in(6) => libc::EIO,
            Mood::Hangs if matches!(part, JOURNAL | HOLDS) && call != "read" => 0,
            Mood::Full | Mood::ReadOnly | Mood::Errs | Mood::Hangs => return None,
        };
        self.hosts[host].moods.has_failed[part] = true;
        tell!(self, "{}: {call} of {path} fails ({errno})", Self::host_name(host));
        Some(errno)
    }

    /// A broker is held up while it keeps what brokers leave for each other: they do not wait for long.
    pub fn keeps_others_waiting(&mut self, broker: usize) {
        let keeps = |fd: &Fd| matches!(fd, Fd::File { path, .. } if path.ends_with(".state-lock"));
        if self.brokers[broker].open.fds.values().any(keeps) {
            let host = self.brokers[broker].host;
            self.hosts[host].moods.has_failed[RUN] = true;
        }
    }

    /// Whether no thread can be begun there.
    pub fn lacks_threads(&self, broker: usize) -> bool {
        !self.calm && self.hosts[self.brokers[broker].host].moods.no_tasks
    }

    /// Whether this is where a broker is killed; then it is.
    pub fn kills_broker(&mut self, broker: usize, what: &str) -> bool {
        if self.crashes == 0
            || self.calm
            || self.brokers[broker].is_over()
            || !self.choices.once_in(250)
        {
            return false;
        }
        self.crashes -= 1;
        tell!(self, "{} is killed at {what}", self.name(broker));
        self.broker_is_gone(broker, true);
        true
    }
}
