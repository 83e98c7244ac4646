//! Lets a broker go on from one system call to the next, and kills it at a chosen one. It changes nothing
//! else of what the broker does; what the broker has started goes on without it.

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::{HashMap, HashSet};
use std::process::Command;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Instant;

/// Which system calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Calls {
    /// Those that may change something outside the broker.
    Changing,
    /// Each.
    Every,
}

/// The calls that may change something outside of who makes them. The opening of files and the end of
/// a lock are found by their arguments.
const CHANGING: &[(libc::c_long, &str)] = &[
    (libc::SYS_write, "write"),
    (libc::SYS_writev, "writev"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_sendto, "sendto"),
    (libc::SYS_sendmsg, "sendmsg"),
    (libc::SYS_connect, "connect"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, "rename"),
    (libc::SYS_renameat, "renameat"),
    (libc::SYS_renameat2, "renameat2"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, "unlink"),
    (libc::SYS_unlinkat, "unlinkat"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, "mkdir"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_clone, "clone"),
    (libc::SYS_clone3, "clone3"),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_vfork, "vfork"),
    (libc::SYS_kill, "kill"),
    (libc::SYS_tgkill, "tgkill"),
    (libc::SYS_setsid, "setsid"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_exit_group, "exit_group"),
];

/// What became of a broker.
#[derive(Debug)]
pub(super) struct Trace {
    /// How many of the calls that count it came to.
    pub(super) calls: u32,
    /// The call that it was about to make when it was killed; none if it ended by itself.
    pub(super) struck: Option<String>,
    /// When it was gone.
    pub(super) gone: Instant,
}

/// Whether this machine lets a process be traced.
///
/// # Errors
/// What the kernel says.
pub(super) fn is_allowed() -> nix::Result<()> {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let seized = ptrace::seize(pid, Options::empty());
    child.kill().unwrap();
    let _ = child.wait();
    seized
}

/// A broker that goes on call by call.
pub(super) struct Tracer(JoinHandle<Trace>);

impl Tracer {
    /// Takes hold of a process that has not read its request yet, by its number on this machine. It will be
    /// killed, with all of its threads, when it is about to make its call number `at` after that.
    pub(super) fn attach(broker: Pid, at: u32, calls: Calls) -> nix::Result<Self> {
        let (tell, told) = channel();
        // The kernel knows a tracer by its thread.
        let thread = std::thread::spawn(move || {
            let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE;
            let seized = ptrace::seize(broker, options).and_then(|()| ptrace::interrupt(broker));
            let _ = tell.send(seized);
            let mut hunt = Hunt::new(broker, at, calls);
            hunt.follow();
            Trace { calls: hunt.count, struck: hunt.struck, gone: Instant::now() }
        });
        told.recv().unwrap().map(|()| Self(thread))
    }

    /// Whether the process has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// What became of it, once it has ended.
    pub(super) fn end(self) -> Trace {
        self.0.join().unwrap()
    }
}

/// The way of one process to its end.
struct Hunt {
    broker: Pid,
    at: u32,
    calls: Calls,
    count: u32,
    struck: Option<String>,
    /// It has read its request.
    asked: bool,
    /// The call that each thread is in, and its first argument.
    inside: HashMap<Pid, (libc::c_long, u64)>,
    /// The descriptors that it has locked files by.
    locks: HashSet<u64>,
}

impl Hunt {
    fn new(broker: Pid, at: u32, calls: Calls) -> Self {
        let (inside, locks) = (HashMap::new(), HashSet::new());
        Self { broker, at, calls, count: 0, struck: None, asked: false, inside, locks }
    }

    fn follow(&mut self) {
        // This thread has no children, and nobody else's tracees are its business.
        let own = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let (thread, signal) = match waitpid(None::<Pid>, Some(own)) {
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    self.at_call(thread);
                    (thread, None)
                }
                Ok(WaitStatus::PtraceEvent(thread, ..)) => (thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => (thread, Some(signal)),
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
            // One that was killed meanwhile does not go on.
            let _ = ptrace::syscall(thread, signal);
        }
    }

    /// A thread is about to make a call, or has just made one.
    fn at_call(&mut self, thread: Pid) {
        let Ok(stop) = ptrace::syscall_info(thread) else { return };
        match stop.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: the kernel has filled in this part of the union, for the stop is an entry.
                let entry = unsafe { stop.u.entry };
                let call = libc::c_long::try_from(entry.nr).unwrap_or(-1);
                self.inside.insert(thread, (call, entry.args[0]));
                if self.asked {
                    self.begins(call, &entry.args);
                }
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: likewise, for the stop is an exit.
                let read = unsafe { stop.u.exit }.sval;
                let of_request = Some((libc::SYS_read, 0));
                self.asked |= self.inside.remove(&thread) == of_request && read > 0;
            }
            _ => {}
        }
    }

    /// Counts a call that is about to be made, and kills at the chosen one: it is not made then.
    fn begins(&mut self, call: libc::c_long, args: &[u64; 6]) {
        if call == libc::SYS_flock {
            self.locks.insert(args[0]);
        }
        let creates = u64::try_from(libc::O_CREAT | libc::O_TRUNC).unwrap();
        let changing = match call {
            libc::SYS_openat if args[2] & creates != 0 => Some("openat"),
            libc::SYS_close if self.locks.remove(&args[0]) => Some("close"),
            _ => CHANGING.iter().find(|(number, _)| *number == call).map(|(_, name)| *name),
        };
        if self.struck.is_some() || (self.calls == Calls::Changing && changing.is_none()) {
            return;
        }
        self.count += 1;
        if self.count == self.at {
            self.struck = Some(changing.map_or_else(|| format!("call {call}"), str::to_owned));
            kill(self.broker, Signal::SIGKILL).unwrap();
        }
    }
}
