//! Storage that hangs: a file system that nobody answers for, as NFS whose server is gone. Processes that
//! look into it wait without end. What does not lie there is fenced all the same.

use crate::client::{MOMENT, brokers};
use crate::{Dom0, ask, settle};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use xen_fence_tests::skipped;

const AT: &str = "/mnt/hung";

/// Storage that hangs until this goes.
pub(crate) fn hung(dom0: &Dom0) -> Option<File> {
    mounted(dom0, "fuse", AT)
}

/// A file system that this answers for, of a kind that begins with `fuse`.
pub(crate) fn mounted(dom0: &Dom0, kind: &'static str, at: &'static str) -> Option<File> {
    let fuse = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let Ok(fuse) = fuse else {
        skipped(at, "there is no /dev/fuse here");
        return None;
    };
    let _ = dom0.on(&["mkdir", "-p", at]).exits(0);
    let (number, init) = (fuse.as_raw_fd(), dom0.init());
    let mounts = std::thread::spawn(move || {
        // Of its own, so that it can enter that of dom0.
        unshare(CloneFlags::CLONE_FS).unwrap();
        let there = File::open(format!("/proc/{init}/ns/mnt")).unwrap();
        setns(there, CloneFlags::CLONE_NEWNS).unwrap();
        let options = format!("fd={number},rootmode=40000,user_id=0,group_id=0");
        mount(Some("hung"), at, Some(kind), MsFlags::empty(), Some(options.as_str())).unwrap();
    });
    mounts.join().unwrap();
    Some(fuse)
}

fn two_of_each() -> Dom0 {
    Dom0::builder()
        .cluster("alpha", &["node1", "node2", "node3"])
        .cluster("beta", &["db1", "db2"])
        .raise()
        .unwrap()
}

/// What nobody can read may be a node of anybody's: each is killed, and the reason why that is no proof
/// is told. No lock is held meanwhile, and no broker stays.
#[test]
fn a_create_from_it_keeps_nobody_from_being_killed() {
    let dom0 = two_of_each();
    let Some(fuse) = hung(&dom0) else { return };
    let create = dom0.place().spawn(&["xl", "create", "/mnt/hung/new-guest.cfg"]);
    settle(|| dom0.on(&["pgrep", "-f", "new-guest.cfg"]).code == 0);
    MOMENT(300);
    for (cluster, asker, victim) in [("alpha", "node1", "node2"), ("beta", "db1", "db2")] {
        let off = ask(&dom0, cluster, asker, &["off", victim, "--timeout", "8"]);
        assert_ne!(off.code, 0, "{off}");
        assert!(off.says("may bring it back"), "{off}");
        assert_eq!(dom0.domid(cluster, victim), None, "{off}");
    }
    let _ = ask(&dom0, "alpha", "node1", &["status", "node3"]).exits(0).saying("on");
    drop(fuse);
    let _ = create.wait();
    for (cluster, asker, victim) in [("alpha", "node1", "node2"), ("beta", "db1", "db2")] {
        let _ = ask(&dom0, cluster, asker, &["off", victim]).exits(0);
    }
    settle(|| brokers(&dom0).is_empty());
}

#[test]
fn a_node_whose_configuration_lies_there_is_killed_and_left_off() {
    let dom0 = two_of_each();
    let Some(_fuse) = hung(&dom0) else { return };
    let policy = "/etc/xen-fence/clusters.d/alpha.toml";
    let text = dom0.file(policy).replace("/etc/xen/alpha-node2.cfg", "/mnt/hung/node2.cfg");
    dom0.write(policy, text, 0o644);
    let reset = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("(killed)");
    assert!(reset.says("not started") && reset.says("does not answer"), "{reset}");
    let _ = ask(&dom0, "alpha", "node3", &["off", "node2"]).exits(0).saying("(absent)");
    let check = ask(&dom0, "alpha", "node1", &["check", "node2"]);
    assert!(check.says("does not answer") && check.says("look at the disk"), "{check}");
    let node1 = dom0.in_node("alpha", "node1");
    let _ = node1.run(&["fence_xen", "-o", "monitor"]).exits(0);
    settle(|| brokers(&dom0).is_empty());
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node3"]).exits(0).saying("and started");
    let _ = dom0.on(&["xen-fence-admin", "fence", "alpha", "node3", "--action", "off"]).exits(0);
}

/// A neighbour's tapdisk, whose image lies there, is not waited for.
#[test]
fn a_neighbours_disk_that_lies_there_is_not_waited_for() {
    let clusters = Dom0::builder().cluster("alpha", &["node1", "node2"]);
    let dom0 = clusters.cluster("beta", &["db1", "db2"]).disk_through("tap", "beta", "db2");
    let dom0 = dom0.raise().unwrap();
    let Some(_fuse) = hung(&dom0) else { return };
    // The real one looks at no disk.
    let _ = dom0
        .sh("xenstore-ls -f /local/domain/0/backend | \
             sed 's#/srv/disks/beta-db2.img#/mnt/hung/db2.img#' >/root/told && \
             at=$(command -v xenstore-ls) && rm $at && \
             printf '#!/bin/sh\\ncat /root/told\\n' >$at && chmod 755 $at")
        .exits(0);
    let off = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("(killed)");
    assert!(off.took < std::time::Duration::from_secs(10), "{off}");
}

/// The audit ends, as a table and as a page, and says what it could not read.
#[test]
fn journals_that_lie_there_do_not_hold_up_the_audit() {
    let dom0 = two_of_each();
    let Some(_fuse) = mounted(&dom0, "fuse", "/var/lib/xen-fence/journal") else { return };
    let audit = |more: &[&str]| {
        let audit = dom0.on(&[&["xen-fence-admin", "audit"], more].concat()).exits(1);
        assert!(audit.took < std::time::Duration::from_secs(30), "{audit}");
        audit.saying("XF149").saying("/var/lib/xen-fence/journal: no answer within 3 s")
    };
    let _ = audit(&[]);
    let page = audit(&["--format", "html"]);
    for cluster in ["alpha", "beta"] {
        let page = page.says(&format!("<li>{cluster}: NOT VERIFIED: "))
            && page.says(&format!("<p>Not all that was done is on this page: {cluster}: "));
        assert!(page, "{cluster}");
    }
}
