//! Whether sshd would let an account in at all, whatever its key.

use super::super::accounts::Account;
use super::super::look::{self, About, finding_of};
use super::config::Line;
use super::settings::{Effective, place};
use super::{Way, blocks, mends};
use crate::acl::accounts::GROUP;
use crate::audit::{Code, Finding, Severity};
use crate::patterns::{comes_from, fits, user_and_hosts};

pub(super) const SHUT_OUT: Code =
    Code { id: "XF125", severity: Severity::Serious, title: "sshd shuts an account out" };

/// Where each of the two ways has the keys from.
pub(super) const KEY_COMMAND: &str =
    "AuthorizedKeysCommand /usr/lib/xen-fence/xen-fence-keys 64 %u %U %k";
const KEY_COMMAND_USER: &str = "AuthorizedKeysCommandUser root";
pub(super) const KEY_FILE: &str = "AuthorizedKeysFile /etc/xen-fence/keys/%u";

/// What keeps an account out.
pub(super) struct Bar {
    /// The setting.
    keyword: &'static str,
    /// Whether it does for sure: the address that he has in his network may decide, or its name.
    pub(super) is_sure: bool,
}

/// What keeps an account out, whatever its key, if anything does.
pub(super) fn bar(account: &Account<'_>, it: &Effective) -> Option<Bar> {
    let name = account.name();
    let is_user = |pattern: &str| is_user(pattern, &name, it);
    let is_group = |pattern: &str| fits(pattern, GROUP);
    let sure = |keyword| Some(Bar { keyword, is_sure: true });
    let lists = |keyword: &str| !it.all(keyword).is_empty();
    let of_users = |keyword| it.words(keyword).map(is_user).collect::<Vec<_>>();
    let (allowed, denied) = (of_users("allowusers"), of_users("denyusers"));
    // Which groups somebody is in who is not in ours is not known here.
    if account.is_known && lists("allowgroups") && !it.words("allowgroups").any(is_group) {
        return sure("allowgroups");
    }
    if lists("allowusers") && allowed.iter().all(|fits| *fits == Some(false)) {
        return sure("allowusers");
    }
    if account.is_known && it.words("denygroups").any(is_group) {
        return sure("denygroups");
    }
    if denied.contains(&Some(true)) {
        return sure("denyusers");
    }
    if it.is("pubkeyauthentication", "no") {
        return sure("pubkeyauthentication");
    }
    let perhaps = if allowed.contains(&None) && !allowed.contains(&Some(true)) {
        "allowusers"
    } else if denied.contains(&None) {
        "denyusers"
    } else {
        return None;
    };
    Some(Bar { keyword: perhaps, is_sure: false })
}

/// Whether a pattern of AllowUsers or DenyUsers means the account, wherever in the network of this login it
/// comes from.
fn is_user(pattern: &str, account: &str, it: &Effective) -> Option<bool> {
    let (user, hosts) = user_and_hosts(pattern);
    match hosts.filter(|_| fits(user, account)) {
        Some(hosts) => comes_from(hosts, it.login.net, it.is("usedns", "yes")),
        None => Some(hosts.is_none() && fits(user, account)),
    }
}

