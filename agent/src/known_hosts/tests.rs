//! Every kind of line against one host.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::os::unix::fs::PermissionsExt;

fn key(kind: &str, seed: u8) -> PublicKey {
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
    PublicKey::of_blob(&[string(kind.as_bytes()), string(&[seed; 32])].concat()).unwrap()
}

fn ed(seed: u8) -> PublicKey {
    key("ssh-ed25519", seed)
}

fn known(text: &str) -> KnownHosts {
    KnownHosts { path: PathBuf::from("/kh"), text: Some(text.to_owned()) }
}

fn pins(text: &str, endpoint: &str) -> Pins {
    // A stand-in for the HMAC: the "hash" of every test line is that of [xen1]:2422.
    let unhash = |line: &str, name: &str| line.starts_with("|1|") && name == "[xen1]:2422";
    known(text).find(&Endpoint::parse(endpoint).unwrap(), &unhash)
}

const PORTED: &str = "fence-a@xen1:2422";

#[test]
fn names_that_count() {
    let hash = STANDARD.encode([1; 20]);
    let hashed = format!("|1|{hash}|{hash}");
    for (names, endpoint, expected) in [
        ("xen1", "fence-a@xen1", true),
        ("XEN1", "fence-a@xen1", true),
        ("xen1", "fence-a@XEN1", true),
        ("xen1", PORTED, true),
        ("[xen1]:2422", PORTED, true),
        ("[xen1]:2422", "fence-a@xen1", false),
        ("[xen1]:22", "fence-a@xen1", false),
        ("xen2,[xen1]:2422,10.0.0.1", PORTED, true),
        ("xen2", PORTED, false),
        ("*", PORTED, true),
        ("[xen?]:*", PORTED, true),
        ("*,!xen1", "fence-a@xen1", false),
        ("!xen1,*", "fence-a@xen1", false),
        ("!xen2,xen1", "fence-a@xen1", true),
        ("!xen1", "fence-a@xen2", false),
        ("fd00::1", "fence-a@[fd00:0::1]", true),
        ("[fd00::1]:2422", "fence-a@[fd00::1]:2422", true),
        ("10.0.0.1", "fence-a@10.0.0.1", true),
        (hashed.as_str(), PORTED, true),
        (hashed.as_str(), "fence-a@xen1", false),
    ] {
        let text = format!("# a comment\n\n{names} {} somebody@dom0\n", ed(1).fields());
        let judged = pins(&text, endpoint).judge(&ed(1));
        assert_eq!(judged.is_ok(), expected, "{names} for {endpoint}: {judged:?}");
        if expected {
            assert_eq!(judged.unwrap(), "/kh:3");
        }
    }
}

#[test]
fn an_unknown_host_is_refused_with_the_line_that_pins_it() {
    let pins = pins("", PORTED);
    assert_eq!(pins.algorithms(), None);
    let error = pins.judge(&ed(1)).unwrap_err();
    assert_eq!(error.kind, Kind::HostKey);
    assert!(error.message.contains("/kh has no key"), "{error}");
    assert!(error.message.contains(&ed(1).fingerprint()), "{error}");
    let hints = error.hints.join("\n");
    assert!(hints.contains(&format!("[xen1]:2422 {}", ed(1).fields())), "{hints}");
    assert!(hints.contains("ssh-keyscan -p 2422 xen1 >> /kh"), "{hints}");
    assert!(hints.contains("ssh_host_ed25519_key.pub"), "{hints}");
}

#[test]
fn a_changed_key_is_refused_with_both_fingerprints() {
    let text = format!("xen1 {}\nxen1 {}\n", key("ssh-rsa", 9).fields(), ed(1).fields());
    let error = pins(&text, PORTED).judge(&ed(2)).unwrap_err();
    assert!(error.message.contains("recorded at /kh:2"), "{error}");
    assert!(error.message.contains(&ed(1).fingerprint()), "{error}");
    assert!(error.message.contains(&ed(2).fingerprint()), "{error}");
}

#[test]
fn a_line_with_the_port_beats_one_without() {
    let text = format!("xen1 {}\n[xen1]:2422 {}\n", ed(1).fields(), ed(2).fields());
    let pins = pins(&text, PORTED);
    assert_eq!(pins.judge(&ed(2)).unwrap(), "/kh:2");
    assert!(pins.judge(&ed(1)).is_err());
}

#[test]
fn several_keys_of_one_type_all_count() {
    let text = format!("xen1 {}\nxen1 {}\n", ed(1).fields(), ed(2).fields());
    let pins = pins(&text, "fence-a@xen1");
    assert_eq!(pins.judge(&ed(1)).unwrap(), "/kh:1");
    assert_eq!(pins.judge(&ed(2)).unwrap(), "/kh:2");
}

#[test]
fn revoked_keys_are_refused_in_either_order_and_under_either_name() {
    let good = format!("[xen1]:2422 {}\n", ed(1).fields());
    for revoked in ["[xen1]:2422", "xen1", "*"] {
        let revoked = format!("@revoked {revoked} {}\n", ed(1).fields());
        for text in [format!("{good}{revoked}"), format!("{revoked}{good}")] {
            let error = pins(&text, PORTED).judge(&ed(1)).unwrap_err();
            assert!(error.message.contains("is revoked at /kh:"), "{error}");
        }
    }
    let other = format!("{good}@revoked xen2 {}\n@revoked * {}\n", ed(1).fields(), ed(9).fields());
    assert!(pins(&other, PORTED).judge(&ed(1)).is_ok());
}

