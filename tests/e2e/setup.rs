//! `xen-fence-admin setup`: from the programs alone to a dom0 that serves a cluster, and what it leaves
//! alone on the way.

mod policy;

use crate::{ask, settle};
use std::time::Duration;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::{Builder, Dom0, Output, Sshd};

const POLICY: &str = "/etc/xen-fence/clusters.d/alpha.toml";
const RULE: &str = "/etc/sudoers.d/xen-fence";
const CONFIG: &str = "/etc/xen-fence/sshd_config";

/// What else than the programs is on dom0 of ours, taken away.
const PROGRAMS_ALONE: &str = "for unit in xen-fence-sshd; do
        ! test -d /run/systemd/system || systemctl disable --now $unit
    done
    pkill -x sshd; userdel fence-alpha; groupdel xen-fence
    cd /etc; rm -rf xen-fence sudoers.d/xen-fence logrotate.d/xen-fence ssh/sshd_config.d/xen-fence.conf
    rm -rf systemd/system/ssh.service.d /usr/lib/systemd/system/xen-fence-sshd.service
    rm -rf /var/lib/xen-fence /var/log/xen-fence /run/xen-fence /run/sshd
    ! test -d /run/systemd/system || systemctl daemon-reload";

/// Nodes that know their dom0, and a dom0 that has the programs and knows nothing of its nodes.
pub(crate) fn programs_alone(builder: Builder) -> Dom0 {
    let dom0 = builder.raise().unwrap();
    let _ = dom0.sh(PROGRAMS_ALONE).exits(0);
    dom0
}

fn three_nodes() -> Builder {
    Dom0::builder().cluster("alpha", &["node1", "node2", "node3"])
}

/// A node with its key, as it is told to setup.
fn line(dom0: &Dom0, node: &str) -> String {
    let etc = dom0.node("alpha", node).etc();
    format!("{node}={}", dom0.file(&format!("{etc}/id_ed25519.pub")).trim())
}

/// `setup` for alpha with these nodes and options, without a terminal.
fn set_up(dom0: &Dom0, nodes: &[&str], options: &[&str]) -> Output {
    let lines: Vec<String> = nodes.iter().map(|node| line(dom0, node)).collect();
    let mut words = vec!["xen-fence-admin", "setup", "--cluster", "alpha"];
    for line in &lines {
        words.extend(["--node", line]);
    }
    words.extend(options);
    dom0.on(&words)
}

/// Every file that setup may write, with owner, mode and content.
fn files(dom0: &Dom0) -> String {
    let state = "cd /; find etc/xen-fence etc/sudoers.d etc/ssh etc/logrotate.d etc/systemd \
                 usr/lib/systemd/system/xen-fence* var/lib/xen-fence etc/passwd etc/group -printf '%p %M %U %G %T@\\n' -type f -exec sha256sum {} + | sort";
    dom0.sh(state).stdout
}

/// Runs a case, after which every file is as it was.
#[track_caller]
fn unwritten(dom0: &Dom0, case: impl FnOnce()) {
    let before = files(dom0);
    case();
    let after = files(dom0);
    let lines = |one: &str, other: &str| -> Vec<String> {
        one.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect()
    };
    assert_eq!(
        (lines(&before, &after), lines(&after, &before)),
        (vec![], vec![]),
        "it was written"
    );
}

