//! What one caller asks for and is told over and over is counted, not stored: promise 7 against
//! promise 8. A tenant can neither fill the disk nor syslog.
//!
//! Counters are on tmpfs. Where they cannot be kept, everything is stored. Kills, power-ons and
//! their ends never come here.

use crate::clock::{BootClock, Clock, Moment};
use crate::journal::Event;
use crate::lock::Lock;
use crate::whole_file;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{STORED_PER_CALLER, STORED_PER_WINDOW, WINDOW, WINDOW_AT_MOST};

/// How long a broker waits for another to count; each takes a moment.
const PATIENCE: Duration = Duration::from_millis(100);
/// So many kinds are told apart. A caller that came by another way than its key line can give
/// itself any name, so the rest shares one counter for each event.
const KINDS: usize = 64;
/// What the rest is called.
const OTHERS: &str = "others";

/// What makes two records the same but for their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// What it is about.
    pub event: Event,
    /// Who asked; none before that is known.
    pub caller: Option<String>,
    /// What was asked.
    pub action: Option<String>,
    /// The word for programs.
    pub result: String,
}

/// How many of a kind were counted and not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct More {
    /// Of what.
    pub kind: Kind,
    /// How many.
    pub count: u64,
    /// The wall clock's time of the first and of the last.
    pub between: (String, String),
}

/// What is to be written down.
#[derive(Debug, PartialEq, Eq)]
pub struct Passed {
    /// Whether this one is stored.
    pub stored: bool,
    /// What was counted in windows that have ended.
    pub ended: Vec<More>,
}

/// The counters of one cluster.
#[derive(Clone, Debug)]
pub struct Flood {
    path: PathBuf,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Saved {
    boot: String,
    counters: Vec<Counter>,
    #[serde(default)]
    callers: Vec<Caller>,
}

/// What is stored of one caller, whatever kind it is: paced, many kinds would be a flood as well.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Caller {
    name: String,
    opened_ms: u64,
    stored: u32,
}

/// One kind's window.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Counter {
    kind: Kind,
    opened_ms: u64,
    lasts_ms: u64,
    stored: u32,
    more: u64,
    first: String,
    last: String,
}

impl Flood {
    /// The counters in this file.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Counts one of this kind, or only looks at which windows have ended.
    #[must_use]
    pub fn pass(&self, kind: Option<Kind>, boot: &str, now: Moment, time: &str) -> Passed {
        let guard = Lock::take(
            &self.path.with_extension("flood-lock"),
            &BootClock,
            BootClock.now().after(PATIENCE),
            || false,
        );
        let Ok(Some(_guard)) = guard else {
            return Passed { stored: true, ended: Vec::new() };
        };
        let mut saved = read(&self.path);
        if kind.is_none() && saved.counters.is_empty() {
            return Passed { stored: true, ended: Vec::new() };
        }
        let passed = saved.pass(kind, boot, now.millis(), time);
        if save(&self.path, &saved).is_err() {
            // Counters that do not stay would be told again and again.
            return Passed { stored: true, ended: Vec::new() };
        }
        passed
    }

    /// What is counted at this moment and in no journal yet.
    #[must_use]
    pub fn pending(&self) -> Vec<More> {
        read(&self.path).counters.iter().filter_map(Counter::more).collect()
    }
}

impl Saved {
    fn pass(&mut self, kind: Option<Kind>, boot: &str, now: u64, time: &str) -> Passed {
        let mut ended = Vec::new();
        let same_boot = self.boot == boot;
        boot.clone_into(&mut self.boot);
        self.counters.retain_mut(|counter| {
            if same_boot && now.saturating_sub(counter.opened_ms) < counter.lasts_ms {
                return true;
            }
            let Some(more) = counter.more() else { return false };
            ended.push(more);
            // Who goes on like that is given fewer lines the longer it lasts.
            let lasts_ms = counter.lasts_ms.saturating_mul(2).min(millis(WINDOW_AT_MOST));
            *counter = Counter { lasts_ms, ..Counter::new(counter.kind.clone(), now) };
            true
        });
        self.callers.retain(|caller| {
            same_boot && now.saturating_sub(caller.opened_ms) < millis(WINDOW_AT_MOST)
        });
        let stored = kind.is_none_or(|kind| self.count(kind, now, time));
        Passed { stored, ended }
    }

    /// Counts one; says whether it is to be stored.
    fn count(&mut self, mut kind: Kind, now: u64, time: &str) -> bool {
        if !self.counters.iter().any(|counter| counter.kind == kind) {
            if self.counters.len() >= KINDS {
                kind = kind.of_the_rest();
            }
            if !self.counters.iter().any(|counter| counter.kind == kind) {
                self.counters.push(Counter::new(kind.clone(), now));
            }
        }
        let mut name = kind.caller.clone().unwrap_or_default();
        let is_known = |callers: &[Caller], name: &str| callers.iter().any(|one| one.name == name);
        if self.callers.len() >= KINDS && !is_known(&self.callers, &name) {
            OTHERS.clone_into(&mut name);
        }
        let counter = self.counters.iter_mut().find(|counter| counter.kind == kind);
        let Some(counter) = counter else { return true };
        if !is_known(&self.callers, &name) {
            self.callers.push(Caller { name: name.clone(), opened_ms: now, stored: 0 });
        }
        let caller = self.callers.iter_mut().find(|caller| caller.name == name);
        let has_room = caller.as_ref().is_none_or(|caller| caller.stored < STORED_PER_CALLER);
        let stored = counter.count(has_room, time);
        if let Some(caller) = caller.filter(|_| stored) {
            caller.stored = caller.stored.saturating_add(1);
        }
        stored
    }
}

impl Counter {
    const fn new(kind: Kind, now: u64) -> Self {
        Self {
            kind,
            opened_ms: now,
            lasts_ms: millis(WINDOW),
            stored: 0,
            more: 0,
            first: String::new(),
            last: String::new(),
        }
    }

    fn count(&mut self, has_room: bool, time: &str) -> bool {
        if has_room && self.stored < STORED_PER_WINDOW {
            self.stored = self.stored.saturating_add(1);
            return true;
        }
        if self.more == 0 {
            time.clone_into(&mut self.first);
        }
        time.clone_into(&mut self.last);
        self.more = self.more.saturating_add(1);
        false
    }

    fn more(&self) -> Option<More> {
        (self.more > 0).then(|| More {
            kind: self.kind.clone(),
            count: self.more,
            between: (self.first.clone(), self.last.clone()),
        })
    }
}

impl Kind {
    fn of_the_rest(&self) -> Self {
        Self {
            event: self.event,
            caller: Some(OTHERS.to_owned()),
            action: None,
            result: "various".to_owned(),
        }
    }
}

impl More {
    /// A sentence for people.
    #[must_use]
    pub fn words(&self) -> String {
        let (first, last) = &self.between;
        format!("{} more of this kind between {first} and {last}", self.count)
    }
}

const fn millis(duration: Duration) -> u64 {
    duration.as_secs().saturating_mul(1000)
}

/// A damaged file counts as empty: what was counted is lost, and the next ones are stored.
fn read(path: &Path) -> Saved {
    let text = fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

fn save(path: &Path, saved: &Saved) -> std::io::Result<()> {
    whole_file::replace(path, &serde_json::to_vec(saved)?)
}

#[cfg(test)]
mod tests;
