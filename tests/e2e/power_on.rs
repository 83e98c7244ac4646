//! A domain that the broker starts lives as one that an administrator starts by hand: the same
//! limits, signal dispositions, umask and environment, in a cgroup that is neither the SSH
//! session's nor the broker's.

use crate::client::{Client, MOMENT, brokers, groups};
use crate::{Dom0, ask, counts, long_after, settle, two_clusters};
use std::time::Duration;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::Sshd;

/// What the monitor of node2 and its PID 1 have inherited.
fn inheritance(dom0: &Dom0) -> Vec<String> {
    let mut found = Vec::new();
    for pid in [monitor(dom0), dom0.domain_init(dom0.node("alpha", "node2")).unwrap()] {
        let status = dom0.file(&format!("/proc/{pid}/status"));
        for line in status.lines() {
            match line.split_once(":\t") {
                Some(("Umask" | "SigBlk" | "Uid" | "Gid" | "CapEff", _)) => {
                    found.push(line.to_owned())
                }
                Some((what @ "SigIgn", mask)) => {
                    // glibc's two signals of its own (32, 33) tell how threads and posix_spawn were
                    // used on the way; nobody else may use them.
                    let mask = u64::from_str_radix(mask, 16).unwrap() & !(0b11 << 31);
                    found.push(format!("{what}: {mask:x}"));
                }
                _ => {}
            }
        }
        let limits = dom0.file(&format!("/proc/{pid}/limits"));
        let comparable =
            |line: &&str| may_raise_limits() || !line.starts_with("Max core file size");
        found.extend(limits.lines().filter(comparable).map(str::to_owned));
        // What tells of a caller has no business there; what else a login shell has is its own.
        let environment = dom0.file(&format!("/proc/{pid}/environ"));
        let callers = ["SUDO", "XEN_FENCE", "SSH_ORIGINAL"];
        let names = environment.split('\0').filter_map(|pair| pair.split('=').next());
        found.extend(
            names
                .filter(|name| callers.iter().any(|caller| name.starts_with(caller)))
                .map(|name| format!("environment: {name}")),
        );
        let path = format!("/proc/{pid}/oom_score_adj");
        found.push(format!("oom_score_adj: {}", dom0.file(&path).trim()));
    }
    found
}

/// sudo forbids core dumps for good, and only with CAP_SYS_RESOURCE can that be undone; root in a
/// container may lack it.
fn may_raise_limits() -> bool {
    const CAP_SYS_RESOURCE: u64 = 1 << 24;
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let held = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap().trim();
    u64::from_str_radix(held, 16).unwrap() & CAP_SYS_RESOURCE != 0
}

/// Runs a line as the administrator does: root, at a shell, through the host's own sshd.
fn administrator(dom0: &Dom0, line: &str) {
    if !dom0.has("/root/.ssh/administrator") {
        let _ = dom0
            .sh("mkdir -p -m 700 /root/.ssh && cd /root/.ssh && \
                 ssh-keygen -q -t ed25519 -N '' -f administrator && \
                 cat administrator.pub >>authorized_keys")
            .exits(0);
        dom0.start_sshd(Sshd::Host).unwrap();
    }
    let options =
        "-F none -o StrictHostKeyChecking=no -o BatchMode=yes -i /root/.ssh/administrator";
    let _ = dom0.sh(&format!("ssh {options} root@xen1 '{line}'")).exits(0);
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
    administrator(dom0, &format!("xl destroy alpha-node2 && xl create {config}"));
    // A program that has just begun may not have set up its signals yet.
    counts(dom0, "alpha", "node2");
    let by_hand = inheritance(dom0);

    let _ = ask(dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    settle(|| dom0.domid("alpha", "node2").is_some());
    counts(dom0, "alpha", "node2");
    let by_broker = inheritance(dom0);
    let differ = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|line| !other.contains(line)).cloned().collect()
    };
    assert_eq!(differ(&by_broker, &by_hand), differ(&by_hand, &by_broker));

    // A login's environment without what only tells of this very login.
    let environment = dom0.file(&format!("/proc/{}/environ", monitor(dom0)));
    let mut pairs: Vec<&str> = environment.split_terminator('\0').collect();
    pairs.sort_unstable();
    assert_eq!(
        pairs,
        [
            "HOME=/root",
            "LANG=C.UTF-8",
            "LOGNAME=root",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SHELL=/bin/sh",
            "USER=root",
        ]
    );
    apart_from_who_started_it(dom0);
}

