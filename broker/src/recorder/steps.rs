//! What a broker did for one request, step by step: how long each took, and what was seen in it.

use crate::clock::{BootClock, Clock, Moment};
use crate::journal::{LONGEST_LINE, Step};
use xen_fence_protocol::Text;

/// So many steps are told of. A fence that goes well has nine; one that kills again and again has more.
const MOST: usize = 24;
/// So much is told of one.
const EVIDENCE: usize = 300;
// A line has room for them, and for as much again.
const _: () = assert!(MOST * (2 * EVIDENCE + 128) < LONGEST_LINE / 2);

/// The steps so far.
#[derive(Debug)]
pub(super) struct Steps {
    /// When the last one ended.
    last: Moment,
    list: Vec<Step>,
}

impl Steps {
    pub(super) const fn begun(now: Moment) -> Self {
        Self { last: now, list: Vec::new() }
    }

    /// Notes that a step has ended, and what was seen in it. Where there are too many, the one before it is
    /// left out, and its time is this one's: how it ended says more.
    pub(super) fn passed(&mut self, step: &str, evidence: &str) {
        let now = BootClock.now();
        let micros = now.since(std::mem::replace(&mut self.last, now)).as_micros();
        let left_out = if self.list.len() >= MOST { self.list.pop() } else { None };
        let before = left_out.map_or(0, |step| step.us);
        self.list.push(Step {
            step: step.to_owned(),
            us: u64::try_from(micros).unwrap_or(u64::MAX).saturating_add(before),
            evidence: (!evidence.is_empty()).then(|| shortened(evidence)),
        });
    }

    pub(super) fn so_far(&self) -> Vec<Step> {
        self.list.clone()
    }
}

fn shortened(text: &str) -> String {
    let text = Text::escaped(text);
    // It is ASCII, so every byte is a character's end.
    match text.as_str().get(..EVIDENCE) {
        Some(cut) if text.as_str().len() > EVIDENCE => format!("{cut} [cut]"),
        _ => text.as_str().to_owned(),
    }
}
