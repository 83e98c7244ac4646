//! Two clusters on one dom0 that lose a node each at the same moment, or whose nodes lose each other: neither touches
//! the other.

use super::cluster::{Before, Cluster, Member};
use super::course::follow;
use super::lacks_it;
use super::split::{apart, lan};
use crate::{Dom0, two_clusters};
use xen_fence_tests::measured;

/// Both clusters run on it.
fn start(dom0: &Dom0) -> [Cluster<'_>; 2] {
    let start = |cluster, names: [&'static str; 2]| {
        let member = |name| Member { dom0, cluster, name };
        Cluster::start(names.map(member), &format!("fence-{cluster}@xen1:2422"))
    };
    let clusters = [start("alpha", ["node1", "node2"]), start("beta", ["db1", "db2"])];
    clusters.iter().for_each(|cluster| cluster.is_whole(None));
    clusters
}

/// Follows the take-overs in both.
fn follow_both(clusters: &[Cluster<'_>; 2], before: &[Before; 2], what: &str) {
    std::thread::scope(|scope| {
        for (cluster, before) in clusters.iter().zip(before) {
            scope.spawn(move || {
                let course = follow(cluster, before);
                let (survivor, title) = (course.survivor, cluster.title());
                measured(&format!("{what} in both: {survivor} alone is left of {title}: {course}"));
            });
        }
    });
}

/// What happens to a node.
type Befalls = fn(Member<'_>);

/// The same befalls a node of each: its own peer has it killed, and nobody else has died.
#[test]
fn two_clusters_lose_a_node_at_once() {
    if lacks_it("two_clusters_lose_a_node_at_once") {
        return;
    }
    let dom0 = two_clusters().raise().unwrap();
    let clusters = start(&dom0);
    let cases: [(&str, usize, Befalls); 3] = [
        ("a node stands still", 0, |node| node.freeze()),
        ("a node has no network", 1, |node| node.unplug()),
        ("a node's Heartbeat is killed", 0, |node| node.kill_heartbeat()),
    ];
    for (what, victim, befalls) in cases {
        let before = clusters.each_ref().map(Cluster::before);
        clusters.iter().for_each(|cluster| befalls(cluster.members[victim]));
        follow_both(&clusters, &before, what);
        for (cluster, before) in clusters.iter().zip(&before) {
            cluster.is_whole(Some(before));
            assert_eq!(cluster.kills()[before.kills..], [cluster.members[victim].name], "{what}");
            let lives = cluster.members.map(|member| member.domid());
            assert!(lives[victim] > before.lives[victim], "{what}: {lives:?}");
            assert_eq!(lives[1 - victim], before.lives[1 - victim], "{what}");
        }
    }
}

#[test]
fn two_clusters_split_at_once() {
    if lacks_it("two_clusters_split_at_once") {
        return;
    }
    let dom0 = apart(two_clusters()).raise().unwrap();
    let clusters = start(&dom0);
    let before = clusters.each_ref().map(Cluster::before);
    lan(&[&dom0], "down");
    follow_both(&clusters, &before, "the nodes lose each other");
    let survivors = clusters.each_ref().map(|cluster| {
        let [first, second] = cluster.members;
        if cluster.kills() == [first.name] { second } else { first }
    });
    // Told to shoot across, by its own account and by the other's.
    let lives = || clusters.each_ref().map(|cluster| cluster.members.map(|member| member.domid()));
    for (cluster, other) in [(0, 1), (1, 0)] {
        let (asker, target) = (survivors[cluster], survivors[other]);
        let life = target.domid();
        for account in [asker.cluster, target.cluster] {
            let at = format!("dom0=fence-{account}@xen1:2422");
            let words = ["stonith", "-t", "external/xen-fence", &at, "-T", "reset", target.name];
            let _ = dom0.in_node(asker.cluster, asker.name).run(&words).exits(5);
        }
        assert_eq!(target.domid(), life);
    }
    lan(&[&dom0], "up");
    for (cluster, before) in clusters.iter().zip(&before) {
        let names = cluster.members.map(|member| member.name);
        cluster.is_whole(Some(before));
        assert_eq!(cluster.kills().len(), 1);
        let records = dom0.journal(cluster.title());
        let nodes = records.iter().filter(|record| record["event"] == "intent");
        for node in nodes.map(|record| record["node"].as_str().unwrap_or_default()) {
            assert!(names.contains(&node), "{records:#?}");
        }
    }
    assert!(lives().iter().flatten().all(Option::is_some));
}
