//! The networks that people run: on each a node fences one on another host, over the cables between them,
//! and where there are two networks it does so with the guests' LAN down.

use crate::client::destroy_goes_on;
use crate::{Dom0, ask, counts, long_after, recorded, settle, stands_still};
use std::time::Duration;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::{Builder, Network, Output};

const ADMIN: &str = "from = [\"10.78.0.0/24\"]";
/// node2's address on the guests' LAN.
const NODE2: &str = "10.77.0.12";

/// node1 and node3 on xen1, node2 on xen2; who asks may do so from there.
fn on(network: Network, from: &str) -> Builder {
    let actions = "actions = [\"reset\", \"off\", \"on\", \"status\"]\n";
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2", "node3"]);
    builder.network(network).policy("alpha", &format!("{actions}{from}"))
}

/// Both hosts; says what of the network this kernel does not have.
fn two(case: &str, builder: Builder) -> (Dom0, Dom0) {
    let (xen1, xen2) = builder.raise_two(&[("alpha", "node2")]).unwrap();
    let lacks = xen1.lacks();
    if !lacks.is_empty() {
        let kinds = lacks.join(" and no ");
        skipped(case, &format!("this kernel has no {kinds}: run with VXLAN and routes instead"));
    }
    (xen1, xen2)
}

fn node1(xen1: &Dom0, words: &[&str]) -> Output {
    ask(xen1, "alpha", "node1", words)
}

/// node1 resets node2: nothing is left of the old one, and a new one runs.
#[track_caller]
fn fences(xen1: &Dom0, xen2: &Dom0) {
    fences_while(xen1, xen2, &[], || ());
}

/// As `fences`, with more said to the agent, and this done while it is at work.
#[track_caller]
fn fences_while(xen1: &Dom0, xen2: &Dom0, more: &[&str], meanwhile: impl FnOnce()) {
    long_after(xen1);
    long_after(xen2);
    let (domid, processes) = (xen2.domid("alpha", "node2"), xen2.processes_of("alpha", "node2"));
    assert!(!processes.is_empty());
    let words = [&["xen-fence", "reset", "node2"], more].concat();
    let reset = xen1.in_node("alpha", "node1").spawn(&words);
    meanwhile();
    let reset = reset.wait().exits(0).saying("absent on ").saying("killed by ");
    for old in processes {
        let same = xen2.process(old.pid).filter(|now| now.command == old.command);
        assert!(same.is_none(), "{old:?} lives on\n{reset}");
    }
    settle(|| xen2.domid("alpha", "node2") > domid);
    counts(xen2, "alpha", "node2");
}

/// node1 has node2 off: what it wrote stops, and stays as it is until node2 is started.
#[track_caller]
fn puts_out(xen1: &Dom0, xen2: &Dom0) {
    counts(xen2, "alpha", "node2");
    let _ = node1(xen1, &["off", "node2"]).exits(0).saying("killed by xen2");
    stands_still(xen2, "alpha", "node2");
    comes_back(xen2);
}

/// node2 is started where it was: the agent's `on` may choose the other host.
#[track_caller]
fn comes_back(xen2: &Dom0) {
    let _ = xen2.on(&["xl", "create", &xen2.node("alpha", "node2").config()]).exits(0);
    counts(xen2, "alpha", "node2");
}

/// A fence fails because no way leads to a dom0, in words that name it, and touches nobody.
#[track_caller]
fn touches_nothing(xen1: &Dom0, xen2: &Dom0, words: &[&str], says: &[&str]) {
    let domids = || (xen1.domid("alpha", "node1"), xen2.domid("alpha", "node2"));
    let before = domids();
    let failed = node1(xen1, &[&["off", "node2", "--timeout", "4"], words].concat());
    assert!([4, 7].contains(&failed.code), "{failed}");
    assert!(failed.took < Duration::from_secs(6), "{failed}");
    for words in says {
        assert!(failed.says(words), "{words}\n{failed}");
    }
    assert_eq!(domids(), before, "{failed}");
}

/// True if what node1 sends to this address arrives: nobody listens there on port 9, and says so.
fn reaches(xen1: &Dom0, address: &str) -> bool {
    let line = format!("timeout 2 bash -c '</dev/tcp/{address}/9'");
    xen1.in_node("alpha", "node1").run(&["sh", "-c", &line]).says("refused")
}

/// Has a bridge of both hosts down or up.
fn bridge(hosts: [&Dom0; 2], name: &str, state: &str) {
    for dom0 in hosts {
        let _ = dom0.on(&["ip", "link", "set", name, state]).exits(0);
    }
}

/// dom0 saw the request for node2 come from this address.
#[track_caller]
fn came_from(dom0: &Dom0, address: &str) {
    let from = format!("\"from\":\"{address}\"");
    assert!(recorded(dom0, "alpha", &["node2", &from]), "{:#?}", dom0.journal("alpha"));
}

#[test]
fn one_bridge() {
    let (xen1, xen2) = two("one_bridge", on(Network::Bridge, "from = [\"10.77.0.0/24\"]"));
    fences(&xen1, &xen2);
    came_from(&xen1, "10.77.0.11");
    came_from(&xen2, "10.77.0.11");
    puts_out(&xen1, &xen2);
    // The fence did cross the cable.
    xen1.cable("to-other", false).unwrap();
    touches_nothing(&xen1, &xen2, &[], &["xen2"]);
    xen1.cable("to-other", true).unwrap();
    fences(&xen1, &xen2);
}

