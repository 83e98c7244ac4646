//! The policy that `setup` writes: what a person wrote in it stays, and which domain a node is has to be
//! plain.

use super::{POLICY, line, programs_alone, set_up, three_nodes, unwritten};
use std::time::Duration;
use xen_fence_tests::throwaway::Dom0;

#[test]
fn what_a_person_wrote_in_a_policy_stays() {
    let dom0 = programs_alone(three_nodes());
    let _ = set_up(&dom0, &["node1", "node2"], &["--yes", "--from", "10.77.0.0/24"]).exits(1);
    let text = dom0.file(POLICY).replace("[nodes.node2]", "# ask Ada before\n[nodes.node2] # db");
    let node2 = line(&dom0, "node2").replace("node2=", "");
    let text = text.replace(&format!("[\"{node2}\"]"), &format!("[\n  \"{node2}\",\n]"));
    let operator = format!(
        "[operators.ada]\nactions=['list']\nkeys = [\"{}\"]\ntargets = ['node1']",
        fresh_key(&dom0, "ada")
    );
    let text = format!("brake = \"3 resets in 10m\"   # since May\n{text}\n\n{operator}");
    dom0.write(POLICY, &text, 0o640);
    let _ = set_up(&dom0, &["node3"], &["--yes"]).saying("+ [nodes.node3]");
    let grown = dom0.file(POLICY);
    assert!(grown.starts_with(&text) && grown.contains("\n[nodes.node3]\n"), "{grown}");
    assert_eq!(dom0.mode(POLICY), (0o640, 0, 0));
    // A second key, while one takes the other's place; and no third.
    let second = fresh_key(&dom0, "second");
    let rotate = |key: &str| {
        let node = format!("NODE2={key}");
        dom0.on(&["xen-fence-admin", "setup", "--cluster", "alpha", "--node", &node, "--yes"])
    };
    let _ = rotate(&second).saying("+ node node2 SHA256:");
    let both = format!("\"{node2}\",\n  \"{second}\"");
    let rotated = grown.replace(&format!("\"{node2}\""), &both);
    assert_eq!(dom0.file(POLICY), rotated);
    unwritten(&dom0, || {
        let _ = rotate(&second).saying("nothing to change");
        let _ = rotate(&fresh_key(&dom0, "third")).exits(1).saying("two keys");
        let other =
            set_up(&dom0, &["node1"], &["--yes", "--from", "10.77.0.1", "--actions", "off"]);
        let _ = other.exits(1).saying("actions = [\"off\"]").saying("from = [\"10.77.0.1\"]");
        let twice = format!("node3={node2}");
        let words = ["xen-fence-admin", "setup", "--cluster", "alpha", "--node", &twice, "--yes"];
        let _ = dom0.on(&words).exits(1).saying("the same key stands on line");
        let moved = set_up(&dom0, &["node1"], &["--yes", "--domain", "node1=web"]);
        let _ = moved.exits(1).saying("domain = \"web\"");
    });
    // Written in a way that takes no table behind it: it says the lines.
    let inline = "actions = ['off']\nnodes = { node1 = { uuid = 'UUID', keys = ['KEY'] } }\n";
    let inline = inline.replace("UUID", &dom0.node("alpha", "node1").uuid).replace("KEY", &second);
    dom0.write(POLICY, inline, 0o644);
    unwritten(&dom0, || {
        let _ = set_up(&dom0, &["node3"], &["--yes"]).exits(1).saying("\n[nodes.node3]\ndomain = ");
    });
}

/// A new public key.
fn fresh_key(dom0: &Dom0, name: &str) -> String {
    let _ = dom0.on(&[
        "ssh-keygen",
        "-qt",
        "ed25519",
        "-N",
        "",
        "-C",
        name,
        "-f",
        &format!("/root/{name}"),
    ]);
    dom0.file(&format!("/root/{name}.pub")).trim().to_owned()
}

#[test]
fn which_domain_a_node_is_is_plain_or_has_to_be_said() {
    let dom0 = programs_alone(three_nodes().stopped("alpha", "node3"));
    let node2 = dom0.node("alpha", "node2").clone();
    let node3 = dom0.node("alpha", "node3").clone();
    let one_and = |node: &str, options: &[&str]| {
        set_up(&dom0, &["node1", node], &[&["--dry-run"], options].concat())
    };
    dom0.fault(&["add-row", "node2", "0f6a1b2c-0000-4000-8000-000000000001"]);
    let _ = one_and("node2", &[])
        .exits(1)
        .saying("could be the domain node2")
        .saying("--domain node2=");
    let _ = one_and("node2", &["--domain", "node2=alpha-node2"]).exits(0).saying(&node2.uuid);
    dom0.fault(&["drop-row", "3"]);
    dom0.fault(&["add-row", "web", &node2.uuid]);
    let _ = one_and("node2", &[]).exits(1).saying("is called \"web\"");
    dom0.fault(&["drop-row", "4"]);
    let _ = one_and("node3", &[]).exits(1).saying("no domain node3 or alpha-node3 runs here");
    let by_hand = format!("node3={}", node3.uuid);
    let _ = one_and("node3", &["--uuid", &by_hand]).exits(0).saying("domain = \"alpha-node3\"");
    let _ = one_and("node3", &["--domain", "node2=x"]).exits(2).saying("no --node");
    dom0.fault(&["fault", "xenstored-dead"]);
    let dead = one_and("node2", &[]).exits(1).saying("cannot be listed");
    assert!(dead.took < Duration::from_secs(30), "{dead}");
    dom0.fault(&["clear"]);
}

/// The mend that it prints, done literally, mends it.
#[test]
fn a_configuration_without_the_uuid_is_an_error_with_the_line_to_add() {
    let dom0 = programs_alone(three_nodes());
    let config = dom0.node("alpha", "node2").config();
    let whole = dom0.file(&config);
    let without = whole.lines().filter(|line| !line.starts_with("uuid")).collect::<Vec<_>>();
    dom0.write(&config, without.join("\n") + "\n", 0o644);
    let both = || set_up(&dom0, &["node1", "node2"], &["--dry-run"]);
    let said = both().exits(1).saying(&config).saying("nothing was changed");
    let (_, line) = said.stdout.split_once("; add `").unwrap();
    let line = line.split('`').next().unwrap();
    let _ = dom0.sh(&format!("echo '{line}' >> {config}")).exits(0);
    let _ = both().exits(0).saying(&config);
    // What is neither is in nobody's way.
    let _ = dom0.sh("mkfifo /etc/xen/fifo.cfg; truncate -s 1G /etc/xen/huge.cfg").exits(0);
    // Others could write it: nobody would start a node from that.
    let _ = dom0.on(&["chmod", "666", &config]).exits(0);
    let _ = both().exits(1).saying(&config);
    let _ = dom0.on(&["chmod", "644", &config]).exits(0);
    // Two that would do; the one of the usual name counts. None: it is said what that means.
    let _ = dom0.on(&["cp", &config, "/etc/xen/another"]).exits(0);
    let _ = both().exits(0).saying(&format!("config = \"{config}\""));
    let _ =
        dom0.sh(&format!("mkdir /srv/xen; mv {config} /srv/xen/n2; rm /etc/xen/another")).exits(0);
    let _ = both().exits(0).saying("a reset leaves node2 off");
    let elsewhere = ["--dry-run", "--config", "node2=/srv/xen/n2"];
    let _ =
        set_up(&dom0, &["node1", "node2"], &elsewhere).exits(0).saying("config = \"/srv/xen/n2\"");
}
