//! Policy and settings that the broker refuses, files that it never reads, and what it keeps that
//! cannot be read.

use super::look::{finding, finding_of};
use crate::acl::Policy;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::path::Path;
use xen_fence_broker::acl::{CLUSTERS_DIR, PolicyError};
use xen_fence_broker::hold::{HOLDS_DIR, Holds};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::serve::RUN_DIR;
use xen_fence_broker::settings::{self, SETTINGS_FILE, Settings, SettingsError};
use xen_fence_broker::state::State;

const REFUSED: Code = Code {
    id: "XF110",
    severity: Severity::Serious,
    title: "a policy file is refused, and its cluster with it",
};
const SETTINGS: Code = Code {
    id: "XF111",
    severity: Severity::Serious,
    title: "broker.toml is refused, and every request with it",
};
const IGNORED: Code =
    Code { id: "XF112", severity: Severity::Note, title: "a file among the policy is never read" };
const HOLDS: Code =
    Code { id: "XF118", severity: Severity::Warning, title: "the holds cannot be read" };
const STATE: Code = Code {
    id: "XF119",
    severity: Severity::Warning,
    title: "what the broker remembers cannot be read",
};

/// The policy and what the broker keeps beside it.
pub(crate) const FAMILY: Family =
    Family { codes: &[&REFUSED, &SETTINGS, &IGNORED, &HOLDS, &STATE], look };

fn look(scene: &Scene) -> Vec<Finding> {
    let mut findings = refused(&scene.policy);
    findings.extend(settings().err().map(|error| of_error(&[], &SETTINGS, &error)));
    for path in &scene.policy.ignored {
        let path = path.display();
        let evidence = "its name is not that of a cluster with .toml behind it, so whatever it \
                        grants is not granted";
        let mend = format!("mv {} /root/", super::look::quoted(&path.to_string()));
        findings.push(finding(&IGNORED, path, evidence, mend));
    }
    for cluster in scene.policy.clusters.iter().map(|cluster| cluster.name()) {
        findings.extend(holds_of(cluster));
        findings.extend(state_of(cluster));
    }
    findings
}

/// The host's settings, as the broker reads them.
pub(super) fn settings() -> Result<Settings, SettingsError> {
    settings::load(Path::new(SETTINGS_FILE))
}

/// A fault of the directory is every cluster's, and told once.
fn refused(policy: &Policy) -> Vec<Finding> {
    let of_directory = |error: &&PolicyError| error.file() == Path::new(CLUSTERS_DIR);
    let mut findings: Vec<Finding> = policy
        .broken
        .iter()
        .filter(|error| !of_directory(error))
        .map(|error| {
            let name = error.file().file_stem().and_then(|stem| stem.to_str());
            let cluster = name.and_then(|name| ClusterName::parse(name).ok());
            of_error(cluster.as_slice(), &REFUSED, error)
        })
        .collect();
    findings.extend(policy.broken.iter().find(of_directory).map(|e| of_error(&[], &REFUSED, e)));
    findings
}

fn of_error(clusters: &[ClusterName], code: &'static Code, error: &PolicyError) -> Finding {
    let about = match error.place() {
        Some(place) => format!("{}:{}:{}", error.file().display(), place.line, place.column),
        None => error.file().display().to_string(),
    };
    // Nobody's shell shall run what is only quoted.
    let mend = error.hint().map_or_else(
        || format!("correct {about}; xen-fence-admin acl check shows the place"),
        |hint| hint.replace('`', "\""),
    );
    let clusters: Vec<_> = clusters.iter().collect();
    finding_of(&clusters, code, about, error.one_line(), mend)
}

fn holds_of(cluster: &ClusterName) -> Option<Finding> {
    let unreadable = Holds::of(Path::new(HOLDS_DIR), cluster).in_force().err()?;
    let path = format!("{HOLDS_DIR}/{cluster}.json");
    let command = unreadable.hint().and_then(command_of);
    let mend = command.unwrap_or_else(|| format!("mv {path} {path}.damaged"));
    let evidence = format!("{unreadable}; until it can be read, no hold of {cluster} is in force");
    Some(finding_of(&[cluster], &HOLDS, path, evidence, mend))
}

/// What a hint says to type, if it does: it stands at its end, behind the words.
fn command_of(hint: &str) -> Option<String> {
    let end = hint.rsplit_once(": ").map_or(hint, |(_, command)| command);
    // Root's alone, as the directory was made.
    let end = if end.ends_with(HOLDS_DIR) { end.replace("go-w", "0700") } else { end.to_owned() };
    ["chmod ", "chown ", "mv "].iter().any(|it| end.starts_with(it)).then_some(end)
}

fn state_of(cluster: &ClusterName) -> Option<Finding> {
    let path = format!("{RUN_DIR}/{cluster}.state");
    let damage = State::at(path.clone().into()).recall().damage?;
    let evidence = format!("{damage}; a repeated request may kill twice, and no brake counts");
    let mend = format!("rm -r {path}");
    Some(finding_of(&[cluster], &STATE, path, evidence, mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_hint_says_to_type_is_the_mend() {
        let hint = "see what it still says, move it away and set the holds again: mv a a.damaged";
        assert_eq!(command_of(hint).as_deref(), Some("mv a a.damaged"));
        assert_eq!(command_of("chmod go-w /a").as_deref(), Some("chmod go-w /a"));
        let dir = command_of(&format!("chmod go-w {HOLDS_DIR}"));
        assert_eq!(dir, Some(format!("chmod 0700 {HOLDS_DIR}")));
        assert_eq!(command_of("move it away, and put a plain file at /a"), None);
    }
}
