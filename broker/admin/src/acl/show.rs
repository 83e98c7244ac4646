//! `acl show`: who may do what to whom, for the eye and for programs. Each answer is one that the
//! broker's own decision gives to a request; nothing of the policy is read twice.

pub(crate) mod rights;
mod table;

use super::source::{Source, Unread};
use crate::output::{complain, escaped_json, say};
use crate::root::{self, unable};
use crate::{Ending, Format};
use rights::Rights;
use serde_json::json;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::Cluster;
use xen_fence_broker::names::PublicKey;
use xen_fence_protocol::NodeName;

/// One cluster's policy, where it stands, and what comes of it.
struct Shown {
    file: PathBuf,
    policy: Cluster,
    rights: Rights,
}

/// Shows the policy of the host, of one cluster of it, or of the given files.
pub(crate) fn run(
    files: &[PathBuf],
    cluster: Option<&str>,
    node: Option<&str>,
    format: Format,
) -> Ending {
    try_run(files, cluster, node, format).unwrap_or_else(|ending| ending)
}

fn try_run(
    files: &[PathBuf],
    cluster: Option<&str>,
    node: Option<&str>,
    format: Format,
) -> Result<Ending, Ending> {
    let node = node.map(root::node_name).transpose()?;
    let sources: Vec<Result<Source, Unread>> = if files.is_empty() {
        root::clusters(cluster)?.into_iter().map(Source::installed).map(Ok).collect()
    } else {
        files.iter().map(|file| Ok(Source::of_file(file)?)).collect()
    };
    let mut ending = Ending::Well;
    let mut policies = Vec::new();
    for source in sources {
        match source.and_then(|source| Ok((source.read()?, source.file))) {
            Ok((policy, file)) => policies.push((policy, file)),
            Err(Unread::Refused(error)) => {
                complain(&error);
                ending = worse(ending, Ending::Wrong);
            }
            Err(Unread::Unable((why, hint))) => ending = worse(ending, unable(why, Some(&hint))),
        }
    }
    if policies.is_empty() && ending == Ending::Well {
        complain("there is no policy of any cluster: nobody may do anything");
    }
    if let Some(node) = &node {
        let looked_at = policies.len();
        policies.retain(|(policy, _)| policy.node(node).is_some());
        if policies.is_empty() && looked_at > 0 {
            return Err(unable(format_args!("no policy that was read has a node {node}"), None));
        }
    }
    let mut is_first = true;
    for (policy, file) in policies {
        let shown = Shown { file, rights: Rights::of(&policy), policy };
        match format {
            Format::Json => {
                say(escaped_json(&shown.object(node.as_ref()).to_string()));
            }
            Format::Table => {
                let gap = if is_first { None } else { Some(String::new()) };
                for line in gap.into_iter().chain(table::lines(&shown, node.as_ref())) {
                    say(line);
                }
            }
        }
        is_first = false;
    }
    Ok(ending)
}

/// What cannot be looked at counts for more than what is wrong.
fn worse(one: Ending, other: Ending) -> Ending {
    if one == Ending::Unable || other == Ending::Well { one } else { other }
}

impl Shown {
    /// What a program wants to know; with `node`, of what it may do and what may be done to it.
    fn object(&self, node: Option<&NodeName>) -> serde_json::Value {
        let policy = &self.policy;
        let keys = |keys: &[PublicKey]| {
            keys.iter().map(|key| key.fingerprint().to_string()).collect::<Vec<_>>()
        };
        let is_meant = |name: &NodeName| node.is_none_or(|node| node == name);
        let nodes = policy.nodes().iter().filter(|node| is_meant(node.name())).map(|node| {
            json!({
                "name": node.name().as_str(),
                "domain": node.domain().as_str(),
                "uuid": node.uuid().to_string(),
                "config": node.config().map(Path::display).map(|path| path.to_string()),
                "keys": keys(node.keys()),
            })
        });
        let operators = policy.operators().iter().map(|operator| {
            json!({
                "name": operator.name().as_str(),
                "from": texts(operator.from()),
                "keys": keys(operator.keys()),
            })
        });
        let may = self.rights.all().filter(|may| {
            node.is_none_or(|node| may.is_by(node) || may.node.is_some_and(|name| name == node))
        });
        let may = may.map(|may| {
            json!({
                "caller": may.caller.to_string(),
                "node": may.node.map(NodeName::as_str),
                "actions": may.actions.iter().map(|action| action.word()).collect::<Vec<_>>(),
            })
        });
        json!({
            "cluster": policy.name().as_str(),
            "file": self.file.display().to_string(),
            "account": policy.account(),
            "from": texts(policy.from()),
            "brake": policy.brake().map(|brake| brake.to_string()),
            "nodes": nodes.collect::<Vec<_>>(),
            "operators": operators.collect::<Vec<_>>(),
            "may": may.collect::<Vec<_>>(),
        })
    }
}

fn texts<T: ToString>(things: Option<&[T]>) -> Option<Vec<String>> {
    Some(things?.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests;
