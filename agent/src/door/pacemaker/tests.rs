//! What a fence agent is told, and what that means here.

use super::*;
use xen_fence_protocol::{AGENT_DEADLINE, GO_BY};

fn agent(text: &str) -> Result<Agent, Error> {
    Agent::of(&Given::of_text(text), Moment::now())
}

fn why(text: &str) -> String {
    agent(text).err().map(|error| error.message).unwrap_or_default()
}

#[test]
fn actions_are_named_in_any_case() {
    for (word, deed) in [
        ("off", Deed::Off),
        ("OFF", Deed::Off),
        ("reboot", Deed::Reboot),
        ("meta-data", Deed::Metadata),
        ("list-status", Deed::ListStatus),
        ("validate-all", Deed::ValidateAll),
    ] {
        assert_eq!(Deed::parse(word).unwrap(), deed);
    }
    for word in ["", "enable", "disable", "diag", "offf", "on off"] {
        let error = Deed::parse(word).unwrap_err();
        assert!(error.message.contains("unsupported action"), "{error}");
    }
    assert_eq!(agent("plug=node2").unwrap().deed, Deed::Reboot, "by the contract");
}

#[test]
fn plugs_are_nodes() {
    let names = |text: &str| -> Vec<String> {
        agent(text).unwrap().nodes.iter().map(ToString::to_string).collect()
    };
    assert_eq!(names("plug=node2"), ["node2"]);
    assert_eq!(names("port=node2, node3,NODE2,"), ["node2", "node3"]);
    assert_eq!(names("nodename=node2\nplug=other"), ["other"]);
    assert_eq!(names("nodename=node2"), ["node2"]);
    assert!(names("action=monitor").is_empty());
    assert!(why("plug=a b").contains("not a node"));
    assert!(agent("action=off").unwrap().named().is_err());
}

#[test]
fn dom0_is_named_in_our_way_or_in_the_fields() {
    let wishes = |text: &str| agent(text).unwrap().wishes;
    assert_eq!(wishes("dom0=a@x:1 b@y").dom0, ["a@x:1", "b@y"]);
    assert_eq!(wishes("ip=xen1\nipport=2422").dom0, ["xen1:2422"]);
    assert_eq!(wishes("ip=fd00::1\nipport=2422").dom0, ["[fd00::1]:2422"]);
    assert_eq!(wishes("ipaddr=xen1\nlogin=fence-a").account.as_deref(), Some("fence-a"));
    assert!(wishes("plug=node2").dom0.is_empty());
    assert!(why("dom0=a@x\nip=y").contains("both"));
}

#[test]
fn deadlines_are_those_of_the_action() {
    let timeout = |text: &str| agent(text).unwrap().wishes.timeout;
    let all = "timeout=30\npower_timeout=40\nlogin_timeout=5";
    assert_eq!(timeout(&format!("action=off\nplug=a\n{all}")), Some(40));
    assert_eq!(timeout(&format!("action=monitor\n{all}")), Some(5));
    assert_eq!(timeout("action=off\nplug=a\nlogin_timeout=5\ntimeout=30"), Some(30));
    assert_eq!(timeout("action=off\nplug=a"), None);
    for action in ["reboot\nplug=a", "validate-all", "monitor"] {
        assert!(why(&format!("action={action}\npower_timeout=never")).contains("power-timeout"));
    }
    assert_eq!(agent("delay=3").unwrap().delay, Duration::from_secs(3));
    for none in ["0", "0s", "00"] {
        assert_eq!(agent(&format!("delay={none}")).unwrap().delay, Duration::ZERO);
    }
    assert!(agent("action=metadata\ndelay=x\ndom0=a\nip=b\nplug=a b").is_ok());
}

#[test]
fn pacemaker_finds_its_words_where_they_belong() {
    let late = in_pacemakers_words(true, "xen1 said nothing");
    assert!(late.contains("timed out"), "{late}");
    let known = "the connection timed out";
    assert_eq!(in_pacemakers_words(true, known), known);
    let too_long = "/a.toml:1:1: the timeout is over 3600 s";
    assert_eq!(in_pacemakers_words(true, too_long), too_long);
    for (reason, said) in [
        (
            "xen1 refused: its time is over, it timed out",
            "xen1 refused: its time is over, it ran out of time",
        ),
        ("connection Timed Out", "connection ran out of time"),
        // A parameter of that name is no deadline that passed.
        (
            "/a.toml:1:1: the timeout is not from 1 to 3600 seconds",
            "/a.toml:1:1: the time limit is not from 1 to 3600 seconds",
        ),
        (
            "power-timeout is not from 1 to 3600 seconds",
            "power time limit is not from 1 to 3600 seconds",
        ),
        ("\u{e4} login_Timeout, TIMEOUT", "\u{e4} login time limit, time limit"),
        ("xen1 refused: policy", "xen1 refused: policy"),
    ] {
        assert_eq!(in_pacemakers_words(false, reason), said);
    }
}

#[test]
fn names_that_pacemaker_passes_over_are_known() {
    for node in ["variable1", "db-invalid", "on", "OFF"] {
        assert!(is_passed_over(node), "{node}");
    }
    for node in ["node1", "Variable1", "one", "offline"] {
        assert!(!is_passed_over(node), "{node}");
    }
}

/// Pacemaker calls again as long as 0.7 of its 60 s have not passed.
#[test]
fn what_is_late_ends_when_it_is_not_called_again() {
    let again = Duration::from_secs(42);
    assert!(LATE_NO_SOONER > again && GO_BY < again && AGENT_DEADLINE > LATE_NO_SOONER);
}
