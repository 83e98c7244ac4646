//! The networks that a throwaway dom0 can be raised with, as people run them: bridges, VLANs on one cable
//! or on a bond of two, NAT; made with `ip` of the kernel's own devices. The cables lead to a second dom0.
//!
//! Where the kernel has no VLANs, VXLAN tags what a bridge sends in their place, and where it has no
//! bonds, routes choose between the cables; [`Dom0::lacks`] tells, and a test has to say so loudly.

use super::clusters::Host;
use super::dom0::Dom0;
use super::{Result, services};
use std::path::Path;

/// A network that people run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// One bridge for everything, which the cable is plugged into.
    #[default]
    Bridge,
    /// A bridge for each VLAN of the cable: the guests' LAN, on which dom0 has no address, and the admin
    /// VLAN, on which the nodes are as well.
    Vlans,
    /// As [`Network::Vlans`], the VLANs being those of a bond of two cables.
    Bond,
    /// dom0 is its guests' router, and outside they have its address; its dnsmasq tells them names.
    Nat,
}

/// A bridge of dom0, and the network on it.
struct Bridge {
    name: &'static str,
    /// The first three bytes of its addresses.
    net: &'static str,
    vlan: Option<u16>,
    guests: bool,
    dom0: Port,
}

/// Whether dom0 itself is on a bridge.
enum Port {
    None,
    /// By the address that its name stands for.
    Own,
    /// As its guests' router, with the same address on each host.
    Router,
}

const GUESTS: &str = "10.77.0";
const ADMIN: &str = "10.78.0";
const OUTSIDE: &str = "10.79.0";
/// What the cables carry where VXLAN stands in for VLANs.
const BELOW: &str = "10.99.0";

impl Network {
    /// The guests' LAN comes first.
    fn bridges(self) -> Vec<Bridge> {
        let bridge = |name, net, vlan, guests, dom0| Bridge { name, net, vlan, guests, dom0 };
        match self {
            Self::Bridge => vec![bridge("xenbr0", GUESTS, None, true, Port::Own)],
            Self::Vlans | Self::Bond => vec![
                bridge("xenbr10", GUESTS, Some(10), true, Port::None),
                bridge("xenbr20", ADMIN, Some(20), true, Port::Own),
            ],
            Self::Nat => vec![
                bridge("virbr0", GUESTS, None, true, Port::Router),
                bridge("xenbr0", OUTSIDE, None, false, Port::Own),
            ],
        }
    }

