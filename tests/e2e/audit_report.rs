//! The audit's page: what was done on the host stands on it, and nothing of it is markup.

use crate::{ask, settle, two_clusters};

#[test]
fn the_page_shows_who_may_who_did_and_what_was_found() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    let _ = ask(&dom0, "beta", "db1", &["off", "db2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "db1"]).exits(3);
    let _ = dom0.sh("cp /etc/xen/alpha-node2.cfg '/etc/xen/<b>.cfg'").exits(0);
    let html = |more: &[&str]| {
        let words = [&["xen-fence-admin", "audit", "--format", "html"], more].concat();
        dom0.on(&words)
    };
    // A second configuration of the node is a note.
    let page = html(&[]).exits(0).stdout;
    for word in [
        "alpha node node1 at alpha-node2: ",
        "beta node db1 at alpha-node1: nothing",
        "XF053",
        "/etc/xen/&lt;b&gt;.cfg",
        ">killed</span>",
        ">refused</span>",
        ">started</span>",
        "the chain holds",
        "/etc/xen-fence/clusters.d/beta.toml",
        "log --verify",
    ] {
        assert!(page.contains(word), "{word}\n{page}");
    }
    assert!(!page.contains("<b>.cfg") && !page.contains("<script"));
    assert_eq!(page.matches("<html").count(), 1);

    let alpha = html(&["--cluster", "alpha"]).stdout;
    assert!(alpha.contains("Who may kill whom in alpha on xen1"));
    assert!(!alpha.contains("beta node db1 at") && alpha.contains("node1 at beta-db1: nothing"));
}

/// The findings and what the page says of the journals never differ.
#[test]
fn the_page_says_of_journals_what_the_findings_say() {
    let dom0 = two_clusters().raise().unwrap();
    let journal = "/var/lib/xen-fence/journal/alpha.jsonl";
    for _ in 0..3 {
        let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    }
    settle(|| dom0.syslog().contains(" cluster=alpha dom0=xen1 n=3 head="));
    let page = || dom0.on(&["xen-fence-admin", "audit", "--format", "html"]);
    let says = |code: i32, words: &[&str]| {
        let page = page().exits(code).stdout;
        for word in words {
            assert!(page.contains(word), "{word}\n{page}");
        }
    };
    says(0, &["alpha: anchored: /var/log/syslog:", "log --verify --anchors FILE"]);
    // Set aside, and nothing written since.
    let _ = dom0.sh(&format!("mv {journal} {journal}.1")).exits(0);
    says(0, &["the chain holds", "alpha: anchored: /var/log/syslog:"]);
    let _ = dom0.sh(&format!("sed -i '$d' {journal}.1")).exits(0);
    says(1, &["XF144", "record 3 is gone from its end", "THE CHAIN IS BROKEN"]);
    let _ = dom0.sh(&format!("rm {journal}.1")).exits(0);
    let gone = "alpha: its journal is gone: /var/log/syslog:";
    says(1, &["XF144", gone, &format!("<li>{gone}")]);
    let _ = dom0.sh("cd /var/lib/xen-fence && rmdir journal && : >journal").exits(0);
    says(1, &["XF145", "alpha: NOT VERIFIED: ", "Not all that was done is on this page: alpha: "]);
}
