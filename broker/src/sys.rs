//! The only unsafe code of the broker: what must happen between fork and exec, and two calls of the kernel.

#![allow(
    unsafe_code,
    reason = "pre_exec, SIOCOUTQ and close_range have no safe form; each use says why it is sound"
)]

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use nix::sys::signal::{SigHandler, SigSet, SigmaskHow, Signal, signal, sigprocmask};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Lets `command` begin as a hand-made one does: leader of a session of its own, every signal at
/// its default and none blocked, whatever sshd, sudo and the broker did to theirs.
pub(crate) fn begin_afresh(command: &mut Command) -> &mut Command {
    // SAFETY: the closure runs in the forked child and calls only setsid, sigaction and
    // sigprocmask, which are async-signal-safe (signal-safety(7)); it allocates nothing.
    unsafe {
        command.pre_exec(|| {
            // A child that is a session's leader already cannot be: it was just forked.
            nix::unistd::setsid()?;
            for number in Signal::iterator() {
                if !matches!(number, Signal::SIGKILL | Signal::SIGSTOP) {
                    signal(number, SigHandler::SigDfl)?;
                }
            }
            sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?;
            // sudo forbids its commands to dump core for good (sudoers(5)); init's own limits,
            // which a login of root has, forbid it until somebody asks (resource.h, INIT_RLIMITS).
            // A root without CAP_SYS_RESOURCE, as in a container, has to leave it.
            let _forbidden = setrlimit(Resource::RLIMIT_CORE, 0, RLIM_INFINITY);
            Ok(())
        })
    }
}

/// Gives this thread descriptors of its own, and of those that were there only the standard ones: while it
/// hangs it keeps no lock of the process, which may be killed meanwhile. Before Linux
/// 5.9 it cannot be had (close_range(2)).
pub(crate) fn keep_no_descriptors() {
    let (first, last) = (3 as nix::libc::c_uint, nix::libc::c_uint::MAX);
    // SAFETY: with CLOSE_RANGE_UNSHARE what is closed is this thread's copies alone. Nobody has given it
    // one to own: its callers hand over paths.
    unsafe {
        nix::libc::syscall(nix::libc::SYS_close_range, first, last, nix::libc::CLOSE_RANGE_UNSHARE);
    }
}

/// How many bytes sent to a socket its reader has not taken yet; none if it cannot be told.
#[must_use]
pub(crate) fn unread_by_peer(socket: BorrowedFd<'_>) -> Option<i32> {
    let mut bytes: nix::libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the same number as TIOCOUTQ) writes one int, and `bytes` is one.
    let done = unsafe { nix::libc::ioctl(socket.as_raw_fd(), nix::libc::TIOCOUTQ, &raw mut bytes) };
    (done == 0).then_some(bytes)
}
