//! `hold`, `unhold`, `holds`: nodes that nobody is to fence for a while.
//!
//! A hold is written while the cluster's lock is held, so that no kill which it would have
//! forbidden begins once the command has ended.

use crate::output::{aligned, complain, escaped, escaped_json, say};
use crate::root::{self, unable};
use crate::{Ending, Format};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use xen_fence_broker::acl::Node;
use xen_fence_broker::clock::{BootClock, Clock, show_wall, wall_seconds};
use xen_fence_broker::hold::{HOLDS_DIR, Held, Holds, OnFence, Unreadable};
use xen_fence_broker::lock::Lock;
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::power_on::Starts;
use xen_fence_broker::processes::{ProcFs, Processes as _};
use xen_fence_broker::serve::RUN_DIR;
use xen_fence_broker::state::{Phase, State};

/// A kill that is being decided or carried out is waited for this long.
const PATIENCE: Duration = Duration::from_secs(15);

/// Sets a hold.
pub(crate) fn set(
    cluster: &str,
    node: &str,
    length: Duration,
    why: &str,
    on_fence: OnFence,
) -> Ending {
    try_set(cluster, node, length, why, on_fence).unwrap_or_else(|ending| ending)
}

fn try_set(
    cluster: &str,
    node: &str,
    length: Duration,
    why: &str,
    on_fence: OnFence,
) -> Result<Ending, Ending> {
    root::must_be_root()?;
    let cluster = root::cluster(cluster)?;
    let node = root::node(&root::policy(&cluster)?, node)?;
    let guard = lock(&cluster);
    let (set, until) = Held::times(length);
    let by = root::who();
    let held = Held {
        node: node.name().to_string(),
        by: by.clone(),
        why: why.to_owned(),
        set,
        until,
        on_fence,
    };
    let before =
        holds(&cluster).set(held.clone(), &BootClock).map_err(|error| not_written(&error))?;
    drop(guard);
    let told = held.told(&cluster);
    let ending = root::record(&cluster, node.name(), (&by, "hold"), ("hold set", &told));
    say(escaped(&told));
    if let Some(before) = before {
        say(format_args!("It takes the place of another: {}", escaped(&before.to_string())));
    }
    for line in CAVEATS {
        say(line);
    }
    if is_about_to_start(&cluster, &node) {
        say(format_args!(
            "A power-on of {} is under way at this moment: look with `xl list` whether it came first.",
            node.name()
        ));
    }
    if is_being_proven(&cluster, &node) {
        say(format_args!(
            "A fence of {} that was there first still waits for the proof of its death. It kills \
             nothing that is started now.",
            node.name()
        ));
    }
    Ok(ending)
}

const CAVEATS: [&str; 3] = [
    "Proven off, the node counts as fenced all the same. `xl` typed by root is not held, \
     `xen-fence-admin fence` is.",
    "It binds this dom0 alone: set it on every dom0 on which the node may run. An honest agent heeds \
     the hold of any dom0; a dishonest guest can ignore that of another.",
    "It survives a reboot and ends by the wall clock: a clock that is set forward ends it early, one \
     that is set back prolongs it.",
];

/// Ends a hold.
pub(crate) fn clear(cluster: &str, node: &str) -> Ending {
    try_clear(cluster, node).unwrap_or_else(|ending| ending)
}

fn try_clear(cluster: &str, node: &str) -> Result<Ending, Ending> {
    root::must_be_root()?;
    let cluster = root::cluster(cluster)?;
    // Also of a node that the policy has no longer.
    let node = root::node_name(node)?;
    let before = holds(&cluster).clear(&node, &BootClock).map_err(|error| not_written(&error))?;
    let Some(before) = before else {
        root::must_be_known(&cluster, &node)?;
        say(format_args!("{node} of {cluster} is not held"));
        return Ok(Ending::Wrong);
    };
    let text = format!("no longer: {before}");
    say(escaped(&text));
    Ok(root::record(&cluster, &node, (&root::who(), "unhold"), ("hold cleared", &text)))
}

