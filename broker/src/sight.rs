//! What one look at the host shows of a node: the ground that every answer stands on.

use crate::acl::Node;
use crate::clock::{Clock, Moment};
use crate::processes::{Process, Processes, Writers};
use crate::target::{self, Ambiguous, Kind, Sighted};
use crate::toolstack::{Listing, Toolstack, ToolstackError};
use xen_fence_protocol::{Failure, Power};

/// The parts of the host that a fence works with.
#[derive(Clone, Copy)]
pub struct Host<'a> {
    /// The hypervisor's toolstack.
    pub toolstack: &'a dyn Toolstack,
    /// dom0's processes.
    pub processes: &'a dyn Processes,
    /// Time.
    pub clock: &'a dyn Clock,
}

/// What one look at the host shows of a node.
#[derive(Clone, Debug)]
pub struct Sight {
    /// When the look began.
    pub at: Moment,
    /// Everything that was listed.
    pub listing: Listing,
    /// The node's own rows, living and dying.
    pub rows: Vec<Sighted>,
    /// The xl processes that may bring it back.
    pub restarters: Vec<Process>,
    /// The processes that may write for it although no row of it is left.
    pub writers: Writers,
}

/// Why a look at the host shows nothing that can be relied on.
#[derive(Debug, thiserror::Error)]
pub enum Blind {
    /// The toolstack does not answer.
    #[error(transparent)]
    Toolstack(#[from] ToolstackError),
    /// The listing contradicts the policy.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// The processes of dom0 cannot be looked at.
    #[error("/proc cannot be read, so nothing can be proven: {0}")]
    Processes(#[from] std::io::Error),
}

impl Sight {
    /// Whether any of the node's domains lives.
    #[must_use]
    pub fn lives(&self) -> bool {
        self.rows.iter().any(|sighted| sighted.row.lives())
    }

    /// The domids of all that live on the host, whoever's they are.
    #[must_use]
    pub fn living(&self) -> Vec<u32> {
        self.listing.rows().iter().filter(|row| row.lives()).map(|row| row.domid).collect()
    }

    /// Whether the node itself is up: a life of it that xl has set aside is not.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.rows.iter().any(|sighted| sighted.row.lives() && sighted.kind != Kind::SetAside)
    }

    /// What the sight says of the node to somebody who only asks. A corpse or a device model may still
    /// write and a monitor may bring the node back, so none of them is off.
    #[must_use]
    pub fn power(&self, host: &Host<'_>) -> Power {
        let proves_absence = self.rows.is_empty() && !host.toolstack.restarts_by_itself();
        let stays_off = self.restarters.is_empty() && self.writers.all().next().is_none();
        match (self.runs(), proves_absence && stays_off) {
            (true, _) => Power::On,
            (false, true) => Power::Off,
            (false, false) => Power::Unknown,
        }
    }

    /// What is seen, in a sentence for the record.
    #[must_use]
    pub fn evidence(&self) -> String {
        let row = |sighted: &Sighted| {
            let name = sighted.row.name.as_deref().unwrap_or("(null)");
            let state = if sighted.row.lives() { "lives" } else { "is dying" };
            format!("domain {} ({name}) {state}", sighted.row.domid)
        };
        let rows: Vec<String> = self.rows.iter().map(row).collect();
        let rows = if rows.is_empty() { "no row has its UUID".to_owned() } else { rows.join(", ") };
        let pids: Vec<String> = self.restarters.iter().map(|xl| xl.pid.to_string()).collect();
        let xl = match pids.as_slice() {
            [] => "no xl process could bring it back".to_owned(),
            pids => format!("xl processes that may bring it back: {}", pids.join(", ")),
        };
        format!("{rows}, of {} that are listed; {xl}", self.listing.rows().len())
    }

    /// What stands against taking the node for off, besides a domain that lives.
    #[must_use]
    pub fn obstacle(&self) -> Option<String> {
        let dying = self.rows.iter().find(|sighted| !sighted.row.lives());
        let corpse = dying.map(|sighted| corpse(sighted.row.domid));
        let kept = self.rows.iter().find(|sighted| sighted.kind == Kind::SetAside);
        let kept = kept.map(|sighted| {
            format!(
                "domain {} is an earlier life of it that has shut down and is kept (on_crash or \
                 on_reboot in its configuration); `off` removes it",
                sighted.row.domid
            )
        });
        let comes = self.restarters.first();
        let comes = comes
            .map(|xl| format!("{} (pid {}) still runs and may bring it back", xl.what, xl.pid));
        corpse.or(kept).or(comes).or_else(|| self.writers.obstacle(|_| true))
    }
}

fn corpse(domid: u32) -> String {
    format!(
        "domain {domid} is still dying, held by memory or I/O that dom0 has not finished \
         (`xl list` shows it as (null) with the state d)"
    )
}

impl Blind {
    /// What the guest hears: nothing of another tenant's domains.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Ambiguous(ambiguous) => ambiguous.told(),
            Self::Toolstack(_) | Self::Processes(_) => self.to_string(),
        }
    }

    /// The word for it on the wire.
    #[must_use]
    pub const fn failure(&self) -> Failure {
        match self {
            Self::Toolstack(_) => Failure::Toolstack,
            Self::Ambiguous(_) => Failure::Ambiguous,
            Self::Processes(_) => Failure::Internal,
        }
    }
}

