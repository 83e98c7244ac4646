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

/// Whether whoever comes from a network comes from one of these hosts, a list of networks, addresses and
/// patterns; without a network from anywhere. Nothing if that hangs on the address he has there, or on his
/// name, where sshd looks it up.
pub(crate) fn comes_from(hosts: &str, net: Option<IpNet>, by_name: bool) -> Option<bool> {
    let (mut named, mut perhaps, mut perhaps_not) = (false, false, false);
    for host in hosts.split(',') {
        let (not, pattern) = host.strip_prefix('!').map_or((false, host), |host| (true, host));
        match (not, is_at(pattern, net, by_name)) {
            (true, Some(true)) => return Some(false),
            (true, None) => perhaps_not = true,
            (false, Some(true)) => named = true,
            (false, None) => perhaps = true,
            (_, Some(false)) => {}
        }
    }
    match (named, perhaps) {
        (true, _) => (!perhaps_not).then_some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

fn is_at(pattern: &str, net: Option<IpNet>, by_name: bool) -> Option<bool> {
    let pattern = pattern.to_ascii_lowercase();
    if !pattern.is_empty() && pattern.chars().all(|c| c == '*') {
        return Some(true);
    }
    if !may_be_an_address(&pattern) {
        return (!by_name).then_some(false);
    }
    let net = net?;
    let one = net.prefix_len() == net.max_prefix_len();
    // An address alone can be written in more than one way.
    let at = match written(&pattern) {
        Some(meant) => holds(meant, net),
        None if one => Some(fits(&pattern, &net.addr().to_string())),
        None => match around(&pattern) {
            Some((around, true)) => holds(around, net),
            Some((around, false)) if holds(around, net) == Some(false) => Some(false),
            _ => None,
        },
    };
    at.filter(|at| *at || !by_name || !may_be_a_name(&pattern))
}

/// Whether a network has all of another, or nothing of it.
fn holds(meant: IpNet, net: IpNet) -> Option<bool> {
    match (meant.contains(&net), net.contains(&meant)) {
        (true, _) => Some(true),
        (false, true) => None,
        (false, false) => Some(false),
    }
}

/// A network or an address that is written out.
pub(crate) fn written(pattern: &str) -> Option<IpNet> {
    pattern.parse().ok().or_else(|| pattern.parse::<IpAddr>().ok().map(IpNet::from))
}

/// A network outside of which a pattern with `*` or `?` fits no address, and whether it fits all inside.
fn around(pattern: &str) -> Option<(IpNet, bool)> {
    let end = pattern.find(['*', '?'])?;
    let colon = pattern.contains(':');
    let separator = if colon { ':' } else { '.' };
    let whole = pattern.get(..end)?.rfind(separator)?;
    let (parts, rest) = (pattern.get(..whole)?, pattern.get(whole.saturating_add(1)..)?);
    let parts: Vec<&str> = parts.split(separator).collect();
    let is_rest = rest.split(separator).all(|part| part == "*");
    if colon {
        let mut groups = [0_u16; 8];
        // Those that are zero are written in more than one way.
        for (group, part) in groups.iter_mut().zip(&parts) {
            *group = u16::from_str_radix(part, 16).ok().filter(|it| *it != 0)?;
        }
        let bits = u8::try_from(parts.len()).ok()?.checked_mul(16)?;
        return Some((IpNet::new(IpAddr::from(groups), bits).ok()?, rest == "*"));
    }
    let mut octets = [0_u8; 4];
    for (octet, part) in octets.iter_mut().zip(&parts) {
        *octet = part.parse().ok()?;
    }
    let bits = u8::try_from(parts.len()).ok()?.checked_mul(8)?;
    let parts = parts.len().saturating_add(rest.split('.').count());
    Some((IpNet::new(IpAddr::from(octets), bits).ok()?, is_rest && parts <= octets.len()))
}

/// Whether a pattern in lower case can fit an address as sshd writes it.
fn may_be_an_address(pattern: &str) -> bool {
    let is_of_addresses = |c: char| c.is_ascii_hexdigit() || ".:/*?".contains(c);
    let has_letters = pattern.contains(|c: char| c.is_ascii_alphabetic());
    pattern.chars().all(is_of_addresses)
        && (pattern.contains(':') || !has_letters || !pattern.contains('.'))
}

fn may_be_a_name(pattern: &str) -> bool {
    written(pattern).is_none()
        && !pattern.contains([':', '/'])
        && pattern.contains(|c: char| c.is_ascii_alphabetic())
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
        for (hosts, net, by_name, wanted) in [
            ("10.1.0.0/16", "10.1.2.3/32", false, yes),
            ("10.1.0.0/16", "10.2.2.3/32", true, no),
            ("10.1.*", "10.1.2.3/32", true, yes),
            ("10.2.*,10.1.2.?", "10.1.2.3/32", true, yes),
            ("10.1.0.0/16,!10.1.2.3", "10.1.2.3/32", true, no),
            ("!10.1.2.3", "10.1.2.4/32", false, no),
            ("fd00:2::/64", "fd00:2::9/128", false, yes),
            ("FD00:2:0::9", "fd00:2::9/128", false, yes),
            ("fd00:*", "fd00:2::9/128", false, yes),
            ("*", "10.1.2.3/32", true, yes),
            // Without UseDNS the name of a host is its address.
            ("node1.example", "10.1.2.3/32", false, no),
            ("node1.example", "10.1.2.3/32", true, None),
            ("node1.example,10.1.2.3", "10.1.2.3/32", true, yes),
            ("10.1.2.3,!*.example", "10.1.2.3/32", true, None),
            ("10.9.9.9,!*.example", "10.1.2.3/32", true, no),
            ("fade*", "10.1.2.3/32", false, no),
            ("fade*", "10.1.2.3/32", true, None),
            // A network is there as a whole, in part, or not at all.
            ("10.1.0.0/16", "10.1.2.0/24", false, yes),
            ("10.1.2.3", "10.1.2.0/24", false, None),
            ("10.1.2.0/25", "10.1.2.0/24", true, None),
            ("10.1.3.3", "10.1.2.0/24", true, no),
            ("10.1.0.0/16,!10.1.2.3", "10.1.2.0/24", false, None),
            ("10.1.0.0/16,!10.1.3.3", "10.1.2.0/24", false, yes),
            ("10.1.2.*", "10.1.2.0/24", false, yes),
            ("10.*.*.*", "10.1.2.0/24", false, yes),
            ("10.*.*.*.*", "10.1.2.0/24", false, None),
            ("10.1.2.1*", "10.1.2.0/24", false, None),
            ("10.1.3.1*", "10.1.2.0/24", false, no),
            ("*.1", "10.1.2.0/24", true, None),
            ("fd00:2:*", "fd00:2::/64", false, yes),
            ("fd00:3:*", "fd00:2::/64", true, no),
            ("fd00:0:*", "fd00:2::/64", false, None),
            ("10.1.*", "fd00:2::/64", false, no),
            ("*", "fd00:2::/64", false, yes),
            ("node1.example", "10.1.2.0/24", false, no),
        ] {
            let net = net.parse().unwrap();
            assert_eq!(comes_from(hosts, Some(net), by_name), wanted, "{hosts} {net}");
        }
        for (hosts, by_name, wanted) in [
            ("10.0.0.0/8", false, None),
            ("10.0.0.0/8,!10.1.0.0/16", true, None),
            ("*,!10.1.0.0/16", false, None),
            ("*", false, yes),
            ("*.example", true, None),
            ("*.example", false, no),
        ] {
            assert_eq!(comes_from(hosts, None, by_name), wanted, "{hosts} from anywhere");
        }
    }
}
