//! All dom0s of a fence, reached side by side up to the login: each in a thread of its own, with
//! retries of its own, and one that turns out to be another's second address is dropped.
//!
//! Nothing has been asked of anybody when this is over. The order of what comes out is that of the
//! host keys' fingerprints, which is the same for every agent.

mod standing;

use crate::ask::{Ask, with_history};
use crate::clock::Deadline;
use crate::course::{Course, News, Relay};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::phase::{Phase, Phases};
use crate::reach::{Means, Patience, Reached, reach};
use crate::secure_file::reason;
use crate::targets::Target;
use crate::transport::ssh::Ssh;
use standing::{Standing, Wait};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a dom0 that need not answer is waited for.
const NEED_NOT: Duration = Duration::from_secs(2);

/// What a thread that ends with its time needs to say so.
const SLACK: Duration = Duration::from_millis(300);

/// How far one dom0 has come.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// The way that led there, or was tried.
    pub(crate) endpoint: Endpoint,
    /// The phases of the last attempt that ended.
    pub(crate) phases: Phases,
    /// The phase that did not.
    pub(crate) stuck_in: Option<Phase>,
    /// How many attempts it took.
    pub(crate) attempts: u32,
}

/// A dom0 that is logged in to.
pub(crate) struct Party {
    /// How it was reached.
    pub(crate) way: Way,
    /// The connection.
    pub(crate) ssh: Ssh,
    /// The fingerprint of its host key.
    pub(crate) fingerprint: String,
}

/// A dom0 that is not.
#[derive(Debug)]
pub(crate) struct Missing {
    /// How far it was.
    pub(crate) way: Way,
    /// Why.
    pub(crate) error: Error,
    /// Whether nothing succeeds without it.
    pub(crate) needed: bool,
}

/// Who is there, and who is not.
pub(crate) struct Gathered {
    /// In the order of their fingerprints.
    pub(crate) parties: Vec<Party>,
    /// Those that failed; where one of them is needed, nobody is to be asked.
    pub(crate) missing: Vec<Missing>,
}

impl Gathered {
    /// Why nobody is to be asked, and who is missing; none if all are there that are needed.
    pub(crate) fn stops(&self) -> Option<(Option<Endpoint>, Error)> {
        let mut needed = self.missing.iter().filter(|missing| missing.needed);
        let first = needed.next().map(|one| (Some(one.way.endpoint.clone()), one.error.clone()));
        let nobody = || (None, Error::new(Kind::Unreachable, "no dom0 is there to be asked"));
        first.or_else(|| self.parties.is_empty().then(nobody))
    }
}

/// What a thread has to say.
enum Event {
    News(News),
    /// It has proven who it is; whether to go on is asked for.
    Met(String, Sender<bool>),
    In(Box<Party>),
    Failed(Box<Missing>),
}

/// Reaches all targets. `tell` hears what goes on, with the number of the target.
///
/// Targets that turn out to be one dom0 are one from then on: in what comes out, and in `targets`.
pub(crate) fn gather(
    targets: &mut Vec<Target>,
    ask: &Ask<'_>,
    deadline: Deadline,
    tell: &mut dyn FnMut(usize, News),
) -> Gathered {
    let shared: Vec<Arc<Mutex<Target>>> =
        targets.iter().cloned().map(|target| Arc::new(Mutex::new(target))).collect();
    let (events, heard) = mpsc::channel();
    let patience = Patience::new(ask.request.action(), ask.begun, deadline);
    let needed: Vec<bool> = targets.iter().map(|target| target.needed).collect();
    let mut standing = Standing::new(&needed);
    let (mut parties, mut missing) = (Vec::new(), Vec::new());
    for (number, target) in shared.iter().enumerate() {
        let one = Worker {
            number,
            target: Arc::clone(target),
            means: Arc::clone(ask.means),
            patience,
            deadline,
            events: events.clone(),
        };
        let started = thread::Builder::new().name("gather".to_owned()).spawn(move || one.work());
        if let (Err(error), Some(target)) = (started, targets.get(number)) {
            standing.failed(number);
            let why = format!("no thread could be started: {}", reason(&error));
            missing.push(Missing::before(target, Error::new(Kind::Unreachable, why)));
        }
    }
    drop(events);
    let need_not = Deadline::after(NEED_NOT);
    while let Some(patience) = standing.patience() {
        let until = match patience {
            Wait::Deadline => deadline.left().map(|left| left.saturating_add(SLACK)),
            Wait::NeedNot => need_not.or_earlier(deadline).left(),
        };
        let Some((number, event)) = until.and_then(|until| heard.recv_timeout(until).ok()) else {
            break;
        };
        match event {
            Event::News(news) => tell(number, news),
            Event::Met(fingerprint, go_on) => {
                let same_as = standing.met(number, fingerprint);
                if let (Some(owner), Some(other)) = (same_as, targets.get(number)) {
                    if let Some(owner) = shared.get(owner) {
                        let mut owner = owner.lock().unwrap_or_else(PoisonError::into_inner);
                        owner.others.extend(other.ways().cloned());
                        owner.needed |= other.needed;
                    }
                    let text = "its host key is that of another way: one dom0".to_owned();
                    tell(number, News::Details(text));
                }
                // A thread that has gone meanwhile said why.
                let _ = go_on.send(same_as.is_none());
            }
            Event::In(party) => {
                standing.is_in(number);
                parties.push(*party);
            }
            Event::Failed(mut one) => {
                // It may have become needed in another's place without having heard of it.
                one.needed |= standing.is_needed(number);
                standing.failed(number);
                missing.push(*one);
            }
        }
    }
    let stopped = standing.patience().is_none();
    for (number, target) in targets.iter().enumerate() {
        if standing.is_on_the_way(number) {
            let mut one = Missing::before(target, not_in_time(target));
            if stopped {
                // Another is missing for good.
                one.error = Error::new(Kind::Unreachable, "it was not waited for any more");
                one.needed = false;
            }
            missing.push(one);
        }
    }
    let kept = |number: usize| !standing.is_same(number);
    let targets_now = shared.iter().enumerate().filter(|(number, _)| kept(*number));
    let lock =
        |target: &Arc<Mutex<Target>>| target.lock().unwrap_or_else(PoisonError::into_inner).clone();
    *targets = targets_now.map(|(_, target)| lock(target)).collect();
    parties.sort_by(|one, other| one.fingerprint.cmp(&other.fingerprint));
    Gathered { parties, missing }
}

