//! The real `stonith` of cluster-glue, through the installed plugin.

use crate::{Dom0, ask, settle, two_clusters};
use std::path::Path;
use std::time::Duration;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::Output;

const PLUGIN: &str = "/usr/lib/stonith/plugins/external/xen-fence";
const DOM0: &str = "dom0=fence-alpha@xen1:2422";

/// Whether cluster-glue is not here; the report says so.
fn lacks_it(case: &str) -> bool {
    let lacks = !Path::new("/usr/sbin/stonith").exists();
    if lacks {
        skipped(case, "there is no stonith here (package cluster-glue)");
    }
    lacks
}

fn stonith(dom0: &Dom0, words: &[&str]) -> Output {
    let line = [&["stonith", "-t", "external/xen-fence"], words].concat();
    dom0.in_node("alpha", "node1").run(&line)
}

#[test]
fn it_knows_the_plugin_and_its_one_parameter() {
    if lacks_it("it_knows_the_plugin_and_its_one_parameter") {
        return;
    }
    let dom0 = two_clusters().raise().unwrap();
    let listed = |dom0: &Dom0| {
        let types = dom0.in_node("alpha", "node1").run(&["stonith", "-L"]).exits(0);
        types.stdout.lines().any(|line| line.trim() == "external/xen-fence")
    };
    assert!(listed(&dom0));
    assert_eq!(stonith(&dom0, &["-n"]).exits(0).stdout.trim(), "dom0");
    let metadata = stonith(&dom0, &["-m"]).exits(0);
    dom0.write("/tmp/m.xml", &metadata.stdout, 0o644);
    let _ = dom0.on(&["xmllint", "--noout", "/tmp/m.xml"]).exits(0);
    let _ = metadata.saying("<parameter name=\"dom0\"").saying("Fence agent for clusters of Xen");
    let _ = stonith(&dom0, &["-h"]).exits(0).saying("dom0");
    // What others can write, stonith neither lists nor runs.
    let _ = dom0.on(&["chmod", "g+w", "/usr/sbin/xen-fence"]).exits(0);
    assert!(!listed(&dom0));
    assert_ne!(stonith(&dom0, &[DOM0, "-S"]).code, 0);
    let _ = dom0.on(&["chmod", "g-w", "/usr/sbin/xen-fence"]).exits(0);
    let _ = stonith(&dom0, &[DOM0, "-S"]).exits(0);
}

#[test]
fn it_asks_lists_and_fences() {
    if lacks_it("it_asks_lists_and_fences") {
        return;
    }
    let dom0 = two_clusters().raise().unwrap();
    let is_on = || dom0.domid("alpha", "node2").is_some();
    let _ = stonith(&dom0, &[DOM0, "-S"]).exits(0);
    let mut hosts: Vec<String> =
        stonith(&dom0, &[DOM0, "-l"]).exits(0).stdout.lines().map(str::to_owned).collect();
    hosts.sort();
    assert_eq!(hosts, ["node1", "node2"]);
    // As Heartbeat gives them: the last name takes the rest of the line.
    let two = "fence-alpha@xen1:2422 fence-alpha@10.77.0.254:2422";
    let _ = stonith(&dom0, &["-p", two, "-lS"]).exits(0).saying("node2");
    let first = dom0.domid("alpha", "node2");
    let reset = stonith(&dom0, &[DOM0, "-T", "reset", "Node2"]).exits(0);
    assert!(reset.took < Duration::from_secs(3), "{reset}");
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > first));
    let _ = stonith(&dom0, &[DOM0, "-T", "off", "node2"]).exits(0);
    assert!(!is_on());
    let _ = stonith(&dom0, &["-p", "fence-alpha@xen1:2422", "-T", "on", "node2"]).exits(0);
    assert!(is_on());
    let _ = stonith(&dom0, &[DOM0, "-T", "off", "node2"]).exits(0);
    assert!(!is_on());

    // A failure is 5 whatever it is, and its reason is in the log of whoever called.
    let _ = stonith(&dom0, &[DOM0, "-T", "reset", "db1"]).exits(5);
    settle(|| {
        let log = dom0.syslog();
        let of_stonith =
            |line: &&str| line.contains("external_run_cmd") && line.contains("output:");
        log.lines().filter(of_stonith).any(|line| line.contains("error: xen1 refused"))
    });
    let far = ["dom0=fence-alpha@10.77.0.99", "timeout=2"];
    let _ = stonith(&dom0, &[&far[..], &["-S"]].concat()).exits(1);
    let _ = stonith(&dom0, &[&far[..], &["-l"]].concat()).exits(255);
    let _ = stonith(&dom0, &[&far[..], &["-T", "on", "node2"]].concat()).exits(5);
    assert!(!is_on());
    assert!(dom0.domid("beta", "db1").is_some());
}

/// libstonith sleeps for a second after a plugin whose last line has a newline at its end.
#[test]
fn it_takes_no_longer_than_the_plugin_by_hand() {
    if lacks_it("it_takes_no_longer_than_the_plugin_by_hand") {
        return;
    }
    let dom0 = two_clusters().raise().unwrap();
    let node1 = dom0.in_node("alpha", "node1");
    let by_hand = || node1.run(&["env", DOM0, PLUGIN, "reset", "node2"]).exits(0).took;
    let by_stonith = || stonith(&dom0, &[DOM0, "-T", "reset", "node2"]).exits(0).took;
    let ready = || {
        crate::long_after(&dom0);
        let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    };
    let (mut hand, mut stonith) = (Duration::MAX, Duration::MAX);
    // A kill of a second and a half, beside which what else runs here does not weigh.
    dom0.fault(&["fault", "slow-destroy", "1500", "alpha-node2"]);
    for _ in 0..3 {
        ready();
        hand = hand.min(by_hand());
        ready();
        stonith = stonith.min(by_stonith());
    }
    println!("reset by hand {hand:?}, by stonith {stonith:?}");
    assert!(hand > Duration::from_millis(1500), "{hand:?}");
    assert!(stonith < hand.mul_f64(1.1), "by hand {hand:?}, by stonith {stonith:?}");
}
