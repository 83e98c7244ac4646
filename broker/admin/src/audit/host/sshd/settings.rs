//! What sshd's settings come to for an account, against what the design needs.

use super::super::accounts::Account;
use super::super::look::{self, About, finding_of};
use super::config::{self, Line};
use super::logins::{self, Login};
use super::{SSHD, Way, blocks, door, mends};
use crate::acl::accounts::GROUP;
use crate::audit::{Code, Finding, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use xen_fence_broker::names::ClusterName;

pub(super) const FORCED: Code = Code {
    id: "XF020",
    severity: Severity::Serious,
    title: "sshd takes the command out of the key's hands",
};
pub(super) const KEYS: Code =
    Code { id: "XF021", severity: Severity::Serious, title: "sshd takes keys from elsewhere" };
pub(super) const WHO: Code =
    Code { id: "XF022", severity: Severity::Warning, title: "the sshd for fencing lets others in" };
pub(super) const HOW: Code = Code {
    id: "XF023",
    severity: Severity::Serious,
    title: "sshd lets an account in without its key",
};
pub(super) const MORE: Code = Code {
    id: "XF024",
    severity: Severity::Warning,
    title: "sshd gives a login more than its command",
};
pub(super) const ENVIRONMENT: Code =
    Code { id: "XF025", severity: Severity::Warning, title: "sshd takes a login's environment" };
/// One setting that the design needs.
struct Need {
    code: &'static Code,
    keyword: &'static str,
    fits: fn(Way, &str) -> bool,
    /// How it is written.
    line: fn(Way) -> &'static str,
    /// Only the sshd for fencing alone needs it.
    dedicated_only: bool,
}

const fn need(code: &'static Code, keyword: &'static str, line: fn(Way) -> &'static str) -> Need {
    Need { code, keyword, fits: |_, value| value == "none", line, dedicated_only: false }
}

pub(super) const KEY_FILES: &str = "/etc/xen-fence/keys/%u";
const KEY_PROGRAM: &str = "/usr/lib/xen-fence/xen-fence-keys";

/// `xen-fence-keys MOST %u %U %k`; without the last it still says the account's own keys.
pub(super) fn is_key_program(value: &str) -> bool {
    let words: Vec<&str> = value.split(' ').collect();
    let most = |word: &str| word.parse::<u32>().is_ok();
    match words.as_slice() {
        [program, number, "%u", "%U", rest @ ..] => {
            *program == KEY_PROGRAM && most(number) && matches!(rest, [] | ["%k"])
        }
        _ => false,
    }
}

const NEEDS: [Need; 12] = [
    need(&FORCED, "forcecommand", |_| "ForceCommand none"),
    Need {
        fits: |_, value| matches!(value, "none" | KEY_FILES),
        ..need(&KEYS, "authorizedkeysfile", |way| match way {
            Way::Dedicated => "AuthorizedKeysFile none",
            Way::Hosts => door::KEY_FILE,
        })
    },
    Need {
        fits: |_, value| value == "none" || is_key_program(value),
        ..need(&KEYS, "authorizedkeyscommand", |way| match way {
            Way::Dedicated => door::KEY_COMMAND,
            Way::Hosts => "AuthorizedKeysCommand none",
        })
    },
    need(&KEYS, "authorizedprincipalsfile", |_| "AuthorizedPrincipalsFile none"),
    need(&KEYS, "trustedusercakeys", |_| "TrustedUserCAKeys none"),
    Need {
        fits: |_, value| value == GROUP,
        dedicated_only: true,
        ..need(&WHO, "allowgroups", |_| "AllowGroups xen-fence")
    },
    Need {
        fits: |_, value| value == "no",
        dedicated_only: true,
        ..need(&WHO, "permitrootlogin", |_| "PermitRootLogin no")
    },
    Need {
        fits: |_, value| value == "publickey",
        ..need(&HOW, "authenticationmethods", |_| "AuthenticationMethods publickey")
    },
    Need { fits: |_, value| value == "no", ..need(&MORE, "permittty", |_| "PermitTTY no") },
    Need {
        fits: |_, value| value == "yes",
        ..need(&MORE, "disableforwarding", |_| "DisableForwarding yes")
    },
    Need { fits: |_, value| value == "no", ..need(&MORE, "permituserrc", |_| "PermitUserRC no") },
    Need {
        fits: |_, value| value == "no",
        ..need(&MORE, "permituserenvironment", |_| "PermitUserEnvironment no")
    },
];

/// Why sshd has not said what its settings come to.
#[derive(Debug)]
pub(super) enum Unread {
    /// It complains of them.
    Refused(String),
    /// It cannot be asked.
    Unseen(String),
}

/// What sshd's settings come to for a login of an account.
#[derive(Debug)]
pub(super) struct Effective {
    pub(super) login: Login,
    values: BTreeMap<String, Vec<String>>,
}

/// What they come to for the logins of one account, each answer once.
pub(super) type Seen<'a> = (&'a Account<'a>, Effective);

impl Effective {
    /// Asks sshd about each login of an account that its Match blocks may tell from others.
    pub(super) fn all_of(
        way: Way,
        account: &Account<'_>,
        lines: &[Line],
    ) -> Result<Vec<Self>, Unread> {
        Self::each(way, account, |listeners| logins::of(account, listeners, lines))
    }

    /// The same for logins from anywhere.
    pub(super) fn of_anybody(
        way: Way,
        account: &Account<'_>,
        lines: &[Line],
    ) -> Result<Vec<Self>, Unread> {
        Self::each(way, account, |listeners| logins::of_anybody(listeners, lines))
    }

    fn each(
        way: Way,
        account: &Account<'_>,
        logins: impl Fn(&[SocketAddr]) -> Vec<Login>,
    ) -> Result<Vec<Self>, Unread> {
        let first = Self::of(way, account, Login::ANY)?;
        let mut found: Vec<Self> = Vec::new();
        for login in logins(&first.listeners()) {
            let answer = Self::of(way, account, login)?;
            if answer.tells_hosts_apart() || found.iter().all(|it| it.values != answer.values) {
                found.push(answer);
            }
        }
        // Nobody gets in from where its callers are; what else it says counts all the same.
        if found.is_empty() {
            found.push(first);
        }
        Ok(found)
    }

    /// Asks sshd about one.
    pub(super) fn of(way: Way, account: &Account<'_>, login: Login) -> Result<Self, Unread> {
        let who = login.specification(&account.name());
        let done =
            look::run(SSHD, &["-T", "-C", &who, "-f", way.file()]).map_err(Unread::Unseen)?;
        if done.status.success() {
            Ok(Self::read(login, &done.stdout))
        } else {
            Err(Unread::Refused(done.stderr))
        }
    }

    fn read(login: Login, text: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
            values.entry(keyword.to_owned()).or_default().push(value.to_owned());
        }
        Self { login, values }
    }

    /// Whether it means users by where they come from: of two logins that it says the same for, one may get in.
    fn tells_hosts_apart(&self) -> bool {
        ["allowusers", "denyusers"].iter().any(|key| self.words(key).any(|word| word.contains('@')))
    }

    /// Where it listens: the same for all logins.
    pub(super) fn listeners(&self) -> Vec<SocketAddr> {
        self.all("listenaddress").iter().filter_map(|it| it.parse().ok()).collect()
    }

    /// Their words, where they are lists.
    pub(super) fn words(&self, keyword: &str) -> impl Iterator<Item = &str> {
        self.all(keyword).iter().flat_map(|value| value.split(' '))
    }

    /// All values of a setting.
    pub(super) fn all(&self, keyword: &str) -> &[String] {
        self.values.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// Whether it has this one value.
    pub(super) fn is(&self, keyword: &str, value: &str) -> bool {
        self.all(keyword).iter().any(|found| found == value)
    }
}

/// Holds what sshd says against what is needed; a fault that several accounts have is one finding.
pub(super) fn look(way: Way, seen: &[Seen<'_>]) -> Vec<Finding> {
    let lines = config::lines(Path::new(way.file()));
    let mut findings = Vec::new();
    let mut unsaid = BTreeSet::new();
    for need in NEEDS.iter().filter(|need| way == Way::Dedicated || !need.dedicated_only) {
        let mut wrong: BTreeMap<String, Vec<&Seen<'_>>> = BTreeMap::new();
        // An account that nobody speaks for any more may well be shut with a command.
        let meant = seen.iter().filter(|(it, _)| it.policy.is_some() || *need.code != FORCED);
        for one in meant {
            let values = one.1.all(need.keyword);
            // What sshd leaves out is nothing for lists, and unknown for all else.
            if values.is_empty() && need.keyword != "allowgroups" {
                unsaid.insert(need.keyword);
            } else if values.is_empty() || values.iter().any(|value| !(need.fits)(way, value)) {
                wrong.entry(values.join(" ")).or_default().push(one);
            }
        }
        for (value, seen) in wrong {
            findings.push(of_need(way, need, &value, &seen, &lines));
        }
    }
    if !unsaid.is_empty() {
        let unsaid: Vec<_> = unsaid.into_iter().collect();
        let why = format!("sshd -T does not say {}", unsaid.join(", "));
        findings.push(look::unseen(About::TooMuch, way.file(), why, "sshd -V"));
    }
    findings.extend(environment(way, seen, &lines));
    let stated = seen.iter().filter(|(_, effective)| effective.login.is_stated);
    let stated = stated.filter(|(account, _)| account.policy.is_some());
    let mut barred: Vec<(&ClusterName, Finding)> = stated
        .filter_map(|(account, it)| Some((&account.cluster, door::look(way, account, it, &lines)?)))
        .collect();
    // Once for each cluster: who is shut out for sure before who may be.
    barred.sort_by_key(|(_, finding)| *finding.code != door::SHUT_OUT);
    let mut shut = BTreeSet::new();
    barred.retain(|(cluster, _)| shut.insert(*cluster));
    findings.extend(barred.into_iter().map(|(_, finding)| finding));
    findings
}

fn of_need(way: Way, need: &Need, value: &str, seen: &[&Seen<'_>], lines: &[Line]) -> Finding {
    let wanted = (need.line)(way);
    let of_login = seen.first().map(|(account, it)| blocks::lines_for(lines, account, &it.login));
    let meant: Vec<&Line> = of_login.into_iter().flatten().collect();
    let at_fault = |is_it: &dyn Fn(&str) -> bool| {
        meant.iter().copied().find(|line| line.keyword == need.keyword && is_it(&line.value))
    };
    let at_fault = at_fault(&|it| it == value).or_else(|| at_fault(&|it| !(need.fits)(way, it)));
    let about = at_fault.map_or_else(|| way.file().to_owned(), place);
    let mend = mends::give(way, at_fault, wanted, lines);
    let value = if value.is_empty() { "nothing" } else { value };
    let clusters = clusters(seen.iter().copied());
    let login = seen.first().map_or_else(String::new, |(_, it)| format!(", {},", it.login));
    let evidence = format!(
        "for the accounts of {}{login} sshd says {} {value}; it has to be `{wanted}`",
        names(&clusters),
        need.keyword
    );
    finding_of(&clusters, need.code, about, evidence, format!("{mend}; {}", way.reload()))
}

/// Each of them once.
pub(super) fn clusters<'a>(seen: impl Iterator<Item = &'a Seen<'a>>) -> Vec<&'a ClusterName> {
    let mut found: Vec<_> = seen.map(|(account, _)| &account.cluster).collect();
    found.dedup();
    found
}

pub(super) fn names(clusters: &[&ClusterName]) -> String {
    clusters.iter().map(|cluster| cluster.as_str()).collect::<Vec<_>>().join(", ")
}

/// Where a line stands.
pub(super) fn place(line: &Line) -> String {
    format!("{}:{}", line.file.display(), line.number)
}

/// Variables that Debian's and Fedora's sshd take, and that cannot hurt.
fn is_harmless(pattern: &str) -> bool {
    matches!(pattern, "LANG" | "LANGUAGE" | "LC_*" | "XMODIFIERS" | "COLORTERM" | "NO_COLOR")
        || (pattern.starts_with("LC_") && !pattern.contains(['*', '?']))
}

fn environment(way: Way, seen: &[Seen<'_>], lines: &[Line]) -> Option<Finding> {
    let takes = |it: &Effective| {
        let patterns = it.all("acceptenv").iter().flat_map(|value| value.split(' '));
        patterns.filter(|pattern| !is_harmless(pattern)).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let (account, it) = seen.iter().find(|(_, it)| !takes(it).is_empty())?;
    let clusters = clusters(seen.iter().filter(|(_, it)| !takes(it).is_empty()));
    let has = |line: &&&Line| {
        line.keyword == "acceptenv" && line.value.split(' ').any(|word| !is_harmless(word))
    };
    let (about, mend) = match blocks::lines_for(lines, account, &it.login).iter().find(has) {
        Some(line) => (place(line), mends::comment_out(line)),
        None => (way.file().to_owned(), "take AcceptEnv out of sshd's configuration".to_owned()),
    };
    let evidence = format!(
        "it takes {} from whoever logs in: with LD_PRELOAD a login runs what it likes as the \
         account",
        takes(it).join(", ")
    );
    let mend = format!("{mend}; {}", way.reload());
    Some(finding_of(&clusters, &ENVIRONMENT, about, evidence, mend))
}