/// What was started is in neither the broker's nor sshd's cgroup and session.
fn apart_from_who_started_it(dom0: &Dom0) {
    long_after(dom0);
    let mut client = Client::ready(dom0, "node1", 0xf1, "reset node2");
    // It will look again, so the broker stays.
    client.say("go-later", "");
    let _ = client.hears("fenced");
    let serving = brokers(dom0).pop().unwrap();
    let sshd = dom0.process(serving.parent).unwrap();
    assert!(sshd.name.starts_with("sshd"), "{sshd:?}");
    let others = [serving.pid, sshd.pid].map(|pid| (groups(dom0, pid), session(dom0, pid)));
    client.say("look", "");
    let _ = client.hears("seen");
    client.say("start", "");
    let _ = client.hears("started");
    let xl = dom0.process(monitor(dom0)).unwrap();
    let init = dom0.domain_init(dom0.node("alpha", "node2")).unwrap();
    for started in [xl.pid, init] {
        for (groups_of_other, session_of_other) in &others {
            let shared: Vec<String> = groups(dom0, started)
                .into_iter()
                .filter(|group| groups_of_other.contains(group))
                .collect();
            assert!(shared.is_empty(), "{started} shares {shared:?}");
            assert_ne!(session(dom0, started), *session_of_other, "{started}");
        }
    }
    assert!(!xl.cgroup.contains("ssh"), "the domain's xl lives in {}", xl.cgroup);
}

/// The session that a process belongs to.
fn session(dom0: &Dom0, pid: i32) -> String {
    let stat = dom0.file(&format!("/proc/{pid}/stat"));
    // After the name in parentheses come state, parent, group and session: proc(5).
    let session = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(3));
    session.unwrap_or_else(|| panic!("process {pid} is not there")).to_owned()
}

