//! The node that asks: a dead one shoots nobody, not even with a request that it sent alive.

use super::case::{End, Work};
use crate::clock::Moment;
use crate::earlier::asker_is_dead;
use crate::processes::{Process, connection_accepted};
use crate::sight::{Blind, Sight};
use crate::state::Remembered;
use crate::target;
use std::time::Duration;
use xen_fence_protocol::{Asker, Refusal};

/// Where the asker is; refuses one that is dying, or was fenced after its connection was accepted.
pub(super) fn find(work: &Work<'_>, sight: &Sight, before: &Remembered) -> Result<Asker, End> {
    let Some(asker) = work.grant.asker() else { return Ok(Asker::Operator) };
    let dead = |why: &str| {
        let text = format!("{} asks, and {why}; a dead node shoots nobody", asker.name());
        End::refuse(Refusal::AskerDying, &text)
    };
    let accepted = connection_accepted().unwrap_or(Moment::since_boot(Duration::ZERO));
    // Read anew: a broker that has ended since wrote what became of its fence before it did.
    for known in [before, &work.state().recall()] {
        let last = known.fence_of(asker.name());
        let killer_lives = last.is_some_and(|fence| work.host.processes.acts(&fence.broker()));
        if let Some(why) = asker_is_dead(last, killer_lives, accepted) {
            return Err(dead(why));
        }
    }
    // A listing that contradicts the policy about the asker says nothing about where it is.
    let rows = target::find(&sight.listing, asker).unwrap_or_default();
    // Where the broker that began it was killed, neither its lock nor its memory says that the asker is
    // about to die. What has ended by now has killed it, and it will not say go.
    let domids: Vec<u32> = rows.iter().map(|sighted| sighted.row.domid).collect();
    if !domids.is_empty() {
        let destroyer = work.host.processes.destroyer(&domids).map_err(Blind::Processes)?;
        if let Some(Process { pid, what, .. }) = destroyer {
            return Err(dead(&format!("`{what}` of its domain is under way (pid {pid})")));
        }
    }
    match (rows.is_empty(), rows.iter().any(|sighted| sighted.row.lives())) {
        (true, _) => Ok(Asker::Elsewhere),
        (false, true) => Ok(Asker::Here),
        (false, false) => Err(dead("its domain is dying")),
    }
}
