//! check and monitor: would a fence work right now? The same decision, the same target, no lock,
//! no `go` that could follow.
//!
//! `check` tells one caller about its nodes, each step as soon as it is done, with its time. `monitor`
//! names no node: it fails if no kill by this cluster's nodes could succeed, and warns of what concerns
//! single nodes.

mod devices;
mod of_host;
mod of_node;

use super::case::{Case, End, Work};
use super::restraint;
use crate::acl::Node;
use crate::clock::Moment;
use crate::host;
use crate::journal::Event;
use crate::sight::{Blind, Sight};
use crate::syslog::Severe;
use crate::target::Ambiguous;
use of_host::of_host;
use of_node::{asker, hold_and_brake, of_node};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use xen_fence_protocol::{Action, Body, HostName, LISTING, Level, NodeName, Step, Text};

/// A listing that takes longer than this is worth a warning: three of them make a fence.
const SLOW_LISTING: Duration = Duration::from_secs(3);

/// What a rehearsal found, and of which node.
struct Finding {
    node: Option<NodeName>,
    level: Level,
    step: &'static str,
    text: String,
    /// What mends it.
    hint: Option<String>,
    /// When it was found.
    at: Instant,
    /// What root's record says instead, where a guest is not told everything.
    recorded: Option<String>,
}

impl Finding {
    /// A finding about the host or the cluster.
    fn new(level: Level, step: &'static str, text: impl Into<String>) -> Self {
        let (text, at) = (text.into(), Instant::now());
        Self { node: None, level, step, text, hint: None, at, recorded: None }
    }

    /// The same about a node.
    fn of(self, node: &Node) -> Self {
        Self { node: Some(node.name().clone()), ..self }
    }

    /// Adds what mends it.
    fn hint(self, hint: &str) -> Self {
        Self { hint: Some(hint.to_owned()), ..self }
    }

    /// The sentence in the form that agents take apart again: `text (0.3 ms) (hint: mend)`.
    fn told(&self, took: Duration) -> Text {
        let hint = self.hint.as_ref().map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        Text::escaped(&format!("{} ({:.1} ms){hint}", self.text, took.as_secs_f64() * 1000.0))
    }
}

/// Where the mends have to be typed.
struct Places {
    dom0: HostName,
    policy: PathBuf,
}

impl Places {
    fn of(case: &Case<'_, '_>, work: &Work<'_>) -> Self {
        let policy = case.house.clusters.join(format!("{}.toml", work.cluster));
        Self { dom0: host::own_name(), policy }
    }

    /// `on xen1, as root: …`.
    fn on_dom0(&self, what: &str) -> String {
        format!("on {}, as root: {what}", self.dom0)
    }

    /// `on xen1, under [nodes.node2] of /etc/xen-fence/clusters.d/alpha.toml: …`.
    fn in_policy(&self, node: &Node, what: &str) -> String {
        let (dom0, policy) = (&self.dom0, self.policy.display());
        format!("on {dom0}, under [nodes.{}] of {policy}: {what}", node.name())
    }
}

/// What has been found so far, and what the agent has been told of it.
struct Findings {
    all: Vec<Finding>,
    /// Whether the single nodes' are told.
    in_full: bool,
    /// When the last one was found.
    at: Instant,
}

impl Findings {
    fn tell(&mut self, case: &mut Case<'_, '_>, finding: Finding) {
        let took = finding.at.saturating_duration_since(self.at);
        self.at = finding.at;
        // The steps are words of this module, all well formed.
        if (self.in_full || finding.node.is_none())
            && let Ok(step) = Step::parse(finding.step)
        {
            let (node, level) = (finding.node.clone(), finding.level);
            case.session.say(Body::Finding { node, level, step, text: finding.told(took) });
        }
        self.all.push(finding);
    }

    fn tell_all(&mut self, case: &mut Case<'_, '_>, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            self.tell(case, finding);
        }
    }
}

/// Rehearses and reports.
pub(super) fn report(case: &mut Case<'_, '_>, work: &Work<'_>) -> Result<(), End> {
    let places = Places::of(case, work);
    let monitor = work.grant.action() == Action::Monitor;
    let mut findings = Findings { all: Vec::new(), in_full: !monitor, at: Instant::now() };
    let granted = if monitor { nodes_may_kill } else { granted };
    findings.tell(case, granted(work, &places));
    let nodes = work.grant.targets();
    let begun = work.host.clock.now();
    match survey(work, nodes) {
        Ok((sights, own)) => {
            findings.tell(case, toolstack_answers(work, &places, begun));
            case.recorder.passed("listed", "");
            if let Some(Ok(own)) = own {
                findings.tell_all(case, asker(work, &places, &own));
            }
            for (node, sight) in nodes.iter().zip(&sights) {
                findings.tell_all(case, of_node(work, &places, node, sight));
            }
        }
        Err(blind) => findings.tell(case, toolstack_silent(work, &places, &blind)),
    }
    let (readable, restraints) = restraint::survey(work, nodes);
    of_host(case, work, &places, readable, &mut findings);
    case.recorder.passed("host", "");
    for (node, restraint) in nodes.iter().zip(&restraints) {
        findings.tell_all(case, hold_and_brake(work, node, restraint));
    }
    let listed = findings.all.iter().all(|one| one.step != "toolstack" || one.level != Level::Fail);
    if monitor && listed {
        let summary = summary(nodes.len(), &findings.all);
        findings.tell_all(case, summary);
    }
    record(case, &findings, monitor);
    Ok(())
}

type Seen = Result<Sight, Ambiguous>;

