//! What concerns one node: its domain, the UUID, what it is started from, what of it the proof of
//! death does not cover, and what root has said about it.

use super::super::case::Work;
use super::super::restraint::Restraint;
use super::{Finding, Places, devices};
use crate::acl::Node;
use crate::domain_config::{self, Unfit};
use crate::sight::Sight;
use crate::state::Phase;
use crate::target::Ambiguous;
use xen_fence_protocol::{Action, Level};

/// Whether this dom0 sees the domain of one who asks and is no target of its own. What contradicts
/// the policy is for those who may act on it.
pub(super) fn asker(work: &Work<'_>, places: &Places, sight: &Sight) -> Vec<Finding> {
    let Some(node) = work.grant.asker() else { return Vec::new() };
    let findings = domain(work, places, node, (sight, true)).into_iter().take(1);
    findings.map(|finding| finding.of(node)).collect()
}

/// Domain, UUID, configuration, devices, in this order.
pub(super) fn of_node(
    work: &Work<'_>,
    places: &Places,
    node: &Node,
    sight: &Result<Sight, Ambiguous>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    match sight {
        Err(ambiguous) => {
            let mut found = Finding::new(Level::Fail, "uuid", ambiguous.told());
            found.recorded = Some(ambiguous.to_string());
            findings.push(found.hint(&correct(places, node)));
        }
        Ok(sight) => {
            let asks = work.grant.asker().is_some_and(|asker| asker.name() == node.name());
            findings.extend(domain(work, places, node, (sight, asks)));
        }
    }
    if let Some(fence) = work.state().recall().fence_of(node.name())
        && fence.phase == Phase::Killing
        && work.host.processes.acts(&fence.broker())
    {
        let text = "it is being fenced at this moment";
        findings.push(Finding::new(Level::Ok, "fence", text));
    }
    let actions = work.grant.caller_actions();
    if actions.contains(&Action::Reset) || actions.contains(&Action::On) {
        let is_seen = sight.as_ref().is_ok_and(Sight::lives);
        findings.push(config(places, node, is_seen));
    }
    if work.grant.action() == Action::Monitor {
        return findings.into_iter().map(|finding| finding.of(node)).collect();
    }
    let living = sight.as_ref().map_or_else(
        |_| Vec::new(),
        |sight| sight.rows.iter().filter(|one| one.row.lives()).map(|one| one.row.domid).collect(),
    );
    findings.push(devices::beyond_the_proof(places, node, &living));
    findings.into_iter().map(|finding| finding.of(node)).collect()
}

/// The domain, and its UUID. That of the one who asks runs somewhere: where no dom0 sees it, a fence
/// of it would be called a success while it lives. Only the agent knows what the others say.
fn domain(
    work: &Work<'_>,
    places: &Places,
    node: &Node,
    (sight, asks): (&Sight, bool),
) -> Vec<Finding> {
    let uuid =
        || Finding::new(Level::Ok, "uuid", format!("it has that of the policy, {}", node.uuid()));
    if sight.lives() {
        let which = if asks { "it asks, and runs" } else { "it runs" };
        let text = format!("{which} here as {}, which a fence would destroy", domids(sight));
        return vec![Finding::new(Level::Ok, "domain", text), uuid()];
    }
    let orphan = || work.starts().has_orphan_for(node, &work.host).unwrap_or(true);
    let about_to = || orphan().then(|| "it is about to start".to_owned());
    let obstacle = work.obstacle(node, sight).or_else(about_to);
    if let Some(obstacle) = obstacle.as_ref().filter(|_| !sight.rows.is_empty()) {
        let text = format!("it is neither on nor off, and a fence would wait: {obstacle}");
        let hint = places.on_dom0("`xl list -v` shows its row for as long as it is there");
        return vec![Finding::new(Level::Warn, "domain", text).hint(&hint), uuid()];
    }
    let text = format!("no domain here is called {} or has its UUID", node.domain());
    let (step, who, when) = if asks {
        ("asker", "and it asks".to_owned(), "if it runs here")
    } else {
        let is = obstacle.map_or_else(
            || "so it is off".to_owned(),
            |obstacle| format!("and a fence would wait: {obstacle}"),
        );
        ("absent", is, "if it is meant to run here")
    };
    let hint = format!("{when}: {}", correct(places, node));
    vec![Finding::new(Level::Warn, step, format!("{text}, {who}")).hint(&hint)]
}

/// `domain 4`, or `domain 4 and 5` while it moves.
fn domids(sight: &Sight) -> String {
    let domids: Vec<String> = sight.rows.iter().map(|one| one.row.domid.to_string()).collect();
    format!("domain {}", domids.join(" and "))
}

/// What puts right a policy that speaks of another domain than the node's.
fn correct(places: &Places, node: &Node) -> String {
    let text = "`domain` and `uuid` have to be the Name and the UUID of its row in `xl list -v`, and no \
                other row may have either";
    places.in_policy(node, text)
}

/// Where no domain bears the policy out, the policy may be what is wrong.
fn config(places: &Places, node: &Node, is_seen: bool) -> Finding {
    let unfit = match domain_config::fit(node) {
        Ok(file) => {
            let text = format!("it starts from {}, which has its name and UUID", file.display());
            return Finding::new(Level::Ok, "config", text);
        }
        Err(unfit) => unfit,
    };
    let hint = match &unfit {
        Unfit::None(_) => {
            places.in_policy(node, &format!("config = \"/etc/xen/{}.cfg\"", node.domain()))
        }
        Unfit::Unreadable { hint, .. } => places.on_dom0(hint),
        Unfit::CannotTell { file, key, expected } | Unfit::Mismatch { file, key, expected, .. } => {
            let sure = if is_seen { "" } else { "if the policy is right: " };
            format!("{sure}on {}, in {}: {key} = \"{expected}\"", places.dom0, file.display())
        }
    };
    let text = format!("it would be killed and left off: {unfit}");
    Finding::new(Level::Warn, "config", text).hint(&hint)
}

/// What root has said about it.
pub(super) fn hold_and_brake(work: &Work<'_>, node: &Node, restraint: &Restraint) -> Vec<Finding> {
    let mut findings: Vec<Finding> = restraint
        .rehearse(work, node)
        .into_iter()
        .map(|(level, step, text)| Finding::new(level, step, text))
        .collect();
    let says = |findings: &[Finding], step| findings.iter().any(|finding| finding.step == step);
    if !says(&findings, "hold") {
        findings.insert(0, Finding::new(Level::Ok, "hold", "nobody holds it"));
    }
    if !says(&findings, "brake") {
        findings.push(Finding::new(Level::Ok, "brake", "the policy sets none"));
    }
    findings.into_iter().map(|finding| finding.of(node)).collect()
}
