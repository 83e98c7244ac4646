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
    /// Whether it stays for the power-on of a reset. Who does not is told that the node is fenced as
    /// soon as that is proven, and dom0 goes on.
    fn stays_for_start(&self) -> bool {
        true
    }
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
            self.phases.push(phase, took, detail);
            self.watch.ended(phase, took, detail);
        }
    }

    /// Makes phases that ended elsewhere its own.
    pub(crate) fn take_over(&mut self, phases: Phases, news: Vec<News>) {
        self.current = None;
        for (phase, took, detail) in phases.in_full() {
            self.phases.push(phase, took, detail);
        }
        for one in news {
            one.to(self.watch);
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

/// Something that one who watches is told, to be passed on from one thread to another.
#[derive(Debug)]
pub(crate) enum News {
    Begins(Phase),
    Ended(Phase, Duration, String),
    Retries(Error),
    Warns(String),
    Tells(String),
    Details(String),
}

impl News {
    /// Tells it to somebody else.
    pub(crate) fn to(self, watch: &mut dyn Watch) {
        match self {
            Self::Begins(phase) => watch.begins(phase),
            Self::Ended(phase, took, detail) => watch.ended(phase, took, &detail),
            Self::Retries(error) => watch.retries(&error),
            Self::Warns(text) => watch.warns(&text),
            Self::Tells(text) => watch.tells(&text),
            Self::Details(text) => watch.details(&text),
        }
    }
}

/// Watches and passes on what it is told, without judging it.
pub(crate) struct Relay<F>(pub(crate) F);

impl<F: FnMut(News)> Watch for Relay<F> {
    fn begins(&mut self, phase: Phase) {
        self.0(News::Begins(phase));
    }

    fn ended(&mut self, phase: Phase, took: Duration, detail: &str) {
        self.0(News::Ended(phase, took, detail.to_owned()));
    }

    fn retries(&mut self, error: &Error) {
        self.0(News::Retries(error.clone()));
    }

    fn warns(&mut self, text: &str) {
        self.0(News::Warns(text.to_owned()));
    }

    fn tells(&mut self, text: &str) {
        self.0(News::Tells(text.to_owned()));
    }

    fn details(&mut self, text: &str) {
        self.0(News::Details(text.to_owned()));
    }
}
