//! The birth of a domain's processes: PID 1 in new PID, mount, UTS, IPC and network namespaces.
//!
//! Until the gate is opened PID 1 only waits, as a domain that has not been unpaused; what it
//! executes then is the configuration's `kernel`.

use std::ffi::CString;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::process::{Command, Stdio};

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, clone};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, execve, pipe2, sethostname, setsid};

use super::config::Config;
use super::process;

/// A PID 1 that waits at its gate.
pub struct Born {
    /// Its process id in dom0.
    pub init: Pid,
    gate: File,
    report: File,
}

/// Clones the domain's PID 1; `disks` are its ends of its disks, in the configuration's order.
pub fn bear(config: &Config, disks: &[OwnedFd]) -> Result<Born, String> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"));
    let ((gate_out, gate_in), (report_out, report_in)) = (pipe()?, pipe()?);
    let flags = CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET;
    let mut stack = vec![0; 1 << 20];
    let child = || {
        // The child's own copies would keep both pipes open for ever.
        let closed = [&gate_in, &report_out];
        for fd in closed {
            let _ = nix::unistd::close(fd.as_raw_fd());
        }
        let mut report = File::from(report_in.try_clone().unwrap_or_else(|_| process::leave(1)));
        let mut gate = File::from(gate_out.try_clone().unwrap_or_else(|_| process::leave(1)));
        let _ = nix::unistd::close(report_in.as_raw_fd());
        let _ = nix::unistd::close(gate_out.as_raw_fd());
        let Err(error) = live(config, disks, &mut gate, &mut report);
        let _ = report.write_all(error.as_bytes());
        process::leave(1)
    };
    // SAFETY: without CLONE_VM this is a fork; the process is single-threaded and the stack is
    // the child's own copy.
    let init = unsafe { clone(Box::new(child), &mut stack, flags, Some(libc::SIGCHLD)) };
    let init =
        init.map_err(|e| format!("cannot make a domain's namespaces: {e}; are you root?"))?;
    Ok(Born { init, gate: File::from(gate_in), report: File::from(report_out) })
}

impl Born {
    /// Lets PID 1 set its network up, and waits until it stands at the gate.
    pub fn settle(&mut self) -> Result<(), String> {
        self.open(b'n')?;
        let mut answer = [0; 1];
        match self.report.read(&mut answer) {
            Ok(1) if answer == *b"r" => Ok(()),
            _ => Err(format!("{}{}", String::from_utf8_lossy(&answer), self.rest())),
        }
    }

    /// Opens the gate; the domain's kernel runs when this is back.
    pub fn go(&mut self) -> Result<(), String> {
        self.open(b'g')?;
        let error = self.rest();
        if error.is_empty() { Ok(()) } else { Err(error) }
    }

    fn open(&mut self, step: u8) -> Result<(), String> {
        self.gate.write_all(&[step]).map_err(|e| format!("the domain's PID 1 is gone: {e}"))
    }

    fn rest(&mut self) -> String {
        let mut text = String::new();
        let _ = self.report.read_to_string(&mut text);
        text
    }
}

enum Never {}

fn live(
    config: &Config,
    disks: &[OwnedFd],
    gate: &mut File,
    report: &mut File,
) -> Result<Never, String> {
    // A domain does not outlive its hypervisor.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    let _ = setsid();
    wait(gate)?;
    let whole = None::<&str>;
    mount(whole, "/", whole, MsFlags::MS_PRIVATE | MsFlags::MS_REC, whole)
        .map_err(|e| format!("cannot make the domain's mounts private: {e}"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, whole)
        .map_err(|e| format!("cannot mount the domain's /proc: {e}"))?;
    sethostname(config.hostname()).map_err(|e| format!("cannot set the host name: {e}"))?;
    let mut lines = "link set lo up\n".to_owned();
    for (number, vif) in config.vifs.iter().enumerate() {
        if let Some(ip) = &vif.ip {
            lines += &format!("addr add {ip}/24 dev eth{number}\n");
        }
        lines += &format!("link set eth{number} up\n");
    }
    if let Some(router) = config.router() {
        lines += &format!("route add default via {router}\n");
    }
    ip(&lines)?;
    report.write_all(b"r").map_err(|e| e.to_string())?;
    wait(gate)?;
    let log = File::options()
        .append(true)
        .create(true)
        .open(format!("/var/log/xen/console/guest-{}.log", config.name));
    let console = log.or_else(|_| File::options().write(true).open("/dev/null"));
    process::log_streams(&console.map_err(|e| e.to_string())?);
    let keep: Vec<BorrowedFd<'_>> = disks.iter().map(AsFd::as_fd).collect();
    process::keep_only(&keep);
    let c = |text: &str| CString::new(text).map_err(|e| e.to_string());
    let words = config.extra.split(' ').filter(|word| !word.is_empty());
    let argv: Vec<CString> =
        std::iter::once(config.kernel.as_str()).chain(words).map(c).collect::<Result<_, _>>()?;
    let fds = config.disks.iter().zip(&keep);
    let added: Vec<_> =
        fds.map(|(disk, fd)| (disk.variable(), fd.as_raw_fd().to_string())).collect();
    let env = process::environment(&added)?;
    match execve(&c(&config.kernel)?, &argv, &env) {
        Err(e) => Err(format!("{}: {e}", config.kernel)),
        Ok(never) => match never {},
    }
}

fn wait(gate: &mut File) -> Result<(), String> {
    match gate.read(&mut [0; 1]) {
        Ok(1) => Ok(()),
        _ => Err("the domain's keeper is gone".to_owned()),
    }
}

/// Runs `ip` with a batch of lines.
pub fn ip(lines: &str) -> Result<(), String> {
    let mut child = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot run ip (package iproute2): {e}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(lines.as_bytes()).map_err(|e| format!("ip: {e}"))?;
    }
    let done = child.wait_with_output().map_err(|e| format!("ip: {e}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!("ip: {}", String::from_utf8_lossy(&done.stderr).trim()))
}
