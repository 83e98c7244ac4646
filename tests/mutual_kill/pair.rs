//! The two nodes that shoot each other, and the dom0s that they run on.

use crate::delay::Delay;
use crate::within;
use std::fmt;
use std::time::Duration;
use xen_fence_tests::throwaway::{Dom0, Place as Inside};

/// Where the two nodes run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Both on one dom0.
    OneDom0,
    /// node1 on xen1, node2 on xen2.
    TwoDom0s,
}

/// The cluster's name, and those of its nodes.
const CLUSTER: &str = "alpha";
pub(crate) const NODES: [&str; 2] = ["node1", "node2"];

/// The two nodes.
pub(crate) struct Pair {
    dom0s: Vec<Dom0>,
    pub(crate) delay: Delay,
}

/// Lets every broker come to its end, but not for long by itself: the session of a node that is dead
/// would end with sshd's own limits only. sshd's listener, whose name goes on with a path, lives on.
/// Then it is long after every fence, and the delays that nobody took are told and gone.
const CALM: &str = "tries=0
while pgrep -x xen-fence-broke >/dev/null; do
    tries=$((tries + 1))
    [ $tries != 10 ] || pkill -KILL -f '^sshd(-[a-z]+)?: [^/]'
    [ $tries -lt 1500 ] || exit 1
    sleep 0.01
done
pkill -KILL -f '^sshd(-[a-z]+)?: [^/]'
rm -f /run/xen-fence/*.state
cd /run/delays && ls && rm -f -- *";

impl Pair {
    /// Raises the dom0s.
    pub(crate) fn raise(place: Place, delay: Delay) -> Self {
        let builder = delay.way(Dom0::builder().cluster(CLUSTER, &NODES));
        let dom0s = match place {
            Place::OneDom0 => vec![builder.raise().unwrap()],
            Place::TwoDom0s => {
                let (first, second) = builder.raise_two(&[(CLUSTER, NODES[1])]).unwrap();
                vec![first, second]
            }
        };
        dom0s.iter().for_each(|dom0| delay.install(dom0));
        let pair = Self { dom0s, delay };
        // One dies at once, the other as slowly as it may be on a quick host.
        pair.home(1).fault(&["fault", "slow-destroy", "100", "alpha-node2"]);
        pair
    }

    /// The dom0s.
    pub(crate) fn dom0s(&self) -> &[Dom0] {
        &self.dom0s
    }

    /// The dom0 that a node runs on.
    fn home(&self, node: usize) -> &Dom0 {
        &self.dom0s[node.min(self.dom0s.len() - 1)]
    }

    /// A running node.
    pub(crate) fn inside(&self, node: usize) -> Inside {
        self.home(node).in_node(CLUSTER, NODES[node])
    }

    /// The life that a node leads just now: PID 1 of its domain, by the stand-in's record and in the
    /// table of processes.
    pub(crate) fn life(&self, node: usize) -> Option<i32> {
        let home = self.home(node);
        let life = home.domain_init(home.node(CLUSTER, NODES[node]));
        life.filter(|life| home.process(*life).is_some_and(|process| process.state != 'Z'))
    }

    /// Waits until nobody acts any more on any dom0. Says how many delays are left; none, if it did not
    /// come to that.
    pub(crate) fn calm(&self) -> Option<usize> {
        std::thread::scope(|scope| {
            let start = |dom0| scope.spawn(move || Dom0::sh(dom0, CALM));
            let calm: Vec<_> = self.dom0s.iter().map(start).collect();
            let ends = calm.into_iter().map(|one| one.join().unwrap());
            ends.map(|end| (end.code == 0).then(|| end.stdout.lines().count())).sum()
        })
    }

    /// Has both nodes live.
    pub(crate) fn restore(&self) {
        for (node, name) in NODES.iter().enumerate() {
            if self.life(node).is_none() {
                let home = self.home(node);
                let config = home.node(CLUSTER, name).config();
                // What was killed a moment ago may still be in the listing.
                let created = || home.on(&["xl", "create", &config]).code == 0;
                assert!(within(Duration::from_secs(10), created), "{name} cannot be restored");
            }
        }
    }

    /// What the journals' last records are, for whoever looks into a bad round.
    pub(crate) fn last_records(&self) -> String {
        let records = self.dom0s.iter().flat_map(|dom0| {
            let records = dom0.journal(CLUSTER);
            let first = records.len().saturating_sub(8);
            records.into_iter().skip(first).map(move |record| format!("{}: {record}", dom0.name()))
        });
        records.collect::<Vec<_>>().join("\n")
    }

    /// How many kills are on record.
    pub(crate) fn kills(&self) -> usize {
        let killed = |dom0: &Dom0| {
            let records = dom0.journal(CLUSTER);
            records.iter().filter(|record| record["result"] == "fenced killed").count()
        };
        self.dom0s.iter().map(killed).sum()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::OneDom0 => "one dom0",
            Self::TwoDom0s => "two dom0s",
        })
    }
}
