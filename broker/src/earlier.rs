//! What an earlier fence means for a request: promises 4 and 5, as rules without a host.

use crate::clock::Moment;
use crate::state::{Fence, Phase};
use xen_fence_protocol::{Action, RESET_IS_NEW, RequestId};

/// What the last fence of a node means for a request to fence it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// Nothing: kill it.
    KillAnew,
    /// It already is what is asked for.
    IsIt,
    /// It was what is asked for, and the node was powered on since.
    WasIt,
}

/// What is known when a fence is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The request's id.
    pub id: RequestId,
    /// reset or off.
    pub action: Action,
    /// When the request had been read.
    pub at: Moment,
    /// Whether the node's domain lives, or may.
    pub lives: bool,
    /// Whether an xl runs that may make it live. None did when its last fence was proven.
    pub comes: bool,
    /// Whether a power-on of the node is planned or under way, whoever asked for it.
    pub starting: bool,
    /// Whether that of its last fence is.
    pub comes_up: bool,
    /// Whether a power-on by this request or by the last fence's has begun, be its broker dead or not.
    pub cut_short: bool,
    /// Whether who asks has been answered with the last fence already, be it to another request.
    pub answered: bool,
    /// The moment it is.
    pub now: Moment,
}

/// What the last fence of the node means for this request.
///
/// A retry reads the first attempt's outcome. So does a reset that was read while the death was
/// being proven, while the node was powered on after it, or within [`RESET_IS_NEW`] of that:
/// several nodes that miss the same peer want one kill. Not so for who has been answered with that
/// fence: it may have met what was powered on since and have lost it again, and the old answer would
/// call dead what lives. An off ends in off, and so asks for a proof of its own, which costs nothing
/// if the node is off. A node that lives although nobody powered it on is no outcome of a reset.
#[must_use]
pub fn earlier(asked: &Asked, last: Option<&Fence>) -> Earlier {
    let Some(last) = last else { return Earlier::KillAnew };
    let superseded = last.comes_after_that_of(asked.id);
    let is_there = asked.lives || asked.comes || asked.starting;
    if last.phase != Phase::Fenced {
        // Another request has tried since, in vain. What lives may be what came after this one's kill.
        return if superseded && is_there { Earlier::WasIt } else { Earlier::KillAnew };
    }
    let retried = last.is_of(asked.id) || superseded;
    let proven_since = last.at_ms >= asked.at.millis();
    let is_new = |started: u64| {
        let age = asked.now.millis().saturating_sub(started);
        u128::from(age) <= RESET_IS_NEW.as_millis() && asked.lives
    };
    // Who has had its answer may have met what was powered on since, and mean that.
    let may_mean = asked.answered && last.begun_ms.is_none_or(|at| at < asked.at.millis());
    let comes_up = asked.comes_up && !(asked.lives && may_mean);
    let has_come = last.started_ms.is_some_and(is_new) && !may_mean;
    let starts = last.restarts && (comes_up || has_come);
    // It lives, and nothing is known of a power-on after that fence: it has come from another host,
    // where it may never have died.
    let by_itself = asked.starting || (retried && asked.cut_short);
    let astray = asked.lives && !by_itself && last.started_ms.is_none();
    match asked.action {
        Action::Reset if retried && astray => Earlier::WasIt,
        Action::Reset if (retried || proven_since || starts) && !astray => Earlier::IsIt,
        Action::Off if retried && is_there => Earlier::WasIt,
        Action::Reset
        | Action::Off
        | Action::On
        | Action::Status
        | Action::List
        | Action::Monitor
        | Action::Check => Earlier::KillAnew,
    }
}

