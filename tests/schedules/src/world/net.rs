//! Connections between agents and brokers: what is said arrives in order, late perhaps, or never.

use super::{Event, World};
use libc::c_int;
use xen_fence_protocol::{ClientLine, Reply};

/// How late a line can be, in microseconds.
const LATE: [u64; 6] = [500, 30_000, 300_000, 1_200_000, 2_400_000, 6_000_000];
/// How long sshd and sudo can take to start a broker.
const SSHD: [u64; 4] = [12_000, 150_000, 3_000_000, 21_000_000];

/// One connection.
pub struct Conn {
    pub agent: usize,
    pub host: usize,
    pub broker: Option<usize>,
    /// sshd's process for it: its start is when the connection was accepted.
    pub sshd: i32,
    pub accepted: u64,
    /// When go was said into it.
    pub gos: Vec<u64>,
    /// When it arrived at the host.
    pub gos_arrived: Vec<u64>,
    inbox: Vec<u8>,
    heard: Vec<u8>,
    /// The broker's side has seen the end of what the agent says.
    is_over: bool,
    /// The agent has closed it, or it is cut: nothing arrives any more.
    pub closed: bool,
    cut: bool,
    last_up: u64,
    last_down: u64,
}

impl World {
    /// An agent connects to a host.
    pub(super) fn connects(&mut self, agent: usize, host: usize) -> usize {
        let (now, listener) = (self.now, self.hosts[host].sshd);
        let sshd = self.hosts[host].procs.begin(now, listener, "sshd", &["sshd: session"]);
        let conn = self.conns.len();
        self.conns.push(Conn {
            agent,
            host,
            broker: None,
            sshd,
            accepted: now,
            gos: Vec::new(),
            gos_arrived: Vec::new(),
            inbox: Vec::new(),
            heard: Vec::new(),
            is_over: false,
            closed: false,
            cut: false,
            last_up: now,
            last_down: now,
        });
        let takes = SSHD[self.choices.seldom(10, 4) as usize];
        self.after(takes, Event::Begin(conn));
        conn
    }

    fn lateness(&mut self) -> u64 {
        LATE[self.choices.seldom(14, 6) as usize]
    }

    /// An agent says a line, which need not be one.
    pub(super) fn sends(&mut self, conn: usize, line: &ClientLine) {
        if matches!(line, ClientLine::Go(_) | ClientLine::GoOff(_) | ClientLine::GoLater(_)) {
            let now = self.now;
            self.conns[conn].gos.push(now);
        }
        tell!(
            self,
            "{} says {}",
            self.agent_name(self.conns[conn].agent),
            line.to_string().trim_end()
        );
        self.sends_bytes(conn, Some(line.to_string().into_bytes()));
    }

    fn sends_bytes(&mut self, conn: usize, bytes: Option<Vec<u8>>) {
        let late = self.lateness();
        let arrives = (self.now + late).max(self.conns[conn].last_up);
        self.conns[conn].last_up = arrives;
        self.at(arrives, Event::Up(conn, bytes));
    }

    /// An agent closes a connection.
    pub(super) fn closes(&mut self, conn: usize) {
        if !self.conns[conn].closed {
            self.conns[conn].closed = true;
            self.sends_bytes(conn, None);
        }
    }

    /// A connection breaks; each side hears of that by itself.
    pub(super) fn cuts(&mut self, conn: usize) {
        if self.conns[conn].cut {
            return;
        }
        self.conns[conn].cut = true;
        tell!(self, "the connection of {} is cut", self.agent_name(self.conns[conn].agent));
        let (up, down) = (self.lateness(), self.lateness());
        self.after(up, Event::Up(conn, None));
        self.after(down, Event::Down(conn, None));
    }

    pub(super) fn arrives_up(&mut self, conn: usize, bytes: Option<Vec<u8>>) {
        match bytes {
            Some(bytes) if !self.conns[conn].cut => {
                if bytes.starts_with(b"xen-fence/1 go") {
                    let now = self.now;
                    self.conns[conn].gos_arrived.push(now);
                }
                self.conns[conn].inbox.extend(bytes);
            }
            Some(_) => {}
            None => self.conns[conn].is_over = true,
        }
        let Some(broker) = self.conns[conn].broker else { return };
        let open = &self.brokers[broker].open;
        if open.polls || open.waits_for.is_some() {
            self.wakes(broker, self.now);
        }
    }

    /// Whether there is something to be read of the agent, be it the end.
    pub fn has_said(&self, broker: usize) -> bool {
        let conn = &self.conns[self.brokers[broker].conn];
        !conn.inbox.is_empty() || conn.is_over
    }

    /// A broker reads what its agent said.
    pub fn hears(&mut self, broker: usize, count: usize) -> Result<Vec<u8>, c_int> {
        let conn = &mut self.conns[self.brokers[broker].conn];
        if conn.inbox.is_empty() && !conn.is_over {
            return Err(libc::EAGAIN);
        }
        let count = count.min(conn.inbox.len());
        let bytes: Vec<u8> = conn.inbox.drain(..count).collect();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if let Ok(line) = ClientLine::decode(line) {
                self.has_heard(broker, &line);
            }
        }
        Ok(bytes)
    }

    /// A broker says something to its agent.
    pub fn says(&mut self, broker: usize, bytes: &[u8]) -> Result<(), c_int> {
        let conn = self.brokers[broker].conn;
        tell!(self, "{} says {}", self.name(broker), String::from_utf8_lossy(bytes).trim_end());
        match Reply::decode(bytes) {
            Ok(reply) => self.has_said_line(broker, &reply, bytes),
            Err(_) => self.breaks("a reply is a line", &String::from_utf8_lossy(bytes)),
        }
        let late = self.lateness();
        if self.conns[conn].cut {
            return Ok(());
        }
        if self.conns[conn].closed && self.conns[conn].is_over {
            return Err(libc::EPIPE);
        }
        let arrives = (self.now + late).max(self.conns[conn].last_down);
        self.conns[conn].last_down = arrives;
        self.at(arrives, Event::Down(conn, Some(bytes.to_vec())));
        Ok(())
    }

    /// The broker's end of a connection is gone.
    pub(super) fn says_end(&mut self, conn: usize) {
        let late = self.lateness();
        let arrives = (self.now + late).max(self.conns[conn].last_down);
        self.at(arrives, Event::Down(conn, None));
    }

    pub(super) fn arrives_down(&mut self, conn: usize, bytes: Option<Vec<u8>>) {
        if self.conns[conn].closed || (self.conns[conn].cut && bytes.is_some()) {
            return;
        }
        let Some(bytes) = bytes else {
            self.conns[conn].closed = true;
            self.agent_loses(conn);
            return;
        };
        self.conns[conn].heard.extend(bytes);
        while let Some(end) = self.conns[conn].heard.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.conns[conn].heard.drain(..=end).collect();
            if let Ok(reply) = Reply::decode(&line) {
                self.agent_hears(conn, &reply.body);
            }
        }
    }
}
