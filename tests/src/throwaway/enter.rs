//! Runs a command inside a throwaway dom0, or inside a domain of it: joins the namespaces, forks,
//! becomes the command, and passes its exit status and the signals it is sent.

use super::cgroup::{Layout, join};
use crate::error::{Doing, Error, Result};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, sigprocmask};
use nix::sys::stat::{fstat, stat};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The search path of commands in a throwaway dom0.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where a command is to run, and as what.
#[derive(Debug, Default)]
pub struct Entry {
    /// PID 1 of the throwaway dom0, as the machine sees it.
    pub init: i32,
    /// PID 1 of a domain, as dom0 sees it; dom0 itself otherwise.
    pub domain: Option<i32>,
    /// A directory of dom0 that this domain has as its /etc/xen-fence.
    pub etc: Option<PathBuf>,
    /// The cgroup that the command runs in, below dom0's root.
    pub cgroup: Option<String>,
    /// Leave it running, as a daemon: no terminal, no input, no output, nobody waits.
    pub detach: bool,
    /// What to run there.
    pub what: What,
}

/// What runs there.
#[derive(Debug, Default)]
pub enum What {
    /// A program with its arguments.
    Program(Vec<OsString>),
    /// A syslog that is full: /dev/log, bound and never read.
    #[default]
    MuteLog,
}

/// Joins, forks and becomes; the process that called ends with the command's exit status.
pub fn enter(entry: Entry) -> Result<()> {
    let inside = PathBuf::from(format!("/proc/{}", entry.init));
    let cgroup = entry.cgroup.as_deref().unwrap_or("console");
    let mounted = inside.join("root/sys/fs/cgroup");
    let hybrid = mounted.join("unified").is_dir();
    let layout = if hybrid { Layout::Hybrid } else { Layout::Unified };
    for root in layout.roots(&mounted) {
        // From outside: a namespace would not let a process be moved that it does not see.
        join(&root.join(cgroup))?;
    }
    super::limits::as_of(entry.init)?;
    forward_signals()?;
    join_namespaces(&inside)?;
    fork_and_follow()?;
    if let Some(domain) = entry.domain {
        let etc = entry.etc.as_deref().map(|etc| (etc, open_tree(etc)));
        join_namespaces(Path::new(&format!("/proc/{domain}")))?;
        fork_and_follow()?;
        if let Some((path, tree)) = etc {
            lay_etc(path, tree?)?;
        }
    }
    std::env::set_current_dir("/").doing("enter /")?;
    if entry.detach {
        detach()?;
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None).doing("unblock signals")?;
    match entry.what {
        What::Program(words) => become_program(&words),
        What::MuteLog => super::services::mute_log(),
    }
}

fn become_program(words: &[OsString]) -> Result<()> {
    let (program, arguments) =
        words.split_first().ok_or_else(|| Error::new("there is no command to run"))?;
    let mut command = Command::new(program);
    command.args(arguments).env("PATH", PATH).env("HOME", "/root").env("SHELL", "/bin/sh");
    let error = command.exec();
    eprintln!("throwaway: cannot run {}: {error}", program.display());
    // As a shell would say it.
    std::process::exit(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 })
}

