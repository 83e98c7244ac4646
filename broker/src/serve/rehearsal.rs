//! check and monitor: would a fence work right now? The same decision, the same target, no lock,
//! no `go` that could follow.
//!
//! `check` tells one caller about its nodes. `monitor` names none: it fails if no kill by this
//! cluster's nodes could succeed, and warns of what concerns single nodes.

use super::case::{Case, End, Work};
use super::restraint::{self, Restraint};
use crate::acl::Node;
use crate::host;
use crate::journal::{Event, Journal};
use crate::lock::Lock;
use crate::sight::{Blind, Sight};
use crate::state::Phase;
use crate::syslog::Severe;
use crate::target::Ambiguous;
use crate::{domain_config, syslog};
use std::collections::BTreeSet;
use xen_fence_protocol::{Action, Body, LISTING, Level, NodeName, Step, Text};

/// A listing that takes longer than this is worth a warning: three of them make a fence.
const SLOW_LISTING: std::time::Duration = std::time::Duration::from_secs(3);

/// What a rehearsal found, and of which node.
struct Finding {
    node: Option<NodeName>,
    level: Level,
    step: &'static str,
    text: String,
}

/// Rehearses and reports.
pub(super) fn report(case: &mut Case<'_, '_>, work: &Work<'_>) -> Result<(), End> {
    let mut findings = vec![granted(work)];
    findings.extend(of_host(case, work));
    let begun = work.host.clock.now();
    let nodes = work.grant.targets();
    let (readable, restraints) = restraint::survey(work, nodes);
    findings.push(outcome("holds", Level::Warn, readable, "they can be read", |why| why));
    match work.host.survey(nodes) {
        Ok(sights) => {
            findings.push(toolstack_answers(work, begun));
            let of_nodes: Vec<Finding> = nodes
                .iter()
                .zip(sights.iter().zip(&restraints))
                .flat_map(|(node, (sight, restraint))| of_node(work, node, sight, restraint))
                .collect();
            if work.grant.action() == Action::Monitor {
                findings.extend(summary(nodes.len(), &of_nodes));
            } else {
                findings.extend(of_nodes);
            }
        }
        Err(blind) => findings.push(toolstack_silent(&blind)),
    }
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Fail);
    for finding in findings {
        say(case, finding);
    }
    let (severe, text) = match worst {
        Level::Ok => (Severe::Notice, "a fence would work"),
        Level::Warn => (Severe::Notice, "a fence would work, with something to mend"),
        Level::Fail => (Severe::Warning, "a fence would fail"),
    };
    case.record(Event::Rehearsal, severe, worst.word(), text);
    Ok(())
}

fn say(case: &mut Case<'_, '_>, finding: Finding) {
    let Finding { node, level, step, text } = finding;
    // The steps are words of this file, all well formed.
    let Ok(step) = Step::parse(step) else { return };
    case.session.say(Body::Finding { node, level, step, text: Text::escaped(&text) });
}

/// A finding about the host or the cluster.
fn found(level: Level, step: &'static str, text: impl Into<String>) -> Finding {
    Finding { node: None, level, step, text: text.into() }
}

/// What the policy lets this caller do; for monitor, whether the cluster's nodes may kill at all.
fn granted(work: &Work<'_>) -> Finding {
    let actions = work.grant.caller_actions();
    let listed: Vec<&str> = actions.iter().map(|action| action.word()).collect();
    let monitor = work.grant.action() == Action::Monitor;
    if monitor && !work.grant.nodes_may_kill() {
        return found(Level::Fail, "policy", "the policy lets no node of this cluster kill");
    }
    let kills = actions.iter().any(|action| action.kills());
    // An operator who only watches is not meant to kill; a node is.
    let level = if kills || work.grant.asker().is_none() { Level::Ok } else { Level::Fail };
    let text = format!("{} may {} ({})", work.grant.caller(), listed.join(", "), work.grant.rule());
    found(level, "policy", text)
}

