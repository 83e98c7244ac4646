//! The journal and syslog: would what is done tomorrow be on record, and is what was done still?

use super::look::{self, About, finding, finding_of, quoted_path};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use crate::log;
use std::fs;
use std::path::Path;
use std::time::Duration;
use xen_fence_broker::bounded;
use xen_fence_broker::journal::{JOURNAL_DIR, Journal};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::syslog;

const CHAIN: Code =
    Code { id: "XF144", severity: Severity::Warning, title: "a journal's chain is broken" };
const UNWRITABLE: Code =
    Code { id: "XF145", severity: Severity::Warning, title: "a journal cannot be written" };
const SYSLOG: Code =
    Code { id: "XF146", severity: Severity::Warning, title: "syslog takes nothing" };

/// The journals and syslog.
pub(crate) const FAMILY: Family = Family { codes: &[&CHAIN, &UNWRITABLE, &SYSLOG], look };

/// How long reading a journal may take: some hundreds of megabytes.
const READING: Duration = Duration::from_secs(30);
/// Where a journal goes that is no longer added to.
const ASIDE: &str = "/var/lib/xen-fence/journal-broken";

fn look(scene: &Scene) -> Vec<Finding> {
    let mut findings: Vec<Finding> = syslog_is_read().into_iter().collect();
    for cluster in scene.policy.clusters.iter().map(|cluster| cluster.name()) {
        let path = Path::new(JOURNAL_DIR).join(format!("{cluster}.jsonl"));
        // One that was never written is made with its first record.
        if fs::symlink_metadata(&path).is_err() {
            continue;
        }
        findings.extend(writable(cluster, &path).or_else(|| holds(cluster, &path)));
    }
    findings
}

fn writable(cluster: &ClusterName, path: &Path) -> Option<Finding> {
    let why = Journal::at(path.to_owned()).probe().err()?;
    let file = quoted_path(path);
    let mend = format!("mkdir -p -m 0700 {ASIDE} && mv --backup=numbered {file} {ASIDE}/");
    Some(finding_of(&[cluster], &UNWRITABLE, path.display(), why, mend))
}

fn holds(cluster: &ClusterName, path: &Path) -> Option<Finding> {
    let (of_thread, about) = (cluster.clone(), path.display());
    let why = match bounded::within(READING, move || log::breaks(&of_thread)) {
        Ok(Ok(breaks)) => return breaks.first().map(|first| broken(cluster, path, first)),
        Ok(Err(error)) => format!("it cannot be read: {error}"),
        Err(undone) => format!("it was not read {undone}"),
    };
    Some(look::unseen(About::AFence, &about.to_string(), why, "xen-fence-admin log --verify"))
}

fn broken(cluster: &ClusterName, path: &Path, first: &str) -> Finding {
    let evidence = format!(
        "{first}; syslog has the head of the chain with each record. Set aside, the journal stays \
         for whoever has to look into it, and a new one begins"
    );
    let file = quoted_path(path);
    let old = if has_old_files(path) { format!(" {file}.[0-9]*") } else { String::new() };
    let mend = format!("mkdir -p -m 0700 {ASIDE} && mv --backup=numbered {file}{old} {ASIDE}/");
    finding_of(&[cluster], &CHAIN, path.display(), evidence, mend)
}

fn has_old_files(path: &Path) -> bool {
    xen_fence_broker::journal::old_files(path).is_ok_and(|files| !files.is_empty())
}

fn syslog_is_read() -> Option<Finding> {
    let why = syslog::probe("xen-fence-admin audit asks whether this is read").err()?;
    let evidence = format!(
        "{why}: what the broker does is in its journal alone, and a login through the host's own \
         sshd may hang"
    );
    let mend = if Path::new("/run/systemd/journal").is_dir() {
        "systemctl restart systemd-journald.service"
    } else {
        "start the host's syslog daemon again"
    };
    Some(finding(&SYSLOG, "/dev/log", evidence, mend))
}
