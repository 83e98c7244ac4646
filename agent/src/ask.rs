//! One dom0 asked from beginning to end: resolve, connect, host key, login, conversation; and again
//! with the same request while that can help and nothing can have happened.
//!
//! Read top to bottom, [`attempt`] is the order of what is proven to whom: the host is who it
//! should be before anything of ours is shown to it.

use crate::client::{self, Success, Terms, Told};
use crate::clock::{Deadline, Moment};
use crate::course::{Course, Watch};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Retry};
use crate::identity::Identity;
use crate::known_hosts::{KnownHosts, Pins};
use crate::phase::{Phase, Phases};
use crate::public_key::PublicKey;
use crate::resolve::{Source, resolve};
use crate::transport::ssh::{Ssh, is_hash_of};
use crate::transport::tcp;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;
use xen_fence_protocol::{Action, GO_BY, Request};

/// How long it is tried again where somebody answered that nobody is there.
const SOON: Duration = Duration::from_secs(10);

/// What all dom0s are asked, and with what.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    /// The request; every attempt carries its id, so that dom0 takes them for one.
    pub(crate) request: &'a Request,
    /// Our key.
    pub(crate) identity: &'a Identity,
    /// The hosts' keys.
    pub(crate) known_hosts: &'a KnownHosts,
    /// When the request was made.
    pub(crate) begun: Moment,
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
    /// How it ended.
    pub(crate) end: Result<Success, Error>,
}

/// Asks one dom0.
pub(crate) fn ask(
    endpoint: &Endpoint,
    ask: &Ask<'_>,
    deadline: Deadline,
    watch: &mut dyn Watch,
) -> Answer {
    let action = ask.request.action();
    // No attempt begins when its `go` could not be said any more.
    let last_start = if action.waits_for_go() {
        deadline.or_earlier(Deadline::at(ask.begun.plus(GO_BY)))
    } else {
        deadline
    };
    let soon = last_start.or_earlier(Deadline::after(SOON));
    let mut attempts = 0_u32;
    let mut before: Option<Error> = None;
    loop {
        attempts = attempts.saturating_add(1);
        let mut told = Told::default();
        let mut course = Course::new(watch);
        let end = attempt(endpoint, ask, deadline, &mut told, &mut course);
        let (phases, stuck_in) = course.finish();
        let pause = jitter();
        let again = match &end {
            // A rehearsal reports what it meets.
            Ok(_) => false,
            Err(_) if action == Action::Check => false,
            Err(error) => {
                let until = match error.retry {
                    Retry::Never => None,
                    Retry::Soon => soon.left(),
                    Retry::UntilDeadline => last_start.left(),
                };
                until.is_some_and(|left| left > pause)
            }
        };
        if !again {
            let end = end.map_err(|error| with_history(error, attempts, before));
            let (request, endpoint) = (ask.request.clone(), endpoint.clone());
            return Answer { request, endpoint, told, phases, stuck_in, attempts, end };
        }
        if let Err(error) = end {
            watch.retries(&error);
            before = Some(error);
        }
        thread::sleep(pause);
    }
}

fn attempt(
    endpoint: &Endpoint,
    ask: &Ask<'_>,
    deadline: Deadline,
    told: &mut Told,
    course: &mut Course<'_>,
) -> Result<Success, Error> {
    course.begin(Phase::Resolve);
    let (source, addresses) = resolve(endpoint, deadline)?;
    course.end(match source {
        Source::Literal => "an address",
        Source::HostsFile => "from /etc/hosts",
        Source::Resolver => "by the resolver",
    });

    let pins = ask.known_hosts.find(endpoint, &is_hash_of);
    for line in pins.broken_lines() {
        course.detail(&format!("broken line left out: {line}"));
    }
    if let Some(error) = pins.unusable() {
        return Err(error);
    }
    let mut ssh = meet(endpoint, &addresses, &pins, deadline, course)?;

    course.begin(Phase::Login);
    ssh.login(&endpoint.account, ask.identity, deadline)?;
    course.end(&format!("{} with {}", endpoint.account, ask.identity.name()));

    course.begin(Phase::Channel);
    let mut talk = ssh.open(deadline)?;
    course.end("");

    let terms = Terms { request: ask.request, begun: ask.begun, go_by: GO_BY, deadline };
    client::converse(&mut talk, &terms, told, course)
}

/// Connects and makes sure that it is the host that known_hosts knows.
fn meet(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    pins: &Pins,
    deadline: Deadline,
    course: &mut Course<'_>,
) -> Result<Ssh, Error> {
    course.begin(Phase::Connect);
    let tcp = tcp::connect(&endpoint.known_as(), addresses, deadline)?;
    course.end(&tcp.peer_addr().map_or_else(|_| String::new(), |address| address.to_string()));

    course.begin(Phase::KeyExchange);
    let Some(algorithms) = pins.algorithms() else {
        return Err(introduce(tcp, pins, deadline));
    };
    match Ssh::exchange_keys(tcp, &algorithms, deadline) {
        Ok((ssh, offered)) => {
            let line = pins.judge(&offered)?;
            course.end(&format!(
                "{} {} as at {line}; {}",
                offered.kind(),
                offered.fingerprint(),
                ssh.methods()
            ));
            Ok(ssh)
        }
        // It has no key of the recorded types: find out which it has, for the refusal.
        Err(error) if error.kind == Kind::HostKey => {
            let tcp = tcp::connect(&endpoint.known_as(), addresses, deadline);
            Err(tcp.map_or(error, |tcp| introduce(tcp, pins, deadline)))
        }
        Err(error) => Err(error),
    }
}

/// Exchanges keys with a host that is going to be refused, to say what it offered.
fn introduce(tcp: std::net::TcpStream, pins: &Pins, deadline: Deadline) -> Error {
    match Ssh::exchange_keys(tcp, &Pins::every_algorithm(), deadline) {
        Ok((_, offered)) => refusal(pins, &offered),
        Err(error) => error,
    }
}

fn refusal(pins: &Pins, offered: &PublicKey) -> Error {
    match pins.judge(offered) {
        Err(error) => error,
        // It was not offered when only the recorded types were asked for: nobody honest does that.
        Ok(line) => Error::new(
            Kind::HostKey,
            format!(
                "the host shows the key recorded at {line} only now and then; nothing was sent"
            ),
        ),
    }
}

/// 0.1 to 0.6 s, so that nodes that lost the same dom0 do not come back in step.
fn jitter() -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    Duration::from_millis(u64::from(random % 501).saturating_add(100))
}

fn with_history(error: Error, attempts: u32, before: Option<Error>) -> Error {
    match before {
        None => error,
        Some(before) if before.message == error.message => {
            error.hint(format!("{attempts} attempts ended like this"))
        }
        Some(before) => error.hint(format!("attempt {attempts}; the one before: {before}")),
    }
}
