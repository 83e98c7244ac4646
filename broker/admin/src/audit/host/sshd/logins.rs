//! The logins that sshd is asked about: from where a policy lets its callers ask, to where sshd
//! listens. A Match block may hold for one of them alone.

use super::super::accounts::Account;
use super::config::{self, Line};
use crate::patterns::written;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use xen_fence_broker::acl::Cluster;

/// Addresses that are nobody's (RFC 5737, RFC 3849), for who may come from anywhere.
const ANYWHERE: [Caller; 2] = [
    (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), None),
    (IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), None),
];

/// An address that somebody comes from, and the network that it stands for; none if it stands for all.
type Caller = (IpAddr, Option<IpNet>);

/// One login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) from: IpAddr,
    /// What `from` stands for; nothing if that is anywhere.
    pub(super) net: Option<IpNet>,
    pub(super) to: SocketAddr,
    /// Whether the policy names where it comes from, or nothing does; else a Match block does, and
    /// the policy only lets it.
    pub(super) is_stated: bool,
}

impl Login {
    /// Some login, for what is the same for all of them.
    pub(super) const ANY: Self = Self {
        from: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        net: None,
        to: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2422),
        is_stated: true,
    };

    /// As `sshd -C` takes it.
    pub(super) fn specification(&self, account: &str) -> String {
        let (from, to, port) = (self.from, self.to.ip(), self.to.port());
        format!("user={account},host={from},addr={from},laddr={to},lport={port}")
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.from, self.to)
    }
}

/// The logins of an account: one from each network of its callers, to each listener.
pub(super) fn of(account: &Account<'_>, listeners: &[SocketAddr], lines: &[Line]) -> Vec<Login> {
    each(callers(account.policy, &named(lines, "address")), listeners, lines)
}

/// The logins of an account by somebody whom no policy confines to any network.
pub(super) fn of_anybody(listeners: &[SocketAddr], lines: &[Line]) -> Vec<Login> {
    let from = named(lines, "address").into_iter().map(of_net).chain(ANYWHERE);
    each(from.map(|caller| (caller, true)).collect(), listeners, lines)
}

fn each(from: BTreeMap<Caller, bool>, listeners: &[SocketAddr], lines: &[Line]) -> Vec<Login> {
    let ours: Vec<IpAddr> = named(lines, "localaddress").iter().map(IpNet::addr).collect();
    let mut found: Vec<Login> = Vec::new();
    for ((from, net), is_stated) in from {
        for to in listeners.iter().flat_map(|listener| reached(*listener, from, &ours)) {
            found.push(Login { from, net, to, is_stated });
        }
    }
    // Of two that come to the same, the one that the policy names is kept.
    found.sort_by_key(|login| !login.is_stated);
    found
}

/// The networks and addresses that Match lines name by this criterion.
fn named(lines: &[Line], criterion: &str) -> Vec<IpNet> {
    let blocks = lines.iter().filter(|line| line.keyword == "match");
    let mut found = Vec::new();
    for block in blocks {
        let words: Vec<&str> = config::criteria(&block.value).collect();
        for pair in words.windows(2) {
            if let [keyword, patterns] = pair
                && keyword.eq_ignore_ascii_case(criterion)
            {
                let patterns = patterns.split(',').map(|it| it.trim_start_matches('!'));
                found.extend(patterns.filter_map(written));
            }
        }
    }
    found
}

/// A network by its own address.
fn of_net(net: IpNet) -> Caller {
    (net.addr(), Some(net))
}

/// An address of each network that callers may ask from, and whether the policy names it.
fn callers(policy: Option<&Cluster>, theirs: &[IpNet]) -> BTreeMap<Caller, bool> {
    let Some(cluster) = policy else { return ANYWHERE.map(|caller| (caller, true)).into() };
    let of_operators = cluster.operators().iter().map(|operator| operator.from());
    let mut found = BTreeMap::new();
    for from in std::iter::once(cluster.from()).chain(of_operators) {
        let Some(nets) = from else {
            found.extend(ANYWHERE.map(|caller| (caller, true)));
            for net in theirs {
                found.entry(of_net(*net)).or_insert(false);
            }
            continue;
        };
        for net in nets {
            let inside = theirs.iter().filter(|it| net.contains(*it)).chain([net]);
            found.extend(inside.map(|net| (of_net(*net), true)));
        }
    }
    found
}

/// Which of this host's addresses a caller reaches at a listener.
fn reached(listener: SocketAddr, from: IpAddr, ours: &[IpAddr]) -> Vec<SocketAddr> {
    if listener.is_ipv4() != from.is_ipv4() {
        return Vec::new();
    }
    if !listener.ip().is_unspecified() {
        return vec![listener];
    }
    let is_ours = |address: &&IpAddr| {
        address.is_ipv4() == from.is_ipv4() && UdpSocket::bind((**address, 0)).is_ok()
    };
    let mut found: Vec<IpAddr> = ours.iter().filter(is_ours).copied().collect();
    found.push(way_back(from).unwrap_or_else(|| loopback(from)));
    found.into_iter().map(|address| SocketAddr::new(address, listener.port())).collect()
}

