//! The journal and syslog: would what is done tomorrow be on record, and is what was done still?

use super::journals::Chain;
use super::look::{self, About, finding, finding_of, quoted_path};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use crate::log::{self, ASIDE, Syslog};
use std::fs;
use std::io;
use std::path::Path;
use xen_fence_broker::journal::{JOURNAL_DIR, Journal, old_files};
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

/// What tells more of a journal that was not read.
const VERIFY: &str = "xen-fence-admin log --verify";

fn look(scene: &Scene) -> Vec<Finding> {
    let mut findings: Vec<Finding> = syslog_is_read().into_iter().collect();
    match look::in_time(JOURNAL_DIR, blocked) {
        Ok(None) => {}
        Ok(Some(blocked)) => {
            findings.push(blocked);
            return findings;
        }
        Err(why) => {
            let mend = "see with findmnt which file system does not answer";
            findings.push(look::unseen(About::AFence, JOURNAL_DIR, why, mend));
            return findings;
        }
    }
    let journals = scene.journals();
    let unseen = |what: &str, why: &str| look::unseen(About::AFence, what, why, VERIFY);
    findings.extend(journals.unread.iter().map(|why| unseen("syslog and the journals", why)));
    for Chain { cluster, came_to } in &journals.chains {
        let path = log::journal_of(cluster);
        let is_served = scene.policy.clusters.iter().any(|policy| policy.name() == cluster);
        if let Some(unwritable) = is_served.then(|| writable(cluster, &path)).flatten() {
            findings.push(unwritable);
            continue;
        }
        findings.extend(match came_to {
            Ok(found) => found
                .as_ref()
                .and_then(|found| found.broken.first())
                .map(|first| broken(cluster, &path, first, &journals.syslog)),
            Err(unread) => {
                let clusters = vec![cluster.to_string()];
                let about = path.display().to_string();
                Some(Finding { clusters, ..unseen(&about, &unread.why) })
            }
        });
    }
    findings
}

/// What stands in the place of the directory of all journals, or of one on the way to it.
fn blocked() -> Option<Finding> {
    let mut dirs: Vec<&Path> = Path::new(JOURNAL_DIR).ancestors().collect();
    dirs.reverse();
    let (dir, why) = dirs.into_iter().find_map(|dir| {
        let why = match fs::metadata(dir) {
            Ok(found) if found.is_dir() => return None,
            Ok(_) => "it is not a directory".to_owned(),
            // It is made with the first record; a link that leads nowhere is not.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_link(dir) => return None,
            // That is told of each journal.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return None,
            Err(error) => error.to_string(),
        };
        Some((dir, why))
    })?;
    let why = format!("{}: {why}, and every journal lies in it", dir.display());
    let mend = if dir == Path::new(JOURNAL_DIR) {
        format!("mkdir -p -m 0700 {ASIDE} && mv --backup=numbered {JOURNAL_DIR} {ASIDE}/")
    } else {
        format!("see what it is, and make it a directory: ls -ld {}", quoted_path(dir))
    };
    Some(finding(&UNWRITABLE, dir.display(), why, mend))
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// Tries a journal that is there. One that was never written, or was just set aside, is made with its
/// next record.
fn writable(cluster: &ClusterName, path: &Path) -> Option<Finding> {
    let of_thread = path.to_owned();
    let there = look::in_time("it", move || fs::symlink_metadata(of_thread).is_ok());
    let why =
        there.is_ok_and(|there| there).then(|| Journal::at(path.to_owned()).probe().err())??;
    let file = quoted_path(path);
    let mend = format!("mkdir -p -m 0700 {ASIDE} && mv --backup=numbered {file} {ASIDE}/");
    Some(finding_of(&[cluster], &UNWRITABLE, path.display(), why, mend))
}

fn broken(cluster: &ClusterName, path: &Path, first: &str, syslog: &Syslog) -> Finding {
    let evidence = format!(
        "{first}; syslog has the head of the chain with each record. Set aside, the journal stays \
         for whoever has to look into it, with what syslog says of it, and a new one begins"
    );
    let of_thread = path.to_owned();
    let files = look::in_time("its files", move || files(&of_thread)).unwrap_or_default();
    let moved =
        (!files.is_empty()).then(|| format!("mv --backup=numbered {} {ASIDE}/", files.join(" ")));
    let steps = [Some(format!("mkdir -p -m 0700 {ASIDE}")), moved, syslog.setting_aside(cluster)];
    let mend = steps.into_iter().flatten().collect::<Vec<_>>().join(" && ");
    finding_of(&[cluster], &CHAIN, path.display(), evidence, mend)
}

/// The files of a journal that are there, for a shell.
fn files(path: &Path) -> Vec<String> {
    let file = quoted_path(path);
    let old = old_files(path).is_ok_and(|files| !files.is_empty());
    let old = old.then(|| format!("{file}.[0-9]*"));
    fs::symlink_metadata(path).ok().map(|_| file).into_iter().chain(old).collect()
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
