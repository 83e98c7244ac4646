//! Decisions as a table: who asks with which key, from where, what; and what the policy says.

use super::*;
use crate::acl::parse;
use crate::names::{ClusterName, PublicKey};
use xen_fence_protocol::{NodeName, RequestId};

const KEYS: [&str; 4] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE635By9TamHQAQfjPqiszpmb31e+6vm0isRK41ZAQOW",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFa5dYipapf0gC6lOeU7ZCc8xLu7RN7/L/XbjQPU1LCX",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPddLpiOEaJPRTpd4HKQt+kFC7O4RLMev2opgRg7tZzf",
];
/// A second key of node1, while it is rotated.
const NEW_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDM";

/// alpha: node1 may act on all, node2 on node1 alone, node3 on none; on is not granted. nagios may
/// look, desk may reset node1 and node3 and start what has a configuration.
fn alpha() -> Cluster {
    let text = format!(
        r#"actions = ["reset", "off", "status"]
from = ["192.168.2.0/24", "fd00:2::/64"]
[nodes.node1]
uuid = "0f6a1b2c-0000-4000-8000-000000000001"
config = "/etc/xen/node1.cfg"
keys = ["{}", "{NEW_KEY}"]
[nodes.Node2]
domain = "alpha-node2"
uuid = "0f6a1b2c-0000-4000-8000-000000000002"
keys = ["{}"]
targets = ["node1"]
[nodes.node3]
uuid = "0f6a1b2c-0000-4000-8000-000000000003"
keys = ["{}"]
targets = []
[operators.desk]
actions = ["reset", "on", "monitor", "list"]
from = ["192.168.9.5"]
targets = ["node1", "node3"]
keys = ["{}"]
"#,
        KEYS[0], KEYS[1], KEYS[2], KEYS[3]
    );
    parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap()
}

fn request(text: &str) -> Request {
    let (action, node) = text.split_once(' ').map_or((text, None), |(a, n)| (a, Some(n)));
    let node = node.map(|name| NodeName::parse(name).unwrap());
    Request::new(RequestId::from_bits(1), Action::from_word(action).unwrap(), node).unwrap()
}

fn ask(caller: &str, key: &str, from: &str, asked: &str) -> Decision {
    let caller = Caller::parse(caller).unwrap();
    let key = PublicKey::parse(key).unwrap().fingerprint();
    let from = (from != "-").then(|| from.parse().unwrap());
    decide(&alpha(), &caller, Some(&key), from, &request(asked))
}

/// The decision in the words of the table: `yes` with the targets, or the reason and the rule.
fn said(decision: Decision) -> (String, String) {
    match decision {
        Decision::Permit(grant) => {
            let names: Vec<_> = grant.targets().iter().map(|n| n.name().as_str()).collect();
            (format!("yes {}", names.join(",")).trim().to_owned(), grant.rule().to_owned())
        }
        Decision::Refuse(refused) => (refused.reason.to_string(), refused.recorded),
    }
}

