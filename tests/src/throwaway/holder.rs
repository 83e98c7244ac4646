//! The process that holds a throwaway dom0: it makes the overlay and the cgroup, starts PID 1 in
//! namespaces of its own, and ends it all when its standard input closes. It lives in a mount
//! namespace of its own, so nothing that it mounts is ever seen on the machine; the only thing that
//! it leaves there while it runs is one cgroup.

use super::cgroup::Groups;
use super::inside;
use crate::error::{Doing, Error, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getppid};
use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// What PID 1 of a throwaway dom0 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// A few lines of ours that wait for processes.
    Plain,
    /// systemd, up to basic.target.
    Systemd,
}

/// Holds a throwaway dom0 until standard input closes. Says `ready PID` on standard output when it
/// is up, with the PID of its PID 1 as the machine sees it.
pub fn hold(init: Init) -> Result<()> {
    let base = base()?;
    let root = overlay(&base)?;
    let groups = Groups::make(&base)?;

    let (mut ready, tell) = std::io::pipe().doing("make a pipe")?;
    let holder = nix::unistd::getpid();
    unshare(CloneFlags::CLONE_NEWPID).doing("make a PID namespace")?;
    // SAFETY: this process has one thread, so the child may do whatever it could.
    match unsafe { fork() }.doing("fork")? {
        ForkResult::Child => {
            drop(ready);
            let error = match become_init(init, holder, &groups, &root, tell) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            eprintln!("throwaway: PID 1: {error}");
            std::process::exit(1);
        }
        ForkResult::Parent { child } => {
            drop(tell);
            let mut word = String::new();
            ready.read_to_string(&mut word).doing("hear from PID 1")?;
            if word == READY {
                println!("ready {child}");
                std::io::stdout().flush().doing("say ready")?;
                wait_for_the_end(child)?;
            }
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
            groups.remove();
            if word == READY { Ok(()) } else { Err(Error::new("PID 1 did not come up")) }
        }
    }
}

const READY: &str = "ready";

/// Returns when standard input has ended or PID 1 has died.
fn wait_for_the_end(init: Pid) -> Result<()> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: pidfd_open takes two numbers and returns a new descriptor or -1.
    let number = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, init.as_raw(), 0) };
    let number = i32::try_from(number).ok().filter(|number| *number >= 0);
    let number = number.ok_or_else(|| Error::new("cannot watch PID 1"))?;
    // SAFETY: the descriptor is new and nobody else's.
    let pidfd = unsafe { OwnedFd::from_raw_fd(number) };
    let stdin = std::io::stdin();
    loop {
        let mut watched = [
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
            PollFd::new(pidfd.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut watched, PollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            other => other.doing("wait for the end")?,
        };
        if watched[1].any() == Some(true) {
            return Ok(());
        }
        if watched[0].any() == Some(true) {
            let mut byte = [0; 64];
            if stdin.lock().read(&mut byte).unwrap_or(0) == 0 {
                return Ok(());
            }
        }
    }
}

/// The child's part: leave the machine's namespaces, make the root file system, be PID 1.
fn become_init(
    init: Init,
    holder: Pid,
    groups: &Groups,
    root: &Path,
    mut tell: std::io::PipeWriter,
) -> Result<std::convert::Infallible> {
    prctl::set_pdeathsig(Signal::SIGKILL).doing("be tied to the holder")?;
    // In a new PID namespace the parent is 0 while it lives outside; the pipe tells the rest.
    if getppid() != Pid::from_raw(0) && getppid() != holder {
        return Err(Error::new("the holder is gone"));
    }
    groups.join()?;
    super::limits::as_booted()?;
    let rest = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(rest).doing("make the other namespaces")?;
    inside::furnish(root, groups.layout(), init)?;
    match init {
        Init::Plain => {
            tell.write_all(READY.as_bytes()).doing("say ready")?;
            drop(tell);
            inside::reap_for_ever()
        }
        Init::Systemd => {
            tell.write_all(READY.as_bytes()).doing("say ready")?;
            drop(tell);
            inside::exec_systemd()
        }
    }
}

/// Removes what a holder leaves on the machine when it is killed itself: an empty cgroup.
pub fn sweep() -> Result<()> {
    super::cgroup::sweep(&base()?).map(drop)
}

/// A tmpfs in a mount namespace of our own, where it matters little what it hides.
fn base() -> Result<PathBuf> {
    unshare(CloneFlags::CLONE_NEWNS).doing("make a mount namespace (this needs root)")?;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).doing("make mounts private")?;
    let base = ["/mnt", "/media", "/srv", "/opt", "/tmp"]
        .into_iter()
        .map(PathBuf::from)
        .find(|dir| dir.is_dir())
        .ok_or_else(|| Error::new("none of /mnt, /media, /srv, /opt, /tmp is a directory"))?;
    mount(Some("throwaway"), &base, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .doing(format!("mount a tmpfs on {}", base.display()))?;
    Ok(base)
}

/// Lays a writable layer in memory over the machine's root file system, and over those directories
/// of it that are file systems of their own.
fn overlay(base: &Path) -> Result<PathBuf> {
    let root = base.join("m");
    lay_over(base, "root", Path::new("/"), &root)?;
    let mounts = fs::read_to_string("/proc/self/mounts").doing("read /proc/self/mounts")?;
    for dir in ["usr", "usr/local", "etc", "var", "var/lib", "opt", "root"] {
        let lower = Path::new("/").join(dir);
        let separate = mounts.lines().any(|line| line.split(' ').nth(1) == lower.to_str());
        if separate {
            lay_over(base, &dir.replace('/', "-"), &lower, &root.join(dir))?;
        }
    }
    Ok(root)
}

fn lay_over(base: &Path, name: &str, lower: &Path, target: &Path) -> Result<()> {
    let upper = base.join(format!("upper-{name}"));
    let work = base.join(format!("work-{name}"));
    for dir in [upper.as_path(), work.as_path(), target] {
        fs::create_dir_all(dir).doing(format!("make {}", dir.display()))?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.display(),
        upper.display(),
        work.display()
    );
    mount(Some("throwaway"), target, Some("overlay"), MsFlags::empty(), Some(options.as_str()))
        .doing(format!("lay an overlay over {} ({options})", lower.display()))
}
