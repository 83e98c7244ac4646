//! How an attempt goes: its phases as they begin and end, told to whoever watches.

use crate::clock::Moment;
use crate::error::Error;
use crate::phase::{Phase, Phases};
use std::time::Duration;

/// Somebody who watches.
pub(crate) trait Watch {
    /// A phase begins.
    fn begins(&mut self, phase: Phase);
    /// A phase has ended well.
    fn ended(&mut self, phase: Phase, took: Duration, detail: &str);
    /// An attempt failed and another follows.
    fn retries(&mut self, error: &Error);
    /// Something that a person should know.
    fn warns(&mut self, text: &str);
    /// What dom0 is at meanwhile.
    fn tells(&mut self, text: &str);
    /// Something that only the curious want to know.
    fn details(&mut self, text: &str);
}

/// The phases of one attempt.
pub(crate) struct Course<'a> {
    watch: &'a mut dyn Watch,
    phases: Phases,
    current: Option<(Phase, Moment)>,
}

impl<'a> Course<'a> {
    /// A course before its first phase.
    pub(crate) fn new(watch: &'a mut dyn Watch) -> Self {
        Self { watch, phases: Phases::default(), current: None }
    }

    /// Begins a phase.
    pub(crate) fn begin(&mut self, phase: Phase) {
        self.current = Some((phase, Moment::now()));
        self.watch.begins(phase);
    }

    /// Ends the phase that has begun.
    pub(crate) fn end(&mut self, detail: &str) {
        if let Some((phase, begun)) = self.current.take() {
            let took = begun.elapsed();
            self.phases.push(phase, took);
            self.watch.ended(phase, took, detail);
        }
    }

    /// Passes on a warning.
    pub(crate) fn warn(&mut self, text: &str) {
        self.watch.warns(text);
    }

    /// Passes on what dom0 is at.
    pub(crate) fn tell(&mut self, text: &str) {
        self.watch.tells(text);
    }

    /// Passes on a detail.
    pub(crate) fn detail(&mut self, text: &str) {
        self.watch.details(text);
    }

    /// The phases that ended, and the one that did not.
    pub(crate) fn finish(self) -> (Phases, Option<Phase>) {
        (self.phases, self.current.map(|(phase, _)| phase))
    }
}
