//! `acl apply`: makes the accounts and writes sshd's key files as the policy says.
//!
//! Everything is looked at before anything is changed, and nothing is changed if anything is wrong.
//! A key that was taken out of the policy is refused by the broker at once; this takes it out of
//! sshd's files too.

use super::accounts::{self, Found};
use super::{Policy, keyfile};
use crate::Ending;
use crate::output::{complain, say};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::CLUSTERS_DIR;
use xen_fence_broker::names::ClusterName;

/// Where sshd's AuthorizedKeysFile points.
pub(crate) const KEYS_DIR: &str = "/etc/xen-fence/keys";

/// One thing that is changed.
enum Change {
    MakeGroup,
    MakeAccount(String),
    /// Make the directory of the key files, or put its mode right.
    KeysDir,
    WriteKeys {
        path: PathBuf,
        text: String,
        /// Which callers and keys come and go.
        lines: Vec<String>,
    },
    RemoveKeys {
        path: PathBuf,
        why: String,
    },
}

/// Applies the host's policy.
pub(crate) fn run(dry_run: bool) -> Ending {
    if users::get_effective_uid() != 0 {
        complain("only root can apply the policy\n  hint: run it as root on dom0");
        return Ending::Unable;
    }
    let dir = Path::new(CLUSTERS_DIR);
    let policy = match Policy::load(dir) {
        Ok(policy) => policy,
        Err(error) => {
            complain(format_args!(
                "{CLUSTERS_DIR} cannot be read: {error}\n  hint: `make install-dom0` makes it"
            ));
            return Ending::Unable;
        }
    };
    let plan = match Plan::of(&policy) {
        Ok(plan) => plan,
        Err(ending) => return ending,
    };
    if plan.is_empty() {
        say("nothing to change: accounts and keys are as the policy says");
    }
    if dry_run {
        plan.show();
        Ending::Well
    } else {
        plan.carry_out()
    }
}

/// What has to be changed for accounts and keys to be as a policy says.
pub(crate) struct Plan(Vec<Change>);

impl Plan {
    /// Compares a policy with the host. If anything is wrong with either, says so.
    pub(crate) fn of(policy: &Policy) -> Result<Self, Ending> {
        let mut faults: Vec<String> = policy.broken.iter().map(ToString::to_string).collect();
        faults.extend(policy.conflicts().into_iter().map(|it| format!("{CLUSTERS_DIR}: {it}")));
        let keys = Path::new(KEYS_DIR);
        let changes = plan(policy, keys, 0, accounts::look_up, &mut faults).map_err(|error| {
            complain(format_args!("{KEYS_DIR} cannot be read: {error}"));
            Ending::Unable
        })?;
        if faults.is_empty() {
            return Ok(Self(changes));
        }
        for fault in faults {
            say(fault);
        }
        complain("nothing was changed: what is said above comes first");
        Err(Ending::Wrong)
    }

    /// Whether all is as the policy says.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Says what would be changed.
    pub(crate) fn show(&self) {
        for change in &self.0 {
            say(change.sentence("would"));
        }
    }

    /// Changes it, and says so.
    pub(crate) fn carry_out(&self) -> Ending {
        for change in &self.0 {
            if let Err(error) = change.carry_out() {
                complain(format_args!("{}: {error}", change.sentence("could not")));
                return Ending::Unable;
            }
            say(change.sentence(""));
        }
        Ending::Well
    }
}

