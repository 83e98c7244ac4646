//! What runs, and what of it is the policy's: nodes that do not run, domains that contradict it or
//! belong to nobody, and what is left of dead ones.

use super::files::Whose;
use super::{Guests, quoted};
use crate::acl::Policy;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use xen_fence_broker::acl::{CLUSTERS_DIR, Node};
use xen_fence_broker::target::{self, Ambiguous};
use xen_fence_broker::toolstack::{Listing, Row};
use xen_fence_broker::xenstore::XenstoreError;

const UNSEEN: Code =
    Code { id: "XF151", severity: Severity::Warning, title: "what runs was not looked at" };
const OFF: Code = Code { id: "XF152", severity: Severity::Note, title: "a node is off" };
const NOWHERE: Code = Code {
    id: "XF153",
    severity: Severity::Warning,
    title: "a node has neither a domain nor a configuration here",
};
const CONTRADICTION: Code =
    Code { id: "XF154", severity: Severity::Serious, title: "what runs contradicts the policy" };
const NOBODYS: Code =
    Code { id: "XF161", severity: Severity::Note, title: "a running domain is in no cluster" };
const CORPSE: Code = Code {
    id: "XF166",
    severity: Severity::Serious,
    title: "what is left of a node does not go away",
};
const OTHERS_CORPSE: Code = Code {
    id: "XF167",
    severity: Severity::Note,
    title: "what is left of a domain does not go away",
};

pub(super) const FAMILY: Family = Family {
    codes: &[&UNSEEN, &OFF, &NOWHERE, &CONTRADICTION, &NOBODYS, &CORPSE, &OTHERS_CORPSE],
    look,
};

fn look(scene: &Scene) -> Vec<Finding> {
    let (policy, guests) = (&scene.policy, scene.guests());
    let mut findings: Vec<Finding> = guests.unseen().map(unseen).into_iter().collect();
    // Why nothing is listed is the host's finding, of this very listing: its settings, its xenstore,
    // its toolstack.
    let Ok(listing) = &guests.listing else { return findings };
    let mut known = Vec::new();
    for cluster in &policy.clusters {
        for node in cluster.nodes() {
            let whose = Whose::of(cluster, node);
            match target::find(listing, node) {
                Ok(rows) => {
                    known.extend(rows.iter().map(|sighted| sighted.row.domid));
                    // One that is dying is not off, and a finding of its own if it goes on so.
                    if rows.is_empty() {
                        findings.push(absent(guests, node, &whose));
                    }
                }
                Err(ambiguous) => {
                    known.extend(claimants(listing, node));
                    findings.push(Finding {
                        code: &CONTRADICTION,
                        clusters: vec![whose.cluster.clone()],
                        about: whose.to_string(),
                        evidence: contradiction(&ambiguous),
                        mend: format!(
                            "compare `xl list -v` with {CLUSTERS_DIR}/{}.toml, and correct name \
                             and UUID there, or shut the other domain down",
                            whose.cluster
                        ),
                    });
                }
            }
        }
    }
    findings.extend(corpses(policy, guests));
    let strangers = listing.rows().iter().filter(|row| {
        row.lives() && row.domid != 0 && !known.contains(&row.domid) && row.name.is_some()
    });
    let strangers = strangers.filter(|row| guests.served_by(row).is_none());
    // Whose they are may stand in a file that is refused, which is the policy's finding.
    if policy.broken.is_empty() {
        findings.extend(strangers.map(nobodys));
    }
    findings
}

fn unseen(why: &XenstoreError) -> Finding {
    Finding {
        code: &UNSEEN,
        clusters: Vec::new(),
        about: "the disks and devices of running domains".to_owned(),
        evidence: format!(
            "{why}; which ones they have beside those of their configurations is not known"
        ),
        mend: "have xenstore answer (`xenstore-ls /local`), then audit again".to_owned(),
    }
}

