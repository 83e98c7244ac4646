//! `fence_xen` as it is installed: the contract of the fence agents, by standard input and by options.

use crate::{Dom0, Shared, ask, recorded, settle, two_clusters, untouched};
use std::path::Path;
use std::time::{Duration, Instant};
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::{Output, Syslog};

static SHARED: Shared = Shared::new();

/// What a final failure takes at least.
const SECOND: Duration = Duration::from_secs(1);

/// `fence_xen` in node1, with these lines on its standard input.
fn told(dom0: &Dom0, lines: &str) -> Output {
    dom0.in_node("alpha", "node1").run_with_input(&["fence_xen"], lines.as_bytes())
}

/// With these options.
fn called(dom0: &Dom0, words: &[&str]) -> Output {
    dom0.in_node("alpha", "node1").run(&[&["fence_xen"], words].concat())
}

/// A failure: one sentence on standard error, no answer, and no sooner than after a second.
#[track_caller]
fn fails(output: Output, why: &str) -> Output {
    let output = output.exits(1).saying(why);
    assert!(output.stdout.is_empty(), "{output}");
    assert!(output.stderr.lines().any(|line| line.starts_with("fence_xen: ")), "{output}");
    assert!(output.took >= SECOND, "it failed too fast\n{output}");
    output
}

/// The node is dead, and its peer may take over: exit status 0, and a word for the person who reads on.
#[test]
fn a_reboot_that_leaves_the_node_off_says_so() {
    let dom0 = two_clusters().raise().unwrap();
    let config = dom0.node("alpha", "node2").config();
    let other = dom0.file(&config).replace("uuid = \"5eed", "uuid = \"0bad");
    dom0.write(&config, other, 0o644);
    let reboot = called(&dom0, &["-o", "reboot", "-n", "node2"]).exits(0);
    let warns = |line: &str| line.contains("warning: ") && line.contains("uuid");
    assert!(reboot.stderr.lines().any(warns), "{reboot}");
    assert!(dom0.domid("alpha", "node2").is_none());
    let _ = fails(called(&dom0, &["-o", "on", "-n", "node2"]), "uuid");
}

/// The table of the fence agents' documentation: what each action does to a node that is on, and to
/// one that is off, and what it exits with.
#[test]
fn the_actions_do_what_the_api_says() {
    let dom0 = SHARED.take();
    let is_on = || dom0.domid("alpha", "node2").is_some();
    for (action, before, code, after) in [
        ("off", true, 0, false),
        ("off", false, 0, false),
        ("status", false, 2, false),
        ("on", false, 0, true),
        ("on", true, 0, true),
        ("status", true, 0, true),
        ("monitor", true, 0, true),
        ("list", true, 0, true),
        ("list-status", true, 0, true),
        ("validate-all", true, 0, true),
        ("metadata", true, 0, true),
        ("meta-data", true, 0, true),
        ("manpage", true, 0, true),
        ("REBOOT", true, 0, true),
    ] {
        assert_eq!(is_on(), before, "before {action}");
        let life = dom0.domid("alpha", "node2");
        let output = told(&dom0, &format!("action={action}\nnodename=node2\nport=node2\n"));
        let output = output.exits(code);
        settle(|| is_on() == after);
        if action == "REBOOT" {
            settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > life));
        } else if before && after {
            assert_eq!(dom0.domid("alpha", "node2"), life, "{output}");
        }
    }
}

#[test]
fn reboot_is_what_is_done_without_an_action_and_from_off_too() {
    let dom0 = SHARED.take();
    let _ = told(&dom0, "action=off\nplug=node2\n").exits(0);
    let output = told(&dom0, "plug=NODE2\n").exits(0).saying("is being started");
    assert!(output.took < Duration::from_secs(5), "{output}");
    settle(|| dom0.domid("alpha", "node2").is_some());
    let _ = fails(told(&dom0, ""), "needs a node");
}

