//! Says `ready`, and holds the lock until [`Standoff`] says what follows.

use super::case::{Case, End, Work};
use crate::lock::Lock;
use crate::standoff::{Next, Standoff};
use xen_fence_protocol::{Action, Asker, Body, Hold, NodeName, Power};

/// The word of a living asker, and the lock that was held for it.
pub(super) struct Go {
    pub(super) lock: Lock,
    /// Another dom0 powers the node on.
    pub(super) leave_off: bool,
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
    let resets = work.grant.action() == Action::Reset;
    let mut standoff = Standoff::new(work.id, resets, case.asked_at, clock.now());
    let mut held = Some(lock);
    loop {
        let heard = case.session.hear(clock.left_until(standoff.until()));
        match (standoff.hear(&heard, clock.now()), held.take()) {
            (Next::Listen, lock) => held = lock,
            (Next::LetGo, lock) => drop(lock),
            (Next::Go { leave_off }, Some(lock)) => return Ok(Go { lock, leave_off }),
            (Next::Go { .. }, None) => {
                return Err(End::internal("a go was heard without the lock".to_owned()));
            }
            (Next::Gone, _) => return Err(End::Gone("after ready and before go")),
            (Next::Refuse(reason, text), _) => return Err(End::refuse(reason, &text)),
        }
    }
}
