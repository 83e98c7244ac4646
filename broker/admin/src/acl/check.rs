//! `acl check`: says whether the policy is as it should be, and where not. Changes nothing.

mod configuration;

use super::Policy;
use super::source::{Source, Unread};
use crate::output::{complain, escaped_json, say};
use crate::{Ending, Format};
use serde_json::json;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster, PolicyError};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::settings;

/// How much something matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// It is as it should be.
    Ok,
    /// Worth knowing, and nothing is wrong.
    Note,
    /// It is wrong.
    Error,
    /// It could not be looked at.
    Unable,
}

/// One thing that is said of a file.
#[derive(Debug)]
struct Finding {
    level: Level,
    file: PathBuf,
    place: Option<(usize, usize)>,
    message: String,
    hint: Option<String>,
    /// As a person reads it, over several lines.
    shown: String,
}

/// Checks the given files, or all of the host's.
pub(crate) fn run(files: &[PathBuf], format: Format) -> Ending {
    let findings = if files.is_empty() {
        of_host(Path::new(CLUSTERS_DIR), Path::new(settings::SETTINGS_FILE))
    } else {
        of_files(files)
    };
    for finding in &findings {
        match (format, finding.level) {
            (Format::Json, _) => {
                say(escaped_json(&finding.object().to_string()));
            }
            (Format::Table, Level::Unable) => complain(&finding.shown),
            (Format::Table, _) => {
                say(&finding.shown);
            }
        }
    }
    match findings.iter().map(|finding| finding.level).max() {
        Some(Level::Ok | Level::Note) | None => Ending::Well,
        Some(Level::Error) => Ending::Wrong,
        Some(Level::Unable) => Ending::Unable,
    }
}

/// What there is to say of the policy and the settings of this host.
fn of_host(dir: &Path, settings_file: &Path) -> Vec<Finding> {
    let policy = match Policy::load(dir) {
        Ok(policy) => policy,
        Err(error) => {
            let message = format!("{} cannot be read: {error}", dir.display());
            let hint = "run it as root on dom0; `make install-dom0` makes the directory";
            return vec![Finding::of(Level::Unable, dir, message).with_hint(hint)];
        }
    };
    let mut findings = Vec::new();
    for cluster in &policy.clusters {
        let file = dir.join(format!("{}.toml", cluster.name()));
        findings.push(Finding::summary(&file, cluster));
        findings.extend(configuration::check(cluster, &file, false));
    }
    findings.extend(policy.broken.iter().map(Finding::of_policy));
    for conflict in policy.conflicts() {
        findings.push(Finding::about(Level::Error, dir, conflict.to_string()));
    }
    for path in &policy.ignored {
        let message = "not read: its name is not that of a cluster with .toml behind it";
        findings.push(Finding::about(Level::Note, path, message.to_owned()));
    }
    if policy.clusters.is_empty() && policy.broken.is_empty() {
        let message = "no cluster: nobody may do anything".to_owned();
        findings.push(Finding::about(Level::Note, dir, message));
    }
    findings.push(match settings::load(settings_file) {
        Ok(settings) => {
            let message = format!("ok: toolstack {}", settings.toolstack());
            Finding::about(Level::Ok, settings_file, message)
        }
        Err(error) => Finding::of_policy(&error),
    });
    findings
}

/// What there is to say of these files: of each by itself, and of what two of them cannot have in
/// common.
fn of_files(files: &[PathBuf]) -> Vec<Finding> {
    let mut policy = Policy::default();
    let mut findings = Vec::new();
    let mut read: Vec<(&Path, ClusterName)> = Vec::new();
    for file in files {
        let (cluster, said) = of_file(file);
        findings.extend(said);
        if let Some(cluster) = cluster {
            read.push((file, cluster.name().clone()));
            policy.clusters.push(cluster);
        }
    }
    for conflict in policy.conflicts() {
        let of_later = read.iter().rev().find(|(_, name)| *name == conflict.cluster);
        let file = of_later.map_or(Path::new(""), |(file, _)| *file);
        findings.push(Finding::about(Level::Error, file, conflict.to_string()));
    }
    findings
}

/// The cluster of one file and what there is to say of it: as the broker would read it where it lies
/// among the policy, else its text alone, so that a draft can be checked by anybody before it is
/// installed.
fn of_file(path: &Path) -> (Option<Cluster>, Vec<Finding>) {
    let read = |source: Source| Ok((source.read()?, source.is_draft));
    match Source::of_file(path).map_err(Unread::from).and_then(read) {
        Ok((cluster, is_draft)) => {
            let mut findings = vec![Finding::summary(path, &cluster)];
            findings.extend(configuration::check(&cluster, path, is_draft));
            (Some(cluster), findings)
        }
        Err(Unread::Refused(error)) => (None, vec![Finding::of_policy(&error)]),
        Err(Unread::Unable((message, hint))) => {
            (None, vec![Finding::of(Level::Unable, path, message).with_hint(&hint)])
        }
    }
}

impl Finding {
    /// A sentence that names the file itself.
    fn of(level: Level, file: &Path, message: String) -> Self {
        Self {
            level,
            file: file.to_owned(),
            place: None,
            shown: message.clone(),
            message,
            hint: None,
        }
    }

    /// A sentence that is shown behind the file's name.
    fn about(level: Level, file: &Path, message: String) -> Self {
        let shown = format!("{}: {message}", file.display());
        Self { shown, ..Self::of(level, file, message) }
    }

    fn summary(file: &Path, cluster: &Cluster) -> Self {
        Self::about(Level::Ok, file, summary(cluster))
    }

    fn of_policy(error: &PolicyError) -> Self {
        Self {
            level: Level::Error,
            file: error.file().to_owned(),
            place: error.place().map(|place| (place.line, place.column)),
            message: error.message().to_owned(),
            hint: error.hint().map(str::to_owned),
            shown: error.to_string(),
        }
    }

    fn with_hint(self, hint: &str) -> Self {
        let shown = format!("{}\n  hint: {hint}", self.shown);
        Self { hint: Some(hint.to_owned()), shown, ..self }
    }

    fn object(&self) -> serde_json::Value {
        json!({
            "file": self.file.display().to_string(),
            "level": self.level.word(),
            "line": self.place.map(|(line, _)| line),
            "column": self.place.map(|(_, column)| column),
            "message": self.message,
            "hint": self.hint,
        })
    }
}

impl Level {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Error => "error",
            Self::Unable => "unable",
        }
    }
}

fn summary(cluster: &Cluster) -> String {
    let count = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    let actions: Vec<_> = cluster.actions().iter().map(|action| action.word()).collect();
    let actions = if actions.is_empty() { "look only".to_owned() } else { actions.join(" ") };
    let brake = cluster.brake().map_or_else(String::new, |brake| format!("; brake: {brake}"));
    format!(
        "ok: {}, {}; nodes may: {actions}{brake}",
        count(cluster.nodes().len(), "node"),
        count(cluster.operators().len(), "operator"),
    )
}

#[cfg(test)]
mod tests;
