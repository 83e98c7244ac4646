//! The clusters' accounts: each is to be able to do one thing, and always able to do it.

mod entry;
mod own;

use super::look::{self, About, finding_of, quoted};
use crate::acl::accounts::{GROUP, LAUNCHER};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use entry::{Entry, Shadow, Tables};
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

fn look_at(scene: &Scene) -> Vec<Finding> {
    if scene.policy.clusters.is_empty() {
        return Vec::new();
    }
    let tables = match Tables::read() {
        Ok(tables) => tables,
        Err(why) => {
            let mend = "run it as root on dom0";
            return vec![look::unseen(About::TooMuch, "the accounts", why, mend)];
        }
    };
    let names = scene.policy.clusters.iter().map(|cluster| cluster.name());
    names.flat_map(|cluster| of_account(&tables, cluster)).collect()
}

/// The clusters whose accounts are there and in the group, so that sshd and sudo know them as ours.
pub(super) fn known(scene: &Scene) -> Vec<&Cluster> {
    let Ok(tables) = Tables::read() else { return Vec::new() };
    let is_known = |cluster: &&Cluster| {
        let gid = tables.entry(&cluster.account()).map(|entry| entry.gid);
        gid.is_some() && gid == tables.gid(GROUP)
    };
    scene.policy.clusters.iter().filter(is_known).collect()
}

fn of_account(tables: &Tables, cluster: &ClusterName) -> Vec<Finding> {
    let account = cluster.account();
    let Some(entry) = tables.entry(&account) else { return vec![missing(cluster, &account)] };
    let mut findings: Vec<Finding> =
        [shell(cluster, &entry), user_id(cluster, &entry, tables), group(cluster, &entry, tables)]
            .into_iter()
            .flatten()
            .collect();
    findings.extend(other_groups(cluster, &entry, tables));
    match tables.shadow(&account) {
        Some(shadow) => findings.extend(of_shadow(cluster, &account, &shadow)),
        None => {
            let why = format!("{account} has no line in /etc/shadow");
            let mend = format!("userdel {account}; xen-fence-admin acl apply");
            findings.push(look::unseen(About::AFence, &account, why, &mend));
        }
    }
    findings.extend(own::look(cluster, &entry));
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
