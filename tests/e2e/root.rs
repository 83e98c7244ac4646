//! Root's own fence on dom0: the same lock, journal and proof as an agent's.

use crate::client::{Client, MOMENT, destroy_goes_on};
use crate::{Shared, recorded, settle, stands_still, untouched};

static SHARED: Shared = Shared::new();

#[test]
fn root_fences_by_hand_with_proof_and_record() {
    let dom0 = SHARED.take();
    let before = dom0.domid("alpha", "node2");
    let fence = ["env", "SUDO_USER=ada", "xen-fence-admin", "fence", "alpha", "node2"];
    let output = dom0.on(&fence).exits(0).saying("node2 fenced (killed)");
    let _ = output.saying("node2 started (created)");
    let after = dom0.domid("alpha", "node2");
    assert!(after.is_some() && after != before);
    for event in ["intent", "outcome", "start"] {
        assert!(recorded(&dom0, "alpha", &["root ada", &format!("\"event\":\"{event}\"")]));
    }
    let off = ["xen-fence-admin", "fence", "alpha", "node2", "--action", "off"];
    let _ = dom0.on(&off).exits(0).saying("fenced (killed)");
    stands_still(&dom0, "alpha", "node2");
    let on = ["xen-fence-admin", "fence", "alpha", "node2", "--action", "on"];
    let _ = dom0.on(&on).exits(0).saying("started (created)");
}

#[test]
fn root_fences_nothing_that_the_policy_does_not_know() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let fence = |cluster: &str, node: &str| {
            dom0.on(&["xen-fence-admin", "fence", cluster, node, "--action", "off"])
        };
        let _ = fence("alpha", "db1").exits(2).saying("no node db1").saying("are node1, node2");
        let _ = fence("gamma", "node2").exits(2).saying("clusters.d/gamma.toml");
        assert!(!dom0.has("/var/lib/xen-fence/journal/gamma.jsonl"));
        let _ = fence("alpha", "../x").exits(2).saying("the name is not");
        let _ = fence("Alpha", "node2").exits(2);
        let nobody = "setpriv --reuid=65534 --clear-groups xen-fence-admin fence alpha node2";
        let _ = dom0.sh(nobody).exits(2).saying("only root");
    });
}

/// A guest hears that something is wrong, root hears what.
#[test]
fn root_is_told_what_a_guest_is_not() {
    let dom0 = SHARED.take();
    let policy = "/etc/xen-fence/clusters.d/alpha.toml";
    untouched(&dom0, || {
        let fence = || dom0.on(&["xen-fence-admin", "fence", "alpha", "node2"]);
        let _ = dom0.on(&["chmod", "666", policy]).exits(0);
        let _ = fence().exits(2).saying(policy).saying("chmod");
        let _ = dom0.on(&["chmod", "644", policy]).exits(0);
        dom0.write("/etc/xen-fence/broker.toml", "toolstack = \"virsh\"\n", 0o644);
        let _ = fence().exits(1).saying("/etc/xen-fence/broker.toml");
        dom0.remove("/etc/xen-fence/broker.toml");
    });
}

/// An interrupt ends the wait for a lock, and never what has begun.
#[test]
fn an_interrupt_ends_it_before_go_and_not_after() {
    let dom0 = SHARED.take();
    let interrupt = || {
        let _ = dom0.sh("pkill -INT -x xen-fence-admin").exits(0);
    };
    untouched(&dom0, || {
        let mut holder = Client::ready(&dom0, "node1", 0x91, "off node2");
        let waits = dom0.place().spawn(&["xen-fence-admin", "fence", "alpha", "node2"]);
        MOMENT(1_500);
        holder.say("wait", "");
        interrupt();
        let waited = waits.wait().saying("holds its lock; this one waits for it");
        assert_ne!(waited.code, 0);
    });
    settle(|| dom0.on(&["pgrep", "-x", crate::BROKER]).code != 0);
    dom0.fault(&["fault", "slow-destroy", "1500", "alpha-node2"]);
    let fence =
        dom0.place().spawn(&["xen-fence-admin", "fence", "alpha", "node2", "--action", "off"]);
    destroy_goes_on(&dom0);
    for signal in ["TSTP", "QUIT", "HUP"] {
        let _ = dom0.sh(&format!("pkill -{signal} -x xen-fence-admin")).exits(0);
    }
    interrupt();
    let _ = fence.wait().exits(0).saying("fenced (killed)");
    assert!(recorded(&dom0, "alpha", &["root", "fenced killed"]));
}

/// A connection that is given up without a terminal sends no signal: the pipes are gone.
#[test]
fn nothing_is_killed_for_nobody() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let mut holder = Client::ready(&dom0, "node1", 0x92, "off node2");
        let fence =
            "xen-fence-admin fence alpha node2 --action off </dev/null 2>&1; echo $? >/root/code";
        let _piped = dom0.place().spawn(&["sh", "-c", &format!("({fence}) | sleep 1")]);
        for _ in 0..2 {
            MOMENT(1_000);
            holder.say("wait", "");
        }
        drop(holder);
        settle(|| dom0.has("/root/code"));
        assert_ne!(dom0.file("/root/code").trim(), "0");
    });
}