/// What could hold up, hide or forbid a fence on this host.
fn of_host(case: &Case<'_, '_>, work: &Work<'_>) -> Vec<Finding> {
    let path = case.house.journals.join(format!("{}.jsonl", work.cluster));
    let journal = Journal::at(path).probe().and_then(|()| host::has_room(case.house.journals));
    let lock = work.lock_path();
    let lockable = Lock::probe(&lock).map_err(|error| format!("{}: {error}", lock.display()));
    let state = host::takes_a_file(case.house.run, &format!("{}.probe", work.cluster));
    vec![
        outcome("lock", Level::Fail, lockable, "it can be taken", |why| {
            format!("{why}; no fence works without the cluster's lock")
        }),
        outcome("state", Level::Warn, state, "it can be written", |why| {
            format!("{why}; a fence works, and a repeated request may kill twice")
        }),
        outcome("starts", Level::Warn, work.starts().probe(), "they can be planned", |why| {
            format!("{why}; a reset would end as an off")
        }),
        outcome("journal", Level::Warn, journal, "it can be written", |why| {
            format!("{why}; a fence works, and only syslog has its record")
        }),
        outcome("syslog", Level::Warn, syslog::probe(), "it is read", |why| {
            format!(
                "{why}; a login through the host's own sshd can hang on that, one through the \
                 dedicated sshd does not"
            )
        }),
        outcome(
            "host-name",
            Level::Warn,
            host::own_name_is_in_hosts(),
            "it is in /etc/hosts",
            |why| format!("{why}; sudo may ask DNS for it, and wait 20 s when DNS is silent"),
        ),
    ]
}

fn outcome(
    step: &'static str,
    level: Level,
    result: Result<(), String>,
    good: &str,
    bad: impl Fn(String) -> String,
) -> Finding {
    match result {
        Ok(()) => found(Level::Ok, step, good),
        Err(why) => found(level, step, bad(why)),
    }
}

fn toolstack_answers(work: &Work<'_>, begun: crate::clock::Moment) -> Finding {
    let took = work.host.clock.now().since(begun);
    let text =
        format!("{} listed all domains in {} ms", work.host.toolstack.name(), took.as_millis());
    if took > SLOW_LISTING {
        found(
            Level::Warn,
            "toolstack",
            format!("{text}; a listing may take {} s", LISTING.as_secs()),
        )
    } else {
        found(Level::Ok, "toolstack", text)
    }
}

fn toolstack_silent(blind: &Blind) -> Finding {
    found(Level::Fail, "toolstack", format!("{blind}; no fence works on this host now"))
}

/// What concerns one node.
fn of_node(
    work: &Work<'_>,
    node: &Node,
    sight: &Result<Sight, Ambiguous>,
    restraint: &Restraint,
) -> Vec<Finding> {
    let finding =
        |level, step, text| Finding { node: Some(node.name().clone()), level, step, text };
    let mut findings = Vec::new();
    match sight {
        Err(ambiguous) => findings.push(finding(Level::Fail, "target", ambiguous.told())),
        Ok(sight) => {
            let domids: Vec<String> =
                sight.rows.iter().map(|sighted| sighted.row.domid.to_string()).collect();
            findings.push(match (sight.lives(), sight.obstacle()) {
                (true, _) => {
                    let text = format!("a fence would destroy domain {}", domids.join(" and "));
                    finding(Level::Ok, "target", text)
                }
                (false, None) => {
                    finding(Level::Ok, "target", "it is off: no domain has its UUID".to_owned())
                }
                (false, Some(obstacle)) => {
                    let text =
                        format!("it is neither on nor off, and a fence would wait: {obstacle}");
                    finding(Level::Warn, "target", text)
                }
            });
        }
    }
    if let Some(fence) = work.state().recall().fence_of(node.name())
        && fence.phase == Phase::Killing
        && work.host.processes.lives(&fence.broker())
    {
        findings.push(finding(Level::Ok, "fence", "it is being fenced at this moment".to_owned()));
    }
    let told = restraint.rehearse(work, node);
    findings.extend(told.into_iter().map(|(level, step, text)| finding(level, step, text)));
    let actions = work.grant.caller_actions();
    if actions.contains(&Action::Reset) || actions.contains(&Action::On) {
        findings.push(match domain_config::fit(node) {
            Ok(file) => {
                finding(Level::Ok, "power-on", format!("it starts from {}", file.display()))
            }
            Err(unfit) => finding(
                Level::Warn,
                "power-on",
                format!("it would be killed and left off: {unfit}"),
            ),
        });
    }
    findings
}

/// What monitor says of all nodes together, without naming one.
fn summary(nodes: usize, findings: &[Finding]) -> Vec<Finding> {
    // A node counts once, however many things stand against it.
    let with = |level: Level, steps: &[&str]| {
        let of_these = |found: &&Finding| found.level == level && steps.contains(&found.step);
        let named = findings.iter().filter(of_these).filter_map(|found| found.node.as_ref());
        named.collect::<BTreeSet<_>>().len()
    };
    let blocked = with(Level::Fail, &["target", "hold"]);
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
    let mut summary = vec![found(
        level,
        "targets",
        format!("{} of {nodes} nodes can be fenced{of_those}", nodes.saturating_sub(blocked)),
    )];
    let left_off = with(Level::Warn, &["power-on", "hold", "brake"]);
    if left_off > 0 {
        let text = format!("{left_off} of {nodes} nodes would be left off after a reset");
        summary.push(found(Level::Warn, "power-on", text));
    }
    summary
}