    /// The cables to the other dom0, by the name that they have in both.
    pub(crate) fn cables(self) -> &'static [&'static str] {
        match self {
            Self::Bridge | Self::Nat => &["to-other"],
            Self::Vlans => &["eth0"],
            Self::Bond => &["eth0", "eth1"],
        }
    }

    /// The address of dom0 that its nodes ask at.
    pub(crate) fn address(self, last: u8) -> String {
        let own = |bridge: &Bridge| matches!(bridge.dom0, Port::Own);
        let net = self.bridges().into_iter().find(own).map_or(GUESTS, |bridge| bridge.net);
        format!("{net}.{last}")
    }

    /// A domain's interfaces in its configuration, and what its kernel is told of them.
    pub(crate) fn of_a_domain(self, number: usize) -> (String, &'static str) {
        let bridges = self.bridges().into_iter().filter(|bridge| bridge.guests);
        let vifs = bridges.enumerate().map(|(at, Bridge { name, net, .. })| {
            format!("\"bridge={name},mac=00:16:3e:00:{at:02x}:{number:02x},ip={net}.{number}\"")
        });
        let told = if self == Self::Nat { " ip=::10.77.0.1" } else { "" };
        (vifs.collect::<Vec<_>>().join(", "), told)
    }

    /// Files of a domain's own /etc, with their names: where names come from the network, it has none itself.
    pub(crate) fn etc_of_a_domain(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Nat => {
                &[("hosts", "127.0.0.1 localhost\n"), ("resolv.conf", "nameserver 10.77.0.1\n")]
            }
            _ => &[],
        }
    }

    /// What the sshd for fencing alone is told of this host: to listen at that address and no other.
    pub(crate) fn of_sshd(self, host: &Host) -> Option<String> {
        (self != Self::Bridge).then(|| format!("ListenAddress {}\n", host.address))
    }

    /// Makes the bridges.
    pub(crate) fn script(self, host: &Host) -> Vec<String> {
        let mut lines = vec!["ip link set lo up".to_owned()];
        for (at, Bridge { name, net, dom0, .. }) in self.bridges().into_iter().enumerate() {
            let last = host.last;
            // An address of its own: else it takes that of a domain's interface, which comes and goes.
            lines.push(format!(
                "ip link add {name} address 02:00:0a:4d:{at:02x}:{last:02x} type bridge"
            ));
            let address = match dom0 {
                Port::None => None,
                Port::Own => Some(last),
                Port::Router => Some(1),
            };
            if let Some(last) = address {
                lines.push(format!("ip address add {net}.{last}/24 dev {name}"));
            }
            lines.push(format!("ip link set {name} up"));
        }
        if self == Self::Nat {
            lines.push("echo 1 >/proc/sys/net/ipv4/ip_forward".to_owned());
            lines.push(format!("nft '{MASQUERADE}'"));
            lines.push("rm -f /etc/resolv.conf; : >/etc/resolv.conf".to_owned());
            lines.push(format!("printf '{DNSMASQ}' >/etc/dnsmasq-guests.conf"));
        }
        lines
    }

    /// Plugs the cables in, which are there on both ends, as far as this kernel goes.
    pub(crate) fn plug(self, host: &Host, lacks: &[&str]) -> Vec<String> {
        let cables = self.cables();
        if !self.tagged() {
            return vec![format!("ip link set {} master xenbr0 up", cables[0])];
        }
        let mut lines = Vec::new();
        let trunk = if self == Self::Bond { "bond0" } else { "eth0" };
        if lacks.is_empty() {
            if self == Self::Bond {
                lines.push("ip link add bond0 type bond mode active-backup miimon 50".to_owned());
                lines
                    .extend(cables.iter().map(|cable| format!("ip link set {cable} master bond0")));
            }
            lines.extend(cables.iter().map(|cable| format!("ip link set {cable} up")));
            lines.push(format!("ip link set {trunk} up"));
        } else {
            lines.push(format!("ip address add {BELOW}.{}/32 dev lo", host.last));
            for cable in cables {
                lines.push(format!("ip link set {cable} mtu 1600 up"));
                let dead = "ignore_routes_with_linkdown";
                lines.push(format!("echo 1 >/proc/sys/net/ipv4/conf/{cable}/{dead}"));
            }
            lines.extend(self.routes(host));
        }
        for Bridge { name, vlan, .. } in self.bridges() {
            let (Some(id), other) = (vlan, host.other_last()) else { continue };
            lines.push(if lacks.is_empty() {
                format!("ip link add link {trunk} name {trunk}.{id} type vlan id {id}")
            } else {
                let ends = format!("local {BELOW}.{} remote {BELOW}.{other}", host.last);
                format!("ip link add {trunk}.{id} type vxlan id {id} {ends} dstport 4789")
            });
            lines.push(format!("ip link set {trunk}.{id} master {name} up"));
        }
        lines
    }

    /// The ways to the other host where the kernel has no bond: the first cable that is not pulled.
    fn routes(self, host: &Host) -> Vec<String> {
        let (mine, other) = (host.last, host.other_last());
        let cables = self.cables().iter().enumerate();
        let route = |(metric, cable): (usize, &&str)| {
            format!(
                "ip route replace {BELOW}.{other}/32 dev {cable} metric {metric} src {BELOW}.{mine}"
            )
        };
        cables.map(|(at, cable)| route((at + 1, cable))).collect()
    }

    fn tagged(self) -> bool {
        matches!(self, Self::Vlans | Self::Bond)
    }

    /// What this network needs of the machine and does not find there.
    #[must_use]
    pub fn needs(self) -> Option<&'static str> {
        let there = |program: &str| Path::new(program).exists();
        match self {
            Self::Nat if !there("/usr/sbin/nft") => Some("there is no nft here (package nftables)"),
            Self::Nat if !there("/usr/sbin/dnsmasq") => {
                Some("there is no dnsmasq here (package dnsmasq-base)")
            }
            _ => None,
        }
    }
}

const MASQUERADE: &str = "add table ip nat; \
    add chain ip nat out { type nat hook postrouting priority 100 ; }; \
    add rule ip nat out oifname \"xenbr0\" masquerade";

/// It tells what dom0's own /etc/hosts has.
const DNSMASQ: &str = "interface=virbr0\\nbind-interfaces\\nno-resolv\\nuser=root\\n";

impl Dom0 {
    /// The kinds of devices that its network is made of elsewhere, and that this kernel does not have.
    #[must_use]
    pub fn lacks(&self) -> Vec<&'static str> {
        let missing = |(_, device): &(&str, &str)| {
            self.sh(&format!("ip link add {device} && ip link delete probe")).code != 0
        };
        let (vlan, bond) =
            (("vlan", "link xenbr10 name probe type vlan id 1"), ("bond", "probe type bond"));
        let kinds = match self.network {
            Network::Bridge | Network::Nat => vec![],
            Network::Vlans => vec![vlan],
            Network::Bond => vec![vlan, bond],
        };
        kinds.into_iter().filter(missing).map(|(kind, _)| kind).collect()
    }

    /// Pulls a cable to the other dom0, or plugs it in again.
    pub fn cable(&self, cable: &str, plugged: bool) -> Result<()> {
        self.place.must(&["ip", "link", "set", cable, if plugged { "up" } else { "down" }])?;
        if plugged && !self.lacks().is_empty() {
            let routes = self.network.routes(&self.host);
            let of_it = routes.iter().filter(|line| line.contains(&format!(" {cable} ")));
            of_it
                .map(|line| self.place.must(&["sh", "-c", line]))
                .try_for_each(|done| done.map(drop))?;
        }
        Ok(())
    }

    /// Starts the dnsmasq of a NAT's guests, or the same again after it was stopped.
    pub fn start_dnsmasq(&self) -> Result<()> {
        let words = ["/usr/sbin/dnsmasq", "-k", "--conf-file=/etc/dnsmasq-guests.conf"];
        services::start(&self.place, "dnsmasq.service", &words)?;
        services::until("dnsmasq listens", || services::listens(self.init(), 53))
    }
}
