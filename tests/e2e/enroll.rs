//! A node that is set up by `xen-fence enroll`: what is made and recorded, what is left alone, and what
//! nobody has compared is not recorded.

use crate::{Dom0, ask, two_clusters};
use xen_fence_tests::throwaway::Output;

const DOM0: &str = "fence-alpha@10.77.0.254:2422";
const POLICY: &str = "/etc/xen-fence/clusters.d/alpha.toml";

/// A dom0 whose node1 has the program and nothing else; what was there is in /root/before.
fn with_bare_node() -> (Dom0, String) {
    let dom0 = two_clusters().raise().unwrap();
    let etc = dom0.node("alpha", "node1").etc();
    let _ = dom0.sh(&format!("mkdir /root/before && mv {etc}/* /root/before/")).exits(0);
    (dom0, etc)
}

fn enroll(dom0: &Dom0, words: &[&str]) -> Output {
    ask(dom0, "alpha", "node1", &[&["enroll"], words].concat())
}

/// What a person reads on dom0's console.
fn fingerprint(dom0: &Dom0) -> String {
    let shown = dom0.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").exits(0).stdout;
    shown.split(' ').nth(1).unwrap().to_owned()
}

/// All that a node has, with owners and modes.
fn files(dom0: &Dom0, etc: &str) -> String {
    dom0.sh(&format!("cd {etc}; ls -Aln --time-style=+; sha256sum $(ls -A)")).stdout
}

