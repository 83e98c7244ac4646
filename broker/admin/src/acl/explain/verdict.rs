//! What one caller would be told: the broker's own decision, and what refuses everybody beside it.

use serde_json::json;
use xen_fence_broker::acl::{Cluster, Decision, PolicyError};
use xen_fence_broker::identity::Identity;
use xen_fence_broker::names::Caller;
use xen_fence_broker::serve;
use xen_fence_broker::settings::Settings;
use xen_fence_protocol::{NodeName, Refusal, Request};

/// What one caller would be told.
#[derive(Debug)]
pub(super) struct Verdict {
    /// Who asks; nobody in particular where the policy is broken.
    pub(super) caller: Option<Caller>,
    /// With what and from where.
    pub(super) asker: Option<Identity>,
    pub(super) answer: Answer,
}

/// Permit or refuse.
#[derive(Debug)]
pub(super) enum Answer {
    /// It would be carried out, on these nodes.
    Permit { rule: String, lines: Vec<usize>, nodes: Vec<NodeName> },
    /// It would not.
    Refuse {
        reason: Refusal,
        /// What the record says.
        rule: String,
        lines: Vec<usize>,
        /// What the caller hears, where that is known.
        told: Option<String>,
    },
}

impl Verdict {
    /// What the broker would decide. What is wrong with the host's settings it finds next.
    pub(super) fn of(
        policy: &Cluster,
        asker: Identity,
        request: &Request,
        settings: &Result<Settings, PolicyError>,
    ) -> Self {
        let answer = match (serve::decide(policy, &asker, request), settings) {
            (Decision::Permit(_), Err(error)) => Answer::of_broken(error),
            (Decision::Permit(grant), Ok(_)) => Answer::Permit {
                rule: grant.rule().to_owned(),
                lines: grant.lines().to_vec(),
                nodes: grant.targets().iter().map(|node| node.name().clone()).collect(),
            },
            (Decision::Refuse(refused), _) => Answer::Refuse {
                reason: refused.reason,
                rule: refused.recorded,
                lines: refused.lines,
                told: Some(refused.told),
            },
        };
        Self { caller: Some(asker.caller.clone()), asker: Some(asker), answer }
    }

    /// What everybody would be told whom a broken policy covers.
    pub(super) fn of_broken(caller: Option<&Caller>, error: &PolicyError) -> Self {
        Self { caller: caller.cloned(), asker: None, answer: Answer::of_broken(error) }
    }

    pub(super) fn object(&self) -> serde_json::Value {
        let asker = self.asker.as_ref();
        let caller = self.caller.as_ref().map(ToString::to_string);
        let from = asker.and_then(|asker| asker.from).map(|from| from.to_string());
        let key = asker.and_then(|asker| asker.key.as_ref()).map(ToString::to_string);
        match &self.answer {
            Answer::Permit { rule, lines, nodes } => json!({
                "caller": caller, "from": from, "key": key,
                "verdict": "permit", "rule": rule, "lines": lines,
                "nodes": nodes.iter().map(NodeName::as_str).collect::<Vec<_>>(),
            }),
            Answer::Refuse { reason, rule, lines, told } => json!({
                "caller": caller, "from": from, "key": key,
                "verdict": "refuse", "reason": reason.word(), "rule": rule, "lines": lines,
                "told": told,
            }),
        }
    }
}

impl Answer {
    fn of_broken(error: &PolicyError) -> Self {
        Self::Refuse {
            reason: Refusal::Policy,
            rule: error.one_line(),
            lines: error.place().map(|place| place.line).into_iter().collect(),
            told: None,
        }
    }
}
