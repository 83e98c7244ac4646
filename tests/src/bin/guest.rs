//! A guest: PID 1 of a domain of the stand-in's, that writes a counter to its disk.
//!
//! Every 20 ms one sector, "NAME SEQ UPTIME", through the backend in dom0. It catches SIGPWR
//! (power off) and SIGINT (reboot), reaps, and ends with 0 for power-off and 250 for a reboot.
//! do=poweroff, do=reboot and do=panic are what it does after twenty writes, as in
//! tests/image/guest-init; having panicked it waits for ever, but with panic=-1 it crashes. With
//! poweroff=nobody SIGPWR is caught, and nobody acts on it.

use std::ffi::CString;
use std::fs;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, execv, fork, setsid};

const REBOOT: i32 = 250;

static ASKED: AtomicI32 = AtomicI32::new(-1);

extern "C" fn asked(signal: libc::c_int) {
    ASKED.store(if signal == libc::SIGPWR { 0 } else { REBOOT }, Ordering::Relaxed);
}

fn main() {
    // What it runs is to have the dispositions that the domain was created with.
    xen_fence_tests::stand_in::restore_sigpipe();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let value = |key: &str| {
        // The last of a word counts, as on a kernel's command line.
        args.iter()
            .rev()
            .find_map(|arg| arg.strip_prefix(key)?.strip_prefix('='))
            .map(str::to_owned)
    };
    let number = |key: &str| value(key).and_then(|text| text.parse::<u64>().ok());
    for program in args.iter().filter_map(|arg| arg.strip_prefix("run=")) {
        start(program);
    }
    if args.iter().any(|arg| arg == "hang" || arg == "hang=1") {
        hang();
    }
    for signal in [Signal::SIGPWR, Signal::SIGINT] {
        let action = SigAction::new(SigHandler::Handler(asked), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler only stores to an atomic.
        let _ = unsafe { sigaction(signal, &action) };
    }
    let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = value("hostname").unwrap_or_else(|| own.trim().to_owned());
    let slot = number("slot").unwrap_or(0);
    // Whether anybody acts on a request to power off.
    let heard = value("poweroff").as_deref() != Some("nobody");
    let pace = Duration::from_millis(number("every").unwrap_or(20));
    let disk = std::env::var("XVDA_FD").ok().and_then(|fd| fd.parse::<i32>().ok());
    let (begun, mut seq) = (Instant::now(), 0_u64);
    loop {
        let lived = begun.elapsed();
        let over = |key| number(key).is_some_and(|ms| lived >= Duration::from_millis(ms));
        let asked = ASKED.load(Ordering::Relaxed);
        if asked == REBOOT || (asked == 0 && heard) {
            std::process::exit(asked);
        }
        if over("reboot-after") {
            std::process::exit(REBOOT);
        }
        if over("poweroff-after") {
            std::process::exit(0);
        }
        if over("crash-after") {
            std::process::exit(1);
        }
        reap();
        if let Some(disk) = disk {
            seq += 1;
            write(disk, heard, slot, &format!("{name} {seq} {:.2}\n", lived.as_secs_f64()));
        }
        match value("do").filter(|_| seq == 20).as_deref() {
            Some("poweroff") => std::process::exit(0),
            Some("reboot") => std::process::exit(REBOOT),
            Some("panic") if value("panic").as_deref() == Some("-1") => std::process::exit(1),
            Some("panic") => hang(),
            _ => {}
        }
        std::thread::sleep(pace);
    }
}

/// Deaf: it answers nobody who asks it to shut down.
fn hang() -> ! {
    for signal in [Signal::SIGPWR, Signal::SIGINT] {
        // SAFETY: to ignore a signal runs no code of ours.
        let _ = unsafe { nix::sys::signal::signal(signal, SigHandler::SigIgn) };
    }
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// One sector, and its answer: a write that is held up holds the guest up.
fn write(disk: i32, heard: bool, slot: u64, text: &str) {
    let mut request = slot.to_le_bytes().to_vec();
    request.extend(text.bytes());
    request.resize(8 + 512, b' ');
    if send(disk, &request, MsgFlags::MSG_NOSIGNAL).is_ok() {
        // Interrupted by a request from dom0, it is asked again: one answer a write.
        while matches!(recv(disk, &mut [0], MsgFlags::empty()), Err(nix::Error::EINTR)) {
            let asked = ASKED.load(Ordering::Relaxed);
            if asked == REBOOT || (asked == 0 && heard) {
                std::process::exit(asked);
            }
        }
    }
}

fn reap() {
    while !matches!(waitpid(None, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive) | Err(_))
    {
    }
}

fn start(program: &str) {
    let Ok(path) = CString::new(program) else { return };
    // SAFETY: single-threaded; the child only executes.
    if let Ok(ForkResult::Child) = unsafe { fork() } {
        let _ = setsid();
        let _ = execv(&path, &[&path]);
        std::process::exit(127);
    }
}
