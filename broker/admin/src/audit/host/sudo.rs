//! What sudo lets the accounts do: the one rule, as this version has it, and nothing beside it.

use super::look::{self, About, finding, finding_of};
use super::{accounts, files};
use crate::acl::accounts::GROUP;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use crate::etc::SUDOERS;
use std::fs;
use std::path::{Path, PathBuf};
use xen_fence_broker::command::Finished;
use xen_fence_broker::names::ClusterName;

const BEYOND: Code = Code {
    id: "XF014",
    severity: Severity::Serious,
    title: "sudo lets an account do more than ask the broker",
};
const RULE: Code = Code {
    id: "XF130",
    severity: Severity::Serious,
    title: "the sudo rule is missing or another one",
};
const NOT_ALLOWED: Code = Code {
    id: "XF131",
    severity: Severity::Serious,
    title: "sudo does not let an account ask the broker",
};
const UNPARSABLE: Code =
    Code { id: "XF132", severity: Severity::Serious, title: "sudo's rules have a mistake" };
const WATCHED: Code =
    Code { id: "XF135", severity: Severity::Warning, title: "sudo watches the broker from within" };

/// sudo.
pub(crate) const FAMILY: Family =
    Family { codes: &[&BEYOND, &RULE, &NOT_ALLOWED, &UNPARSABLE, &WATCHED], look: look_at };

/// The rule, as it is installed with this version.
const SHIPPED: &str = include_str!("../../../../../sudoers.d/xen-fence");
const SUDO: &str = "/usr/bin/sudo";
const RULES_DIR: &str = "/etc/sudoers.d";
const RULE_FILE: &str = "/etc/sudoers.d/xen-fence";
/// A copy of it that nobody has a reason to change.
const COPY: &str = "/usr/share/doc/xen-fence/examples/sudoers";
const BROKER: &str = "/usr/sbin/xen-fence-broker";
const ALLOWED: [&str; 5] = ["(root)", "NOPASSWD:", "NOSETENV:", BROKER, "serve"];
/// From sudo 1.9.8 on: a rule that is to work with 1.9.5 cannot turn them off (sudoers(5)).
const WATCHES: [&str; 2] = ["intercept", "log_subcmds"];

fn look_at(scene: &Scene) -> Vec<Finding> {
    // sudo refuses to run, or to read, what others can change: that is told of the files.
    match look::in_time("sudo's files", is_tight) {
        Ok(true) => {}
        Ok(false) => return Vec::new(),
        Err(why) => return vec![look::unseen(About::AFence, "sudo's rules", why, "visudo -c")],
    }
    if let Some(finding) = unparsable() {
        return vec![finding];
    }
    let rule = rule();
    let mut findings = Vec::new();
    let mut watched = None;
    for one in accounts::existing(scene) {
        let (name, account) = (&one.cluster, one.name());
        match look::run(SUDO, &["-n", "-l", "-U", &account]) {
            Ok(done) => {
                let said = Said::read(&done.stdout);
                findings.extend(beyond(name, &said, rule.is_none()));
                // A rule that is another one is told by itself, and so is who is not in the group.
                let is_owed = one.policy.is_some() && one.is_known && rule.is_none();
                if is_owed && !said.rules.iter().any(|rule| is_ours(rule)) {
                    findings.push(not_allowed(name, &done));
                }
                watched = watched.or_else(|| said.watched());
            }
            Err(why) => {
                let mend = format!("sudo -l -U {account}");
                findings.push(look::unseen(About::TooMuch, &account, why, &mend));
            }
        }
    }
    findings.extend(watched.map(is_watched));
    findings.extend(rule);
    findings
}

fn is_tight() -> bool {
    let inside = fs::read_dir(RULES_DIR).into_iter().flatten().flatten().map(|entry| entry.path());
    let own = [SUDO, SUDOERS.file(), RULES_DIR].map(PathBuf::from);
    own.into_iter().chain(inside).all(|path| files::way_is_tight(&path))
}