/// Looks at who may come, and at whether there are keys for him.
pub(super) fn look(
    way: Way,
    account: &Account<'_>,
    it: &Effective,
    lines: &[Line],
) -> Option<Finding> {
    let (cluster, account_name) = (&account.cluster, account.name());
    let meant = blocks::lines_for(lines, account, &it.login);
    let of = |keyword: &str| meant.iter().copied().find(|line| line.keyword == keyword);
    // Of several lines the one that means it.
    let of_him = |keyword: &str, is_it: &dyn Fn(&str) -> bool| {
        let mut lines = meant.iter().copied();
        lines.find(|line| line.keyword == keyword && line.value.split(' ').any(is_it))
    };
    let no_keys = it.is("authorizedkeysfile", "none") && it.is("authorizedkeyscommand", "none");
    let bar = bar(account, it);
    if let Some(Bar { keyword, is_sure: false }) = bar {
        return Some(unsure(way, &account_name, keyword, it, of(keyword)));
    }
    let keyword = bar.map(|bar| bar.keyword).or(no_keys.then_some("authorizedkeyscommand"))?;
    let (line, mend) = match keyword {
        "allowgroups" => (of(keyword), of(keyword).map(|line| mends::append(line, GROUP))),
        "allowusers" => (of(keyword), of(keyword).map(|line| allow(line, &account_name, it))),
        "denygroups" => {
            let is_it = |pattern: &str| fits(pattern, GROUP);
            let line = of_him(keyword, &is_it);
            (line, line.map(|line| mends::take_out(line, &is_it)))
        }
        "denyusers" => {
            let is_it = |word: &str| is_user(word, &account_name, it) == Some(true);
            let line = of_him(keyword, &is_it);
            (line, line.map(|line| mends::take_out(line, &is_it)))
        }
        "pubkeyauthentication" => {
            let line = of_him(keyword, &|word| word.eq_ignore_ascii_case("no"));
            let give = |line| mends::give(way, Some(line), "PubkeyAuthentication yes", lines);
            (line, line.map(give))
        }
        _ => {
            let wanted = match way {
                Way::Dedicated => KEY_COMMAND,
                Way::Hosts => KEY_FILE,
            };
            let own = wanted.split(' ').next().unwrap_or_default().to_ascii_lowercase();
            let mend = mends::give(way, of(&own), wanted, lines);
            // sshd refuses the one without the other.
            let has_user = it.all("authorizedkeyscommanduser").iter().any(|user| user != "none");
            let user = (way == Way::Dedicated && !has_user).then(|| {
                mends::give(way, of("authorizedkeyscommanduser"), KEY_COMMAND_USER, lines)
            });
            (of(keyword), Some(user.into_iter().chain([mend]).collect::<Vec<_>>().join("; ")))
        }
    };
    let about = line.map_or_else(|| way.file().to_owned(), place);
    let values = it.all(keyword).join(" ");
    let evidence = format!("{keyword} {values}: {account_name} cannot log in {}", it.login);
    let mend = mend.unwrap_or_else(|| format!("mend {keyword} in {}", way.file()));
    let mend = format!("{mend}; {}", way.reload());
    Some(finding_of(&[cluster], &SHUT_OUT, about, evidence, mend))
}

/// The mend of AllowUsers. Whom it lets in from some hosts alone gets no more from this one than a word.
fn allow(line: &Line, account: &str, it: &Effective) -> String {
    let is_from_hosts = |word: &str| {
        let (user, hosts) = user_and_hosts(word);
        hosts.is_some() && fits(user, account)
    };
    if !it.words("allowusers").any(is_from_hosts) {
        return mends::append(line, "fence-*");
    }
    format!("name {account} with where it comes from in AllowUsers in {}", place(line))
}

/// It hangs on the address that somebody has, or on his name.
fn unsure(way: Way, account: &str, keyword: &str, it: &Effective, line: Option<&Line>) -> Finding {
    let about = line.map_or_else(|| way.file().to_owned(), place);
    let values = it.all(keyword).join(" ");
    let by_name = it.is("usedns", "yes");
    let name = "the name that DNS gives for it";
    let upon = match it.login.net {
        Some(net) if net.prefix_len() == net.max_prefix_len() => {
            format!("from {} hangs on {name}", net.addr())
        }
        Some(net) if by_name => format!("from all of {net} hangs on the address, or on {name}"),
        Some(net) => format!("from all of {net} hangs on the address"),
        None if by_name => {
            format!("from anywhere, as its policy has it, hangs on the address, or on {name}")
        }
        None => "from anywhere, as its policy has it, hangs on the address".to_owned(),
    };
    let why = format!("{keyword} {values}: whether {account} can log in {upon}");
    let mend = format!(
        "have that line and `from` in the policy name the same addresses or networks, and no \
         names; {}",
        way.reload()
    );
    look::unseen(About::AFence, &about, why, &mend)
}
