//! The node that asks: a dead one shoots nobody, not even with a request that it sent alive.

use super::case::{End, Work};
use crate::processes::connection_accepted;
use crate::sight::Sight;
use crate::state::{Phase, Remembered};
use crate::target;
use xen_fence_protocol::{Asker, Refusal};

/// Where the asker is; refuses one that is dying, or was fenced after its connection was accepted.
pub(super) fn find(work: &Work<'_>, sight: &Sight, before: &Remembered) -> Result<Asker, End> {
    let Some(asker) = work.grant.asker() else { return Ok(Asker::Operator) };
    let dead = |why: &str| {
        let text = format!("{} asks, and {why}; a dead node shoots nobody", asker.name());
        End::refuse(Refusal::AskerDying, &text)
    };
    let killed_by = before.fence_of(asker.name()).filter(|fence| fence.phase == Phase::Killing);
    if killed_by.is_some_and(|fence| work.host.processes.lives(&fence.broker())) {
        return Err(dead("it is being killed"));
    }
    // Read anew: a broker that has ended since wrote what became of its fence before it did.
    let now = work.state().recall();
    if let Some(fence) = now.fence_of(asker.name()) {
        let since = connection_accepted().map_or(0, crate::clock::Moment::millis);
        if fence.phase == Phase::Fenced && fence.at_ms >= since {
            return Err(dead("it was fenced after it had asked"));
        }
    }
    // A listing that contradicts the policy about the asker says nothing about where it is.
    let rows = target::find(&sight.listing, asker).unwrap_or_default();
    match (rows.is_empty(), rows.iter().any(|sighted| sighted.row.lives())) {
        (true, _) => Ok(Asker::Elsewhere),
        (false, true) => Ok(Asker::Here),
        (false, false) => Err(dead("its domain is dying")),
    }
}