/// Whether sudo itself can read all of its rules.
fn unparsable() -> Option<Finding> {
    let done = match look::run("/usr/sbin/visudo", &["-c"]) {
        Ok(done) if done.status.success() => return None,
        Ok(done) => done,
        Err(why) => {
            return Some(look::unseen(About::AFence, "sudo's rules", why, "visudo -c"));
        }
    };
    let said = format!("{}\n{}", done.stderr, done.stdout);
    let (about, mend) = match place_of(&said) {
        // Our own file is put in its place whole.
        Some((file, _)) if file == RULE_FILE => (file, install_rule()),
        Some((file, number)) => {
            let mend = SUDOERS.in_etc(format!("sed -i '{number}s/^/# /' {}", look::quoted(&file)));
            (format!("{file}:{number}"), mend)
        }
        None => match modes_of(&said) {
            Some(mend) => ("sudo's rules".to_owned(), mend),
            None => ("sudo's rules".to_owned(), "correct what visudo -c complains of".to_owned()),
        },
    };
    let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let evidence = said.iter().take(2).copied().collect::<Vec<_>>().join(" ");
    Some(finding(&UNPARSABLE, about, evidence, mend))
}

/// visudo says `FILE:LINE:COLUMN: syntax error`.
fn place_of(said: &str) -> Option<(String, usize)> {
    said.lines().find_map(|line| {
        let line = line.trim_start_matches(['>', ' ']);
        let mut parts = line.split(':');
        let (file, number) = (parts.next()?, parts.next()?.parse().ok()?);
        file.starts_with('/').then(|| (file.to_owned(), number))
    })
}

/// visudo says `FILE: bad permissions, should be mode 0440`.
fn modes_of(said: &str) -> Option<String> {
    let (file, rest) = said.lines().find_map(|line| line.split_once(": bad permissions"))?;
    let mode = rest.rsplit_once(' ')?.1;
    let is_mode = mode.len() == 4 && mode.bytes().all(|byte| byte.is_ascii_digit());
    (is_mode && file.starts_with('/')).then(|| format!("chmod {mode} {}", look::quoted(file)))
}

fn install_rule() -> String {
    if Path::new(COPY).is_file() {
        format!("install -o root -g root -m 0440 {COPY} {RULE_FILE}")
    } else {
        "install the package again, or in its source: make install-dom0".to_owned()
    }
}

/// The file against the one of this version; comments and blanks mean nothing.
fn rule() -> Option<Finding> {
    let evidence = match look::text(Path::new(RULE_FILE)) {
        Ok(Some(text)) if meaning(&text) == meaning(SHIPPED) => return None,
        Ok(Some(_)) => "it is not the one that belongs to this version".to_owned(),
        Ok(None) => "it does not exist".to_owned(),
        Err(why) => why,
    };
    Some(finding(&RULE, RULE_FILE, evidence, install_rule()))
}

fn meaning(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty() && !is_comment(line)).collect()
}

/// `#include` and `#1000` are none (sudoers(5)).
fn is_comment(line: &str) -> bool {
    line.strip_prefix('#').is_some_and(|rest| {
        !rest.starts_with("include") && !rest.starts_with(|c: char| c.is_ascii_digit())
    })
}

/// What sudo lets an account do beside the one thing.
fn beyond(cluster: &ClusterName, said: &Said, rule_is_ours: bool) -> Option<Finding> {
    let account = cluster.account();
    // While the rule is another one, what it allows is told with it.
    let of_rule = |rule: &str| is_ours(rule) || (!rule_is_ours && rule.contains(BROKER));
    let more: Vec<_> = said.rules.iter().filter(|rule| !of_rule(rule)).cloned().collect();
    if more.is_empty() {
        return None;
    }
    let evidence = format!("sudo -l -U {account} says: {}", more.join("; "));
    let (about, mend) = source_of(&account).unwrap_or_else(|| {
        (account.clone(), format!("take {account} and {GROUP} out of that rule with visudo"))
    });
    Some(finding_of(&[cluster], &BEYOND, about, evidence, mend))
}

fn not_allowed(cluster: &ClusterName, done: &Finished) -> Finding {
    let account = cluster.account();
    // What fails before it says anything of rules has not said that there is none.
    let answers = ["may run the following", "is not allowed to run"];
    if !answers.iter().any(|answer| done.stdout.contains(answer)) {
        let why = format!("sudo -l -U {account}: {}", done.last_words());
        return look::unseen(About::AFence, &account, why, &format!("sudo -l -U {account}"));
    }
    let evidence = format!("sudo -l -U {account} does not name the broker");
    finding_of(&[cluster], &NOT_ALLOWED, account, evidence, read_directory())
}

