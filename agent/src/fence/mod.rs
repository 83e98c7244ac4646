//! reset and off by one dom0 or several: all reached side by side, asked in one order, told to go;
//! and all of it again, with the same id, while that can help.
//!
//! What is said when is [`xen_fence_protocol::Round`]'s business; this is what carries it.

mod leave;
mod member;
mod round;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub(crate) use member::Stands;
pub(crate) use words::stands;

use crate::ask::{Answer, Ask, still_unknown, with_history};
use crate::client::{Start, Success, Terms, Told};
use crate::clock::Deadline;
use crate::course::{Course, News, Relay, Watch};
use crate::endpoint::Endpoint;
use crate::error::{Error, Retry};
use crate::gather::{Missing, Party, Way, gather};
use crate::reach::Patience;
use crate::targets::Target;
use crate::transport::{BootClock, Pace, Side};
use crate::verdict::Verdict;
use member::Member;
use round::{Driver, End, culprit, has_refused, is_unheard};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::thread;
use xen_fence_protocol::{GO_BY, Outcome, Refusal, Why};

/// A fence by all of these dom0s. The answers are in the order in which they were asked; those of
/// dom0s that were not asked come last.
pub(crate) fn fence(
    mut targets: Vec<Target>,
    ask: &Ask<'_>,
    deadline: Deadline,
    watch: &mut dyn Watch,
) -> (Vec<Answer>, Verdict) {
    let patience = Patience::new(ask.request.action(), ask.begun, deadline);
    let several = targets.len() > 1;
    let (mut attempts, mut before, mut unknown) = (0_u32, None, None);
    // Those that need not answer, and did not.
    let mut left_out: Vec<Answer> = Vec::new();
    loop {
        attempts = attempts.saturating_add(1);
        let names: Vec<String> = targets.iter().map(Target::name).collect();
        let mut tell = |number: usize, news: News| {
            let name = names.get(number).filter(|_| several);
            named(news, name.map(String::as_str)).to(watch);
        };
        let gathered = gather(&mut targets, ask, deadline, &mut tell);
        if let Some((who, error)) = gathered.stops() {
            // The ways to it have been tried again and again already.
            let error = words::missing(
                error.retry(Retry::Never),
                who.filter(|_| several && unknown.is_none()),
            );
            let error = still_unknown(error, &unknown, ask);
            let unasked = gathered.parties.into_iter().map(|party| unasked(ask, party.way));
            let mut answers: Vec<Answer> = unasked.collect();
            answers.extend(gathered.missing.into_iter().map(|missing| absent(ask, missing)));
            answers.extend(left_out);
            return words::failed(ask.request, answers, with_history(error, attempts, before));
        }
        for missing in gathered.missing {
            leave_out(&mut targets, &missing.way.endpoint);
            left_out.push(absent(ask, missing));
        }
        let joined = gathered.parties.into_iter().map(|party| Joined::of(party, &targets));
        let (request, begun, kept) = (ask.request, ask.begun, ask.kept);
        let terms = Terms { request, begun, go_by: GO_BY, deadline, kept };
        let mut rounded = one_round(joined.collect(), &terms, several, &mut BootClock, watch);
        for answer in &mut rounded.answers {
            answer.attempts = answer.attempts.max(attempts);
        }
        let Some(error) = rounded.error else {
            rounded.answers.extend(left_out);
            return words::fenced(ask.request, rounded.answers);
        };
        if let Some(out) = &rounded.can_be_left_out
            && leave_out(&mut targets, out)
        {
            let out = rounded.answers.into_iter().filter(|one| one.endpoint == *out);
            left_out.extend(out.map(|mut one| {
                one.end = one.end.and(Err(error.clone()));
                one
            }));
            continue;
        }
        let error = still_unknown(error, &unknown, ask);
        let Some(pause) = patience.after(&error) else {
            rounded.answers.extend(left_out);
            let error = with_history(patience.given_up(error), attempts, before);
            return words::failed(ask.request, rounded.answers, error);
        };
        watch.retries(&error);
        if rounded.has_gone && unknown.is_none() {
            unknown = Some(error.clone());
        }
        before = Some(error);
        thread::sleep(pause);
    }
}

