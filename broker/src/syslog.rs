//! Syslog, as a witness that can neither block a fence nor be made to lie.
//!
//! The `syslog` crate formats; the socket is made here, because the crate's own blocks for ever
//! once eleven messages wait for a reader that does not read. A message that is not taken at once
//! is lost, and whoever sent it hears of that.

use crate::journal::{LONGEST_ANCHOR, TAG};
use crate::sys;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};
use syslog::{Facility, Formatter3164, LogFormat, Severity};

const SOCKET: &str = "/dev/log";
/// How long a reader that is alive may take for a message.
const READER_PATIENCE: Duration = Duration::from_millis(300);

/// How serious a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severe {
    /// A request was carried out.
    Notice,
    /// A request was refused, or something is to be mended.
    Warning,
    /// A granted fence failed.
    Error,
}

/// Sends one line of named fields. Whatever bytes are in `text`, it stays one line.
///
/// # Errors
/// A sentence if the line was not taken.
pub fn send(severe: Severe, text: &str) -> Result<(), String> {
    connect().and_then(|socket| send_to(&socket, severe, text))
}

/// Finds out whether anybody reads /dev/log, by this line.
///
/// # Errors
/// A sentence that says what a stuck or missing syslog means.
pub fn probe(line: &str) -> Result<(), String> {
    let socket = connect()?;
    send_to(&socket, Severe::Notice, line)?;
    let begun = Instant::now();
    while begun.elapsed() < READER_PATIENCE {
        if sys::unread_by_peer(socket.as_fd()).is_none_or(|unread| unread == 0) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Err(stuck())
}

/// Finds out whether /dev/log would take a line, without one. A reader that fell silent just now is
/// not found by that, but by whoever fills its queue.
///
/// # Errors
/// As [`probe`].
pub fn has_room() -> Result<(), String> {
    let socket = connect()?;
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    // What cannot be asked is no reason for a finding.
    if poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready == 0) {
        return Err(stuck());
    }
    Ok(())
}

fn connect() -> Result<UnixDatagram, String> {
    let made = UnixDatagram::unbound().and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.connect(SOCKET)?;
        Ok(socket)
    });
    made.map_err(|error| format!("{SOCKET} cannot be reached: {error}"))
}

fn send_to(socket: &UnixDatagram, severe: Severe, text: &str) -> Result<(), String> {
    let formatter = Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        // A local reader takes a host name for the tag.
        hostname: None,
        process: TAG.to_owned(),
        pid: std::process::id(),
    };
    let severity = match severe {
        Severe::Notice => Severity::LOG_NOTICE,
        Severe::Warning => Severity::LOG_WARNING,
        Severe::Error => Severity::LOG_ERR,
    };
    let mut line = Vec::new();
    formatter
        .format(&mut line, severity, one_line(text))
        .map_err(|error| format!("the line could not be formatted: {error}"))?;
    socket.send(&line).map(drop).map_err(|error| {
        if error.kind() == ErrorKind::WouldBlock {
            return stuck();
        }
        format!("{SOCKET} took no message: {error}")
    })
}

/// Our own lines are like that already; nothing else becomes more than one.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, ' '..='~') { c } else { '?' })
        .take(LONGEST_ANCHOR)
        .collect()
}

fn stuck() -> String {
    format!("{SOCKET} has a reader that does not read")
}