fn is_watched(word: &str) -> Finding {
    let evidence =
        format!("{word} is set: sudo stays between sshd and the broker, and can hold it up");
    let mend = "umask 337; echo 'Defaults!/usr/sbin/xen-fence-broker !intercept, !log_subcmds' > \
                /etc/sudoers.d/xen-fence-watch";
    finding(&WATCHED, "sudo", evidence, mend)
}

fn is_ours(rule: &str) -> bool {
    let mut words: Vec<&str> = rule.split_whitespace().collect();
    // The tags stand in any order.
    words.get_mut(1..3).into_iter().for_each(<[&str]>::sort_unstable);
    words == ALLOWED
}

/// sudo reads the directory only where its main file says so.
fn read_directory() -> String {
    let file = SUDOERS.file();
    let main = look::text(Path::new(file)).ok().flatten().unwrap_or_default();
    let says = |line: &str| {
        let line = line.trim_start_matches(['#', '@']);
        line.split_whitespace().eq(["includedir", RULES_DIR])
    };
    if main.lines().any(|line| line.starts_with(['#', '@']) && says(line)) {
        "find the later rule that takes it back, with sudo -ll -U and the account".to_owned()
    } else {
        SUDOERS.in_etc(format!("echo '@includedir /etc/sudoers.d' >> {file}"))
    }
}

/// The line that gives this account, or the group, more: by a rule of its own.
fn source_of(account: &str) -> Option<(String, String)> {
    let more = fs::read_dir(RULES_DIR).into_iter().flatten().flatten();
    // sudo reads no file with a dot or a tilde in its name.
    let more = more.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        !name.contains('.') && !name.ends_with('~') && *path != Path::new(RULE_FILE)
    });
    let mut files: Vec<PathBuf> = more.collect();
    files.sort();
    files.insert(0, PathBuf::from(SUDOERS.file()));
    let group = format!("%{GROUP}");
    files.into_iter().find_map(|path| {
        let text = look::text(&path).ok()??;
        let lines = text.lines().enumerate();
        let mut own = lines.filter(|(_, line)| {
            let first = line.split_whitespace().next();
            first == Some(account) || first == Some(&group)
        });
        let (index, line) = own.next()?;
        let number = index.saturating_add(1);
        let file = path.display();
        // A rule over several lines is not cut in two.
        let mend = if line.ends_with('\\') {
            format!("take the rule in line {number} away: visudo -f {file}")
        } else {
            SUDOERS.in_etc(format!("sed -i '{number}s/^/# /' {}", look::quoted_path(&path)))
        };
        Some((format!("{file}:{number}"), mend))
    })
}

/// The two parts of what `sudo -l` says that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Said {
    /// Settings that hold for the account, and those for single commands.
    defaults: Vec<String>,
    /// What it may run, a rule each.
    rules: Vec<String>,
}

impl Said {
    fn read(text: &str) -> Self {
        let mut said = Self::default();
        let mut in_rules = false;
        for line in text.lines() {
            let Some(rest) = line.strip_prefix([' ', '\t']) else {
                in_rules = line.contains("may run the following commands");
                continue;
            };
            let rest = rest.trim();
            if !in_rules {
                said.defaults.extend(rest.split([',', ' ']).map(ToOwned::to_owned));
            } else if rest.starts_with('(') {
                said.rules.push(rest.to_owned());
            } else if let Some(last) = said.rules.last_mut() {
                // Long rules are wrapped.
                last.push(' ');
                last.push_str(rest);
            }
        }
        said
    }

    fn watched(&self) -> Option<&'static str> {
        let is_set = |word: &&&str| {
            self.defaults.iter().any(|it| it == **word)
                && !self.defaults.iter().any(|it| it.strip_prefix('!') == Some(**word))
        };
        WATCHES.iter().find(is_set).copied()
    }
}

#[cfg(test)]
mod tests;
