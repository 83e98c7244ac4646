//! Disks that two domains can write, by whatever names; and what could not be told of disks.

use super::disks::Use;
use super::files::{Known, Whose};
use super::rights;
use super::{Guests, owner, quoted};
use crate::acl::Policy;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster, Node};
use xen_fence_broker::settings::ToolstackKind;

const TWO_CLUSTERS: Code = Code {
    id: "XF054",
    severity: Severity::Serious,
    title: "domains of two clusters can write one disk",
};
const STRANGER: Code = Code {
    id: "XF055",
    severity: Severity::Serious,
    title: "a domain in no cluster can write a node's disk",
};
const UNTOLD: Code = Code {
    id: "XF057",
    severity: Severity::Warning,
    title: "a configuration does not tell all that its domain has",
};
const NOT_EACH_OTHER: Code = Code {
    id: "XF164",
    severity: Severity::Serious,
    title: "nodes share a disk and cannot all kill each other",
};
const NOT_THERE: Code =
    Code { id: "XF168", severity: Severity::Warning, title: "a disk of a node is not there" };

pub(super) const FAMILY: Family =
    Family { codes: &[&TWO_CLUSTERS, &STRANGER, &UNTOLD, &NOT_EACH_OTHER, &NOT_THERE], look };

fn look(scene: &Scene) -> Vec<Finding> {
    let (policy, guests) = (&scene.policy, scene.guests());
    let mut findings = shared(policy, &guests.uses);
    findings.extend(guests.configs.iter().filter_map(|known| untold(policy, guests, known)));
    findings.extend(guests.uses.iter().filter_map(not_there));
    findings
}

fn shared(policy: &Policy, uses: &[Use]) -> Vec<Finding> {
    let writers: Vec<&Use> = uses.iter().filter(|it| it.disk.writable).collect();
    let mut findings = Vec::new();
    for (number, one) in writers.iter().enumerate() {
        for two in writers.iter().skip(number.saturating_add(1)) {
            // Two clusters that claim one domain are a finding of their own.
            let one_domain = one.file.is_some() && one.file == two.file;
            if one.owner != two.owner && !one_domain && one.seen.meets(&two.seen) {
                findings.extend(meeting(policy, one, two));
            }
        }
    }
    findings
}

/// What it is that two domains can write what is one.
fn meeting(policy: &Policy, one: &Use, two: &Use) -> Option<Finding> {
    let forced = [one, two].iter().any(|it| it.disk.forced);
    let evidence = format!(
        "{} ({}) and {} ({}) can both write it{}{}",
        one.domain,
        one.place(),
        two.domain,
        two.place(),
        if one.disk.target == two.disk.target { "" } else { ", by two names of it" },
        if forced { ", and w! has the toolstack let them" } else { "" },
    );
    let about = if one.disk.target == two.disk.target {
        one.disk.target.clone()
    } else {
        format!("{} and {}", one.disk.target, two.disk.target)
    };
    let mend = format!(
        "let one of the two only read it (r), or have a disk of its own: {} or {}",
        one.parting(),
        two.parting()
    );
    let finding = |code, clusters, evidence, mend| {
        Some(Finding { code, clusters, about: about.clone(), evidence, mend })
    };
    match (&one.owner, &two.owner) {
        (Some(first), Some(second)) if first.cluster != second.cluster => {
            let clusters = vec![first.cluster.clone(), second.cluster.clone()];
            let evidence = format!("{evidence}, and neither cluster can fence the other's node");
            finding(&TWO_CLUSTERS, clusters, evidence, mend)
        }
        (Some(first), Some(second)) => {
            let spared = spared(policy, first, second)?;
            let evidence = format!("{evidence}, but {spared}");
            let mend = format!(
                "in {CLUSTERS_DIR}/{}.toml, let each of the two act on the other: `targets` of \
                 both, and off or reset in `actions`",
                first.cluster
            );
            finding(&NOT_EACH_OTHER, vec![first.cluster.clone()], evidence, mend)
        }
        (Some(node), None) | (None, Some(node)) => {
            let evidence = format!("{evidence}; no cluster can fence the one that is no node");
            finding(&STRANGER, vec![node.cluster.clone()], evidence, mend)
        }
        (None, None) => None,
    }
}

/// Which of two nodes of a cluster may not kill the other. A node that nobody at all may kill is a finding
/// of its own.
fn spared(policy: &Policy, one: &Whose, two: &Whose) -> Option<String> {
    let cluster = policy.clusters.iter().find(|it| it.name().as_str() == one.cluster)?;
    let node = |whose: &Whose| cluster.nodes().iter().find(|it| it.name().as_str() == whose.node);
    let (one, two) = (node(one)?, node(two)?);
    let spares = |cluster: &Cluster, killer: &Node, victim: &Node| {
        rights::may_be_killed(cluster, victim) && !rights::may_kill(cluster, killer, victim)
    };
    let pairs = [(one, two), (two, one)];
    let found = pairs.iter().find(|(killer, victim)| spares(cluster, killer, victim));
    found.map(|(killer, victim)| format!("{} may not kill {}", killer.name(), victim.name()))
}

/// A configuration that was not read to its end, as far as anybody's disks hang on it. What is wrong with
/// a node's file itself is the configurations' finding.
fn untold(policy: &Policy, guests: &Guests, known: &Known) -> Option<Finding> {
    let (evidence, place) = match &known.said {
        Ok(config) => {
            let doubt = config.doubts().first()?;
            let more = match config.doubts().len() {
                1 => String::new(),
                count => format!(" (and {} more lines)", count.saturating_sub(1)),
            };
            (format!("line {}: {}{more}", doubt.line, doubt.why), doubt.line)
        }
        Err(_) if known.of.is_some() => return None,
        Err(why) => (why.clone(), 0),
    };
    let owner = owner(policy, known);
    let file = known.file.display();
    let word = quoted(&file.to_string());
    let mend = match (&known.said, guests.toolstack) {
        (Err(_), _) => format!("see with `file {word}` what it is, and move it out of /etc/xen"),
        (Ok(_), ToolstackKind::Xl) => {
            format!("see with `xl create -n {word}` what xl makes of line {place}, and correct it")
        }
        (Ok(_), ToolstackKind::Xm) => {
            format!("write it as plain assignments of strings and lists, from line {place} on")
        }
    };
    Some(Finding {
        code: &UNTOLD,
        clusters: owner.iter().map(|whose| whose.cluster.clone()).collect(),
        about: file.to_string(),
        evidence: format!("{evidence}; which disks and devices its domain has is not known"),
        mend,
    })
}

/// A disk that cannot be found. Of one that does not answer nobody knows whether it is another's.
fn not_there(found: &Use) -> Option<Finding> {
    let path = found.disk.path().filter(|_| !found.seen.found && found.disk.backend.is_none())?;
    let (path, place) = (path.display(), found.place());
    let why = found.seen.silent.as_deref().unwrap_or("is not there");
    let (code, evidence, mend) = if found.is_nodes_own {
        (
            &NOT_THERE,
            format!("{place}: {path} {why}: the node cannot be powered on"),
            format!("make {path} available on this host, or correct the line"),
        )
    } else {
        found.seen.silent.as_ref()?;
        (
            &UNTOLD,
            format!("{place}: {path} {why}: whether it is a node's disk is not known"),
            format!("see with `ls -lL {path}` why it does not answer"),
        )
    };
    let clusters = found.owner.iter().map(|whose| whose.cluster.clone()).collect();
    Some(Finding { code, clusters, about: found.domain.clone(), evidence, mend })
}
