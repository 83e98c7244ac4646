//! The xm toolstack, as far as the stand-in knows it. Nobody here has a living xend.

use crate::{Dom0, ask, stands_still, two_clusters};

fn with_xm() -> Dom0 {
    let dom0 = two_clusters().raise().unwrap();
    dom0.write("/etc/xen-fence/broker.toml", "toolstack = \"xm\"\n", 0o644);
    dom0
}

#[test]
fn a_running_node_is_fenced_and_started() {
    let dom0 = with_xm();
    let domid = dom0.domid("alpha", "node2");
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0).saying("on");
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("started");
    assert!(dom0.domid("alpha", "node2") > domid);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    stands_still(&dom0, "alpha", "node2");
}

/// xend restarts domains by itself: that a node is not listed does not say that it stays off.
#[test]
fn absence_is_not_off() {
    let dom0 = with_xm();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2", "--timeout", "20"]).exits(1);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(1).saying("unknown");
}

#[test]
fn a_malformed_broker_toml_refuses_everybody() {
    let dom0 = with_xm();
    dom0.write("/etc/xen-fence/broker.toml", "toolstack = \"virsh\"\n", 0o644);
    for (cluster, node) in [("alpha", "node1"), ("beta", "db1")] {
        let refused = ask(&dom0, cluster, node, &["list"]).exits(3);
        assert!(refused.says("broker.toml") && !refused.says("virsh"), "{refused}");
    }
    assert!(dom0.syslog().contains("virsh"), "{}", dom0.syslog());
}
