//! How long the audit waits for disks that do not answer: each time a little, and not for ever.

use std::cell::Cell;
use std::time::Duration;
use xen_fence_broker::bounded;

/// A disk that hangs holds the audit up no longer, each time.
const LIMIT: Duration = Duration::from_secs(2);
/// Where so many did not answer, no other is asked: what hangs is most likely the same for all.
const MOST: u32 = 5;

/// What is left of the audit's patience.
#[derive(Default)]
pub(super) struct Patience {
    late: Cell<u32>,
}

impl Patience {
    /// Works for a moment at most.
    ///
    /// # Errors
    /// Words that say why there is no result, behind what was looked at.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        if self.late.get() >= MOST {
            return Err("was not looked at, since too much else did not answer".to_owned());
        }
        bounded::within(LIMIT, work).map_err(|late| {
            self.late.set(self.late.get().saturating_add(1));
            format!("did not answer {late}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn what_hangs_is_asked_a_few_times_and_then_nobody_is() {
        let patience = Patience { late: Cell::new(MOST - 1) };
        let hang = || std::thread::sleep(Duration::from_secs(60));
        assert_eq!(patience.ask(|| 7), Ok(7));
        assert_eq!(patience.ask(hang), Err("did not answer within 2 s".to_owned()));
        let begun = Instant::now();
        assert!(patience.ask(hang).unwrap_err().contains("was not looked at"));
        assert!(begun.elapsed() < LIMIT);
    }
}
