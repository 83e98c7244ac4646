//! Which rows of a listing are a node's, and which make it unsafe to say.
//!
//! The UUID makes a row the node's; the name must not contradict it. Names change while a domain
//! migrates and vanish before the domain does, domids are new after every boot; only the UUID
//! stays, and a corpse keeps it (libxl(7) and our recordings).

use crate::acl::Node;
use crate::toolstack::{Listing, Row};

/// One row of a listing that is the node's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighted {
    /// The row.
    pub row: Row,
    /// What it is of the node.
    pub kind: Kind,
}

/// What a row is of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The node itself.
    Node,
    /// An earlier life of it that has shut down, and that xl keeps for somebody to look at.
    SetAside,
    /// The shell that a migration leaves behind until its other end is up.
    Shell,
}

/// Why a listing does not say which domain the node is. Nothing may be touched then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// The node's UUID under a name that is not the node's.
    #[error(
        "domain {domid} has the UUID of {node} but is called \"{name}\", not \"{expected}\"; \
         it is not touched, because one of the two is somebody else's"
    )]
    OtherName {
        /// The node.
        node: String,
        /// The domain that was found.
        domid: u32,
        /// What it is called.
        name: String,
        /// What it should be called.
        expected: String,
    },
    /// The node's name under a UUID that is not the node's.
    #[error(
        "domain {domid} is called \"{name}\" like the domain of {node}, but its UUID is not the \
         one in the policy; it is not touched, because a node that runs under another UUID \
         would look dead"
    )]
    OtherUuid {
        /// The node.
        node: String,
        /// The domain that was found.
        domid: u32,
        /// What it is called.
        name: String,
    },
}

impl Ambiguous {
    /// What the guest hears: the other domain may be another tenant's.
    #[must_use]
    pub fn told(&self) -> String {
        let (Self::OtherName { node, .. } | Self::OtherUuid { node, .. }) = self;
        format!(
            "what this host runs contradicts its policy about {node}, by name and UUID; what does so is not \
             touched; the host's log and journal say which domain it is"
        )
    }
}

/// Finds the rows of `node`, living and dying.
///
/// # Errors
/// [`Ambiguous`] if a row contradicts the policy.
pub fn find(listing: &Listing, node: &Node) -> Result<Vec<Sighted>, Ambiguous> {
    let mut sighted = Vec::new();
    for row in listing.rows() {
        let named = row.name.as_deref().map(|name| Kind::of(name, node.domain().as_str()));
        match (row.uuid == Some(node.uuid()), named) {
            (true, None) => sighted.push(Sighted { row: row.clone(), kind: Kind::Node }),
            (true, Some(Some(kind))) => sighted.push(Sighted { row: row.clone(), kind }),
            (true, Some(None)) => {
                return Err(Ambiguous::OtherName {
                    node: node.name().to_string(),
                    domid: row.domid,
                    name: row.name.clone().unwrap_or_default(),
                    expected: node.domain().to_string(),
                });
            }
            (false, Some(Some(_))) => {
                return Err(Ambiguous::OtherUuid {
                    node: node.name().to_string(),
                    domid: row.domid,
                    name: row.name.clone().unwrap_or_default(),
                });
            }
            (false, None | Some(None)) => {}
        }
    }
    Ok(sighted)
}

impl Kind {
    /// What a name in a listing says of the node that has the expected one; nothing if it is
    /// another's. xl renames the sender to `NAME--migratedaway` before it gives the receiver, so far
    /// `NAME--incoming`, leave to run (xl_migrate.c).
    fn of(name: &str, expected: &str) -> Option<Self> {
        match name.strip_prefix(expected) {
            Some("" | "--incoming") => Some(Self::Node),
            Some("--migratedaway") => Some(Self::Shell),
            Some(suffix) if is_set_aside(suffix) => Some(Self::SetAside),
            Some(_) | None => None,
        }
    }
}

