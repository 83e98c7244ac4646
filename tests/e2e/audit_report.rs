//! The audit's page: what was done on the host stands on it, and nothing of it is markup.

use crate::{ask, two_clusters};

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