#[test]
fn the_table() {
    const IN: &str = "192.168.2.11";
    const DESK: &str = "192.168.9.5";
    let [k1, k2, k3, kd] = KEYS;
    let always = "is always allowed to nodes, nodes.node1: targets by default";
    #[rustfmt::skip]
    let rows = [
        // caller, key, from, request, decision, words of the rule
        // A node and its targets.
        ("node node1", k1, IN, "reset Node2", "yes Node2", "actions (line 1), nodes.node1: targets by default"),
        ("node node1", k1, IN, "reset NODE2", "yes Node2", "nodes.node1: targets by default"),
        ("node NODE1", k1, IN, "off node3", "yes node3", "actions (line 1)"),
        ("node node1", k1, IN, "off node1", "yes node1", "targets by default"),
        ("node node1", k1, IN, "status node2", "yes Node2", "actions (line 1)"),
        ("node node1", NEW_KEY, IN, "reset node2", "yes Node2", "actions (line 1)"),
        ("node Node2", k2, IN, "reset node1", "yes node1", "nodes.Node2.targets (line 11)"),
        // What a node may always do.
        ("node node1", k1, IN, "list", "yes node1,Node2,node3", always),
        ("node node1", k1, IN, "monitor", "yes node1,Node2,node3", always),
        ("node node1", k1, IN, "check", "yes node1,Node2,node3", always),
        ("node node1", k1, IN, "check node3", "yes node3", always),
        ("node node2", k2, IN, "list", "yes node1", "list is always allowed to nodes"),
        ("node node3", k3, IN, "list", "yes", "nodes.node3.targets (line 15)"),
        // Who asks.
        ("node node9", k1, IN, "reset node2", "identity", "there is no nodes.node9"),
        ("node desk", kd, IN, "reset node2", "identity", "there is no nodes.desk"),
        ("operator node1", k1, DESK, "list", "identity", "there is no operators.node1"),
        ("node node1", k2, IN, "reset node2", "identity", "nodes.node1.keys does not hold SHA256:"),
        ("operator desk", k1, DESK, "reset node1", "identity", "operators.desk.keys does not hold SHA256:"),
        ("node node1", k2, "10.0.0.1", "check node9", "identity", ""),
        // From where.
        ("node node1", k1, "fd00:2::11", "reset node2", "yes Node2", ""),
        ("node node1", k1, "::ffff:192.168.2.11", "reset node2", "yes Node2", ""),
        ("node node1", k1, "192.168.3.11", "reset node2", "source", "from does not hold 192.168.3.11"),
        ("node node1", k1, DESK, "list", "source", "from does not hold 192.168.9.5"),
        ("node node1", k1, "fd00:3::11", "list", "source", "from does not hold fd00:3::11"),
        ("node node1", k1, "-", "list", "source", "sshd did not say"),
        ("operator desk", kd, IN, "list", "source", "operators.desk.from does not hold"),
        ("node node1", k1, "192.168.3.11", "on node9", "source", ""),
        // What.
        ("node node1", k1, IN, "on node1", "not-granted", "actions (line 1) does not list on"),
        ("node node1", k1, IN, "on node9", "not-granted", "does not list on"),
        ("operator desk", kd, DESK, "off node1", "not-granted", "operators.desk.actions (line 17) does not list off"),
        ("operator desk", kd, DESK, "check", "not-granted", "does not list check"),
        ("operator desk", kd, DESK, "status node1", "not-granted", "does not list status"),
        // Of whom.
        ("node node1", k1, IN, "reset node9", "not-yours", "there is no nodes.node9"),
        ("node node1", k1, IN, "reset Domain-0", "not-yours", "there is no nodes.Domain-0"),
        ("node node1", k1, IN, "reset 0", "not-yours", "there is no nodes.0"),
        ("node node1", k1, IN, "reset alpha-node2", "not-yours", "there is no nodes.alpha-node2"),
        ("node node1", k1, IN, "reset desk", "not-yours", "there is no nodes.desk"),
        ("node node2", k2, IN, "reset node3", "not-yours", "nodes.Node2.targets (line 11) does not hold node3"),
        ("node node2", k2, IN, "reset node2", "not-yours", "does not hold Node2"),
        ("node node2", k2, IN, "check node3", "not-yours", "does not hold node3"),
        ("node node3", k3, IN, "off node3", "not-yours", "does not hold node3"),
        ("operator desk", kd, DESK, "reset node2", "not-yours", "operators.desk.targets (line 19) does not hold Node2"),
        // Operators.
        ("operator desk", kd, DESK, "reset node1", "yes node1", "operators.desk.actions (line 17), operators.desk.targets (line 19)"),
        ("operator DESK", kd, DESK, "list", "yes node1,node3", "operators.desk"),
        ("operator desk", kd, DESK, "monitor", "yes node1,Node2,node3", "operators.desk.actions"),
        ("operator desk", kd, DESK, "on node1", "yes node1", "operators.desk.actions (line 17)"),
        ("operator desk", kd, DESK, "on node3", "not-granted", "nodes.node3 has no config"),
    ];
    for (caller, key, from, asked, wanted, rule) in rows {
        let (decision, recorded) = said(ask(caller, key, from, asked));
        assert_eq!(decision, wanted, "{caller} from {from}: {asked}: {recorded}");
        assert!(recorded.starts_with("clusters.d/alpha.toml: "), "{recorded}");
        assert!(recorded.contains(rule), "{caller}: {asked}: {recorded}");
    }
}

#[test]
fn a_guest_hears_the_same_of_an_unknown_node_another_ones_and_dom0() {
    let told = |caller, key, asked| match ask(caller, key, "192.168.2.11", asked) {
        Decision::Refuse(refused) => (refused.reason, refused.told),
        Decision::Permit(grant) => panic!("{asked} is granted: {}", grant.rule()),
    };
    let first = told("node node2", KEYS[1], "reset node9");
    for asked in ["reset node3", "off Domain-0", "status 0", "check beta-node1", "off node2"] {
        assert_eq!(told("node node2", KEYS[1], asked), first, "{asked}");
    }
}