#[test]
fn programs_alone_become_a_dom0_that_serves_a_cluster() {
    let dom0 = programs_alone(three_nodes());
    let nodes = ["node1", "node2", "node3"];
    // Nobody can be asked here, and nobody said yes.
    unwritten(&dom0, || {
        for (options, code) in [(&["--dry-run"][..], 0), (&[], 2)] {
            let shown = set_up(&dom0, &nodes, options).exits(code);
            for what in
                ["+ %xen-fence ALL", "+ Port 2422", "+ [nodes.node3]", "account fence-alpha"]
            {
                assert!(shown.says(what), "{what}\n{shown}");
            }
        }
    });
    let listen = ["--yes", "--listen", "10.77.0.254"];
    let first =
        set_up(&dom0, &nodes, &listen).exits(1).saying("no sshd answers at 10.77.0.254:2422");
    // Without systemd it says what starts it, and that does.
    let hint = first.stdout.lines().find_map(|line| line.split_once("at each boot: "));
    let _ = dom0.sh(hint.unwrap().1).exits(0);
    let fingerprint = dom0.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub | cut -d' ' -f2");
    let enroll = format!(
        "xen-fence enroll --dom0 fence-alpha@10.77.0.254:2422 --fingerprint {}",
        fingerprint.stdout.trim()
    );
    unwritten(&dom0, || {
        let again = set_up(&dom0, &nodes, &listen).exits(0).saying("nothing to change");
        let _ = again.saying(&enroll).saying("xen-fence check");
        let _ = dom0.on(&["xen-fence-admin", "setup"]).exits(0).saying(&enroll);
        let _ = dom0.on(&["xen-fence-admin", "acl", "apply"]).exits(0).saying("nothing to change");
    });
    for (path, mode) in [
        (RULE, 0o440),
        (CONFIG, 0o644),
        ("/etc/xen-fence/sshd_config.d/host.conf", 0o644),
        ("/usr/lib/systemd/system/xen-fence-sshd.service", 0o644),
        ("/etc/logrotate.d/xen-fence", 0o644),
        ("/etc/xen-fence/clusters.d", 0o750),
        ("/var/lib/xen-fence/journal", 0o700),
        (POLICY, 0o644),
        ("/etc/xen-fence/keys/fence-alpha", 0o644),
    ] {
        assert_eq!(dom0.mode(path), (mode, 0, 0), "{path}");
    }
    let policy = dom0.file(POLICY);
    let node2 = dom0.node("alpha", "node2");
    for said in ["domain = \"alpha-node2\"", &node2.uuid, &node2.config()] {
        assert!(policy.contains(said), "{said}\n{policy}");
    }
    let check = ask(&dom0, "alpha", "node1", &["check"]).exits(0);
    assert!(!check.says("FAIL"), "{check}");
    let _ = ask(&dom0, "alpha", "node3", &["off", "node2"]).exits(0);
}

/// What make has installed is what setup would install.
#[test]
fn what_make_has_put_there_is_right() {
    let dom0 = three_nodes().raise().unwrap();
    unwritten(&dom0, || {
        for way in ["dedicated", "match"] {
            let output = dom0.on(&["xen-fence-admin", "setup", "--sshd", way]);
            let _ = output.saying("nothing to change");
        }
    });
}

#[test]
fn a_person_is_asked_and_shown() {
    let dom0 = programs_alone(three_nodes());
    let typed = |answers: &[&str]| {
        let input: String = answers.iter().map(|answer| format!("{answer}\n")).collect();
        let words = ["script", "-qec", "xen-fence-admin setup", "/dev/null"];
        dom0.place().run_with_input(&words, input.as_bytes())
    };
    let (one, two) = (line(&dom0, "node1"), format!("--node '{}'", line(&dom0, "node2")));
    let answers = ["10.77.0.254", "alpha", "no key", &one, &two, ""];
    unwritten(&dom0, || {
        for last in [&["n"][..], &[""], &[]] {
            let _ = typed(&[&answers, last].concat()).exits(2).saying("nothing was written");
        }
    });
    let done = typed(&[&answers[..], &["y"]].concat()).saying("wrote /etc/sudoers.d/xen-fence");
    assert!(done.says("fence-alpha@10.77.0.254:2422"), "{done}");
    let policy = dom0.file(POLICY);
    assert!(policy.contains("[nodes.node2]") && !policy.contains("[nodes.node3]"), "{policy}");
    dom0.start_sshd(Sshd::Dedicated).unwrap();
    let _ = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    // All is said: nothing is asked but for consent, and for nothing without need.
    let _ = typed(&[]).exits(0).saying("nothing to change");
    // Listening everywhere is an answer, too.
    dom0.remove("/etc/xen-fence/sshd_config.d/host.conf");
    let _ = typed(&[]).saying("nothing to change");
}