/// Joins every namespace of the process whose directory in /proc this is, except the user's.
fn join_namespaces(process: &Path) -> Result<()> {
    // All are opened before the first is joined: /proc itself changes with the mount namespace.
    let kinds = [
        ("cgroup", CloneFlags::CLONE_NEWCGROUP),
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let mut files = Vec::new();
    for (name, kind) in kinds {
        let path = process.join("ns").join(name);
        let file = File::open(&path).doing(format!("open {}", path.display()))?;
        files.push((name, file, kind));
    }
    for (name, file, kind) in files {
        setns(file, kind).doing(format!("join the {name} namespace"))?;
    }
    Ok(())
}

const FORWARDED: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Blocks what the process that follows passes on; the command itself starts with nothing blocked.
fn forward_signals() -> Result<()> {
    let mut waited: SigSet = FORWARDED.into_iter().collect();
    waited.add(Signal::SIGCHLD);
    waited.thread_block().doing("block signals")
}

/// Forks. The child returns, inside the PID namespace that was joined before; the parent passes
/// signals on to it and ends as it ends.
fn fork_and_follow() -> Result<()> {
    // SAFETY: this process has one thread, so the child may do whatever it could.
    match unsafe { fork() }.doing("fork")? {
        ForkResult::Child => {
            prctl::set_pdeathsig(Signal::SIGKILL).doing("be tied to the process outside")
        }
        ForkResult::Parent { child } => follow(child),
    }
}

fn follow(child: Pid) -> ! {
    let mut waited: SigSet = FORWARDED.into_iter().collect();
    waited.add(Signal::SIGCHLD);
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => std::process::exit(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => std::process::exit(128 + signal as i32),
            Err(_) => std::process::exit(125),
            Ok(_) => {}
        }
        if let Ok(signal) = waited.wait()
            && signal != Signal::SIGCHLD
        {
            let _ = kill(child, signal);
        }
    }
}

/// Leaves the caller: a session of its own, no input and no output, and PID 1 as the parent.
fn detach() -> Result<()> {
    // SAFETY: this process has one thread, so the child may do whatever it could.
    if let ForkResult::Parent { .. } = unsafe { fork() }.doing("fork")? {
        std::process::exit(0);
    }
    nix::unistd::setsid().doing("start a session")?;
    let null = File::options().read(true).write(true).open("/dev/null").doing("open /dev/null")?;
    for to in 0..=2 {
        // SAFETY: dup2 over the three standard descriptors, which nothing holds as its own.
        unsafe { nix::libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), to) };
    }
    Ok(())
}

/// A copy of the mount that a directory of dom0 lies in, to be attached in another mount namespace.
fn open_tree(path: &Path) -> Result<std::os::fd::OwnedFd> {
    use std::os::fd::FromRawFd;
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::CString::new(path.as_os_str().as_bytes()).doing("name a directory")?;
    let flags = nix::libc::OPEN_TREE_CLONE | nix::libc::OPEN_TREE_CLOEXEC;
    // SAFETY: open_tree reads the NUL-terminated path and returns a new descriptor or -1.
    let number = unsafe {
        nix::libc::syscall(nix::libc::SYS_open_tree, nix::libc::AT_FDCWD, name.as_ptr(), flags)
    };
    let number = i32::try_from(number).ok().filter(|number| *number >= 0).ok_or_else(|| {
        let cause = std::io::Error::last_os_error();
        Error::new(format!("cannot open the mount at {}: {cause}", path.display()))
    })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) })
}

/// Lays a node's own directory over the /etc/xen-fence that all domains share with dom0, what else of
/// /etc it has beside that, and an empty /run over dom0's, unless this domain has them already.
fn lay_etc(path: &Path, tree: std::os::fd::OwnedFd) -> Result<()> {
    use std::os::fd::AsRawFd;
    let on = "/etc/xen-fence";
    let mine = fstat(&tree).doing(format!("look at {}", path.display()))?;
    let there = stat(on).doing(format!("look at {on}"))?;
    if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino) {
        return Ok(());
    }
    // The domain's namespace must not pass the mount back to dom0.
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, private, None::<&str>).doing("make mounts private")?;
    // SAFETY: move_mount reads two descriptors and two NUL-terminated paths.
    let result = unsafe {
        nix::libc::syscall(
            nix::libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            nix::libc::AT_FDCWD,
            c"/etc/xen-fence".as_ptr(),
            nix::libc::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    if result != 0 {
        let cause = std::io::Error::last_os_error();
        return Err(Error::new(format!("cannot lay {} over {on}: {cause}", path.display())));
    }
    for name in ["hosts", "resolv.conf"] {
        let (own, on) = (path.with_file_name(name), Path::new("/etc").join(name));
        if own.exists() {
            mount(Some(&own), &on, None::<&str>, MsFlags::MS_BIND, None::<&str>).doing(format!(
                "lay {} over {}",
                own.display(),
                on.display()
            ))?;
        }
    }
    // A machine's /run is its own and ends with it.
    mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
        .doing("give the domain a /run of its own")
}
