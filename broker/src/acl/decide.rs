//! Who may do what to whom: a pure function of policy, caller and request.
//!
//! The only place that makes a [`Grant`]. It reads no file, no clock and no environment.

use super::{Brake, Cluster, Node, OnLine, Targets};
use crate::names::{Caller, Fingerprint};
use ipnet::IpNet;
use std::net::IpAddr;
use xen_fence_protocol::{Action, NodeName, Refusal, Request};

/// What the policy says to a request.
#[derive(Clone, Debug)]
#[must_use = "a request is carried out only with the grant inside"]
#[expect(clippy::large_enum_variant, reason = "a broker makes one of these and ends")]
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
    nodes_may_kill: bool,
    brake: Option<Brake>,
    rule: String,
    lines: Vec<usize>,
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

    /// Whether this cluster's nodes may kill at all: what `monitor` is about, whoever asks.
    #[must_use]
    pub const fn nodes_may_kill(&self) -> bool {
        self.nodes_may_kill
    }

    /// Beyond how many resets the cluster's nodes are left off.
    #[must_use]
    pub const fn brake(&self) -> Option<Brake> {
        self.brake
    }

    /// What in the policy allowed it, for the record.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The lines of the cluster's file that the rule is about; none for root.
    #[must_use]
    pub fn lines(&self) -> &[usize] {
        &self.lines
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
    /// The lines of the cluster's file that the rule is about; none where it is that something is
    /// not in the file.
    pub lines: Vec<usize>,
}

/// Decides on one request: who asks, from where, what, of whom, in this order.
///
/// `key` and `from` are what sshd's key line and connection say. They confine a caller only as long
/// as nobody else has the account, so nothing across clusters rests on them.
pub fn decide(
    policy: &Cluster,
    caller: &Caller,
    key: Option<&Fingerprint>,
    from: Option<IpAddr>,
    request: &Request,
) -> Decision {
    match try_decide(policy, caller, key, from, request) {
        Ok(grant) => Decision::Permit(grant),
        Err(refused) => Decision::Refuse(refused),
    }
}

/// Decides on a request of root on dom0, by that login: root may do everything to every node of the
/// cluster, and no key is asked for. What it needs is a node that the policy knows.
pub fn decide_for_root(policy: &Cluster, login: NodeName, request: &Request) -> Decision {
    let rights = Rights::of_root(policy, login);
    match rights.grant(policy, request, "root on dom0", Vec::new()) {
        Ok(grant) => Decision::Permit(grant),
        Err(refused) => Decision::Refuse(refused),
    }
}

fn try_decide(
    policy: &Cluster,
    caller: &Caller,
    key: Option<&Fingerprint>,
    from: Option<IpAddr>,
    request: &Request,
) -> Result<Grant, Refused> {
    let rights = Rights::of(policy, caller, key)?;
    rights.ask_from(policy, from)?;
    let (allowed_by, line) = rights.may(policy, request.action())?;
    let (targets_by, targets_line) = rights.targets_rule();
    let rule = format!("{}: {allowed_by}, {targets_by}", rights.file);
    rights.grant(policy, request, &rule, line.into_iter().chain([targets_line]).collect())
}

/// What the policy says of the one who asks.
struct Rights<'policy> {
    file: String,
    /// The caller's table in the file, such as `nodes.node1`.
    table: String,
    /// The line that the table begins on.
    line: usize,
    caller: Caller,
    asker: Option<&'policy Node>,
    actions: Vec<Action>,
    from: Option<&'policy OnLine<Vec<IpNet>>>,
    targets: &'policy Targets,
}

impl<'policy> Rights<'policy> {
    /// Who asks: a name that the policy has, with a key that it has for that name.
    fn of(
        policy: &'policy Cluster,
        caller: &Caller,
        key: Option<&Fingerprint>,
    ) -> Result<Self, Refused> {
        let file = format!("clusters.d/{}.toml", policy.name());
        let refuse = |why: String| {
            Refused::new(
                Refusal::Identity,
                "this host's policy does not know you with this key; perhaps the key was \
                 exchanged on one side only",
                format!("{file}: {why}"),
                Vec::new(),
            )
        };
        let (rights, keys) = match caller {
            Caller::Node(name) => {
                let node =
                    policy.node(name).ok_or_else(|| refuse(format!("there is no nodes.{name}")))?;
                let always = Action::ALL.iter().filter(|action| is_always_allowed(**action));
                let rights = Self {
                    file: file.clone(),
                    table: format!("nodes.{}", node.name()),
                    line: node.line,
                    caller: Caller::Node(node.name().clone()),
                    asker: Some(node),
                    actions: policy.actions().iter().chain(always).copied().collect(),
                    from: policy.from.as_ref(),
                    targets: node.targets(),
                };
                (rights, &node.keys)
            }
            Caller::Operator(name) => {
                let operator = policy
                    .operator(name)
                    .ok_or_else(|| refuse(format!("there is no operators.{name}")))?;
                let rights = Self {
                    file: file.clone(),
                    table: format!("operators.{}", operator.name()),
                    line: operator.line,
                    caller: Caller::Operator(operator.name().clone()),
                    asker: None,
                    actions: operator.actions().to_vec(),
                    from: operator.from.as_ref(),
                    targets: operator.targets(),
                };
                (rights, &operator.keys)
            }
            Caller::Root(_) => return Err(refuse("root asks through no key".to_owned())),
        };
        let Some(key) = key else { return Err(refuse("no key was named".to_owned())) };
        if keys.value.iter().any(|known| known.fingerprint() == *key) {
            Ok(rights)
        } else {
            let refused = refuse(format!("{}.keys does not hold {key}", rights.table));
            Err(Refused { lines: vec![keys.line], ..refused })
        }
    }

