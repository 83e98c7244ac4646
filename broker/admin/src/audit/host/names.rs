//! Names: this host's own, and the sources that sshd and sudo ask for accounts, groups and rules.
//! When the network is down, nothing on the way of a fence may ask it.

use super::look::{self, About, finding, quoted};
use super::sshd;
use crate::acl::accounts::GROUP;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::path::Path;
use xen_fence_broker::host;

const OWN_NAME: Code = Code {
    id: "XF101",
    severity: Severity::Warning,
    title: "this host's own name is not in /etc/hosts",
};
const INITGROUPS: Code = Code {
    id: "XF102",
    severity: Severity::Warning,
    title: "an account's groups are asked for through the network",
};
const SUDOERS: Code = Code {
    id: "XF103",
    severity: Severity::Warning,
    title: "sudo asks for its rules through the network",
};
const ACCOUNTS: Code = Code {
    id: "XF104",
    severity: Severity::Warning,
    title: "accounts are asked for through the network before this host's own",
};
const PAM: Code = Code {
    id: "XF105",
    severity: Severity::Warning,
    title: "a login asks the network through PAM",
};

/// Names, and where they come from.
pub(crate) const FAMILY: Family =
    Family { codes: &[&OWN_NAME, &INITGROUPS, &SUDOERS, &ACCOUNTS, &PAM], look };

const NSSWITCH: &str = "/etc/nsswitch.conf";
/// Sources that answer from this host alone, also when there is no network.
const LOCAL: [&str; 6] = ["files", "compat", "db", "systemd", "altfiles", "extrausers"];
/// Modules of PAM that ask a server.
const ASKING: [&str; 9] = [
    "pam_ldap",
    "pam_sss",
    "pam_krb5",
    "pam_winbind",
    "pam_radius",
    "pam_tacplus",
    "pam_duo",
    "pam_mount",
    "pam_afs_session",
];

fn look(scene: &Scene) -> Vec<Finding> {
    let mut findings: Vec<Finding> = own_name().into_iter().collect();
    match look::text(Path::new(NSSWITCH)) {
        Ok(text) => {
            let accounts: Vec<_> = scene.policy.clusters.iter().map(|it| it.account()).collect();
            findings.extend(of_sources(&text.unwrap_or_default(), &accounts));
        }
        Err(why) => {
            let mend = format!("chmod a+r {NSSWITCH}");
            findings.push(look::unseen(About::AFence, NSSWITCH, why, &mend));
        }
    }
    if sshd::asks_pam(scene) {
        findings.extend(of_pam());
    }
    findings
}

fn own_name() -> Option<Finding> {
    let why = host::own_name_is_in_hosts().err()?;
    let name = look::text(Path::new("/proc/sys/kernel/hostname")).ok().flatten();
    let name = quoted(name.unwrap_or_default().trim());
    let evidence = format!("{why}: where DNS is silent, sudo waits for it");
    Some(finding(&OWN_NAME, "/etc/hosts", evidence, format!("echo 127.0.1.1 {name} >> /etc/hosts")))
}

/// A line of nsswitch.conf (nsswitch.conf(5)).
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    number: usize,
    /// The sources, without what stands in brackets.
    sources: Vec<&'a str>,
}

impl Line<'_> {
    /// The first source that is not this host's.
    fn away(&self) -> Option<&str> {
        self.sources.iter().copied().find(|source| !LOCAL.contains(source))
    }

    fn place(&self) -> String {
        format!("{NSSWITCH}:{}", self.number)
    }
}

fn line<'a>(text: &'a str, database: &str) -> Option<Line<'a>> {
    text.lines().enumerate().find_map(|(index, line)| {
        let line = line.split('#').next().unwrap_or_default();
        let (name, rest) = line.split_once(':')?;
        let sources = rest.split_whitespace().filter(|word| !word.starts_with('['));
        let number = index.saturating_add(1);
        (name.trim() == database).then(|| Line { number, sources: sources.collect() })
    })
}