/// What dom0's OOM killer does, say: a half-built domain is no node that runs.
fn a_create_that_is_killed(dom0: &Dom0) {
    let _ = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    dom0.fault(&["fault", "create-delay", "4000"]);
    let on = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
    settle(|| dom0.domid("alpha", "node2").is_some());
    let _ = dom0.on(&["kill", "-KILL", &monitor(dom0).to_string()]).exits(0);
    let _ = on.wait().exits(1).saying("half built perhaps");
    dom0.fault(&["clear"]);
    let _ = ask(dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("and started");
}

/// What waits for xl's lock is killed by an off, whoever has started it.
fn a_create_that_waits_is_called_off(dom0: &Dom0) {
    dom0.fault(&["fault", "hold-lock", "0"]);
    let on = ["xen-fence", "on", "node2"];
    let _ = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let on = dom0.in_node("alpha", "node1").spawn(&on);
    let creates = || dom0.on(&["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"]).code == 0;
    settle(creates);
    let _ = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = on.wait().exits(1).saying("called");
    assert!(!creates(), "it waits on");
    dom0.fault(&["clear"]);
}

/// A systemd that could not be asked for a while has let an end go by: how long the node has run nobody
/// knows then, and no later reset may be content with it.
fn a_systemd_that_is_silent_for_a_while(dom0: &Dom0) {
    let _ = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let control = "/usr/bin/systemctl";
    let _ = dom0.on(&["cp", control, "/usr/bin/real-systemctl"]).exits(0);
    let silent = "#!/bin/sh\n[ ! -e /run/silent ] || { touch /run/asked; exit 1; }\nexec real-systemctl \"$@\"\n";
    dom0.write(control, silent, 0o755);
    dom0.write("/run/silent", "", 0o644);
    let on = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
    settle(|| dom0.has("/run/asked"));
    let _ = dom0.on(&["rm", "/run/silent"]).exits(0);
    let _ = on.wait().exits(0).saying("node2 runs on xen1 already");
    // One that always answers has seen it start.
    let _ = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = ask(dom0, "alpha", "node1", &["on", "node2"]).exits(0).saying("node2 started by xen1");
    let _ = dom0.on(&["mv", "/usr/bin/real-systemctl", control]).exits(0);
}

/// A broker is killed while systemd is asked: nobody knows whether that begins yet. Nothing is off meanwhile,
/// and an `on` begins no second one beside it.
fn what_a_killed_broker_has_asked_for(dom0: &Dom0) {
    let run = "/usr/bin/systemd-run";
    let before = dom0.file(run);
    let _ = ask(dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    dom0.write(run, "#!/bin/sh\ntouch /run/runs\nsleep 1\n", 0o755);
    let mut client = Client::ready(dom0, "node1", 0xe1, "on node2");
    client.say("go", "");
    settle(|| dom0.has("/run/runs"));
    let broker = brokers(dom0).pop().unwrap().pid.to_string();
    let _ = dom0.on(&["kill", "-KILL", &broker]).exits(0);
    dom0.write(run, before, 0o755);
    let _ = ask(dom0, "alpha", "node1", &["status", "node2"]).exits(1).saying("unknown");
    let _ = ask(dom0, "alpha", "node1", &["check", "node2"]).saying("it is about to start");
    let _ = ask(dom0, "alpha", "node1", &["on", "node2"]).exits(1).saying("called off; ask again");
    let _ = ask(dom0, "alpha", "node1", &["status", "node2"]).saying("node2 off");
    let _ = ask(dom0, "alpha", "node1", &["on", "node2"]).exits(0);
}

#[test]
fn without_systemd() {
    if !may_raise_limits() {
        skipped("without_systemd, the limit of core dumps", "root has no CAP_SYS_RESOURCE here");
    }
    let dom0 = two_clusters().raise().unwrap();
    as_by_hand(&dom0);
    a_create_that_is_killed(&dom0);
}

#[test]
fn with_systemd() {
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        return skipped("with_systemd", "there is no systemd here (package systemd)");
    }
    let dom0 = two_clusters().systemd().raise().unwrap();
    as_by_hand(&dom0);
    // PID 1 has started it, and stops or kills what is in its unit if the power-on is called off.
    let groups = groups(&dom0, monitor(&dom0)).concat();
    assert!(groups.contains("/xen-fence-start-alpha.node2-"), "{groups}");
    a_create_that_is_killed(&dom0);
    a_create_that_waits_is_called_off(&dom0);
    a_systemd_that_is_silent_for_a_while(&dom0);
    // One that does not answer keeps nobody from starting.
    let run = "/usr/bin/systemd-run";
    let _ = dom0.on(&["cp", run, "/usr/bin/real-systemd-run"]).exits(0);
    dom0.write(run, "#!/bin/sh\nexit 1\n", 0o755);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    apart_from_who_started_it(&dom0);
    what_a_killed_broker_has_asked_for(&dom0);
    // What it carries out late, when it is not waited for any more, finds that all is over.
    let late = "#!/bin/sh\n(setsid sh -c 'sleep 4; real-systemd-run \"$@\"; touch /run/late' sh \"$@\" &)\nsleep 60\n";
    dom0.write(run, late, 0o755);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let on = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    assert!(on.took < Duration::from_secs(4), "{on}");
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    settle(|| dom0.has("/run/late"));
    MOMENT(500);
    assert_eq!(dom0.domid("alpha", "node2"), None, "it was started late");
}

/// Root types the same create, and is quicker: the node runs, and the broker's own create fails.
#[test]
fn a_power_on_that_root_is_quicker_with() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    let config = dom0.node("alpha", "node2").config();
    dom0.fault(&["fault", "hold-lock", "0"]);
    let on = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
    let create = ["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"];
    settle(|| dom0.on(&create).code == 0);
    let waits = dom0.on(&create).stdout.trim().to_owned();
    let _ = dom0.on(&["kill", "-STOP", &waits]).exits(0);
    // Not a moment earlier, or it is the one that has the lock.
    settle(|| dom0.file(&format!("/proc/{waits}/stat")).contains(") T "));
    dom0.fault(&["clear"]);
    let _ = dom0.on(&["xl", "create", &config]).exits(0);
    let domid = dom0.domid("alpha", "node2");
    let _ = dom0.on(&["kill", "-CONT", &waits]).exits(0);
    let _ = on.wait().exits(0).saying("runs on xen1 already");
    assert_eq!(dom0.domid("alpha", "node2"), domid);
}

