//! docs/quickstart.md, word for word: the commands that it prints are run as they stand there, each where
//! it says, on terminals.

use crate::setup::programs_alone;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::{Dom0, Output, Place};

const TEXT: &str = include_str!("../../docs/quickstart.md");

/// The commands of the text, each with the machine that it is typed on.
fn commands() -> Vec<(String, String)> {
    let blocks = TEXT.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(|block| {
        let whole = block.replace("\\\n", "");
        whole.lines().map(str::to_owned).collect::<Vec<_>>()
    });
    lines
        .map(|line| {
            let (machine, command) = line.split_once("# ").unwrap();
            (machine.to_owned(), command.split_whitespace().collect::<Vec<_>>().join(" "))
        })
        .collect()
}

/// Types a command at a terminal, and says yes to what it asks.
fn typed(place: &Place, command: &str) -> Output {
    place.run_with_input(&["script", "-qec", command, "/dev/null"], b"y\n")
}

/// The word of a text that begins so.
fn word<'a>(text: &'a str, beginning: &str) -> &'a str {
    let at = text.find(beginning).unwrap_or_else(|| panic!("no {beginning} in\n{text}"));
    text[at..].split(|c: char| c.is_whitespace() || c == '\'').next().unwrap()
}

/// Everything between the quotes that begin so.
fn quoted<'a>(text: &'a str, beginning: &str) -> &'a str {
    let at = text.find(beginning).unwrap_or_else(|| panic!("no {beginning} in\n{text}"));
    text[at..].split('\'').next().unwrap()
}

#[test]
fn the_five_commands_prove_that_a_fence_would_work() {
    let commands = commands();
    let machines: Vec<_> = commands.iter().map(|(machine, _)| machine.as_str()).collect();
    assert_eq!(machines, ["dom0", "node1", "node2", "dom0", "node1"]);
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        return skipped("the_five_commands", "there is no systemd here (package systemd)");
    }
    let dom0 = programs_alone(Dom0::builder().systemd().cluster("alpha", &["node1", "node2"]));
    // The guests know nothing either, and the network is that of the text.
    let _ = dom0.sh("rm -r /srv/nodes/*/etc-xen-fence/*").exits(0);
    // Over which a node's own is mounted.
    let _ = dom0.on(&["mkdir", "/etc/xen-fence"]).exits(0);
    let _ = dom0.sh("ip address add 192.168.2.1/24 dev xenbr0").exits(0);
    for (node, address) in [("node1", "192.168.2.11/24"), ("node2", "192.168.2.12/24")] {
        let words = ["ip", "address", "add", address, "dev", "eth0"];
        let _ = dom0.in_node("alpha", node).run(&words).exits(0);
    }
    let there = |machine: &str| match machine {
        "dom0" => dom0.place().clone(),
        node => dom0.in_node("alpha", node),
    };
    // What is of the hosts alone comes from what the command before has printed.
    let mut said = String::new();
    for (at, (machine, command)) in commands.iter().enumerate() {
        let mut command = command.clone();
        if command.contains("SHA256:") {
            command = command.replace(word(&command, "SHA256:"), word(&said, "SHA256:"));
            assert!(said.contains(&command), "it was not printed: {command}\n{said}");
        }
        for node in ["node1=ssh-ed25519 ", "node2=ssh-ed25519 "] {
            if command.contains(node) {
                let key = quoted(&said, node).to_owned();
                command = command.replace(quoted(&command, node), &key);
            }
        }
        let done = typed(&there(machine), &command).exits(0);
        said.push_str(&done.stdout);
        if at + 1 == commands.len() {
            assert!(!done.says("FAIL"), "{done}");
            for node in ["node1", "node2"] {
                let target = |line: &str| line.starts_with("ok") && line.contains(node);
                assert!(done.stdout.lines().any(target), "{node}\n{done}");
            }
        }
    }
    let before = dom0.domid("alpha", "node2");
    let _ = dom0.in_node("alpha", "node1").run(&["xen-fence", "reset", "node2"]).exits(0);
    assert_ne!(dom0.domid("alpha", "node2"), before);
}
