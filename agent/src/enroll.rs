//! Setting a node up: its key, dom0's host key, agent.toml, and what dom0 has to know of it.
//!
//! What is there already is never replaced, and a second run does what the first could not. No host
//! key is recorded that nobody has compared. Nobody is logged in to.

mod files;
mod host_key;
mod key;
mod settings;
mod words;

use crate::clock::{Deadline, Moment};
use crate::config::{Enrolment, Wishes};
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::this_node;
pub(crate) use host_key::{Ask, Met};
pub(crate) use words::lines;
use xen_fence_protocol::NodeName;

/// What is wanted.
pub(crate) struct Wanted {
    /// The node's name; that of the machine, if none is given.
    pub(crate) node: Option<NodeName>,
    /// What is not to be as agent.toml has it.
    pub(crate) wishes: Wishes,
    /// The fingerprint that somebody has seen on dom0.
    pub(crate) fingerprint: Option<String>,
    /// Nothing is to be written.
    pub(crate) dry_run: bool,
}

/// What a node has, or would have.
#[derive(Debug)]
pub(crate) struct Enrolled {
    /// Its name.
    pub(crate) node: NodeName,
    /// Its cluster.
    pub(crate) cluster: String,
    /// Its dom0s.
    pub(crate) dom0s: Vec<Endpoint>,
    /// Its public key; none if a dry run found none.
    pub(crate) key: Option<String>,
    /// Its UUID, where the kernel says it.
    pub(crate) uuid: Option<String>,
    /// What was done, or would be, in sentences.
    pub(crate) done: Vec<String>,
    /// What to know besides.
    pub(crate) warnings: Vec<String>,
    /// What could not be done.
    pub(crate) error: Option<Error>,
}

/// Sets this node up, as far as it can be.
///
/// # Errors
/// Nothing was done: what was wanted is not clear, or a file here is not to be trusted.
pub(crate) fn enroll(wanted: &Wanted, begun: Moment, ask: &mut dyn Ask) -> Result<Enrolled, Error> {
    let enrolment = Enrolment::of(&wanted.wishes)?;
    let dom0s = enrolment.settings.dom0s.clone();
    let cluster = cluster(&dom0s)?;
    let node = match &wanted.node {
        Some(node) => node.clone(),
        None => this_node::name().ok_or_else(|| {
            Error::new(Kind::Usage, "the name of this machine can be no node's")
                .hint("xen-fence enroll NODE, with the name that the cluster knows it by")
        })?,
    };
    let mut enrolled = Enrolled {
        node,
        cluster,
        dom0s,
        key: None,
        uuid: this_node::uuid(),
        done: Vec::new(),
        warnings: Vec::new(),
        error: None,
    };
    enrolled.key = key::have(&enrolment.settings.identity, wanted.dry_run, &mut enrolled)?;
    let deadline = Deadline::at(begun.plus(enrolment.settings.timeout));
    if let Err(error) = go_on(wanted, &enrolment, deadline, ask, &mut enrolled) {
        enrolled.error = Some(error);
    }
    Ok(enrolled)
}

/// What needs dom0, and what is written only when dom0 is known to be right.
fn go_on(
    wanted: &Wanted,
    enrolment: &Enrolment,
    deadline: Deadline,
    ask: &mut dyn Ask,
    enrolled: &mut Enrolled,
) -> Result<(), Error> {
    let met = host_key::meet_all(enrolment, deadline)?;
    if let Some(fingerprint) = &wanted.fingerprint {
        host_key::compare(fingerprint, &met)?;
    } else if !wanted.dry_run {
        for one in met.iter().filter(|one| one.recorded.is_none()) {
            ask.is_right(one)?;
        }
    }
    host_key::record(enrolment, &met, wanted.dry_run, enrolled)?;
    settings::write(enrolment, wanted.dry_run, enrolled)
}

/// The one cluster that the accounts on the dom0s are for.
fn cluster(dom0s: &[Endpoint]) -> Result<String, Error> {
    let mut cluster = None;
    for Endpoint { account, .. } in dom0s {
        let of = this_node::cluster_of(account).ok_or_else(|| {
            Error::new(Kind::Usage, format!("the account {account} is no cluster's"))
                .hint("a cluster's account on dom0 is fence-CLUSTER, such as fence-alpha")
        })?;
        if cluster.is_some_and(|other| other != of) {
            let why = "the dom0s are asked in the names of two clusters; a node is one cluster's";
            return Err(Error::new(Kind::Usage, why));
        }
        cluster = Some(of);
    }
    Ok(cluster.unwrap_or_default().to_owned())
}

impl Enrolled {
    /// Says what was done, or would be.
    fn does(&mut self, dry_run: bool, done: &str, what: &str) {
        let would = format!("would {}", words::infinitive(done));
        let verb = if dry_run { would.as_str() } else { done };
        self.done.push(format!("{verb} {what}"));
    }
}

impl Met {
    /// The host key's type and fingerprint.
    pub(crate) fn print(&self) -> String {
        format!("{} {}", self.key.kind(), self.key.fingerprint())
    }
}
