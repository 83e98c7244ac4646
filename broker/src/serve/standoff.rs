//! `ready` and `go`: promise 6. No kill begins but on the word of an asker that lives.
//!
//! A destroyed or frozen asker sends no FIN, and sshd and sudo can sit for longer than a node
//! lives. So the broker settles everything first, says so, and acts only on an answer to that.

use super::case::{Case, End, Work};
use crate::lock::Lock;
use crate::session::Heard;
use std::time::Duration;
use xen_fence_protocol::{
    Asker, Body, ClientLine, GO_BY, Hold, NodeName, Power, READY_SILENCE, Refusal, WAIT_IN_ALL,
};

/// After the lock has been let go, a late `go` is still heard, and refused, for this long.
const LATE: Duration = Duration::from_secs(3);

/// Says `ready` and waits for `go`. The lock is let go with a refusal, and given back with a go.
pub(super) fn ready(
    case: &mut Case<'_, '_>,
    work: &Work<'_>,
    node: &NodeName,
    power: Power,
    asker: Asker,
    hold: Hold,
    lock: Lock,
) -> Result<Lock, End> {
    case.nothing_early()?;
    case.session.say(Body::Ready { node: node.clone(), power, asker, hold });
    let clock = case.house.clock;
    let ready_at = clock.now();
    let in_all = ready_at.after(WAIT_IN_ALL);
    let mut silence = ready_at.after(READY_SILENCE);
    loop {
        match case.session.hear(clock.left_until(silence.min(in_all))) {
            Heard::Line(ClientLine::Go(id)) if id == work.id => {
                return if clock.now() <= case.asked_at.after(GO_BY) {
                    Ok(lock)
                } else {
                    Err(late(&format!("it came more than {} s after the request", GO_BY.as_secs())))
                };
            }
            Heard::Line(ClientLine::Wait(id)) if id == work.id => {
                silence = clock.now().after(READY_SILENCE);
            }
            Heard::Silence => break,
            Heard::Gone => return Err(End::Gone("after ready and before go")),
            Heard::Malformed(error) => {
                return Err(End::refuse(Refusal::Malformed, &error.to_string()));
            }
            Heard::Line(_) => {
                return Err(End::refuse(
                    Refusal::Malformed,
                    "after ready only go or wait of the same request can come",
                ));
            }
        }
    }
    drop(lock);
    match case.session.hear(LATE) {
        Heard::Line(ClientLine::Go(_)) => {
            Err(late("the cluster's lock had been let go, because nothing was heard in time"))
        }
        Heard::Line(_) | Heard::Malformed(_) | Heard::Silence | Heard::Gone => {
            let text = format!(
                "no go came within {} s of ready or of the last wait, {} s in all",
                READY_SILENCE.as_secs(),
                WAIT_IN_ALL.as_secs()
            );
            Err(End::refuse(Refusal::NoGo, &text))
        }
    }
}

fn late(why: &str) -> End {
    End::refuse(
        Refusal::LateGo,
        &format!("the go is too late: {why}; nothing was touched, ask anew"),
    )
}
