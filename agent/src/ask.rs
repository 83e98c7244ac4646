//! One dom0 asked for anything but a fence, from beginning to end: resolve, connect, host key, login, conversation; and again
//! with the same request while that can help and nothing can have happened.
//!
//! Read top to bottom, [`attempt`] is the order of what is proven to whom: the host is who it
//! should be before anything of ours is shown to it.

use crate::client::{self, Success, Terms, Told};
use crate::clock::{Deadline, Moment};
use crate::course::{Course, Watch};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::fence::Stands;
use crate::kept_id::KeptId;
use crate::phase::{Phase, Phases};
use crate::public_key::PublicKey;
use crate::reach::{Means, Patience, Reached, reach};
use crate::targets::Target;
use std::cell::RefCell;
use std::sync::Arc;
use std::thread;
use xen_fence_protocol::{Action, GO_BY, Request};

/// What all dom0s are asked, and with what.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The request; every attempt carries its id, so that dom0 takes them for one.
    pub(crate) request: &'a Request,
    /// Our key, and the hosts' keys.
    pub(crate) means: &'a Arc<Means>,
    /// When the request was made.
    pub(crate) begun: Moment,
    /// The request's id, and what is known of it.
    pub(crate) kept: &'a RefCell<KeptId>,
}

/// What came of asking one dom0.
#[derive(Debug)]
pub(crate) struct Answer {
    /// What it was asked.
    pub(crate) request: Request,
    /// Whom it was.
    pub(crate) endpoint: Endpoint,
    /// What the broker told.
    pub(crate) told: Told,
    /// The phases of the last attempt that ended.
    pub(crate) phases: Phases,
    /// The phase that did not.
    pub(crate) stuck_in: Option<Phase>,
    /// How many attempts it took.
    pub(crate) attempts: u32,
    /// How far it came, if it was asked for a fence.
    pub(crate) stands: Option<Stands>,
    /// How it ended.
    pub(crate) end: Result<Success, Error>,
}

/// Asks one dom0, by whichever of the ways to it answers first.
pub(crate) fn ask(
    target: &Target,
    ask: &Ask<'_>,
    deadline: Deadline,
    watch: &mut dyn Watch,
) -> Answer {
    let action = ask.request.action();
    let patience = Patience::new(action, ask.begun, deadline);
    let mut attempts = 0_u32;
    let mut before: Option<Error> = None;
    let mut unknown: Option<Error> = None;
    let mut endpoint = target.first.clone();
    loop {
        attempts = attempts.saturating_add(1);
        let mut told = Told::default();
        let mut course = Course::new(watch);
        let begun = Moment::now();
        let end = attempt(target, ask, deadline, &mut endpoint, &mut told, &mut course);
        let (phases, stuck_in) = course.finish();
        told.took = begun.elapsed();
        let end = end.map_err(|error| still_unknown(error, &unknown, ask));
        let again = match &end {
            // A rehearsal reports what it meets.
            Err(error) if action != Action::Check => patience.after(error),
            Ok(_) | Err(_) => None,
        };
        let Some(pause) = again else {
            let end = end.map_err(|error| with_history(patience.given_up(error), attempts, before));
            let request = ask.request.clone();
            return Answer {
                request,
                endpoint,
                told,
                phases,
                stuck_in,
                attempts,
                stands: None,
                end,
            };
        };
        if let Err(error) = end {
            watch.retries(&error);
            if error.kind == Kind::Unknown && unknown.is_none() {
                unknown = Some(error.clone());
            }
            before = Some(error);
        }
        thread::sleep(pause);
    }
}

fn attempt(
    target: &Target,
    ask: &Ask<'_>,
    deadline: Deadline,
    endpoint: &mut Endpoint,
    told: &mut Told,
    course: &mut Course<'_>,
) -> Result<Success, Error> {
    let Reached { mut ssh, endpoint: way, .. } = reach(target, ask.means, deadline, course)?;
    endpoint.clone_from(&way);

    course.begin(Phase::Login);
    let identity = &ask.means.identity;
    told.own_key = identity.public().map(PublicKey::fields);
    ssh.login(&way.account, identity, deadline)?;
    course.end(&format!("{} with {}", way.account, identity.name()));

    course.begin(Phase::Channel);
    let mut talk = ssh.open(deadline)?;
    course.end("");

    let (request, begun, kept) = (ask.request, ask.begun, ask.kept);
    let terms = Terms { request, begun, go_by: GO_BY, deadline, kept };
    client::converse(&mut talk, &terms, told, course)
}

/// Once `go` may have been heard, what another attempt meets does not make its outcome known; unless
/// it is told what that was.
pub(crate) fn still_unknown(error: Error, unknown: &Option<Error>, ask: &Ask<'_>) -> Error {
    match unknown {
        Some(unknown) if ask.kept.borrow().is_unheard() && error.kind != Kind::Unknown => {
            let mut known = unknown.clone().hint(format!("asked again since: {error}"));
            known.retry = error.retry;
            known
        }
        Some(_) | None if ask.kept.borrow().is_unheard_of_before() => {
            let node = ask.request.node().map_or("the node", |node| node.as_str());
            error.hint(format!(
                "an earlier call of the same never heard its answer: {node} may be dead by that one"
            ))
        }
        Some(_) | None => error,
    }
}

/// Says what came before, where that was something else.
pub(crate) fn with_history(error: Error, attempts: u32, before: Option<Error>) -> Error {
    match before {
        None => error,
        Some(before) if before.message == error.message => {
            error.hint(format!("{attempts} attempts ended like this"))
        }
        Some(before) => error.hint(format!("attempt {attempts}; the one before: {before}")),
    }
}
