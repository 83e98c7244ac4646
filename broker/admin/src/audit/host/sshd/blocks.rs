//! Which lines of sshd's files are for a login: a Match block can be for somebody else.

use super::super::accounts::Account;
use super::config::{self, Line};
use super::logins::Login;
use crate::acl::accounts::GROUP;
use crate::patterns::{comes_from, fits};
use ipnet::IpNet;
use std::net::IpAddr;

/// The lines that may be for a login of an account, without those that are for others for sure. sshd takes
/// those of a block before those outside of all; last come those of which it is not known here.
pub(super) fn lines_for<'a>(
    lines: &'a [Line],
    account: &Account<'_>,
    login: &Login,
) -> Vec<&'a Line> {
    let name = account.name();
    let rank = |line: &'a Line| {
        let all = all_of(line.blocks.iter().map(|block| is_for(block, &name, login)));
        let rank = match all {
            Some(false) => return None,
            Some(true) if line.blocks.is_empty() => 1,
            Some(true) => 0,
            None => 2,
        };
        Some((rank, line))
    };
    let mut found: Vec<(u8, &Line)> = lines.iter().filter_map(rank).collect();
    found.sort_by_key(|(rank, _)| *rank);
    found.into_iter().map(|(_, line)| line).collect()
}

/// Whether a block is for the accounts of clusters and for nobody else: it names them, or their group alone.
/// Other criteria make it one for fewer.
pub(super) fn is_for_clusters_alone(criteria: &str) -> bool {
    let words: Vec<&str> = config::criteria(criteria).collect();
    words.chunks(2).any(|pair| match pair {
        [criterion, patterns] if criterion.eq_ignore_ascii_case("group") => *patterns == GROUP,
        [criterion, patterns] if criterion.eq_ignore_ascii_case("user") => {
            patterns.split(',').all(|pattern| pattern.starts_with("fence-"))
        }
        _ => false,
    })
}

/// Whether the criteria of a block fit a login; nothing if that hangs on what is not known here.
fn is_for(criteria: &str, account: &str, login: &Login) -> Option<bool> {
    let mut words = config::criteria(criteria);
    let mut found = Vec::new();
    while let Some(criterion) = words.next() {
        let criterion = criterion.to_ascii_lowercase();
        if criterion == "all" {
            continue;
        }
        let patterns = words.next().unwrap_or_default();
        let is_at = |address: IpAddr| comes_from(patterns, Some(IpNet::from(address)), false);
        found.push(match criterion.as_str() {
            "user" => Some(any_fits(patterns, account)),
            "group" => Some(any_fits(patterns, GROUP)),
            "address" => is_at(login.from),
            "localaddress" => is_at(login.to.ip()),
            "localport" => Some(patterns.parse() == Ok(login.to.port())),
            _ => None,
        });
    }
    all_of(found.into_iter())
}

/// Whether all of it is so: one that is not decides.
fn all_of(mut parts: impl Iterator<Item = Option<bool>> + Clone) -> Option<bool> {
    let whole = parts.clone().try_fold(true, |whole, part| Some(whole && part?));
    if parts.any(|part| part == Some(false)) { Some(false) } else { whole }
}

/// Whether a list of patterns means a name: one with `!` decides.
fn any_fits(patterns: &str, name: &str) -> bool {
    let is_out = |pattern: &str| pattern.strip_prefix('!').is_some_and(|it| fits(it, name));
    !patterns.split(',').any(is_out) && patterns.split(',').any(|pattern| fits(pattern, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use xen_fence_broker::names::ClusterName;

    #[test]
    fn a_block_is_for_who_fits_all_its_criteria() {
        let login = Login { from: [10, 1, 2, 3].into(), ..Login::ANY };
        for (criteria, wanted) in [
            ("all", Some(true)),
            ("User bob", Some(false)),
            ("user=fence-*", Some(true)),
            ("User = bob", Some(false)),
            ("Group = xen-fence", Some(true)),
            ("User bob,fence-?lpha", Some(true)),
            ("User *,!fence-alpha", Some(false)),
            ("Group wheel,xen-*", Some(true)),
            ("Group *,!xen-fence", Some(false)),
            ("Group xen-fence User bob", Some(false)),
            ("Address 10.1.0.0/16 LocalPort 2422", Some(true)),
            ("Address 10.2.0.0/16", Some(false)),
            ("LocalAddress 127.0.0.1", Some(true)),
            ("LocalPort 22", Some(false)),
            ("Host *.example", None),
            ("User fence-* RDomain 7", None),
            ("RDomain 7 User bob", Some(false)),
            ("Invalid-User", None),
        ] {
            assert_eq!(is_for(criteria, "fence-alpha", &login), wanted, "{criteria}");
        }
    }

    #[test]
    fn a_block_that_is_for_it_comes_before_what_is_for_all() {
        let cluster = ClusterName::parse("alpha").unwrap();
        let home = PathBuf::from("/");
        let account = Account { cluster, policy: None, is_known: true, home, uid: 997 };
        let line = |value: &str, blocks: &[&str]| {
            let (file, keyword) = (PathBuf::from("/c"), "x".to_owned());
            let blocks = blocks.iter().map(|it| (*it).to_owned()).collect();
            Line { file, number: 1, keyword, value: value.to_owned(), blocks }
        };
        let lines = [
            line("bob's", &["User bob"]),
            line("perhaps", &["Host a"]),
            line("everybody's", &[]),
            line("its", &["all", "Group xen-fence"]),
            line("bob's", &["Group xen-fence", "User bob"]),
        ];
        let found = lines_for(&lines, &account, &Login::ANY);
        let found: Vec<_> = found.iter().map(|line| line.value.as_str()).collect();
        assert_eq!(found, ["its", "everybody's", "perhaps"]);
    }
}