#[test]
fn what_is_not_right_is_mended_and_what_may_be_a_persons_stays() {
    let dom0 = three_nodes().raise().unwrap();
    let again =
        |options: &[&str]| dom0.on(&[&["xen-fence-admin", "setup", "--yes"], options].concat());
    let rule = dom0.file(RULE);
    dom0.write(RULE, rule.replace("!pam_session, ", ""), 0o440);
    let mended = again(&[]).exits(0).saying("+ Defaults!/usr/sbin/xen-fence-broker !pam_session");
    assert!(mended.says("- Defaults!") && dom0.file(RULE) == rule, "{mended}");
    let _ = dom0.on(&["chmod", "644", RULE]).exits(0);
    let _ = again(&[]).exits(0).saying("would make /etc/sudoers.d/xen-fence root's, mode 0440");
    assert_eq!(dom0.mode(RULE), (0o440, 0, 0));
    // sshd's settings may be what a person has made of them.
    let mine = dom0.file(CONFIG).replace("LoginGraceTime 20", "LoginGraceTime 10");
    dom0.write(CONFIG, &mine, 0o644);
    let _ = again(&[]).exits(0).saying("stays").saying("+ LoginGraceTime 10");
    assert_eq!(dom0.file(CONFIG), mine);
    let other = mine.replace(
        "AuthorizedKeysCommand /usr/lib/xen-fence/xen-fence-keys",
        "AuthorizedKeysCommand /bin/true",
    );
    dom0.write(CONFIG, &other, 0o644);
    let _ = again(&[]).exits(1).saying("does not look for the keys of fence-alpha");
    dom0.write(CONFIG, &mine, 0o644);
    // sudo that reads no rules of others.
    let sudoers = dom0.file("/etc/sudoers");
    dom0.write("/etc/sudoers", sudoers.replace("@includedir", "#@includedir"), 0o440);
    let _ = again(&[]).exits(1).saying("sudo does not let fence-alpha");
    dom0.write("/etc/sudoers", sudoers, 0o440);
    unwritten(&dom0, || {
        // An address that is not dom0's, and what would make sshd listen elsewhere than a person said.
        let _ = again(&["--listen", "192.0.2.1"]).exits(1).saying("not listen at 192.0.2.1");
        let _ = dom0.on(&["chmod", "757", "/usr/sbin/xen-fence-broker"]).exits(0);
        let _ =
            again(&[]).exits(1).saying("others than root could change /usr/sbin/xen-fence-broker");
        let _ = dom0.on(&["chmod", "755", "/usr/sbin/xen-fence-broker"]).exits(0);
        let key = line(&dom0, "node1");
        let beta = ["--cluster", "beta", "--node", &key, "--domain", "node1=alpha-node1"];
        let _ = again(&beta).exits(1).saying("in common").saying("nothing was changed");
    });
    for odd in ["mkfifo", "mkdir", "ln -s /etc/passwd"] {
        let _ = dom0.sh(&format!("mv {RULE} /root/rule; {odd} {RULE}")).exits(0);
        let output = again(&[]).exits(1).saying("is not a regular file");
        assert!(output.took < Duration::from_secs(10), "{output}");
        let _ = dom0.sh(&format!("rm -r {RULE}; mv /root/rule {RULE}")).exits(0);
    }
    let nobody = "setpriv --reuid=65534 --clear-groups xen-fence-admin setup";
    let _ = dom0.sh(nobody).exits(2).saying("only root");
}

