//! Time as the boot clock tells it: it counts the time that a guest spends suspended or saved, and
//! nobody can set it.
//!
//! A clock that cannot be read makes every deadline a passed one: the agent gives up, it never
//! kills late.

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A point on the boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(Duration);

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        Self(clock_gettime(ClockId::CLOCK_BOOTTIME).map_or(Duration::MAX, Duration::from))
    }

    /// So many milliseconds after the machine was started.
    #[cfg(test)]
    pub(crate) const fn of_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The time from an earlier moment to this one.
    pub(crate) const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// How long ago this was.
    pub(crate) fn elapsed(self) -> Duration {
        Self::now().0.saturating_sub(self.0)
    }

    /// Milliseconds since the machine was started.
    pub(crate) fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment so much later.
    #[must_use]
    pub(crate) const fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}

/// The moment by which everything has to have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline(Moment);

impl Deadline {
    /// The deadline at a moment.
    pub(crate) const fn at(moment: Moment) -> Self {
        Self(moment)
    }

    /// So much from now.
    pub(crate) fn after(span: Duration) -> Self {
        Self(Moment::now().plus(span))
    }

    /// The earlier of two.
    #[must_use]
    pub(crate) fn or_earlier(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// The moment.
    pub(crate) const fn moment(self) -> Moment {
        self.0
    }

    /// Whether it has passed at a moment.
    pub(crate) fn is_past(self, now: Moment) -> bool {
        now >= self.0
    }

    /// The time that is left; none once it has passed.
    pub(crate) fn left(self) -> Option<Duration> {
        let left = self.0.0.checked_sub(Moment::now().0)?;
        if left.is_zero() { None } else { Some(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_passes() {
        assert_eq!(Deadline::after(Duration::ZERO).left(), None);
        let deadline = Deadline::after(Duration::from_secs(60));
        assert!(deadline.left() > Some(Duration::from_secs(59)));
        let earlier = Deadline::after(Duration::from_secs(1));
        assert_eq!(deadline.or_earlier(earlier), earlier);
    }
}