/// What another request is still building is not up: who asks for the same waits for it.
#[test]
fn an_on_is_content_with_no_half_built_node() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    for fails in [false, true] {
        dom0.fault(&["fault", "create-delay", "3000", "alpha-node2"]);
        if fails {
            dom0.fault(&["fault", "create-fails", "disk"]);
        }
        let first = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
        settle(|| dom0.domid("alpha", "node2").is_some());
        let second = ask(&dom0, "alpha", "node1", &["on", "node2"]);
        let runs = dom0.domid("alpha", "node2").is_some();
        assert_eq!((second.code == 0, runs), (!fails, !fails), "{second}");
        let _ = first.wait();
        dom0.fault(&["clear"]);
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    }
}

/// The agent asks again by the same id when its session breaks: that is no reason to call it off.
#[test]
fn an_on_whose_session_breaks_is_finished_all_the_same() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    dom0.fault(&["fault", "hold-lock", "6000"]);
    let on = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
    settle(|| dom0.on(&["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"]).code == 0);
    let _ = dom0.sh("pkill -KILL -f '[s]shd: fence-alpha'").exits(0);
    let _ = on.wait().exits(0).saying("runs on xen1 already");
    assert!(dom0.domid("alpha", "node2").is_some());
}

/// Nor does its retry start what an `off` has called off since.
#[test]
fn an_on_that_was_called_off_is_not_begun_by_its_retry() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    dom0.fault(&["fault", "hold-lock", "0"]);
    let mut first = Client::ready(&dom0, "node1", 0x81, "on node2");
    first.say("go", "");
    settle(|| dom0.on(&["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"]).code == 0);
    drop(first);
    // One that waited for it.
    let mut second = Client::ready(&dom0, "node1", 0x83, "on node2");
    second.say("go", "");
    let told = second.hear_within(Duration::from_secs(5)).unwrap_or_default();
    assert!(told.contains("it is being powered on already"), "{told}");
    drop(second);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    dom0.fault(&["clear"]);
    // Nor after another fence.
    for id in [0x81, 0x83, 0x81] {
        let mut retry = Client::of(&dom0, "node1", id);
        retry.say("request", " on node2");
        let no = retry.hears("failed");
        assert!(no.contains(" internal a later request wants it off"), "{no}");
        assert_eq!(dom0.domid("alpha", "node2"), None);
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    }
    // Who asks for it anew gets it, and what is off since is no retry's either.
    let mut heard_nothing = Client::ready(&dom0, "node1", 0x82, "on node2");
    heard_nothing.say("go", "");
    let _ = heard_nothing.hears("started");
    drop(heard_nothing);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("killed");
    let mut retry = Client::of(&dom0, "node1", 0x82);
    retry.say("request", " on node2");
    let no = retry.hears("failed");
    assert!(no.contains(" internal a later request wants it off"), "{no}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
}

/// Who waits for another's power-on, and leaves, is not waited for.
#[test]
fn an_on_that_nobody_waits_for_any_more_ends() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    dom0.fault(&["fault", "hold-lock", "8000"]);
    let on = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
    settle(|| dom0.on(&["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"]).code == 0);
    let before = brokers(&dom0).len();
    for id in 0x71..0x74 {
        let mut client = Client::ready(&dom0, "node1", id, "on node2");
        client.say("go", "");
        drop(client);
    }
    settle(|| brokers(&dom0).len() == before);
    assert!(
        dom0.domid("alpha", "node2").is_none(),
        "the create was over: this machine is too slow"
    );
    let _ = on.wait().exits(0);
}

/// Where nobody can tell what is planned, nothing is waited for: what runs, runs, and what is off hears why
/// it stays so.
#[test]
fn an_on_waits_for_no_plans_that_cannot_be_read() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    let starts = "/run/xen-fence/starts";
    let _ = dom0.sh(&format!("mkdir -p -m 700 /run/xen-fence && touch {starts}")).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node1"]).exits(0).saying("runs on xen1 already");
    let off = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(1).saying(starts);
    assert!(off.took < Duration::from_secs(5), "{off}");
}