/// Why the node that asks counts as dead, if it does: `last` is its own last fence, `killer_lives`
/// says whether the broker of that fence still runs, `accepted` is when its connection was.
#[must_use]
pub fn asker_is_dead(
    last: Option<&Fence>,
    killer_lives: bool,
    accepted: Moment,
) -> Option<&'static str> {
    let last = last?;
    match last.phase {
        Phase::Killing if killer_lives => Some("it is being killed"),
        Phase::Fenced if last.at_ms >= accepted.millis() => {
            Some("it was fenced after it had asked")
        }
        Phase::Killing | Phase::Fenced | Phase::Failed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ID: RequestId = RequestId::from_bits(7);

    fn at(millis: u64) -> Moment {
        Moment::since_boot(Duration::from_millis(millis))
    }

    fn fence(phase: Phase) -> Fence {
        let of = crate::state::tests::fence(&RequestId::from_bits(6).to_string());
        Fence { phase, at_ms: 50_000, ..of }
    }

    fn reset() -> Asked {
        let (at, now) = (at(60_000), at(60_100));
        Asked {
            id: ID,
            action: Action::Reset,
            at,
            lives: true,
            comes: false,
            starting: false,
            comes_up: false,
            cut_short: false,
            answered: false,
            now,
        }
    }

    #[test]
    fn only_a_proven_fence_stands_for_another_one() {
        assert_eq!(earlier(&reset(), None), Earlier::KillAnew);
        for phase in [Phase::Killing, Phase::Failed] {
            let same = Fence { request: ID.to_string(), ..fence(phase) };
            assert_eq!(earlier(&reset(), Some(&same)), Earlier::KillAnew);
        }
        assert_eq!(earlier(&reset(), Some(&fence(Phase::Fenced))), Earlier::KillAnew);
    }

    #[test]
    fn a_retry_reads_the_outcome_and_never_kills_what_was_powered_on() {
        let joined = Fence { joined: vec![ID.to_string()], ..fence(Phase::Fenced) };
        let joined = Fence { started_ms: Some(1), ..joined };
        assert_eq!(
            earlier(&reset(), Some(&joined)),
            Earlier::IsIt,
            "it was answered with that one"
        );
        let same = Fence { request: ID.to_string(), restarts: false, ..fence(Phase::Fenced) };
        let off_yet = Asked { lives: false, ..reset() };
        assert_eq!(earlier(&off_yet, Some(&same)), Earlier::IsIt);
        let started = Fence { started_ms: Some(50_100), ..same.clone() };
        let much_later = Asked { now: at(100_000), ..reset() };
        assert_eq!(earlier(&much_later, Some(&started)), Earlier::IsIt);
        let starting = Asked { starting: true, ..reset() };
        assert_eq!(earlier(&starting, Some(&same)), Earlier::IsIt);
        let cut_short = Asked { cut_short: true, ..reset() };
        assert_eq!(
            earlier(&cut_short, Some(&same)),
            Earlier::IsIt,
            "its broker died while it began"
        );
        assert_eq!(earlier(&cut_short, Some(&fence(Phase::Fenced))), Earlier::KillAnew);
        let off = Asked { action: Action::Off, cut_short: true, ..reset() };
        assert_eq!(earlier(&off, Some(&same)), Earlier::WasIt);
        let gone = Asked { lives: false, ..off };
        assert_eq!(earlier(&gone, Some(&same)), Earlier::KillAnew, "a fresh proof");
        // Whoever waited for that xl would kill what it makes.
        let comes = Asked { comes: true, ..gone };
        assert_eq!(earlier(&comes, Some(&same)), Earlier::WasIt);
        let starting = Asked { starting: true, ..gone };
        assert_eq!(earlier(&starting, Some(&same)), Earlier::WasIt);
        let another = Asked { id: RequestId::from_bits(8), ..comes };
        assert_eq!(earlier(&another, Some(&same)), Earlier::KillAnew);
    }

    #[test]
    fn a_retry_kills_nothing_after_anothers_fence_either() {
        let before = vec![ID.to_string()];
        let since = |phase| Fence { before: before.clone(), ..fence(phase) };
        let off = Asked { action: Action::Off, ..reset() };
        for phase in [Phase::Killing, Phase::Failed] {
            assert_eq!(earlier(&reset(), Some(&since(phase))), Earlier::WasIt);
            assert_eq!(earlier(&off, Some(&since(phase))), Earlier::WasIt);
            let gone = Asked { lives: false, ..reset() };
            assert_eq!(earlier(&gone, Some(&since(phase))), Earlier::KillAnew, "a fresh proof");
            for there in [Asked { comes: true, ..gone }, Asked { starting: true, ..gone }] {
                assert_eq!(earlier(&there, Some(&since(phase))), Earlier::WasIt);
            }
        }
        let started = Fence { started_ms: Some(50_100), ..since(Phase::Fenced) };
        let much_later = Asked { now: at(100_000), ..reset() };
        assert_eq!(earlier(&much_later, Some(&started)), Earlier::IsIt, "it died once more since");
        assert_eq!(earlier(&off, Some(&started)), Earlier::WasIt);
        let another = Asked { id: RequestId::from_bits(8), ..much_later };
        assert_eq!(earlier(&another, Some(&started)), Earlier::KillAnew);
    }

    #[test]
    fn a_node_that_came_from_elsewhere_is_no_outcome_of_a_reset() {
        let same = Fence { request: ID.to_string(), ..fence(Phase::Fenced) };
        assert_eq!(earlier(&reset(), Some(&same)), Earlier::WasIt, "its own, so not killed twice");
        let waited = Asked { at: at(50_000), ..reset() };
        assert_eq!(earlier(&waited, Some(&fence(Phase::Fenced))), Earlier::KillAnew);
    }

    #[test]
    fn a_reset_that_was_read_before_the_proof_is_satisfied_by_it() {
        let waited = Asked { at: at(50_000), lives: false, ..reset() };
        assert_eq!(earlier(&waited, Some(&fence(Phase::Fenced))), Earlier::IsIt);
        let off = Asked { action: Action::Off, ..waited };
        assert_eq!(earlier(&off, Some(&fence(Phase::Fenced))), Earlier::KillAnew);
    }

    #[test]
    fn another_reset_is_satisfied_while_the_node_comes_up_and_ten_seconds_after() {
        let starting = Asked { starting: true, comes_up: true, lives: false, ..reset() };
        assert_eq!(earlier(&starting, Some(&fence(Phase::Fenced))), Earlier::IsIt);
        // An `on` of somebody else's is not that fence's power-on.
        for lives in [false, true] {
            let another = Asked { comes_up: false, lives, ..starting };
            assert_eq!(earlier(&another, Some(&fence(Phase::Fenced))), Earlier::KillAnew);
        }
        let at_50_100 = Fence { started_ms: Some(50_100), ..fence(Phase::Fenced) };
        assert_eq!(earlier(&reset(), Some(&at_50_100)), Earlier::IsIt, "just ten seconds");
        let later = Asked { now: at(60_101), ..reset() };
        assert_eq!(earlier(&later, Some(&at_50_100)), Earlier::KillAnew);
        let died_again = Asked { lives: false, ..reset() };
        assert_eq!(earlier(&died_again, Some(&at_50_100)), Earlier::KillAnew);
        // What an off left, and somebody powered on, is nobody's reset.
        let off = Fence { restarts: false, ..at_50_100 };
        assert_eq!(earlier(&reset(), Some(&off)), Earlier::KillAnew);
        assert_eq!(earlier(&starting, Some(&off)), Earlier::KillAnew);
    }

    #[test]
    fn who_was_answered_with_a_reset_and_asks_again_wants_another() {
        let last = Fence { started_ms: Some(50_100), ..fence(Phase::Fenced) };
        let answered = Asked { answered: true, ..reset() };
        assert_eq!(earlier(&answered, Some(&last)), Earlier::KillAnew);
        let starting = Asked { starting: true, comes_up: true, ..answered };
        assert_eq!(earlier(&starting, Some(&fence(Phase::Fenced))), Earlier::KillAnew);
        // Not while nothing has been born since, or was when it asked.
        let unborn = Asked { lives: false, ..starting };
        assert_eq!(earlier(&unborn, Some(&fence(Phase::Fenced))), Earlier::IsIt);
        let begun = |at| Fence { begun_ms: Some(at), ..last.clone() };
        let born_since = Asked { at: at(50_100), ..answered };
        assert_eq!(earlier(&born_since, Some(&begun(50_100))), Earlier::IsIt);
        // It may have run, and met who asks, long before its start was put down.
        assert_eq!(earlier(&born_since, Some(&begun(50_099))), Earlier::KillAnew);
        assert_eq!(earlier(&born_since, Some(&last)), Earlier::KillAnew, "nobody knows");
        // Nor its own retry, nor what was read before that death was proven.
        let same = Fence { request: ID.to_string(), ..last.clone() };
        assert_eq!(earlier(&answered, Some(&same)), Earlier::IsIt);
        let waited = Asked { at: at(50_000), ..answered };
        assert_eq!(earlier(&waited, Some(&last)), Earlier::IsIt);
    }

    #[test]
    fn a_dead_asker_shoots_nobody() {
        let dead = |phase, killer, accepted| {
            asker_is_dead(Some(&fence(phase)), killer, at(accepted)).is_some()
        };
        assert!(asker_is_dead(None, true, at(0)).is_none());
        assert!(dead(Phase::Killing, true, 60_000));
        assert!(!dead(Phase::Killing, false, 60_000), "its killer died half-way");
        assert!(dead(Phase::Fenced, false, 50_000));
        assert!(!dead(Phase::Fenced, false, 50_001), "it has booted since");
        assert!(!dead(Phase::Failed, true, 0));
    }
}
