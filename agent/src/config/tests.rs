//! What a file and a command line mean, and what is refused in them.

use super::*;

fn parse(text: &str) -> Result<File, Error> {
    File::parse(text, Path::new("/a.toml"))
}

#[test]
fn a_whole_file() {
    let file = parse(
        "dom0 = [\"fence-alpha@xen1:2422\", \"fence-alpha@[fd00::1]\"]\n\
         identity = \"/k\"\nknown_hosts = \"/h\"\ntimeout = 20\n\
         [pins]\nNode2 = [\"xen1\"]\n\"a.b\" = [\"xen1\", \"fd00::1\"]\n",
    )
    .unwrap();
    assert_eq!(file.dom0s.len(), 2);
    assert_eq!(file.identity.as_deref(), Some(Path::new("/k")));
    assert_eq!(file.known_hosts.as_deref(), Some(Path::new("/h")));
    assert_eq!(file.timeout, Some(20));
    let pins = |node: &str| file.pins.get(&NodeName::parse(node).unwrap()).cloned();
    assert_eq!(pins("node2"), Some(vec!["xen1".to_owned()]));
    assert_eq!(pins("a.b").map(|hosts| hosts.len()), Some(2));
    assert!(parse("").unwrap().dom0s.is_empty());
}

#[test]
fn the_example_is_sound_and_has_every_key() {
    let example = include_str!("../../agent.toml");
    parse(example).unwrap();
    let uncommented: String = example
        .lines()
        .map(|line| line.strip_prefix("#= ").unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let file = parse(&uncommented).unwrap();
    assert!(!file.dom0s.is_empty());
    assert!(file.identity.is_some() && file.known_hosts.is_some() && file.timeout.is_some());
    assert!(file.account.is_some() && !file.pins.is_empty());
}

#[test]
fn errors_have_line_column_and_caret() {
    for (text, start, why, caret) in [
        ("timeout = 20\ndom = []\n", "/a.toml:2:1: ", "unknown field", "\n  dom = []\n  ^"),
        ("dom0 = [\"xen1\"]", "/a.toml:1:9: ", "the account is missing", "\n          ^"),
        ("account = \"a b\"", "/a.toml:1:11: ", "not a user name", "^"),
        ("timeout = 0", "/a.toml:1:11: ", "from 1 to 3600", "^"),
        ("timeout = \"x\"", "/a.toml:1:11: ", "invalid type", "^"),
        ("identity = \"k\"", "/a.toml:1:12: ", "begin with a /", "^"),
        ("a = ", "/a.toml:1:", "", "^"),
        ("[pins]\n\"a b\" = [\"x\"]", "/a.toml:2:1: ", "not a node", "\n  ^"),
        ("[pins]\na = []", "/a.toml:2:5: ", "leave the line out", "^"),
        ("[pins]\na = [\"x\"]\nA = [\"x\"]", "/a.toml:", "twice", "^"),
        ("[pins]\na = \"x\"", "/a.toml:2:5: ", "", "^"),
        ("timeout = 1\ntimeout = 2", "/a.toml:2:1: ", "duplicate", "^"),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.starts_with(start), "{text}: {error}");
        assert!(error.message.contains(why), "{text}: {error}");
        assert!(error.message.ends_with(caret), "{text}: {error}");
    }
}

#[test]
fn the_account_fills_a_dom0_without_one() {
    let file = parse("account = \"fence-alpha\"\ndom0 = [\"xen1:2422\", \"b@xen2\"]").unwrap();
    let expected = ["fence-alpha@xen1:2422", "b@xen2"].map(|dom0| Endpoint::parse(dom0).unwrap());
    assert_eq!(file.dom0s, expected);
}

#[test]
fn the_command_line_wins() {
    use clap::Parser;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    std::fs::write(&path, "dom0 = [\"a@x\"]\nidentity = \"/k\"\ntimeout = 20\n").unwrap();
    let config = path.to_str().unwrap();
    let load = |more: &[&str]| {
        let line = [&["xen-fence", "list", "--config", config], more].concat();
        Settings::load(&crate::cli::Cli::try_parse_from(line).unwrap().wishes())
    };
    let settings = load(&[]).unwrap();
    assert_eq!(settings.timeout, Duration::from_secs(20));
    assert_eq!(settings.identity, Path::new("/k"));
    let settings = load(&["--timeout", "3", "--dom0", "b@y", "--identity", "o"]).unwrap();
    assert_eq!(settings.timeout, Duration::from_secs(3));
    assert_eq!(settings.identity, Path::new("o"));
    assert_eq!(settings.dom0s, [Endpoint::parse("b@y").unwrap()]);
    assert_eq!(load(&["--dom0", "y"]).unwrap_err().kind, Kind::Usage);
    assert_eq!(load(&["--dom0", "a@y", "--dom0", "a@y:22"]).unwrap_err().kind, Kind::Usage);
    std::fs::remove_file(&path).unwrap();
    let error = load(&[]).unwrap_err();
    assert!(error.message.contains("does not exist"), "{error}");

    std::fs::write(&path, "dom0 = [\"a@x\"]\n[pins]\nnode2 = [\"x\"]\n").unwrap();
    assert_eq!(load(&[]).unwrap().pins.len(), 1);
    let error = load(&["--dom0", "a@y"]).unwrap_err();
    assert_eq!(error.kind, Kind::Config);
    assert!(error.message.contains("node2 is pinned to x"), "{error}");
}