/// Whether this is what xl appends for `rename-restart`: `-20261121T1249Z`, the time in UTC (xl.cfg(5);
/// seen on 4.17, tests/xen/states.rs). The domain was shut down before; its backends may still write.
fn is_set_aside(suffix: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let time = suffix.strip_prefix('-').and_then(|rest| rest.strip_suffix('Z'));
    time.and_then(|time| time.split_once('T')).is_some_and(|(day, minute)| {
        (day.len(), minute.len()) == (8, 4) && digits(day) && digits(minute)
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::acl;
    use crate::names::{ClusterName, Uuid};
    use crate::sight::Blind;
    use crate::toolstack::RowState;
    use std::path::Path;

    pub(crate) const UUID: &str = "7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac";
    const OTHER: &str = "06344ce4-c977-4f26-804a-519a3e81bf71";

    /// The node that the tests of the core fence: `node2`, domain `alpha-node2`.
    pub(crate) fn node() -> Node {
        let text = format!(
            "actions = [\"reset\", \"off\", \"on\", \"status\"]\n[nodes.node2]\n\
             domain = \"alpha-node2\"\nuuid = \"{UUID}\"\nconfig = \"/etc/xen/alpha-node2.cfg\"\n\
             keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4Tq0cFOFLqoBrYzXJ8CQYxDkSCqvOLrrPbKtWnQxxA node2\"]\n"
        );
        let cluster = acl::parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap();
        cluster.nodes()[0].clone()
    }

    /// The same node, with its configuration in this file or with none.
    pub(crate) fn with_config(config: Option<&Path>) -> Node {
        let config = config.map(|file| format!("config = \"{}\"\n", file.display()));
        let text = format!(
            "actions = [\"off\"]\n[nodes.node2]\ndomain = \"alpha-node2\"\nuuid = \"{UUID}\"\n{}\
             keys = [\"{}\"]\n",
            config.unwrap_or_default(),
            node().keys()[0].type_and_base64()
        );
        acl::parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap().nodes()[0].clone()
    }

    /// A row, living if `state` has no `d`.
    pub(crate) fn row(domid: u32, name: &str, uuid: &str, dying: bool) -> Row {
        Row {
            domid,
            name: (!name.is_empty()).then(|| name.to_owned()),
            uuid: Uuid::parse(uuid).ok(),
            state: if dying { RowState::Dying } else { RowState::Living },
        }
    }

    fn find_in(rows: Vec<Row>) -> Result<Vec<u32>, Ambiguous> {
        let mut all = vec![row(0, "Domain-0", "", false)];
        all.extend(rows);
        let found = find(&Listing::of_rows(all).unwrap(), &node())?;
        Ok(found.iter().map(|sighted| sighted.row.domid).collect())
    }

    #[test]
    fn rows_of_the_uuid_with_a_fitting_name_or_none_are_the_nodes() {
        let rows = vec![
            row(3, "alpha-node2", UUID, false),
            row(4, "", UUID, true),
            row(5, "alpha-node2--incoming", UUID, false),
            row(6, "alpha-node2--migratedaway", UUID, false),
            row(9, "alpha-node2-20261121T0832Z", UUID, false),
            row(7, "beta-db1", OTHER, false),
            row(8, "", OTHER, true),
        ];
        assert_eq!(find_in(rows), Ok(vec![3, 4, 5, 6, 9]));
        assert_eq!(find_in(vec![]), Ok(vec![]));
    }

    #[test]
    fn a_contradiction_between_name_and_uuid_touches_nothing() {
        for name in ["alpha-node1", "alpha-node22", "ALPHA-NODE2", "alpha-node2-20261121T083Z"] {
            let rows = vec![row(3, "alpha-node2", UUID, false), row(4, name, UUID, false)];
            assert!(matches!(find_in(rows), Err(Ambiguous::OtherName { domid: 4, .. })), "{name}");
        }
        for name in ["alpha-node2", "alpha-node2--incoming", "alpha-node2-20261121T0832Z"] {
            let rows = vec![row(4, name, OTHER, false)];
            assert!(matches!(find_in(rows), Err(Ambiguous::OtherUuid { domid: 4, .. })), "{name}");
        }
    }

    #[test]
    fn a_guest_hears_of_a_contradiction_and_not_whose_domain_it_is() {
        for row in [row(4, "beta-db1", UUID, false), row(4, "alpha-node2", OTHER, false)] {
            let ambiguous = find_in(vec![row]).unwrap_err();
            let told = ambiguous.told();
            assert!(told.contains("node2") && told.contains("is not touched"), "{told}");
            assert!(!told.contains("beta") && !told.contains("domain 4"), "{told}");
            assert_eq!(Blind::from(ambiguous).told(), told);
        }
    }
}
