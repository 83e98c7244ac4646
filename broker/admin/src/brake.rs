//! `brake list`, `brake clear`: nodes that were reset again and again.

use crate::output::{aligned, escaped, escaped_json, say};
use crate::root::{self, unable};
use crate::{Ending, Format};
use serde_json::json;
use std::path::Path;
use xen_fence_broker::acl::Brake;
use xen_fence_broker::brake::{Brakes, Resets, Verdict};
use xen_fence_broker::clock::{BootClock, Clock, Moment};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::serve::RUN_DIR;

/// A node that was reset, and what the next reset would do.
struct Found {
    cluster: ClusterName,
    resets: Resets,
    /// None where the cluster's policy has no brake, so that nothing comes of the count.
    brake: Option<Brake>,
}

/// Shows what is counted.
pub(crate) fn list(cluster: Option<&str>, format: Format) -> Ending {
    let clusters = match root::clusters(cluster) {
        Ok(clusters) => clusters,
        Err(ending) => return ending,
    };
    let mut ending = Ending::Well;
    let mut found = Vec::new();
    for cluster in clusters {
        let brake = match root::policy(&cluster) {
            Ok(policy) => policy.brake(),
            Err(_) => {
                ending = Ending::Wrong;
                None
            }
        };
        let listed = Brakes::of(Path::new(RUN_DIR), &cluster).list();
        for one in listed.unwrap_or_else(|lost| vec![Err(lost)]) {
            match one {
                Ok(resets) => found.push(Found { cluster: cluster.clone(), resets, brake }),
                Err(lost) => {
                    let _ = unable(escaped(&lost.to_string()), None);
                    ending = Ending::Wrong;
                }
            }
        }
    }
    let now = BootClock.now();
    match format {
        Format::Json => {
            for one in &found {
                say(escaped_json(&one.object(now).to_string()));
            }
        }
        Format::Table if found.is_empty() => {
            if ending == Ending::Well {
                say("no node was reset since this host's boot, or since its brake was lifted");
            }
        }
        Format::Table => {
            let heading = ["cluster", "node", "brake", "count", "on since", "next reset"];
            let mut rows = vec![heading.map(str::to_owned).to_vec()];
            rows.extend(found.iter().map(|one| one.row(now)));
            for row in aligned(&rows) {
                say(row);
            }
        }
    }
    ending
}

/// Lifts a brake.
pub(crate) fn clear(cluster: &str, node: &str) -> Ending {
    try_clear(cluster, node).unwrap_or_else(|ending| ending)
}

fn try_clear(cluster: &str, node: &str) -> Result<Ending, Ending> {
    root::must_be_root()?;
    let cluster = root::cluster(cluster)?;
    let node = root::node_name(node)?;
    let before = Brakes::of(Path::new(RUN_DIR), &cluster).lift(&node);
    let before = before.map_err(|lost| unable(escaped(&lost.to_string()), None))?;
    let text = match before {
        None => {
            root::must_be_known(&cluster, &node)?;
            say(format_args!("nothing is counted of {node} of {cluster}"));
            return Ok(Ending::Wrong);
        }
        Some(Resets { braked: Some(since), .. }) => {
            format!(
                "the brake of {node}, on since {since}, is lifted; its next reset starts it again"
            )
        }
        Some(Resets { begun_ms, .. }) => {
            format!(
                "the count of {node} begins anew; its brake was not on ({} resets)",
                begun_ms.len()
            )
        }
    };
    say(escaped(&text));
    Ok(root::record(&cluster, &node, (&root::who(), "brake clear"), ("brake cleared", &text)))
}

impl Found {
    fn verdict(&self, now: Moment) -> Option<Verdict> {
        self.brake.map(|brake| self.resets.verdict(brake, now))
    }

    /// How many resets count at this moment, and what the next does.
    fn next(&self, now: Moment) -> (String, &'static str) {
        match self.verdict(now) {
            None => ("-".to_owned(), "starts it"),
            Some(Verdict::Free(count)) => (count.to_string(), "starts it"),
            Some(Verdict::Spent(brake)) => (brake.count().to_string(), "leaves it off"),
            Some(Verdict::On(..)) => ("-".to_owned(), "leaves it off"),
        }
    }

    fn row(&self, now: Moment) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let (count, next) = self.next(now);
        vec![
            self.cluster.to_string(),
            escaped(&self.resets.node),
            or_dash(self.brake.map(|brake| brake.to_string())),
            count,
            or_dash(self.resets.braked.as_deref().map(escaped)),
            next.to_owned(),
        ]
    }

    fn object(&self, now: Moment) -> serde_json::Value {
        let leaves_off = !matches!(self.verdict(now), None | Some(Verdict::Free(_)));
        json!({
            "cluster": self.cluster.as_str(),
            "node": self.resets.node,
            "brake": self.brake.map(|brake| brake.to_string()),
            "on_since": self.resets.braked,
            "next_reset_leaves_off": leaves_off,
        })
    }
}
