//! What is so at this moment, of the nodes that a request would be about: their domains by one real
//! listing, and what stands against it. What cannot be asked here is unknown, and said to be.

use super::verdict::{Answer, Verdict};
use serde_json::json;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{Cluster, Node};
use xen_fence_broker::brake::{Brakes, Verdict as Braking};
use xen_fence_broker::clock::{BootClock, Clock as _};
use xen_fence_broker::domain_config::{Unfit, fit};
use xen_fence_broker::hold::{HOLDS_DIR, Held, Holds};
use xen_fence_broker::power_on::Starts;
use xen_fence_broker::processes::ProcFs;
use xen_fence_broker::serve::{self, RUN_DIR};
use xen_fence_broker::settings::Settings;
use xen_fence_broker::sight::{Host, Sight};
use xen_fence_protocol::{Action, NodeName, Power, Request};

/// What is so at this moment.
#[derive(Debug)]
pub(super) struct Now {
    /// Why Xen could not be asked, if it could not.
    pub(super) no_xen: Option<String>,
    /// Why nobody can tell which nodes are held.
    pub(super) no_holds: Option<String>,
    pub(super) nodes: Vec<NodeNow>,
}

/// The same of one node.
#[derive(Debug)]
pub(super) struct NodeNow {
    pub(super) node: Node,
    /// Which domain it is; none if Xen could not be asked.
    pub(super) seen: Option<Seen>,
    pub(super) held: Option<Held>,
    /// What the brake says to a reset, where there is one and this is a reset.
    pub(super) brake: Option<Result<Braking, String>>,
    /// The command that starts it, or why there is none.
    pub(super) start: Result<String, String>,
}

/// What one listing shows of a node.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) power: Power,
    pub(super) domids: Vec<u32>,
    pub(super) doubt: Option<Doubt>,
}

/// What makes a node neither on nor off.
#[derive(Debug)]
pub(super) enum Doubt {
    /// It is dying, or may come back.
    Obstacle(String),
    /// A power-on of it is planned or under way.
    Starting,
    /// The listing contradicts the policy: nobody may touch anything then.
    Ambiguous(String),
}

impl Now {
    /// Looks once. Nothing if the request is about no node that the policy has.
    pub(super) fn of(
        policy: &Cluster,
        request: &Request,
        verdicts: &[Verdict],
        settings: &Settings,
    ) -> Option<Self> {
        let nodes = meant(policy, request, verdicts);
        if nodes.is_empty() {
            return None;
        }
        let toolstack = serve::toolstack(settings);
        let host = Host { toolstack: &*toolstack, processes: &ProcFs, clock: &BootClock };
        let starts = Starts::of(PathBuf::from(RUN_DIR).join("starts"), policy.name().clone());
        // Only root can see which are planned; to others each node would seem to be starting.
        let starting = |node: &Node| is_root() && starts.has_plan_for(node, host.processes);
        let (seen, no_xen) = match host.survey(&nodes) {
            Ok(sights) => (
                sights
                    .into_iter()
                    .zip(&nodes)
                    .map(|(sight, node)| {
                        Some(match sight {
                            Ok(sight) => Seen::of(&sight, &host, starting(node)),
                            Err(ambiguous) => {
                                Seen::in_doubt(Vec::new(), Doubt::Ambiguous(ambiguous.to_string()))
                            }
                        })
                    })
                    .collect(),
                None,
            ),
            Err(blind) => (nodes.iter().map(|_| None).collect::<Vec<_>>(), Some(blind.to_string())),
        };
        let (holds, no_holds) = match Holds::of(Path::new(HOLDS_DIR), policy.name()).in_force() {
            Ok(holds) => (holds, None),
            Err(unreadable) => (Vec::new(), Some(unreadable.to_string())),
        };
        let brakes = Brakes::of(Path::new(RUN_DIR), policy.name());
        let brake = policy.brake().filter(|_| request.action() == Action::Reset);
        let one = |(node, seen): (Node, Option<Seen>)| NodeNow {
            held: holds.iter().find(|held| held.is_of(node.name())).cloned(),
            brake: brake.map(|brake| {
                let said = brakes.verdict(node.name(), brake, BootClock.now());
                said.map_err(|lost| lost.to_string())
            }),
            start: match fit(&node) {
                Ok(file) => Ok(toolstack.create_command(file).join(" ")),
                Err(Unfit::Unreadable { why, .. }) => Err(why),
                Err(unfit) => Err(unfit.to_string()),
            },
            seen,
            node,
        };
        let nodes = nodes.into_iter().zip(seen).map(one).collect();
        Some(Self { no_xen, no_holds, nodes })
    }

    pub(super) fn object(&self) -> serde_json::Value {
        json!({
            "no_xen": self.no_xen,
            "no_holds": self.no_holds,
            "nodes": self.nodes.iter().map(NodeNow::object).collect::<Vec<_>>(),
        })
    }
}

/// The nodes that it would be about: the one that is named, or all that somebody is permitted.
fn meant(policy: &Cluster, request: &Request, verdicts: &[Verdict]) -> Vec<Node> {
    let is_permitted = |name: &NodeName| {
        verdicts.iter().any(|verdict| match &verdict.answer {
            Answer::Permit { nodes, .. } => nodes.contains(name),
            Answer::Refuse { .. } => false,
        })
    };
    let is_meant = |node: &&Node| match request.node() {
        Some(name) => node.name() == name,
        None => is_permitted(node.name()),
    };
    policy.nodes().iter().filter(is_meant).cloned().collect()
}

fn is_root() -> bool {
    users::get_effective_uid() == 0
}

impl Seen {
    fn of(sight: &Sight, host: &Host<'_>, is_starting: bool) -> Self {
        let domids = sight.rows.iter().map(|sighted| sighted.row.domid).collect();
        match (sight.power(host), is_starting) {
            (Power::On, _) => Self { power: Power::On, domids, doubt: None },
            (Power::Off, false) => Self { power: Power::Off, domids, doubt: None },
            (Power::Off | Power::Unknown, _) => {
                let doubt = sight.obstacle().map_or(Doubt::Starting, Doubt::Obstacle);
                Self::in_doubt(domids, doubt)
            }
        }
    }

    const fn in_doubt(domids: Vec<u32>, doubt: Doubt) -> Self {
        Self { power: Power::Unknown, domids, doubt: Some(doubt) }
    }
}

impl Doubt {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Obstacle(why) | Self::Ambiguous(why) => why,
            Self::Starting => "it is about to start",
        }
    }
}

impl NodeNow {
    fn object(&self) -> serde_json::Value {
        let seen = self.seen.as_ref();
        let told = |said: &Result<Braking, String>| match said {
            Ok(Braking::Free(count)) => json!({ "leaves_off": false, "resets": count }),
            Ok(Braking::Spent(_) | Braking::On(..)) => json!({ "leaves_off": true }),
            Err(why) => json!({ "unknown": why }),
        };
        json!({
            "node": self.node.name().as_str(),
            "domain": self.node.domain().as_str(),
            "uuid": self.node.uuid().to_string(),
            "power": seen.map(|seen| seen.power.word()),
            "domids": seen.map(|seen| &seen.domids),
            "doubt": seen.and_then(|seen| seen.doubt.as_ref()).map(Doubt::text),
            "hold": self.held.as_ref().map(ToString::to_string),
            "brake": self.brake.as_ref().map(told),
            "start": self.start.as_ref().ok(),
            "no_start": self.start.as_ref().err(),
        })
    }
}
