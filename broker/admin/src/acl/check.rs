//! `acl check`: says whether the policy is as it should be, and where not. Changes nothing.

use super::{Policy, cluster_of};
use crate::Ending;
use crate::output::{complain, say};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster, load};
use xen_fence_broker::settings;

/// Checks the given files, or all of the host's.
pub(crate) fn run(files: &[PathBuf]) -> Ending {
    if files.is_empty() {
        check_host(Path::new(CLUSTERS_DIR), Path::new(settings::SETTINGS_FILE))
    } else {
        let endings: Vec<_> = files.iter().map(|file| check_file(file)).collect();
        [Ending::Unable, Ending::Wrong]
            .into_iter()
            .find(|ending| endings.contains(ending))
            .unwrap_or(Ending::Well)
    }
}

fn check_host(dir: &Path, settings_file: &Path) -> Ending {
    let policy = match Policy::load(dir) {
        Ok(policy) => policy,
        Err(error) => {
            complain(format_args!(
                "{} cannot be read: {error}\n  hint: run it as root on dom0; `make install-dom0` \
                 makes the directory",
                dir.display()
            ));
            return Ending::Unable;
        }
    };
    let mut ending = Ending::Well;
    for cluster in &policy.clusters {
        say(format_args!("{}/{}.toml: {}", dir.display(), cluster.name(), summary(cluster)));
    }
    for error in &policy.broken {
        say(error);
        ending = Ending::Wrong;
    }
    for conflict in policy.conflicts() {
        say(format_args!("{}: {conflict}", dir.display()));
        ending = Ending::Wrong;
    }
    for path in &policy.ignored {
        say(format_args!(
            "{}: not read: its name is not that of a cluster with .toml behind it",
            path.display()
        ));
    }
    if policy.clusters.is_empty() && policy.broken.is_empty() {
        say(format_args!("{}: no cluster: nobody may do anything", dir.display()));
    }
    match settings::load(settings_file) {
        Ok(settings) => {
            let which = settings.toolstack();
            say(format_args!("{}: ok: toolstack {which}", settings_file.display()));
        }
        Err(error) => {
            say(error);
            ending = Ending::Wrong;
        }
    }
    ending
}

/// Checks one file by itself: as the broker would read it where it lies among the policy, else its
/// text alone, so that a draft can be checked by anybody before it is installed.
fn check_file(path: &Path) -> Ending {
    let Some(name) = cluster_of(path) else {
        complain(format_args!(
            "{}: its name is not that of a cluster with .toml behind it\n  hint: a cluster's name \
             is a lower-case letter, then at most 25 lower-case letters, digits and hyphens",
            path.display()
        ));
        return Ending::Unable;
    };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_installed = fs::canonicalize(dir)
        .is_ok_and(|dir| fs::canonicalize(CLUSTERS_DIR).is_ok_and(|policy| policy == dir));
    let result = if is_installed {
        load(Path::new(CLUSTERS_DIR), &name)
    } else {
        match read(path) {
            Ok(text) => load::parse_as(path, &name, &text),
            Err(error) => {
                complain(format_args!("{} cannot be read: {error}", path.display()));
                return Ending::Unable;
            }
        }
    };
    match result {
        Ok(cluster) => {
            say(format_args!("{}: {}", path.display(), summary(&cluster)));
            Ending::Well
        }
        Err(error) => {
            say(error);
            Ending::Wrong
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(load::MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
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
