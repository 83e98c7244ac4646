//! Whether sshd would let an account in at all, whatever its key.

use super::super::accounts::Account;
use super::super::look::{self, About, finding_of};
use super::Way;
use super::config::Line;
use super::settings::{Effective, add, place, set};
use crate::acl::accounts::GROUP;
use crate::audit::{Code, Finding, Severity};
use crate::patterns::{comes_from, fits, user_and_hosts};

pub(super) const SHUT_OUT: Code =
    Code { id: "XF125", severity: Severity::Serious, title: "sshd shuts an account out" };

/// Where each of the two ways has the keys from.
pub(super) const KEY_COMMAND: &str =
    "AuthorizedKeysCommand /usr/lib/xen-fence/xen-fence-keys 64 %u %U %k";
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
    let of = |keyword: &str| lines.iter().find(|line| line.keyword == keyword);
    // Of several lines the one that means it.
    let of_him = |keyword: &str, is_it: &dyn Fn(&str) -> bool| {
        lines.iter().find(|line| line.keyword == keyword && line.value.split(' ').any(is_it))
    };
    let no_keys = it.is("authorizedkeysfile", "none") && it.is("authorizedkeyscommand", "none");
    let bar = bar(account, it);
    if let Some(Bar { keyword, is_sure: false }) = bar {
        return Some(unsure(way, &account_name, keyword, it, of(keyword)));
    }
    let keyword = bar.map(|bar| bar.keyword).or(no_keys.then_some("authorizedkeyscommand"))?;
    let (line, mend) = match keyword {
        "allowgroups" => (of(keyword), of(keyword).map(|line| append(line, GROUP))),
        "allowusers" => (of(keyword), of(keyword).map(|line| allow(line, &account_name, it))),
        "denygroups" => {
            let is_it = |pattern: &str| fits(pattern, GROUP);
            let line = of_him(keyword, &is_it);
            (line, line.map(|line| take_out(line, &is_it)))
        }
        "denyusers" => {
            let is_it = |word: &str| is_user(word, &account_name, it) == Some(true);
            let line = of_him(keyword, &is_it);
            (line, line.map(|line| take_out(line, &is_it)))
        }
        "pubkeyauthentication" => {
            let line = of(keyword);
            (line, line.map(|line| set(line, "PubkeyAuthentication yes")))
        }
        _ => {
            let wanted = match way {
                Way::Dedicated => KEY_COMMAND,
                Way::Hosts => KEY_FILE,
            };
            let own = wanted.split(' ').next().unwrap_or_default().to_ascii_lowercase();
            let mend = of(&own).map(|line| set(line, wanted));
            (of(keyword), mend.or_else(|| Some(add(way, wanted))))
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
        return append(line, "fence-*");
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

fn append(line: &Line, word: &str) -> String {
    format!("sed -i '{}s/$/ {word}/' {}", line.number, look::quoted_path(&line.file))
}

/// The command that takes words out of a line, and the line where it has no others: who else is kept out
/// stays out.
fn take_out(line: &Line, is_it: &dyn Fn(&str) -> bool) -> String {
    let (out, kept): (Vec<&str>, Vec<&str>) = line.value.split(' ').partition(|word| is_it(word));
    if kept.is_empty() {
        return comment_out(line);
    }
    let one = |word: &&str| {
        let literal: String = word.chars().map(literal).collect();
        format!("{}s/([[:space:]=])\"?{literal}\"?([[:space:]]+|$)/\\1/", line.number)
    };
    let script = out.iter().map(one).collect::<Vec<_>>().join(";");
    format!("sed -i -E {} {}", look::quoted(&script), look::quoted_path(&line.file))
}

/// A character that stands for itself in an extended regular expression of sed's.
fn literal(c: char) -> String {
    if r".*?+^$|/\()[]{}".contains(c) { format!("\\{c}") } else { c.to_string() }
}

/// The command that turns a line into a comment.
pub(super) fn comment_out(line: &Line) -> String {
    format!("sed -i '{}s/^/#/' {}", line.number, look::quoted_path(&line.file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_else_is_kept_out_stays_out() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c");
        for (text, wanted) in [
            ("DenyUsers fence-*", "#DenyUsers fence-*"),
            ("DenyUsers root guest fence-*", "DenyUsers root guest "),
            ("DenyUsers=fence-* root", "DenyUsers=root"),
            ("  denyusers \"fence-*\" fence-x root", "  denyusers fence-x root"),
            ("DenyUsers fence-a@10.0.0.0/8 x?fence-* fence-?", "DenyUsers x?fence-* "),
        ] {
            std::fs::write(&file, format!("# fence-*\n{text}\n")).unwrap();
            let (_, value) = text.trim().split_once([' ', '=']).unwrap();
            let (keyword, value) = ("denyusers".to_owned(), value.replace('"', ""));
            let line = Line { file: file.clone(), number: 2, keyword, value };
            let command = take_out(&line, &|word| fits(user_and_hosts(word).0, "fence-a"));
            let done = look::run("/bin/sh", &["-c", &command]).unwrap();
            assert!(done.status.success(), "{command}: {}", done.stderr);
            let left = std::fs::read_to_string(&file).unwrap();
            assert_eq!(left, format!("# fence-*\n{wanted}\n"), "{command}");
        }
    }
}
