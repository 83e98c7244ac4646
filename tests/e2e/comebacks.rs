//! After `fenced` nothing comes back and nothing writes, whatever was under way before, and whoever
//! has a name or a path in common with the node.

use crate::{ask, is_listing, recorded, settle, stands_still, two_clusters};
use std::time::Duration;
use xen_fence_tests::throwaway::Dom0;

fn is_gone_for_good(dom0: &Dom0, node: &str) {
    stands_still(dom0, "alpha", node);
    assert_eq!(dom0.domid("alpha", node), None, "it came back after fenced was said");
}

/// Between a reset's answer and its start lies a listing: an off in that time calls the start off.
#[test]
fn an_off_right_after_a_reset_was_answered() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["fault", "list-delay", "4000"]);
    let reset = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "reset", "node2"]);
    settle(|| recorded(&dom0, "alpha", &["outcome", "fenced killed"]) && is_listing(&dom0));
    // The listing that the reset waits for stays slow; those of the off are quick.
    dom0.fault(&["clear"]);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = reset.wait().exits(0).saying("called");
    is_gone_for_good(&dom0, "node2");
}

#[test]
fn an_off_right_after_an_on_was_begun() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    dom0.fault(&["fault", "list-delay", "4000"]);
    let on = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
    settle(|| recorded(&dom0, "alpha", &["intent", "powering on"]) && is_listing(&dom0));
    dom0.fault(&["clear"]);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(1).saying("unknown");
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = on.wait().exits(1).saying("called");
    is_gone_for_good(&dom0, "node2");
}

#[test]
fn a_node_with_dots_in_its_name() {
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2.example.org"]);
    let dom0 = builder.raise().unwrap();
    dom0.fault(&["fault", "hold-lock", "0"]);
    let reset = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "reset", "node2.example.org"]);
    settle(|| recorded(&dom0, "alpha", &["outcome", "reset", "fenced killed"]));
    // The monitor of the domain that was killed had the same arguments.
    settle(|| {
        dom0.on(&["pgrep", "-fc", "xl create /etc/xen/alpha-node2.example.org.cfg"]).code == 0
    });
    let off = ask(&dom0, "alpha", "node1", &["off", "node2.example.org"]).exits(0);
    assert!(off.took < Duration::from_secs(5), "{off}");
    let _ = reset.wait().exits(0).saying("called");
    dom0.fault(&["clear"]);
    assert_eq!(dom0.domid("alpha", "node2.example.org"), None);
}

/// An image is the same by any name: a symbolic link hides no tapdisk.
#[test]
fn a_tapdisk_behind_a_symbolic_link() {
    let dom0 = two_clusters().disk_through("tap", "alpha", "node2").raise().unwrap();
    let config = dom0.node("alpha", "node2").config();
    let linked = dom0.file(&config).replace("/srv/disks/", "/srv/images/");
    let _ = dom0.on(&["ln", "-s", "/srv/disks", "/srv/images"]).exits(0);
    dom0.write(&config, linked, 0o644);
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    settle(|| dom0.on(&["pgrep", "-x", "tapdisk"]).code != 0);
    let _ = dom0.on(&["xl", "create", &config]).exits(0);
    dom0.fault(&["fault", "outlive-writes", "alpha-node2"]);
    let mut off = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
    std::thread::sleep(Duration::from_secs(3));
    assert!(off.is_running(), "fenced was said while a tapdisk lived\n{}", off.wait());
    dom0.fault(&["release-writes", "alpha-node2"]);
    let _ = off.wait().exits(0);
    is_gone_for_good(&dom0, "node2");
}

/// Another tenant's configuration of the same file name concerns nobody.
#[test]
fn a_namesake_of_the_configuration() {
    let dom0 = two_clusters().raise().unwrap();
    let theirs = dom0.file(&dom0.node("beta", "db2").config());
    let _ = dom0.on(&["mkdir", "/etc/xen/beta"]).exits(0);
    dom0.write("/etc/xen/beta/alpha-node2.cfg", theirs, 0o644);
    let _ = dom0.on(&["xl", "destroy", "beta-db2"]).exits(0);
    let _ = dom0.on(&["xl", "create", "/etc/xen/beta/alpha-node2.cfg"]).exits(0);
    let off = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(off.took < Duration::from_secs(3), "{off}");
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0).saying("off");
}

/// A create by hand from a file of another name counts, also while it waits for xl's lock.
#[test]
fn a_create_by_hand_that_waits() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    let config = dom0.file(&dom0.node("alpha", "node2").config());
    dom0.write("/root/mine.cfg", config, 0o644);
    dom0.fault(&["fault", "hold-lock", "4000"]);
    let by_hand = dom0.place().spawn(&["xl", "create", "/root/mine.cfg"]);
    settle(|| dom0.on(&["pgrep", "-f", "xl create /root/mine.cfg"]).code == 0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("killed");
    drop(by_hand);
    is_gone_for_good(&dom0, "node2");
}

/// A contradiction between policy and host tells the guest nothing of the other tenant.
#[test]
fn another_tenants_domain_is_not_named() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    let (ours, theirs) = (&dom0.node("alpha", "node2").uuid, &dom0.node("beta", "db1").uuid);
    let path = "/etc/xen-fence/clusters.d/alpha.toml";
    let policy = dom0.file(path).replace(ours.as_str(), theirs);
    dom0.write(path, policy, 0o644);
    let before = dom0.domid("beta", "db1");
    for words in [&["off", "node2"][..], &["check", "node2"], &["status", "node2"]] {
        let output = ask(&dom0, "alpha", "node1", words).exits(1);
        assert!(!output.says("beta-db1"), "{output}");
    }
    assert!(recorded(&dom0, "alpha", &["ambiguous", "beta-db1"]));
    assert_eq!(dom0.domid("beta", "db1"), before);
}