/// Compares policy and host.
fn plan(
    policy: &Policy,
    keys: &Path,
    owner: u32,
    look_up: impl Fn(&str) -> Found,
    faults: &mut Vec<String>,
) -> io::Result<Vec<Change>> {
    let mut changes = Vec::new();
    if !policy.clusters.is_empty() && !accounts::group_exists() {
        changes.push(Change::MakeGroup);
    }
    for cluster in &policy.clusters {
        match look_up(&cluster.account()) {
            Found::Fits => {}
            Found::Missing => changes.push(Change::MakeAccount(cluster.account())),
            Found::Otherwise { why, hint } => faults.push(format!("{why}\n  hint: {hint}")),
        }
    }
    match fs::metadata(keys) {
        Ok(found) if found.is_dir() && found.uid() == owner => {
            if found.mode() & 0o7777 != DIR_MODE {
                changes.push(Change::KeysDir);
            }
        }
        Ok(_) => {
            let keys = keys.display();
            faults.push(format!("{keys} is not a directory of root's\n  hint: chown root {keys}"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => changes.push(Change::KeysDir),
        Err(error) => return Err(error),
    }
    for cluster in &policy.clusters {
        let path = keys.join(cluster.account());
        let text = keyfile::text(cluster);
        if keyfile::current(&path, owner).as_ref() == Some(&text) {
            continue;
        }
        // A pipe in its place is replaced, and not waited for.
        let is_file = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file());
        let old = is_file.then(|| fs::read_to_string(&path).ok()).flatten().unwrap_or_default();
        let (before, after) = (keyfile::callers(&old), keyfile::callers(&text));
        let gone = before.iter().filter(|line| !after.contains(line));
        let come = after.iter().filter(|line| !before.contains(line));
        let lines =
            gone.map(|it| format!("  - {it}")).chain(come.map(|it| format!("  + {it}"))).collect();
        changes.push(Change::WriteKeys { path, text, lines });
    }
    changes.extend(leftovers(policy, keys)?);
    Ok(changes)
}

/// Key files of clusters that the policy no longer has.
fn leftovers(policy: &Policy, keys: &Path) -> io::Result<Vec<Change>> {
    let entries = match fs::read_dir(keys) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_ours = policy.clusters.iter().any(|cluster| cluster.account() == name);
        // sshd reads no directory as keys, and who made it may want what is in it.
        if is_ours || path.is_dir() {
            continue;
        }
        let why = match ClusterName::from_account(name) {
            Some(cluster) => format!(
                "there is no policy for {cluster} any more; its account stays until \
                 `userdel {name}`"
            ),
            // sshd would take it for the keys of an account, whoever put it there.
            None => "it is the file of no cluster's account".to_owned(),
        };
        found.push(Change::RemoveKeys { path, why });
    }
    Ok(found)
}

impl Change {
    fn carry_out(&self) -> Result<(), String> {
        match self {
            Self::MakeGroup => accounts::make_group(),
            Self::MakeAccount(account) => accounts::make_account(account),
            Self::KeysDir => make_dir(Path::new(KEYS_DIR)).map_err(|error| error.to_string()),
            Self::WriteKeys { path, text, .. } => {
                keyfile::write(path, text).map_err(|error| error.to_string())
            }
            Self::RemoveKeys { path, .. } => {
                fs::remove_file(path).map_err(|error| error.to_string())
            }
        }
    }

    /// What is done; `mood` is "would", "could not" or nothing.
    fn sentence(&self, mood: &str) -> String {
        let (done, open) = match self {
            Self::MakeGroup => ("made", "make"),
            Self::MakeAccount(_) => ("made", "make"),
            Self::KeysDir => ("put in order", "put in order"),
            Self::WriteKeys { .. } => ("wrote", "write"),
            Self::RemoveKeys { .. } => ("removed", "remove"),
        };
        let what = match self {
            Self::MakeGroup => format!("the group {}", accounts::GROUP),
            Self::MakeAccount(account) => format!("the account {account}"),
            Self::KeysDir => KEYS_DIR.to_owned(),
            Self::WriteKeys { path, lines, .. } => {
                let head = path.display().to_string();
                std::iter::once(head).chain(lines.iter().cloned()).collect::<Vec<_>>().join("\n")
            }
            Self::RemoveKeys { path, why } => format!("{}: {why}", path.display()),
        };
        if mood.is_empty() { format!("{done} {what}") } else { format!("{mood} {open} {what}") }
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(DIR_MODE).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::set_permissions(dir, fs::Permissions::from_mode(DIR_MODE))
}

/// sshd reads the key files as the account.
const DIR_MODE: u32 = 0o755;

#[cfg(test)]
mod tests;
