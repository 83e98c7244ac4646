//! A client made by hand, for what no agent would do; and the brokers that serve it.

use crate::{BROKER, Dom0, WIRE, settle};
use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use xen_fence_tests::throwaway::{Process, Running};

/// Somebody with a node's key who says what he likes, when he likes.
pub(crate) struct Client {
    session: Running,
    lines: Receiver<String>,
    pub(crate) id: String,
}

impl Client {
    pub(crate) fn of(dom0: &Dom0, node: &str, id: u128) -> Self {
        let mut session = dom0.in_node("alpha", node).spawn(&WIRE);
        let stdout = session.stdout().unwrap();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self { session, lines, id: format!("{id:032x}") }
    }

    /// Says a word of the protocol, with this session's id and what follows it.
    pub(crate) fn say(&mut self, word: &str, more: &str) {
        let line = format!("xen-fence/1 {word} {}{more}\n", self.id);
        self.session.send(line.as_bytes());
    }

    /// The next line, without its version and id; nothing if none comes in this time.
    pub(crate) fn hear_within(&self, time: Duration) -> Option<String> {
        let mut line = self.lines.recv_timeout(time).ok()?;
        // That it runs, which is said before a request and without an id.
        if line.starts_with("xen-fence/1 note - ") && line.contains(" listening ") {
            line = self.lines.recv_timeout(time).ok()?;
        }
        let mut fields = line.splitn(4, ' ');
        let (version, word) = (fields.next(), fields.next());
        assert_eq!(version, Some("xen-fence/1"), "{line}");
        assert_eq!(fields.next(), Some(self.id.as_str()), "{line}");
        Some(format!("{} {}", word.unwrap_or_default(), fields.next().unwrap_or_default()))
    }

    /// The next line but notes, which has to begin with this word.
    #[track_caller]
    pub(crate) fn hears(&self, word: &str) -> String {
        loop {
            let line = self.hear_within(Duration::from_secs(20)).unwrap_or_default();
            if !line.starts_with("note ") {
                assert!(line.starts_with(word), "{word} was expected: {line:?}");
                return line;
            }
        }
    }

    /// Whether the session has ended. Lines that came before may still have to be heard.
    pub(crate) fn is_over(&mut self) -> bool {
        !self.session.is_running()
    }

    /// Asks for this, and hears that the broker is ready for it.
    #[track_caller]
    pub(crate) fn ready(dom0: &Dom0, node: &str, id: u128, what: &str) -> Self {
        let mut client = Self::of(dom0, node, id);
        client.say("request", &format!(" {what}"));
        let _ = client.hears("ready");
        client
    }
}

/// The brokers at work, the oldest first. What one of them starts has its name, too, until it is another
/// program.
pub(crate) fn brokers(dom0: &Dom0) -> Vec<Process> {
    let named: Vec<Process> =
        dom0.processes().into_iter().filter(|process| process.name == BROKER).collect();
    let pids: Vec<i32> = named.iter().map(|process| process.pid).collect();
    named.into_iter().filter(|process| !pids.contains(&process.parent)).collect()
}

/// Waits for the broker that serves after these, and gives it time to come as far as it can.
#[track_caller]
pub(crate) fn next_broker(dom0: &Dom0, before: &[Process]) -> Process {
    let mut found = None;
    settle(|| {
        found = brokers(dom0).into_iter().find(|one| before.iter().all(|old| old.pid != one.pid));
        found.is_some()
    });
    MOMENT(300);
    found.unwrap()
}

/// Waits until the toolstack's destroy is at work.
#[track_caller]
pub(crate) fn destroy_goes_on(dom0: &Dom0) {
    settle(|| dom0.on(&["pgrep", "-f", "xl destroy"]).code == 0);
}

/// Lets so many milliseconds pass.
pub(crate) const MOMENT: fn(u64) = |millis| std::thread::sleep(Duration::from_millis(millis));

/// The groups of a process in the hierarchies that systemd and logind track sessions by.
pub(crate) fn groups(dom0: &Dom0, pid: i32) -> Vec<String> {
    let all = dom0.file(&format!("/proc/{pid}/cgroup"));
    let tracks = |line: &&str| line.starts_with("0::") || line.contains(":name=systemd:");
    let found: Vec<String> = all.lines().filter(tracks).map(str::to_owned).collect();
    assert!(!found.is_empty(), "process {pid} has no cgroup\n{all}");
    found
}
