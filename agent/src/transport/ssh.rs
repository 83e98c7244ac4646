//! SSH in non-blocking mode under one deadline: with its child, the only file that names the SSH
//! library.
//!
//! Every call is repeated until it no longer says "again", with a wait on the socket in between,
//! and nothing is ever dropped in blocking mode: the library would wait once more for each part.
//! The types make the order of things: a host key first, its judgement by the caller, then a login.

mod complaint;
mod side;

use super::sentences::{self, Stop};
use super::{Broken, Conversation};
use crate::clock::Deadline;
use crate::error::{Error, Kind};
use crate::identity::Identity;
use crate::public_key::PublicKey;
use complaint::{complaint, hear_complaints};
use libssh2_sys as codes;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ssh2::{BlockDirections, Channel, ErrorCode, KnownHostFileKind, MethodType, Session};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::linux::net::TcpStreamExt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use xen_fence_protocol::{EXEC_COMMAND, LineBuffer, Text};

/// The fast ones first; the library leaves out what it lacks, and adds strict key exchange.
const KEX: &str = "curve25519-sha256,curve25519-sha256@libssh.org,mlkem768x25519-sha256,\
    ecdh-sha2-nistp256,ecdh-sha2-nistp384,ecdh-sha2-nistp521,diffie-hellman-group16-sha512,\
    diffie-hellman-group18-sha512,diffie-hellman-group14-sha256,\
    diffie-hellman-group-exchange-sha256";
const CIPHERS: &str = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes256-gcm@openssh.com,\
    aes128-ctr,aes256-ctr,aes192-ctr";
/// How long after the deadline the socket is shut, should the library not come back by itself.
const GRACE: Duration = Duration::from_millis(500);

/// A connection whose keys are exchanged.
pub(crate) struct Ssh {
    session: Session,
    tcp: Arc<TcpStream>,
}

impl Ssh {
    /// Exchanges keys, offering these host key algorithms only. The host's key is for the caller to
    /// judge before anything else is done.
    ///
    /// # Errors
    /// [`Kind::HostKey`] if the host has no key of these types, else what broke.
    pub(crate) fn exchange_keys(
        tcp: TcpStream,
        algorithms: &str,
        deadline: Deadline,
    ) -> Result<(Self, PublicKey), Error> {
        let internal = |error: ssh2::Error| {
            Error::new(Kind::Broken, format!("the SSH library: {}", error.message()))
        };
        let session = Session::new().map_err(internal)?;
        session.set_blocking(false);
        let tcp = Arc::new(tcp);
        watch_over(&tcp, deadline);
        let mut ssh = Self { session, tcp };
        ssh.session.set_tcp_stream(Arc::clone(&ssh.tcp));
        for (method, names) in [
            (MethodType::HostKey, algorithms),
            (MethodType::Kex, KEX),
            (MethodType::CryptCs, CIPHERS),
            (MethodType::CryptSc, CIPHERS),
        ] {
            ssh.session.method_pref(method, names).map_err(internal)?;
        }
        ssh.drive(deadline, Session::handshake)
            .map_err(|stop| sentences::key_exchange(stop, algorithms))?;
        let key = ssh.session.host_key().and_then(|(blob, _)| PublicKey::of_blob(blob));
        let key = key
            .ok_or_else(|| Error::new(Kind::HostKey, "dom0 showed no host key that can be read"))?;
        Ok((ssh, key))
    }

    /// What was agreed on, for `-v`.
    pub(crate) fn methods(&self) -> String {
        [MethodType::Kex, MethodType::HostKey, MethodType::CryptCs]
            .map(|method| self.session.methods(method).unwrap_or("-").to_owned())
            .join(", ")
    }

    /// Logs in with the key.
    ///
    /// # Errors
    /// [`Kind::Login`] if dom0 does not accept it, [`Kind::Config`] if it cannot be used, else what
    /// broke.
    pub(crate) fn login(
        &mut self,
        account: &str,
        identity: &Identity,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let step = |session: &mut Session| {
            session.userauth_pubkey_memory(account, None, identity.text(), None)
        };
        self.drive(deadline, step).map_err(|stop| sentences::login(stop, account, identity))
    }