fn contradiction(ambiguous: &Ambiguous) -> String {
    let seen = match ambiguous {
        Ambiguous::OtherName { domid, name, expected, .. } => {
            format!("domain {domid} has its UUID and is called \"{name}\", not \"{expected}\"")
        }
        Ambiguous::OtherUuid { domid, name, .. } => {
            format!("domain {domid} is called \"{name}\" like it, and has another UUID")
        }
    };
    format!("{seen}: one of the two is somebody else's, and a fence touches neither")
}

/// The rows that have the name or the UUID of a node.
fn claimants(listing: &Listing, node: &Node) -> Vec<u32> {
    let claims = |row: &&Row| {
        row.uuid == Some(node.uuid()) || row.name.as_deref() == Some(node.domain().as_str())
    };
    listing.rows().iter().filter(claims).map(|row| row.domid).collect()
}

fn absent(guests: &Guests, node: &Node, whose: &Whose) -> Finding {
    let clusters = vec![whose.cluster.clone()];
    let (code, evidence, mend) = if let Some(known) = guests.config_of(whose) {
        (
            &OFF,
            format!(
                "no row of the listing has the UUID {}: it is off or runs elsewhere",
                node.uuid()
            ),
            format!(
                "if it is to run here: xl create {}",
                quoted(&known.file.display().to_string())
            ),
        )
    } else {
        (
            &NOWHERE,
            format!(
                "no row of the listing has the UUID {}, and {}: a fence finds it off here and \
                 cannot power it on",
                node.uuid(),
                node.config().map_or_else(
                    || "the policy names no configuration".to_owned(),
                    |config| format!("{} does not exist", config.display())
                )
            ),
            format!(
                "give it a configuration here, or take nodes.{} out of {CLUSTERS_DIR}/{}.toml if \
                 there is no such domain any more",
                whose.node, whose.cluster
            ),
        )
    };
    Finding { code, clusters, about: whose.to_string(), evidence, mend }
}

fn corpses(policy: &Policy, guests: &Guests) -> Vec<Finding> {
    let dying = guests.rows().iter().filter(|row| guests.corpses.contains(&row.domid));
    let nodes = || {
        policy.clusters.iter().flat_map(|cluster| {
            cluster.nodes().iter().map(move |node| (Whose::of(cluster, node), node.uuid()))
        })
    };
    dying
        .map(|row| {
            let node = nodes().find(|(_, uuid)| row.uuid == Some(*uuid));
            let uuid = row.uuid.map_or_else(|| "none".to_owned(), |uuid| uuid.to_string());
            let fate = match &node {
                Some(_) => "a fence of the node is not proven as long as it stays",
                None => "it is no node's, and holds memory or I/O of this host",
            };
            Finding {
                code: if node.is_some() { &CORPSE } else { &OTHERS_CORPSE },
                clusters: node.iter().map(|(whose, _)| whose.cluster.clone()).collect(),
                about: node.map_or_else(
                    || format!("domain {}", row.domid),
                    |(whose, _)| whose.to_string(),
                ),
                evidence: format!(
                    "domain {} (UUID {uuid}) has been dying for {} s at least: {fate}",
                    row.domid,
                    super::MOMENT.as_secs()
                ),
                mend: format!(
                    "see what its I/O waits for (`dmesg`, `xenstore-ls -f \
                     /local/domain/0/backend | grep /{}/`); it goes when that ends",
                    row.domid
                ),
            }
        })
        .collect()
}

fn nobodys(row: &Row) -> Finding {
    let name = row.name.clone().unwrap_or_default();
    Finding {
        code: &NOBODYS,
        clusters: Vec::new(),
        evidence: format!(
            "domain {} is in no cluster's file: nobody but root can fence it",
            row.domid
        ),
        mend: format!(
            "if it is a cluster's node, add it to that file in {CLUSTERS_DIR}; else there is \
             nothing to do"
        ),
        about: name,
    }
}
