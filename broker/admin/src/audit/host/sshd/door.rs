//! Whether sshd would let an account in at all, whatever its key.

use super::super::accounts::Account;
use super::super::look::{self, finding_of};
use super::Way;
use super::config::{Line, fits};
use super::settings::{Effective, add, place, set};
use crate::acl::accounts::GROUP;
use crate::audit::{Code, Finding, Severity};

pub(super) const SHUT_OUT: Code =
    Code { id: "XF125", severity: Severity::Serious, title: "sshd shuts an account out" };

/// Where each of the two ways has the keys from.
pub(super) const KEY_COMMAND: &str =
    "AuthorizedKeysCommand /usr/lib/xen-fence/xen-fence-keys 64 %u %U %k";
pub(super) const KEY_FILE: &str = "AuthorizedKeysFile /etc/xen-fence/keys/%u";

/// Looks at who may come, and at whether there are keys for him.
pub(super) fn look(
    way: Way,
    account: &Account<'_>,
    it: &Effective,
    lines: &[Line],
) -> Option<Finding> {
    let (cluster, account) = (&account.cluster, account.name());
    // USER@HOST means the user for whoever comes from there.
    let user = |pattern: &str| pattern.split('@').next().is_some_and(|it| fits(it, &account));
    let group = |pattern: &str| fits(pattern, GROUP);
    let any = |keyword: &str, is: &dyn Fn(&str) -> bool| {
        it.all(keyword).iter().flat_map(|value| value.split(' ')).any(is)
    };
    let lacks =
        |keyword: &str, is: &dyn Fn(&str) -> bool| !it.all(keyword).is_empty() && !any(keyword, is);
    let no_keys = it.is("authorizedkeysfile", "none") && it.is("authorizedkeyscommand", "none");
    let of = |keyword: &str| lines.iter().find(|line| line.keyword == keyword);
    let (keyword, mend) = if lacks("allowgroups", &group) {
        ("allowgroups", of("allowgroups").map(|line| append(line, GROUP)))
    } else if lacks("allowusers", &user) {
        ("allowusers", of("allowusers").map(|line| append(line, "fence-*")))
    } else if any("denygroups", &group) {
        ("denygroups", of("denygroups").map(comment_out))
    } else if any("denyusers", &user) {
        ("denyusers", of("denyusers").map(comment_out))
    } else if it.is("pubkeyauthentication", "no") {
        let line = of("pubkeyauthentication").map(|line| set(line, "PubkeyAuthentication yes"));
        ("pubkeyauthentication", line)
    } else if no_keys {
        let wanted = match way {
            Way::Dedicated => KEY_COMMAND,
            Way::Hosts => KEY_FILE,
        };
        let keyword = wanted.split(' ').next().unwrap_or_default().to_ascii_lowercase();
        let line = lines.iter().find(|line| line.keyword == keyword);
        ("authorizedkeyscommand", line.map(|line| set(line, wanted)).or(Some(add(way, wanted))))
    } else {
        return None;
    };
    let about = of(keyword).map_or_else(|| way.file().to_owned(), place);
    let values = it.all(keyword).join(" ");
    let evidence = format!("{keyword} {values}: {account} cannot log in {}", it.login);
    let mend = mend.unwrap_or_else(|| format!("mend {keyword} in {}", way.file()));
    let mend = format!("{mend}; {}", way.reload());
    Some(finding_of(&[cluster], &SHUT_OUT, about, evidence, mend))
}

fn append(line: &Line, word: &str) -> String {
    format!("sed -i '{}s/$/ {word}/' {}", line.number, look::quoted_path(&line.file))
}

/// The command that turns a line into a comment.
pub(super) fn comment_out(line: &Line) -> String {
    format!("sed -i '{}s/^/#/' {}", line.number, look::quoted_path(&line.file))
}
