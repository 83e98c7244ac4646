//! The journals beside what this host's syslog says of them, read once: for the findings and for the page,
//! so that the two never say different things.

use super::look;
use crate::acl::Policy;
use crate::log::{self, Found, Syslog};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use xen_fence_broker::bounded;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::names::ClusterName;

/// How long reading a journal, or syslog, may take: some hundreds of megabytes.
pub(crate) const READING: Duration = Duration::from_secs(30);

/// All journals of this host, and those that it should have.
pub(crate) struct Journals {
    /// What syslog says of them.
    pub(super) syslog: Arc<Syslog>,
    /// What was not read besides the journals themselves, in sentences.
    pub(crate) unread: Vec<String>,
    /// What came of following each, by the names of their clusters.
    pub(crate) chains: Vec<Chain>,
}

/// What came of following one.
pub(crate) struct Chain {
    /// Whose it is.
    pub(crate) cluster: ClusterName,
    /// Nothing of one that was never written.
    pub(crate) came_to: Result<Option<Found>, Unread>,
}

/// Why one was not read whole.
pub(crate) struct Unread {
    /// In a sentence.
    pub(crate) why: String,
    /// It took too long, and would again.
    pub(crate) late: bool,
}

impl Journals {
    /// Follows the journals of all clusters that are in the policy, that have one, or that syslog knows.
    pub(crate) fn read(policy: &Policy) -> Self {
        let mut unread = Vec::new();
        // Before the journals: what is added meanwhile has no line in it yet, and not the other way round.
        let syslog = bounded::within(READING, log::syslog).unwrap_or_else(|undone| {
            unread.push(format!("syslog was not read {undone}"));
            Syslog::default()
        });
        unread.extend(syslog.faults.iter().cloned());
        let mut clusters: BTreeSet<ClusterName> =
            policy.clusters.iter().map(|cluster| cluster.name().clone()).collect();
        clusters.extend(syslog.clusters().filter_map(|name| ClusterName::parse(name).ok()));
        let mut hangs = None;
        match look::in_time(JOURNAL_DIR, log::clusters) {
            Ok(Ok(written)) => clusters.extend(written),
            Ok(Err(error)) => unread.push(format!("{JOURNAL_DIR} cannot be read: {error}")),
            Err(why) => hangs = Some(why),
        }
        let syslog = Arc::new(syslog);
        let chain = |cluster: ClusterName| {
            let came_to = match hangs.clone() {
                Some(why) => Err(Unread { why, late: true }),
                None => follow(&cluster, &syslog),
            };
            Chain { cluster, came_to }
        };
        let chains = clusters.into_iter().map(chain).collect();
        Self { syslog, unread, chains }
    }
}

fn follow(cluster: &ClusterName, syslog: &Arc<Syslog>) -> Result<Option<Found>, Unread> {
    let (of_thread, syslog) = (cluster.clone(), Arc::clone(syslog));
    match bounded::within(READING, move || log::walked(&of_thread, &syslog)) {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(why)) => Err(Unread { why, late: false }),
        Err(undone) => Err(Unread { why: format!("it was not read {undone}"), late: true }),
    }
}

impl Chain {
    /// What there is to say of it, for a person.
    pub(crate) fn lines(&self) -> Vec<String> {
        match &self.came_to {
            Ok(None) => Vec::new(),
            Ok(Some(Found { broken, remarks, summary })) => {
                broken.iter().chain(remarks).chain(summary).cloned().collect()
            }
            Err(unread) => vec![format!("{}: NOT VERIFIED: {}", self.cluster, unread.why)],
        }
    }
}
