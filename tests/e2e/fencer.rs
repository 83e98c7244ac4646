//! Pacemaker's real fencer, alone in a node, with `stonith_admin`: what it makes of `fence_xen`, and of
//! the plugin by way of `fence_legacy`.

use crate::{Dom0, recorded, settle, two_clusters, untouched};
use std::path::Path;
use std::time::Duration;
use xen_fence_tests::throwaway::{Output, Running};
use xen_fence_tests::{measured, skipped};

const FENCER: &str = "/usr/lib/pacemaker/pacemaker-fenced";
const LOG: &str = "/tmp/fenced.log";
const DOM0: &str = "dom0=fence-alpha@xen1:2422";

/// `stonith_admin` in node1.
fn admin(dom0: &Dom0, words: &[&str]) -> Output {
    dom0.in_node("alpha", "node1").run(&[&["stonith_admin"], words].concat())
}

/// The fencer in node1; none, and the report says so, where Pacemaker is not here.
fn fencer(dom0: &Dom0, case: &str) -> Option<Running> {
    if !Path::new(FENCER).exists() {
        skipped(case, "there is no Pacemaker here (packages pacemaker, pacemaker-cli-utils)");
        return None;
    }
    let running = dom0.in_node("alpha", "node1").spawn(&[FENCER, "-s", "-V", "-l", LOG]);
    settle(|| admin(dom0, &["-L"]).code == 0);
    Some(running)
}

/// How often the journal has a kill of node2 that came to its proof.
fn kills(dom0: &Dom0) -> usize {
    let records = dom0.journal("alpha").into_iter().map(|record| record.to_string());
    records.filter(|record| record.contains("fenced killed") && record.contains("node2")).count()
}

#[test]
fn it_registers_lists_monitors_and_fences() {
    let dom0 = two_clusters().raise().unwrap();
    let Some(_fencer) = fencer(&dom0, "it_registers_lists_monitors_and_fences") else { return };
    let _ = admin(&dom0, &["--list-installed"]).exits(0).saying("fence_xen");
    let _ = admin(&dom0, &["--metadata", "-a", "fence_xen"]).exits(0).saying("name=\"dom0\"");
    let valid = |option: &str| admin(&dom0, &["--validate", "-a", "fence_xen", "-o", option]);
    let _ = valid(DOM0).exits(0);
    let _ = valid("dom0=fence-alpha@xen9").exits(1).saying("no host key of xen9");

    let _ = admin(&dom0, &["-R", "xen", "-a", "fence_xen", "-o", DOM0]).exits(0);
    let _ = admin(&dom0, &["-Q", "xen"]).exits(0);
    let targets = admin(&dom0, &["-s", "xen"]).exits(0).saying("node1").saying("node2");
    assert!(!targets.says("db1"), "{targets}");
    let _ = admin(&dom0, &["-l", "node2"]).exits(0).saying("1 fence device");
    let _ = admin(&dom0, &["-l", "db1"]).exits(0).saying("0 fence devices");

    let life = dom0.domid("alpha", "node2");
    let reboot = admin(&dom0, &["--reboot", "node2"]).exits(0);
    assert!(reboot.took < Duration::from_secs(3), "{reboot}");
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > life));
    let _ = admin(&dom0, &["--fence", "node2"]).exits(0);
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let _ = admin(&dom0, &["--unfence", "node2"]).exits(0);
    assert!(dom0.domid("alpha", "node2").is_some());

    // With a map alone Pacemaker asks for no list; so docs/pacemaker.md has more than that.
    let _ = admin(&dom0, &["-D", "xen"]).exits(0);
    let alone = ["-R", "map", "-a", "fence_xen", "-o", DOM0, "-o", "pcmk_host_map=nodeA:node2"];
    let _ = admin(&dom0, &alone).exits(0);
    let _ = admin(&dom0, &["-l", "node1"]).exits(0).saying("0 fence devices");
    let _ = admin(&dom0, &[&alone[..], &["-o", "pcmk_host_check=dynamic-list"]].concat()).exits(0);
    for node in ["nodeA", "node1"] {
        let _ = admin(&dom0, &["-l", node]).exits(0).saying("1 fence device");
    }
    let _ = admin(&dom0, &["--fence", "nodeA"]).exits(0);
    assert_eq!(dom0.domid("alpha", "node2"), None, "by another name");
    let _ = admin(&dom0, &["--unfence", "nodeA"]).exits(0);
    // Off is no reason not to be able to fence it.
    let by_status = ["-R", "status", "-a", "fence_xen", "-o", DOM0, "-o", "pcmk_host_check=status"];
    let _ = admin(&dom0, &by_status).exits(0);
    let able = admin(&dom0, &["-l", "node2"]).exits(0);
    assert!(able.stdout.lines().any(|line| line.trim() == "status"), "{able}");
    let able = admin(&dom0, &["-l", "db1"]).exits(0);
    assert!(!able.stdout.lines().any(|line| line.trim() == "status"), "{able}");
}

