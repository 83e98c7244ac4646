//! One of the two clusters: its nodes, what they are when all is well, and what a cluster is that notices
//! nothing of its neighbour.

use crate::course::{Course, turns};
use serde_json::Value;
use std::time::Duration;

/// A Heartbeat cluster. Each node has a resource at home, on the disk that all share.
#[derive(Clone, Copy)]
pub(crate) struct Cluster {
    pub(crate) name: &'static str,
    pub(crate) nodes: [&'static str; 2],
}

pub(crate) const ALPHA: Cluster = Cluster { name: "alpha", nodes: ["node1", "node2"] };
pub(crate) const BETA: Cluster = Cluster { name: "beta", nodes: ["db1", "db2"] };

/// Long enough for a node that boots, finds its peer and has its resource back, on a machine that
/// translates every instruction and has other work.
pub(crate) const LONG: Duration = Duration::from_secs(400);

/// Who may not notice anything.
#[must_use]
pub(crate) struct Beside {
    cluster: Cluster,
    since: u64,
    lives: [Option<u32>; 2],
}

impl Cluster {
    pub(crate) fn peer_of(self, node: &str) -> &'static str {
        let [first, second] = self.nodes;
        if node == first { second } else { first }
    }

    /// Waits until those who have booted since then have found dom0 and their peer, and each node writes
    /// what it has at home.
    #[track_caller]
    pub(crate) fn is_whole(self, course: &mut Course, since: u64, booted: &[&str]) {
        let what = format!("{} is whole", self.name);
        course.wait_for(&what, LONG, |course| {
            let says = |node: &str, text: &str| course.said(node, text, since).is_some();
            let fences = |node: &str| {
                let checked = |line: &str| line.contains("STONITH-stat") && line.contains("code 0");
                course.spoken(node, since).any(|(_, line)| checked(line))
            };
            let has_joined = |node: &&str| {
                let peer = self.peer_of(node);
                let active = |of: &str| format!("Status update for node {of}: status active");
                fences(node) && says(node, &active(peer)) && says(peer, &active(node))
            };
            let at_home = |node: &&str| {
                let last = course.lines(node, since).pop();
                last.is_some_and(|line| line.at >= since && line.node == **node)
            };
            (booted.iter().all(has_joined) && self.nodes.iter().all(at_home)).then_some(())
        });
    }

    /// The lives of its nodes, by their domids.
    pub(crate) fn lives(self, course: &Course) -> [Option<u32>; 2] {
        self.nodes.map(|node| course.lab.domid(node))
    }

    /// The kills on record since then.
    pub(crate) fn kills(self, course: &Course, since: u64) -> Vec<Value> {
        let records = course.lab.journal_of(self.name).into_iter();
        let killed = |record: &Value| {
            record["event"] == "outcome"
                && record["result"] == "fenced killed"
                && record["up_ms"].as_u64() >= Some(since)
        };
        records.filter(killed).collect()
    }

    pub(crate) fn looks_on(self, course: &Course) -> Beside {
        Beside { cluster: self, since: course.now(), lives: self.lives(course) }
    }
}

impl Beside {
    /// Asserts that it has not noticed anything: the same lives, nobody given up, each node with what it
    /// has at home and with nothing else.
    #[track_caller]
    pub(crate) fn has_not_noticed(self, course: &Course) {
        let Self { cluster, since, lives } = self;
        assert_eq!(cluster.lives(course), lives);
        for node in cluster.nodes {
            for words in ["is dead", "Resetting node", ":eth0 dead", "resource.d/"] {
                let said = course.spoken(node, since).find(|(_, line)| line.contains(words));
                assert_eq!(said, None, "{node} has noticed something");
            }
            let lines = course.lines(node, since);
            assert_eq!(turns(&lines), [node]);
            assert!(lines.len() > 10, "{node} hardly writes: {lines:?}");
        }
        let intents = course.lab.journal_of(cluster.name).into_iter().filter(|record| {
            record["event"] == "intent" && record["up_ms"].as_u64() >= Some(since)
        });
        assert_eq!(intents.count(), 0);
    }
}
