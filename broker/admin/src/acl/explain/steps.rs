//! What would happen, step by step, if nothing changed until then: told, not done, and decided
//! nowhere here.

use super::now::{Doubt, NodeNow, Now, Seen};
use xen_fence_broker::brake::Verdict as Braking;
use xen_fence_broker::hold::OnFence;
use xen_fence_broker::names::ClusterName;
use xen_fence_protocol::{Action, GO_BY, LISTING, POWER_ON, PROOF, Power, READY_SILENCE, Request};

/// The steps of a permitted request.
pub(super) fn of(cluster: &ClusterName, request: &Request, now: &Now) -> Vec<String> {
    let Some(first) = now.nodes.first() else { return Vec::new() };
    match request.action() {
        Action::Reset | Action::Off | Action::On => act(cluster, request.action(), first),
        Action::Status | Action::List => vec![
            format!(
                "dom0 lists its domains once, {} s at most; no lock is taken",
                LISTING.as_secs()
            ),
            format!("the answer is: {}", answers(now)),
        ],
        Action::Check | Action::Monitor => vec![
            "lock, state, journal, syslog and the host's name are tried; nothing is killed and \
             nothing started"
                .to_owned(),
            format!("dom0 lists its domains once, {} s at most", LISTING.as_secs()),
            if request.action() == Action::Check {
                format!("each step is told as a finding, with: {}", answers(now))
            } else {
                "what concerns the host is told step by step, of the nodes only how many could be \
                 fenced"
                    .to_owned()
            },
        ],
    }
}

/// What is seen of each node.
fn answers(now: &Now) -> String {
    let one = |node: &NodeNow| {
        let power = node.seen.as_ref().map_or("(Xen could not be asked)", |seen| seen.power.word());
        format!("{} {power}", node.node.name())
    };
    now.nodes.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn act(cluster: &ClusterName, action: Action, now: &NodeNow) -> Vec<String> {
    let node = now.node.name();
    let mut steps = vec![
        format!(
            "the lock of {cluster} is taken; while another request has it, this one waits, {} s at \
             most",
            GO_BY.as_secs()
        ),
        format!("{node} is looked for in a full listing, by its UUID: {}", now.domain()),
    ];
    if matches!(now.seen, Some(Seen { doubt: Some(Doubt::Ambiguous(_)), .. })) {
        steps.push("the request fails (ambiguous), and nothing is touched".to_owned());
        return steps;
    }
    if now.seen.is_none() {
        steps.push("without an answer it fails (toolstack), and nothing is touched".to_owned());
    }
    if action == Action::On {
        steps.extend(start(now));
        return steps;
    }
    steps.push(ready());
    if now.held.as_ref().is_some_and(|held| held.on_fence == OnFence::Refuse) {
        steps.push(format!(
            "{node} is held: it is fenced only if this look proves it off, and else refused (held); \
             nothing is killed and nothing started"
        ));
        return steps;
    }
    steps.push(match &now.seen {
        Some(Seen { power: Power::Off, .. }) => "there is nothing to destroy".to_owned(),
        Some(Seen { power: Power::On, domids, .. }) => {
            format!("the intent is written down, and {} destroyed", named(domids))
        }
        Some(Seen { power: Power::Unknown, .. }) | None => {
            "the intent is written down, and what lives of it is destroyed by its domid".to_owned()
        }
    });
    steps.push(format!(
        "its death is proven: until no row has its UUID, nothing writes for it and nothing can \
         bring it back, {} min at most",
        PROOF.as_secs() / 60
    ));
    steps.push("the outcome is written down, and the answer is `fenced`".to_owned());
    if action == Action::Reset {
        steps.push(now.after_reset());
    }
    steps
}

/// What `on` does to a node.
fn start(now: &NodeNow) -> Vec<String> {
    let node = now.node.name();
    if matches!(now.seen, Some(Seen { power: Power::On, .. })) {
        let running = "it runs already: the answer is `started (running)`, and its brake is lifted";
        return vec![ready(), running.to_owned()];
    }
    if now.held.is_some() {
        return vec![format!("{node} is held, so the request is refused (held)")];
    }
    let fails = |why: &str| vec![format!("it is not started, and the request fails: {why}")];
    match (&now.start, &now.seen) {
        (Err(why), _) => fails(why),
        (Ok(_), Some(Seen { doubt: Some(Doubt::Obstacle(why)), .. })) => fails(why),
        (Ok(command), _) => vec![
            ready(),
            format!(
                "the intent is written down, the brake of {node} lifted, and `{command}` is run, \
                 {} min at most, apart from the session",
                POWER_ON.as_secs() / 60
            ),
            "the answer is `started` when it is in the listing".to_owned(),
        ],
    }
}

fn ready() -> String {
    format!(
        "`ready` is said, and within {} s the asker has to say `go`; a node whose own domain is \
         dying, or that was fenced since it connected, is refused",
        READY_SILENCE.as_secs()
    )
}

impl NodeNow {
    /// Which domain it is.
    pub(super) fn domain(&self) -> String {
        match &self.seen {
            None => "Xen could not be asked which domain that is".to_owned(),
            Some(Seen { power: Power::Off, .. }) => "it is off, no domain has it".to_owned(),
            Some(Seen { power, domids, doubt }) => {
                let doubt = doubt.as_ref();
                let doubt = doubt.map_or_else(String::new, |doubt| format!(": {}", doubt.text()));
                let which = if domids.is_empty() { "no domain".to_owned() } else { named(domids) };
                format!("{which} now, {power}{doubt}")
            }
        }
    }

    /// What follows the death in a reset.
    fn after_reset(&self) -> String {
        let braked = |said: &Result<Braking, String>| {
            matches!(said, Ok(Braking::Spent(_) | Braking::On(..)))
        };
        if self.held.is_some() {
            return "it is left off, because it is held".to_owned();
        }
        if self.brake.as_ref().is_some_and(braked) {
            return "it is left off, because of its brake".to_owned();
        }
        match &self.start {
            Ok(command) => format!("apart from the session, `{command}` is run"),
            Err(why) => format!("it is left off: {why}"),
        }
    }
}

fn named(domids: &[u32]) -> String {
    let domids: Vec<String> = domids.iter().map(ToString::to_string).collect();
    let word = if domids.len() == 1 { "domain" } else { "domains" };
    format!("{word} {}", domids.join(" and "))
}

#[cfg(test)]
mod tests;
