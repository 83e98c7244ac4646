//! The configurations from which the policy's nodes are started: each has to say, as the policy
//! does, whose it is. The broker's own reading decides; what it refuses would leave a node off.

use super::{Finding, Level};
use crate::output::escaped;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use xen_fence_broker::acl::{Cluster, Node};
use xen_fence_broker::bounded;
use xen_fence_broker::domain_config::{Unfit, fit};

/// O_NONBLOCK of Linux: a pipe without a writer is opened at once.
const NONBLOCK: i32 = 0o4000;

/// What is wrong with the configurations of a cluster's nodes. One that is not on this machine is
/// no fault of a draft, which may be for another.
pub(super) fn check(cluster: &Cluster, policy: &Path, is_draft: bool) -> Vec<Finding> {
    let nodes = cluster.nodes().iter();
    nodes.filter_map(|node| of_node(cluster, node, policy, is_draft)).collect()
}

fn of_node(cluster: &Cluster, node: &Node, policy: &Path, is_draft: bool) -> Option<Finding> {
    let config = node.config()?;
    let whose = format!("nodes.{} of {}.toml", node.name(), cluster.name());
    let not_looked_at =
        format!("{} was not looked at: it cannot be read here ({whose})", config.display());
    match out_of_reach(config) {
        Some(_) if is_draft => return Some(Finding::about(Level::Note, policy, not_looked_at)),
        Some(ErrorKind::PermissionDenied) => {
            let hint = "run it as root on dom0";
            return Some(Finding::of(Level::Unable, config, not_looked_at).with_hint(hint));
        }
        Some(_) | None => {}
    }
    let finding = |message: String| Finding::of(Level::Error, config, message);
    let left_off = "until then `on` fails and a reset leaves the node off";
    Some(match fit(node).err()? {
        // It has one.
        Unfit::None(_) => return None,
        Unfit::Unreadable { why, .. } => {
            finding(format!("{} ({whose}): {left_off}", escaped(&why)))
        }
        Unfit::CannotTell { key, expected, .. } => finding(format!(
            "{} has no plain `{key} = \"…\"` and so does not say that it is that of {whose}: {left_off}",
            config.display()
        ))
        .with_hint(&format!("add this line to it:\n{key} = \"{expected}\"")),
        Unfit::Mismatch { key, found, expected, .. } => finding(format!(
            "{} says {key} \"{}\" and {whose} says \"{expected}\": {left_off}",
            config.display(),
            escaped(&found)
        ))
        .with_hint(&format!(
            "`xl list -v` shows which is right; if the policy is, the line in it is\n\
             {key} = \"{expected}\""
        )),
    })
}

/// Why a file cannot be looked at, if it is not here or not for whoever asks. A disk that hangs is for
/// the broker's own reading to tell.
fn out_of_reach(config: &Path) -> Option<ErrorKind> {
    let open = |file: &Path| File::options().read(true).custom_flags(NONBLOCK).open(file).map(drop);
    let kind = bounded::look(config, open)?.err()?.kind();
    matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied).then_some(kind)
}
