//! One request from its first byte to its last: the privileged story.

mod answer;
mod asker;
mod case;
mod join;
mod kill;
mod rehearsal;
mod restraint;
mod scene;
mod standoff;
mod start;

use crate::acl::{self, Cluster, Decision, Grant};
use crate::clock::Clock;
use crate::identity::{Environment, Identity, Unproven};
use crate::journal::Decided;
use crate::names::Caller;
use crate::session::{Heard, Session};
use crate::settings::{Settings, ToolstackKind};
use crate::toolstack::{Toolstack, Xl, Xm};
use case::{Case, End, Work};
use std::path::{Path, PathBuf};
use xen_fence_protocol::{Action, Body, ClientLine, Note, REQUEST_READ, Refusal, Request, Text};

/// Locks and state of a real host: on tmpfs, so that they end with the boot that they speak of.
pub const RUN_DIR: &str = "/run/xen-fence";

/// By which door a request comes.
pub enum Door {
    /// Through sudo: what sudo and sshd say of the caller.
    Sudo(Environment),
    /// From root's own tool.
    Root(Identity),
}

/// What the broker finds around it. The installed broker has one set of these.
pub struct House<'a> {
    /// Who asks.
    pub door: Door,
    /// broker.toml.
    pub settings: &'a Path,
    /// The directory of the clusters' policies.
    pub clusters: &'a Path,
    /// The directory of the journals.
    pub journals: &'a Path,
    /// The directory of the holds.
    pub holds: &'a Path,
    /// The directory of locks and state.
    pub run: &'a Path,
    /// Time.
    pub clock: &'a dyn Clock,
}

/// Serves one request of one agent, whatever it is, and records it.
pub fn serve(house: &House<'_>, session: &mut Session<'_>) {
    let identity = match &house.door {
        Door::Sudo(environment) => environment.identity(account_name),
        Door::Root(identity) => Ok(identity.clone()),
    };
    let mut case = Case::open(house, session, &identity);
    let end = story(&mut case, identity);
    case.close(end);
}

/// The story: each line is a question, in the order in which an auditor would ask it.
fn story(case: &mut Case<'_, '_>, identity: Result<Identity, Unproven>) -> Result<(), End> {
    let request = read_request(case)?;
    let identity = identity.map_err(End::unproven)?;
    let policy = acl::load(case.house.clusters, &identity.cluster);
    let policy = policy.map_err(|error| {
        case.recorder.decided(Decided::Refuse, &error.one_line());
        End::policy(&error)
    })?;
    let grant = permit(case, decide(&policy, &identity, &request))?;
    case.recorder.passed("granted", grant.rule());
    let settings = crate::settings::load(case.house.settings).map_err(|e| End::settings(&e))?;
    let toolstack = toolstack(&settings);
    let work = Work::new(case.house, &request, identity.cluster, grant, &*toolstack, &settings);
    match request.action() {
        Action::Reset | Action::Off => kill::carry_out(case, &work),
        Action::On => start::carry_out(case, &work),
        Action::Status | Action::List => answer::give(case, &work),
        Action::Check | Action::Monitor => rehearsal::report(case, &work),
    }
}

/// Reads the one request line, and makes sure that nothing came with it.
fn read_request(case: &mut Case<'_, '_>) -> Result<Request, End> {
    // An agent of several dom0s takes no lock anywhere before sshd and sudo are through everywhere.
    let text = Text::escaped("the request may be said");
    case.session.say(Body::Note { about: Note::Listening, text });
    match case.session.hear(REQUEST_READ) {
        Heard::Line(ClientLine::Request(request)) => {
            case.asked_for(&request);
            case.nothing_early()?;
            Ok(request)
        }
        Heard::Line(
            line @ (ClientLine::Go(id)
            | ClientLine::GoOff(id)
            | ClientLine::GoLater(id)
            | ClientLine::Start(id)
            | ClientLine::Wait(id)
            | ClientLine::Look(id)),
        ) => {
            case.session.answers_to(id);
            let text = format!("{} came before ready, and even before a request", line.word());
            Err(End::refuse(Refusal::Early, &text))
        }
        Heard::Malformed(error) => Err(End::refuse(Refusal::Malformed, &error.to_string())),
        Heard::Silence => Err(End::refuse(
            Refusal::Malformed,
            &format!("no request came within {} s", REQUEST_READ.as_secs()),
        )),
        Heard::Gone => Err(End::Gone("without a request")),
    }
}

/// What the policy says to a request of whoever asks.
pub fn decide(policy: &Cluster, who: &Identity, request: &Request) -> Decision {
    match (&who.caller, &who.key) {
        (Caller::Root(login), None) => acl::decide_for_root(policy, login.clone(), request),
        (caller, key) => acl::decide(policy, caller, key.as_ref(), who.from, request),
    }
}

fn permit(case: &mut Case<'_, '_>, decision: Decision) -> Result<Grant, End> {
    match decision {
        Decision::Permit(grant) => {
            case.recorder.decided(Decided::Permit, grant.rule());
            Ok(grant)
        }
        Decision::Refuse(refused) => {
            case.recorder.decided(Decided::Refuse, &refused.recorded);
            Err(End::Refused {
                reason: refused.reason,
                told: refused.told,
                recorded: refused.recorded,
            })
        }
    }
}

fn account_name(uid: u32) -> Option<String> {
    users::get_user_by_uid(uid).and_then(|user| user.name().to_str().map(ToOwned::to_owned))
}

/// The toolstack that the host's settings name.
#[must_use]
pub fn toolstack(settings: &Settings) -> Box<dyn Toolstack> {
    let path = |path: Option<&Path>| path.map(Path::to_path_buf);
    match settings.toolstack() {
        ToolstackKind::Xl => Box::new(path(settings.xl()).map_or_else(Xl::find, Xl::at)),
        ToolstackKind::Xm => {
            Box::new(Xm::at(path(settings.xm()).unwrap_or_else(|| PathBuf::from("/usr/sbin/xm"))))
        }
    }
}

impl Case<'_, '_> {
    /// Refuses a byte that came before the broker had said that it is ready for it.
    fn nothing_early(&mut self) -> Result<(), End> {
        if !self.session.has_spoken() {
            return Ok(());
        }
        let text = match self.session.hear(std::time::Duration::ZERO) {
            Heard::Line(ClientLine::Request(_)) => {
                "a second request came; a session carries one".to_owned()
            }
            Heard::Line(line) => format!("{} came before ready", line.word()),
            Heard::Malformed(_) | Heard::Silence | Heard::Gone => {
                "something follows the request line, and nothing may before ready".to_owned()
            }
        };
        Err(End::refuse(Refusal::Early, &text))
    }
}
