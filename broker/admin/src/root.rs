//! Who root is, which cluster and node are meant, and the record of what root does by hand.

use crate::Ending;
use crate::output::complain;
use std::fs;
use std::path::Path;
use xen_fence_broker::acl::{self, CLUSTERS_DIR, Cluster, Node};
use xen_fence_broker::journal::{Event, JOURNAL_DIR};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::recorder::Recorder;
use xen_fence_broker::serve::RUN_DIR;
use xen_fence_broker::syslog::Severe;
use xen_fence_protocol::NodeName;

/// Longest name of a person in a record.
const MAX_WHO: usize = 64;
/// What the kernel says where nobody logged in (credentials(7)).
const NO_LOGIN: u32 = u32::MAX;

/// Says why something cannot be done, and what to do.
pub(crate) fn unable(why: impl std::fmt::Display, hint: Option<&str>) -> Ending {
    match hint {
        Some(hint) => complain(format_args!("{why}\n  hint: {hint}")),
        None => complain(why),
    }
    Ending::Unable
}

/// Only root may change what fences go by.
pub(crate) fn must_be_root() -> Result<(), Ending> {
    if users::get_effective_uid() == 0 {
        return Ok(());
    }
    Err(unable("only root can do that", Some("run it as root on dom0")))
}

/// The cluster of this name.
pub(crate) fn cluster(name: &str) -> Result<ClusterName, Ending> {
    ClusterName::parse(name).map_err(|error| unable(&error, Some(error.hint())))
}

/// The node's name, whether the policy has it or not.
pub(crate) fn node_name(name: &str) -> Result<NodeName, Ending> {
    NodeName::parse(name).map_err(|error| unable(format_args!("{name:?}: {error}"), None))
}

/// The policy of a cluster.
pub(crate) fn policy(cluster: &ClusterName) -> Result<Cluster, Ending> {
    acl::load(Path::new(CLUSTERS_DIR), cluster).map_err(|error| unable(error, None))
}

/// A node that the cluster's policy has.
pub(crate) fn node(policy: &Cluster, name: &str) -> Result<Node, Ending> {
    let wanted = node_name(name)?;
    if let Some(node) = policy.node(&wanted) {
        return Ok(node.clone());
    }
    let nodes: Vec<_> = policy.nodes().iter().map(|node| node.name().to_string()).collect();
    let why = format!("clusters.d/{}.toml has no node {wanted}", policy.name());
    Err(unable(why, Some(&format!("its nodes are {}", nodes.join(", ")))))
}

/// Of what is neither on record nor in the policy the name is probably mistyped.
pub(crate) fn must_be_known(cluster: &ClusterName, node: &NodeName) -> Result<(), Ending> {
    self::node(&policy(cluster)?, node.as_str()).map(drop)
}

/// The clusters to look at: the one that is named, or all that have a policy.
pub(crate) fn clusters(named: Option<&str>) -> Result<Vec<ClusterName>, Ending> {
    if let Some(name) = named {
        return Ok(vec![cluster(name)?]);
    }
    named_in(CLUSTERS_DIR, ".toml").map_err(|error| {
        unable(
            format_args!("{CLUSTERS_DIR} cannot be read: {error}"),
            Some("run it as root on dom0"),
        )
    })
}

/// The clusters that have a file with this ending in a directory, in order.
pub(crate) fn named_in(dir: &str, ending: &str) -> std::io::Result<Vec<ClusterName>> {
    let mut names: Vec<ClusterName> = fs::read_dir(dir)?
        .flatten()
        .filter_map(|entry| {
            ClusterName::parse(entry.file_name().to_str()?.strip_suffix(ending)?).ok()
        })
        .collect();
    names.sort();
    Ok(names)
}

/// The person behind root: who called sudo, else who logged in, as far as this host can tell.
pub(crate) fn who() -> String {
    let by_sudo = std::env::var("SUDO_USER").ok();
    let by_login = || {
        let uid = fs::read_to_string("/proc/self/loginuid").ok()?.trim().parse().ok()?;
        let user = (uid != NO_LOGIN).then(|| users::get_user_by_uid(uid)).flatten()?;
        Some(user.name().to_string_lossy().into_owned())
    };
    by_sudo.or_else(by_login).filter(|name| is_name(name)).unwrap_or_else(|| "root".to_owned())
}

/// Whether it can stand in a record and in a sentence as it is.
fn is_name(text: &str) -> bool {
    (1..=MAX_WHO).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Puts on record what root has done. A record that is missing undoes nothing, and is said.
pub(crate) fn record(
    cluster: &ClusterName,
    node: &NodeName,
    (who, action): (&str, &str),
    (result, text): (&str, &str),
) -> Ending {
    let mut recorder = Recorder::new(Path::new(JOURNAL_DIR), Path::new(RUN_DIR), Some(cluster));
    recorder.by_root(who, action, node);
    let lost = recorder.record(Event::Note, Severe::Notice, result, text);
    for sentence in &lost {
        complain(format_args!("it is done, and its record is not as it should be: {sentence}"));
    }
    if lost.is_empty() { Ending::Well } else { Ending::Wrong }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_drive_a_sentence_or_a_terminal_are_none() {
        for (text, good) in [
            ("alice", true),
            ("alice@EXAMPLE.ORG", true),
            ("", false),
            ("a b", false),
            ("a\x1bb", false),
            ("\u{f6}", false),
        ] {
            assert_eq!(is_name(text), good, "{text:?}");
        }
        assert!(!is_name(&"a".repeat(65)));
    }
}