#[test]
fn lists_are_of_this_cluster_and_nothing_else() {
    let dom0 = SHARED.take();
    let _ = called(&dom0, &["-o", "off", "-n", "node2"]).exits(0);
    let mut list: Vec<String> =
        told(&dom0, "action=list\n").exits(0).stdout.lines().map(str::to_owned).collect();
    list.sort();
    assert_eq!(list, ["node1,", "node2,"]);
    let mut list: Vec<String> = called(&dom0, &["-o", "list-status", "-C", " "])
        .exits(0)
        .stdout
        .lines()
        .map(str::to_owned)
        .collect();
    list.sort();
    assert_eq!(list, ["node1  ON", "node2  OFF"]);
    let monitor = told(&dom0, "action=monitor\nport=node2\n").exits(0);
    assert!(monitor.stdout.is_empty() && !monitor.says("node2"), "{monitor}");
}

#[test]
fn several_plugs_are_all_done() {
    let dom0 = Dom0::builder().cluster("alpha", &["node1", "node2", "node3"]).raise().unwrap();
    let on = |node: &str| dom0.domid("alpha", node).is_some();
    let _ = told(&dom0, "action=off\nport=node2,NODE3,node2\nnodename=x\n").exits(0);
    assert!(!on("node2") && !on("node3"));
    let _ = told(&dom0, "action=status\nplug=node2,node3\n").exits(2);
    let _ = told(&dom0, "action=on\nplug=node3\n").exits(0);
    let _ = told(&dom0, "action=status\nplug=node2,node3\n").exits(0);
    let _ = told(&dom0, "action=status\nplug=node3,node2\n").exits(0);
    // One that fails does not keep the others from being off, and all has failed.
    let _ = fails(told(&dom0, "action=off\nplug=nobody,node3\nquiet=1\n"), "xen1 refused");
    assert!(!on("node3"));
    let _ = fails(told(&dom0, "action=status\nplug=node2,nobody\n"), "xen1 refused");
}

/// Not allowed is not the same as off: Pacemaker would take 2 for a node that it can fence.
#[test]
fn what_policy_forbids_is_1_and_never_2() {
    let dom0 = SHARED.take();
    let _ = dom0.on(&["xl", "destroy", "beta-db1"]).exits(0);
    let _ = fails(told(&dom0, "action=status\nport=db1\n"), "xen1 refused");
    let _ = fails(told(&dom0, "action=off\nport=db1\n"), "xen1 refused");
    let _ = fails(called(&dom0, &["-o", "reboot", "-n", "nobody"]), "xen1 refused");
    let _ = dom0.on(&["xl", "create", &dom0.node("beta", "db1").config()]).exits(0);
}

#[test]
fn failures_have_pacemakers_words_and_take_a_second() {
    let dom0 = SHARED.take();
    let is_late = |output: &Output| {
        let said = output.stderr.to_lowercase();
        ["timed out", "timeout"].iter().any(|word| said.contains(word))
    };
    untouched(&dom0, || {
        let unknown = fails(told(&dom0, "action=explode\nport=node2\n"), "unsupported action");
        assert!(!is_late(&unknown), "{unknown}");
        let _ = fails(called(&dom0, &["-o", "enable", "-n", "node2"]), "unsupported action");
        for (lines, why) in [
            ("action=off\nport=node2;reboot\n", "not a node"),
            ("action=off\nplug=node2\nport=node1\n", "two nodes"),
            ("action=off\nport=node2\ndom0=fence-alpha@xen1\nip=xen1\n", "both"),
            ("action=off\nport=node2\nip=xen1\n", "the account is missing"),
            ("action=off\nport=node2\nidentity_file=/nowhere/key\n", "/nowhere/key"),
            ("action=off\nport=node2\ntimeout=soon\n", "time limit is not from 1 to 3600"),
            ("action=off\nport=node2\npower_timeout=0\n", "power time limit is not from 1 to 3600"),
            ("action=off\nport=db1\ntimeout=20\nverbose=1\n", "xen1 refused"),
            ("action=off\nport=db1\n", "xen1 refused"),
        ] {
            let output = fails(told(&dom0, lines), why);
            assert!(!is_late(&output), "{output}");
        }
        // Silence: it has to be a host that is there, or its neighbours would say that it is not.
        let _ = dom0.sh("pkill -STOP -o -x sshd").exits(0);
        let late = told(&dom0, "action=off\nport=node2\npower_timeout=3\nlogin_timeout=60\n");
        let asked = told(&dom0, "action=monitor\nport=node2\npower_timeout=60\nlogin_timeout=2\n");
        let _ = dom0.sh("pkill -CONT -o -x sshd").exits(0);
        for output in [late, asked] {
            assert!(is_late(&output), "{output}");
            let output = fails(output, "before the deadline");
            assert!(output.took < Duration::from_secs(6), "{output}");
        }
        // Nobody is there until the deadline: which of the two it was is said, and that it was late.
        for nowhere in ["10.77.0.99", "xen1:1"] {
            for what in ["off\nport=node2\ntimeout=3", "monitor\ntimeout=3"] {
                let lines = format!("action={what}\ndom0=fence-alpha@{nowhere}\n");
                let output = fails(told(&dom0, &lines), "could not be reached");
                assert!(is_late(&output), "{output}");
                assert!(output.took < Duration::from_secs(6), "{output}");
            }
        }
        let cli = ask(&dom0, "alpha", "node1", &["off", "db1"]).exits(3);
        assert!(cli.took < SECOND, "people do not wait\n{cli}");
    });
    let done = told(&dom0, "action=off\nport=node2\n").exits(0);
    assert!(done.took < SECOND, "success does not wait\n{done}");
}