#[test]
fn a_bare_node_is_set_up_by_one_command_and_the_lines_that_it_prints() {
    let (dom0, etc) = with_bare_node();
    let print = fingerprint(&dom0);
    let words = ["--dom0", DOM0, "--fingerprint", &print];
    // A dry run says the same and leaves nothing.
    let dry = enroll(&dom0, &[&words[..], &["--dry-run"]].concat()).exits(0);
    for said in
        ["would make the key", "would record the host key", "would write /etc/xen-fence/agent.toml"]
    {
        assert!(dry.says(said), "{said}\n{dry}");
    }
    assert_eq!(dom0.sh(&format!("ls -A {etc}")).stdout, "");

    let told = enroll(&dom0, &words).exits(0).saying(&print);
    for (file, mode) in [
        ("id_ed25519", 0o600),
        ("id_ed25519.pub", 0o644),
        ("known_hosts", 0o644),
        ("agent.toml", 0o644),
    ] {
        assert_eq!(dom0.mode(&format!("{etc}/{file}")), (mode, 0, 0), "{file}");
    }
    assert_eq!(
        dom0.sh(&format!("ls -A {etc} | wc -l")).stdout.trim(),
        "4",
        "something is left over"
    );
    assert!(dom0.file(&format!("{etc}/agent.toml")).ends_with(&format!("dom0 = [\"{DOM0}\"]\n")));
    let key = dom0.file(&format!("{etc}/id_ed25519.pub"));
    assert!(key.starts_with("ssh-ed25519 ") && key.ends_with(" node1\n"), "{key}");

    // What it prints for dom0 is what dom0 needs.
    let bare = key.trim().strip_suffix(" node1").unwrap();
    for line in [
        "[nodes.node1]",
        "# uuid = \"…\"    # this node does not know it; `xl list -v` on dom0 does",
        &format!("keys = [\"{}\"]", key.trim()),
        &format!("xen-fence-admin setup --cluster alpha --node 'node1={bare}'"),
        "xen-fence check",
    ] {
        assert!(told.stdout.lines().any(|other| other == line), "{line}\n{told}");
    }
    let before = dom0.file("/root/before/id_ed25519.pub");
    dom0.write(POLICY, dom0.file(POLICY).replace(before.trim(), key.trim()), 0o644);
    let _ = dom0.on(&["xen-fence-admin", "acl", "apply"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["check"]).exits(0);

    // Again: the same answer, and nothing is changed.
    let known = files(&dom0, &etc);
    for words in [&[][..], &words, &["--dry-run"]] {
        let again = enroll(&dom0, words).exits(0);
        assert_eq!(again.stdout, told.stdout, "{again}");
        assert_eq!(files(&dom0, &etc), known, "{again}");
    }
    let object = enroll(&dom0, &["--json"]).exits(0);
    let object: serde_json::Value = serde_json::from_str(&object.stdout).unwrap();
    assert_eq!(
        (&object["node"], &object["cluster"]),
        (&"node1".into(), &"alpha".into()),
        "{object}"
    );
    assert_eq!((&object["key"], &object["result"]), (&bare.into(), &"enrolled".into()), "{object}");
}

#[test]
fn no_host_key_is_recorded_that_nobody_has_compared() {
    let (dom0, etc) = with_bare_node();
    let print = fingerprint(&dom0);
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let blind = enroll(&dom0, &["--dom0", DOM0]).exits(5).saying(&print);
    let command = format!("xen-fence enroll --dom0 {DOM0} --fingerprint {print}");
    assert!(blind.says(&command) && blind.says("nobody is there to compare it"), "{blind}");
    // The key is made, and what dom0 needs is printed: its owner need not wait.
    assert!(blind.says("[nodes.node1]") && !blind.says("# Then, here:"), "{blind}");
    let _ = enroll(&dom0, &["--dom0", DOM0, "--fingerprint", other]).exits(5).saying(&print);
    let _ = enroll(&dom0, &["--dom0", DOM0, "--fingerprint", "MD5:00"]).exits(2);
    let at_terminal = |answer: &str| {
        let line = format!("script -qec 'xen-fence enroll --dom0 {DOM0}' /dev/null");
        dom0.in_node("alpha", "node1").run_with_input(&["sh", "-c", &line], answer.as_bytes())
    };
    for answer in ["no\n", "y\n", "\n"] {
        let _ = at_terminal(answer).exits(5).saying(&print).saying("Is it the same? [yes/no]");
    }
    for file in ["known_hosts", "agent.toml"] {
        assert!(!dom0.has(&format!("{etc}/{file}")), "{file}");
    }
    let _ = at_terminal("yes\n").exits(0).saying(&print);
    assert!(dom0.has(&format!("{etc}/known_hosts")) && dom0.has(&format!("{etc}/agent.toml")));
}

#[test]
fn what_is_there_is_not_replaced() {
    let (dom0, etc) = with_bare_node();
    let print = fingerprint(&dom0);
    let words = ["--dom0", DOM0, "--fingerprint", &print];
    // Another host key for dom0, a revoked one, a key file that others may read, a broken agent.toml.
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE7O2UcS2k4zX1vY0rkJmQ0p4yq0Wq2bJ6q3f0bN1c2d";
    let own = dom0.file("/etc/ssh/ssh_host_ed25519_key.pub");
    for (file, text, mode, code) in [
        ("known_hosts", format!("[10.77.0.254]:2422 {other}\n"), 0o644, 5),
        ("known_hosts", format!("@revoked * {own}"), 0o644, 5),
        ("known_hosts", String::new(), 0o666, 2),
        ("id_ed25519", dom0.file("/root/before/id_ed25519"), 0o644, 2),
        ("id_ed25519", "no key".to_owned(), 0o600, 2),
        ("agent.toml", "nothing = 1\n".to_owned(), 0o644, 2),
    ] {
        let path = format!("{etc}/{file}");
        dom0.write(&path, &text, mode);
        let refused = enroll(&dom0, &words).exits(code);
        assert_eq!((dom0.file(&path), dom0.mode(&path).0), (text, mode), "{refused}");
        let _ = dom0.sh(&format!("rm -f {etc}/*"));
    }
    // What a person wrote stays, and the line is put before it.
    let settings = format!("{etc}/agent.toml");
    dom0.write(&settings, "# mine\ntimeout = 30\n[pins]\n", 0o640);
    dom0.write(&format!("{etc}/known_hosts"), "# mine, too", 0o644);
    let _ = enroll(&dom0, &words).exits(0);
    let line = format!("dom0 = [\"{DOM0}\"]\n");
    assert_eq!(dom0.file(&settings), format!("{line}# mine\ntimeout = 30\n[pins]\n"));
    assert_eq!(dom0.mode(&settings), (0o640, 0, 0));
    assert!(
        dom0.file(&format!("{etc}/known_hosts")).starts_with("# mine, too\n[10.77.0.254]:2422 ")
    );
    // A public key that is another's is named.
    dom0.write(&format!("{etc}/id_ed25519.pub"), other, 0o644);
    let _ = enroll(&dom0, &words).exits(0).saying("id_ed25519.pub is of another key");
    // Another dom0 is recorded, and named for a person to add.
    let second = ["--dom0", "fence-alpha@xen1:2422", "--fingerprint", &print];
    let _ = enroll(&dom0, &second).exits(0).saying("does not name \"fence-alpha@xen1:2422\"");
    assert!(dom0.file(&settings).starts_with(&line));
}

/// Where the system's own file has dom0's key, nobody is asked; a file of our own would take its place.
#[test]
fn what_the_systems_known_hosts_have_is_enough_or_comes_along() {
    let (dom0, etc) = with_bare_node();
    let (own, print) = (dom0.file("/etc/ssh/ssh_host_ed25519_key.pub"), fingerprint(&dom0));
    dom0.write("/etc/ssh/ssh_known_hosts", format!("[10.77.0.254]:2422 {own}"), 0o644);
    let _ = enroll(&dom0, &["--dom0", DOM0]).exits(0).saying("/etc/ssh/ssh_known_hosts:1");
    assert!(!dom0.has(&format!("{etc}/known_hosts")));
    let both = ["--dom0", DOM0, "--dom0", "fence-alpha@xen1:2422", "--fingerprint", &print];
    let _ = enroll(&dom0, &both).exits(0);
    let known = dom0.file(&format!("{etc}/known_hosts"));
    let names: Vec<&str> = known.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["[10.77.0.254]:2422", "[xen1]:2422"], "{known}");
    assert_eq!(dom0.file("/etc/ssh/ssh_known_hosts"), format!("[10.77.0.254]:2422 {own}"));
}

