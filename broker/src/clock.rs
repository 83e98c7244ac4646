//! The boot clock, by which all logic goes, and the wall clock, which only records show.
//!
//! Wall clocks jump and two hosts share none; the boot clock runs on through a suspend, so a
//! deadline means the same to the broker as to the people who wait (clock_gettime(2)).

use nix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// A moment on this host's boot clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(Duration);

impl Moment {
    /// A moment this long after boot.
    #[must_use]
    pub const fn since_boot(duration: Duration) -> Self {
        Self(duration)
    }

    /// Milliseconds since boot, for records and state.
    #[must_use]
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// The moment this much later.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long after `earlier` this is; nothing if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// What the fencing core needs of time; the tests of the core bring their own.
pub trait Clock {
    /// The moment it is.
    fn now(&self) -> Moment;
    /// Lets time pass.
    fn sleep(&self, duration: Duration);

    /// How much is left until `deadline`.
    fn left_until(&self, deadline: Moment) -> Duration {
        deadline.since(self.now())
    }
}

/// The host's own clock.
#[derive(Clone, Copy, Debug)]
pub struct BootClock;

impl Clock for BootClock {
    fn now(&self) -> Moment {
        // CLOCK_BOOTTIME is in every kernel that runs as dom0; a kernel that denies it would leave
        // the broker at moment zero, where every deadline still ends by its own poll time-outs.
        let spec =
            clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap_or(nix::sys::time::TimeSpec::new(0, 0));
        Moment(Duration::from(spec))
    }

    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

/// Names the time between two boots of this host (proc_sys_kernel(5), random/boot_id).
#[must_use]
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// The wall clock's time in RFC 3339, UTC, to the millisecond, for people who read records.
#[must_use]
pub fn wall_time() -> String {
    let now = time::OffsetDateTime::now_utc();
    let rfc3339 = &time::format_description::well_known::Rfc3339;
    // The formatter drops zeros at the end; a column of times wants them.
    let seconds = now.replace_nanosecond(0).ok().and_then(|now| now.format(rfc3339).ok());
    seconds.map_or_else(
        || "unknown".to_owned(),
        |seconds| format!("{}.{:03}Z", seconds.trim_end_matches('Z'), now.millisecond()),
    )
}

/// The wall clock's time in seconds of Unix time: for what has to outlive a reboot.
#[must_use]
pub fn wall_seconds() -> i64 {
    time::OffsetDateTime::now_utc().unix_timestamp()
}

/// A time of the wall clock as people read it: RFC 3339, UTC, to the second.
#[must_use]
pub fn show_wall(seconds: i64) -> String {
    let rfc3339 = &time::format_description::well_known::Rfc3339;
    time::OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|time| time.format(rfc3339).ok())
        .unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_has_one_width() {
        let time = wall_time();
        assert_eq!(time.len(), "2026-11-21T09:54:16.880Z".len(), "{time}");
        assert!(time.ends_with('Z') && time.as_bytes()[19] == b'.', "{time}");
    }
}
