//! What a hold is, how long, and what of a file is believed.

use super::*;
use crate::clock::BootClock;

fn held(node: &str, set: i64, until: i64, on_fence: OnFence) -> Held {
    let (by, why) = ("alice".to_owned(), "upgrade".to_owned());
    Held { node: node.to_owned(), by, why, set, until, on_fence }
}

fn alpha() -> ClusterName {
    ClusterName::parse("alpha").unwrap()
}

fn node(name: &str) -> NodeName {
    NodeName::parse(name).unwrap()
}

#[test]
fn a_hold_ends_by_the_wall_clock_and_only_by_reaching_its_end() {
    let hold = held("node2", 1000, 2000, OnFence::Refuse);
    for (now, what, in_force) in [
        (1000, "just set", true),
        (1999, "its last second", true),
        (2000, "its end", false),
        (9_999_999, "a clock that was set forward", false),
        (0, "a clock that was set back, or has lost its battery", true),
    ] {
        assert_eq!(hold.is_in_force(now), in_force, "{what}");
    }
}

#[test]
fn the_word_on_the_wire_is_what_a_fence_comes_to() {
    assert_eq!(held("a", 1, 2, OnFence::Refuse).word(), Hold::Forbid);
    assert_eq!(held("a", 1, 2, OnFence::Off).word(), Hold::LeaveOff);
}

#[test]
fn every_door_hears_who_why_until_when_and_what_comes_of_it() {
    let refuse = held("node2", 1_700_000_000, 1_763_757_900, OnFence::Refuse).told(&alpha());
    assert_eq!(
        refuse,
        "node2 is held by alice until 2025-11-21T20:45:00Z (upgrade): it is neither killed nor \
         started, so its cluster does not take over and asks again; `xen-fence-admin unhold alpha \
         node2` on dom0 ends that"
    );
    let off = held("node2", 1_700_000_000, 1_763_757_900, OnFence::Off).told(&alpha());
    assert!(off.contains("a fence kills it and leaves it off"), "{off}");
}

/// The longest of everything still leaves the wire's cap on a sentence.
#[test]
fn the_longest_sentence_is_not_cut() {
    let mut hold = held(&"n".repeat(64), 1, 4_000_000_000, OnFence::Refuse);
    hold.by = "b".repeat(64);
    hold.why = "\u{f6}".repeat(33);
    assert!(is_reason(&hold.why) && !is_reason(&"\u{f6}".repeat(40)));
    let cluster = ClusterName::parse(&"c".repeat(26)).unwrap();
    let before = "the hold was set again, held on this host after the answer: ";
    let text = Text::escaped(&format!("{before}{}; nothing was touched", hold.told(&cluster)));
    assert!(!text.as_str().ends_with("[cut]"), "{text}");
}

#[test]
fn lengths_are_read_strictly() {
    for (text, seconds) in
        [("1s", 1), ("90m", 5400), ("2h", 7200), ("30d", 2_592_000), ("002h", 7200)]
    {
        assert_eq!(parse_span(text), Some(Duration::from_secs(seconds)), "{text}");
    }
    for bad in
        ["", "2", "h", "0h", "31d", "2 h", " 2h", "2H", "-2h", "+2h", "2hh", "1.5h", "1h30m", "é"]
    {
        assert_eq!(parse_span(bad), None, "{bad:?}");
    }
    let huge = format!("{}d", u64::MAX);
    assert_eq!(parse_span(&huge), None);
}

#[test]
fn reasons_are_one_line_and_say_something() {
    for (text, good) in [
        ("upgrade", true),
        ("kernel 6.1 \u{2192} 6.12", true),
        ("", false),
        ("  ", false),
        ("a\nb", false),
        ("a\x1b[31mb", false),
    ] {
        assert_eq!(is_reason(text), good, "{text:?}");
    }
    assert!(is_reason(&"x".repeat(MAX_WHY)) && !is_reason(&"x".repeat(MAX_WHY + 1)));
}

