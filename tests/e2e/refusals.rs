//! Bad input: each refused and recorded with its own reason, the exit code as the table says, and
//! nothing touched.

use crate::{Dom0, Shared, WIRE, ask, recorded, settle, untouched};
use xen_fence_tests::throwaway::Output;

static SHARED: Shared = Shared::new();

const ID: &str = "0123456789abcdef0123456789abcdef";

/// Sends these bytes to the broker; the answer is in the output.
fn wire(dom0: &Dom0, bytes: &[u8]) -> Output {
    dom0.in_node("alpha", "node1").run_with_input(&WIRE, bytes)
}

/// The last line of the answer.
fn reply(output: &Output) -> String {
    output.stdout.lines().last().unwrap_or_default().to_owned()
}

#[test]
fn unknown_and_not_yours_are_one_answer() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let mut answers = Vec::new();
        for node in ["nobody", "db1", "Domain-0", "0", "12"] {
            let line = format!("xen-fence/1 request {ID} off {node}\n");
            let answer = reply(&wire(&dom0, line.as_bytes()));
            assert!(answer.contains(" refused "), "{node}: {answer}");
            assert!(answer.contains(" not-yours "), "{node}: {answer}");
            answers.push(answer);
        }
        assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:#?}");
        for node in ["nobody", "db1", "Domain-0", "0", "12"] {
            let _ = ask(&dom0, "alpha", "node1", &["reset", node]).exits(3);
            assert!(recorded(&dom0, "alpha", &["not-yours", node]), "{node} is not on record");
        }
    });
}

#[test]
fn what_is_no_name_is_a_mistake_at_the_keyboard() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let long = "x".repeat(10_000);
        for node in ["-f", "../x", "", "a b", "n\u{f6}de", "a\nb", &long] {
            let _ = ask(&dom0, "alpha", "node1", &["off", "--", node]).exits(2);
        }
        let _ = ask(&dom0, "alpha", "node1", &["destroy", "node2"]).exits(2);
        let _ = ask(&dom0, "alpha", "node1", &["off"]).exits(2);
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2", "--no-such-thing"]).exits(2);
    });
}

#[test]
fn malformed_lines_are_refused() {
    let dom0 = SHARED.take();
    let request = |tail: &str| format!("xen-fence/1 request {ID} {tail}").into_bytes();
    let mut long = request("off ");
    long.resize(10_000, b'x');
    long.push(b'\n');
    let (name, byte) = ("the name is not a letter or digit", "the line holds the byte 0x");
    let cases: Vec<(&str, Vec<u8>, String)> = vec![
        ("an option for a name", request("off -f\n"), name.to_owned()),
        ("a path for a name", request("off ../x\n"), name.to_owned()),
        ("a line of 10 kB", long, "longer than 256 bytes".to_owned()),
        ("a NUL byte", request("off no\0de2\n"), format!("{byte}00")),
        ("a control byte", request("off node2\x07\n"), format!("{byte}07")),
        ("a carriage return", request("off node2\r\n"), format!("{byte}0d")),
        ("UTF-8", request("off n\u{f6}de2\n"), format!("{byte}c3")),
        ("an empty line", b"\n".to_vec(), "the line is empty".to_owned()),
        ("an unknown action", request("destroy node2\n"), "the action is not known".to_owned()),
        (
            "an unknown version",
            format!("xen-fence/9 request {ID} off node2\n").into_bytes(),
            "another protocol version".to_owned(),
        ),
        ("another language", b"GET / HTTP/1.1\n".to_vec(), "does not begin with".to_owned()),
        ("a field too many", request("off node2 now\n"), "something follows the line".to_owned()),
        ("two spaces", request("off  node2\n"), "field \"node\" is missing".to_owned()),
        (
            "an id too short",
            b"xen-fence/1 request abc off node2\n".to_vec(),
            "request id is not 32".to_owned(),
        ),
        ("a list with a node", request("list node2\n"), "list and monitor name none".to_owned()),
        ("an off without a node", request("off -\n"), "status name a node".to_owned()),
        ("no newline", request("off node2"), "does not end with a newline".to_owned()),
    ];
    untouched(&dom0, || {
        for (what, bytes, why) in &cases {
            let before = dom0.journal("alpha").len();
            let answer = reply(&wire(&dom0, bytes));
            assert!(answer.contains(" refused "), "{what}: {answer}");
            assert!(answer.contains(" malformed "), "{what}: {answer}");
            assert!(answer.contains(why), "{what}: {answer}");
            let records = dom0.journal("alpha").split_off(before);
            assert_eq!(records.len(), 1, "{what}: {records:#?}");
            assert_eq!(records[0]["event"], "refused", "{what}");
            assert_eq!(records[0]["result"], "malformed", "{what}");
            let text = records[0]["text"].as_str().unwrap();
            assert!(text.contains(why), "{what}: {text}");
        }
    });
}

