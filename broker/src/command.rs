//! The only place from which the broker runs another program and waits for it.
//!
//! Absolute path, empty environment, own process group, own deadline, bounded output, no shell.
//! A child that does not end is killed and left: one in D state cannot be waited for.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Most bytes that are read of a program's standard output, and of its standard error, as a rule.
const OUTPUT_CAP: usize = 1 << 20;
/// The search path of the programs that the toolstack itself calls (hotplug scripts).
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a program said before it ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Finished {
    /// How it ended, in words.
    #[must_use]
    pub fn ending(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("killed by signal {signal}"),
            (None, None) => "no exit code".to_owned(),
        }
    }

    /// The last line of its standard error that says something, for a record.
    #[must_use]
    pub fn last_words(&self) -> &str {
        self.stderr
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("no message")
    }
}

/// Why a program's answer is not to be had. `line` is the command as a person would type it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("{line}: could not be started: {source}")]
    Start {
        /// The command.
        line: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// It did not end in time and was killed.
    #[error("{line}: no answer within {} s, killed", limit.as_secs_f64().ceil())]
    TimedOut {
        /// The command.
        line: String,
        /// Its time limit.
        limit: Duration,
    },
    /// It said more than anybody asked.
    #[error("{line}: more than {cap} bytes of output, killed")]
    TooMuch {
        /// The command.
        line: String,
        /// How much was wanted at most.
        cap: usize,
    },
    /// Its output could not be read.
    #[error("{line}: its output could not be read: {source}")]
    Read {
        /// The command.
        line: String,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// Its output is no text.
    #[error("{line}: its output is not UTF-8")]
    NotText {
        /// The command.
        line: String,
    },
}

/// Runs `program` with `args` and waits for its end, at most for `limit`.
///
/// # Errors
/// See [`CommandError`]; a program that ends with an exit code other than 0 is no error here.
pub fn run(program: &Path, args: &[&str], limit: Duration) -> Result<Finished, CommandError> {
    run_for(OUTPUT_CAP, program, args, limit)
}

/// The same for a program that may say up to `cap` bytes.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_for(
    cap: usize,
    program: &Path,
    args: &[&str],
    limit: Duration,
) -> Result<Finished, CommandError> {
    let line = describe(program, args);
    let deadline = Instant::now().checked_add(limit).unwrap_or_else(Instant::now);
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| CommandError::Start { line: line.clone(), source })?;
    let answer = collect(&mut child, cap, deadline);
    if !matches!(answer, Ok((Some(_), _, _))) {
        kill_group(&mut child);
    }
    match answer {
        Ok((Some(status), stdout, stderr)) if stdout.len().max(stderr.len()) <= cap => {
            match (String::from_utf8(stdout), String::from_utf8(stderr)) {
                (Ok(stdout), Ok(stderr)) => Ok(Finished { status, stdout, stderr }),
                (Err(_), _) | (_, Err(_)) => Err(CommandError::NotText { line }),
            }
        }
        Ok((_, stdout, stderr)) if stdout.len().max(stderr.len()) > cap => {
            Err(CommandError::TooMuch { line, cap })
        }
        Ok(_) => Err(CommandError::TimedOut { line, limit }),
        Err(source) => Err(CommandError::Read { line, source }),
    }
}

/// A command as a person would type it.
#[must_use]
pub fn describe(program: &Path, args: &[&str]) -> String {
    let mut line = program.display().to_string();
    for arg in args {
        line.push(' ');
        line.push_str(arg);
    }
    line
}

/// Reads both outputs to their ends and then the exit status; no status means that time or space
/// ran out.
fn collect(
    child: &mut Child,
    cap: usize,
    deadline: Instant,
) -> std::io::Result<(Option<ExitStatus>, Vec<u8>, Vec<u8>)> {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut out_bytes, mut err_bytes) = (Vec::new(), Vec::new());
    while out.is_some() || err.is_some() {
        let Some(left) = time_left(deadline) else { return Ok((None, out_bytes, err_bytes)) };
        let (out_ready, err_ready) = wait_readable(out.as_ref(), err.as_ref(), left)?;
        read_some(&mut out, out_ready, &mut out_bytes)?;
        read_some(&mut err, err_ready, &mut err_bytes)?;
        if out_bytes.len().max(err_bytes.len()) > cap {
            return Ok((None, out_bytes, err_bytes));
        }
    }
    // Both outputs ended, so the end of the program is a matter of a moment as a rule.
    let mut pause = Duration::from_micros(100);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((Some(status), out_bytes, err_bytes));
        }
        let Some(left) = time_left(deadline) else { return Ok((None, out_bytes, err_bytes)) };
        std::thread::sleep(pause.min(left));
        pause = pause.saturating_mul(2).min(Duration::from_millis(20));
    }
}

