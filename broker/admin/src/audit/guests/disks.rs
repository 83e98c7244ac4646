//! The disks that domains have, by their configurations and as they run, and what each of them is.

use super::config::Disk;
use super::files::Whose;
use super::media::{self, Seen};
use super::patience::Patience;
use super::{Guests, domain, owner};
use crate::acl::Policy;
use std::path::PathBuf;
use xen_fence_broker::toolstack::Row;

/// One disk of one domain.
pub(super) struct Use {
    /// The configuration that has it; none if only the running domain does.
    pub(super) file: Option<PathBuf>,
    /// Whether the policy names that configuration.
    pub(super) is_nodes_own: bool,
    /// The domain, as findings name it.
    pub(super) domain: String,
    /// Whose domain it is; none if no cluster's.
    pub(super) owner: Option<Whose>,
    pub(super) disk: Disk,
    pub(super) seen: Seen,
}

impl Use {
    /// Where it is written.
    pub(super) fn place(&self) -> String {
        self.file.as_ref().map_or_else(
            || "as it runs".to_owned(),
            |file| format!("{}:{}", file.display(), self.disk.line),
        )
    }

    /// Where it ceases to be shared: the line of a configuration, or a command.
    pub(super) fn parting(&self) -> String {
        if self.file.is_some() {
            self.place()
        } else {
            format!("`xl block-detach {} {}`", self.domain, self.disk.vdev)
        }
    }

    /// Whether it is this disk of the same domain, as far as writing goes.
    fn has(&self, other: &Self) -> bool {
        let same_domain =
            self.domain == other.domain || (self.owner.is_some() && self.owner == other.owner);
        same_domain && self.seen.own == other.seen.own && self.disk.writable == other.disk.writable
    }
}

/// Every disk but the empty drives, each of them once.
pub(super) fn all(policy: &Policy, guests: &Guests, patience: &Patience) -> Vec<Use> {
    let mut uses = Vec::new();
    for known in &guests.configs {
        let Ok(config) = &known.said else { continue };
        let owner = owner(policy, known);
        for disk in config.disks().iter().filter(|disk| !disk.target.is_empty()) {
            uses.push(Use {
                file: Some(known.file.clone()),
                is_nodes_own: known.of.is_some(),
                domain: domain(known),
                owner: owner.clone(),
                seen: media::look(disk, patience),
                disk: disk.clone(),
            });
        }
    }
    for attached in guests.attached.iter().flatten() {
        let Some(row) = guests.rows().iter().find(|row| row.domid == attached.domid) else {
            continue;
        };
        let row = guests.served_by(row).unwrap_or(row);
        let found = Use {
            file: None,
            is_nodes_own: false,
            domain: row.name.clone().unwrap_or_else(|| format!("domain {}", row.domid)),
            owner: owner_of(policy, row),
            seen: match attached.device {
                // Where its configuration alone names it, it is known by what the script is given.
                Some((major, minor)) => media::look_at(major, minor, patience)
                    .also(media::look(&attached.disk, patience)),
                None => media::look(&attached.disk, patience),
            },
            disk: attached.disk.clone(),
        };
        if !uses.iter().any(|known| known.has(&found)) {
            uses.push(found);
        }
    }
    uses
}

fn owner_of(policy: &Policy, row: &Row) -> Option<Whose> {
    let mut nodes = policy
        .clusters
        .iter()
        .flat_map(|cluster| cluster.nodes().iter().map(move |node| (cluster, node)));
    let found = nodes.find(|(_, node)| row.uuid == Some(node.uuid()));
    found.map(|(cluster, node)| Whose::of(cluster, node))
}