/// Leaves out a dom0 that need not answer; whether it was one.
fn leave_out(targets: &mut Vec<Target>, endpoint: &Endpoint) -> bool {
    let all = targets.len();
    targets.retain(|target| target.needed || target.ways().all(|way| way != endpoint));
    targets.len() < all
}

/// A dom0 in a round, and how it was reached.
struct Joined {
    way: Way,
    side: Box<dyn Side>,
    /// Whether the node can run there.
    home: bool,
}

impl Joined {
    fn of(party: Party, targets: &[Target]) -> Self {
        let is_it = |target: &&Target| target.ways().any(|way| *way == party.way.endpoint);
        let home = targets.iter().find(is_it).is_none_or(|target| target.needed);
        Self { way: party.way, side: Box::new(party.ssh.side()), home }
    }
}

/// What came of a round.
struct Rounded {
    answers: Vec<Answer>,
    /// Why it is no fence; none if it is.
    error: Option<Error>,
    has_gone: bool,
    /// The dom0 that stands against it, if it can do without: nobody was told to go.
    can_be_left_out: Option<Endpoint>,
}

fn one_round(
    joined: Vec<Joined>,
    terms: &Terms<'_>,
    several: bool,
    pace: &mut dyn Pace,
    watch: &mut dyn Watch,
) -> Rounded {
    let homes: Vec<bool> = joined.iter().map(|one| one.home).collect();
    let (mut ways, mut sides): (Vec<Way>, Vec<Box<dyn Side>>) =
        joined.into_iter().map(|one| (one.way, one.side)).unzip();
    let name = |way: &Way| several.then(|| way.endpoint.to_string());
    let names: Vec<Option<String>> = ways.iter().map(name).collect();
    let news: RefCell<VecDeque<News>> = RefCell::default();
    let post = |name: Option<String>| {
        let news = &news;
        move |one| news.borrow_mut().push_back(named(one, name.as_deref()))
    };
    let mut relays: Vec<_> = names.iter().map(|name| Relay(post(name.clone()))).collect();
    let mut tolds: Vec<Told> = ways.iter().map(|_| Told::default()).collect();
    let mut members: Vec<Member<'_>> = relays
        .iter_mut()
        .zip(&mut tolds)
        .zip(&mut sides)
        .zip(ways.iter().zip(&names))
        .map(|(((relay, told), side), (way, name))| {
            let mut course = Course::new(relay);
            course.take_over(way.phases.clone(), Vec::new());
            Member::new(name.clone(), &mut **side, terms, told, course)
        })
        .collect();
    let stays = watch.stays_for_start();
    let mut tell = || {
        while let Some(one) = { news.borrow_mut().pop_front() } {
            one.to(watch);
        }
    };
    let mut driver = Driver::new(&mut members, terms, pace, &mut tell);
    for (host, _) in homes.iter().enumerate().filter(|(_, home)| !**home) {
        driver.round.cannot_run_on(host);
    }
    let end = driver.hold();
    let (has_gone, starter) = (driver.round.has_gone(), driver.round.starter());
    let fenced = end == End::Over(Outcome::Fenced);
    let start = if fenced {
        terms.kept.borrow_mut().answered();
        driver.watch_start(stays)
    } else {
        Start::NotAsked
    };
    tell();
    let out = match end {
        End::Over(Outcome::Untouched(why)) => {
            culprit(why).filter(|host| can_do_without(why, members.get(*host)))
        }
        End::Again(awaited) => awaited,
        End::Over(Outcome::Fenced | Outcome::Unknown(_)) => None,
    };
    let error = match end {
        End::Over(Outcome::Fenced) => None,
        End::Again(awaited) => Some(words::again(awaited, &members)),
        End::Over(Outcome::Untouched(why)) => Some(words::untouched(why, &members)),
        End::Over(Outcome::Unknown(why)) => {
            settle(&members, terms);
            Some(words::unknown(why, &members))
        }
    };
    let ends: Vec<_> = members
        .into_iter()
        .enumerate()
        .map(|(host, member)| {
            let powers_on = starter.is_none_or(|starter| starter == host);
            let start = if powers_on { start.clone() } else { Start::NotAsked };
            let (stands, error) = (member.stands, member.error);
            let end = match (stands, error) {
                (Stands::Fenced(how) | Stands::Looked(how, _), _) if fenced => {
                    Ok(Success::Fenced { how, start })
                }
                (_, Some(error)) => Err(error),
                (_, None) => Ok(Success::Answered),
            };
            (stands, member.course.finish(), end)
        })
        .collect();
    let can_be_left_out = out.and_then(|host| ways.get(host)).map(|way| way.endpoint.clone());
    let answers = ways
        .drain(..)
        .zip(tolds)
        .zip(ends)
        .map(|((way, told), (stands, (phases, stuck_in), end))| Answer {
            request: terms.request.clone(),
            endpoint: way.endpoint,
            told,
            phases,
            stuck_in,
            attempts: way.attempts,
            stands: Some(stands),
            end,
        })
        .collect();
    Rounded { answers, error, has_gone, can_be_left_out }
}

