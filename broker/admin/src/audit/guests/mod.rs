//! The guests' half of the audit: the policy against what runs, the configurations of domains, and
//! what their disks are.
//!
//! What runs is listed once for all of its families, and what is not answered is a finding.

mod cache;
mod claims;
mod config;
mod configs;
mod devices;
mod disks;
mod files;
mod live;
mod media;
mod patience;
mod presence;
mod restarters;
mod rights;
mod shares;

use crate::acl::Policy;
use crate::audit::Family;
use disks::Use;
use files::{Known, Whose};
use live::{Attached, Beyond};
use patience::Patience;
use std::path::Path;
use std::time::{Duration, Instant};
use xen_fence_broker::serve;
use xen_fence_broker::settings::{self, SETTINGS_FILE, Settings, ToolstackKind};
use xen_fence_broker::toolstack::{Listing, Row};
use xen_fence_broker::xenstore::XenstoreError;

/// Domains that have two owners, or configurations that claim another's.
pub(super) const CLAIMS: Family = claims::FAMILY;
/// Disks that two can write.
pub(super) const SHARES: Family = shares::FAMILY;
/// Disks behind the page cache.
pub(super) const CACHE: Family = cache::FAMILY;
/// What runs, and what of it is the policy's.
pub(super) const PRESENCE: Family = presence::FAMILY;
/// Configurations that a node cannot be powered on from.
pub(super) const CONFIGS: Family = configs::FAMILY;
/// Devices that the proof does not cover.
pub(super) const DEVICES: Family = devices::FAMILY;
/// Who may kill whom.
pub(super) const RIGHTS: Family = rights::FAMILY;
/// Services that start domains.
pub(super) const RESTARTERS: Family = restarters::FAMILY;

/// What was seen of the guests.
pub(super) struct Guests {
    toolstack: ToolstackKind,
    /// What runs, or why that is not known.
    listing: Result<Listing, String>,
    /// The domids that were dying and still were a moment later: every death takes one.
    corpses: Vec<u32>,
    configs: Vec<Known>,
    /// The disks that running domains have, or why that is not known.
    attached: Result<Vec<Attached>, XenstoreError>,
    /// Devices of living nodes that the proof does not cover, or why that is not known.
    beyond: Result<Vec<Beyond>, XenstoreError>,
    uses: Vec<Use>,
}

/// What dies in good health is gone after this.
const MOMENT: Duration = Duration::from_secs(2);

impl Guests {
    /// Looks at all of them.
    pub(super) fn see(policy: &Policy) -> Self {
        let settings = settings::load(Path::new(SETTINGS_FILE));
        let toolstack = settings.as_ref().map(Settings::toolstack).unwrap_or_default();
        let begun = Instant::now();
        let list = || match &settings {
            Ok(settings) => serve::toolstack(settings)
                .list()
                .map_err(|error| format!("{error} (after {} ms)", begun.elapsed().as_millis())),
            Err(error) => Err(first_line(&error.to_string())),
        };
        let listing = list();
        let mut corpses: Vec<u32> = listing.iter().flat_map(dying).collect();
        if !corpses.is_empty() {
            std::thread::sleep(MOMENT);
            if let Ok(later) = list() {
                corpses.retain(|domid| dying(&later).any(|found| found == *domid));
            }
        }
        let attached = live::disks();
        // Where xenstore does not tell of the disks, it is not asked for each node once more.
        let beyond = match &listing {
            Ok(listing) if attached.is_ok() => live::beyond_the_proof(policy, listing),
            Ok(_) | Err(_) => Ok(Vec::new()),
        };
        let patience = Patience::default();
        let configs = files::all(policy, toolstack, &patience);
        let uses = Vec::new();
        let mut guests = Self { toolstack, listing, corpses, configs, attached, beyond, uses };
        guests.uses = disks::all(policy, &guests, &patience);
        guests
    }

    /// Why there is no listing, if there is none.
    pub(super) fn unlisted(&self) -> Option<&str> {
        self.listing.as_ref().err().map(String::as_str)
    }

    /// Why xenstored is taken for dead, if it is.
    pub(super) fn dead_xenstore(&self) -> Option<String> {
        let silence = self.attached.as_ref().err().filter(|error| error.is_silence())?;
        // xl asks it for the names that it lists; xend knows them itself.
        let answers = self.listing.is_ok() && self.toolstack == ToolstackKind::Xl;
        (!answers).then(|| silence.to_string())
    }

    /// Why the disks and devices that domains run with are not known, if xenstored lives.
    fn unseen(&self) -> Option<&XenstoreError> {
        let unseen = self.attached.as_ref().err().or(self.beyond.as_ref().err());
        unseen.filter(|_| self.dead_xenstore().is_none())
    }

    /// The rows of the listing, none if it is not known.
    fn rows(&self) -> &[Row] {
        self.listing.as_ref().map(Listing::rows).unwrap_or_default()
    }

    /// The domain whose device model a row is, by xl's name for it: it has that one's disks and dies with it.
    /// A domain of its own with such a name has a configuration.
    fn served_by(&self, row: &Row) -> Option<&Row> {
        let name = row.name.as_deref()?;
        let of = name.strip_suffix("-dm")?;
        let is_its =
            |known: &Known| known.said.as_ref().is_ok_and(|config| config.name() == Some(name));
        let served = self.rows().iter().find(|other| other.name.as_deref() == Some(of));
        served.filter(|_| !self.configs.iter().any(is_its))
    }

    /// The configuration that the policy names for a node, if there is one.
    fn config_of(&self, whose: &Whose) -> Option<&Known> {
        self.configs.iter().find(|known| known.of.as_ref() == Some(whose))
    }
}

/// The names of the domains that run and are no node's.
pub(super) fn strays(policy: &Policy, guests: &Guests) -> Vec<String> {
    let nodes = || policy.clusters.iter().flat_map(|cluster| cluster.nodes());
    let is_nodes = |row: &Row| nodes().any(|node| row.uuid == Some(node.uuid()));
    let strays = guests.rows().iter().filter(|row| row.lives() && row.domid != 0 && !is_nodes(row));
    let strays = strays.filter(|row| guests.served_by(row).is_none());
    strays.filter_map(|row| row.name.clone()).collect()
}

fn dying(listing: &Listing) -> impl Iterator<Item = u32> {
    listing.rows().iter().filter(|row| !row.lives()).map(|row| row.domid)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Whose domain a configuration makes: the node's that names it, else the one that it claims to be.
fn owner(policy: &Policy, known: &Known) -> Option<Whose> {
    if known.of.is_some() {
        return known.of.clone();
    }
    let config = known.said.as_ref().ok()?;
    let nodes = || {
        policy
            .clusters
            .iter()
            .flat_map(|cluster| cluster.nodes().iter().map(move |it| (cluster, it)))
    };
    let by_uuid = nodes().find(|(_, node)| Some(node.uuid()) == config.uuid());
    let by_name = || nodes().find(|(_, node)| Some(node.domain().as_str()) == config.name());
    by_uuid.or_else(by_name).map(|(cluster, node)| Whose::of(cluster, node))
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// A configuration as findings name it: its domain, if it says which.
fn domain(known: &Known) -> String {
    let name = known.said.as_ref().ok().and_then(|config| config.name());
    name.map_or_else(|| format!("the domain of {}", known.file.display()), ToOwned::to_owned)
}
