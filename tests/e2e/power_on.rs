//! A domain that the broker starts lives as one that an administrator starts by hand: the same
//! limits, signal dispositions, umask and environment, in a cgroup that is neither the SSH
//! session's nor the broker's.

use crate::{Dom0, ask, settle, two_clusters};
use xen_fence_tests::throwaway::skipped;

/// What a domain's processes in dom0 inherit, by name: its monitor's and its PID 1's.
fn inheritance(dom0: &Dom0) -> Vec<String> {
    let monitor = monitor(dom0);
    let mut found = Vec::new();
    for pid in [monitor, dom0.domain_init(dom0.node("alpha", "node2")).unwrap()] {
        let status = dom0.file(&format!("/proc/{pid}/status"));
        let kept = ["Umask:", "SigIgn:", "SigBlk:", "SigCgt:", "Groups:", "Uid:", "CapEff:"];
        found.extend(
            status
                .lines()
                .filter(|line| kept.iter().any(|key| line.starts_with(key)))
                .map(str::to_owned),
        );
        found.extend(dom0.file(&format!("/proc/{pid}/limits")).lines().map(str::to_owned));
        let environment = dom0.file(&format!("/proc/{pid}/environ"));
        let mut names: Vec<&str> =
            environment.split('\0').filter_map(|pair| pair.split('=').next()).collect();
        names.sort_unstable();
        // What tells of a caller has no business there; what a login shell has is a matter of taste.
        found.extend(
            names
                .iter()
                .filter(|name| ["SSH", "SUDO", "XEN_FENCE"].iter().any(|it| name.starts_with(it)))
                .map(|name| format!("environment: {name}")),
        );
        found.push(format!(
            "oom_score_adj {}",
            dom0.file(&format!("/proc/{pid}/oom_score_adj")).trim()
        ));
    }
    found
}

/// The xl process that watches over node2.
fn monitor(dom0: &Dom0) -> i32 {
    let domain = "alpha-node2";
    let all = dom0.processes();
    let monitors = all.iter().filter(|one| one.name == "xl" && one.command.contains(domain));
    monitors.map(|one| one.pid).max().unwrap_or_else(|| panic!("no xl watches {domain}\n{all:#?}"))
}

fn as_by_hand(dom0: &Dom0) {
    let config = dom0.node("alpha", "node2").config();
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    settle(|| dom0.domid("alpha", "node2").is_none());
    let _ = dom0.on(&["xl", "create", &config]).exits(0);
    let by_hand = inheritance(dom0);

    let _ = ask(dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    settle(|| dom0.domid("alpha", "node2").is_some());
    let by_broker = inheritance(dom0);
    assert_eq!(by_broker, by_hand);

    let cgroup = dom0.process(monitor(dom0)).unwrap().cgroup;
    for other in dom0.processes() {
        let sshd_or_broker = ["sshd", "xen-fence-broke", "sudo"].contains(&other.name.as_str());
        assert!(!sshd_or_broker || other.cgroup != cgroup, "{} is in {cgroup} too", other.name);
    }
    assert!(!cgroup.contains("ssh"), "the domain's xl lives in {cgroup}");
}

#[test]
fn without_systemd() {
    as_by_hand(&two_clusters().raise().unwrap());
}

#[test]
fn with_systemd() {
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        return skipped("with_systemd", "there is no systemd here (package systemd)");
    }
    as_by_hand(&two_clusters().systemd().raise().unwrap());
}
