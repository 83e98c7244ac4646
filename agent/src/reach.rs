//! The way to one dom0 up to its proven host key: resolve, connect, exchange keys.
//!
//! Nothing of ours is shown here. Where a dom0 has several addresses of its own, each is started
//! with a head start before the next, and the first that shows the recorded key is taken; what
//! comes of the others is dropped.

use crate::clock::{Deadline, Moment};
use crate::course::{Course, News, Relay};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind, Retry};
use crate::identity::Identity;
use crate::known_hosts::{KnownHosts, Pins};
use crate::phase::{Phase, Phases};
use crate::public_key::PublicKey;
use crate::resolve::{Source, resolve};
use crate::targets::Target;
use crate::transport::ssh::{Ssh, is_hash_of};
use crate::transport::tcp::{self, HEAD_START};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use xen_fence_protocol::{Action, GO_BY};

/// What this machine has for the way to any dom0.
#[derive(Debug)]
pub(crate) struct Means {
    /// Our key.
    pub(crate) identity: Identity,
    /// The hosts' keys.
    pub(crate) known_hosts: KnownHosts,
}

/// A dom0 that has proven who it is.
pub(crate) struct Reached {
    /// The connection, before the login.
    pub(crate) ssh: Ssh,
    /// The way that led there.
    pub(crate) endpoint: Endpoint,
    /// The fingerprint of its host key, which is the same to whoever asks.
    pub(crate) fingerprint: String,
}

/// Reaches a dom0 by whichever of the ways to it answers first.
///
/// # Errors
/// What went wrong; on every way, if there are several.
pub(crate) fn reach(
    target: &Target,
    means: &Arc<Means>,
    deadline: Deadline,
    course: &mut Course<'_>,
) -> Result<Reached, Error> {
    if target.others.is_empty() {
        reach_by(&target.first, means, deadline, course)
    } else {
        reach_first(target, means, deadline, course)
    }
}

fn reach_by(
    way: &Endpoint,
    means: &Means,
    deadline: Deadline,
    course: &mut Course<'_>,
) -> Result<Reached, Error> {
    course.begin(Phase::Resolve);
    let (source, addresses) = resolve(way, deadline)?;
    course.end(match source {
        Source::Literal => "an address",
        Source::HostsFile => "from /etc/hosts",
        Source::Resolver => "by the resolver",
    });

    let pins = means.known_hosts.find(way, &is_hash_of);
    for line in pins.broken_lines() {
        course.detail(&format!("broken line left out: {line}"));
    }
    if let Some(error) = pins.unusable() {
        return Err(error);
    }
    let (ssh, key) = meet(way, &addresses, &pins, deadline, course)?;
    Ok(Reached { ssh, endpoint: way.clone(), fingerprint: key.fingerprint() })
}

/// What became of one of several ways.
struct Tried {
    end: Result<Reached, Error>,
    phases: Phases,
    news: Vec<News>,
}

fn reach_first(
    target: &Target,
    means: &Arc<Means>,
    deadline: Deadline,
    course: &mut Course<'_>,
) -> Result<Reached, Error> {
    // What a person sees meanwhile; the phases of the way that wins are told at its end.
    course.begin(Phase::Connect);
    let (tell, tried) = mpsc::channel::<(Endpoint, Tried)>();
    let mut failures: Vec<(Endpoint, Error)> = Vec::new();
    let mut under_way = 0_usize;
    for (at, way) in target.ways().enumerate() {
        let (tell, means, one) = (tell.clone(), Arc::clone(means), way.clone());
        let started = thread::Builder::new().name("reach".to_owned()).spawn(move || {
            let mut news = Vec::new();
            let mut relay = Relay(|one| news.push(one));
            let mut course = Course::new(&mut relay);
            let end = reach_by(&one, &means, deadline, &mut course);
            let (phases, _) = course.finish();
            // A connection that comes too late is closed with the message that nobody reads.
            let _ = tell.send((one, Tried { end, phases, news }));
        });
        if let Err(error) = started {
            let error = Error::new(Kind::Unreachable, crate::secure_file::reason(&error));
            failures.push((way.clone(), error.retry(Retry::UntilDeadline)));
            continue;
        }
        under_way = under_way.saturating_add(1);
        let is_last = at == target.others.len();
        let all = deadline.left().unwrap_or_default().saturating_add(SLACK);
        let wait = Deadline::after(if is_last { all } else { HEAD_START });
        while under_way > 0 {
            let Ok((way, Tried { end, phases, news })) =
                tried.recv_timeout(wait.left().unwrap_or_default())
            else {
                break;
            };
            under_way = under_way.saturating_sub(1);
            match end {
                Ok(reached) => {
                    course.take_over(phases, news);
                    return Ok(reached);
                }
                Err(error) => {
                    course.detail(&format!("{way}: {error}"));
                    failures.push((way, error));
                }
            }
        }
    }
    Err(of_all(failures))
}

