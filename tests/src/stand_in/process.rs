//! Processes: forking, executing under another name, freezing, and the signal dispositions that
//! Rust's runtime would otherwise change for every child.
//!
//! Everything here is single-threaded; that is what makes `fork` without `exec` sound.

use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, dup2_stderr, dup2_stdin, dup2_stdout, execve, fork, setsid};

use super::state;

static PIPE_WAS_IGNORED: AtomicBool = AtomicBool::new(false);

/// Runs before Rust's runtime, which ignores SIGPIPE: remembers what was inherited, so that a
/// domain gets what a C program called `xl` would have handed on.
extern "C" fn remember_sigpipe() {
    // SAFETY: a null new action only reads; the old one is a plain C struct, filled in.
    let ignored = unsafe {
        let mut old: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut old);
        old.sa_sigaction == libc::SIG_IGN
    };
    PIPE_WAS_IGNORED.store(ignored, Ordering::Relaxed);
}

// SAFETY: the section holds functions of this very type, called once by the C library.
#[used]
#[unsafe(link_section = ".init_array")]
static REMEMBER: extern "C" fn() = remember_sigpipe;

/// Puts SIGPIPE back to what this process was started with.
pub fn restore_sigpipe() {
    if !PIPE_WAS_IGNORED.load(Ordering::Relaxed) {
        let action = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
        // SAFETY: no handler is installed, so nothing can run at a bad moment.
        let _ = unsafe { sigaction(Signal::SIGPIPE, &action) };
    }
}

/// What to start: a program, its arguments (the first is its name) and what it adds to the
/// environment and keeps open besides its standard streams.
pub struct Start<'a> {
    /// The file.
    pub program: PathBuf,
    /// All of argv.
    pub argv: Vec<String>,
    /// Added to the environment.
    pub env: Vec<(String, String)>,
    /// Descriptors that it inherits.
    pub keep: Vec<BorrowedFd<'a>>,
}

impl Start<'_> {
    /// Starts it as a child, in this session, with its streams on /dev/null.
    pub fn child(&self) -> Result<Pid, String> {
        let ready = self.prepare()?;
        // SAFETY: single-threaded; the child only makes system calls and executes.
        match unsafe { fork() }.map_err(|e| format!("fork: {e}"))? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => self.become_it(&ready),
        }
    }

    /// Starts it as nobody's child, in a session of its own.
    pub fn detached(&self) -> Result<(), String> {
        let ready = self.prepare()?;
        // SAFETY: single-threaded; the children only make system calls and execute.
        match unsafe { fork() }.map_err(|e| format!("fork: {e}"))? {
            ForkResult::Parent { child } => {
                waitpid(child, None).map(drop).map_err(|e| e.to_string())
            }
            ForkResult::Child => {
                // Cannot fail: a fresh child leads no process group.
                let _ = setsid();
                // SAFETY: as above.
                match unsafe { fork() } {
                    Ok(ForkResult::Child) => self.become_it(&ready),
                    _ => leave(0),
                }
            }
        }
    }

    fn prepare(&self) -> Result<(CString, Vec<CString>, Vec<CString>), String> {
        let c = |bytes: &[u8]| CString::new(bytes).map_err(|e| e.to_string());
        let program = c(self.program.as_os_str().as_bytes())?;
        let argv = self.argv.iter().map(|arg| c(arg.as_bytes())).collect::<Result<_, _>>()?;
        let env = environment(&self.env)?;
        Ok((program, argv, env))
    }

    fn become_it(&self, (program, argv, env): &(CString, Vec<CString>, Vec<CString>)) -> ! {
        null_streams();
        keep_only(&self.keep);
        let _ = execve(program, argv, env);
        leave(127)
    }
}

/// This process's environment with some variables set.
pub fn environment(added: &[(String, String)]) -> Result<Vec<CString>, String> {
    let own = std::env::vars_os().filter(|(key, _)| !added.iter().any(|(k, _)| **k == **key));
    let added = added.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
    let pair = |(mut key, value): (OsString, OsString)| {
        key.push("=");
        key.push(value);
        CString::new(key.into_vec()).map_err(|e| e.to_string())
    };
    own.chain(added).map(pair).collect()
}

/// Ends a forked child without running anything of the parent's.
pub fn leave(code: i32) -> ! {
    // SAFETY: ends this process; nothing of it is used afterwards.
    unsafe { libc::_exit(code) }
}

/// Standard streams to /dev/null.
pub fn null_streams() {
    if let Ok(null) = OpenOptions::new().read(true).write(true).open("/dev/null") {
        let _ = dup2_stdin(&null);
        let _ = dup2_stdout(&null);
        let _ = dup2_stderr(&null);
    }
}

/// Standard output and error to a file, input to /dev/null.
pub fn log_streams(log: &File) {
    if let Ok(null) = File::open("/dev/null") {
        let _ = dup2_stdin(&null);
    }
    let _ = dup2_stdout(log);
    let _ = dup2_stderr(log);
}

/// Marks all descriptors but the standard ones and these to be closed on exec.
pub fn keep_only(keep: &[BorrowedFd<'_>]) {
    // SAFETY: only sets a flag on descriptors; nothing is closed now.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int);
    }
    for fd in keep {
        let _ = fcntl(fd.as_fd(), FcntlArg::F_SETFD(FdFlag::empty()));
    }
}

/// A descriptor number that was handed down by the process that started this one.
pub fn inherited(number: &str) -> Result<std::os::fd::OwnedFd, String> {
    use std::os::fd::FromRawFd;
    let number: RawFd = number.parse().map_err(|_| format!("no descriptor: {number}"))?;
    if number < 3 || !Path::new(&format!("/proc/self/fd/{number}")).exists() {
        return Err(format!("descriptor {number} is not open"));
    }
    // SAFETY: open, as just seen, and handed to us alone: nothing else in this process owns it.
    Ok(unsafe { std::os::fd::OwnedFd::from_raw_fd(number) })
}

/// This binary under another name, so that a process shows that name as comm and exe.
pub fn alias(name: &str) -> Result<PathBuf, String> {
    let (bin, exe) = (state::root().join("bin"), "/proc/self/exe");
    let path = bin.join(name);
    let fail = |e: std::io::Error| format!("{}: {e}", path.display());
    let own = fs::metadata(exe).map_err(fail)?;
    let fresh = fs::metadata(&path).is_ok_and(|there| {
        there.len() == own.len() && there.modified().ok() >= own.modified().ok()
    });
    if !fresh {
        fs::create_dir_all(&bin).map_err(fail)?;
        let new = bin.join(format!(".{name}.{}", std::process::id()));
        let real = fs::read_link(exe).map_err(fail)?;
        fs::hard_link(real, &new).or_else(|_| fs::copy(exe, &new).map(drop)).map_err(fail)?;
        fs::rename(&new, &path).map_err(fail)?;
        // Renaming one link of a file over another leaves both names.
        let _ = fs::remove_file(&new);
    }
    Ok(path)
}

/// Signals every process of a domain, given its PID 1, until no new one turns up.
pub fn signal_domain(init: i32, signal: Signal) {
    let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let Some(own) = space(&init.to_string()) else { return };
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let before = seen.len();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Ok(pid) = name.parse::<i32>() else { continue };
            if !seen.contains(&pid) && space(&name).as_ref() == Some(&own) {
                // It may have ended meanwhile.
                let _ = kill(Pid::from_raw(pid), signal);
                seen.insert(pid);
            }
        }
        if seen.len() == before {
            return;
        }
    }
}
