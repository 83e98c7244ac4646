//! From the text of a policy file to a [`Cluster`], or to the first thing that is wrong with it.
//!
//! A file is taken whole or refused whole: half a policy would be one that nobody wrote. Loading a
//! cluster reads its own file and no other.

mod values;

use super::{Cluster, Node, OnLine, Operator, PolicyError, Targets};
use crate::names::{ClusterName, DomainName};
use crate::secure_file;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use values::Reader;
use xen_fence_protocol::NodeName;

/// Longest policy file, in bytes: four times what the largest cluster needs.
pub const MAX_FILE: u64 = 1 << 20;
/// Most nodes in one cluster; with all of them, a reply still fits its cap on lines.
pub const MAX_NODES: usize = 256;

/// Reads the policy of one cluster from its file in `dir`, and no other file.
///
/// # Errors
/// The file is missing, not root's alone, or wrong in any part.
pub fn load(dir: &Path, name: &ClusterName) -> Result<Cluster, PolicyError> {
    let file = dir.join(format!("{name}.toml"));
    let text = secure_file::read(&file, MAX_FILE)?;
    parse_as(&file, name, &text)
}

/// Reads the policy of one cluster from the text of its file.
///
/// # Errors
/// The first thing that is wrong with the text.
pub fn parse(name: &ClusterName, text: &str) -> Result<Cluster, PolicyError> {
    parse_as(&Path::new(super::CLUSTERS_DIR).join(format!("{name}.toml")), name, text)
}

/// The same for a text that stands in another file: what an error then names.
///
/// # Errors
/// The first thing that is wrong with the text.
pub fn parse_as(file: &Path, name: &ClusterName, text: &str) -> Result<Cluster, PolicyError> {
    let raw: RawCluster =
        toml::from_str(text).map_err(|error| PolicyError::of_toml(file, text, &error))?;
    let mut reader = Reader::new(text);
    let cluster = build(&mut reader, name, raw);
    match (reader.first_fault(), cluster) {
        (None, Some(cluster)) => Ok(cluster),
        (Some(fault), _) => {
            Err(PolicyError::at(file, text, fault.span, fault.message, Some(fault.hint)))
        }
        // Every `None` of the reader leaves a fault behind; if one did not, the file is refused all
        // the same.
        (None, None) => {
            Err(PolicyError::at(file, text, 0..0, "the file cannot be understood".into(), None))
        }
    }
}