#[test]
fn what_a_guest_hears_tells_nothing_of_the_file() {
    for (key, from, asked) in
        [(1, "192.168.2.1", "list"), (0, "10.0.0.1", "list"), (0, "192.168.2.1", "off node9")]
    {
        let Decision::Refuse(refused) = ask("node node1", KEYS[key], from, asked) else {
            panic!("{asked} is granted");
        };
        for secret in ["toml", "line", "SHA256", "192.168", "node9"] {
            assert!(!refused.told.contains(secret), "{}", refused.told);
        }
    }
}

#[test]
fn a_grant_names_the_asker_and_what_it_may_do_besides() {
    let Decision::Permit(grant) = ask("node NODE2", KEYS[1], "192.168.2.1", "check node1") else {
        panic!("refused");
    };
    assert_eq!(grant.action(), Action::Check);
    assert_eq!(grant.caller().to_string(), "node Node2", "as the policy spells it");
    assert_eq!(grant.asker().unwrap().domain().as_str(), "alpha-node2");
    let may = grant.caller_actions();
    assert!(may.contains(&Action::Reset) && may.contains(&Action::List));
    assert!(!may.contains(&Action::On));

    let Decision::Permit(grant) = ask("operator desk", KEYS[3], "192.168.9.5", "list") else {
        panic!("refused");
    };
    assert!(grant.asker().is_none());
    assert_eq!(grant.caller_actions().len(), 4);
}

#[test]
fn root_may_do_everything_to_the_nodes_of_the_policy_and_to_nothing_else() {
    let root =
        |asked: &str| decide_for_root(&alpha(), NodeName::parse("ada").unwrap(), &request(asked));
    for action in ["reset", "off", "status", "check"] {
        let (said, rule) = said(root(&format!("{action} node2")));
        assert_eq!((said.as_str(), rule.as_str()), ("yes Node2", "root on dom0"));
    }
    assert_eq!(said(root("off db1")).0, "not-yours");
    let Decision::Permit(grant) = root("off node2") else { panic!("refused") };
    assert!(grant.asker().is_none());
    assert_eq!(grant.caller().to_string(), "root ada");
    // Who says so by a key line is not root.
    let claims = Caller::Root(NodeName::parse("ada").unwrap());
    let key = PublicKey::parse(KEYS[0]).unwrap().fingerprint();
    let decision = decide(&alpha(), &claims, Some(&key), None, &request("off node2"));
    assert_eq!(said(decision).0, "identity");
    let node1 = Caller::parse("node node1").unwrap();
    assert_eq!(said(decide(&alpha(), &node1, None, None, &request("list"))).0, "identity");
}

/// What a monitor and a brake go by, whoever asks.
#[test]
fn a_grant_knows_whether_the_clusters_nodes_may_kill_and_what_brakes_them() {
    let of = |lines: &str| {
        let text = format!(
            "{lines}\n[nodes.node1]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\n\
             keys = [\"{}\"]\n",
            KEYS[0]
        );
        let policy = parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap();
        let key = PublicKey::parse(KEYS[0]).unwrap().fingerprint();
        let caller = Caller::parse("node node1").unwrap();
        match decide(&policy, &caller, Some(&key), None, &request("monitor")) {
            Decision::Permit(grant) => (grant.nodes_may_kill(), grant.brake().is_some()),
            Decision::Refuse(refused) => panic!("{}", refused.recorded),
        }
    };
    assert_eq!(of("actions = [\"on\", \"status\"]"), (false, false));
    assert_eq!(of("actions = [\"off\"]"), (true, false));
    assert_eq!(of("actions = [\"reset\"]\nbrake = \"3 resets in 10m\""), (true, true));
}

#[test]
fn without_from_the_address_does_not_matter() {
    let text = format!(
        "actions = []\n[nodes.node1]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\n\
         keys = [\"{}\"]\n",
        KEYS[0]
    );
    let policy = parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap();
    let key = PublicKey::parse(KEYS[0]).unwrap().fingerprint();
    let caller = Caller::parse("node node1").unwrap();
    for from in [None, Some("10.9.8.7".parse().unwrap())] {
        assert!(matches!(
            decide(&policy, &caller, Some(&key), from, &request("list")),
            Decision::Permit(_)
        ));
    }
}
