//! The clusters' accounts: each is to be able to do one thing, and always able to do it.

mod entry;
mod own;

use super::look::{self, About, finding_of, quoted};
use crate::acl::accounts::{GROUP, LAUNCHER};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use entry::{Entry, Shadow, Tables};
pub(super) use own::KEY_FILES;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::Cluster;
use xen_fence_broker::names::ClusterName;

const GROUPS: Code =
    Code { id: "XF007", severity: Severity::Warning, title: "an account is in other groups" };
const PASSWORD: Code =
    Code { id: "XF008", severity: Severity::Serious, title: "an account has a password" };
const SHELL: Code =
    Code { id: "XF010", severity: Severity::Serious, title: "an account has another login shell" };
const USER_ID: Code =
    Code { id: "XF011", severity: Severity::Serious, title: "an account's user id is not its own" };
const MISSING: Code =
    Code { id: "XF113", severity: Severity::Serious, title: "an account is missing" };
const NO_GROUP: Code = Code {
    id: "XF114",
    severity: Severity::Serious,
    title: "an account is not in the group xen-fence",
};
const LOCKED: Code =
    Code { id: "XF115", severity: Severity::Serious, title: "an account is locked" };
const AGES: Code =
    Code { id: "XF116", severity: Severity::Serious, title: "an account or its password expires" };

/// The accounts.
pub(crate) const FAMILY: Family = Family {
    codes: &[
        &GROUPS,
        &PASSWORD,
        &own::KEYS,
        &SHELL,
        &USER_ID,
        &own::HOME,
        &own::STARTS,
        &MISSING,
        &NO_GROUP,
        &LOCKED,
        &AGES,
    ],
    look: look_at,
};

/// An account that is a cluster's, or was one's.
pub(super) struct Account<'a> {
    pub(super) cluster: ClusterName,
    /// What speaks for it; none where the policy file is refused, or gone.
    pub(super) policy: Option<&'a Cluster>,
    /// Whether it is in the group, so that sshd and sudo know it as ours.
    pub(super) is_known: bool,
    /// Where sshd looks for what is his, and his number; of who is not there, root's.
    pub(super) home: PathBuf,
    pub(super) uid: u32,
}

impl Account<'_> {
    pub(super) fn name(&self) -> String {
        self.cluster.account()
    }
}

/// The accounts that are there.
pub(super) fn existing(scene: &Scene) -> Vec<Account<'_>> {
    let Ok(tables) = Tables::read() else { return Vec::new() };
    let mut found = all(scene, &tables);
    found.retain(|account| tables.entry(&account.name()).is_some());
    found
}

/// The finding for a file of keys that are not the policy's, of which sshd lets an account in.
pub(super) fn with_keys(cluster: &ClusterName, file: &Path, evidence: String) -> Finding {
    own::with_keys(cluster, file, evidence)
}

/// Those of all policy files, also of refused ones, and those of the group that are left from others.
fn all<'a>(scene: &'a Scene, tables: &Tables) -> Vec<Account<'a>> {
    let members = tables.members(GROUP);
    let left = members.iter().filter_map(|name| ClusterName::from_account(name));
    let refused = scene
        .policy
        .broken
        .iter()
        .filter_map(|error| ClusterName::parse(error.file().file_stem()?.to_str()?).ok());
    let mut found: BTreeMap<ClusterName, Option<&Cluster>> =
        left.chain(refused).map(|cluster| (cluster, None)).collect();
    let served = scene.policy.clusters.iter();
    found.extend(served.map(|cluster| (cluster.name().clone(), Some(cluster))));
    let account = |(cluster, policy): (ClusterName, _)| {
        let (name, entry) = (cluster.account(), tables.entry(&cluster.account()));
        let is_known = members.contains(&name);
        let (home, uid) = entry.map_or_else(Default::default, |it| (it.home.into(), it.uid));
        Account { cluster, policy, is_known, home, uid }
    };
    found.into_iter().map(account).collect()
}

fn look_at(scene: &Scene) -> Vec<Finding> {
    let tables = match Tables::read() {
        Ok(tables) => tables,
        Err(_) if scene.policy.is_empty() => return Vec::new(),
        Err(why) => {
            let mend = "run it as root on dom0";
            return vec![look::unseen(About::TooMuch, "the accounts", why, mend)];
        }
    };
    let accounts = all(scene, &tables);
    if accounts.is_empty() {
        return Vec::new();
    }
    let (crontabs, mut findings) = own::crontabs();
    findings.extend(accounts.iter().flat_map(|account| of_account(&tables, account, &crontabs)));
    findings
}

fn of_account(tables: &Tables, account: &Account<'_>, crontabs: &[own::Crontab]) -> Vec<Finding> {
    let (cluster, name) = (&account.cluster, account.name());
    let Some(entry) = tables.entry(&name) else {
        return account.policy.map(|_| missing(cluster, &name)).into_iter().collect();
    };
    let mut findings: Vec<Finding> = [
        shell(cluster, &entry),
        user_id(cluster, &entry, tables),
        group(cluster, &entry, tables),
        other_groups(cluster, &entry, tables),
        open_password(cluster, &entry),
    ]
    .into_iter()
    .flatten()
    .collect();
    match tables.shadow(&name) {
        Some(shadow) => findings.extend(of_shadow(cluster, &name, &shadow)),
        None => {
            let why = format!("{name} has no line in /etc/shadow");
            let mend = format!("userdel {name}; xen-fence-admin acl apply");
            findings.push(look::unseen(About::AFence, &name, why, &mend));
        }
    }
    findings.extend(own::look(cluster, &entry, crontabs));
    // Who has no policy owes no fence: it may well be locked.
    findings.retain(|finding| account.policy.is_some() || finding.code.is_of_too_much());
    findings
}

