//! What keeps a granted request from being carried out in full: a hold, or the brake.
//!
//! Read before `ready`, so that the agent hears of it, and read again after `go`, because the agent
//! need not be honest and root may have said something meanwhile.

use super::case::{Case, End, Work};
use super::scene::second_look;
use super::{kill, start};
use crate::acl::Node;
use crate::brake::Verdict;
use crate::hold::{Held, Unreadable};
use crate::journal::Event;
use crate::lock::Lock;
use crate::names::ClusterName;
use crate::standoff::Then;
use crate::syslog::Severe;
use xen_fence_protocol::{Action, Hold, How, Level, Note, Refusal};

/// What restrains the requests for one node.
#[derive(Debug, Default)]
pub(super) struct Restraint {
    held: Option<Held>,
    /// What the brake says to a reset, where the cluster has one.
    brake: Option<Verdict>,
    /// Why the brake's count cannot be relied on.
    not_kept: Option<String>,
    /// Whether the brake has counted this request already, or the one that it joins.
    counted: bool,
}

/// One thing that a rehearsal has to tell of a restraint.
pub(super) type Told = (Level, &'static str, String);

impl Restraint {
    /// What restrains a request for this node now, and tells the agent of it. A request that was
    /// `counted` before is not braked by itself.
    pub(super) fn find(
        case: &mut Case<'_, '_>,
        work: &Work<'_>,
        node: &Node,
        counted: bool,
    ) -> Self {
        let (found, unreadable) = read(work, std::slice::from_ref(node));
        let found = found.into_iter().next().unwrap_or_default().of_counted(counted);
        if let Some(unreadable) = unreadable {
            let text = forbids_nothing(&unreadable);
            case.record(Event::Note, Severe::Error, "holds unreadable", &text);
            case.note(Note::Hold, &text);
        }
        found.tell(case, work, node);
        found
    }

    /// What restrains it now, without a word. A hold that was known, and cannot be read any more,
    /// still holds: whoever keeps the disk busy lifts none.
    pub(super) fn again(&self, work: &Work<'_>, node: &Node) -> Self {
        let (found, unreadable) = read(work, std::slice::from_ref(node));
        let now = found.into_iter().next().unwrap_or_default().of_counted(self.counted);
        match unreadable {
            Some(_) => Self { held: self.held.clone(), ..now },
            None => now,
        }
    }

    /// The last reset that the brake lets pass is the one that is repeated; a brake that is on was put
    /// on by another.
    fn of_counted(self, counted: bool) -> Self {
        let by_itself = |said: &Verdict| counted && matches!(said, Verdict::Spent(_));
        Self { brake: self.brake.filter(|said| !by_itself(said)), counted, ..self }
    }

    fn tell(&self, case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node) {
        if let Some(lost) = &self.not_kept {
            case.note(Note::State, &format!("{lost}; the brake of {} begins anew", node.name()));
        }
        let brake = self.brake.as_ref().and_then(|said| said.told(&work.cluster, node.name()));
        match (&self.held, brake) {
            (Some(held), _) => case.note(Note::Hold, &held.told(&work.cluster)),
            (None, Some(brake)) => case.note(Note::LeftOff, &brake),
            (None, None) => {}
        }
    }

    /// The hold, as `ready` says it.
    pub(super) fn word(&self) -> Hold {
        self.held.as_ref().map_or(Hold::None, Held::word)
    }

    /// Whether the node is held, in either way.
    pub(super) const fn is_hold(&self) -> bool {
        self.held.is_some()
    }

    /// Whether the node may not be killed.
    pub(super) fn forbids_kill(&self) -> bool {
        self.word() == Hold::Forbid
    }

    /// Why a reset does not start the node again; nothing if it does.
    pub(super) fn leaves_off(&self, work: &Work<'_>) -> Option<String> {
        match (&self.held, &self.brake) {
            (Some(held), _) => Some(held.told(&work.cluster)),
            (None, Some(said)) => said.told(&work.cluster, work.target().ok()?.name()),
            (None, None) => None,
        }
    }

    /// Whether an `on` may start the node: nobody starts what is held, in either way.
    pub(super) fn allows_start(&self, work: &Work<'_>) -> Result<(), End> {
        self.held.as_ref().map_or(Ok(()), |held| Err(refused(held, &work.cluster, None)))
    }

    /// Answers for a node that may not be killed: fenced if one look proves it off, else refused.
    /// Nothing is touched, a power-on that is under way neither.
    pub(super) fn only_prove(
        &self,
        case: &mut Case<'_, '_>,
        work: &Work<'_>,
        node: &Node,
        then: Then,
        lock: Lock,
    ) -> Result<(), End> {
        if let (Some(held), Some(why)) = (&self.held, not_off(work, node)?) {
            return Err(refused(held, &work.cluster, Some(&why)));
        }
        drop(lock);
        kill::answer(case, node, How::Absent, &work.stated());
        second_look(case, work, node, then, false);
        if work.grant.action() == Action::Reset {
            start::left_off(case, node, self.leaves_off(work));
        }
        Ok(())
    }

    /// Remembers a reset whose kill is proven: one that starts the node counts, and one too many
    /// puts the brake on. Called while other requests for the node still wait for the proof.
    pub(super) fn keep(&self, case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node, starts: bool) {
        let kept = match (&self.held, &self.brake) {
            (_, Some(_)) if starts => work.brakes().count(node.name(), work.host.clock.now()),
            (None, Some(Verdict::Spent(_))) => work.brakes().put_on(node.name()),
            _ => return,
        };
        if let Err(lost) = kept {
            case.note(Note::State, &format!("{lost}; the brake does not know of this reset"));
        }
    }

    /// What `check` has to say of it.
    pub(super) fn rehearse(&self, work: &Work<'_>, node: &Node) -> Vec<Told> {
        let mut told = Vec::new();
        if let Some(held) = &self.held {
            let level = if self.forbids_kill() { Level::Fail } else { Level::Warn };
            told.push((level, "hold", held.told(&work.cluster)));
        }
        if let Some(lost) = &self.not_kept {
            told.push((Level::Warn, "brake", format!("{lost}; it begins anew")));
        }
        match (&self.brake, work.grant.brake()) {
            (Some(Verdict::Free(count)), Some(brake)) => {
                let text = format!("{count} resets count so far (brake = \"{brake}\")");
                told.push((Level::Ok, "brake", text));
            }
            (Some(said), _) => {
                let said = said.told(&work.cluster, node.name());
                told.extend(said.map(|text| (Level::Warn, "brake", text)));
            }
            (None, _) => {}
        }
        told
    }
}

/// Tells the agent of the restraints of nodes that it only asks about.
pub(super) fn tell_of(case: &mut Case<'_, '_>, work: &Work<'_>, nodes: &[Node]) {
    let (found, unreadable) = read(work, nodes);
    if let Some(unreadable) = unreadable {
        case.note(Note::Hold, &forbids_nothing(&unreadable));
    }
    for (node, restraint) in nodes.iter().zip(found) {
        restraint.tell(case, work, node);
    }
}

/// For a rehearsal: whether the holds can be read, and what each node's restraint is.
pub(super) fn survey(work: &Work<'_>, nodes: &[Node]) -> (Result<(), String>, Vec<Restraint>) {
    let (found, unreadable) = read(work, nodes);
    (unreadable.map_or(Ok(()), |unreadable| Err(forbids_nothing(&unreadable))), found)
}

/// An explicit `on` lifts the brake: somebody wants the node to run.
pub(super) fn lift_brake(case: &mut Case<'_, '_>, work: &Work<'_>, node: &Node) {
    match work.brakes().lift(node.name()) {
        Ok(Some(before)) => {
            if let Some(since) = before.braked {
                let text = format!("the brake of {}, on since {since}, is lifted", node.name());
                case.record(Event::Note, Severe::Notice, "brake lifted", &text);
            }
        }
        Ok(None) => {}
        Err(lost) => case.note(Note::State, &format!("{lost}; the brake is not lifted")),
    }
}

/// The restraints of these nodes; the holds are read once for all of them.
fn read(work: &Work<'_>, nodes: &[Node]) -> (Vec<Restraint>, Option<Unreadable>) {
    let (holds, unreadable) = match work.holds().in_force() {
        Ok(holds) => (holds, None),
        Err(unreadable) => (Vec::new(), Some(unreadable)),
    };
    // off and on are not counted.
    let action = work.grant.action();
    let brake = work.grant.brake().filter(|_| !matches!(action, Action::Off | Action::On));
    let now = work.host.clock.now();
    let of_node = |node: &Node| {
        let held = holds.iter().find(|held| held.is_of(node.name())).cloned();
        let said = brake.map(|brake| {
            let said = work.brakes().verdict(node.name(), brake, now);
            said.map_err(|lost| lost.to_string())
        });
        let (brake, not_kept) = match said {
            None => (None, None),
            Some(Ok(said)) => (Some(said), None),
            Some(Err(lost)) => (Some(Verdict::Free(0)), Some(lost)),
        };
        Restraint { held, brake, not_kept, counted: false }
    };
    (nodes.iter().map(of_node).collect(), unreadable)
}

fn forbids_nothing(unreadable: &Unreadable) -> String {
    format!("{unreadable}; until that is mended no node of this cluster is held here")
}

fn refused(held: &Held, cluster: &ClusterName, why: Option<&str>) -> End {
    let why = why.map_or_else(String::new, |why| format!("it is not proven off: {why}; "));
    End::refuse(Refusal::Held, &format!("{why}nothing was touched; {}", held.told(cluster)))
}

/// What keeps one look from proving the node off, without a kill.
fn not_off(work: &Work<'_>, node: &Node) -> Result<Option<String>, End> {
    let host = &work.host;
    let starting = work.is_starting(node);
    let sight = host.look(node)?;
    let living = sight.rows.iter().find(|sighted| sighted.row.lives());
    let living = living.map(|sighted| format!("it runs as domain {}", sighted.row.domid));
    if let Some(why) = living.or_else(|| work.obstacle(node, &sight)) {
        return Ok(Some(why));
    }
    let orphan = work.starts().has_orphan_for(node, host).unwrap_or(true);
    if starting || orphan || work.is_starting(node) {
        return Ok(Some("it is about to start".to_owned()));
    }
    if host.toolstack.restarts_by_itself() {
        let text = format!("{} restarts domains by itself", host.toolstack.name());
        return Ok(Some(text));
    }
    Ok(None)
}