/// What an attempt that ends with the deadline needs to say so.
const SLACK: Duration = Duration::from_millis(200);

/// One error for all ways: whatever can be mended by trying again decides.
fn of_all(failures: Vec<(Endpoint, Error)>) -> Error {
    let said: Vec<String> =
        failures.iter().map(|(way, error)| format!("by {way}: {error}")).collect();
    let rank = |error: &Error| match error.retry {
        Retry::Never => 0,
        Retry::Soon => 1,
        Retry::UntilDeadline => 2,
    };
    let mut hints: Vec<String> = Vec::new();
    for hint in failures.iter().flat_map(|(_, error)| &error.hints) {
        if !hints.contains(hint) {
            hints.push(hint.clone());
        }
    }
    let worst = failures.into_iter().map(|(_, error)| error).max_by_key(rank);
    let (kind, retry) =
        worst.map_or((Kind::TimedOut, Retry::Never), |error| (error.kind, error.retry));
    let said = if said.is_empty() { "the deadline passed".to_owned() } else { said.join("; ") };
    let mut error = Error::new(kind, format!("no way leads to dom0: {said}")).retry(retry);
    error.hints = hints;
    error
}

/// Connects and makes sure that it is the host that known_hosts knows.
fn meet(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    pins: &Pins,
    deadline: Deadline,
    course: &mut Course<'_>,
) -> Result<(Ssh, PublicKey), Error> {
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
            Ok((ssh, offered))
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
fn introduce(tcp: TcpStream, pins: &Pins, deadline: Deadline) -> Error {
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

/// How long a dom0 is tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    last_start: Deadline,
    soon: Deadline,
}

/// How long it is tried again where somebody answered that nobody is there.
const SOON: Duration = Duration::from_secs(10);

impl Patience {
    /// The patience of a request that was made then.
    pub(crate) fn new(action: Action, begun: Moment, deadline: Deadline) -> Self {
        // No attempt begins when its `go` could not be said any more.
        let last_start = if action.waits_for_go() {
            deadline.or_earlier(Deadline::at(begun.plus(GO_BY)))
        } else {
            deadline
        };
        Self { last_start, soon: last_start.or_earlier(Deadline::after(SOON)) }
    }

    /// How long to pause before another attempt; none if no other is to be made.
    pub(crate) fn after(&self, error: &Error) -> Option<Duration> {
        let pause = jitter();
        let left = match error.retry {
            Retry::Never => None,
            Retry::Soon => self.soon.left(),
            Retry::UntilDeadline => self.last_start.left(),
        };
        left.is_some_and(|left| left > pause).then_some(pause)
    }

    /// The error that nothing is tried after. Where time alone has ended the attempts, it knows.
    pub(crate) fn given_up(&self, mut error: Error) -> Error {
        error.late |= match error.retry {
            Retry::Never => false,
            Retry::Soon => self.last_start.left().is_none_or(|left| left <= LONGEST_PAUSE),
            Retry::UntilDeadline => true,
        };
        error
    }
}

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(600);

/// 0.1 to 0.6 s, so that nodes that lost the same dom0 do not come back in step.
fn jitter() -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    LONGEST_PAUSE.saturating_sub(Duration::from_millis(u64::from(random % 501)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_mended_by_trying_again_decides_for_all_ways() {
        let way = |host: &str| Endpoint::parse(&format!("a@{host}")).unwrap();
        let key = || (way("x"), Error::new(Kind::HostKey, "another key").hint("look"));
        let dead = || {
            let error = Error::new(Kind::Unreachable, "no answer").hint("look").hint("is it up?");
            (way("y"), error.retry(Retry::UntilDeadline))
        };
        let error = of_all(vec![key(), dead()]);
        assert_eq!((error.kind, error.retry), (Kind::Unreachable, Retry::UntilDeadline));
        assert_eq!(error.hints, ["look", "is it up?"]);
        for said in ["by a@x:22: another key", "by a@y:22: no answer"] {
            assert!(error.message.contains(said), "{error}");
        }
        assert_eq!(of_all(vec![key(), key()]).kind, Kind::HostKey);
        assert_eq!(of_all(vec![]).kind, Kind::TimedOut);
    }

    #[test]
    fn what_time_alone_has_ended_is_late() {
        let now = Moment::now();
        let patience = |left| {
            let deadline = Deadline::at(now.plus(Duration::from_secs(left)));
            Patience::new(Action::Reset, now, deadline)
        };
        for (retry, left, late) in [
            (Retry::UntilDeadline, 0, true),
            (Retry::Soon, 0, true),
            // The port is closed, and there would be time.
            (Retry::Soon, 30, false),
            (Retry::Never, 0, false),
        ] {
            let error = Error::new(Kind::Unreachable, "no").retry(retry);
            assert_eq!(patience(left).given_up(error).late, late, "{retry:?} {left}");
        }
    }
}
