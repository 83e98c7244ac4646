//! check and monitor say what a fence would do, and do nothing.

mod mended;

use crate::{Dom0, Shared, ask, recorded, two_clusters};
use std::sync::MutexGuard;
use std::time::Duration;
use xen_fence_tests::throwaway::{Output, Syslog};

static SHARED: Shared = Shared::new();

const POLICY: &str = "/etc/xen-fence/clusters.d/alpha.toml";

/// The dom0 for one case, in which a rehearsal finds nothing to mend.
#[track_caller]
fn take() -> MutexGuard<'static, Dom0> {
    let dom0 = SHARED.take();
    let _ = dom0.on(&["xen-fence-admin", "acl", "apply"]).exits(0);
    assert_eq!(crosses(&check(&dom0)), [""; 0], "it is not clean");
    dom0
}

fn check(dom0: &Dom0) -> Output {
    ask(dom0, "alpha", "node1", &["check"])
}

/// `LEVEL NODE STEP` of every line that is no tick.
fn crosses(output: &Output) -> Vec<String> {
    let lines = output.stdout.lines().filter(|line| !line.starts_with([' ']));
    let words = lines.map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" "));
    words.filter(|words| !words.starts_with("ok ")).collect()
}

fn domids(dom0: &Dom0) -> Vec<Option<u32>> {
    dom0.nodes().iter().map(|node| dom0.domid(&node.cluster, &node.name)).collect()
}

/// A node that may act on no other has nobody to fence, whatever it may do.
#[test]
fn check_fails_for_who_has_no_target() {
    let dom0 = two_clusters().raise().unwrap();
    let text = dom0.file(POLICY).replacen("[nodes.node1]", "[nodes.node1]\ntargets = []", 1);
    dom0.write(POLICY, text, 0o644);
    let said = check(&dom0).exits(1).saying("and to no node").saying("`targets` of node node1");
    assert!(crosses(&said).iter().any(|line| line.contains("policy")), "{said}");
    let _ = ask(&dom0, "alpha", "node1", &["check", "--nagios"]).exits(2).saying("CRITICAL");
}

/// Appends to alpha's policy, and gives sshd its key files anew.
fn amend(dom0: &Dom0, lines: &str) {
    let path = "/etc/xen-fence/clusters.d/alpha.toml";
    let text = format!("{}\n{lines}\n", dom0.file(path));
    dom0.write(path, text, 0o644);
    let _ = dom0.on(&["xen-fence-admin", "acl", "apply"]).exits(0);
}

#[test]
fn check_walks_the_way_of_each_node_and_kills_nobody() {
    let dom0 = two_clusters().raise().unwrap();
    let before = domids(&dom0);
    let check = ask(&dom0, "alpha", "node1", &["check"]).exits(0);
    for step in ["policy", "toolstack", "journal", "state", "syslog", "host-name"] {
        assert!(check.stdout.lines().any(|line| line.contains(step)), "{step}\n{check}");
    }
    for node in ["node1", "node2"] {
        assert!(check.stdout.lines().any(|line| line.contains(node)), "{node}\n{check}");
    }
    assert!(!check.says("db1"), "{check}");
    assert_eq!(domids(&dom0), before);
    assert!(recorded(&dom0, "alpha", &["rehearsal", "node node1"]));
    assert!(!recorded(&dom0, "alpha", &["intent"]));
    let one = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    assert!(one.says("node2"), "{one}");
    let _ = ask(&dom0, "alpha", "node1", &["check", "db1"]).exits(1).saying("among your targets");
}

#[test]
fn check_finds_what_would_hold_up_a_fence() {
    let dom0 = two_clusters().syslog(Syslog::Mute).raise().unwrap();
    let hosts = dom0.file("/etc/hosts");
    dom0.write("/etc/hosts", hosts.replace("xen1", "xen9"), 0o644);
    let place = ["check", "--dom0", "fence-alpha@10.77.0.254:2422"];
    let check = ask(&dom0, "alpha", "node1", &place).exits(0);
    for (step, words) in [("syslog", "does not read"), ("host-name", "not in /etc/hosts")] {
        let found = check.stdout.lines().find(|line| line.contains(step) && line.contains(words));
        assert!(found.is_some_and(|line| line.starts_with("warn")), "{step}\n{check}");
    }
}

#[test]
fn check_fails_where_a_fence_would() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["fault", "xenstored-dead"]);
    let check = ask(&dom0, "alpha", "node1", &["check"]).exits(1).saying("toolstack");
    assert!(check.took < Duration::from_secs(20), "{check}");
    let _ = ask(&dom0, "alpha", "node1", &["monitor"]).exits(1).saying("toolstack");
    dom0.fault(&["clear"]);
    let _ = ask(&dom0, "alpha", "node1", &["monitor"]).exits(0);
}