fn not_in_time(target: &Target) -> Error {
    Error::new(
        Kind::TimedOut,
        format!("{} could not be logged in to in time; nothing was touched", target.name()),
    )
    .hint("`xen-fence -v check` shows where the time goes")
}

impl Missing {
    /// A dom0 that has not come as far as to say anything.
    fn before(target: &Target, error: Error) -> Self {
        let way = Way {
            endpoint: target.first.clone(),
            phases: Phases::default(),
            stuck_in: None,
            attempts: 1,
        };
        Self { way, error, needed: target.needed }
    }
}

/// One thread.
struct Worker {
    number: usize,
    target: Arc<Mutex<Target>>,
    means: Arc<Means>,
    patience: Patience,
    deadline: Deadline,
    events: Sender<(usize, Event)>,
}

impl Worker {
    /// Tries until it is in, or is not wanted, or cannot be.
    fn work(self) {
        let (mut attempts, mut before) = (0_u32, None);
        loop {
            attempts = attempts.saturating_add(1);
            let target = self.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut endpoint = target.first.clone();
            let mut relay = Relay(|news| self.say(Event::News(news)));
            let mut course = Course::new(&mut relay);
            let end = self.attempt(&target, &mut endpoint, &mut course);
            let (phases, stuck_in) = course.finish();
            let way = Way { endpoint, phases, stuck_in, attempts };
            let error = match end {
                Ok(None) => return,
                Ok(Some((ssh, fingerprint))) => {
                    return self.say(Event::In(Box::new(Party { way, ssh, fingerprint })));
                }
                Err(error) => error,
            };
            let Some(pause) = self.patience.after(&error) else {
                let error = with_history(self.patience.given_up(error), attempts, before);
                let needed = self.target.lock().unwrap_or_else(PoisonError::into_inner).needed;
                return self.say(Event::Failed(Box::new(Missing { way, error, needed })));
            };
            self.say(Event::News(News::Retries(error.clone())));
            before = Some(error);
            thread::sleep(pause);
        }
    }

    /// None if this is another's second address.
    fn attempt(
        &self,
        target: &Target,
        endpoint: &mut Endpoint,
        course: &mut Course<'_>,
    ) -> Result<Option<(Ssh, String)>, Error> {
        let Reached { mut ssh, endpoint: way, fingerprint } =
            reach(target, &self.means, self.deadline, course)?;
        endpoint.clone_from(&way);
        let (say, hear) = mpsc::channel();
        self.say(Event::Met(fingerprint.clone(), say));
        // Nobody answers when nobody waits for this dom0 any more.
        if !hear.recv().unwrap_or(false) {
            return Ok(None);
        }
        course.begin(Phase::Login);
        ssh.login(&way.account, &self.means.identity, self.deadline)?;
        course.end(&format!("{} with {}", way.account, self.means.identity.name()));
        Ok(Some((ssh, fingerprint)))
    }

    fn say(&self, event: Event) {
        // Nobody listens any more when another has failed.
        let _ = self.events.send((self.number, event));
    }
}