/// The address that this host answers from. Nothing is sent.
fn way_back(to: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((unspecified(to), 0)).ok()?;
    // That of a network itself counts as one for all in it.
    socket.set_broadcast(true).ok()?;
    socket.connect((to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

const fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// This host's own, of the same kind.
pub(super) const fn loopback(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use xen_fence_broker::acl::parse;
    use xen_fence_broker::names::ClusterName;

    const KEYS: [&str; 2] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE635By9TamHQAQfjPqiszpmb31e+6vm0isRK41ZAQOW",
    ];

    fn alpha(from: &str, of_operator: &str) -> Cluster {
        let [node, operator] = KEYS;
        let text = format!(
            "actions = []\n{from}\n[nodes.n]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\n\
             keys = [\"{node}\"]\n[operators.o]\nactions = [\"status\"]\n{of_operator}\n\
             keys = [\"{operator}\"]\n"
        );
        parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap()
    }

    fn block(value: &str) -> Line {
        let (file, keyword) = (PathBuf::from("/c"), "match".to_owned());
        Line { file, number: 1, keyword, value: value.to_owned(), blocks: Vec::new() }
    }

    fn told(cluster: Option<&Cluster>, listeners: &[&str], blocks: &[&str]) -> Vec<String> {
        let cluster_name = ClusterName::parse("alpha").unwrap();
        let (home, uid) = (PathBuf::from("/"), 999);
        let account = Account { cluster: cluster_name, policy: cluster, is_known: true, home, uid };
        let listeners: Vec<SocketAddr> = listeners.iter().map(|it| it.parse().unwrap()).collect();
        let lines: Vec<Line> = blocks.iter().map(|value| block(value)).collect();
        let found = of(&account, &listeners, &lines);
        found.iter().map(|login| format!("{login}, {}", login.is_stated)).collect()
    }

    #[test]
    fn each_network_of_nodes_and_operators_is_asked_for_at_each_listener() {
        let policy = alpha("from = [\"10.1.0.0/16\", \"fd00:2::/64\"]", "from = [\"192.168.9.5\"]");
        let found = told(Some(&policy), &["10.1.0.9:22", "[fd00:2::9]:2522"], &[]);
        assert_eq!(
            found,
            [
                "from 10.1.0.0 to 10.1.0.9:22, true",
                "from 192.168.9.5 to 10.1.0.9:22, true",
                "from fd00:2:: to [fd00:2::9]:2522, true",
            ]
        );
        let found = told(
            Some(&policy),
            &["10.1.0.9:22"],
            &["Group x address !10.1.128.0/17,10.9.0.1,10.1.* LocalPort 22"],
        );
        assert_eq!(found[1], "from 10.1.128.0 to 10.1.0.9:22, true");
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn who_may_come_from_anywhere_may_come_from_where_a_block_is_for() {
        let policy = alpha("", "from = [\"192.168.9.5\"]");
        let found = told(Some(&policy), &["10.1.0.9:22"], &["Address 10.9.0.0/16"]);
        assert_eq!(
            found,
            [
                "from 192.0.2.1 to 10.1.0.9:22, true",
                "from 192.168.9.5 to 10.1.0.9:22, true",
                "from 10.9.0.0 to 10.1.0.9:22, false",
            ]
        );
        let found = told(None, &["10.1.0.9:22"], &["Address 10.9.0.0/16"]);
        assert_eq!(found, ["from 192.0.2.1 to 10.1.0.9:22, true"]);
    }

    #[test]
    fn anybody_comes_from_anywhere_and_from_where_a_block_is_for() {
        let found = of_anybody(&["10.1.0.9:22".parse().unwrap()], &[block("Address 10.9.0.0/16")]);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["from 10.9.0.0 to 10.1.0.9:22", "from 192.0.2.1 to 10.1.0.9:22"]);
    }

    #[test]
    fn who_listens_everywhere_is_reached_at_addresses_of_this_host() {
        let policy = alpha("from = [\"127.0.0.0/8\"]", "from = [\"127.0.0.7\"]");
        let blocks = ["LocalAddress 127.0.0.3,203.0.113.7"];
        let found = told(Some(&policy), &["0.0.0.0:22", "[::]:22"], &blocks);
        assert!(found.contains(&"from 127.0.0.7 to 127.0.0.3:22, true".to_owned()), "{found:?}");
        assert!(found.iter().all(|it| !it.contains("203.0.113") && !it.contains("::")));
        assert!(found.iter().any(|it| it.starts_with("from 127.0.0.7 to 127.0.0.1:22")));
    }
}
