//! Configurations that a node cannot be powered on from, or that hold a fence up.

use super::Guests;
use super::files::{Known, Whose};
use super::patience::Patience;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::path::Path;
use xen_fence_broker::acl::{CLUSTERS_DIR, Node};
use xen_fence_broker::domain_config::{Unfit, fit};
use xen_fence_broker::{secure_file, target};

const MISSING: Code = Code {
    id: "XF155",
    severity: Severity::Warning,
    title: "the configuration of a node is missing",
};
const UNUSABLE: Code = Code {
    id: "XF156",
    severity: Severity::Serious,
    title: "the configuration of a node is not root's alone, or cannot be read",
};
const ANOTHERS: Code = Code {
    id: "XF157",
    severity: Severity::Warning,
    title: "the configuration of a node does not say its name and UUID",
};
const NONE: Code = Code {
    id: "XF158",
    severity: Severity::Note,
    title: "the policy names no configuration for a node",
};
const DUMPED: Code = Code {
    id: "XF159",
    severity: Severity::Warning,
    title: "a node that goes down is dumped by the toolstack first",
};

pub(super) const FAMILY: Family =
    Family { codes: &[&MISSING, &UNUSABLE, &ANOTHERS, &NONE, &DUMPED], look };

fn look(scene: &Scene) -> Vec<Finding> {
    let guests = scene.guests();
    let patience = Patience::default();
    let mut findings = Vec::new();
    for cluster in &scene.policy.clusters {
        for node in cluster.nodes() {
            let whose = Whose::of(cluster, node);
            findings.extend(unfit(guests, node, &whose, &patience));
            findings.extend(dumped(guests, &whose));
        }
    }
    findings
}

fn unfit(guests: &Guests, node: &Node, whose: &Whose, patience: &Patience) -> Option<Finding> {
    let finding = |code, evidence: String, mend: String| {
        let clusters = vec![whose.cluster.clone()];
        Some(Finding { code, clusters, about: whose.to_string(), evidence, mend })
    };
    let Some(file) = node.config() else {
        if !is_here(guests, node) {
            return None;
        }
        let likely = likely_config(guests, node);
        let mend = format!(
            "in {CLUSTERS_DIR}/{}.toml, add this line below [nodes.{}], with the domain's own \
             file: config = \"{likely}\"",
            whose.cluster, whose.node
        );
        let evidence = "a reset kills the node and leaves it off, and `on` is refused";
        return finding(&NONE, evidence.to_owned(), mend);
    };
    let (path, own) = (file.to_owned(), node.clone());
    let read = move || secure_file::read(&path, super::files::CAP).map(|_| fit(&own).map(drop));
    let path = file.display();
    match patience.ask(read) {
        Err(why) => finding(
            &UNUSABLE,
            format!("{path} {why}: a reset leaves the node off"),
            format!("see with `ls -l {path}` why it does not answer"),
        ),
        // What neither runs nor has a file is told as one.
        Ok(Err(error)) if error.is_missing() => {
            is_here(guests, node).then_some(()).and_then(|()| {
                finding(
                    &MISSING,
                    format!("{error}: a reset kills the node and leaves it off"),
                    format!(
                        "put it there, or correct `config` in {CLUSTERS_DIR}/{}.toml",
                        whose.cluster
                    ),
                )
            })
        }
        // Of a directory that is loose the host's half tells, once for all that lie in it.
        Ok(Err(error)) if error.is_loose() && error.path() != file => None,
        Ok(Err(error)) => {
            finding(&UNUSABLE, format!("{error}: a reset leaves the node off"), error.hint())
        }
        Ok(Ok(Err(unfit))) => {
            let mend = mend_of(&unfit, file);
            finding(&ANOTHERS, format!("{unfit}: a reset leaves the node off"), mend)
        }
        Ok(Ok(Ok(()))) => None,
    }
}

/// The file in /etc/xen that makes the node's domain, or what it would be called.
fn likely_config(guests: &Guests, node: &Node) -> String {
    let is_its =
        |known: &&Known| known.said.as_ref().is_ok_and(|config| config.uuid() == Some(node.uuid()));
    guests.configs.iter().find(is_its).map_or_else(
        || format!("/etc/xen/{}.cfg", node.domain()),
        |known| known.file.display().to_string(),
    )
}

/// Whether a domain of the node is here, as far as is known.
fn is_here(guests: &Guests, node: &Node) -> bool {
    guests.listing.as_ref().map_or(true, |listing| {
        target::find(listing, node)
            .map_or(true, |rows| rows.iter().any(|sighted| sighted.row.lives()))
    })
}

fn mend_of(unfit: &Unfit, file: &Path) -> String {
    let file = file.display();
    match unfit {
        Unfit::CannotTell { key, expected, .. } => {
            format!("add this line to {file}, instead of another for {key}: {key} = \"{expected}\"")
        }
        Unfit::Mismatch { key, expected, .. } => {
            format!("correct this line of {file}, if it is the node's: {key} = \"{expected}\"")
        }
        Unfit::None(_) | Unfit::Unreadable { .. } => format!("see with `ls -l {file}` what it is"),
    }
}

/// What the toolstack does with a domain that went down, by how it did (xl.cfg(5)).
const ENDS: [&str; 5] = ["on_poweroff", "on_reboot", "on_watchdog", "on_crash", "on_soft_reset"];

fn dumped(guests: &Guests, whose: &Whose) -> Vec<Finding> {
    let config = guests.config_of(whose).and_then(|known| known.said.as_ref().ok());
    let Some(config) = config else { return Vec::new() };
    let file = node_file(guests, whose);
    let of_end = |key: &str| {
        let (line, value) = config.text(key)?;
        let plain = value.strip_prefix("coredump-")?;
        Some(Finding {
            code: &DUMPED,
            clusters: vec![whose.cluster.clone()],
            about: whose.to_string(),
            evidence: format!(
                "{file}:{line} says {key} = \"{value}\": while its memory is written to \
                 /var/lib/xen/dump, the process goes on that may start it again, and a fence \
                 waits for that"
            ),
            mend: format!("in {file}, line {line}: {key} = \"{plain}\""),
        })
    };
    ENDS.into_iter().filter_map(of_end).collect()
}

fn node_file(guests: &Guests, whose: &Whose) -> String {
    guests.config_of(whose).map(|known| known.file.display().to_string()).unwrap_or_default()
}
