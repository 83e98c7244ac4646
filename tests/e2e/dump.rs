//! A core before the kill: wanted by the host's owner, and never in the way of a fence.

use crate::{Dom0, Shared, ask, recorded};
use std::time::Duration;

static SHARED: Shared = Shared::new();

/// Cores that take longer than they may.
fn slow_cores() -> Dom0 {
    let nodes = ["node1", "node2", "node3", "node4"];
    let dom0 = Dom0::builder().cluster("alpha", &nodes).raise().unwrap();
    dom0.write("/etc/xen-fence/broker.toml", format!("dump = \"{CORES}\"\n"), 0o644);
    for node in &nodes[1..] {
        dom0.fault(&["fault", "slow-dump", "60000", &format!("alpha-{node}")]);
    }
    dom0
}

/// Each holds the cluster's lock while its core is written.
#[test]
fn cores_of_several_nodes_leave_time_for_each_kill() {
    let dom0 = slow_cores();
    let asks = ["node2", "node3", "node4"]
        .map(|node| dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", node]));
    for off in asks {
        let _ = off.wait().exits(0).saying("fenced (killed)");
    }
}

/// What the pause takes is not there for the core.
#[test]
fn a_slow_pause_leaves_time_for_each_kill() {
    let dom0 = slow_cores();
    let settings = format!("dump = \"{CORES}\"\ndump_seconds = 30\n");
    dom0.write("/etc/xen-fence/broker.toml", settings, 0o644);
    for node in ["node2", "node3", "node4"] {
        dom0.fault(&["fault", "slow-pause", "9000", &format!("alpha-{node}")]);
    }
    let asks = ["node2", "node3", "node4"]
        .map(|node| dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", node]));
    for off in asks {
        let _ = off.wait().exits(0).saying("fenced (killed)");
    }
}

#[test]
fn a_core_leaves_time_to_who_was_late_to_ask() {
    let dom0 = slow_cores();
    let _ = dom0.on(&["mv", "/usr/bin/sudo", "/usr/bin/sudo.real"]).exits(0);
    let slow = "#!/bin/sh\nsleep 31\nexec /usr/bin/sudo.real \"$@\"\n";
    dom0.write("/usr/bin/sudo", slow, 0o755);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("fenced (killed)");
}

const CORES: &str = "/var/lib/xen-fence/dumps";

/// Runs a case on a host that wants cores, with these lines besides.
fn wanting_cores(dom0: &Dom0, lines: &str, case: impl FnOnce()) {
    let _ = dom0.sh(&format!("rm -rf {CORES}")).exits(0);
    let settings = format!("dump = \"{CORES}\"\n{lines}");
    dom0.write("/etc/xen-fence/broker.toml", &settings, 0o644);
    case();
    let _ = dom0.sh("rm /etc/xen-fence/broker.toml").exits(0);
}

fn cores(dom0: &Dom0) -> Vec<String> {
    let names = dom0.sh(&format!("cd {CORES} 2>/dev/null && ls")).stdout;
    names.lines().map(str::to_owned).collect()
}

#[test]
fn a_core_is_written_of_the_paused_guest_and_then_it_is_killed() {
    let dom0 = SHARED.take();
    let domid = dom0.domid("alpha", "node2").unwrap();
    wanting_cores(&dom0, "", || {
        dom0.fault(&["fault", "slow-dump", "1500", "alpha-node2"]);
        let off = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2", "-v"]);
        crate::settle(|| dom0.on(&["pgrep", "-f", "xl dump-core"]).code == 0);
        let at_first = dom0.sector("alpha", "node2");
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(dom0.sector("alpha", "node2"), at_first, "it is paused while it is dumped");
        let _ = off.wait().exits(0).saying("fenced (killed)").saying("its core is written");
        assert_eq!(cores(&dom0), [format!("alpha-node2.{domid}.core")]);
        let _ = dom0.sh(&format!("head -c 4 {CORES}/* | grep -q ELF")).exits(0);
        assert_eq!(dom0.sh(&format!("stat -c %a {CORES}")).stdout.trim(), "700");
        assert!(recorded(&dom0, "alpha", &["dumped", "its core is", CORES]));
        // What is off has no core.
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
        assert_eq!(cores(&dom0).len(), 1);
    });
}

#[test]
fn whatever_stands_against_a_core_never_stands_against_the_kill() {
    let dom0 = SHARED.take();
    let hindered: [(&str, &str, &str); 5] = [
        (
            "dump_seconds = 1\n",
            "stand-in fault slow-dump 60000 alpha-node2",
            "no answer within 1 s",
        ),
        ("dump_megabytes = 1\n", "true", "larger than 1 MiB"),
        ("dump_megabytes = 99999999\n", "true", "MiB free"),
        ("", "mkdir -p /var/lib/xen-fence; touch /var/lib/xen-fence/dumps", "cannot be made"),
        ("", "mkdir -m 755 -p /var/lib/xen-fence/dumps", "not root's alone"),
    ];
    for (lines, hinder, why) in hindered {
        wanting_cores(&dom0, lines, || {
            let _ = dom0.sh(hinder).exits(0);
            let off = ask(&dom0, "alpha", "node1", &["off", "node2"]);
            let off = off.exits(0).saying("fenced (killed)");
            assert!(off.took < Duration::from_secs(6), "{off}");
            assert!(recorded(&dom0, "alpha", &["not dumped", why]), "{:#?}", dom0.journal("alpha"));
            assert!(cores(&dom0).is_empty(), "a piece of a core is left");
        });
        dom0.fault(&["clear"]);
        let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
    }
}