/// What a cluster manager was configured with, or what comes by mistake.
#[test]
fn unknown_keys_and_garbage_are_left_alone() {
    let dom0 = SHARED.take();
    let lines = "# by hand\n\nxyz=1\nnot a line\n=\n\u{fffd}=\u{fffd}\nversion\npasswd=secret\n\
                 shell_timeout=3\nretry_on=1\nnodename=node2\nnodeid=2\nport=node2\n\
                 username=\"fence-alpha\"\nip=\"xen1\"\nipport=2422\naction=status\n";
    let _ = told(&dom0, lines).exits(0);
    let bytes = [&b"\xff\xfe\x00=\x80\naction=status\nport=node2\n"[..], &[0xff; 3000]].concat();
    let node1 = dom0.in_node("alpha", "node1");
    let _ = node1.run_with_input(&["fence_xen"], &bytes).exits(0);
    let huge = [&b"action=off\nport=node2\n"[..], &vec![b'x'; 3_000_000]].concat();
    untouched(&dom0, || {
        let _ = fails(node1.run_with_input(&["fence_xen"], &huge), "longer than");
        let _ = fails(called(&dom0, &["-o", "off", "-n", "node2", "-z"]), "-z");
        let _ = fails(called(&dom0, &["off", "node2"]), "off");
        for line in ["fence_xen <&-", "fence_xen </dev/null", "fence_xen -o off -n db1 >&- 2>&-"] {
            let _ = node1.run(&["sh", "-c", line]).exits(1);
        }
        // Standard input that never ends.
        let mut open = node1.spawn(&["fence_xen"]);
        open.send(b"action=off\nport=node2\n");
        let begun = Instant::now();
        while open.is_running() && begun.elapsed() < Duration::from_secs(15) {
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = fails(open.wait(), "did not end");
    });
}

#[test]
fn the_fields_names_lead_to_dom0() {
    let dom0 = SHARED.take();
    let etc = dom0.node("alpha", "node1").etc();
    let settings = dom0.file(&format!("{etc}/agent.toml"));
    dom0.remove(&format!("{etc}/agent.toml"));
    let key = "identity_file=/etc/xen-fence/id_ed25519\n";
    let options = ["-a", "xen1", "-u", "2422", "-l", "fence-alpha", "-n", "node2", "-o", "status"];
    let by_lines =
        told(&dom0, &format!("ip=xen1\nipport=2422\nusername=fence-alpha\n{key}action=list\n"));
    let by_dom0 = told(&dom0, "dom0=fence-alpha@xen1:2422\naction=validate-all\n");
    let by_options = called(&dom0, &options);
    let none = told(&dom0, "action=validate-all\n");
    let no_key = told(&dom0, "dom0=fence-alpha@xen9\naction=validate-all\n");
    dom0.write(&format!("{etc}/agent.toml"), settings, 0o644);
    let _ = by_lines.exits(0).saying("node2");
    let _ = by_dom0.exits(0);
    let _ = by_options.exits(0).saying("node2 on");
    let _ = fails(none, "no dom0 is named");
    let _ = fails(no_key, "xen9");
}

/// Only a person or a clock may hold a kill back, and never a question.
#[test]
fn a_delay_is_for_kills_alone() {
    let dom0 = SHARED.take();
    let delayed = |action: &str| told(&dom0, &format!("action={action}\nport=node2\ndelay=3\n"));
    let least = Duration::from_secs(3);
    assert!(delayed("status").exits(0).took < least);
    assert!(delayed("monitor").exits(0).took < least);
    assert!(delayed("off").exits(0).took >= least);
    assert!(delayed("on").exits(0).took < least);
    assert!(delayed("reboot").exits(0).took >= least);
}

#[test]
fn metadata_is_valid_and_needs_nobody() {
    let schema = "/usr/share/cluster/relaxng/metadata.rng";
    let dom0 = Dom0::builder().bare().raise().unwrap();
    let xml = dom0.on(&["unshare", "--net", "fence_xen", "-o", "metadata"]).exits(0);
    assert!(xml.stderr.is_empty() && xml.took < SECOND, "{xml}");
    dom0.write("/tmp/m.xml", &xml.stdout, 0o644);
    let by_lines = dom0.place().run_with_input(&["fence_xen"], b"action=metadata\n").exits(0);
    assert_eq!(by_lines.stdout, xml.stdout);
    for needed in [
        "<parameter name=\"plug\"",
        "<parameter name=\"dom0\"",
        "<parameter name=\"ip\"",
        "<action name=\"reboot\"",
        "<action name=\"on\" automatic=\"0\"",
    ] {
        assert!(xml.stdout.contains(needed), "{needed}\n{xml}");
    }
    let _ =
        dom0.on(&["fence_xen", "--help"]).exits(0).saying("list-status").saying("--power-timeout");
    let _ = dom0.on(&["fence_xen", "-V"]).exits(0).saying("fence_xen");
    let page = dom0.on(&["fence_xen", "-o", "manpage"]).exits(0).stdout;
    assert_eq!(dom0.file("/usr/share/man/man8/fence_xen.8"), page);
    if !Path::new(schema).exists() {
        return skipped("metadata_is_valid_and_needs_nobody", "there is no schema (fence-agents)");
    }
    let _ = dom0.on(&["xmllint", "--noout", "--relaxng", schema, "/tmp/m.xml"]).exits(0);
    dom0.write("/tmp/bad.xml", xml.stdout.replace("automatic=", "timeout="), 0o644);
    let bad = dom0.on(&["xmllint", "--noout", "--relaxng", schema, "/tmp/bad.xml"]);
    assert_ne!(bad.code, 0, "the schema forbids nothing");
}

/// It does not stay for the boot, and yet the node boots, also where one of two dom0s has to be told
/// that it may start it.
#[test]
fn it_leaves_when_the_death_is_proven_and_the_node_boots() {
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2"]);
    let (xen1, xen2) = builder.raise_two(&[("alpha", "node2")]).unwrap();
    xen2.fault(&["fault", "create-delay", "4000", "alpha-node2"]);
    for round in 0..3 {
        let life = xen2.domid("alpha", "node2");
        let reboot = told(&xen1, "action=reboot\nnodename=node2\nplug=node2\n").exits(0);
        let reboot = reboot.saying("is being started by xen2");
        assert!(reboot.took < Duration::from_secs(3), "{reboot}");
        settle(|| xen2.domid("alpha", "node2").is_some_and(|now| Some(now) > life));
        assert_eq!(xen1.domid("alpha", "node2"), None);
        if round < 2 {
            // What was reset a moment ago would not be killed again.
            std::thread::sleep(Duration::from_secs(16));
        }
    }
    assert!(!recorded(&xen2, "alpha", &["left off"]));
}

#[test]
fn a_stuck_syslog_does_not_hold_it_up() {
    let dom0 = two_clusters().syslog(Syslog::Mute).raise().unwrap();
    let off = told(&dom0, "action=off\nport=node2\n").exits(0);
    assert!(off.took < Duration::from_secs(5), "{off}");
    let _ = fails(told(&dom0, "action=off\nport=db1\n"), "xen1 refused");
}