    /// What root may do.
    fn of_root(policy: &'policy Cluster, login: NodeName) -> Self {
        Self {
            file: format!("clusters.d/{}.toml", policy.name()),
            table: "root".to_owned(),
            line: 0,
            caller: Caller::Root(login),
            asker: None,
            actions: Action::ALL.to_vec(),
            from: None,
            targets: &Targets::Default,
        }
    }

    fn grant(
        self,
        policy: &Cluster,
        request: &Request,
        rule: &str,
        lines: Vec<usize>,
    ) -> Result<Grant, Refused> {
        Ok(Grant {
            action: request.action(),
            targets: self.targets(policy, request)?,
            caller: self.caller,
            asker: self.asker.cloned(),
            caller_actions: self.actions,
            nodes_may_kill: policy.actions().iter().any(|action| action.kills()),
            brake: policy.brake(),
            rule: rule.to_owned(),
            lines,
        })
    }

    /// Whether the caller may ask from there.
    fn ask_from(&self, policy: &Cluster, from: Option<IpAddr>) -> Result<(), Refused> {
        let Some(OnLine { line, value: nets }) = self.from else { return Ok(()) };
        // A listener of both families shows IPv4 callers as ::ffff:192.168.2.11.
        let from = from.map(|address| address.to_canonical());
        if from.is_some_and(|address| nets.iter().any(|net| net.contains(&address))) {
            return Ok(());
        }
        let key = match self.caller {
            Caller::Node(_) => "from".to_owned(),
            Caller::Operator(_) | Caller::Root(_) => format!("{}.from", self.table),
        };
        let place = match from {
            Some(address) => format!("does not hold {address}"),
            None => "is set, and sshd did not say where the caller asks from".to_owned(),
        };
        Err(Refused::new(
            Refusal::Source,
            "this host's policy does not let you ask from your address",
            format!("clusters.d/{}.toml: {key} {place}", policy.name()),
            vec![*line],
        ))
    }

    /// Whether the caller may do this at all, and by which rule.
    fn may(&self, policy: &Cluster, action: Action) -> Result<(String, Option<usize>), Refused> {
        let (key, line) = match &self.caller {
            Caller::Node(_) if is_always_allowed(action) => {
                return Ok((format!("{action} is always allowed to nodes"), None));
            }
            Caller::Node(_) => ("actions".to_owned(), policy.actions.line),
            Caller::Operator(name) | Caller::Root(name) => (
                format!("{}.actions", self.table),
                policy.operator(name).map_or(0, |operator| operator.actions.line),
            ),
        };
        if self.actions.contains(&action) {
            return Ok((format!("{key} (line {line})"), Some(line)));
        }
        let granted: Vec<_> = self.actions.iter().map(|action| action.word()).collect();
        Err(Refused::new(
            Refusal::NotGranted,
            &format!(
                "this host's policy does not grant you {action}; granted are: {}",
                granted.join(", ")
            ),
            format!("{}: {key} (line {line}) does not list {action}", self.file),
            vec![line],
        ))
    }

    /// The nodes that the request is about.
    fn targets(&self, policy: &Cluster, request: &Request) -> Result<Vec<Node>, Refused> {
        let Some(name) = request.node() else {
            // An operator's monitor is about the cluster, whatever the operator may act on; it
            // lists no node.
            let whole = self.asker.is_none() && request.action() == Action::Monitor;
            let all = policy.nodes().iter();
            let mine = all.filter(|node| whole || self.targets.include(node.name()));
            return Ok(mine.cloned().collect());
        };
        // One answer for a node that nobody has, one that another cluster has, one that the caller
        // may not touch, and dom0: a guest learns nothing of others.
        let refuse = |why: String, lines: Vec<usize>| {
            Refused::new(
                Refusal::NotYours,
                "no node of that name is among your targets on this host",
                format!("{}: {why}", self.file),
                lines,
            )
        };
        let unknown = || refuse(format!("there is no nodes.{name}"), Vec::new());
        let node = policy.node(name).ok_or_else(unknown)?;
        if !self.targets.include(node.name()) {
            let (rule, line) = self.targets_rule();
            return Err(refuse(format!("{rule} does not hold {}", node.name()), vec![line]));
        }
        if request.action() == Action::On && node.config().is_none() {
            return Err(Refused::new(
                Refusal::NotGranted,
                &format!("this host's policy names no configuration to start {name} from"),
                format!("{}: nodes.{} has no config", self.file, node.name()),
                vec![node.line],
            ));
        }
        Ok(vec![node.clone()])
    }

    /// What in the file says which nodes the caller may act on, and on which line.
    fn targets_rule(&self) -> (String, usize) {
        match self.targets {
            Targets::Default => (format!("{}: targets by default", self.table), self.line),
            Targets::Named { line, .. } => (format!("{}.targets (line {line})", self.table), *line),
        }
    }
}

impl Refused {
    fn new(reason: Refusal, told: &str, recorded: String, lines: Vec<usize>) -> Self {
        Self { reason, told: told.to_owned(), recorded, lines }
    }
}

/// What a node may do without being granted it: it shows a node its own cluster and kills nobody.
const fn is_always_allowed(action: Action) -> bool {
    match action {
        Action::List | Action::Monitor | Action::Check => true,
        Action::Reset | Action::Off | Action::On | Action::Status => false,
    }
}

#[cfg(test)]
mod tests;
