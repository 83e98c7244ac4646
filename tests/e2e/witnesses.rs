//! A syslog, a journal and a resolver in every bad state: they are witnesses and helpers, and none of
//! them stops an authorised fence.

use crate::{ask, settle, two_clusters};
use std::time::Duration;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::Syslog;

#[test]
fn a_stuck_or_missing_syslog_stops_no_fence() {
    for syslog in [Syslog::Mute, Syslog::None] {
        let dom0 = two_clusters().syslog(syslog).raise().unwrap();
        let output = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
        assert!(output.took < Duration::from_secs(5), "{syslog:?}\n{output}");
        assert_eq!(dom0.domid("alpha", "node2"), None);
    }
}

#[test]
fn a_journal_that_cannot_be_written_stops_no_fence() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = dom0.sh("rm -rf /var/lib/xen-fence; mkdir /var/lib/xen-fence; mount -t tmpfs -o ro none /var/lib/xen-fence");
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("journal");
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

/// No name server answers, and there is no network beyond dom0.
#[test]
fn a_resolver_that_never_answers() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.write("/etc/resolv.conf", "nameserver 10.77.0.77\n", 0o644);
    // Packets to it vanish: a neighbour that never answers would be reported after 3 s.
    let _ = dom0.sh("ip route add blackhole 10.77.0.77 2>/dev/null; ip neigh add 10.77.0.77 lladdr 02:00:00:00:00:77 dev xenbr0").exits(0);
    let output = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(output.took < Duration::from_secs(10), "{output}");
    // A dom0 by a name that only DNS knows: the deadline holds, and check says what hangs.
    let place = ["check", "--dom0", "fence-alpha@xen9.example:2422", "--timeout", "5"];
    let check = ask(&dom0, "alpha", "node1", &place).exits(1).saying("DNS");
    assert!(check.took < Duration::from_secs(7), "{check}");
}

/// Through the host's own sshd a stuck syslog stops the login before the broker begins: check finds
/// it within its deadline, and names it.
#[test]
fn a_stuck_syslog_before_the_hosts_own_sshd_is_found_by_check() {
    let dom0 = two_clusters().hosts_sshd().syslog(Syslog::Mute).raise().unwrap();
    let check = ask(&dom0, "alpha", "node1", &["check", "--timeout", "6"]).exits(1);
    let check = check.saying("FAIL").saying("syslog");
    assert!(check.took < Duration::from_secs(8), "{check}");
}

/// A disk that hangs under the journal costs a second, and is said.
#[test]
fn a_journal_that_hangs_stops_no_fence() {
    let dom0 = two_clusters().raise().unwrap();
    let disk = "mknod /dev/loop-control c 10 237 && \
                for i in 0 1 2 3 4 5 6 7; do mknod /dev/loop$i b 7 $i; done && \
                truncate -s 16M /srv/journal.img && mkfs.ext4 -q /srv/journal.img && \
                mount -o loop /srv/journal.img /var/lib/xen-fence";
    let mounted = dom0.sh(disk);
    if mounted.code != 0 {
        return skipped(
            "a_journal_that_hangs_stops_no_fence",
            "no loop device can be mounted here",
        );
    }
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    let _ = dom0.on(&["fsfreeze", "--freeze", "/var/lib/xen-fence"]).exits(0);
    let output = ask(&dom0, "alpha", "node1", &["off", "node2"]);
    let _ = dom0.on(&["fsfreeze", "--unfreeze", "/var/lib/xen-fence"]).exits(0);
    let output = output.exits(0).saying("did not take the record");
    assert!(output.took < Duration::from_secs(8), "{output}");
    settle(|| dom0.on(&["pgrep", "-x", "xen-fence-broke"]).code != 0);
    let _ = dom0.on(&["umount", "/var/lib/xen-fence"]).exits(0);
}