/// What is known of a `go` that came to no proof.
fn settle(members: &[Member<'_>], terms: &Terms<'_>) {
    if is_unheard(members) {
        return;
    }
    // Whoever was not told to go has had nothing done either.
    let refused = |member: &Member<'_>| match member.stands {
        Stands::Against => has_refused(member),
        Stands::Unasked | Stands::Asked | Stands::Ready => true,
        Stands::Gone | Stands::Fenced(_) | Stands::Looked(..) | Stands::Lost => false,
    };
    let mut kept = terms.kept.borrow_mut();
    if members.iter().all(refused) {
        kept.not_gone();
    } else {
        kept.answered();
    }
}

/// Whether a dom0 that the node cannot run on may be left out for this. One that keeps the lock for
/// another, or says that the asker is dying or the node held, has to be heard.
fn can_do_without(why: Why, member: Option<&Member<'_>>) -> bool {
    let reason = member.and_then(|member| member.error.as_ref()).and_then(|error| error.reason);
    let binding = [
        Refusal::AskerDying,
        Refusal::Held,
        Refusal::Busy,
        Refusal::Early,
        Refusal::LateGo,
        Refusal::NoGo,
    ];
    match why {
        Why::Said(_) => !binding.iter().any(|refusal| reason == Some(refusal.word())),
        Why::Lost(_) => true,
        Why::OutOfPlace(_) | Why::Held(_) | Why::Shell(_) | Why::SeenAgain(_) | Why::TooLate => {
            false
        }
    }
}

/// News of one of several dom0s.
fn named(news: News, name: Option<&str>) -> News {
    match (news, name) {
        (News::Ended(phase, took, detail), Some(name)) => {
            News::Ended(phase, took, format!("{name}  {detail}"))
        }
        (News::Details(text), Some(name)) => News::Details(format!("{name}: {text}")),
        (news, _) => news,
    }
}

/// The answer of a dom0 that was there and was not asked.
fn unasked(ask: &Ask<'_>, way: Way) -> Answer {
    Answer {
        request: ask.request.clone(),
        endpoint: way.endpoint,
        told: Told::default(),
        phases: way.phases,
        stuck_in: None,
        attempts: way.attempts,
        stands: Some(Stands::Unasked),
        end: Ok(Success::Answered),
    }
}

/// The answer of a dom0 that was not there.
fn absent(ask: &Ask<'_>, missing: Missing) -> Answer {
    let Missing { way, error, .. } = missing;
    let stuck_in = way.stuck_in;
    Answer { stuck_in, end: Err(error), ..unasked(ask, way) }
}
