//! `audit`: the policy against the living host. What would let too much through, and what would
//! make a fence fail. It changes nothing and kills nobody.
//!
//! What could not be looked at is a finding as well: nothing unknown reads as an all-clear.

mod finding;
mod guests;
mod host;
mod html;
mod report;
mod text;

use crate::Ending;
use crate::acl::Policy;
use crate::output::{complain, say};
pub(crate) use finding::{Code, Finding, Severity};
use std::cell::OnceCell;
use std::path::Path;
use xen_fence_broker::acl::CLUSTERS_DIR;
use xen_fence_broker::names::ClusterName;

/// How an audit is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A table for the eye
    Table,
    /// One JSON object
    Json,
    /// One page for an auditor to file: with a picture of who may do what to whom, and who killed whom
    Html,
}

/// What every look of the audit starts from.
pub(crate) struct Scene {
    /// Every cluster's policy.
    pub(crate) policy: Policy,
    guests: OnceCell<guests::Guests>,
    journals: OnceCell<host::journals::Journals>,
}

impl Scene {
    const fn of(policy: Policy) -> Self {
        Self { policy, guests: OnceCell::new(), journals: OnceCell::new() }
    }

    /// What runs and what is configured, looked at once.
    fn guests(&self) -> &guests::Guests {
        self.guests.get_or_init(|| guests::Guests::see(&self.policy))
    }

    /// The journals and what syslog says of them, read once.
    fn journals(&self) -> &host::journals::Journals {
        self.journals.get_or_init(|| host::journals::Journals::read(&self.policy))
    }

    /// The names of the domains that run and are in no cluster.
    fn strays(&self) -> Vec<String> {
        guests::strays(&self.policy, self.guests())
    }
}

/// A family of looks: the codes that it can raise, and the look itself.
struct Family {
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds them against docs/audit.md"))]
    codes: &'static [&'static Code],
    look: fn(&Scene) -> Vec<Finding>,
}

/// All of them, in the order of the report.
const FAMILIES: &[Family] = &[
    host::look::FAMILY,
    host::policy::FAMILY,
    host::keys::FAMILY,
    host::key_files::FAMILY,
    host::files::FAMILY,
    host::accounts::FAMILY,
    host::sudo::FAMILY,
    host::sshd::FAMILY,
    host::names::FAMILY,
    host::programs::FAMILY,
    host::room::FAMILY,
    host::witnesses::FAMILY,
    host::xen::FAMILY,
    guests::CLAIMS,
    guests::SHARES,
    guests::CACHE,
    guests::PRESENCE,
    guests::CONFIGS,
    guests::DEVICES,
    guests::RIGHTS,
    guests::RESTARTERS,
];

/// Audits the host, or one cluster of it.
pub(crate) fn run(cluster: Option<&str>, format: Format) -> Ending {
    let cluster = match cluster.map(ClusterName::parse).transpose() {
        Ok(cluster) => cluster,
        Err(error) => {
            complain(format_args!("{error}\n  hint: {}", error.hint()));
            return Ending::Unable;
        }
    };
    let policy = match Policy::load(Path::new(CLUSTERS_DIR)) {
        Ok(policy) => policy,
        Err(error) => {
            complain(format_args!(
                "{CLUSTERS_DIR} cannot be read: {error}\n  hint: run it as root on dom0"
            ));
            return Ending::Unable;
        }
    };
    if let Some(cluster) = &cluster
        && !policy.speaks_of(cluster)
    {
        let known: Vec<&str> =
            policy.clusters.iter().map(|cluster| cluster.name().as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        complain(format_args!(
            "no file in {CLUSTERS_DIR} is the policy of {cluster}; it has those of: {known}\n  \
             hint: without --cluster the whole host is audited"
        ));
        return Ending::Unable;
    }
    let scene = Scene::of(policy);
    let mut findings: Vec<Finding> =
        FAMILIES.iter().flat_map(|family| (family.look)(&scene)).collect();
    if let Some(cluster) = &cluster {
        findings.retain(|finding| finding.concerns(cluster.as_str()));
    }
    findings.sort_by(|a, b| (b.code.severity, a.code.id).cmp(&(a.code.severity, b.code.id)));
    let worst = findings.iter().map(|finding| finding.code.severity).max();
    match format {
        Format::Table => text::table(&findings),
        Format::Json => text::json(&findings),
        Format::Html => {
            say(html::page(&report::of(&scene, cluster.as_ref(), findings)));
        }
    }
    match worst {
        None | Some(Severity::Note) => Ending::Well,
        Some(Severity::Warning) => Ending::Wrong,
        Some(Severity::Serious) => Ending::Serious,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_one_of_its_kind_and_documented() {
        let codes: Vec<_> = FAMILIES.iter().flat_map(|family| family.codes).collect();
        let ids: BTreeSet<_> = codes.iter().map(|code| code.id).collect();
        assert_eq!(ids.len(), codes.len());
        let page = include_str!("../../../../docs/audit.md");
        for code in codes {
            assert!(page.contains(&format!("### {} {}", code.id, code.title)), "{code:?}");
        }
    }
}
