//! sshd's key files against the policy: who could log in though the policy does not know him, and
//! who could not though it does.

use super::look::{self, About, finding, finding_of, text};
use super::{files, sshd};
use crate::acl::apply::KEYS_DIR;
use crate::acl::{accounts, keyfile};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster};

const EXTRA: Code = Code {
    id: "XF005",
    severity: Severity::Serious,
    title: "sshd's key file lets in whom the policy does not know",
};
const STRAY: Code =
    Code { id: "XF006", severity: Severity::Serious, title: "a key file is that of no cluster" };
const LACKING: Code = Code {
    id: "XF117",
    severity: Severity::Serious,
    title: "sshd's key file does not let in whom the policy knows",
};

/// Key files and the policy.
pub(crate) const FAMILY: Family = Family { codes: &[&EXTRA, &STRAY, &LACKING], look: look_at };

const APPLY: &str = "xen-fence-admin acl apply";

fn look_at(scene: &Scene) -> Vec<Finding> {
    let clusters = &scene.policy.clusters;
    let mut findings: Vec<Finding> = clusters.iter().flat_map(of_cluster).collect();
    if !clusters.is_empty() && sshd::reads_key_files() {
        findings.extend(barred(clusters));
    }
    let broken = scene.policy.broken.iter().filter_map(|error| error.file().file_stem()?.to_str());
    let mut known: BTreeSet<String> = broken.map(|stem| format!("fence-{stem}")).collect();
    known.extend(clusters.iter().map(Cluster::account));
    // Where no policy can be read, every key file would be one.
    if scene.policy.broken.iter().any(|error| error.file() == Path::new(CLUSTERS_DIR)) {
        return findings;
    }
    match look::in_time(KEYS_DIR, || names_in(Path::new(KEYS_DIR))) {
        Ok(names) => findings.extend(names.iter().filter(|name| !known.contains(*name)).map(stray)),
        Err(why) => findings.push(look::unseen(
            About::TooMuch,
            KEYS_DIR,
            why,
            "see with findmnt which file system does not answer",
        )),
    }
    findings
}

/// Directories above the key files that the accounts do not get through.
fn barred(clusters: &[Cluster]) -> Vec<Finding> {
    let names: Vec<_> = clusters.iter().map(Cluster::name).collect();
    let looked = look::in_time(KEYS_DIR, || {
        let mut places = files::passed(Path::new(KEYS_DIR));
        places.retain(|place| {
            let found = fs::symlink_metadata(place);
            found.is_ok_and(|it| it.is_dir() && !accounts::get_through(&it))
        });
        places
    });
    let barred = match looked {
        Ok(places) => places,
        Err(why) => {
            let mend = "see with findmnt which file system does not answer";
            return vec![look::unseen(About::AFence, KEYS_DIR, why, mend)];
        }
    };
    let of_place = |place: &PathBuf| {
        let evidence = "sshd reads the key files as the account, which does not get through this \
                        directory: every login is refused";
        let mend = format!("chmod go+x {}", look::quoted_path(place));
        finding_of(&names, &LACKING, place.display(), evidence, mend)
    };
    barred.iter().map(of_place).collect()
}

/// What is not there holds no key.
fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .filter(|entry| !entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

fn stray(name: &String) -> Finding {
    let evidence = "sshd takes it for the keys of the account with this name, and no policy knows \
                    the account";
    finding(&STRAY, format!("{KEYS_DIR}/{name}"), evidence, APPLY)
}

fn of_cluster(cluster: &Cluster) -> Vec<Finding> {
    let path = Path::new(KEYS_DIR).join(cluster.account());
    let about = path.display();
    let clusters = [cluster.name()];
    let there = match text(&path) {
        Ok(text) => text.unwrap_or_default(),
        Err(why) => {
            let place = path.clone();
            let is_dir = look::in_time(KEYS_DIR, move || place.is_dir()).unwrap_or(false);
            // Anything else gives way to the file that takes its place.
            let away = if is_dir { format!("mv {about} /root/ && ") } else { String::new() };
            let mend = format!("{away}{APPLY}");
            return vec![finding_of(&clusters, &LACKING, &about, why, mend)];
        }
    };
    let wanted = keyfile::text(cluster);
    let (there_lines, wanted_lines) = (lines(&there), lines(&wanted));
    let mut findings = Vec::new();
    let extra: Vec<_> = there_lines.difference(&wanted_lines).map(|line| told(line)).collect();
    if !extra.is_empty() {
        let evidence = format!("it has lines that the policy does not give: {}", extra.join("; "));
        findings.push(finding_of(&clusters, &EXTRA, &about, evidence, APPLY));
    }
    let lacking: Vec<_> = wanted_lines.difference(&there_lines).map(|line| told(line)).collect();
    if !lacking.is_empty() {
        let evidence = format!("it lacks lines that the policy gives: {}", lacking.join("; "));
        findings.push(finding_of(&clusters, &LACKING, &about, evidence, APPLY));
    } else if keyfile::current(&path, 0).is_none() && files::is_tight(&path) {
        let evidence = "sshd cannot read it as the account: it has to be a plain file of root's \
                        with the mode 0644";
        findings.push(finding_of(&clusters, &LACKING, &about, evidence, APPLY));
    }
    findings
}

/// The lines that sshd takes for keys.
fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Whose line it is, or how it begins.
fn told(line: &str) -> String {
    let caller = keyfile::callers(line).first().map(|caller| (*caller).to_owned());
    caller.unwrap_or_else(|| line.chars().take(60).collect())
}
