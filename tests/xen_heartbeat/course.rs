//! What dom0 noted of the nodes, line by line: what they said at their consoles, what they wrote to the
//! disk that they share, and when dom0 took that disk away from a domain. All times are its own, in ms.

use std::time::{Duration, Instant};
use xen_fence_tests::lab::Lab;

/// A lab, and what was seen in it so far.
pub(crate) struct Course {
    pub(crate) lab: Lab,
    read: usize,
    seen: Vec<Seen>,
}

struct Seen {
    at: u64,
    /// A domain by its name; by its number, if it is gone.
    whose: String,
    what: What,
}

enum What {
    Said(String),
    Wrote(Line),
    Gone,
}

/// A line of a resource.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: u64,
    /// When the look before began, which had not seen it.
    pub(crate) not_before: u64,
    pub(crate) node: String,
    number: u64,
}

impl Course {
    pub(crate) fn of(lab: Lab) -> Self {
        Self { lab, read: 0, seen: Vec::new() }
    }

    /// dom0's clock.
    #[track_caller]
    pub(crate) fn now(&self) -> u64 {
        clock(&self.lab.sh("cat /proc/uptime").exits(0).stdout)
    }

    /// Waits until this is found in what was seen.
    ///
    /// # Panics
    /// If it is not in this time.
    #[track_caller]
    pub(crate) fn wait_for<T>(
        &mut self,
        what: &str,
        time: Duration,
        find: impl Fn(&Self) -> Option<T>,
    ) -> T {
        let end = Instant::now() + time;
        loop {
            self.read_on();
            if let Some(found) = find(self) {
                return found;
            }
            assert!(Instant::now() < end, "not seen in {time:?}: {what}\n{}", self.told());
            // Each look takes time from the nodes.
            std::thread::sleep(Duration::from_secs(2));
        }
    }

    #[track_caller]
    fn read_on(&mut self) {
        let text = self.lab.course(self.read);
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole;
        let lines = text[..whole].lines();
        self.seen.extend(lines.map(|line| seen(line).unwrap_or_else(|| panic!("{line}"))));
    }

    /// When a node first said this since then.
    pub(crate) fn said(&self, node: &str, text: &str, since: u64) -> Option<u64> {
        self.spoken(node, since).find(|(_, line)| line.contains(text)).map(|(at, _)| at)
    }

    /// What a node has said since then.
    pub(crate) fn spoken(&self, node: &str, since: u64) -> impl Iterator<Item = (u64, &str)> {
        let domain = self.lab.node(node).domain.clone();
        let of_it = move |seen: &&Seen| seen.whose == domain && seen.at >= since;
        self.seen.iter().filter(of_it).filter_map(|seen| match &seen.what {
            What::Said(line) => Some((seen.at, line.as_str())),
            _ => None,
        })
    }

    /// What was written since then to the sector that is at home in a node, with the line before that.
    pub(crate) fn lines(&self, home: &str, since: u64) -> Vec<Line> {
        let domain = &self.lab.node(home).domain;
        let lines = self.seen.iter().filter_map(|seen| match &seen.what {
            What::Wrote(line) if seen.whose == *domain => Some(line.clone()),
            _ => None,
        });
        let lines: Vec<Line> = lines.collect();
        let first = lines.iter().position(|line| line.at >= since).unwrap_or(lines.len());
        lines[first.saturating_sub(1)..].to_vec()
    }

    /// When dom0 took the disk away from this domain.
    pub(crate) fn gone(&self, domid: u32) -> Option<u64> {
        let domid = domid.to_string();
        let gone = |seen: &&Seen| seen.whose == domid && matches!(seen.what, What::Gone);
        self.seen.iter().find(gone).map(|seen| seen.at)
    }

    /// The end of what all have said but Heartbeat's complaints about slowness, for who reads a failure.
    fn told(&self) -> String {
        let lines = self.seen.iter().filter_map(|seen| match &seen.what {
            What::Said(line) if !line.contains("took") && !line.contains("working on") => {
                Some(format!("{} {} {line}\n", seen.at, seen.whose))
            }
            _ => None,
        });
        let lines: Vec<String> = lines.collect();
        lines[lines.len().saturating_sub(80)..].concat()
    }
}

/// Milliseconds, from what /proc/uptime has.
pub(crate) fn clock(uptime: &str) -> u64 {
    let first = uptime.split_whitespace().next().unwrap_or_default();
    first.replace('.', "").parse::<u64>().unwrap_or_else(|_| panic!("{uptime}")) * 10
}

fn seen(line: &str) -> Option<Seen> {
    let mut words = line.splitn(4, ' ');
    let (at, whose) = (words.next()?.parse().ok()?, words.next()?.to_owned());
    let what = match words.next()? {
        "gone" => What::Gone,
        "said" => What::Said(words.next().unwrap_or_default().to_owned()),
        "wrote" => {
            let mut words = words.next()?.split(' ');
            let not_before = words.next()?.parse().ok()?;
            let (node, number) = (words.next()?.to_owned(), words.next()?.parse().ok()?);
            What::Wrote(Line { at, not_before, node, number })
        }
        _ => return None,
    };
    Some(Seen { at, whose, what })
}

/// Who wrote, one after the other. A look may have missed a line, but no count goes back within a turn.
///
/// # Panics
/// If one does.
#[track_caller]
pub(crate) fn turns(lines: &[Line]) -> Vec<&str> {
    let mut turns: Vec<&str> = Vec::new();
    for (place, line) in lines.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| &lines[place]);
        match before.filter(|before| before.node == line.node) {
            Some(before) => assert!(before.number < line.number, "{before:?}, then {line:?}"),
            None => turns.push(&line.node),
        }
    }
    turns
}

/// A line, from "AT NOT_BEFORE NODE NUMBER UPTIME".
#[cfg(test)]
pub(crate) fn line(text: &str) -> Line {
    let (at, rest) = text.split_once(' ').unwrap();
    match seen(&format!("{at} alpha-a wrote {rest}")).unwrap().what {
        What::Wrote(line) => line,
        _ => panic!("{text}"),
    }
}

#[test]
fn what_was_noted_is_read() {
    let lines = ["120 10 node1 7 3.50", "340 230 node2 1 9.00"].map(line);
    assert_eq!(turns(&lines), ["node1", "node2"]);
    assert_eq!((lines[1].at, lines[1].not_before, lines[1].number), (340, 230, 1));
    assert!(matches!(seen("350 4 gone").unwrap().what, What::Gone));
    assert!(matches!(seen("360 alpha-node2 said ").unwrap().what, What::Said(_)));
    assert_eq!(clock("340.23 1.00\n"), 340_230);
}
