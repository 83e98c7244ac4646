//! What the report shows besides the findings: who may do what to whom, by the broker's own decision;
//! what the journals say was done and refused; and what to compare it with.

use super::host::journals::READING;
use super::html::{Column, Deed, Kind, Matrix, Report, Row, Strength};
use super::{Finding, Scene};
use crate::acl::show::rights::Rights;
use crate::log;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster};
use xen_fence_broker::bounded::{self, Undone};
use xen_fence_broker::clock::wall_time;
use xen_fence_broker::host::own_name;
use xen_fence_broker::journal::hash;
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::secure_file;
use xen_fence_protocol::Action;

/// So many deeds are on the page, the last ones.
const MOST: usize = 500;

/// No policy is longer, in bytes.
const CAP: u64 = 1 << 20;

/// The report of all clusters, or of one.
pub(super) fn of(scene: &Scene, cluster: Option<&ClusterName>, findings: Vec<Finding>) -> Report {
    let is_meant = |name: &ClusterName| cluster.is_none_or(|cluster| cluster == name);
    let policies = scene.policy.clusters.iter().filter(|policy| is_meant(policy.name()));
    let meant: Vec<&Cluster> = policies.collect();
    let journals = scene.journals();
    let (mut deeds, mut left_out) = (Vec::new(), 0_usize);
    let (mut chains, mut unread) = (journals.unread.clone(), Vec::new());
    for chain in journals.chains.iter().filter(|chain| is_meant(&chain.cluster)) {
        chains.extend(chain.lines());
        let cut = chain.came_to.as_ref().err();
        let mut why = cut.map(|unread| unread.why.clone());
        // What hangs would hang again.
        if !cut.is_some_and(|unread| unread.late) {
            match done_in(&chain.cluster) {
                Ok((found, older)) => {
                    deeds.extend(found);
                    left_out = left_out.saturating_add(older);
                }
                Err(undone) => why = Some(format!("it was not read {undone}")),
            }
        }
        unread.extend(why.map(|why| format!("{}: {why}", chain.cluster)));
    }
    deeds.sort_by(|one: &Deed, other| one.time.cmp(&other.time));
    let too_many = deeds.len().saturating_sub(MOST);
    left_out = left_out.saturating_add(too_many);
    deeds.drain(..too_many);
    Report {
        host: own_name().to_string(),
        made: wall_time(),
        cluster: cluster.map(ToString::to_string),
        matrix: matrix(scene, &meant),
        findings,
        deeds,
        left_out,
        unread,
        policies: meant.iter().map(|policy| sum_of(policy)).collect(),
        chains,
    }
}

/// What a journal says was done and refused, and how much of that is too old for the page.
///
/// # Errors
/// If it was not read in time.
fn done_in(name: &ClusterName) -> Result<(Vec<Deed>, usize), Undone> {
    let name = name.clone();
    bounded::within(READING, move || {
        let (last, older) = log::last_records(&name, |record| kind(record).is_some(), MOST);
        (last.iter().filter_map(|record| deed(&name, record)).collect(), older)
    })
}

/// Those who are meant, by the domains of all: what is not theirs shows as well.
fn matrix(scene: &Scene, meant: &[&Cluster]) -> Matrix {
    let mut columns = Vec::new();
    for policy in &scene.policy.clusters {
        columns.extend(policy.nodes().iter().map(|node| Column {
            cluster: Some(policy.name().to_string()),
            node: Some(node.name().to_string()),
            domain: node.domain().to_string(),
        }));
    }
    let strays = scene.strays().into_iter();
    columns.extend(strays.map(|domain| Column { cluster: None, node: None, domain }));
    let rows = meant.iter().flat_map(|policy| rows(policy, &columns)).collect();
    Matrix { columns, rows }
}

fn rows(policy: &Cluster, columns: &[Column]) -> Vec<Row> {
    let cluster = policy.name().to_string();
    let rights = Rights::of(policy);
    let row = |row: &crate::acl::show::rights::Row| {
        let cell = |column: &Column| {
            let own = column.cluster.as_deref() == Some(policy.name().as_str());
            let place =
                rights.nodes.iter().position(|node| Some(node.as_str()) == column.node.as_deref());
            let actions = place.filter(|_| own).and_then(|place| row.to_nodes.get(place));
            actions.map_or((Strength::None, String::new()), |actions| strength(actions))
        };
        let cells = columns.iter().map(cell).collect();
        Row { cluster: cluster.clone(), caller: row.caller.to_string(), cells }
    };
    rights.rows.iter().map(row).collect()
}

fn strength(actions: &[Action]) -> (Strength, String) {
    let words: Vec<_> = actions.iter().map(|action| action.word()).collect();
    let strength = if actions.iter().any(|action| action.kills()) {
        Strength::Kill
    } else if actions.contains(&Action::On) {
        Strength::Start
    } else if actions.contains(&Action::Status) {
        Strength::Look
    } else {
        Strength::None
    };
    (strength, words.join(" "))
}

/// What a record tells of somebody's death, start or refusal; nothing of what only looked.
fn kind(record: &Map<String, Value>) -> Option<Kind> {
    let word = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let (event, result) = (word("event"), word("result"));
    match event {
        "refused" => Some(Kind::Refused),
        "outcome" if result == "fenced killed" => Some(Kind::Killed),
        "outcome" if !result.starts_with("fenced") => Some(Kind::Failed),
        "closed" => Some(Kind::Failed),
        "start" if result.starts_with("started") => Some(Kind::Started),
        "start" if result == "not started" => Some(Kind::Failed),
        _ => None,
    }
}

fn deed(cluster: &ClusterName, record: &Map<String, Value>) -> Option<Deed> {
    let word = |key: &str| match record.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    Some(Deed {
        kind: kind(record)?,
        time: word("time"),
        cluster: cluster.to_string(),
        caller: word("caller"),
        from: word("from"),
        action: word("action"),
        node: word("node"),
        result: word("result"),
        text: word("text"),
    })
}

fn sum_of(policy: &Cluster) -> (String, String) {
    let path: PathBuf = Path::new(CLUSTERS_DIR).join(format!("{}.toml", policy.name()));
    let sum = match secure_file::read(&path, CAP) {
        Ok(text) => hash(text.as_bytes()),
        Err(error) => error.to_string(),
    };
    (path.display().to_string(), sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_deaths_starts_and_refusals_are_deeds() {
        let of = |event: &str, result: &str| {
            let record = json!({ "event": event, "result": result });
            kind(record.as_object().unwrap())
        };
        for (event, result, wanted) in [
            ("outcome", "fenced killed", Some(Kind::Killed)),
            ("outcome", "fenced joined", None),
            ("outcome", "dying", Some(Kind::Failed)),
            ("outcome", "not fenced", Some(Kind::Failed)),
            ("closed", "rebooted", Some(Kind::Failed)),
            ("refused", "not-yours", Some(Kind::Refused)),
            ("start", "started created", Some(Kind::Started)),
            ("start", "not started", Some(Kind::Failed)),
            ("start", "left off", None),
            ("intent", "killing", None),
            ("answer", "answered", None),
        ] {
            assert_eq!(of(event, result), wanted, "{event} {result}");
        }
    }

    #[test]
    fn the_worst_that_somebody_may_do_counts() {
        use Action::{Off, On, Status};
        for (actions, wanted, words) in [
            (&[][..], Strength::None, ""),
            (&[Status], Strength::Look, "status"),
            (&[Status, On], Strength::Start, "status on"),
            (&[Off, Status], Strength::Kill, "off status"),
        ] {
            assert_eq!(strength(actions), (wanted, words.to_owned()));
        }
    }
}
