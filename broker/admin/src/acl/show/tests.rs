//! What is shown of small, wide and odd policies.

use super::*;
use xen_fence_broker::acl::parse;
use xen_fence_broker::names::ClusterName;

/// A key that no other number has.
fn key(number: usize) -> String {
    format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA{number:0>42}")
}

fn node(name: &str, number: usize, more: &str) -> String {
    format!(
        "[nodes.{name}]\nuuid = \"0f6a1b2c-0000-4000-8000-{number:012}\"\nkeys = [\"{}\"]\n{more}\n",
        key(number)
    )
}

fn shown(text: &str) -> Shown {
    let policy = parse(&ClusterName::parse("alpha").unwrap(), text).unwrap();
    Shown { file: "/x/alpha.toml".into(), rights: Rights::of(&policy), policy }
}

/// node1 may act on all, node2 on node1 alone, node3 on none; nagios looks, desk resets two.
fn small() -> Shown {
    let text = [
        "actions = [\"reset\", \"off\", \"on\", \"status\"]\nfrom = [\"192.168.2.0/24\"]\n\
         brake = \"3 resets in 10m\"\n"
            .to_owned(),
        node("node1", 1, "config = \"/etc/xen/node1.cfg\""),
        node("node2", 2, "targets = [\"node1\"]"),
        node("node3", 3, "targets = []"),
        format!(
            "[operators.nagios]\nactions = [\"status\", \"monitor\"]\nkeys = [\"{}\"]\n",
            key(8)
        ),
        format!(
            "[operators.desk]\nactions = [\"reset\", \"check\"]\ntargets = [\"node1\", \"node3\"]\n\
             from = [\"192.168.9.5\"]\nkeys = [\"{}\"]\n",
            key(9)
        ),
    ];
    shown(&text.concat())
}

#[test]
fn a_small_cluster_is_a_matrix() {
    let lines = table::lines(&small(), None);
    let wanted = [
        "alpha: /x/alpha.toml",
        "account fence-alpha",
        "",
        "                 node1  node2  node3  no node",
        "node1            ronsc  ro-sc  ro-sc  lmc",
        "node2            ronsc  -----  -----  lmc",
        "node3            -----  -----  -----  lmc",
        "operator nagios  ---s-  ---s-  ---s-  -m-",
        "operator desk    r---c  -----  r---c  --c",
        "",
    ];
    assert_eq!(lines[..wanted.len()], wanted, "{}", lines.join("\n"));
    let text = lines.join("\n");
    for words in [
        "nodes: 192.168.2.0/24",
        "operator nagios: anywhere",
        "operator desk: 192.168.9.5",
        "brake  3 resets in 10m: ",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    assert!(lines.iter().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn one_node_is_shown_from_both_sides() {
    let lines = table::lines(&small(), Some(&NodeName::parse("NODE3").unwrap()));
    let wanted = [
        "node NODE3",
        "what may be done to it",
        "    ro-sc  by node1",
        "    -----  by node2 node3",
        "    ---s-  by operator nagios",
        "    r---c  by operator desk",
        "what it may do",
        "    -----  any node (3)",
        "    lmc    no node",
    ];
    assert_eq!(lines[3..3 + wanted.len()], wanted, "{}", lines.join("\n"));
}

/// However many nodes, however long their names, and whatever differs between them.
#[test]
fn wide_clusters_fit_and_nobody_is_left_out() {
    let long = |at: usize| format!("a-node-with-quite-a-name-{at:0>38}");
    let ring = |at: usize| format!("targets = [\"n{}\"]", (at + 1) % 40);
    let policies: [Vec<String>; 4] = [
        (0..100).map(|at| node(&format!("node{at:03}"), at, "")).collect(),
        (0..40).map(|at| node(&format!("n{at}"), at, &ring(at))).collect(),
        (0..3).map(|at| node(&long(at), at, "")).collect(),
        (0..9).map(|at| node(&format!("node{at}"), at, "")).collect(),
    ];
    for nodes in policies {
        let operator =
            format!("[operators.{}]\nactions = [\"off\"]\nkeys = [\"{}\"]\n", long(7), key(999));
        let shown = shown(&format!("actions = [\"off\"]\n{}{operator}", nodes.concat()));
        let lines = table::lines(&shown, None);
        let text = lines.join("\n");
        assert!(lines.iter().all(|line| line.len() <= 80), "{text}");
        assert!(lines.len() < 180, "{text}");
        for node in shown.policy.nodes() {
            let words = || text.split_whitespace();
            assert!(words().any(|word| word == node.name().as_str()), "{}\n{text}", node.name());
            let one = table::lines(&shown, Some(node.name()));
            assert!(one.iter().all(|line| line.len() <= 80), "{}", one.join("\n"));
        }
    }
}

#[test]
fn the_largest_cluster_is_shown() {
    let nodes: Vec<_> = (0..256).map(|at| node(&format!("n{at}"), at, "")).collect();
    let shown = shown(&format!("actions = [\"reset\", \"off\"]\n{}", nodes.concat()));
    assert!(table::lines(&shown, None).len() < 100);
    assert_eq!(shown.object(None)["may"].as_array().unwrap().len(), 256 * 257);
}

#[test]
fn an_object_says_the_same() {
    let object = small().object(None);
    assert_eq!(object["brake"], "3 resets in 10m");
    assert_eq!(object["from"], json!(["192.168.2.0/24"]));
    assert_eq!(object["operators"][0]["from"], json!(null));
    let may = |object: &serde_json::Value, caller: &str, node: Option<&str>| {
        let all = object["may"].as_array().unwrap().clone();
        let found =
            all.into_iter().find(|may| may["caller"] == caller && may["node"] == json!(node));
        found.map(|may| may["actions"].to_string())
    };
    let desk = may(&object, "operator desk", Some("node3"));
    assert_eq!(desk.as_deref(), Some("[\"reset\",\"check\"]"));
    assert_eq!(may(&object, "operator desk", Some("node2")), None);
    let whole = may(&object, "node node3", None);
    assert_eq!(whole.as_deref(), Some("[\"list\",\"monitor\",\"check\"]"));
    let of_one = small().object(Some(&NodeName::parse("node2").unwrap()));
    assert_eq!(of_one["nodes"].as_array().unwrap().len(), 1);
    assert!(may(&of_one, "node node2", Some("node1")).is_some());
    assert!(may(&of_one, "node node1", Some("node2")).is_some());
    assert!(may(&of_one, "node node1", Some("node1")).is_none());
}

#[test]
fn drafts_are_shown_and_what_is_none_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alpha.toml");
    let show = |node: Option<&str>| run(std::slice::from_ref(&file), None, node, Format::Json);
    assert_eq!(show(None), Ending::Unable);
    std::fs::write(&file, "actions = [").unwrap();
    assert_eq!(show(None), Ending::Wrong);
    std::fs::write(&file, format!("actions = []\n{}", node("node1", 1, ""))).unwrap();
    assert_eq!(show(None), Ending::Well);
    assert_eq!(show(Some("node1")), Ending::Well);
    assert_eq!(show(Some("node2")), Ending::Unable);
    assert_eq!(show(Some("../x")), Ending::Unable);
}
