//! The kill and its proof: promise 1.
//!
//! `fenced` means that no row of the node's UUID is in a full listing, in any state; that no
//! device model or tapdisk which it had still runs; and that nothing is about to bring it back.
//! Everything else, the toolstack's exit code included, proves nothing.

use crate::acl::{Grant, Node};
use crate::clock::Moment;
use crate::command::CommandError;
use crate::processes::{Process, Writers};
use crate::sight::{Blind, Host, Sight};
use crate::target::{Kind, Sighted};
use crate::toolstack::ToolstackError;
use std::collections::BTreeMap;
use std::time::Duration;
use xen_fence_protocol::{DESTROY, Failure, How, PROOF};

/// A granted fence that did not end in a proof. The node counts as alive.
#[derive(Debug, PartialEq, Eq)]
pub struct NotFenced {
    /// The word for it on the wire.
    pub failure: Failure,
    /// What the guest hears.
    pub told: String,
    /// What is recorded.
    pub recorded: String,
}

impl NotFenced {
    fn because(failure: Failure, text: String) -> Self {
        Self { failure, told: text.clone(), recorded: text }
    }
}

/// What happens during a fence that others have to know of while it goes on.
pub trait Witness {
    /// Every row of the node is dying or gone: the node can no longer ask for anything, and the
    /// cluster's lock is not needed any more.
    fn harmless(&mut self);
    /// A domain is about to be destroyed: the one that was seen at `go`, at once; or, later, one that a
    /// destroy has left alive, or that has come since. For the latter the lock has to be had again.
    ///
    /// # Errors
    /// A sentence that says why it may not be.
    fn may_destroy(&mut self) -> Result<(), String>;
    /// These processes write for the node, or may, all that were seen so far: whoever fences it after this one
    /// has failed has to wait for them, too.
    fn writes(&mut self, writers: &Writers);
    /// A step of it has ended; the sentence says what was seen in it.
    fn passed(&mut self, step: &'static str, evidence: &str);
    /// It takes its time; the sentence says what it waits for.
    fn waiting_for(&mut self, text: &str);
}

/// A domid that its destroy does not impress is destroyed this often, and then given up.
const ATTEMPTS: u32 = 3;
/// The first, the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(250));
/// Pause before a domain that still lives is destroyed again.
const BEFORE_AGAIN: Duration = Duration::from_secs(1);
/// So many words at most, however often what it waits for changes.
const WORDS: usize = 50;
/// A wait is worth a word after this.
const WORTH_A_WORD: Duration = Duration::from_secs(1);

impl Host<'_> {
    /// Kills the grant's node, which `sight` has just shown, and proves its death. `writers` are those that
    /// an earlier fence has seen without an end.
    ///
    /// # Errors
    /// [`NotFenced`] with what stands against the proof when its time is up, or as soon as it is
    /// clear that the node lives on.
    pub fn fence(
        &self,
        grant: &Grant,
        node: &Node,
        sight: Sight,
        writers: Writers,
        witness: &mut dyn Witness,
    ) -> Result<How, NotFenced> {
        debug_assert!(
            grant.action().kills() && grant.targets().iter().any(|t| t.name() == node.name())
        );
        let pursuit = Pursuit {
            host: self,
            node,
            killed: BTreeMap::new(),
            hung: Vec::new(),
            killed_node: false,
            killed_shell: false,
            writers,
            noted: Vec::new(),
            witness,
        };
        pursuit.run(sight)
    }
}

/// One fence under way.
struct Pursuit<'a> {
    host: &'a Host<'a>,
    node: &'a Node,
    /// How often each domid was destroyed, and when that was last tried.
    killed: BTreeMap<u32, (u32, Moment)>,
    /// The domids whose destroy did not end.
    hung: Vec<u32>,
    /// Whether a domain was destroyed that has the node's own name.
    killed_node: bool,
    /// Whether a migration's shell was destroyed.
    killed_shell: bool,
    /// Those that write for the node, or may: each has to end, or to be known for a neighbour's.
    writers: Writers,
    /// The domids whose writers were looked for.
    noted: Vec<u32>,
    witness: &'a mut dyn Witness,
}