#[test]
fn a_file_is_believed_whole_or_not_at_all() {
    let path = Path::new("/var/lib/xen-fence/holds/alpha.json");
    let one = r#"{"node":"node2","by":"a","why":"b","set":1,"until":2,"on_fence":"refuse"}"#;
    let good = format!("{{\"holds\":[{one}]}}");
    assert_eq!(file::parse(path, &good).unwrap().len(), 1);
    assert!(file::parse(path, "{\"holds\":[]}").unwrap().is_empty());
    // Of a version that knows more: it holds all the same.
    let more = good.replace("\"by\"", "\"was\":1,\"by\"");
    assert_eq!(file::parse(path, &more).unwrap().len(), 1);
    let more = good.replace("{\"holds\"", "{\"form\":2,\"holds\"");
    assert_eq!(file::parse(path, &more).unwrap().len(), 1);
    for (what, text) in [
        ("nothing", String::new()),
        ("half of it", good[..good.len() / 2].to_owned()),
        ("all but its end", good[..good.len() - 1].to_owned()),
        ("something behind it", format!("{good}x")),
        ("another form", "[]".to_owned()),
        ("no holds", "{}".to_owned()),
        ("a key too few", good.replace("\"why\":\"b\",", "")),
        ("an unknown word", good.replace("refuse", "perhaps")),
        ("no name", good.replace("node2", "../x")),
        ("a time that is none", good.replace("\"until\":2", "\"until\":\"soon\"")),
        ("an end before its beginning", good.replace("\"until\":2", "\"until\":1")),
        ("a node twice", format!("{{\"holds\":[{one},{}]}}", one.replace("node2", "NODE2"))),
    ] {
        let error = file::parse(path, &text).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{} is damaged", path.display())), "{what}");
        assert!(error.hint().is_some_and(|hint| hint.contains("mv ")), "{what}");
    }
}

#[test]
fn set_and_cleared_holds_are_what_is_read() {
    if !nix::unistd::geteuid().is_root() {
        // The file has to be root's.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let holds = Holds::of(&dir.path().join("holds"), &alpha());
    assert_eq!(holds.in_force(), Ok(vec![]));
    let (set, until) = Held::times(Duration::from_secs(60));
    let first = held("Node2", set, until, OnFence::Refuse);
    assert_eq!(holds.set(first.clone(), &BootClock), Ok(None));
    assert_eq!(holds.of_node(&node("node2")), Ok(Some(first.clone())));
    assert_eq!(holds.of_node(&node("node1")), Ok(None));
    let second = held("node2", set, until + 5, OnFence::Off);
    assert_eq!(holds.set(second.clone(), &BootClock), Ok(Some(first)));
    let over = held("node3", 1, 2, OnFence::Off);
    assert_eq!(holds.set(over, &BootClock), Ok(None));
    assert_eq!(holds.in_force(), Ok(vec![second.clone()]), "what has ended is no hold");
    assert_eq!(holds.clear(&node("NODE2"), &BootClock), Ok(Some(second)));
    assert_eq!(holds.clear(&node("node2"), &BootClock), Ok(None));
    assert_eq!(holds.in_force(), Ok(vec![]));
}

#[test]
fn a_file_that_others_can_write_holds_nothing_and_is_not_written_over() {
    use std::os::unix::fs::PermissionsExt;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let holds = Holds::of(dir.path(), &alpha());
    let (set, until) = Held::times(Duration::from_secs(60));
    holds.set(held("node2", set, until, OnFence::Refuse), &BootClock).unwrap();
    let path = dir.path().join("alpha.json");
    let mode = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    mode(0o666);
    let before = std::fs::read(&path).unwrap();
    assert!(holds.of_node(&node("node2")).is_err());
    let error = holds.set(held("node1", set, until, OnFence::Refuse), &BootClock).unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.starts_with("chmod go-w ")), "{error}");
    assert!(holds.clear(&node("node2"), &BootClock).is_err());
    assert_eq!(std::fs::read(&path).unwrap(), before);
    mode(0o600);
    assert!(holds.of_node(&node("node2")).unwrap().is_some());
}
