//! Leaving the SSH session behind, so that nothing that ends the session ends a kill: promise 3.
//!
//! sshd's child, logind with KillUserProcesses, an administrator's `systemctl stop`: each ends a
//! session by its cgroup or by signals. Nothing here is inherited by a child of the broker.

use nix::sys::signal::{SigSet, Signal};
use std::fs;
use std::path::{Path, PathBuf};

/// The broker's own group, below the root of the hierarchies that track sessions.
const OWN_GROUP: &str = "xen-fence/broker";

/// Moves this process out of the SSH session: own session, own cgroup, no signal that ends it.
///
/// # Errors
/// A sentence if no cgroup could be made; the fence goes on all the same.
pub fn leave_session() -> Result<(), String> {
    block_ends();
    // A broker that sshd started as a session's leader has a session of its own already.
    let _own_session = nix::unistd::setsid();
    enter_own_group()
}

/// Blocks, in this thread, the signals by which a terminal stops a process: one that is stopped
/// while it holds a cluster's lock forbids every fence.
pub fn block_stops() {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU] {
        signals.add(signal);
    }
    // It cannot fail for signals that exist.
    let _blocked = signals.thread_block();
}

/// Blocks, in this thread, the signals by which a session ends.
pub fn block_ends() {
    // Blocked rather than ignored: a blocked signal is not inherited through std's spawn, an
    // ignored one is. The runtime of Rust ignores PIPE already and restores it in children.
    let mut signals = SigSet::empty();
    for signal in
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGPIPE]
    {
        signals.add(signal);
    }
    // It cannot fail for signals that exist.
    let _blocked = signals.thread_block();
}

/// Puts this process into the broker's own group.
///
/// # Errors
/// As [`enter_group`].
pub fn enter_own_group() -> Result<(), String> {
    enter_group(OWN_GROUP)
}

/// Puts this process into a cgroup of this name in each hierarchy that tracks sessions, and into
/// the root group of each that only limits resources.
///
/// # Errors
/// A sentence that names the hierarchies where it did not work.
pub fn enter_group(name: &str) -> Result<(), String> {
    let groups = fs::read_to_string("/proc/self/cgroup")
        .map_err(|error| format!("/proc/self/cgroup cannot be read: {error}"))?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| format!("/proc/self/mountinfo cannot be read: {error}"))?;
    let mut failed = Vec::new();
    let mut tracked = false;
    for line in groups.lines() {
        let Some(group) = Group::parse(line) else { continue };
        let Some(mount) = group.mount(&mounts) else { continue };
        let target = if group.tracks_sessions() { mount.join(name) } else { mount.clone() };
        if !group.tracks_sessions() && group.path == "/" {
            continue;
        }
        tracked |= group.tracks_sessions();
        if let Err(error) = join(&target) {
            failed.push(format!("{}: {error}", target.display()));
        }
    }
    match (failed.is_empty(), tracked) {
        (true, true) => Ok(()),
        (true, false) => Err("no cgroup hierarchy is mounted".to_owned()),
        (false, _) => Err(failed.join("; ")),
    }
}

fn join(group: &Path) -> std::io::Result<()> {
    fs::create_dir_all(group)?;
    fs::write(group.join("cgroup.procs"), std::process::id().to_string())
}

/// One line of /proc/self/cgroup (cgroups(7)).
struct Group<'line> {
    controllers: &'line str,
    path: &'line str,
}

impl<'line> Group<'line> {
    fn parse(line: &'line str) -> Option<Self> {
        let (_hierarchy, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        Some(Self { controllers, path })
    }

    /// systemd and logind track by cgroup v2 or by the named hierarchy of v1.
    fn tracks_sessions(&self) -> bool {
        self.controllers.is_empty() || self.controllers == "name=systemd"
    }

    /// Where this hierarchy is mounted, writable or not.
    fn mount(&self, mountinfo: &str) -> Option<PathBuf> {
        mountinfo.lines().find_map(|line| {
            let (head, tail) = line.split_once(" - ")?;
            let mut tail = tail.split(' ');
            let (kind, _source, options) = (tail.next()?, tail.next()?, tail.next()?);
            let ours = if self.controllers.is_empty() {
                kind == "cgroup2"
            } else {
                let wanted = self.controllers;
                kind == "cgroup"
                    && wanted.split(',').all(|one| options.split(',').any(|option| option == one))
            };
            // Field 5 of proc_pid_mountinfo(5) is where it is mounted.
            ours.then(|| head.split(' ').nth(4).map(PathBuf::from)).flatten()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 31 0:22 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
26 31 0:23 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
27 31 0:24 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n";

    #[test]
    fn each_hierarchy_is_found_where_it_is_mounted() {
        let table = [
            ("0::/user.slice/session-3.scope", "/sys/fs/cgroup/unified", true),
            ("1:name=systemd:/user.slice", "/sys/fs/cgroup/systemd", true),
            ("4:cpu,cpuacct:/", "/sys/fs/cgroup/cpu,cpuacct", false),
        ];
        for (line, mount, tracks) in table {
            let group = Group::parse(line).unwrap();
            assert_eq!(group.mount(HYBRID), Some(PathBuf::from(mount)), "{line}");
            assert_eq!(group.tracks_sessions(), tracks, "{line}");
        }
        assert_eq!(Group::parse("5:pids:/x").unwrap().mount(HYBRID), None);
        assert!(Group::parse("garbage").is_none());
    }
}