#[test]
fn where_systemd_runs_sshd_is_started_and_told() {
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        return skipped("where_systemd_runs", "there is no systemd here (package systemd)");
    }
    let dom0 = three_nodes().systemd().raise().unwrap();
    let again = |options: &[&str]| {
        dom0.on(&[&["xen-fence-admin", "setup", "--yes"], options].concat()).exits(0)
    };
    let unit = "xen-fence-sshd.service";
    let is = |what: &str| dom0.on(&["systemctl", what, unit]).code == 0;
    // It runs, and would not after the next boot.
    assert!(is("is-active") && !is("is-enabled"));
    let _ = again(&[]).saying("ran systemctl enable --now").saying("fence-alpha@");
    assert!(is("is-enabled"));
    let told = again(&["--listen", "10.77.0.254:2522"]).saying("ran systemctl reload");
    assert!(told.says("fence-alpha@10.77.0.254:2522"), "{told}");
    let seen = dom0.on(&["ssh-keyscan", "-p", "2522", "10.77.0.254"]).exits(0);
    assert!(seen.stdout.contains("ssh-ed25519"), "{seen}");
    let _ = dom0.sh(&format!("systemctl stop {unit}; rm /usr/lib/systemd/system/{unit}")).exits(0);
    let _ = again(&[]).saying("ran systemctl daemon-reload").saying("ran systemctl enable --now");
    assert!(is("is-active") && is("is-enabled"));
    let _ = again(&[]).saying("nothing to change");
    // make puts units in their places and tells systemd nothing.
    let timer = "xen-fence-log.timer";
    let update = format!("systemctl stop {timer}; touch /usr/lib/systemd/system/{unit}");
    let _ = dom0.sh(&update).exits(0);
    let told = again(&[]).saying("ran systemctl daemon-reload");
    let _ = told.saying("ran systemctl start xen-fence-log.timer");
    let _ = dom0.on(&["systemctl", "is-active", timer]).exits(0);
    let _ = again(&[]).saying("nothing to change");
}

#[test]
fn the_hosts_own_sshd_is_the_other_way() {
    let dom0 = programs_alone(three_nodes().hosts_sshd());
    let config = "/etc/ssh/sshd_config";
    let includes = dom0.file(config);
    // Beside a block that sshd tells nothing without: -T wants to be told the port.
    let another = "Match LocalPort 2200\n  X11Forwarding no\n";
    dom0.write("/etc/ssh/sshd_config.d/zz-another.conf", another, 0o644);
    dom0.write(config, includes.replace("Include", "#Include"), 0o644);
    dom0.start_sshd(Sshd::Host).unwrap();
    let way = ["--yes", "--sshd", "match"];
    let _ = set_up(&dom0, &["node1", "node2"], &way)
        .exits(1)
        .saying("needs, above all else, the line `Include");
    assert!(!dom0.has(CONFIG), "the other way was not wished");
    dom0.write(config, includes, 0o644);
    let _ = dom0.sh("pkill -HUP -x sshd").exits(0);
    settle(|| dom0.on(&["xen-fence-admin", "setup"]).code == 0);
    let _ = dom0
        .on(&["xen-fence-admin", "setup"])
        .exits(0)
        .saying("--dom0 fence-alpha@xen1 --fingerprint");
    let _ = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    let both = ["--yes", "--sshd", "match", "--listen", "10.77.0.254"];
    let _ = set_up(&dom0, &["node1"], &both).exits(1).saying("--sshd dedicated");
    // Through it the account has to get to its key file.
    let _ = dom0.on(&["chmod", "0700", "/etc/xen-fence"]).exits(0);
    let _ = dom0.on(&["xen-fence-admin", "setup", "--yes"]).exits(0).saying("put in order");
    assert_eq!(dom0.mode("/etc/xen-fence").0, 0o755);
    let text = dom0.file(config);
    for (line, hint) in [
        ("AllowGroups root", "hint: add xen-fence to allowgroups"),
        ("AllowUsers root adm*", "hint: add fence-alpha to allowusers"),
    ] {
        dom0.write(config, format!("{line}\n{text}"), 0o644);
        let _ = set_up(&dom0, &["node1"], &way).exits(1).saying(hint);
    }
    dom0.write(config, format!("AllowUsers root fence-*@10.77.0.0/24\n{text}"), 0o644);
    let _ = dom0.on(&["xen-fence-admin", "setup"]).exits(0);
    dom0.write(config, text, 0o644);
    // What sshd would not accept is not left there: the administrators come in through it.
    let block = "/etc/ssh/sshd_config.d/xen-fence.conf";
    let _ = dom0.sh(&format!("rm {block}; echo Nonsense yes >> {config}")).exits(0);
    let _ = set_up(&dom0, &["node1"], &way).exits(2).saying("Nonsense").saying("as it was before");
    assert!(!dom0.has(block));
}
