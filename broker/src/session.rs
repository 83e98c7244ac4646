//! The conversation with one agent, over the broker's standard input and output.
//!
//! Reading has deadlines, writing never blocks for long, and an agent that is gone is a fact to
//! be told, never an error that stops a fence.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};
use xen_fence_protocol::{
    Body, ClientLine, HostName, LineBuffer, MAX_CLIENT_LINE, Note, Reply, RequestId, Version,
    WireError,
};

/// An agent that does not take a reply within this is not waited for.
const REPLY_PATIENCE: Duration = Duration::from_secs(1);

/// One agent's session.
#[derive(Debug)]
pub struct Session<'fd> {
    input: BorrowedFd<'fd>,
    output: BorrowedFd<'fd>,
    buffer: LineBuffer,
    dom0: HostName,
    id: Option<RequestId>,
    gone: bool,
    /// It takes no replies: none is tried any more. An agent that only ended its own side hears.
    deaf: bool,
}

/// What was heard of the agent.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line that is one.
    Line(ClientLine),
    /// A line that is none.
    Malformed(WireError),
    /// Nothing until the deadline.
    Silence,
    /// The end of the connection.
    Gone,
}

impl<'fd> Session<'fd> {
    /// A session over two open descriptors, which it makes non-blocking.
    #[must_use]
    pub fn new(input: BorrowedFd<'fd>, output: BorrowedFd<'fd>, dom0: HostName) -> Self {
        for fd in [input, output] {
            let flags = fcntl(fd, FcntlArg::F_GETFL).unwrap_or(0);
            let flags = OFlag::from_bits_retain(flags) | OFlag::O_NONBLOCK;
            // Without it a write waits for an agent that does not read: slower, not wrong.
            let _blocking = fcntl(fd, FcntlArg::F_SETFL(flags));
        }
        let buffer = LineBuffer::new(MAX_CLIENT_LINE);
        Self { input, output, buffer, dom0, id: None, gone: false, deaf: false }
    }

    /// From now on replies carry this id.
    pub const fn answers_to(&mut self, id: RequestId) {
        self.id = Some(id);
    }

    /// Whether the agent has closed its side or takes no more replies.
    #[must_use]
    pub const fn is_gone(&self) -> bool {
        self.gone
    }

    /// Whether the agent has left by now, which only shows to who reads; what it says instead is dropped.
    /// Does not wait.
    pub fn has_left(&mut self) -> bool {
        let _said = self.hear(Duration::ZERO);
        self.gone
    }

    /// Waits for the agent's next line, at most for `patience`.
    pub fn hear(&mut self, patience: Duration) -> Heard {
        let deadline = Instant::now().checked_add(patience);
        loop {
            match self.buffer.take_line() {
                Ok(Some(line)) => {
                    return ClientLine::decode(&line).map_or_else(Heard::Malformed, Heard::Line);
                }
                Ok(None) => {}
                Err(error) => return Heard::Malformed(error),
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if self.gone {
                return self.at_end();
            }
            if !wait(self.input, PollFlags::POLLIN, left.unwrap_or_default()) {
                return Heard::Silence;
            }
            self.read_some();
        }
    }

    /// Whether the agent has said anything that was not yet heard. Does not wait.
    pub fn has_spoken(&mut self) -> bool {
        if wait(self.input, PollFlags::POLLIN, Duration::ZERO) {
            self.read_some();
        }
        !self.buffer.rest().is_empty()
    }

    /// Sends one reply; an agent that is not there any more does not hear it.
    pub fn say(&mut self, body: Body) {
        let broker = Version::parse(env!("CARGO_PKG_VERSION"));
        let Ok(broker) = broker else { return };
        // Who has not asked hears no notes but that he may.
        let is_note = matches!(&body, Body::Note { about, .. } if *about != Note::Listening);
        if self.deaf || (is_note && self.id.is_none()) {
            return;
        }
        let reply = Reply { id: self.id, dom0: self.dom0.clone(), broker, body };
        let line = reply.to_string();
        let mut rest = line.as_bytes();
        let deadline = Instant::now().checked_add(REPLY_PATIENCE);
        while !rest.is_empty() {
            match write(self.output, rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
                    if !wait(self.output, PollFlags::POLLOUT, left.unwrap_or_default()) {
                        (self.gone, self.deaf) = (true, true);
                        return;
                    }
                }
                Err(_) => {
                    (self.gone, self.deaf) = (true, true);
                    return;
                }
            }
        }
    }

    /// What the end of the connection means for the bytes before it.
    fn at_end(&self) -> Heard {
        if self.buffer.rest().is_empty() {
            Heard::Gone
        } else {
            Heard::Malformed(WireError::Unterminated)
        }
    }

    fn read_some(&mut self) {
        let mut chunk = [0_u8; 1024];
        match read(self.input, &mut chunk) {
            Ok(0) => self.gone = true,
            Ok(count) => self.buffer.push(chunk.get(..count).unwrap_or_default()),
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(_) => self.gone = true,
        }
    }
}