impl Pursuit<'_> {
    fn run(mut self, first: Sight) -> Result<How, NotFenced> {
        let clock = self.host.clock;
        let deadline = clock.now().after(PROOF);
        let word_at = clock.now().after(WORTH_A_WORD);
        let (mut pause, mut said, mut harmless) = (PAUSES.0, Vec::new(), false);
        let mut sight = Ok(first);
        loop {
            let held_by = match &sight {
                Ok(seen) => {
                    self.note_writers(seen)?;
                    if self.kill_what_lives(seen)? {
                        harmless = false;
                        sight = self.host.look(self.node);
                        continue;
                    }
                    if !harmless && !seen.lives() {
                        self.witness.harmless();
                        harmless = true;
                    }
                    match self.what_stands_against(seen) {
                        None => {
                            let evidence = self.evidence(seen);
                            self.witness.passed("proven", &evidence);
                            return self.proven();
                        }
                        Some(obstacle) => obstacle,
                    }
                }
                // A toolstack that fell silent may speak again; contradictions do not mend.
                Err(Blind::Ambiguous(error)) => {
                    return Err(NotFenced {
                        failure: Failure::Ambiguous,
                        told: error.told(),
                        recorded: error.to_string(),
                    });
                }
                Err(blind) => blind.to_string(),
            };
            if clock.now() >= deadline {
                let failure = sight.as_ref().map_or_else(Blind::failure, |_| Failure::Dying);
                let text = format!(
                    "{} was killed, and its death is not proven after {} s: {held_by}",
                    self.node.name(),
                    PROOF.as_secs()
                );
                return Err(NotFenced::because(failure, text));
            }
            // What it waits for may change; whoever hears the last of these is to know the reason.
            if clock.now() >= word_at && said.last() != Some(&held_by) && said.len() < WORDS {
                self.witness.waiting_for(&held_by);
                said.push(held_by);
            }
            clock.sleep(pause);
            pause = pause.saturating_mul(2).min(PAUSES.1);
            sight = self.host.look(self.node);
        }
    }

    /// Destroys every row that lives. Says whether it destroyed any.
    fn kill_what_lives(&mut self, sight: &Sight) -> Result<bool, NotFenced> {
        let mut destroyed = false;
        let now = self.host.clock.now();
        for Sighted { row, kind } in sight.rows.iter().filter(|sighted| sighted.row.lives()) {
            let before = self.killed.get(&row.domid).copied();
            if before.is_some_and(|(_, last)| now.since(last) < BEFORE_AGAIN) {
                continue;
            }
            let times = before.map_or(0, |(times, _)| times);
            if self.hung.contains(&row.domid) {
                let text = format!(
                    "the destroy of domain {} did not end within {} s, and {} lives on",
                    row.domid,
                    DESTROY.as_secs(),
                    self.node.name()
                );
                return Err(NotFenced::because(Failure::Toolstack, text));
            }
            if times >= ATTEMPTS {
                let text = format!(
                    "{} lives on as domain {} although it was destroyed {times} times; look at it \
                     on dom0 with `xl list -v`",
                    self.node.name(),
                    row.domid
                );
                return Err(NotFenced::because(Failure::Alive, text));
            }
            self.witness.may_destroy().map_err(|why| self.left_alone(row.domid, &why))?;
            // Its word is not believed, either way: a destroy can fail after the kill, or succeed
            // without one. The next look decides. Only one that hangs is not tried again.
            let answer = self.host.toolstack.destroy(row.domid);
            let said =
                answer.as_ref().map_or_else(ToString::to_string, |()| "ended well".to_owned());
            self.witness.passed("destroyed", &format!("destroy of domain {}: {said}", row.domid));
            destroyed = true;
            let ran = match answer {
                // The host has no process to give, which may mend.
                Err(ToolstackError::Command(CommandError::Start { .. })) => false,
                Err(ToolstackError::Command(CommandError::TimedOut { .. })) => {
                    self.hung.push(row.domid);
                    true
                }
                Ok(()) | Err(_) => true,
            };
            let times = times.saturating_add(u32::from(ran));
            self.killed.insert(row.domid, (times, self.host.clock.now()));
            self.killed_node |= ran && *kind == Kind::Node && row.name.is_some();
            self.killed_shell |= ran && *kind == Kind::Shell;
        }
        Ok(destroyed)
    }

    /// Looks for the processes that write for the node when there is a row that was not there before, and
    /// remembers them, before its death hides whose they were.
    fn note_writers(&mut self, sight: &Sight) -> Result<(), NotFenced> {
        if sight.rows.iter().all(|sighted| self.noted.contains(&sighted.row.domid)) {
            return Ok(());
        }
        let domids: Vec<u32> = sight.rows.iter().map(|sighted| sighted.row.domid).collect();
        let found = self.host.processes.writers(self.node, &domids, &sight.living());
        let found = found.map_err(|error| {
            NotFenced::because(Failure::Internal, Blind::Processes(error).to_string())
        })?;
        self.noted.extend(domids);
        self.add_writers(&found);
        Ok(())
    }

    fn add_writers(&mut self, found: &Writers) {
        let before = self.writers.clone();
        self.writers.learn(found);
        if self.writers.all().any(|writer| before.all().all(|known| known != writer)) {
            self.witness.writes(&self.writers);
        }
    }

    /// The first thing that keeps this sight from being a proof.
    fn what_stands_against(&mut self, sight: &Sight) -> Option<String> {
        let living = sight.rows.iter().find(|sighted| sighted.row.lives());
        if let Some(Sighted { row, .. }) = living {
            return Some(format!("domain {} still lives", row.domid));
        }
        // A life that came and went between two looks has shown no row, but its writers have its name. Who is in
        // doubt without a row stands against this sight alone: the next tells anew.
        self.add_writers(&Writers { perhaps: Vec::new(), ..sight.writers.clone() });
        sight.obstacle().or_else(|| self.host.living_writer(&self.writers))
    }

    /// The end of a fence whose node lives and may not be destroyed any more.
    fn left_alone(&self, domid: u32, why: &str) -> NotFenced {
        let node = self.node.name();
        let lives = match (self.killed.contains_key(&domid), self.has_destroyed()) {
            (true, _) => "lives on",
            (false, true) => "was killed, and lives again",
            (false, false) => "was off, and lives again",
        };
        let text = format!("{node} {lives} as domain {domid}, which is left alone: {why}");
        NotFenced::because(Failure::Alive, text)
    }

    /// Whether a destroy of anything of the node has run.
    fn has_destroyed(&self) -> bool {
        self.killed.values().any(|(times, _)| *times > 0)
    }

    /// What its death is told from.
    fn evidence(&self, sight: &Sight) -> String {
        let mut text = format!("{}; writers: {}", sight.evidence(), self.writers.all().count());
        for Process { what, pid, .. } in self.writers.all() {
            text.push_str(&format!(", {what} (pid {pid}) has ended"));
        }
        text
    }

    fn proven(&self) -> Result<How, NotFenced> {
        // A shell says that the node lives elsewhere; a life that was set aside, or a domain on its
        // way out of the list, says nothing against it.
        if self.killed_shell && !self.killed_node {
            return Ok(How::Shell);
        }
        if self.has_destroyed() {
            return Ok(How::Killed);
        }
        if self.host.toolstack.restarts_by_itself() {
            let text = format!(
                "{} is in no listing, but {} restarts domains by itself, so absence does not \
                 prove that it stays off",
                self.node.name(),
                self.host.toolstack.name()
            );
            return Err(NotFenced::because(Failure::Dying, text));
        }
        Ok(How::Absent)
    }
}

#[cfg(test)]
mod tests;