#[test]
fn what_comes_before_ready_is_early() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        for (second, why) in [
            (format!("xen-fence/1 go {ID}\n"), "go came before ready"),
            (format!("xen-fence/1 request {ID} off node2\n"), "a second request came"),
        ] {
            let known = dom0.journal("alpha").len();
            let both = format!("xen-fence/1 request {ID} off node2\n{second}");
            let answer = reply(&wire(&dom0, both.as_bytes()));
            assert!(answer.contains(" early ") && answer.contains(why), "{second}: {answer}");
            let records = dom0.journal("alpha").split_off(known);
            assert_eq!(records.len(), 1, "{records:#?}");
            assert_eq!(records[0]["result"], "early");
            assert!(records[0]["text"].as_str().unwrap().contains(why), "{records:#?}");
        }
    });
}

#[test]
fn silence_after_ready_kills_nobody() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        let mut session = dom0.in_node("alpha", "node1").spawn(&WIRE);
        session.send(format!("xen-fence/1 request {ID} off node2\n").as_bytes());
        settle(|| !session.is_running());
        let output = session.wait();
        assert!(output.stdout.contains(" ready "), "{output}");
        assert!(output.stdout.contains(" no-go "), "{output}");
        assert!(!output.stdout.contains(" fenced "), "{output}");
        assert!(recorded(&dom0, "alpha", &["no-go"]));
    });
}

#[test]
fn a_shell_is_not_to_be_had() {
    let dom0 = SHARED.take();
    for command in ["", "sh", "xen-fence/1; id", "xen-fence/1 serve", "xen-fence/2"] {
        let mut words = WIRE[..WIRE.len() - 1].to_vec();
        words.extend(Some(command).filter(|command| !command.is_empty()));
        let _ = dom0.in_node("alpha", "node1").run(&words).exits(64).saying("xen-fence");
    }
    // Nor has the account another way to root.
    for line in ["-n id", "-n /usr/sbin/xen-fence-broker", "-n /usr/sbin/xen-fence-broker serve x"]
    {
        let output = dom0.sh(&format!(
            "setpriv --reuid fence-alpha --regid xen-fence --clear-groups sudo {line}"
        ));
        assert_ne!(output.code, 0, "{output}");
        assert!(!output.stdout.contains("uid=0"), "{output}");
    }
}

#[test]
fn a_broken_policy_refuses_its_cluster_and_no_other() {
    let dom0 = SHARED.take();
    let path = "/etc/xen-fence/clusters.d/alpha.toml";
    let good = dom0.file(path);
    let line = 1 + good.lines().position(|line| line.starts_with("uuid = ")).unwrap();
    untouched(&dom0, || {
        dom0.write(path, good.replacen("uuid = ", "uuhd = ", 1), 0o644);
        let heard = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(3).saying("policy");
        // Line and column, and the caret before what is meant, for root; nothing of it for a guest.
        let place = format!("{path}:{line}:1: unknown key `uuhd`");
        let line_of_it = "^uuhd = ";
        for secret in ["uuhd", "alpha.toml", "clusters.d", "unknown key", "^", "5eed", ":1"] {
            assert!(!heard.says(secret), "the guest hears of {secret}\n{heard}");
        }
        let _ = dom0
            .on(&["xen-fence-admin", "acl", "check"])
            .saying(&place[..place.len() - " unknown key `uuhd`".len()])
            .saying("unknown key `uuhd`")
            .saying("uuhd = ")
            .saying("^^^^");
        settle(|| dom0.syslog().contains(&place) && dom0.syslog().contains(line_of_it));
        let records = dom0.journal("alpha");
        let text = records.last().unwrap()["text"].as_str().unwrap();
        assert!(text.starts_with(&place) && text.contains(line_of_it), "{text}");
        let _ = ask(&dom0, "beta", "db1", &["status", "db2"]).exits(0);
        for (mode, why) in [(0o666, "writable by all"), (0o664, "writable by its group")] {
            dom0.write(path, &good, mode);
            let refused = ask(&dom0, "alpha", "node1", &["off", "node2"]);
            assert_eq!(refused.code, 3, "{why}\n{refused}");
        }
        dom0.remove(path);
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(3);
    });
    dom0.write(path, &good, 0o644);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
}

#[test]
fn a_revoked_key_is_dead_at_once() {
    let dom0 = SHARED.take();
    let path = "/etc/xen-fence/clusters.d/alpha.toml";
    let good = dom0.file(path);
    let key = dom0.file(&format!("{}/id_ed25519.pub", dom0.node("alpha", "node1").etc()));
    let revoked = good.replace(
        key.trim(),
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE7O2UcS2k4zX1vY0rkJmQ0p4yq0Wq2bJ6q3f0bN1c2d other",
    );
    // sshd's key file still has it: the broker looks again.
    untouched(&dom0, || {
        dom0.write(path, &revoked, 0o644);
        let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(3);
        dom0.write(path, &good, 0o644);
    });
}
