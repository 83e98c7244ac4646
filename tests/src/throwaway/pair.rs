//! Two throwaway dom0s on one network: the cables between them, and what each node's agent has to know
//! of both.

use super::builder::HOST_KEY;
use super::clusters;
use super::dom0::Dom0;
use super::network::Network;
use crate::error::{Doing, Error, Result};
use std::process::Command;

/// Makes two dom0s known to each other's nodes.
pub(crate) fn join(first: &Dom0, second: &Dom0) -> Result<()> {
    let network = first.network;
    for cable in network.cables() {
        lay(cable, first, second)?;
    }
    let lacks = first.lacks();
    let keys = [first, second].map(|dom0| dom0.file(HOST_KEY).trim_end().to_owned());
    let known = [(&first.host, keys[0].as_str()), (&second.host, keys[1].as_str())];
    for dom0 in [first, second] {
        let plug = network.plug(&dom0.host, &lacks).join("\n");
        dom0.place.must(&["sh", "-ec", &plug])?;
        let hosts = clusters::hosts(&[&first.host, &second.host], &dom0.nodes);
        dom0.root.write("/etc/hosts", hosts.as_bytes(), 0o644)?;
        for node in &dom0.nodes {
            clusters::write_agent(&dom0.root, node, dom0.sshd, &known)?;
        }
        if network == Network::Nat {
            dom0.place.must(&["pkill", "-HUP", "-x", "dnsmasq"])?;
        }
    }
    Ok(())
}

/// Lays a cable between the two, with this name at both ends.
fn lay(cable: &str, first: &Dom0, second: &Dom0) -> Result<()> {
    // Both ends come into being where they belong: nothing is seen of them on the machine.
    let (one, other) = (first.init().to_string(), second.init().to_string());
    let words = ["link", "add", cable, "netns", &one, "type", "veth", "peer", "name", cable];
    let made = Command::new("ip").args(words).args(["netns", &other]).output().doing("run ip")?;
    if made.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&made.stderr);
    Err(Error::new(format!("no cable between two dom0s: {}", why.trim())))
}
