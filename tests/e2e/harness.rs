//! The throwaway dom0 itself: it is a machine of its own, and leaves nothing behind.

use crate::two_clusters;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::{Dom0, Sshd, Syslog};

/// What of the machine a throwaway dom0 might touch by mistake.
fn traces() -> Vec<(&'static str, String)> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let names = |dir: &str| {
        let entries = fs::read_dir(dir).into_iter().flatten().flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with("throwaway-dom0-"))
            .collect();
        names.sort();
        names.join(" ")
    };
    vec![
        ("mounts", read("/proc/self/mounts")),
        ("accounts", read("/etc/passwd") + &read("/etc/group") + &read("/etc/shadow")),
        ("interfaces", names("/sys/class/net")),
        ("host name", read("/proc/sys/kernel/hostname")),
        ("/etc", names("/etc") + &names("/etc/ssh") + &names("/etc/sudoers.d")),
        ("/var/lib", names("/var/lib")),
        ("/run", names("/run")),
        ("/mnt", names("/mnt")),
        ("/dev", names("/dev")),
    ]
}

#[test]
fn nothing_is_left() {
    let before = traces();
    let dom0 = two_clusters().raise().unwrap();
    let while_up = traces();
    let init = dom0.init();
    let group = fs::read_to_string(format!("/proc/{init}/cgroup")).unwrap();
    let group = group.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned();
    let everybody: Vec<i32> = pids_in_namespace_of(init);
    assert!(everybody.len() >= 3, "init, sshd and rsyslogd at least: {everybody:?}");
    drop(dom0);
    let after = traces();
    for ((now, then), what) in after.iter().zip(&before).zip(["after"; 9]) {
        assert_eq!(now, then, "{what}");
    }
    for (now, then) in while_up.iter().zip(&before) {
        assert_eq!(now, then, "while it was up");
    }
    for pid in everybody {
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{pid} lives on");
    }
    for mounted in ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"] {
        let left = format!("{mounted}{group}");
        assert!(!Path::new(&left).exists(), "{left} is left");
    }
}

/// The processes that share a PID namespace with this one, as the machine sees them.
fn pids_in_namespace_of(init: i32) -> Vec<i32> {
    let space = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let wanted = space(init);
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| space(*pid) == wanted).collect()
}

#[test]
fn it_ends_with_the_program_that_holds_it() {
    let dom0 = Dom0::builder().bare().raise().unwrap();
    let init = dom0.init();
    let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
    let holder = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap().trim();
    std::process::Command::new("kill").args(["-KILL", holder]).status().unwrap();
    let end = Instant::now() + Duration::from_secs(5);
    while Path::new(&format!("/proc/{init}/root/etc")).exists() {
        assert!(Instant::now() < end, "PID 1 outlived its holder");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn commands_pass_input_output_signals_and_exit_codes() {
    let dom0 = Dom0::builder().bare().raise().unwrap();
    let _ = dom0.on(&["hostname"]).exits(0).saying("xen1");
    let _ = dom0.sh("echo out; echo err >&2; exit 7").exits(7).saying("out").saying("err");
    let _ = dom0.sh("kill -9 $$").exits(137);
    let _ = dom0.on(&["no-such-command"]).exits(127).saying("No such file");
    let echoed = dom0.place().run_with_input(&["cat"], &[b'x'; 300_000]).exits(0);
    assert_eq!(echoed.stdout.len(), 300_000);
    let waiting = dom0.place().spawn(&[
        "sh",
        "-c",
        "trap 'echo caught; exit 3' INT; while :; do sleep 0.01; done",
    ]);
    std::thread::sleep(Duration::from_millis(200));
    waiting.signal("INT");
    let _ = waiting.wait().exits(3).saying("caught");
}

#[test]
fn a_login_reaches_the_launcher_through_either_sshd() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.start_sshd(Sshd::Host).unwrap();
    for port in ["22", "2422"] {
        let etc = &dom0.node("alpha", "node1").etc();
        let (key, known) =
            (format!("{etc}/id_ed25519"), format!("UserKnownHostsFile={etc}/known_hosts"));
        // Without our command, the launcher says its sentence of help.
        let login = dom0.on(&[
            "ssh",
            "-F",
            "none",
            "-T",
            "-i",
            &key,
            "-o",
            &known,
            "-o",
            "HostKeyAlias=[xen1]:2422",
            "-o",
            "BatchMode=yes",
            "-p",
            port,
            "fence-alpha@xen1",
            "something else",
        ]);
        let _ = login.exits(64).saying("xen-fence");
    }
}

#[test]
fn syslog_is_real_or_stuck_or_not_there() {
    let dom0 = Dom0::builder().cluster("alpha", &["node1"]).raise().unwrap();
    let _ = dom0.on(&["logger", "hello"]).exits(0);
    std::thread::sleep(Duration::from_millis(200));
    assert!(dom0.syslog().contains("hello"), "{}", dom0.syslog());

    let dom0 = Dom0::builder().cluster("alpha", &["node1"]).syslog(Syslog::Mute).raise().unwrap();
    let _ = dom0.on(&["timeout", "1", "logger", "hello"]).exits(124);

    let dom0 = Dom0::builder().cluster("alpha", &["node1"]).syslog(Syslog::None).raise().unwrap();
    assert!(!dom0.has("/dev/log"));
}

#[test]
fn systemd_makes_transient_units() {
    if !Path::new("/lib/systemd/systemd").exists() {
        return skipped(
            "systemd_makes_transient_units",
            "there is no systemd here (package systemd)",
        );
    }
    let dom0 = two_clusters().systemd().raise().unwrap();
    let line = "systemd-run --quiet --wait --pipe sh -c 'cat /proc/self/cgroup'";
    let _ = dom0.sh(line).exits(0).saying("0::/system.slice/run-");
    let init = dom0.process(1).unwrap();
    assert_eq!(init.name, "systemd");
}
