//! The host's own sshd where fencing has one for itself: it knows the accounts all the same, and lets in
//! whoever has a key that it finds for one of them.

use super::super::accounts::{self, Account};
use super::super::look::{self, About, finding_of};
use super::config::{self, Line};
use super::settings::{self, Effective, Seen, Unread};
use super::{SSHD, Way, blocks, door, mends};
use crate::audit::Finding;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Looks at where it has keys from, for each account that it does not shut out.
pub(super) fn look(accounts: &[Account<'_>]) -> Vec<Finding> {
    let file = Path::new(Way::Hosts.file());
    if Way::Hosts.is_used() || !file.exists() || !Path::new(SSHD).exists() {
        return Vec::new();
    }
    let lines = config::lines(file);
    let seen = match all_of(accounts, &lines) {
        Ok(seen) => seen,
        Err(Unread::Refused(why) | Unread::Unseen(why)) => {
            let why = format!("{}: whether it lets an account in is not known", why.trim());
            let mend = format!("{SSHD} -T -f {}", file.display());
            return vec![look::unseen(About::TooMuch, Way::Hosts.file(), why, &mend)];
        }
    };
    let mut findings = of_files(&seen, &lines);
    for keyword in ["authorizedkeyscommand", "trustedusercakeys"] {
        let mut found: BTreeMap<&str, Vec<&Seen<'_>>> = BTreeMap::new();
        for one in &seen {
            let values = one.1.all(keyword).iter();
            for value in values.filter(|it| *it != "none" && !settings::is_key_program(it)) {
                found.entry(value).or_default().push(one);
            }
        }
        findings.extend(found.into_iter().map(|(value, seen)| {
            let is_it = |line: &&Line| line.keyword == keyword && line.value == value;
            lets_in(&seen, keyword, value, lines.iter().find(is_it), &lines)
        }));
    }
    findings
}

/// What it says for each login of each account, but for those whom it lets in with no key.
fn all_of<'a>(accounts: &'a [Account<'a>], lines: &[Line]) -> Result<Vec<Seen<'a>>, Unread> {
    let mut seen = Vec::new();
    for account in accounts {
        let answers = Effective::of_anybody(Way::Hosts, account, lines)?.into_iter();
        let is_shut = |it: &Effective| door::bar(account, it).is_some_and(|bar| bar.is_sure);
        seen.extend(answers.filter(|it| !is_shut(it)).map(|answer| (account, answer)));
    }
    Ok(seen)
}

/// Files of keys for an account, and those that are for others as well.
fn of_files(seen: &[Seen<'_>], lines: &[Line]) -> Vec<Finding> {
    let (mut own, mut common) = (BTreeSet::new(), BTreeMap::<&str, Vec<&Seen<'_>>>::new());
    let mut findings = Vec::new();
    for one in seen {
        let (account, effective) = one;
        for pattern in effective.words("authorizedkeysfile") {
            let Some(file) = file_of(pattern, account).filter(|file| !is_known(file, account))
            else {
                continue;
            };
            let path = file.clone();
            let looked = look::in_time(&file.display().to_string(), move || {
                fs::symlink_metadata(&path).is_ok()
            });
            match looked {
                Ok(false) => {}
                Ok(true) if is_own(pattern) => {
                    if own.insert((&account.cluster, file.clone())) {
                        let name = account.name();
                        let evidence =
                            format!("the host's own sshd takes it for the keys of {name}");
                        findings.push(accounts::with_keys(&account.cluster, &file, evidence));
                    }
                }
                Ok(true) => common.entry(pattern).or_default().push(one),
                Err(why) => {
                    let mend = "see with findmnt which file system does not answer";
                    let about = file.display().to_string();
                    findings.push(look::unseen(About::TooMuch, &about, why, mend));
                }
            }
        }
    }
    let keyword = "authorizedkeysfile";
    findings.extend(common.into_iter().map(|(pattern, seen)| {
        let is_it = |line: &&Line| {
            line.keyword == keyword && line.value.split(' ').any(|word| word == pattern)
        };
        lets_in(&seen, keyword, pattern, lines.iter().find(is_it), lines)
    }));
    findings
}

/// It takes keys or certificates from where the policy has no say.
fn lets_in(
    seen: &[&Seen<'_>],
    keyword: &str,
    value: &str,
    line: Option<&Line>,
    lines: &[Line],
) -> Finding {
    let clusters = settings::clusters(seen.iter().copied());
    let login = seen.first().map_or_else(String::new, |(_, it)| it.login.to_string());
    let evidence = format!(
        "for the accounts of {} {login} the host's own sshd says {keyword} {value}, and it is not \
         the one for fencing",
        settings::names(&clusters)
    );
    let file = Way::Hosts.file();
    let about = line.map_or_else(|| file.to_owned(), settings::place);
    // The list of a block counts in the place of the one for all, where sshd says so. That comes last, because
    // it moves lines.
    let list = |(account, it): &&Seen<'_>| {
        let said = |line: &&Line| {
            let mut words = line.value.split(' ');
            words.all(|word| it.words("denyusers").any(|said| said == word))
        };
        let mut lines = blocks::lines_for(lines, account, &it.login).into_iter();
        let list = lines.find(|line| line.keyword == "denyusers" && said(line));
        list.filter(|line| !line.blocks.is_empty()).map_or_else(
            || (true, format!("sed -i '1i DenyUsers fence-*' {file}")),
            |line| (false, mends::append(line, "fence-*")),
        )
    };
    let lists: BTreeSet<(bool, String)> = seen.iter().map(list).collect();
    let mut commands: Vec<String> = lists.into_iter().map(|(_, command)| command).collect();
    commands.push(Way::Hosts.reload());
    let mend = commands.join("; ");
    finding_of(&clusters, &settings::KEYS, about, evidence, mend)
}

/// Whether a pattern of AuthorizedKeysFile comes to a file for each account.
fn is_own(pattern: &str) -> bool {
    !pattern.starts_with('/') || ["%u", "%U", "%h"].iter().any(|token| pattern.contains(token))
}

/// The file that it comes to for an account (TOKENS in sshd_config(5)).
fn file_of(pattern: &str, account: &Account<'_>) -> Option<PathBuf> {
    if pattern == "none" {
        return None;
    }
    let mut path = String::new();
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match (letter, (letter == '%').then(|| letters.next()).flatten()) {
            ('%', Some('u')) => path.push_str(&account.name()),
            ('%', Some('U')) => path.push_str(&account.uid.to_string()),
            ('%', Some('h')) => path.push_str(&account.home.display().to_string()),
            (letter, _) => path.push(letter),
        }
    }
    Some(account.home.join(path))
}

/// Whether a file is looked at elsewhere: the policy's own, and those that sshd takes unless it is told
/// otherwise.
fn is_known(file: &Path, account: &Account<'_>) -> bool {
    let ours = file_of(settings::KEY_FILES, account);
    let usual = accounts::KEY_FILES.iter().map(|name| account.home.join(name));
    usual.chain(ours).any(|known| known == file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen_fence_broker::names::ClusterName;

    #[test]
    fn a_pattern_comes_to_the_file_that_sshd_looks_for() {
        let cluster = ClusterName::parse("alpha").unwrap();
        let home = PathBuf::from("/srv/home");
        let account = Account { cluster, policy: None, is_known: true, home, uid: 997 };
        for (pattern, file, own, known) in [
            ("/etc/ssh/authorized_keys/%u", "/etc/ssh/authorized_keys/fence-alpha", true, false),
            ("/etc/keys/%U-100%%", "/etc/keys/997-100%", true, false),
            ("%h/.ssh/authorized_keys", "/srv/home/.ssh/authorized_keys", true, true),
            (".ssh/authorized_keys2", "/srv/home/.ssh/authorized_keys2", true, true),
            (".ssh/more", "/srv/home/.ssh/more", true, false),
            ("/etc/ssh/everybody", "/etc/ssh/everybody", false, false),
            ("/etc/xen-fence/keys/%u", "/etc/xen-fence/keys/fence-alpha", true, true),
        ] {
            let found = file_of(pattern, &account).unwrap();
            assert_eq!(found, Path::new(file), "{pattern}");
            assert_eq!((is_own(pattern), is_known(&found, &account)), (own, known), "{pattern}");
        }
        assert_eq!(file_of("none", &account), None);
    }
}
