//! The patterns of sshd's settings, as sshd matches them (PATTERNS in ssh_config(5)).

use ipnet::IpNet;
use std::net::IpAddr;

/// Whether a name fits a pattern with `*` and `?`.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let mut pattern = pattern.chars();
    let Some(first) = pattern.next() else { return name.is_empty() };
    let rest = pattern.as_str();
    match first {
        '*' => {
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.any(|at| name.get(at..).is_some_and(|tail| fits(rest, tail)))
        }
        '?' => name
            .chars()
            .next()
            .is_some_and(|c| name.get(c.len_utf8()..).is_some_and(|tail| fits(rest, tail))),
        _ => name.strip_prefix(first).is_some_and(|tail| fits(rest, tail)),
    }
}

/// The user of a pattern of AllowUsers or DenyUsers, and the hosts that he has to come from.
pub(crate) fn user_and_hosts(pattern: &str) -> (&str, Option<&str>) {
    pattern.rsplit_once('@').map_or((pattern, None), |(user, hosts)| (user, Some(hosts)))
}

/// Whether who comes from an address comes from one of these hosts, a list of networks, addresses and
/// patterns. Nothing if that hangs on his name, where sshd looks it up.
pub(crate) fn comes_from(hosts: &str, address: IpAddr, by_name: bool) -> Option<bool> {
    let (mut named, mut perhaps, mut perhaps_not) = (false, false, false);
    for host in hosts.split(',') {
        let (not, pattern) = host.strip_prefix('!').map_or((false, host), |host| (true, host));
        let fits = is_at(pattern, address);
        let unknown = !fits && by_name && may_be_a_name(pattern);
        match (not, fits) {
            (true, true) => return Some(false),
            (true, false) => perhaps_not |= unknown,
            (false, fits) => {
                named |= fits;
                perhaps |= unknown;
            }
        }
    }
    match (named, perhaps) {
        (true, _) => (!perhaps_not).then_some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

fn is_at(pattern: &str, address: IpAddr) -> bool {
    match pattern.parse::<IpNet>() {
        Ok(net) => net.contains(&address),
        // An address alone can be written in more than one way.
        Err(_) => {
            pattern.parse() == Ok(address)
                || fits(&pattern.to_ascii_lowercase(), &address.to_string())
        }
    }
}

fn may_be_a_name(pattern: &str) -> bool {
    let is_of_addresses = |c: char| c.is_ascii_digit() || matches!(c, '.' | ':' | '/' | '*' | '?');
    pattern.parse::<IpAddr>().is_err()
        && pattern.parse::<IpNet>().is_err()
        && !pattern.chars().all(is_of_addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_stand_for_names() {
        for (pattern, name, fit) in [
            ("*", "", true),
            ("fence-*", "fence-alpha", true),
            ("f?nce", "fence", true),
            ("*.conf", "a.conf.bak", false),
            ("a", "ab", false),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }

    #[test]
    fn hosts_are_networks_addresses_patterns_and_names() {
        assert_eq!(user_and_hosts("fence-*"), ("fence-*", None));
        assert_eq!(user_and_hosts("a@b@10.0.0.0/8"), ("a@b", Some("10.0.0.0/8")));
        let (yes, no) = (Some(true), Some(false));
        for (hosts, address, by_name, wanted) in [
            ("10.1.0.0/16", "10.1.2.3", false, yes),
            ("10.1.0.0/16", "10.2.2.3", true, no),
            ("10.1.*", "10.1.2.3", true, yes),
            ("10.2.*,10.1.2.?", "10.1.2.3", true, yes),
            ("10.1.0.0/16,!10.1.2.3", "10.1.2.3", true, no),
            ("!10.1.2.3", "10.1.2.4", false, no),
            ("fd00:2::/64", "fd00:2::9", false, yes),
            ("FD00:2:0::9", "fd00:2::9", false, yes),
            ("fd00:*", "fd00:2::9", false, yes),
            ("*", "10.1.2.3", true, yes),
            // Without UseDNS the name of a host is its address.
            ("node1.example", "10.1.2.3", false, no),
            ("node1.example", "10.1.2.3", true, None),
            ("node1.example,10.1.2.3", "10.1.2.3", true, yes),
            ("10.1.2.3,!*.example", "10.1.2.3", true, None),
            ("10.9.9.9,!*.example", "10.1.2.3", true, no),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(comes_from(hosts, address, by_name), wanted, "{hosts} {address}");
        }
    }
}