/// A row of the node's UUID under another name: no fence would touch it, and check says so.
#[test]
fn check_fails_for_a_node_whose_uuid_runs_under_another_name() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["add-row", "somebody-else", &dom0.node("alpha", "node2").uuid]);
    let before = domids(&dom0);
    for words in [&["check"][..], &["check", "node2"]] {
        let check = ask(&dom0, "alpha", "node1", words).exits(1);
        let target = |node: &str| {
            let of_node = |line: &&str| line.contains(node) && line.contains(" uuid ");
            check.stdout.lines().find(of_node).unwrap_or_default()
        };
        let found = target("node2");
        assert!(found.starts_with("FAIL"), "{check}");
        if words.len() == 1 {
            assert!(target("node1").starts_with("ok"), "node1 is not concerned\n{check}");
        }
    }
    let _ =
        ask(&dom0, "alpha", "node1", &["monitor"]).exits(0).saying("1 of 2 nodes can be fenced");
    assert_eq!(domids(&dom0), before);
}

/// A kill of none of them could succeed.
#[test]
fn monitor_fails_where_no_node_can_be_fenced() {
    let dom0 = two_clusters().raise().unwrap();
    for node in ["node1", "node2"] {
        let _ = ask(&dom0, "alpha", "node1", &["monitor"]).exits(0);
        let uuid = &dom0.node("alpha", node).uuid;
        dom0.fault(&["add-row", &format!("somebody-else-{node}"), uuid]);
    }
    let said = ask(&dom0, "alpha", "node1", &["monitor"]).exits(1);
    let _ = said.saying("0 of 2 nodes can be fenced");
    let _ = dom0.in_node("alpha", "node1").run(&["fence_xen", "-o", "monitor"]).exits(1);
    let _ = ask(&dom0, "beta", "db1", &["monitor"]).exits(0);
}

#[test]
fn monitor_names_no_node_and_fails_where_nobody_may_kill() {
    let dom0 = two_clusters().policy("beta", "actions = [\"status\"]").raise().unwrap();
    let monitor = ask(&dom0, "alpha", "node1", &["monitor", "--json"]).exits(0);
    for name in ["node1", "node2", "alpha-node"] {
        assert!(!monitor.says(name), "{monitor}");
    }
    let _ = ask(&dom0, "beta", "db1", &["monitor"]).exits(1);
    let _ = ask(&dom0, "beta", "db1", &["off", "db2"]).exits(3);
}

#[test]
fn a_node_that_would_be_left_off_is_warned_of_and_killed_all_the_same() {
    let dom0 = two_clusters().raise().unwrap();
    let config = dom0.node("alpha", "node2").config();
    let other = dom0.file(&config).replace("uuid = \"5eed", "uuid = \"0bad");
    dom0.write(&config, other, 0o644);
    let check = ask(&dom0, "alpha", "node1", &["check", "node2"]).exits(0);
    assert!(check.stdout.lines().any(|line| line.starts_with("warn")), "{check}");
    let reset = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    assert!(reset.says("warning") && reset.says("uuid"), "{reset}");
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(1).saying("uuid");
}

/// Nothing is created from what is gone, is not root's alone, or does not say whose it is.
#[test]
fn what_a_node_cannot_be_started_from() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    let config = dom0.node("alpha", "node2").config();
    let text = dom0.file(&config);
    let on = || ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(1);
    let refused = |change: &str, word: &str| {
        let _ = dom0.sh(change).exits(0);
        let _ = on().saying(word);
        assert_eq!(dom0.domid("alpha", "node2"), None, "{change}");
        let _ = dom0.sh(&format!("rm -rf {config}")).exits(0);
        dom0.write(&config, text.clone(), 0o644);
    };
    refused(&format!("rm {config}"), "does not exist");
    refused(&format!("rm {config}; mkdir {config}"), "not a regular file");
    refused(&format!("chown 65534 {config}"), "not to root");
    refused(&format!("chmod 666 {config}"), "written by others");
    refused(&format!("sed -i /^uuid/d {config}"), "has no plain `uuid");
    refused(&format!("sed -i 's/^uuid = \"5eed/uuid = \"0bad/' {config}"), "the policy says");
    refused(&format!("sed -i 's/^name = .*/name = \"other\"/' {config}"), "says name \"other\"");
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
}

#[test]
fn an_operator_may_do_what_is_listed_and_no_more() {
    let dom0 = two_clusters().raise().unwrap();
    let etc = dom0.node("alpha", "node1").etc();
    let key = format!("{etc}/nagios");
    let _ = dom0.on(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &key]).exits(0);
    let public = dom0.file(&format!("{key}.pub"));
    amend(
        &dom0,
        &format!(
            "[operators.nagios]\nactions = [\"status\", \"monitor\"]\nkeys = [\"{}\"]",
            public.trim()
        ),
    );
    let nagios = |words: &[&str]| {
        let identity = ["--identity", "/etc/xen-fence/nagios"];
        ask(&dom0, "alpha", "node1", &[words, &identity].concat())
    };
    let _ = nagios(&["status", "node2"]).exits(0).saying("node2 on");
    let _ = nagios(&["monitor"]).exits(0);
    for refused in [&["off", "node2"][..], &["reset", "node2"], &["list"]] {
        let _ = nagios(refused).exits(3);
    }
    let _ = nagios(&["check"]).exits(1).saying("not grant you check");
    assert!(recorded(&dom0, "alpha", &["operator nagios", "refused", "not-granted"]));
    assert!(dom0.domid("alpha", "node2").is_some());
}