fn missing(cluster: &ClusterName, account: &str) -> Finding {
    let elsewhere =
        look::run("/usr/bin/getent", &["passwd", account]).is_ok_and(|done| done.status.success());
    let (evidence, mend) = if elsewhere {
        let evidence =
            "it is not in /etc/passwd, and known from elsewhere: a login of it may need \
                        the network"
                .to_owned();
        let mend = format!(
            "take {account} out of the directory that knows it, then xen-fence-admin acl apply"
        );
        (evidence, mend)
    } else {
        ("there is no such account on this host".to_owned(), "xen-fence-admin acl apply".to_owned())
    };
    finding_of(&[cluster], &MISSING, account, evidence, mend)
}

fn shell(cluster: &ClusterName, entry: &Entry) -> Option<Finding> {
    let name = &entry.name;
    (entry.shell != LAUNCHER).then(|| {
        let evidence = format!("its login shell is {:?}", entry.shell);
        let mend = format!("usermod --shell {LAUNCHER} {name}");
        finding_of(&[cluster], &SHELL, name, evidence, mend)
    })
}

fn user_id(cluster: &ClusterName, entry: &Entry, tables: &Tables) -> Option<Finding> {
    let others = tables.others_with(entry);
    if entry.uid != 0 && others.is_empty() {
        return None;
    }
    let evidence = match others.as_slice() {
        [] => "its user id is 0: it is root".to_owned(),
        others => format!("its user id {} is that of {} too", entry.uid, others.join(", ")),
    };
    let name = &entry.name;
    // usermod refuses where somebody runs as the old user id, as root always does.
    let mend =
        format!("sed -i 's/^\\({name}:[^:]*:\\)[0-9]*:/\\1{}:/' /etc/passwd", tables.free_uid());
    Some(finding_of(&[cluster], &USER_ID, name, evidence, mend))
}

fn group(cluster: &ClusterName, entry: &Entry, tables: &Tables) -> Option<Finding> {
    let name = &entry.name;
    (tables.gid(GROUP) != Some(entry.gid)).then(|| {
        let evidence = format!(
            "its own group is the one with the number {}; sshd and sudo go by {GROUP}",
            entry.gid
        );
        let mend = format!(
            "getent group {GROUP} > /dev/null || groupadd --system {GROUP}; usermod --gid {GROUP} \
             {name}"
        );
        finding_of(&[cluster], &NO_GROUP, name, evidence, mend)
    })
}

fn other_groups(cluster: &ClusterName, entry: &Entry, tables: &Tables) -> Option<Finding> {
    let name = &entry.name;
    // Of one that is root, that is told.
    if entry.uid == 0 {
        return None;
    }
    let done = match look::run("/usr/bin/id", &["-Gn", name]) {
        Ok(done) if done.status.success() => done,
        Ok(done) => {
            let why = format!("id -Gn {name}: {}", done.last_words());
            return Some(look::unseen(About::TooMuch, name, why, &format!("id -Gn {name}")));
        }
        Err(why) => {
            return Some(look::unseen(About::TooMuch, name, why, &format!("id -Gn {name}")));
        }
    };
    let own = tables.group_name(entry.gid);
    let others: Vec<&str> = done
        .stdout
        .split_whitespace()
        .filter(|group| *group != GROUP && own.as_deref() != Some(*group))
        .collect();
    (!others.is_empty()).then(|| {
        let evidence = format!("it is also in {}", others.join(", "));
        let leave = |group: &&str| format!("gpasswd --delete {name} {}", quoted(group));
        let mend: Vec<_> = others.iter().map(leave).collect();
        finding_of(&[cluster], &GROUPS, name, evidence, mend.join(" && "))
    })
}

/// A password where everybody can read it, or none where one would be asked for: PAM takes it before
/// that of /etc/shadow.
fn open_password(cluster: &ClusterName, entry: &Entry) -> Option<Finding> {
    let name = &entry.name;
    (entry.password != "x").then(|| {
        let what = if entry.password.is_empty() { "is empty" } else { "is not \"x\"" };
        let evidence = format!(
            "the second field of its line in /etc/passwd {what}: that is its password, and what \
             /etc/shadow says is not"
        );
        let mend = format!("sed -i 's/^{name}:[^:]*:/{name}:x:/' /etc/passwd");
        finding_of(&[cluster], &PASSWORD, name, evidence, mend)
    })
}

fn of_shadow(cluster: &ClusterName, account: &str, shadow: &Shadow) -> Vec<Finding> {
    let mut findings = Vec::new();
    let star = format!("usermod --password '*' {account}");
    if shadow.is_locked() {
        let evidence = "its password begins with \"!\": sshd without PAM lets nobody in";
        findings.push(finding_of(&[cluster], &LOCKED, account, evidence, &star));
    } else if shadow.password != "*" {
        let what = if shadow.password.is_empty() { "an empty one" } else { "one" };
        let evidence = format!("/etc/shadow holds {what} for it; its only way in is a key");
        findings.push(finding_of(&[cluster], &PASSWORD, account, evidence, &star));
    }
    if let Some(evidence) = shadow.ages() {
        let mend = format!(
            "chage --lastday -1 --mindays -1 --maxdays -1 --warndays -1 --inactive -1 --expiredate \
             -1 {account}"
        );
        findings.push(finding_of(&[cluster], &AGES, account, evidence, mend));
    }
    findings
}
