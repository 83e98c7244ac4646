//! Says `ready`, and holds the lock until [`Standoff`] says what follows.

use super::case::{Case, End, Work};
use crate::lock::Lock;
use crate::standoff::{Next, Standoff, Then};
use xen_fence_protocol::{Asker, Body, Hold, NodeName, Power};

/// The word of a living asker, and the lock that was held for it.
pub(super) struct Go {
    pub(super) lock: Lock,
    /// What shall become of the node after the proof.
    pub(super) then: Then,
}

/// Says `ready` and waits for `go`. The lock is let go with a refusal, and given back with a go.
pub(super) fn ready(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    node: &NodeName,
    power: Power,
    asker: Asker,
    hold: Hold,
    lock: Lock,
) -> Result<Go, End> {
    case.nothing_early()?;
    case.session.say(Body::Ready { node: node.clone(), power, asker, hold });
    let clock = case.house.clock;
    let kills = work.grant.action().kills();
    let mut standoff = Standoff::new(work.id, kills, case.asked_at, clock.now());
    let mut held = Some(lock);
    loop {
        let heard = case.session.hear(clock.left_until(standoff.until()));
        match (standoff.hear(&heard, clock.now()), held.take()) {
            (Next::Listen, lock) => held = lock,
            (Next::LetGo, lock) => drop(lock),
            (Next::Go(then), Some(lock)) => return Ok(Go { lock, then }),
            (Next::Go(_), None) => {
                return Err(End::internal("a go was heard without the lock".to_owned()));
            }
            (Next::Gone, _) => return Err(End::Gone("after ready and before go")),
            (Next::Refuse(reason, text), _) => return Err(End::refuse(reason, &text)),
        }
    }
}
