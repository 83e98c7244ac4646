//! status and list: what dom0 sees, and nothing else. They take no lock and wait for none.

use super::case::{Case, End, Work};
use super::restraint;
use crate::journal::Event;
use crate::syslog::Severe;
use xen_fence_protocol::{Body, Note, Power};

/// Answers with a line for each node that the grant is about, from one listing.
pub(super) fn give(case: &mut Case<'_, '_>, work: &Work<'_>) -> Result<(), End> {
    let nodes = work.grant.targets();
    restraint::tell_of(case, work, nodes);
    let mut seen = Vec::new();
    let starting: Vec<bool> = nodes.iter().map(|node| work.is_starting(node)).collect();
    let sights = work.host.survey(nodes)?;
    if let ([node], [Ok(sight)]) = (nodes, sights.as_slice()) {
        case.recorder.aims_at(node, sight.rows.first().map(|sighted| sighted.row.domid));
        case.recorder.passed("listed", &sight.evidence());
    } else {
        case.recorder.passed("listed", "");
    }
    for ((node, sight), starting) in nodes.iter().zip(sights).zip(starting) {
        let power = match &sight {
            Ok(sight) => work.power(node, sight, starting),
            // A contradiction between policy and listing says nothing about the node.
            Err(_) => Power::Unknown,
        };
        if power == Power::Unknown {
            let why = match sight {
                Ok(sight) => {
                    work.obstacle(node, &sight).unwrap_or_else(|| "it is about to start".to_owned())
                }
                Err(ambiguous) => ambiguous.told(),
            };
            case.note(Note::Progress, &format!("{} is neither on nor off: {why}", node.name()));
        }
        seen.push(format!("{} {power}", node.name()));
        case.session.say(Body::Seen { node: node.name().clone(), power });
    }
    case.record(Event::Answer, Severe::Notice, "answered", &seen.join(", "));
    Ok(())
}
