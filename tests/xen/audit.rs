//! What root's audit and a node's rehearsal see on the living hypervisor.

use crate::fresh;
use serde_json::Value;
use xen_fence_tests::lab::Lab;

/// What is found of Xen and its guests: codes, subjects, mends. How quickly sshd answers, say, is another
/// matter on a machine as slow as this one.
fn audit(lab: &Lab) -> Vec<[String; 3]> {
    let output = lab.sh("xen-fence-admin audit --format json");
    let found: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = found["findings"].as_array().unwrap().iter();
    let all = all.map(|finding| ["code", "about", "mend"].map(|key| text(finding, key)));
    let number = |code: &str| code.trim_start_matches("XF").parse::<u32>().unwrap();
    all.filter(|[code, ..]| matches!(number(code), 51..=99 | 147 | 148 | 151..)).collect()
}

/// Debian's own default is all that there is to say, and what is printed mends it. A node that does not run
/// is seen, and seen to run again.
#[test]
fn an_audit_sees_what_runs() {
    let lab = fresh();
    let codes =
        |found: &[[String; 3]]| found.iter().map(|[code, ..]| code.clone()).collect::<Vec<_>>();
    let found = audit(&lab);
    assert_eq!(codes(&found), ["XF165"], "{found:#?}");
    let _ = lab.sh(&found[0][2]).exits(0);
    assert_eq!(audit(&lab), [[""; 3]; 0]);
    let _ = lab.sh("xl destroy alpha-node2").exits(0);
    let found = audit(&lab);
    assert!(found.iter().any(|[_, about, _]| about.contains("node2")), "{found:#?}");
    let _ = lab.ask("node1", &["on", "node2"]).wait().exits(0);
    assert_eq!(audit(&lab), [[""; 3]; 0]);
}

/// Every step of the way, and the one that is in the way.
#[test]
fn a_rehearsal_walks_the_whole_way() {
    let lab = fresh();
    let before = lab.domid("node2");
    let check = lab.ask("node1", &["check"]).wait().exits(0);
    assert!(check.stdout.lines().all(|line| line.starts_with("ok ")), "{check}");
    for step in ["sudo", "policy", "toolstack", "node2 domain", "node2 devices", "ready"] {
        assert!(check.stdout.contains(step), "{step}\n{check}");
    }
    let _ = lab.ask("node1", &["monitor"]).wait().exits(0);
    let _ = lab.sh("pkill -STOP xenstored").exits(0);
    let check = lab.ask("node1", &["check"]).wait().exits(1);
    let crossed = |line: &str| line.starts_with("FAIL") && line.contains("toolstack");
    assert!(check.stdout.lines().any(crossed), "{check}");
    let _ = lab.sh("pkill -CONT xenstored").exits(0);
    let _ = lab.ask("node1", &["check", "node2"]).wait().exits(0);
    assert_eq!(lab.domid("node2"), before);
}