type Texts = Spanned<Vec<Spanned<String>>>;
type Tables<T> = BTreeMap<Spanned<String>, T>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCluster {
    actions: Option<Texts>,
    from: Option<Texts>,
    brake: Option<Spanned<String>>,
    #[serde(default)]
    nodes: Tables<RawNode>,
    #[serde(default)]
    operators: Tables<RawOperator>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawNode {
    domain: Option<Spanned<String>>,
    uuid: Option<Spanned<String>>,
    config: Option<Spanned<String>>,
    keys: Option<Texts>,
    targets: Option<Texts>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperator {
    actions: Option<Texts>,
    from: Option<Texts>,
    keys: Option<Texts>,
    targets: Option<Texts>,
}

fn build(reader: &mut Reader<'_>, name: &ClusterName, raw: RawCluster) -> Option<Cluster> {
    let actions = match &raw.actions {
        Some(list) => reader.actions(list, values::for_nodes),
        None => reader.refuse(
            0..0,
            "the cluster has no `actions`: nothing says what its nodes may do",
            "actions = [\"reset\", \"off\", \"on\", \"status\"], or fewer of them, above the first \
             table",
        ),
    };
    let from = optional(raw.from.as_ref(), |list| reader.sources(list));
    let brake = optional(raw.brake.as_ref(), |text| reader.brake(text));
    if raw.nodes.is_empty() {
        reader.refuse::<()>(
            0..0,
            "the cluster has no nodes",
            "add a table [nodes.NAME] with `uuid` and `keys` for each",
        );
    }
    let nodes = in_order(raw.nodes);
    let operators = in_order(raw.operators);
    let names = names(reader, &nodes, &operators);
    let nodes: Vec<_> =
        nodes.iter().filter_map(|(at, raw)| node(reader, at, raw, &names)).collect();
    let operators: Vec<_> =
        operators.iter().filter_map(|(at, raw)| operator(reader, at, raw, &names)).collect();
    Some(Cluster {
        name: name.clone(),
        actions: actions?,
        from: from?,
        brake: brake?,
        nodes,
        operators,
    })
}

fn node(
    reader: &mut Reader<'_>,
    at: &Spanned<String>,
    raw: &RawNode,
    names: &[NodeName],
) -> Option<Node> {
    let name = reader.name(at);
    let domain = match (&raw.domain, &name) {
        (Some(text), _) => reader.domain(text),
        (None, Some(name)) => match DomainName::parse(name.as_str()) {
            Ok(_) => reader.domain(at),
            Err(error) => reader.refuse(
                at.span(),
                format!("the node names no `domain`, and {error}"),
                "domain = \"…\", the name in the first column of `xl list`",
            ),
        },
        (None, None) => None,
    };
    let uuid = match &raw.uuid {
        Some(text) => reader.uuid(text),
        None => reader.refuse(
            at.span(),
            format!("the node {} has no `uuid`, without which its corpse is nobody's", at.as_ref()),
            "uuid = \"…\", the same as in the domain's configuration and in `xl list -v`",
        ),
    };
    let config = optional(raw.config.as_ref(), |text| reader.config(text));
    let keys = reader.keys(at, raw.keys.as_ref());
    let targets = reader.targets(raw.targets.as_ref(), names);
    Some(Node {
        name: name?,
        line: reader.line(at.span()),
        domain: domain?,
        uuid: uuid?,
        config: config?,
        keys: keys?,
        targets: targets?,
    })
}

fn operator(
    reader: &mut Reader<'_>,
    at: &Spanned<String>,
    raw: &RawOperator,
    names: &[NodeName],
) -> Option<Operator> {
    let name = reader.name(at);
    let actions = match &raw.actions {
        Some(list) if !list.as_ref().is_empty() => reader.actions(list, |_| None),
        Some(_) | None => reader.refuse(
            raw.actions.as_ref().map_or(at.span(), Spanned::span),
            format!("nothing is granted to the operator {}", at.as_ref()),
            "actions = [\"status\", \"monitor\"]: an operator may do what is listed and no more",
        ),
    };
    let from = optional(raw.from.as_ref(), |list| reader.sources(list));
    let keys = reader.keys(at, raw.keys.as_ref());
    let targets = reader.targets(raw.targets.as_ref(), names);
    Some(Operator {
        name: name?,
        line: reader.line(at.span()),
        actions: actions?,
        from: from?,
        keys: keys?,
        targets: targets?,
    })
}

/// The nodes' names; on the way, that no two of nodes and operators are the same but for case.
fn names(
    reader: &mut Reader<'_>,
    nodes: &[(Spanned<String>, RawNode)],
    operators: &[(Spanned<String>, RawOperator)],
) -> Vec<NodeName> {
    if let Some((at, _)) = nodes.get(MAX_NODES) {
        reader.refuse::<()>(
            at.span(),
            format!("the cluster has more than {MAX_NODES} nodes"),
            "make clusters of it that fence one another's nodes only",
        );
    }
    let all = nodes.iter().map(|(at, _)| at).chain(operators.iter().map(|(at, _)| at));
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for at in all {
        let line = reader.line(at.span());
        if let Some(other) = seen.insert(at.as_ref().to_ascii_lowercase(), line) {
            reader.refuse::<()>(
                at.span(),
                format!(
                    "the name {:?} is taken by the table on line {other}: nodes and operators \
                     share one name space, in which case does not count",
                    at.as_ref()
                ),
                "give one of the two another name",
            );
        }
    }
    nodes.iter().filter_map(|(at, _)| NodeName::parse(at.as_ref()).ok()).collect()
}

/// Tables in the order of the file, so that errors, answers and key files keep it.
fn in_order<T>(tables: Tables<T>) -> Vec<(Spanned<String>, T)> {
    let mut tables: Vec<_> = tables.into_iter().collect();
    tables.sort_by_key(|(at, _)| at.span().start);
    tables
}

/// Reads a value that may be left out: none where it is, unless what is there is at fault.
fn optional<R, T>(raw: Option<&R>, read: impl FnOnce(&R) -> Option<T>) -> Option<Option<T>> {
    raw.map_or(Some(None), |raw| read(raw).map(Some))
}

/// One thing that is wrong, and where.
struct Fault {
    span: Range<usize>,
    message: String,
    hint: String,
}

#[cfg(test)]
mod tests;