#[test]
fn what_cannot_be_is_said_before_anything_is_made() {
    let (dom0, etc) = with_bare_node();
    for (words, said) in [
        (&[][..], "no dom0 is named"),
        (&["--dom0", "root@10.77.0.254"], "no cluster's"),
        (&["--dom0", "fence-alpha@h1", "--dom0", "fence-beta@h2"], "two clusters"),
        (&["node1", "node2", "--dom0", DOM0], "this node alone"),
        (&["-f", "--dom0", DOM0], "unexpected argument"),
        (&["--nagios", "--dom0", DOM0], "not for enroll"),
    ] {
        let _ = enroll(&dom0, words).exits(2).saying(said);
        assert_eq!(dom0.sh(&format!("ls -A {etc}")).stdout, "", "{words:?}");
    }
    // A dom0 that is not there yet: the key is made, and the next run does the rest.
    let away =
        enroll(&dom0, &["--dom0", "fence-alpha@10.77.0.254:2423", "--timeout", "5"]).exits(4);
    assert!(away.says("[nodes.node1]") && dom0.has(&format!("{etc}/id_ed25519")), "{away}");
    assert!(!dom0.has(&format!("{etc}/agent.toml")));
}

/// A guest whose kernel knows its UUID says it, under the name that is asked for.
#[test]
fn a_uuid_that_the_kernel_knows_stands_in_the_table() {
    let (dom0, _) = with_bare_node();
    let (uuid, print) = (dom0.node("alpha", "node1").uuid.clone(), fingerprint(&dom0));
    let line = format!(
        "echo {uuid} >/tmp/uuid; mount --bind /tmp/uuid /sys/hypervisor/uuid; \
         xen-fence enroll n1.example --dom0 {DOM0} --fingerprint {print}"
    );
    let told = dom0.in_node("alpha", "node1").run(&["unshare", "-m", "sh", "-c", &line]).exits(0);
    let told = told.saying(&format!("[nodes.\"n1.example\"]\nuuid = \"{uuid}\"\nkeys = "));
    let _ = told.saying("--node 'n1.example=ssh-ed25519 ");
}