/// dom0 has no address on the guests' LAN, and the sshd for fencing listens on the admin VLAN alone.
#[test]
fn a_bridge_for_each_vlan() {
    let (xen1, xen2) = two("a_bridge_for_each_vlan", on(Network::Vlans, ADMIN));
    assert!(!xen1.on(&["ip", "address", "show", "xenbr10"]).exits(0).says("10.77."));
    fences(&xen1, &xen2);
    came_from(&xen1, "10.78.0.11");
    came_from(&xen2, "10.78.0.11");

    assert!(reaches(&xen1, NODE2) && reaches(&xen1, "10.78.0.12"));
    bridge([&xen1, &xen2], "xenbr10", "down");
    assert!(!reaches(&xen1, NODE2), "the LAN is down");
    fences(&xen1, &xen2);
    puts_out(&xen1, &xen2);

    // It is the admin VLAN that the fence goes over.
    bridge([&xen1, &xen2], "xenbr10", "up");
    bridge([&xen1, &xen2], "xenbr20", "down");
    settle(|| reaches(&xen1, NODE2));
    touches_nothing(&xen1, &xen2, &[], &["xen1"]);
    bridge([&xen1, &xen2], "xenbr20", "up");
    fences(&xen1, &xen2);
}

/// Through the host's own sshd, and a cable is pulled in the middle of the kill.
#[test]
fn tagged_bridges_on_a_bond() {
    let builder = on(Network::Bond, ADMIN).hosts_sshd();
    let (xen1, xen2) = two("tagged_bridges_on_a_bond", builder);
    fences(&xen1, &xen2);
    came_from(&xen2, "10.78.0.11");
    bridge([&xen1, &xen2], "xenbr10", "down");
    for cable in ["eth0", "eth1"] {
        xen2.fault(&["fault", "slow-destroy", "3000", "alpha-node2"]);
        fences_while(&xen1, &xen2, &[], || {
            destroy_goes_on(&xen2);
            xen1.cable(cable, false).unwrap();
        });
        xen2.fault(&["clear"]);
        fences(&xen1, &xen2);
        xen1.cable(cable, true).unwrap();
        settle(|| reaches(&xen1, "10.78.0.253"));
    }
    xen1.cable("eth0", false).unwrap();
    puts_out(&xen1, &xen2);
    xen1.cable("eth1", false).unwrap();
    touches_nothing(&xen1, &xen2, &[], &["xen2"]);
    xen1.cable("eth1", true).unwrap();
    fences(&xen1, &xen2);
}

/// Outside, a guest has its host's address: that is what the other host's policy has to name.
#[test]
fn behind_a_router_with_names_from_dnsmasq() {
    const CASE: &str = "behind_a_router_with_names_from_dnsmasq";
    if let Some(lacks) = Network::Nat.needs() {
        return skipped(CASE, lacks);
    }
    let from = "from = [\"10.77.0.0/24\", \"10.79.0.254\", \"10.79.0.253\"]";
    let (xen1, xen2) = two(CASE, on(Network::Nat, from));
    let node = xen1.in_node("alpha", "node1");
    assert!(!node.run(&["cat", "/etc/hosts"]).exits(0).says("xen1"));
    let _ = node.run(&["getent", "hosts", "node2"]).exits(0).saying(NODE2);
    let _ = node1(&xen1, &["-v", "status", "node2"]).exits(0).saying("by the resolver");
    let _ = node1(&xen1, &["check", "node2"]).exits(0).saying("xen1 needs DNS");
    fences(&xen1, &xen2);
    came_from(&xen1, "10.77.0.11");
    came_from(&xen2, "10.79.0.254");
    puts_out(&xen1, &xen2);

    // A policy that forgot the hosts' addresses.
    let forgot =
        xen2.file("/etc/xen-fence/clusters.d/alpha.toml").replace("10.79.0.254", "10.79.0.9");
    xen2.write("/etc/xen-fence/clusters.d/alpha.toml", forgot, 0o644);
    let off = || node1(&xen1, &["off", "node2", "--timeout", "4"]);
    let _ = off().exits(3).saying("from your address");
    let _ = xen2.on(&["xen-fence-admin", "acl", "apply"]).exits(0);
    let _ = off().exits(6).saying("`from` in that file");
    assert!(xen2.domid("alpha", "node2").is_some());
}

#[test]
fn a_dnsmasq_that_is_dead() {
    const CASE: &str = "a_dnsmasq_that_is_dead";
    if let Some(lacks) = Network::Nat.needs() {
        return skipped(CASE, lacks);
    }
    let (xen1, xen2) = two(CASE, on(Network::Nat, ""));
    let addresses =
        ["--dom0", "fence-alpha@10.79.0.254:2422", "--dom0", "fence-alpha@10.79.0.253:2422"];
    let helps = ["no address was found for xen", "by its address, or put xen"];
    // It hangs, and then it is dead.
    for signal in ["-STOP", "-KILL"] {
        let _ = xen1.on(&["pkill", signal, "-x", "dnsmasq"]).exits(0);
        touches_nothing(&xen1, &xen2, &[], &helps);
        fences_while(&xen1, &xen2, &addresses, || ());
    }
    // It comes back while the agent tries again.
    long_after(&xen1);
    long_after(&xen2);
    let off = xen1.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
    std::thread::sleep(Duration::from_secs(1));
    xen1.start_dnsmasq().unwrap();
    let _ = off.wait().exits(0).saying("killed by xen2");
    comes_back(&xen2);
    // As the hint says.
    let _ = xen1.on(&["pkill", "-KILL", "-x", "dnsmasq"]).exits(0);
    let hosts = format!("{}/../hosts", xen1.node("alpha", "node1").etc());
    xen1.write(&hosts, "127.0.0.1 localhost\n10.79.0.254 xen1\n10.79.0.253 xen2\n", 0o644);
    fences(&xen1, &xen2);
}