fn of_sources(text: &str, accounts: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Without a line of its own, initgroups asks every source of group (initgroups.c in glibc).
    let (groups, own_line) = match line(text, "initgroups") {
        Some(line) => (Some(line), true),
        None => (line(text, "group"), false),
    };
    if let Some(groups) = groups
        && let Some(away) = groups.away()
    {
        let evidence = format!(
            "at each login sshd and sudo ask {away} for the groups of {}, which are all in \
             /etc/group",
            accounts.join(", ")
        );
        let mend = if own_line {
            format!("sed -i '{}s/.*/initgroups: files/' {NSSWITCH}", groups.number)
        } else {
            format!("echo 'initgroups: files' >> {NSSWITCH}")
        };
        findings.push(finding(&INITGROUPS, groups.place(), evidence, mend));
    }
    if let Some(sudoers) = line(text, "sudoers")
        && let Some(away) = sudoers.away()
    {
        let evidence = format!("sudo asks {away} before it starts the broker");
        let mend = format!("sed -i '{}s/.*/sudoers: files/' {NSSWITCH}", sudoers.number);
        findings.push(finding(&SUDOERS, sudoers.place(), evidence, mend));
    }
    for database in ["passwd", "group", "shadow"] {
        let Some(line) = line(text, database) else { continue };
        if let Some(first) = line.sources.first().filter(|first| !LOCAL.contains(first)) {
            let evidence =
                format!("{database} asks {first} first, and {GROUP}'s accounts are here");
            let mend =
                format!("sed -i '{}s/{database}:[[:space:]]*/&files /' {NSSWITCH}", line.number);
            findings.push(finding(&ACCOUNTS, line.place(), evidence, mend));
        }
    }
    findings
}

/// A module that asks a server, in the parts of sshd's stack that a login with a key goes through.
fn of_pam() -> Option<Finding> {
    let mut found = Vec::new();
    collect("/etc/pam.d/sshd", None, 0, &mut found);
    // One is enough to wait for.
    let (place, module) = found.into_iter().next()?;
    let evidence = format!("{module} asks a server, and a login waits for it");
    let mend = if sshd::has_dedicated() {
        format!("rm {}; {}", sshd::MATCH_FILE, sshd::reload_hosts())
    } else {
        "make install-dom0 SSHD=dedicated, systemctl enable --now xen-fence-sshd, and take the \
         Match block away"
            .to_owned()
    };
    Some(finding(&PAM, place, evidence, mend))
}

/// A key's login runs the account and session modules (pam.conf(5)); `kind` is that of an include.
fn collect(file: &str, kind: Option<&str>, depth: u8, found: &mut Vec<(String, String)>) {
    let text = look::text(Path::new(file)).ok().flatten().unwrap_or_default();
    for (index, line) in text.lines().enumerate() {
        let words: Vec<&str> =
            line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let included = |name: &str| format!("/etc/pam.d/{name}");
        match words.as_slice() {
            ["@include", name] if depth < 8 => {
                collect(&included(name), kind, depth.saturating_add(1), found);
            }
            [of, rest @ ..] => {
                let of = of.trim_start_matches('-');
                let runs =
                    matches!(of, "account" | "session") && kind.is_none_or(|kind| kind == of);
                match rest {
                    ["include" | "substack", name, ..] if runs && depth < 8 => {
                        collect(&included(name), Some(of), depth.saturating_add(1), found);
                    }
                    _ if runs => {
                        let asks = |word: &&&str| ASKING.iter().any(|name| word.contains(name));
                        if let Some(module) = rest.iter().find(asks) {
                            let number = index.saturating_add(1);
                            found.push((format!("{file}:{number}"), (*module).to_owned()));
                        }
                    }
                    _ => {}
                }
            }
            [] => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        of_sources(text, &[]).iter().map(|finding| finding.code.id).collect()
    }

    #[test]
    fn sources_that_need_the_network_are_found_where_they_are_asked() {
        let clean = "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd\nshadow: files\n";
        assert!(codes(clean).is_empty());
        assert!(codes("").is_empty());
        // passwd ends with files; groups ask all.
        assert_eq!(codes("passwd: files sss\ngroup: files sss\n"), ["XF102"]);
        assert!(codes("group: files sss\ninitgroups: files\n").is_empty());
        assert_eq!(codes("group: files\ninitgroups: files ldap # x\n"), ["XF102"]);
        assert_eq!(codes("sudoers: files sss\n"), ["XF103"]);
        assert_eq!(codes("passwd: sss files\n"), ["XF104"]);
        assert_eq!(line("a: b\n#c: d\nc : e [x] f # g\n", "c").unwrap().sources, ["e", "f"]);
    }
}