/// Shows the holds that are in force.
pub(crate) fn list(cluster: Option<&str>, format: Format) -> Ending {
    let mut clusters = match root::clusters(cluster) {
        Ok(clusters) => clusters,
        Err(ending) => return ending,
    };
    if cluster.is_none() {
        // A hold outlives a policy that is away for a while.
        clusters.extend(root::named_in(HOLDS_DIR, ".json").unwrap_or_default());
        clusters.sort();
        clusters.dedup();
    }
    let mut ending = Ending::Well;
    let mut found: Vec<(ClusterName, Held)> = Vec::new();
    for cluster in clusters {
        match holds(&cluster).in_force() {
            Ok(held) => found.extend(held.into_iter().map(|held| (cluster.clone(), held))),
            Err(error) => {
                let text = format!("{error}; until that is mended no node of {cluster} is held");
                let _ = unable(escaped(&text), error.hint());
                ending = Ending::Wrong;
            }
        }
    }
    match format {
        Format::Json => {
            for (cluster, held) in &found {
                let object = json!({
                    "cluster": cluster.as_str(), "node": held.node, "by": held.by, "why": held.why,
                    "set": show_wall(held.set), "until": show_wall(held.until),
                    "on_fence": word(held.on_fence),
                });
                say(escaped_json(&object.to_string()));
            }
        }
        Format::Table if found.is_empty() => {
            if ending == Ending::Well {
                say("no node is held");
            }
        }
        Format::Table => {
            let heading = ["cluster", "node", "by", "until", "left", "fence", "why"];
            let mut rows = vec![heading.map(str::to_owned).to_vec()];
            rows.extend(found.iter().map(|(cluster, held)| row(cluster, held, wall_seconds())));
            for row in aligned(&rows) {
                say(row);
            }
        }
    }
    for (cluster, held) in found.iter().filter(|(_, held)| held.set > wall_seconds()) {
        complain(format_args!(
            "{} of {cluster} was held at {}, which is yet to come: was the clock set back?",
            held.node,
            show_wall(held.set)
        ));
    }
    ending
}

fn row(cluster: &ClusterName, held: &Held, now: i64) -> Vec<String> {
    vec![
        cluster.to_string(),
        escaped(&held.node),
        escaped(&held.by),
        show_wall(held.until),
        left(held.until.saturating_sub(now)),
        word(held.on_fence).to_owned(),
        escaped(&held.why),
    ]
}

const fn word(on_fence: OnFence) -> &'static str {
    match on_fence {
        OnFence::Refuse => "refused",
        OnFence::Off => "left-off",
    }
}

/// Seconds as people say them: `1h59m`.
fn left(seconds: i64) -> String {
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (0, hours, minutes, _) => format!("{hours}h{minutes:02}m"),
        (days, hours, _, _) => format!("{days}d{hours:02}h"),
    }
}

fn holds(cluster: &ClusterName) -> Holds {
    Holds::of(Path::new(HOLDS_DIR), cluster)
}

fn not_written(error: &Unreadable) -> Ending {
    unable(format_args!("nothing was changed: {}", escaped(&error.to_string())), error.hint())
}

/// The cluster's lock; without it the hold is set all the same, and says what that means.
fn lock(cluster: &ClusterName) -> Option<Lock> {
    let path = Path::new(RUN_DIR).join(format!("{cluster}.lock"));
    let taken = Lock::take(&path, &BootClock, BootClock.now().after(PATIENCE), || false);
    let why = match taken {
        Ok(Some(lock)) => return Some(lock),
        Ok(None) => format!("it is held since {} s", PATIENCE.as_secs()),
        Err(error) => error.to_string(),
    };
    complain(format_args!(
        "the cluster's lock is not to be had: {}: {why}; the hold is set without it, and a kill that \
         has begun goes on",
        path.display()
    ));
    None
}

fn is_about_to_start(cluster: &ClusterName, node: &Node) -> bool {
    Starts::of(Path::new(RUN_DIR).join("starts"), cluster.clone()).has_plan_for(node, &ProcFs)
}

/// Whether a fence of the node still waits for its proof.
fn is_being_proven(cluster: &ClusterName, node: &Node) -> bool {
    let state = State::at(Path::new(RUN_DIR).join(format!("{cluster}.state"))).recall();
    let last = state.fence_of(node.name());
    last.is_some_and(|last| last.phase == Phase::Killing && ProcFs.acts(&last.broker()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_said_in_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (61, "1m01s"),
            (7199, "1h59m"),
            (7200, "2h00m"),
            (90_000, "1d01h"),
        ] {
            assert_eq!(left(seconds), text);
        }
    }

    #[test]
    fn nothing_of_a_row_is_unescaped() {
        let held = Held {
            node: "node2".to_owned(),
            by: "a\x1b[31m".to_owned(),
            why: "\u{202e}up".to_owned(),
            set: 0,
            until: 3600,
            on_fence: OnFence::Off,
        };
        let row = row(&ClusterName::parse("alpha").unwrap(), &held, 0);
        assert_eq!(
            row,
            [
                "alpha",
                "node2",
                "a\\u{1b}[31m",
                "1970-01-01T01:00:00Z",
                "1h00m",
                "left-off",
                "\\u{202e}up"
            ]
        );
    }
}