#[test]
fn a_refusal_and_a_dead_dom0_are_failures_that_it_logs() {
    let dom0 = two_clusters().raise().unwrap();
    let Some(_fencer) = fencer(&dom0, "a_refusal_and_a_dead_dom0_are_failures_that_it_logs") else {
        return;
    };
    let device = |name: &str, options: &[&str]| {
        let mut words = vec!["-R", name, "-a", "fence_xen"];
        words.extend(options.iter().flat_map(|option| ["-o", *option]));
        let _ = admin(&dom0, &words).exits(0);
    };
    device("other", &[DOM0, "pcmk_host_list=db1"]);
    device("far", &["dom0=fence-alpha@10.77.0.99", "timeout=2", "pcmk_host_list=far1"]);
    untouched(&dom0, || {
        // Two attempts of a second each, and Pacemaker's second between them.
        let refused = admin(&dom0, &["--reboot", "db1"]).exits(1);
        assert!(refused.took >= Duration::from_secs(2), "{refused}");
        let _ = admin(&dom0, &["--fence", "far1"]).exits(1);
    });
    let log = dom0.file(LOG);
    for said in
        ["stderr: [ fence_xen: xen1 refused: ", "stderr: [ fence_xen: timed out: dom0 10.77.0.99 "]
    {
        assert!(log.contains(said), "{said}\n{log}");
    }
}

/// A switch that turns off the host of node2, and everybody who runs there: the second level.
const SWITCH: &str = r#"#!/bin/sh
line=$(cat | sed -n s/^action=//p | tail -n 1)
case "$line$*" in *metadata*) cat <<'END'
<?xml version="1.0" ?><resource-agent name="fence_switch" shortdesc="a switch"><longdesc>It says that it was used.</longdesc>
<vendor-url>x</vendor-url><parameters><parameter name="plug" unique="0" required="0"><getopt mixed="-n"/><content type="string"/>
<shortdesc lang="en">x</shortdesc></parameter></parameters>
<actions><action name="on" automatic="0"/><action name="off"/><action name="reboot"/><action name="status"/>
<action name="monitor"/><action name="metadata"/></actions></resource-agent>
END
exit;; esac
echo "$line" >>/tmp/switched
"#;

/// Within the 60 s that Pacemaker gives a fence, a dom0 that is not there is one failure with its reason, and
/// the second level is used then; it is not as long as the first does what it should.
#[test]
fn a_dead_dom0_is_one_attempt_and_then_the_second_level() {
    let case = "a_dead_dom0_is_one_attempt_and_then_the_second_level";
    let dom0 = two_clusters().raise().unwrap();
    let Some(_fencer) = fencer(&dom0, case) else { return };
    dom0.write("/usr/sbin/fence_switch", SWITCH, 0o755);
    let hosts = ["-o", "pcmk_host_list=node1 node2"];
    let _ = admin(&dom0, &[&["-R", "xen", "-a", "fence_xen", "-o", DOM0], &hosts[..]].concat());
    let _ = admin(&dom0, &["-R", "switch", "-a", "fence_switch", "-o", "pcmk_host_list=node2"]);
    for (level, device) in [("1", "xen"), ("2", "switch")] {
        let _ = admin(&dom0, &["-r", "node2", "-i", level, "-v", device]).exits(0);
    }
    let switched = || dom0.has("/tmp/switched");
    let life = dom0.domid("alpha", "node2");
    let reboot = ["--reboot", "node2", "-t", "60"];
    let _ = admin(&dom0, &reboot).exits(0);
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > life));
    assert!(!switched(), "the first level was enough");

    // Without a second level, who asked is told as soon; and nobody has dom0's address any more.
    let far = ["-o", "dom0=fence-alpha@10.77.0.99", "-o", "pcmk_host_list=far1"];
    let _ = admin(&dom0, &[&["-R", "far", "-a", "fence_xen"], &far[..]].concat()).exits(0);
    let words = ["stonith_admin", "--reboot", "far1", "-t", "60"];
    let far = dom0.in_node("alpha", "node1").spawn(&words);
    let vif = format!("vif{}.0", dom0.domid("alpha", "node1").unwrap());
    let _ = dom0.on(&["ip", "link", "set", &vif, "down"]).exits(0);
    let life = dom0.domid("alpha", "node2");
    let late = admin(&dom0, &reboot).exits(0);
    assert_eq!(dom0.file("/tmp/switched").lines().collect::<Vec<_>>(), ["reboot"], "{late}");
    assert_eq!(dom0.domid("alpha", "node2"), life);
    measured(&format!(
        "a dead dom0 and Pacemaker: the second level is used after {:.1?}",
        late.took
    ));
    assert!(late.took < Duration::from_secs(50), "{late}");
    let far = far.wait();
    assert!(far.code != 0 && !far.says("Timer expired"), "{far}");
    assert!(far.took < Duration::from_secs(50), "{far}");
    let log = dom0.file(LOG);
    for never in ["Attempt 2 to execute", "did not complete within"] {
        assert!(!log.contains(never), "{never}\n{log}");
    }
    assert_eq!(log.matches("stderr: [ fence_xen: timed out: dom0 ").count(), 2, "{log}");
}

