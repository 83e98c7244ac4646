//! Resource limits: a throwaway dom0 starts with those of a machine that has just booted, not with
//! those of whoever runs the tests, and its commands with those of its PID 1.

use crate::error::{Doing, Error, Result};
use nix::libc;

/// Gives this process the soft limits that the kernel gives the first process where a caller is
/// likely to have changed them.
pub(crate) fn as_booted() -> Result<()> {
    for (resource, soft) in [(libc::RLIMIT_NOFILE, 1024), (libc::RLIMIT_CORE, 0)] {
        let mut limit = limit_of(0, resource)?;
        limit.rlim_cur = limit.rlim_max.min(soft);
        set(resource, &limit)?;
    }
    Ok(())
}

/// Gives this process the limits of another, as far as it may: without CAP_SYS_RESOURCE root cannot
/// raise what has been lowered for good.
pub(crate) fn as_of(pid: i32) -> Result<()> {
    let all = [
        libc::RLIMIT_AS,
        libc::RLIMIT_CORE,
        libc::RLIMIT_CPU,
        libc::RLIMIT_DATA,
        libc::RLIMIT_FSIZE,
        libc::RLIMIT_MEMLOCK,
        libc::RLIMIT_MSGQUEUE,
        libc::RLIMIT_NICE,
        libc::RLIMIT_NOFILE,
        libc::RLIMIT_NPROC,
        libc::RLIMIT_RTPRIO,
        libc::RLIMIT_SIGPENDING,
        libc::RLIMIT_STACK,
    ];
    for resource in all {
        let _ = set(resource, &limit_of(pid, resource)?);
    }
    Ok(())
}

fn limit_of(pid: i32, resource: libc::__rlimit_resource_t) -> Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: prlimit writes the one structure that it is given, and reads none.
    let result = unsafe { libc::prlimit(pid, resource, std::ptr::null(), &raw mut limit) };
    done(result).doing(format!("read limit {resource} of process {pid}"))?;
    Ok(limit)
}

fn set(resource: libc::__rlimit_resource_t, limit: &libc::rlimit) -> Result<()> {
    // SAFETY: prlimit reads the one structure that it is given, and writes none.
    let result = unsafe { libc::prlimit(0, resource, limit, std::ptr::null_mut()) };
    done(result).doing(format!("set limit {resource}"))
}

fn done(result: libc::c_int) -> Result<()> {
    if result == 0 { Ok(()) } else { Err(Error::new(std::io::Error::last_os_error().to_string())) }
}
