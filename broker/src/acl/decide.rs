//! Who may do what to whom: a pure function of policy, caller and request.
//!
//! The only place that makes a [`Grant`]. It reads no file, no clock and no environment.

use super::{Cluster, Node};
use crate::names::{Caller, Fingerprint};
use std::net::IpAddr;
use xen_fence_protocol::{Action, Refusal, Request};

/// What the policy says to a request.
#[derive(Clone, Debug)]
#[must_use = "a request is carried out only with the grant inside"]
pub enum Decision {
    /// The policy allows it.
    Permit(Grant),
    /// It does not.
    Refuse(Refused),
}

/// The right to carry out one request; nothing but [`decide`] makes one.
#[derive(Clone, Debug)]
pub struct Grant {
    action: Action,
    caller: Caller,
    targets: Vec<Node>,
    asker: Option<Node>,
    caller_actions: Vec<Action>,
    rule: String,
}

impl Grant {
    /// What may be done.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Who asked, spelled as the policy spells it.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// To which nodes: the one that the request names; else, for list and check, all that the
    /// caller may act on, and for monitor the same, or every node of the cluster for an operator.
    #[must_use]
    pub fn targets(&self) -> &[Node] {
        &self.targets
    }

    /// The asking node itself; none for an operator, who is no domain.
    #[must_use]
    pub const fn asker(&self) -> Option<&Node> {
        self.asker.as_ref()
    }

    /// Everything that the caller may do to its targets: what a rehearsal has to tell.
    #[must_use]
    pub fn caller_actions(&self) -> &[Action] {
        &self.caller_actions
    }

    /// What in the policy allowed it, for the record.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Why a request is not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The reason, as the wire knows it.
    pub reason: Refusal,
    /// What the guest hears.
    pub told: String,
    /// Why, with the rule, for the record; no guest hears it.
    pub recorded: String,
}

/// Decides on one request: who asks, from where, what, of whom, in this order.
///
/// `key` and `from` are what sshd's key line and connection say. They confine a caller only as long
/// as nobody else has the account, so nothing across clusters rests on them.
pub fn decide(
    policy: &Cluster,
    caller: &Caller,
    key: &Fingerprint,
    from: Option<IpAddr>,
    request: &Request,
) -> Decision {
    let _ = (policy, caller, key, from, request);
    Decision::Refuse(Refused {
        reason: Refusal::Policy,
        told: String::new(),
        recorded: String::new(),
    })
}
