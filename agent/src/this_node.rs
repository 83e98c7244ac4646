//! What this machine is called and what it is to Xen, and which cluster an account is for.

use std::fs;
use xen_fence_protocol::NodeName;

/// The name of this node, as `uname -n` says it; none if it could be no node's.
pub(crate) fn name() -> Option<NodeName> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    NodeName::parse(name.trim()).ok()
}

/// The UUID of this domain, where the kernel knows it. dom0's is none.
pub(crate) fn uuid() -> Option<String> {
    uuid_of(&fs::read_to_string("/sys/hypervisor/uuid").ok()?)
}

fn uuid_of(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    let is_hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let is_somebodys = text.bytes().any(|byte| !matches!(byte, b'-' | b'0'));
    (parts == [8, 4, 4, 4, 12] && is_hex && is_somebodys).then_some(text)
}

/// The cluster that an account on dom0 is for: `alpha` of `fence-alpha`.
pub(crate) fn cluster_of(account: &str) -> Option<&str> {
    let cluster = account.strip_prefix("fence-")?;
    let well_formed = cluster.len() <= 26
        && cluster.starts_with(|c: char| c.is_ascii_lowercase())
        && cluster.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    well_formed.then_some(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_a_domains() {
        let good = "5EED0001-77f0-4d0c-9a61-00160003e01\n";
        assert_eq!(uuid_of(good), None);
        let good = "5EED0001-77f0-4d0c-9a61-001600003e01\n";
        assert_eq!(uuid_of(good).as_deref(), Some("5eed0001-77f0-4d0c-9a61-001600003e01"));
        for bad in ["", "00000000-0000-0000-0000-000000000000", "5eed0001-77f0-4d0c-9a61", "x\"y"] {
            assert_eq!(uuid_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_account_has_its_cluster_in_its_name() {
        assert_eq!(cluster_of("fence-alpha"), Some("alpha"));
        assert_eq!(cluster_of("fence-a-1"), Some("a-1"));
        for bad in ["root", "fence-", "fence-1a", "fence-Alpha", "fence-a_b"] {
            assert_eq!(cluster_of(bad), None, "{bad}");
        }
        assert_eq!(cluster_of(&format!("fence-{}", "a".repeat(27))), None);
    }
}
