//! Two clusters on one dom0 whose nodes lose each other at the same moment: neither touches the other.

use super::cluster::{Cluster, Member};
use super::course::follow;
use super::lacks_it;
use super::split::{apart, lan};
use crate::two_clusters;
use xen_fence_tests::measured;

#[test]
fn two_clusters_split_at_once() {
    if lacks_it("two_clusters_split_at_once") {
        return;
    }
    let dom0 = apart(two_clusters()).raise().unwrap();
    let start = |cluster, names: [&'static str; 2]| {
        let member = |name| Member { dom0: &dom0, cluster, name };
        Cluster::start(names.map(member), &format!("fence-{cluster}@xen1:2422"))
    };
    let clusters = [start("alpha", ["node1", "node2"]), start("beta", ["db1", "db2"])];
    clusters.iter().for_each(|cluster| cluster.is_whole(None));
    let before = [clusters[0].before(), clusters[1].before()];
    lan(&[&dom0], "down");
    std::thread::scope(|scope| {
        for (cluster, before) in clusters.iter().zip(&before) {
            scope.spawn(move || {
                let course = follow(cluster, before);
                let (survivor, title) = (course.survivor, cluster.title());
                measured(&format!("{survivor} alone is left of {title}: {course}"));
            });
        }
    });
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