/// Every step of a fence, in its order.
const STEPS: [&str; 24] = [
    "settings",
    "key",
    "known-hosts",
    "name",
    "address",
    "host-key",
    "login",
    "session",
    "sudo",
    "protocol",
    "policy",
    "toolstack",
    "domain",
    "uuid",
    "config",
    "devices",
    "journal",
    "holds",
    "lock",
    "state",
    "starts",
    "syslog",
    "host-name",
    "hold",
];

#[test]
fn every_step_is_told_in_its_order_with_its_time() {
    let dom0 = take();
    let told = ask(&dom0, "alpha", "node1", &["check", "node1"]).exits(0);
    let steps: Vec<&str> =
        told.stdout.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(steps, [&STEPS[..], &["brake", "ready"]].concat(), "{told}");
    let timeless = ["settings", "key", "known-hosts", "protocol"];
    for line in told.stdout.lines() {
        let timed = line.ends_with(" ms)");
        assert_eq!(
            timed,
            !line.split_whitespace().nth(2).is_some_and(|step| timeless.contains(&step)),
            "{line}"
        );
    }
    let object = ask(&dom0, "alpha", "node1", &["check", "--all", "--json"]).exits(0);
    let object: serde_json::Value = serde_json::from_str(&object.stdout).unwrap();
    let ready = object["findings"].as_array().unwrap().last().unwrap();
    assert_eq!(ready["step"], "ready");
    assert!(ready["ms"].as_f64().unwrap() > 1.0 && ready["dom0"] == "fence-alpha@xen1:2422");
    // Of several that are named, those and no other.
    let both = ask(&dom0, "alpha", "node1", &["check", "node2", "db1"]).exits(1);
    assert_eq!(crosses(&both), ["FAIL db1 policy"], "{both}");
    assert!(both.says("node2 uuid") && !both.says("node1 uuid"), "{both}");
    // A word for rehearsals must not be lost on the way to a kill.
    for words in
        [&["off", "node2", "--dry-run"][..], &["off", "node1", "node2"], &["reset", "--all"]]
    {
        let _ = ask(&dom0, "alpha", "node1", words).exits(2);
    }
}

#[test]
fn one_line_for_nagios_with_its_codes_and_figures() {
    let dom0 = take();
    let nagios = |words: &[&str]| {
        let said = ask(&dom0, "alpha", "node1", &[words, &["--nagios"]].concat());
        assert_eq!((said.stdout.lines().count(), said.stderr.as_str()), (1, ""), "{said}");
        said
    };
    let well = nagios(&["check"]).exits(0).saying("XEN-FENCE OK - a fence would work, ");
    let figures = well.stdout.trim_end().split_once(" | ready=").unwrap().1;
    assert!(figures.contains("s;20;40;0; time=") && figures.ends_with("fail=0;;;0;"), "{well}");
    let _ = nagios(&["monitor"]).exits(0).saying("XEN-FENCE OK");
    let good = dom0.file(POLICY);
    dom0.write(POLICY, good.replace("config = ", "# "), 0o644);
    let _ = nagios(&["check"]).exits(1).saying("WARNING - ").saying("; and 1 more | ready=");
    dom0.remove(POLICY);
    let _ =
        nagios(&["check"]).exits(2).saying("CRITICAL - a fence would fail: policy: xen1 refused");
    dom0.write(POLICY, good, 0o644);
    for words in
        [&["check", "--dom0", "nobody"][..], &["check", "--no-such-thing"], &["off", "node2"]]
    {
        let _ = nagios(words).exits(3).saying("XEN-FENCE UNKNOWN - ");
    }
    let _ = nagios(&["check", "--dom0", "fence-alpha@10.77.0.77:2422", "--timeout", "2"]).exits(2);
}

/// A node that runs on the other of two dom0s is nothing to mend on this one.
#[test]
fn a_node_that_another_dom0_sees_is_not_missed() {
    let (xen1, _xen2) = two_clusters().raise_two(&[("alpha", "node2")]).unwrap();
    let told = ask(&xen1, "alpha", "node1", &["check"]).exits(0);
    assert_eq!(crosses(&told), [""; 0], "{told}");
    for place in
        ["fence-alpha@xen1:2422: it asks, and runs", "fence-alpha@xen2:2422: another dom0 sees it"]
    {
        assert!(told.says(place), "{place}\n{told}");
    }
}