/// Pacemaker kills its agent when its own time is over, in the middle of a fence: the fence goes on, and
/// who asks again hears what became of it.
#[test]
fn an_agent_that_it_kills_leaves_the_fence_whole() {
    let dom0 = two_clusters().raise().unwrap();
    let Some(_fencer) = fencer(&dom0, "an_agent_that_it_kills_leaves_the_fence_whole") else {
        return;
    };
    let words = ["-R", "xen", "-a", "fence_xen", "-o", DOM0, "-o", "pcmk_reboot_timeout=2"];
    let _ = admin(&dom0, &words).exits(0);
    let life = dom0.domid("alpha", "node2");
    dom0.fault(&["fault", "slow-destroy", "6000", "alpha-node2"]);
    let killed = admin(&dom0, &["--reboot", "node2"]);
    assert_ne!(killed.code, 0, "{killed}");
    assert!(dom0.file(LOG).contains("timed out"), "{}", dom0.file(LOG));
    dom0.fault(&["clear"]);
    settle(|| recorded(&dom0, "alpha", &["fenced killed", "node2"]));
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > life));
    let booted = dom0.domid("alpha", "node2");
    let _ = admin(&dom0, &["--reboot", "node2"]).exits(0);
    assert_eq!(dom0.domid("alpha", "node2"), booted, "the freshly booted node was shot");
    assert_eq!(kills(&dom0), 1, "{:#?}", dom0.journal("alpha"));
}

/// It takes some names in a list for something else: the agent says which, and how the node can be fenced all the same.
#[test]
fn a_name_that_it_passes_over_is_said() {
    let nodes = ["node1", "variable1"];
    let dom0 = Dom0::builder().cluster("alpha", &nodes).raise().unwrap();
    let Some(_fencer) = fencer(&dom0, "a_name_that_it_passes_over_is_said") else { return };
    let register = |name: &str, option: &str| {
        let words = ["-R", name, "-a", "fence_xen", "-o", DOM0, "-o", option];
        let _ = admin(&dom0, &words).exits(0);
    };
    register("list", "pcmk_host_list=node1 variable1");
    register("xen", "pcmk_host_check=dynamic-list");
    for node in nodes {
        let _ = admin(&dom0, &["-l", node]).exits(0).saying(match node {
            "node1" => "1 fence device",
            _ => "0 fence devices",
        });
    }
    settle(|| dom0.file(LOG).contains("warning: Pacemaker passes over variable1 in a list"));
    register("map", "pcmk_host_map=node1:node1 variable1:variable1");
    let _ = admin(&dom0, &["-l", "variable1"]).exits(0).saying("1 fence device");
    let _ = admin(&dom0, &["--fence", "variable1"]).exits(0);
    assert_eq!(dom0.domid("alpha", "variable1"), None);
}

#[test]
fn it_calls_the_plugin_by_fence_legacy() {
    let dom0 = two_clusters().raise().unwrap();
    let Some(_fencer) = fencer(&dom0, "it_calls_the_plugin_by_fence_legacy") else { return };
    let _ = admin(&dom0, &["-R", "legacy", "-a", "external/xen-fence", "-o", DOM0]).exits(0);
    let _ = admin(&dom0, &["-s", "legacy"]).exits(0).saying("node2");
    let life = dom0.domid("alpha", "node2");
    let reboot = admin(&dom0, &["--reboot", "node2"]).exits(0);
    assert!(reboot.took < Duration::from_secs(5), "{reboot}");
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > life));
    let _ = admin(&dom0, &["--fence", "node2"]).exits(0);
    assert_eq!(dom0.domid("alpha", "node2"), None);
}
