//! A cluster's policy: a new file, or one that a person wrote with a node or a key more in it.
//!
//! What is added is added as text, so that every line and comment stays. What comes of it is read as
//! the broker reads it, and has to be what was there and what was wished, and no more.

mod kept;
mod text;

use super::Fault;
use super::domains::{self, Domain};
use super::put::{Put, Step};
use super::shipped::Kind;
use super::wishes::{ClusterWish, NodeWish};
use kept::is_kept;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use text::block;
use xen_fence_broker::acl::load::{MAX_FILE, parse_as};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster, Node};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::{secure_file, target};

/// The cluster as it will be, and what has to be written for that; nothing without a cluster.
pub(super) fn plan(wish: &ClusterWish) -> Result<Option<(Cluster, Vec<Step>)>, Fault> {
    let Some(name) = &wish.name else { return Ok(None) };
    let path = Path::new(CLUSTERS_DIR).join(format!("{name}.toml"));
    let old = match secure_file::read(&path, MAX_FILE) {
        Ok(text) => Some(text),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(format!("{error}\n  hint: {}", error.hint())),
    };
    if old.is_none() && wish.nodes.is_empty() {
        return Ok(None);
    }
    let read = |text: &str| parse_as(&path, name, text).map_err(|error| error.to_string());
    let before = old.as_deref().map(read).transpose()?;
    let mut text = match (&old, &before) {
        (Some(old), Some(before)) => {
            says_the_same(&path, before, wish)?;
            old.clone()
        }
        _ => text::head(name, wish),
    };
    let (known, new): (Vec<_>, Vec<_>) = wish
        .nodes
        .iter()
        .partition(|node| before.as_ref().is_some_and(|before| before.node(&node.name).is_some()));
    for wished in known {
        let node = before.as_ref().and_then(|before| before.node(&wished.name));
        if let Some(node) = node {
            text = with_key(&path, text, node, wished)?;
        }
    }
    let (blocks, notes) = blocks(name, &new)?;
    for block in &blocks {
        let end = if text.ends_with('\n') { "" } else { "\n" };
        text = format!("{text}{end}\n{block}");
    }
    if before.is_some() && !blocks.is_empty() && !text::is_toml(&text) {
        return Err(paste(&path, &blocks.concat()));
    }
    let after = read(&text)?;
    if before.is_some_and(|before| !is_kept(&before, &after, wish)) {
        return Err(paste(&path, &blocks.concat()));
    }
    let mut steps: Vec<Step> = notes.into_iter().map(Step::Note).collect();
    if old.as_ref() != Some(&text) {
        let mode = fs::metadata(&path).map_or(MODE, |found| found.mode() & 0o7777);
        steps.push(Step::Put(Put { path, mode, kind: Kind::Plain, new: text, old }));
    }
    Ok(Some((after, steps)))
}

const MODE: u32 = 0o644;

/// The tables of nodes that the policy does not have yet, and what has to be said of them.
fn blocks(cluster: &ClusterName, nodes: &[&NodeWish]) -> Result<(Vec<String>, Vec<String>), Fault> {
    let (mut blocks, mut notes, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    if nodes.is_empty() {
        return Ok((blocks, notes));
    }
    let listing = domains::running()?;
    for wished in nodes {
        let name = wished.name.as_str();
        let found = domains::find(&listing, cluster, wished).and_then(|domain| {
            let config = configuration(wished, &domain)?;
            if config.is_none() {
                notes.push(format!(
                    "no configuration of {} is in /etc/xen: a reset leaves {name} off\n  hint: \
                     --config {name}=FILE, or `config` in the policy",
                    domain.name
                ));
            }
            Ok(block(wished, &domain, config.as_deref()))
        });
        match found {
            Ok(text) => {
                let alone = format!("actions = []\n{text}");
                let node = parse_as(Path::new(CLUSTERS_DIR), cluster, &alone);
                let contradiction = node
                    .ok()
                    .and_then(|alone| target::find(&listing, alone.nodes().first()?).err());
                faults.extend(contradiction.map(|why| why.to_string()));
                blocks.push(text);
            }
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok((blocks, notes)) } else { Err(faults.join("\n")) }
}

fn configuration(wished: &NodeWish, domain: &Domain) -> Result<Option<PathBuf>, Fault> {
    let name = wished.name.as_str();
    let Some(file) = &wished.config else { return domains::configuration(name, domain) };
    match domains::fits(name, domain, file) {
        Ok(()) => Ok(Some(file.clone())),
        Err(why) => Err(format!("{why}\n  hint: mend that, and run this again")),
    }
}

/// The text with a second key for a node that has another, or as it is if it has this one.
fn with_key(path: &Path, old: String, node: &Node, wished: &NodeWish) -> Result<String, Fault> {
    let name = node.name();
    let differs = |key: &str, said: String, wish: Option<String>| match wish {
        Some(wish) if wish != said => Err(Fault::from(format!(
            "{} has another {key} for {name}, and nothing that a person wrote is changed\n  hint: \
             put this into its table [nodes.{name}] by hand: {key} = \"{wish}\"",
            path.display()
        ))),
        _ => Ok(()),
    };
    differs("domain", node.domain().to_string(), wished.domain.as_ref().map(ToString::to_string))?;
    differs("uuid", node.uuid().to_string(), wished.uuid.as_ref().map(ToString::to_string))?;
    let config = |path: &Path| path.display().to_string();
    let said = node.config().map(config).unwrap_or_default();
    differs("config", said, wished.config.as_deref().map(config))?;
    if node.keys().contains(&wished.key.key) {
        return Ok(old);
    }
    text::with_key(&old, name.as_str(), &wished.key.line(name)).ok_or_else(|| {
        paste(
            path,
            &format!("# among the `keys` of [nodes.{name}]:\n\"{}\"\n", wished.key.line(name)),
        )
    })
}

/// Whether a file that exists says what was wished of a new one.
fn says_the_same(path: &Path, before: &Cluster, wish: &ClusterWish) -> Result<(), Fault> {
    let alone = text::head(before.name(), wish) + text::ANY_NODE;
    let wished = parse_as(path, before.name(), &alone).map_err(|error| error.to_string())?;
    let other_actions = !wish.actions.is_empty() && wished.actions() != before.actions();
    let other_from = !wish.from.is_empty() && wished.from() != before.from();
    let lines = [(other_actions, text::actions(wish)), (other_from, text::from(wish))];
    let lines: Vec<_> =
        lines.into_iter().filter(|(other, _)| *other).map(|(_, line)| line).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} says otherwise, and nothing that a person wrote is changed\n  hint: change it there by \
         hand, above the first table:\n{}",
        path.display(),
        lines.concat()
    ))
}

fn paste(path: &Path, lines: &str) -> Fault {
    format!(
        "{} is written in a way that nothing can be added to safely\n  hint: put these lines there \
         by hand:\n{lines}",
        path.display()
    )
}
