//! The policy files under tests/data/acl, and the details that a file cannot show by itself.

use super::*;
use crate::acl::Brake;
use crate::names::Uuid;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

fn data(kind: &str) -> Vec<(PathBuf, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/acl").join(kind);
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn valid(file: &str) -> Cluster {
    let (_, text) =
        data("valid").into_iter().find(|(path, _)| path.file_stem().unwrap() == file).unwrap();
    parse(&alpha(), &text).unwrap()
}

fn alpha() -> ClusterName {
    ClusterName::parse("alpha").unwrap()
}

fn name(text: &str) -> NodeName {
    NodeName::parse(text).unwrap()
}

#[test]
fn every_valid_file_is_accepted() {
    for (path, text) in data("valid") {
        if let Err(error) = parse(&alpha(), &text) {
            panic!("{}: {error}", path.display());
        }
    }
}

/// Each file says in its first line where it is refused and with which words.
#[test]
fn every_invalid_file_is_refused_at_its_place_and_with_its_reason() {
    let mut wrong = String::new();
    for (path, text) in data("invalid") {
        let file = path.file_name().unwrap().to_str().unwrap();
        let wanted = text.lines().next().unwrap().strip_prefix("# refused: ").unwrap();
        let (place, words) = wanted.split_once(": ").unwrap_or((wanted, ""));
        let error = parse(&alpha(), &text).map(|_| ()).expect_err(file);
        let found = error.place().unwrap();
        let at = format!("{}:{}", found.line, found.column);
        if at != place || !error.message().contains(words) {
            wrong.push_str(&format!("{file}: {error}\n"));
        }
        let shown = error.to_string();
        assert!(shown.contains("clusters.d/alpha.toml:") && shown.contains("\n  "), "{shown}");
        assert!(!error.one_line().contains('\n') && error.one_line().contains('^'), "{file}");
        assert!(!error.short().contains("toml"), "a guest hears nothing of the file");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The example that is installed, and the one that is copied first.
#[test]
fn the_example_is_a_policy_and_shows_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("host/examples/alpha.toml");
    let text = fs::read_to_string(path).unwrap();
    let cluster = parse(&alpha(), &text).unwrap();
    assert!(cluster.from().is_some() && cluster.brake().is_some());
    for key in ["domain", "uuid", "config", "keys", "targets", "from", "actions", "brake"] {
        assert!(text.contains(&format!("\n{key} ")), "{key}");
    }
}

#[test]
fn what_the_file_says_is_what_the_cluster_holds() {
    let cluster = valid("everything");
    assert_eq!(cluster.account(), "fence-alpha");
    assert_eq!(cluster.from().unwrap().len(), 3);
    let brake = cluster.brake().unwrap();
    assert_eq!((brake.count(), brake.window()), (3, Duration::from_secs(600)));
    assert_eq!(brake.to_string(), "3 resets in 10m");
    let names: Vec<_> = cluster.nodes().iter().map(|node| node.name().as_str()).collect();
    assert_eq!(names, ["node1", "Node2.example"], "in the order of the file");

    let node1 = cluster.node(&name("NODE1")).unwrap();
    assert_eq!(node1.domain().as_str(), "alpha-node1");
    assert_eq!(node1.uuid(), Uuid::parse("0F6A1B2C-0000-4000-8000-000000000001").unwrap());
    assert_eq!(node1.config(), Some(Path::new("/etc/xen/alpha-node1.cfg")));
    assert!(node1.targets().include(&name("node2.EXAMPLE")));
    let node2 = cluster.node(&name("node2.example")).unwrap();
    assert_eq!((node2.config(), node2.keys().len()), (None, 2));
    assert_eq!(*node2.targets(), Targets::Default);

    let desk = cluster.operator(&name("desk")).unwrap();
    assert!(desk.targets().include(&name("node1")) && !desk.targets().include(&name("desk")));
    assert!(cluster.operator(&name("node1")).is_none());
}

#[test]
fn the_domain_is_the_nodes_name_where_the_file_names_none() {
    let cluster = valid("the-least");
    assert_eq!(cluster.nodes()[0].domain().as_str(), "node1");
    assert!(cluster.from().is_none() && cluster.brake().is_none());
}

#[test]
fn a_cluster_has_at_most_so_many_nodes() {
    let nodes = |count: usize| {
        let table = |i: usize| {
            let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0 ".to_vec();
            blob.extend_from_slice(&[0; 30]);
            blob.extend_from_slice(&u16::try_from(i).unwrap().to_be_bytes());
            let key = STANDARD.encode(blob);
            format!(
                "[nodes.n{i}]\nuuid = \"0f6a1b2c-0000-4000-8000-{i:012}\"\n\
                 keys = [\"ssh-ed25519 {key}\"]\n"
            )
        };
        let tables: String = (0..count).map(table).collect();
        parse(&alpha(), &format!("actions = []\n{tables}"))
    };
    assert_eq!(nodes(MAX_NODES).unwrap().nodes().len(), MAX_NODES);
    let error = nodes(MAX_NODES + 1).unwrap_err();
    assert!(error.message().contains("more than 256 nodes"), "{error}");
}

#[test]
fn brakes_are_read_strictly() {
    for (text, count, seconds) in [
        ("1 reset in 1s", 1, 1),
        ("1000 resets in 168h", 1000, 604_800),
        ("5 resets in 2h", 5, 7200),
    ] {
        let brake = Brake::parse(text).unwrap();
        assert_eq!((brake.count(), brake.window().as_secs()), (count, seconds), "{text}");
        assert_eq!(brake.to_string(), text);
    }
    for bad in [
        "",
        " ",
        "3",
        "3 resets in ",
        "3 resets in m",
        "3  resets in 1m",
        "3 resets in 1m ",
        "3 resets in 1 m",
        "3 resets in 169h",
        "1001 resets in 1m",
        "-1 resets in 1m",
        "3 resets in é",
    ] {
        assert_eq!(Brake::parse(bad), None, "{bad:?}");
    }
}

#[test]
fn a_missing_file_is_told_from_a_broken_one() {
    let dir = tempfile::tempdir().unwrap();
    let missing = load(&dir.path().join("no"), &alpha()).unwrap_err();
    assert!(missing.is_missing() && missing.place().is_none(), "{missing}");
    assert!(!parse(&alpha(), "").unwrap_err().is_missing());
}

/// Half a file, or one with a byte exchanged, is a policy or is refused; nothing else happens.
#[test]
fn torn_and_damaged_files_do_not_panic() {
    let (_, text) =
        data("valid").into_iter().find(|(path, _)| path.ends_with("everything.toml")).unwrap();
    let step = 7;
    for at in (0..text.len()).step_by(step) {
        for damaged in [
            text[..at].to_owned(),
            text[at..].to_owned(),
            format!("{}\u{e9}{}", &text[..at], &text[at + 1..]),
            format!("{}]{}", &text[..at], &text[at + 1..]),
            format!("{}\0{}", &text[..at], &text[at..]),
        ] {
            if let Err(error) = parse(&alpha(), &damaged) {
                assert!(!error.to_string().is_empty() && !error.one_line().contains('\n'));
            }
        }
    }
}