/// Waits until `fd` is ready, at most for `patience`.
fn wait(fd: BorrowedFd<'_>, flags: PollFlags, patience: Duration) -> bool {
    let millis = u16::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(u16::MAX);
    let mut fds = [PollFd::new(fd.as_fd(), flags)];
    poll(&mut fds, PollTimeout::from(millis)).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use xen_fence_protocol::{Action, Request, Text};

    const ID: &str = "00000000000000000000000000c0ffee";
    const SHORT: Duration = Duration::from_millis(20);

    fn with_agent<T>(talk: impl FnOnce(&mut Session<'_>, &mut UnixStream) -> T) -> T {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut session = Session::new(ours.as_fd(), ours.as_fd(), HostName::of_kernel("xen1"));
        talk(&mut session, &mut theirs)
    }

    #[test]
    fn who_has_left_is_noticed_whatever_was_said_before() {
        with_agent(|session, agent| {
            assert!(!session.has_left());
            let line = format!("xen-fence/1 wait {ID}\n");
            agent.write_all(line.repeat(3).as_bytes()).unwrap();
            assert!((0..9).all(|_| !session.has_left()));
            agent.write_all(line.repeat(3).as_bytes()).unwrap();
            agent.shutdown(std::net::Shutdown::Write).unwrap();
            assert!((0..9).any(|_| session.has_left()));
        });
    }

    #[test]
    fn a_line_may_come_in_pieces() {
        with_agent(|session, agent| {
            agent.write_all(b"xen-fence/1 go ").unwrap();
            assert_eq!(session.hear(SHORT), Heard::Silence);
            agent.write_all(format!("{ID}\n").as_bytes()).unwrap();
            let go = ClientLine::Go(RequestId::parse(ID).unwrap());
            assert_eq!(session.hear(SHORT), Heard::Line(go));
        });
    }

    #[test]
    fn the_end_of_the_connection_is_told_from_silence_and_from_half_a_line() {
        with_agent(|session, agent| {
            assert_eq!(session.hear(SHORT), Heard::Silence);
            agent.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(session.hear(SHORT), Heard::Gone);
            assert_eq!(session.hear(SHORT), Heard::Gone);
        });
        with_agent(|session, agent| {
            agent.write_all(b"xen-fence/1 g").unwrap();
            agent.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(session.hear(SHORT), Heard::Malformed(WireError::Unterminated));
        });
    }

    #[test]
    fn a_line_that_never_ends_is_refused_at_its_cap() {
        with_agent(|session, agent| {
            agent.write_all(&[b'a'; 10_000]).unwrap();
            assert!(matches!(session.hear(SHORT), Heard::Malformed(WireError::Oversized(_))));
        });
    }

    #[test]
    fn bytes_behind_the_request_are_noticed() {
        with_agent(|session, agent| {
            let id = RequestId::parse(ID).unwrap();
            let request = ClientLine::Request(Request::new(id, Action::List, None).unwrap());
            agent.write_all(request.to_string().as_bytes()).unwrap();
            assert_eq!(session.hear(SHORT), Heard::Line(request));
            assert!(!session.has_spoken());
            agent.write_all(b"x").unwrap();
            assert!(session.has_spoken());
        });
    }

    #[test]
    fn replies_carry_the_id_and_the_host() {
        with_agent(|session, agent| {
            session.answers_to(RequestId::parse(ID).unwrap());
            session.say(Body::Done);
            let mut bytes = [0; 256];
            let count = agent.read(&mut bytes).unwrap();
            let line = String::from_utf8_lossy(&bytes[..count]).into_owned();
            assert_eq!(line, format!("xen-fence/1 done {ID} xen1 {}\n", env!("CARGO_PKG_VERSION")));
        });
    }

    #[test]
    fn who_has_not_asked_hears_no_notes() {
        with_agent(|session, agent| {
            let note = || Body::Note { about: Note::Journal, text: Text::escaped("it is lost") };
            session.say(note());
            session.say(Body::Note { about: Note::Listening, text: Text::escaped("x") });
            session.answers_to(RequestId::parse(ID).unwrap());
            session.say(note());
            let mut bytes = [0; 1024];
            let count = agent.read(&mut bytes).unwrap();
            let said = String::from_utf8_lossy(&bytes[..count]).into_owned();
            assert!(said.starts_with("xen-fence/1 note - "), "{said}");
            assert!(said.contains(&format!("xen-fence/1 note {ID} ")), "{said}");
            assert_eq!(said.lines().count(), 2, "{said}");
        });
    }

    #[test]
    fn an_agent_that_does_not_read_or_is_gone_stops_nothing() {
        with_agent(|session, _silent| {
            let begun = Instant::now();
            while !session.is_gone() && begun.elapsed() < Duration::from_secs(20) {
                session.say(Body::Done);
            }
            assert!(session.is_gone() && begun.elapsed() < Duration::from_secs(5));
        });
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut session = Session::new(ours.as_fd(), ours.as_fd(), HostName::of_kernel("xen1"));
        session.answers_to(RequestId::parse(ID).unwrap());
        session.say(Body::Done);
        assert!(session.is_gone());
    }
}
