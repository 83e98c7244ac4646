//! The logins of an account, as /proc shows them: which of them is without a broker for longest.
//! Whatever cannot be read is left alone.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// A process, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    pid: i32,
    name: String,
    parent: i32,
    /// In the kernel's ticks since boot.
    started: u64,
}

/// A login younger than this, in the kernel's ticks, may well be about to have a broker started.
const FRESH: u64 = 2 * TICKS;
/// What the kernel shows to programs is counted in hundredths of a second.
const TICKS: u64 = 100;

/// Ends the account's oldest connection that is logged in and has nothing running; none if there is
/// none. An agent that is turned out like this comes again.
/// One that was ended before and is still there is left alone.
pub(crate) fn end_the_idlest(proc: &Path, uid: u32, ended: &[Pid]) -> Option<Pid> {
    let uptime = fs::read_to_string(proc.join("uptime")).ok();
    let now = uptime.as_deref().and_then(ticks)?;
    let pids = fs::read_dir(proc).into_iter().flatten().flatten();
    let all: Vec<Process> = pids
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter_map(|stat| read(&stat))
        .collect();
    let is_accounts = |process: &Process| {
        if ended.contains(&Pid::from_raw(process.pid)) {
            return false;
        }
        let status = proc.join(process.pid.to_string()).join("status");
        fs::read_to_string(status).is_ok_and(|status| real_uid(&status) == Some(uid))
    };
    let idlest = Pid::from_raw(idlest(&all, now, is_accounts)?);
    // It is the account's own: the kernel lets nobody else's be ended.
    kill(idlest, Signal::SIGTERM).ok().map(|()| idlest)
}

/// Waits a moment for the end of what was ended: until then it takes up its place, and the next one
/// would be ended in vain.
pub(crate) fn wait_for(ended: Pid) {
    for _ in 0..20 {
        if kill(ended, None).is_err() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// sshd's process for a login: from OpenSSH 9.8 on it is called `sshd-session`.
fn is_login(process: &Process) -> bool {
    process.name.starts_with("sshd")
}

fn idlest(all: &[Process], now: u64, is_accounts: impl Fn(&Process) -> bool) -> Option<i32> {
    let has_child = |process: &Process| all.iter().any(|child| child.parent == process.pid);
    let is_old = |process: &Process| process.started.saturating_add(FRESH) <= now;
    let mut logins: Vec<&Process> = all
        .iter()
        .filter(|process| is_login(process) && is_old(process) && !has_child(process))
        .collect();
    logins.sort_by_key(|process| (process.started, process.pid));
    logins.into_iter().find(|process| is_accounts(process)).map(|process| process.pid)
}

/// /proc/PID/stat. The name stands in parentheses and may hold anything.
fn read(stat: &str) -> Option<Process> {
    let (before, after) = stat.rsplit_once(')')?;
    let (pid, name) = before.split_once('(')?;
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    Some(Process {
        pid: pid.trim().parse().ok()?,
        name: name.to_owned(),
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// /proc/uptime: seconds with two digits, and what does not matter here.
fn ticks(uptime: &str) -> Option<u64> {
    let (seconds, rest) = uptime.split_once('.')?;
    let hundredths = rest.split_ascii_whitespace().next()?;
    seconds.parse::<u64>().ok()?.checked_mul(TICKS)?.checked_add(hundredths.parse().ok()?)
}

fn real_uid(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, name: &str, parent: i32, started: u64) -> Process {
        Process { pid, name: name.to_owned(), parent, started }
    }

    #[test]
    fn the_oldest_login_without_a_broker_is_the_idlest() {
        let all = [
            process(10, "sshd", 1, 5),
            // The connection's own process, root's.
            process(20, "sshd", 10, 6),
            process(21, "sshd", 20, 7),
            process(22, "xen-fence-broke", 21, 8),
            process(40, "sshd", 10, 11),
            process(41, "sshd-session", 40, 12),
            process(30, "sshd", 10, 15),
            process(31, "sshd", 30, 16),
            process(50, "xen-fence-keys", 30, 3),
        ];
        let ours = |process: &Process| [21, 31, 41, 50].contains(&process.pid);
        assert_eq!(idlest(&all, 1000, ours), Some(41));
        assert_eq!(idlest(&all, 12 + FRESH - 1, ours), None, "it is fresh");
        assert_eq!(idlest(&all, 1000, |process| process.pid == 21), None, "it has a broker");
        assert_eq!(idlest(&all, 1000, |_| false), None);
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let stat = "4711 (a) b (c)) S 12 4711 4711 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1";
        assert_eq!(read(stat), Some(process(4711, "a) b (c)", 12, 987_654)));
        assert_eq!(read("4711 (sshd) S"), None);
        assert_eq!(real_uid("Name:\tsshd\nUid:\t997\t0\t0\t0\n"), Some(997));
        assert_eq!(real_uid("Name:\tsshd\n"), None);
        assert_eq!(ticks("9876.54 1234.00\n"), Some(987_654));
        assert_eq!(ticks("9876\n"), None);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(read(&own).unwrap().pid, i32::try_from(std::process::id()).unwrap());
    }
}