/// What one listing shows of each node, and of the one who asks, if that is none of them.
fn survey(work: &Work<'_>, nodes: &[Node]) -> Result<(Vec<Seen>, Option<Seen>), Blind> {
    let is_target = |own: &&Node| nodes.iter().any(|node| node.name() == own.name());
    let check = work.grant.action() == Action::Check;
    let own = work.grant.asker().filter(|own| check && !is_target(own));
    let all: Vec<Node> = nodes.iter().chain(own).cloned().collect();
    let mut sights = work.host.survey(&all)?;
    let own = own.and_then(|_| sights.pop());
    Ok((sights, own))
}

/// Root finds in the record which domains contradict the policy; a guest is not told.
fn record(case: &mut Case<'_, '_>, findings: &Findings, monitor: bool) {
    // One node that cannot be fenced is no failure of a monitor; its summary says what is.
    let counts = |finding: &&Finding| !monitor || finding.node.is_none();
    let worst = findings.all.iter().filter(counts).map(|finding| finding.level).max();
    let worst = worst.unwrap_or(Level::Fail);
    let (severe, text) = match worst {
        Level::Ok => (Severe::Notice, "a fence would work"),
        Level::Warn => (Severe::Notice, "a fence would work, with something to mend"),
        Level::Fail => (Severe::Warning, "a fence would fail"),
    };
    let whys: Vec<&str> =
        findings.all.iter().filter_map(|finding| finding.recorded.as_deref()).collect();
    let why = if whys.is_empty() { String::new() } else { format!(": {}", whys.join("; ")) };
    case.record(Event::Rehearsal, severe, worst.word(), &format!("{text}{why}"));
}

/// What makes the policy grant a kill.
fn grant_it(places: &Places) -> String {
    format!(
        "on {}, in {}: actions = [\"reset\", \"off\", \"on\", \"status\"]",
        places.dom0,
        places.policy.display()
    )
}

/// Whether the cluster's nodes may kill at all. A cluster manager's log is read by many: no name stands in
/// it, not even that of who asks.
fn nodes_may_kill(work: &Work<'_>, places: &Places) -> Finding {
    if work.grant.nodes_may_kill() {
        Finding::new(Level::Ok, "policy", "the policy lets nodes of this cluster kill")
    } else {
        let text = "the policy lets no node of this cluster kill";
        Finding::new(Level::Fail, "policy", text).hint(&grant_it(places))
    }
}

/// What the policy lets this caller do.
fn granted(work: &Work<'_>, places: &Places) -> Finding {
    let actions = work.grant.caller_actions();
    let listed: Vec<&str> = actions.iter().map(|action| action.word()).collect();
    let text = format!("{} may {} ({})", work.grant.caller(), listed.join(", "), work.grant.rule());
    if work.grant.targets().is_empty() {
        let mend = format!(
            "on {}, in {}: `targets` of {} names none of the cluster's nodes",
            places.dom0,
            places.policy.display(),
            work.grant.caller()
        );
        let text = format!("{text}, and to no node");
        return Finding::new(Level::Fail, "policy", text).hint(&mend);
    }
    let kills = actions.iter().any(|action| action.kills());
    // An operator who only watches is not meant to kill; a node is.
    if kills || work.grant.asker().is_none() {
        Finding::new(Level::Ok, "policy", text)
    } else {
        let text = format!("{text}, and kill nobody");
        Finding::new(Level::Fail, "policy", text).hint(&grant_it(places))
    }
}

fn toolstack_answers(work: &Work<'_>, places: &Places, begun: Moment) -> Finding {
    let took = work.host.clock.now().since(begun);
    let text = format!("{} listed all domains", work.host.toolstack.name());
    if took > SLOW_LISTING {
        let text =
            format!("{text} in {} ms, and may take {} s", took.as_millis(), LISTING.as_secs());
        let hint = format!("`time {} list` and `uptime` show it", work.host.toolstack.name());
        Finding::new(Level::Warn, "toolstack", text).hint(&places.on_dom0(&hint))
    } else {
        Finding::new(Level::Ok, "toolstack", text)
    }
}

fn toolstack_silent(work: &Work<'_>, places: &Places, blind: &Blind) -> Finding {
    let hint = format!(
        "{} list has to answer; `pgrep xenstored` shows whether xenstored runs, without which every \
         command of the toolstack hangs",
        work.host.toolstack.name()
    );
    Finding::new(Level::Fail, "toolstack", format!("{blind}; no fence works on this host now"))
        .hint(&places.on_dom0(&hint))
}

/// What monitor says of all nodes together, without naming one.
fn summary(nodes: usize, findings: &[Finding]) -> Vec<Finding> {
    // A node counts once, however many things stand against it.
    let with = |level: Level, steps: &[&str]| {
        let of_these = |found: &&Finding| found.level == level && steps.contains(&found.step);
        let named = findings.iter().filter(of_these).filter_map(|found| found.node.as_ref());
        named.collect::<BTreeSet<_>>().len()
    };
    let blocked = with(Level::Fail, &["uuid", "hold"]);
    let level = match (blocked, nodes) {
        (_, 0) => Level::Fail,
        (0, _) => Level::Ok,
        (blocked, nodes) if blocked == nodes => Level::Fail,
        _ => Level::Warn,
    };
    let held = with(Level::Fail, &["hold"]);
    let of_those = match held {
        0 => String::new(),
        held => format!("; held by root of this host: {held}"),
    };
    let mut summary = vec![Finding::new(
        level,
        "targets",
        format!("{} of {nodes} nodes can be fenced{of_those}", nodes.saturating_sub(blocked)),
    )];
    let left_off = with(Level::Warn, &["config", "hold", "brake"]);
    if left_off > 0 {
        let text = format!("{left_off} of {nodes} nodes would be left off after a reset");
        summary.push(Finding::new(Level::Warn, "config", text));
    }
    summary
}