#[test]
fn a_revocation_that_cannot_be_read_refuses_whom_it_may_concern() {
    let good = format!("xen1 {}\n", ed(1).fields());
    for (line, expected) in [
        ("@revoked xen1 ssh-ed25519 AAAA", false),
        ("@revoked |1|x ssh-ed25519 AAAA", false),
        ("@revoked", false),
        ("@revoked xen2 ssh-ed25519 AAAA", true),
    ] {
        let judged = pins(&format!("{good}{line}\n"), "fence-a@xen1").judge(&ed(1));
        assert_eq!(judged.is_ok(), expected, "{line}: {judged:?}");
        if let Err(error) = judged {
            assert!(error.message.contains("/kh:2"), "{error}");
        }
    }
}

#[test]
fn broken_lines_are_named_and_do_not_hide_good_ones() {
    let broken = "garbage\nxen1 ssh-ed25519 !!!\n@odd xen1 ssh-ed25519 AAAA\n\
                  |1|x| ssh-rsa AAAA\nxen1 ssh-ed25519\n";
    let with_good = pins(&format!("{broken}xen1 {}\n", ed(1).fields()), "fence-a@xen1");
    assert_eq!(with_good.judge(&ed(1)).unwrap(), "/kh:6");
    let lines = with_good.broken_lines();
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(lines[0].starts_with("/kh:1: "), "{lines:?}");
    let error = pins(broken, "fence-a@xen1").judge(&ed(1)).unwrap_err();
    assert!(error.hints.iter().any(|hint| hint.contains("/kh:1")), "{error:?}");
}

#[test]
fn certificate_authorities_are_said_to_be_unsupported() {
    let text = format!("@cert-authority xen1 {}\n", ed(1).fields());
    let pins = pins(&text, "fence-a@xen1");
    assert_eq!(pins.algorithms(), None);
    let error = pins.judge(&ed(1)).unwrap_err();
    assert!(error.hints.iter().any(|hint| hint.contains("/kh:1 names a certificate authority")));
}

#[test]
fn only_the_recorded_types_are_offered() {
    let line = |kind| format!("xen1 {}\n", key(kind, 1).fields());
    for (kinds, expected) in [
        (vec!["ssh-ed25519"], Some("ssh-ed25519")),
        (vec!["ssh-rsa"], Some("rsa-sha2-512,rsa-sha2-256")),
        (
            vec!["ssh-rsa", "ecdsa-sha2-nistp256", "ssh-ed25519"],
            Some("ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512,rsa-sha2-256"),
        ),
        (vec!["ssh-dss"], None),
        (vec![], None),
    ] {
        let text: String = kinds.iter().map(|kind| line(kind)).collect();
        let pins = pins(&text, "fence-a@xen1");
        assert_eq!(pins.algorithms().as_deref(), expected);
        assert_eq!(pins.unusable().is_some(), kinds == ["ssh-dss"]);
    }
}

#[test]
fn files_missing_and_loose() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("known_hosts");
    let endpoint = Endpoint::parse(PORTED).unwrap();
    let pins = KnownHosts::read(&path).unwrap().find(&endpoint, &|_, _| false);
    let error = pins.judge(&ed(1)).unwrap_err();
    assert!(error.message.contains("does not exist"), "{error}");
    std::fs::write(&path, b"\xff\xfe\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(KnownHosts::read(&path).unwrap_err().kind, Kind::Config);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let pins = KnownHosts::read(&path).unwrap().find(&endpoint, &|_, _| false);
    assert_eq!(pins.broken_lines().len(), 1);
}

#[test]
fn two_names_with_the_same_keys_are_one_host() {
    let prints = |text: &str, host: &str| pins(text, &format!("a@{host}")).prints();
    let (ed1, ed2, rsa) = (ed(1).fields(), ed(2).fields(), key("ssh-rsa", 3).fields());
    let apart = format!("xen1 {ed1}\nxen1 {rsa}\n10.0.0.1 {rsa}\n10.0.0.1 {ed1}\n10.0.0.1 {ed1}\n");
    assert_eq!(prints(&apart, "xen1"), [ed(1).fingerprint(), key("ssh-rsa", 3).fingerprint()]);
    assert_eq!(prints(&apart, "xen1"), prints(&apart, "10.0.0.1"));
    // One pattern for two hosts, each with a key of its own.
    let pattern = format!("xen* {ed1}\nxen* {ed2}\n");
    assert!(prints(&pattern, "xen1").is_empty());
    assert!(prints("", "xen1").is_empty());
}

/// A line that is not about this host and port alone may speak of two hosts, of which one has
/// exchanged its key.
#[test]
fn only_a_line_of_its_own_says_that_two_names_are_one_host() {
    let ed1 = ed(1).fields();
    let is_own = |names: &str, host: &str| {
        !pins(&format!("{names} {ed1}\n"), &format!("a@{host}")).own_prints().is_empty()
    };
    assert!(is_own("xen1", "xen1") && is_own("xen1,10.0.0.1", "10.0.0.1"));
    assert!(is_own("[gw]:2201", "gw:2201") && is_own("XEN1", "xen1"));
    let hash = STANDARD.encode([1; 20]);
    assert!(is_own(&format!("|1|{hash}|{hash}"), "xen1:2422"));
    assert!(!is_own("xen*", "xen1") && !is_own("192.168.2.?", "192.168.2.1"));
    assert!(!is_own("gw", "gw:2201"), "two dom0s behind one address");
    let mixed = format!("xen1 {ed1}\n* {}\n", key("ssh-rsa", 3).fields());
    assert!(pins(&mixed, "a@xen1").own_prints().is_empty());
}
