//! Who asks: promise 2 begins here.
//!
//! The cluster is proven: sudo writes SUDO_UID itself, and one account belongs to one cluster.
//! Node, key and address are what sshd's key line said and the launcher passed on; they confine a
//! caller as long as that key line is in force, and nothing across clusters rests on them.

use crate::names::{Caller, ClusterName, Fingerprint};
use std::net::IpAddr;
use xen_fence_protocol::NodeName;

/// The variables that sudo sets or, by the one rule, keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// SUDO_UID, from sudo itself (sudo(8)).
    pub sudo_uid: Option<String>,
    /// XEN_FENCE_CALLER, from the launcher: `node NAME` or `operator NAME`.
    pub caller: Option<String>,
    /// XEN_FENCE_KEY, from the launcher: the fingerprint in the key line.
    pub key: Option<String>,
    /// SSH_CONNECTION, from sshd: client address and port, server address and port (ssh(1)).
    pub connection: Option<String>,
}

/// A caller, as far as dom0 can know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The cluster, proven.
    pub cluster: ClusterName,
    /// The node or operator that the key line names.
    pub caller: Caller,
    /// The key that the key line names; root has none.
    pub key: Option<Fingerprint>,
    /// Where the connection came from.
    pub from: Option<IpAddr>,
}

/// Why nobody is recognised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Unproven {
    /// The cluster, if at least that is proven.
    pub cluster: Option<ClusterName>,
    /// The sentence for the record.
    pub why: String,
}

impl Environment {
    /// Takes the variables from this process.
    #[must_use]
    pub fn of_process() -> Self {
        // A value that is not UTF-8 is as good as none: it has none of the forms.
        let var = |name| std::env::var(name).ok();
        Self {
            sudo_uid: var("SUDO_UID"),
            caller: var("XEN_FENCE_CALLER"),
            key: var("XEN_FENCE_KEY"),
            connection: var("SSH_CONNECTION"),
        }
    }

    /// The identity that the variables prove. `account_of` names the account of a user id.
    ///
    /// # Errors
    /// [`Unproven`] with what is missing.
    pub fn identity(
        &self,
        account_of: impl Fn(u32) -> Option<String>,
    ) -> Result<Identity, Unproven> {
        let nobody = |why: &str| Unproven { cluster: None, why: why.to_owned() };
        let uid = self.sudo_uid.as_deref().ok_or_else(|| nobody("not called through sudo"))?;
        let uid = uid.parse().map_err(|_| nobody("SUDO_UID is no user id"))?;
        let account = account_of(uid).ok_or_else(|| nobody("SUDO_UID is no account's user id"))?;
        let cluster = ClusterName::from_account(&account).ok_or_else(|| {
            nobody(&format!("the account {account:?} is no cluster's; those are called fence-NAME"))
        })?;
        let some_cluster = |why: String| Unproven { cluster: Some(cluster.clone()), why };
        let caller = self.caller.as_deref().and_then(Caller::parse).ok_or_else(|| {
            some_cluster(
                "the key line names no node or operator; write it with `xen-fence-admin acl apply`"
                    .to_owned(),
            )
        })?;
        let key = self.key.as_deref().and_then(|key| Fingerprint::parse(key).ok()).ok_or_else(|| {
            some_cluster(format!("the key line of {caller} names no key; write it with `xen-fence-admin acl apply`"))
        })?;
        let from = self.connection.as_deref().and_then(|connection| {
            let address = connection.split(' ').next()?;
            // An address of IPv6's link has its interface behind a %, which is no part of it.
            address.split('%').next()?.parse().ok()
        });
        Ok(Identity { cluster, caller, key: Some(key), from })
    }
}

impl Identity {
    /// Root on dom0, who became it by that login and asks for a cluster.
    #[must_use]
    pub const fn of_root(cluster: ClusterName, login: NodeName) -> Self {
        Self { cluster, caller: Caller::Root(login), key: None, from: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";

    fn environment() -> Environment {
        Environment {
            sudo_uid: Some("995".to_owned()),
            caller: Some("node node1".to_owned()),
            key: Some(KEY.to_owned()),
            connection: Some("10.77.0.11 40000 10.77.0.254 2422".to_owned()),
        }
    }

    fn accounts(uid: u32) -> Option<String> {
        match uid {
            0 => Some("root".to_owned()),
            995 => Some("fence-alpha".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn the_account_gives_the_cluster_and_the_key_line_the_node() {
        let identity = environment().identity(accounts).unwrap();
        assert_eq!(identity.cluster.as_str(), "alpha");
        assert_eq!(identity.caller.to_string(), "node node1");
        assert_eq!(identity.from, Some("10.77.0.11".parse().unwrap()));
    }

    #[test]
    fn whoever_is_not_proven_is_nobody() {
        type Spoil = fn(&mut Environment);
        let table: [(&str, Spoil, Option<&str>); 8] = [
            ("no sudo", |e| e.sudo_uid = None, None),
            ("no number", |e| e.sudo_uid = Some("995x".to_owned()), None),
            ("no account", |e| e.sudo_uid = Some("4242".to_owned()), None),
            ("root by hand", |e| e.sudo_uid = Some("0".to_owned()), None),
            ("no caller", |e| e.caller = None, Some("alpha")),
            ("a caller of no form", |e| e.caller = Some("node ../x".to_owned()), Some("alpha")),
            ("no key", |e| e.key = None, Some("alpha")),
            ("a key of no form", |e| e.key = Some("SHA256:x".to_owned()), Some("alpha")),
        ];
        for (what, spoil, cluster) in table {
            let mut environment = environment();
            spoil(&mut environment);
            let unproven = environment.identity(accounts).unwrap_err();
            assert_eq!(unproven.cluster.as_ref().map(ClusterName::as_str), cluster, "{what}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_read_is_none() {
        for (text, address) in [
            ("fe80::1%eth0 1 fe80::2 2", Some("fe80::1")),
            ("UNKNOWN 65535 UNKNOWN 65535", None),
            ("", None),
        ] {
            let environment = Environment { connection: Some(text.to_owned()), ..environment() };
            let from = environment.identity(accounts).unwrap().from;
            assert_eq!(from, address.map(|a| a.parse().unwrap()), "{text}");
        }
    }
}