fn time_left(deadline: Instant) -> Option<Duration> {
    deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

fn wait_readable<O: AsFd, E: AsFd>(
    out: Option<&O>,
    err: Option<&E>,
    left: Duration,
) -> std::io::Result<(bool, bool)> {
    let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2);
    fds.extend(out.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    fds.extend(err.map(|pipe| PollFd::new(pipe.as_fd(), PollFlags::POLLIN)));
    let millis = u16::try_from(left.as_millis().saturating_add(1)).unwrap_or(u16::MAX);
    match poll(&mut fds, PollTimeout::from(millis)) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let mut ready = fds.iter().map(|fd| fd.any().unwrap_or(false));
    let out_ready = out.is_some() && ready.next().unwrap_or(false);
    let err_ready = err.is_some() && ready.next().unwrap_or(false);
    Ok((out_ready, err_ready))
}

fn read_some<R: Read>(
    pipe: &mut Option<R>,
    ready: bool,
    bytes: &mut Vec<u8>,
) -> std::io::Result<()> {
    let Some(open) = pipe.as_mut().filter(|_| ready) else { return Ok(()) };
    let mut chunk = [0_u8; 8192];
    let count = open.read(&mut chunk)?;
    if count == 0 {
        *pipe = None;
    }
    bytes.extend_from_slice(chunk.get(..count).unwrap_or_default());
    Ok(())
}

/// Kills the child and whatever it started, and reaps it if it dies at once.
fn kill_group(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _already_gone = killpg(Pid::from_raw(pid), Signal::SIGKILL);
    }
    for _ in 0..50 {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<Finished, CommandError> {
        run(Path::new("/bin/sh"), &["-c", script], limit)
    }

    #[test]
    fn both_outputs_and_the_exit_code_are_kept_apart() {
        let done = sh("echo out; echo err >&2; exit 3", Duration::from_secs(5)).unwrap();
        assert_eq!((done.stdout.as_str(), done.last_words()), ("out\n", "err"));
        assert_eq!(done.ending(), "exit code 3");
    }

    #[test]
    fn a_child_sees_no_environment_of_ours() {
        let done = run(Path::new("/usr/bin/env"), &[], Duration::from_secs(5)).unwrap();
        assert_eq!(done.stdout, format!("LC_ALL=C\nPATH={PATH}\n"));
    }

    /// The broker blocks what would end it in the middle of a kill; its children must not.
    #[test]
    fn a_child_inherits_no_blocked_or_ignored_signal() {
        use nix::sys::signal::SigSet;
        let blocked = std::thread::spawn(|| {
            SigSet::all().thread_block().unwrap();
            sh("grep -E 'SigBlk|SigIgn' /proc/self/status", Duration::from_secs(5)).unwrap()
        });
        let mask = |text: &str, what: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
            // 32 and 33 are glibc's own.
            u64::from_str_radix(line.trim(), 16).unwrap() & !(3 << 31)
        };
        let child = blocked.join().unwrap().stdout;
        assert_eq!(mask(&child, "SigBlk:"), 0, "{child}");
        // What whoever runs the tests ignores (nohup does) stays so; 13, PIPE, which the runtime
        // of Rust ignores, does not.
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        assert_eq!(mask(&child, "SigIgn:"), mask(&own, "SigIgn:") & !(1 << 12), "{child}");
    }

    #[test]
    fn a_hung_child_and_its_children_are_killed_at_the_limit() {
        let begun = Instant::now();
        // A length that no other process on this machine sleeps.
        let length = 4_000_000 + std::process::id();
        let script = format!("sleep {length} & wait");
        let error = sh(&script, Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(2));
        let left = format!("pgrep -f '[s]leep {length}'");
        let left = sh(&left, Duration::from_secs(5)).unwrap();
        assert_eq!(left.stdout, "");
    }

    #[test]
    fn a_child_that_closes_its_outputs_and_hangs_is_killed_too() {
        let error = sh("exec >&- 2>&-; sleep 9", Duration::from_millis(200)).unwrap_err();
        assert!(matches!(error, CommandError::TimedOut { .. }), "{error}");
    }

    #[test]
    fn endless_output_ends_at_the_cap() {
        let error = sh("yes", Duration::from_secs(20)).unwrap_err();
        assert!(
            error.to_string().ends_with("more than 1048576 bytes of output, killed"),
            "{error}"
        );
        let say = |count: u32| {
            let script = format!("head -c {count} /dev/zero");
            run_for(3 << 20, Path::new("/bin/sh"), &["-c", &script], Duration::from_secs(20))
        };
        assert_eq!(say(3 << 20).unwrap().stdout.len(), 3 << 20);
        assert!(
            matches!(say((3 << 20) + 1), Err(CommandError::TooMuch { cap, .. }) if cap == 3 << 20)
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(Path::new("/no/such/xl"), &["list"], Duration::from_secs(1)).unwrap_err();
        assert!(error.to_string().starts_with("/no/such/xl list: could not be started"), "{error}");
    }
}