    /// Opens the session and has the broker started.
    ///
    /// # Errors
    /// What broke, or that dom0 runs nothing for us.
    pub(crate) fn open(mut self, deadline: Deadline) -> Result<Talk, Error> {
        let open = |session: &mut Session| session.channel_session();
        let mut channel = self.drive(deadline, open).map_err(sentences::session)?;
        self.drive(deadline, |_| channel.exec(EXEC_COMMAND)).map_err(sentences::session)?;
        Ok(Talk { channel, ssh: self, complaint: Vec::new() })
    }

    /// The session as one of several that nothing waits for alone.
    pub(crate) fn side(self) -> side::SshSide {
        side::SshSide::new(self)
    }

    fn drive<T>(
        &mut self,
        deadline: Deadline,
        mut step: impl FnMut(&mut Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, Stop> {
        loop {
            match step(&mut self.session) {
                Ok(value) => return Ok(value),
                Err(error) => match error.code() {
                    ErrorCode::Session(codes::LIBSSH2_ERROR_EAGAIN) => {
                        self.wait(deadline).ok_or(Stop::TimedOut)?;
                    }
                    ErrorCode::Session(code) | ErrorCode::SFTP(code) => {
                        return Err(stop(code, self.words(error.message())));
                    }
                },
            }
        }
    }

    /// The library's words, and the system's where the socket has an error.
    fn words(&self, message: &str) -> String {
        let message = Text::escaped(message).as_str().to_lowercase();
        match self.tcp.take_error() {
            Ok(Some(error)) => format!("{message}: {}", crate::secure_file::reason(&error)),
            Ok(None) | Err(_) => message,
        }
    }

    /// Waits until the socket is ready for what the library wants; none at the deadline.
    fn wait(&self, deadline: Deadline) -> Option<()> {
        // The kernel forgets this at will. Without it, its delayed ACK and the server's Nagle
        // algorithm cost 40 ms when the session is opened.
        let _ = self.tcp.set_quickack(true);
        let left = deadline.left()?;
        let flags = self.wants();
        // Rounded up, or the last millisecond would be spent in a busy loop.
        let millis = i32::try_from(left.as_millis().saturating_add(1)).unwrap_or(i32::MAX);
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
        // An interrupted wait is a short one: the caller tries again, and the deadline is looked
        // at.
        let _ = poll(&mut [PollFd::new(self.tcp.as_fd(), flags)], timeout);
        deadline.left().map(|_| ())
    }
}

impl Ssh {
    /// What the library waits for.
    fn wants(&self) -> PollFlags {
        match self.session.block_directions() {
            BlockDirections::Outbound => PollFlags::POLLOUT,
            BlockDirections::Both => PollFlags::POLLIN | PollFlags::POLLOUT,
            BlockDirections::None | BlockDirections::Inbound => PollFlags::POLLIN,
        }
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // A courtesy that must not wait; closing the socket says the rest.
        self.session.set_blocking(false);
        let _ = self.session.disconnect(None, "", None);
    }
}

/// Shuts the socket shortly after the deadline, for the case that the library is kept busy inside
/// one call by a server that never stops sending.
fn watch_over(tcp: &Arc<TcpStream>, deadline: Deadline) {
    let tcp = Arc::downgrade(tcp);
    let watch = move || {
        while let Some(left) = deadline.left() {
            thread::sleep(left);
        }
        thread::sleep(GRACE);
        if let Some(tcp) = tcp.upgrade() {
            let _ = tcp.shutdown(Shutdown::Both);
        }
    };
    // Without the thread only that case is lost.
    let _ = thread::Builder::new().name("deadline".to_owned()).spawn(watch);
}

/// How the library's words, in small letters, begin for an answer that did not come.
const WAITS: &str = "waiting for ";

/// Sorts the library's error codes by what they mean for us.
fn stop(code: i32, why: String) -> Stop {
    match code {
        codes::LIBSSH2_ERROR_KEX_FAILURE | codes::LIBSSH2_ERROR_METHOD_NONE => Stop::NoCommon(why),
        // The library says so of a connection that ends while it waits for the answer, too (userauth.c).
        codes::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED if why.starts_with(WAITS) => Stop::Lost(why),
        codes::LIBSSH2_ERROR_AUTHENTICATION_FAILED
        | codes::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED
        | codes::LIBSSH2_ERROR_CHANNEL_FAILURE
        | codes::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED => Stop::Denied(why),
        codes::LIBSSH2_ERROR_FILE
        | codes::LIBSSH2_ERROR_PUBLICKEY_PROTOCOL
        | codes::LIBSSH2_ERROR_METHOD_NOT_SUPPORTED
        | codes::LIBSSH2_ERROR_ALGO_UNSUPPORTED => Stop::Unusable(why),
        _ => Stop::Lost(why),
    }
}

/// The open session with the broker.
pub(crate) struct Talk {
    channel: Channel,
    ssh: Ssh,
    complaint: Vec<u8>,
}

impl Conversation for Talk {
    fn send(&mut self, line: &str, deadline: Deadline) -> Result<(), Broken> {
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.channel.write(rest) {
                Ok(length) => rest = rest.get(length..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.ssh.wait(deadline).ok_or(Broken::TimedOut)?;
                }
                Err(error) => return Err(Broken::Lost(self.ssh.words(&error.to_string()))),
            }
        }
        Ok(())
    }

    fn receive(&mut self, buffer: &mut LineBuffer, deadline: Deadline) -> Result<(), Broken> {
        let mut bytes = [0; 4096];
        loop {
            // Complaints first: reading them may take a reply off the socket, and a wait after that
            // would wait for what is already here.
            hear_complaints(&mut self.channel, &mut self.complaint);
            match self.channel.read(&mut bytes) {
                Ok(0) if self.channel.eof() => {
                    hear_complaints(&mut self.channel, &mut self.complaint);
                    return Err(Broken::Ended);
                }
                Ok(length @ 1..) => {
                    buffer.push(bytes.get(..length).unwrap_or_default());
                    return Ok(());
                }
                Err(error) if error.kind() != ErrorKind::WouldBlock => {
                    return Err(Broken::Lost(self.ssh.words(&error.to_string())));
                }
                Ok(0) | Err(_) => self.ssh.wait(deadline).ok_or(Broken::TimedOut)?,
            }
        }
    }

    fn complaint(&self) -> Option<Text> {
        complaint(&self.complaint)
    }
}

/// Whether a line of known_hosts, which begins with a hashed name, is about a name.
pub(crate) fn is_hash_of(line: &str, name: &str) -> bool {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let key =
        fields.next().zip(fields.next()).and_then(|(kind, text)| PublicKey::of_fields(kind, text));
    let known = Session::new().and_then(|session| session.known_hosts());
    let (Some(key), Ok(mut known)) = (key, known) else { return false };
    known.read_str(line, KnownHostFileKind::OpenSSH).is_ok()
        && matches!(known.check(name, key.blob()), ssh2::CheckResult::Match)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A login that breaks off can be tried again, one that is refused cannot.
    #[test]
    fn what_was_not_answered_was_not_refused() {
        let of = |code, why: &str| stop(code, why.to_owned());
        let unverified = codes::LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
        assert!(matches!(of(unverified, "waiting for userauth response"), Stop::Lost(_)));
        assert!(matches!(of(unverified, "waiting for publickey userauth response"), Stop::Lost(_)));
        let wrong = "username/publickey combination invalid";
        assert!(matches!(of(unverified, wrong), Stop::Denied(_)));
        assert!(matches!(of(codes::LIBSSH2_ERROR_AUTHENTICATION_FAILED, wrong), Stop::Denied(_)));
    }

    #[test]
    fn hashed_names_as_ssh_keygen_writes_them() {
        let line = "|1|f3qeBqNwwNUcAE8BAuningUZY54=|a/PxUbXe5m4jjTVEJQmA2SQDu8c= \
            ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAY60XagC6baKQZMk37vMSdLayCVqlDYZhAHzH60cfGf";
        assert!(is_hash_of(line, "[xen1]:2422"));
        assert!(!is_hash_of(line, "xen1"));
        assert!(!is_hash_of("|1|x|y ssh-ed25519 AAAA", "xen1"));
    }
}
