//! Lines of /etc/passwd, /etc/group and /etc/shadow (passwd(5), group(5), shadow(5)).

use super::super::look;
use std::collections::BTreeSet;
use std::path::Path;

/// Where useradd takes the numbers of system accounts from, from the top (login.defs(5)).
const SYSTEM_UIDS: std::ops::RangeInclusive<u32> = 101..=999;
/// `PASS_MAX_DAYS` as it is shipped: a password that old never asks to be changed.
const NEVER: u64 = 99_999;

/// The three files.
pub(super) struct Tables {
    passwd: String,
    group: String,
    shadow: String,
}

/// An account.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::audit::host) struct Entry {
    pub(super) name: String,
    /// What stands where passwords once stood.
    pub(super) password: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) home: String,
    pub(super) shell: String,
}

/// An account's password and its ages.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shadow {
    pub(super) password: String,
    last_change: Option<u64>,
    longest: Option<u64>,
    expires: Option<u64>,
}

impl Tables {
    pub(super) fn read() -> Result<Self, String> {
        let table = |path: &str| {
            look::text(Path::new(path))?.ok_or_else(|| format!("{path} does not exist"))
        };
        Ok(Self {
            passwd: table("/etc/passwd")?,
            group: table("/etc/group")?,
            shadow: table("/etc/shadow")?,
        })
    }

    /// The account of this name, if the host's own file has it.
    pub(super) fn entry(&self, name: &str) -> Option<Entry> {
        self.entries().find(|entry| entry.name == name)
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        self.passwd.lines().filter_map(entry)
    }

    /// The names of other accounts with its user id.
    pub(super) fn others_with(&self, one: &Entry) -> Vec<String> {
        let same = self.entries().filter(|entry| entry.uid == one.uid && entry.name != one.name);
        same.map(|entry| entry.name).collect()
    }

    /// A user id that no account has.
    pub(super) fn free_uid(&self) -> u32 {
        let taken: BTreeSet<u32> = self.entries().map(|entry| entry.uid).collect();
        let free = SYSTEM_UIDS.rev().find(|uid| !taken.contains(uid));
        free.unwrap_or_else(|| taken.last().map_or(0, |last| last.saturating_add(1)))
    }

    /// The number of a group.
    pub(super) fn gid(&self, name: &str) -> Option<u32> {
        let groups = self.group.lines().filter_map(group);
        groups.into_iter().find(|(group, _)| *group == name).map(|(_, gid)| gid)
    }

    /// The name of a group.
    pub(super) fn group_name(&self, gid: u32) -> Option<String> {
        let mut groups = self.group.lines().filter_map(group);
        groups.find(|(_, number)| *number == gid).map(|(name, _)| name.to_owned())
    }

    /// The names of all accounts of a group, by their own entry or the group's.
    pub(super) fn members(&self, name: &str) -> BTreeSet<String> {
        let gid = self.gid(name);
        let own = self.entries().filter(|entry| Some(entry.gid) == gid).map(|entry| entry.name);
        let lines = self.group.lines().filter(|line| group(line).is_some_and(|it| it.0 == name));
        own.chain(lines.flat_map(members).map(ToOwned::to_owned)).collect()
    }

    pub(super) fn shadow(&self, name: &str) -> Option<Shadow> {
        self.shadow.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let days = |at: usize| fields.get(at).and_then(|field| field.parse().ok());
            (fields.first() == Some(&name)).then(|| Shadow {
                password: fields.get(1).copied().unwrap_or_default().to_owned(),
                last_change: days(2),
                longest: days(4),
                expires: days(7),
            })
        })
    }
}

impl Shadow {
    /// As sshd without PAM sees it.
    pub(super) fn is_locked(&self) -> bool {
        self.password.starts_with('!')
    }

    /// Why a day may come on which the account cannot log in, if one may.
    pub(super) fn ages(&self) -> Option<String> {
        if let Some(day) = self.expires {
            return Some(format!(
                "it expires on day {day} after 1970-01-01 (chage -l says the date)"
            ));
        }
        if self.last_change == Some(0) {
            return Some("its password has to be changed at the next login".to_owned());
        }
        let longest = self.longest.filter(|days| *days < NEVER)?;
        self.last_change?;
        Some(format!("its password has to be changed every {longest} days"))
    }
}

fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split(':');
    let (name, password) = (fields.next()?, fields.next()?);
    let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (_comment, home, shell) = (fields.next()?, fields.next()?, fields.next()?);
    let own = ToOwned::to_owned;
    let (name, password) = (own(name), own(password));
    Some(Entry { name, password, uid, gid, home: own(home), shell: own(shell) })
}

fn group(line: &str) -> Option<(&str, u32)> {
    let mut fields = line.split(':');
    let (name, _password) = (fields.next()?, fields.next()?);
    Some((name, fields.next()?.parse().ok()?))
}

/// Those that a line of /etc/group names.
fn members(line: &str) -> impl Iterator<Item = &str> {
    line.split(':').nth(3).unwrap_or_default().split(',').filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(passwd: &str, shadow: &str) -> Tables {
        Tables {
            passwd: format!("root:x:0:0:root:/root:/bin/sh\n+nis\n{passwd}"),
            group: "root:x:0:\nxen-fence:x:998:\nwheel:x:10:fence-a\n".to_owned(),
            shadow: shadow.to_owned(),
        }
    }

    #[test]
    fn accounts_that_share_a_number_are_found_and_a_free_one_is_named() {
        let found = tables("fence-a:x:999:998::/:/sh\nfence-b:x:999:998::/:/sh\nbad:x\n", "");
        let a = found.entry("fence-a").unwrap();
        assert_eq!(found.others_with(&a), ["fence-b"]);
        assert_eq!((a.home.as_str(), a.shell.as_str()), ("/", "/sh"));
        assert_eq!(found.free_uid(), 998);
        assert_eq!((found.gid("xen-fence"), found.gid("none")), (Some(998), None));
        assert_eq!(found.group_name(10).as_deref(), Some("wheel"));
        assert_eq!(found.entry("nis"), None);
    }

    #[test]
    fn a_group_has_those_whose_own_it_is_and_those_that_it_names() {
        let found = tables("fence-a:x:999:998::/:/sh\nfence-b:x:997:10::/:/sh\n", "");
        let members = |name| found.members(name).into_iter().collect::<Vec<_>>();
        assert_eq!(members("xen-fence"), ["fence-a"]);
        assert_eq!(members("wheel"), ["fence-a", "fence-b"]);
    }

    #[test]
    fn a_password_in_the_open_is_kept() {
        let found = tables("fence-a:x:1:1::/:/sh\nfence-b::2:1::/:/sh\n", "");
        let of = |name| found.entry(name).unwrap().password;
        assert_eq!((of("fence-a"), of("fence-b")), ("x".to_owned(), String::new()));
    }

    #[test]
    fn a_day_on_which_nobody_gets_in_is_seen_coming() {
        let of = |line: &str| tables("", line).shadow("f").unwrap();
        assert_eq!(of("f:*:20000::::::").ages(), None);
        assert_eq!(of("f:*:20000:0:99999:7:::").ages(), None);
        assert_eq!(of("f:*::0:90:7:::").ages(), None, "without a day of the last change");
        for bad in ["f:*:20000::90::::", "f:*:0::::::", "f:*:20000:::::20500:"] {
            assert!(of(bad).ages().is_some(), "{bad}");
        }
        assert!(of("f:!:20000::::::").is_locked() && !of("f:*:20000::::::").is_locked());
        assert_eq!(tables("", "f:*:20000::::::").shadow("g"), None);
    }
}
