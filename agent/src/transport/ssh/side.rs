//! A session that is opened by its first steps, and whose every step does what can be done at once.
//!
//! The library's calls are repeated, with the same arguments, until they no longer say "again"; one
//! that has begun is ended before another begins.

use super::super::sentences::{self, Stop};
use super::super::{Broken, Moved, Over, Side};
use super::complaint::{complaint, hear_complaints};
use super::{Ssh, stop};
use libssh2_sys as codes;
use nix::poll::PollFlags;
use ssh2::{Channel, ErrorCode, Session};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::TcpStreamExt;
use xen_fence_protocol::{EXEC_COMMAND, LineBuffer, Text};

/// A connection that is logged in, and the session over it.
pub(crate) struct SshSide {
    // Dropped before the connection that it is part of.
    channel: Option<Channel>,
    open: bool,
    ssh: Ssh,
    unsaid: Vec<u8>,
    complaint: Vec<u8>,
    passed_on: bool,
}

impl SshSide {
    pub(super) const fn new(ssh: Ssh) -> Self {
        Self {
            channel: None,
            open: false,
            ssh,
            unsaid: Vec::new(),
            complaint: Vec::new(),
            passed_on: false,
        }
    }

    /// Writes as much of what is to be said as goes out now.
    fn write(&mut self) -> Result<(), Over> {
        let Some(channel) = &mut self.channel else { return Ok(()) };
        while !self.unsaid.is_empty() {
            match channel.write(&self.unsaid) {
                Ok(length) => drop(self.unsaid.drain(..length.min(self.unsaid.len()))),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.lost(&error)),
            }
        }
        Ok(())
    }

    /// Opens the session and has the broker started; whether that is done.
    fn open(&mut self) -> Result<bool, Over> {
        let closed = |stop: Stop| Over::Closed(sentences::session(stop));
        if self.channel.is_none() {
            let begun = self.ssh.once(|session| session.channel_session()).map_err(closed)?;
            let Some(channel) = begun else { return Ok(false) };
            self.channel = Some(channel);
        }
        let Some(channel) = &mut self.channel else { return Ok(false) };
        let begun = self.ssh.once(|_| channel.exec(EXEC_COMMAND)).map_err(closed)?;
        self.open = begun.is_some();
        Ok(self.open)
    }

    fn lost(&self, error: &std::io::Error) -> Over {
        Over::Broken(Broken::Lost(self.ssh.words(&error.to_string())))
    }
}

impl Ssh {
    /// One step of the library; none if it has to be repeated.
    fn once<T>(
        &mut self,
        step: impl FnOnce(&mut Session) -> Result<T, ssh2::Error>,
    ) -> Result<Option<T>, Stop> {
        match step(&mut self.session) {
            Ok(value) => Ok(Some(value)),
            Err(error) => match error.code() {
                ErrorCode::Session(codes::LIBSSH2_ERROR_EAGAIN) => Ok(None),
                ErrorCode::Session(code) | ErrorCode::SFTP(code) => {
                    Err(stop(code, self.words(error.message())))
                }
            },
        }
    }
}

impl Side for SshSide {
    fn say(&mut self, line: &str) {
        self.unsaid.extend_from_slice(line.as_bytes());
    }

    fn advance(&mut self, buffer: &mut LineBuffer) -> Result<Moved, Over> {
        if !self.open {
            return Ok(if self.open()? { Moved::Opened } else { Moved::Nothing });
        }
        self.write()?;
        let Some(channel) = &mut self.channel else { return Ok(Moved::Nothing) };
        // Complaints first: reading them may take a reply off the socket, and a wait after that would
        // wait for what is already here.
        hear_complaints(channel, &mut self.complaint);
        let mut bytes = [0; 4096];
        match channel.read(&mut bytes) {
            Ok(0) if channel.eof() => {
                hear_complaints(channel, &mut self.complaint);
                Err(Over::Broken(Broken::Ended))
            }
            Ok(length @ 1..) => {
                buffer.push(bytes.get(..length).unwrap_or_default());
                Ok(Moved::Heard)
            }
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(self.lost(&error)),
            Ok(0) | Err(_) => Ok(Moved::Nothing),
        }
    }

    /// Asks for something that nobody grants. sshd answers in the order in which it is told things:
    /// when it has said no, it has given the broker what was said before.
    fn pass_on(&mut self) -> Result<bool, Over> {
        self.write()?;
        let Some(channel) = &mut self.channel else { return Ok(false) };
        if !self.unsaid.is_empty() || self.passed_on {
            return Ok(self.passed_on);
        }
        self.passed_on = match self.ssh.once(|_| channel.setenv("XEN_FENCE_HEARD", "")) {
            Ok(answered) => answered.is_some(),
            Err(Stop::Denied(_)) => true,
            Err(stop) => return Err(Over::Closed(sentences::session(stop))),
        };
        Ok(self.passed_on)
    }

    fn complaint(&self) -> Option<Text> {
        complaint(&self.complaint)
    }

    fn awaits(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        // The kernel forgets this at will; without it an answer can take 40 ms longer.
        let _ = self.ssh.tcp.set_quickack(true);
        Some((self.ssh.tcp.as_fd(), self.ssh.wants()))
    }
}