impl Host<'_> {
    /// Which of a node's writers still runs, in a sentence, if one does.
    #[must_use]
    pub fn living_writer(&self, writers: &Writers) -> Option<String> {
        writers.obstacle(|writer| self.processes.lives(writer))
    }

    /// Looks at the host once: a full listing, and the processes that may bring the node back.
    ///
    /// # Errors
    /// [`Blind`] if what is seen cannot be relied on.
    pub fn look(&self, node: &Node) -> Result<Sight, Blind> {
        let sights = self.survey(std::slice::from_ref(node))?;
        let missing = || Blind::Processes(std::io::Error::other("no sight"));
        Ok(sights.into_iter().next().ok_or_else(missing)??)
    }

    /// Looks at several nodes in one listing; a contradiction about one concerns it alone.
    ///
    /// # Errors
    /// [`Blind`] if nothing that is seen can be relied on.
    pub fn survey(&self, nodes: &[Node]) -> Result<Vec<Result<Sight, Ambiguous>>, Blind> {
        let at = self.clock.now();
        // Restarters first: one that ends after this has its new domain in the listing below.
        let restarters: Vec<Vec<Process>> =
            nodes.iter().map(|node| self.processes.restarters(node)).collect::<Result<_, _>>()?;
        let listing = self.toolstack.list()?;
        let sight = |(node, restarters)| {
            let rows = match target::find(&listing, node) {
                Ok(rows) => rows,
                Err(ambiguous) => return Ok(Err(ambiguous)),
            };
            let mut sight = Sight {
                at,
                listing: listing.clone(),
                rows,
                restarters,
                writers: Writers::default(),
            };
            if sight.rows.is_empty() {
                sight.writers = self.processes.writers(node, &[], &sight.living())?;
            }
            Ok(Ok(sight))
        };
        nodes.iter().zip(restarters).map(sight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toolstack::{Row, RowState};
    use std::time::Duration;

    #[test]
    fn all_that_live_on_the_host_are_told_apart_from_corpses() {
        let row = |domid, state| Row { domid, name: None, uuid: None, state };
        let rows =
            vec![row(0, RowState::Living), row(4, RowState::Living), row(7, RowState::Dying)];
        let listing = Listing::of_rows(rows).unwrap();
        let (at, rows) = (Moment::since_boot(Duration::ZERO), Vec::new());
        let (restarters, writers) = (Vec::new(), Writers::default());
        assert_eq!(Sight { at, listing, rows, restarters, writers }.living(), [0, 4]);
    }
}
