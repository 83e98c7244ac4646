//! Names: this host's own, and the sources that sshd and sudo ask for accounts, groups and rules.
//! When the network is down, nothing on the way of a fence may ask it.

use super::look::{self, About, finding, quoted};
use super::sshd;
use crate::acl::accounts::GROUP;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use crate::etc::NSSWITCH;
use std::collections::BTreeSet;
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

const HOSTS: Code = Code {
    id: "XF107",
    severity: Severity::Warning,
    title: "this host's own name is asked for through the network before /etc/hosts",
};

/// Names, and where they come from.
pub(crate) const FAMILY: Family =
    Family { codes: &[&OWN_NAME, &INITGROUPS, &SUDOERS, &ACCOUNTS, &PAM, &HOSTS], look };

const PAM_DIR: &str = "/etc/pam.d";
/// Where PAM looks for a file that /etc/pam.d has not: what the distribution ships.
const PAM_VENDOR_DIRS: [&str; 2] = ["/usr/lib/pam.d", "/usr/etc/pam.d"];
/// No stack of PAM includes deeper.
const DEEPEST: u8 = 8;
/// Sources that answer from this host alone, also when there is no network.
const LOCAL: [&str; 5] = ["files", "db", "systemd", "altfiles", "extrausers"];
/// Sources of `hosts` that know this host's own name, and those that never ask the network for it: of
/// mdns_minimal that is so for all that does not end in `.local`.
const KNOW_THE_HOST: [&str; 3] = ["files", "myhostname", "resolve"];
const PASS_THE_HOST_ON: [&str; 7] = [
    "db",
    "mymachines",
    "libvirt",
    "libvirt_guest",
    "mdns_minimal",
    "mdns4_minimal",
    "mdns6_minimal",
];
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
    let file = NSSWITCH.file();
    match look::text(Path::new(file)) {
        Ok(text) => {
            let accounts: Vec<_> = scene.policy.clusters.iter().map(|it| it.account()).collect();
            let text = text.unwrap_or_default();
            findings.extend(of_sources(&text, file, sends_on, &accounts).into_iter().map(|it| {
                let mend = NSSWITCH.in_etc(it.mend);
                Finding { mend, ..it }
            }));
        }
        Err(why) => {
            let mend = format!("chmod a+r {file}");
            findings.push(look::unseen(About::AFence, file, why, &mend));
        }
    }
    if sshd::asks_pam(scene) {
        findings.extend(of_pam());
    }
    findings
}

fn own_name() -> Option<Finding> {
    if let Err(why) = look::text(Path::new(host::HOSTS)) {
        let mend = "see what it is, and put a plain file in its place";
        return Some(look::unseen(About::AFence, host::HOSTS, why, mend));
    }
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
    /// The sources, without what stands in brackets; in the place of `compat` those that it comes to.
    sources: Vec<&'a str>,
}

impl Line<'_> {
    /// The first source that is not this host's.
    fn away(&self) -> Option<&str> {
        self.sources.iter().copied().find(|source| !LOCAL.contains(source))
    }

    /// The first source that is asked through the network before one that knows this host's own name.
    fn before_this_host(&self) -> Option<&str> {
        let before = self.sources.iter().take_while(|source| !KNOW_THE_HOST.contains(source));
        before.copied().find(|source| !PASS_THE_HOST_ON.contains(source))
    }

    fn place(&self, file: &str) -> String {
        format!("{file}:{}", self.number)
    }
}

fn line<'a>(text: &'a str, database: &str, sends_on: fn(&str) -> bool) -> Option<Line<'a>> {
    let (number, named) = named(text, database)?;
    let own = if database == "initgroups" { "group" } else { database };
    let mut sources = Vec::new();
    for source in named {
        if source != "compat" {
            sources.push(source);
            continue;
        }
        // It is the host's own file, and behind it what lines in it send on to (nss_compat).
        sources.push("files");
        if sends_on(own) {
            let (_, more) = self::named(text, &format!("{own}_compat")).unwrap_or((0, vec!["nis"]));
            sources.extend(more);
        }
    }
    Some(Line { number, sources })
}

/// The line of a database, and the sources that it names.
fn named<'a>(text: &'a str, database: &str) -> Option<(usize, Vec<&'a str>)> {
    text.lines().enumerate().find_map(|(index, line)| {
        let line = line.split('#').next().unwrap_or_default();
        let (name, rest) = line.split_once(':')?;
        if name.trim() != database {
            return None;
        }
        let mut parts = rest.split('[');
        let mut sources: Vec<&str> = parts.next().unwrap_or_default().split_whitespace().collect();
        for part in parts {
            let behind = part.split_once(']').map_or("", |(_, behind)| behind);
            sources.extend(behind.split_whitespace());
        }
        Some((index.saturating_add(1), sources))
    })
}

/// Whether the host's own file of a database has lines that send on to another source (passwd(5), as NIS
/// has it).
fn sends_on(database: &str) -> bool {
    let file = Path::new("/etc").join(database);
    let text = look::text(&file).ok().flatten().unwrap_or_default();
    text.lines().any(|line| line.starts_with('+') || line.starts_with("-@"))
}

fn of_sources(
    text: &str,
    file: &str,
    sends_on: fn(&str) -> bool,
    accounts: &[String],
) -> Vec<Finding> {
    let line = |database: &str| line(text, database, sends_on);
    let mut findings = Vec::new();
    // Without a line of its own, initgroups asks every source of group (initgroups.c in glibc).
    let (groups, own_line) = match line("initgroups") {
        Some(line) => (Some(line), true),
        None => (line("group"), false),
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
            format!("sed -i --follow-symlinks '{}s/.*/initgroups: files/' {file}", groups.number)
        } else {
            format!("echo 'initgroups: files' >> {file}")
        };
        findings.push(finding(&INITGROUPS, groups.place(file), evidence, mend));
    }
    if let Some(sudoers) = line("sudoers")
        && let Some(away) = sudoers.away()
    {
        let evidence = format!("sudo asks {away} before it starts the broker");
        let mend =
            format!("sed -i --follow-symlinks '{}s/.*/sudoers: files/' {file}", sudoers.number);
        findings.push(finding(&SUDOERS, sudoers.place(file), evidence, mend));
    }
    for database in ["passwd", "group", "shadow"] {
        let Some(line) = line(database) else { continue };
        if let Some(first) = line.sources.first().filter(|first| !LOCAL.contains(first)) {
            let evidence =
                format!("{database} asks {first} first, and {GROUP}'s accounts are here");
            let mend = format!(
                "sed -i --follow-symlinks '{}s/{database}:[[:space:]]*/&files /' {file}",
                line.number
            );
            findings.push(finding(&ACCOUNTS, line.place(file), evidence, mend));
        }
    }
    if let Some(hosts) = line("hosts")
        && let Some(away) = hosts.before_this_host()
    {
        let evidence = format!("hosts asks {away} first: where that is silent, sudo waits for it");
        let mend = format!(
            "sed -i --follow-symlinks '{}s/hosts:[[:space:]]*/&files /' {file}",
            hosts.number
        );
        findings.push(finding(&HOSTS, hosts.place(file), evidence, mend));
    }
    findings
}

/// A module that asks a server, in the parts of sshd's stack that a login with a key goes through; and
/// what of that stack could not be looked at.
fn of_pam() -> Vec<Finding> {
    let mut stack = Stack::default();
    stack.collect(Path::new(PAM_DIR), Path::new("sshd"), None, 0);
    let unread = stack.unread.into_iter().map(|(file, why)| {
        look::unseen(About::AFence, &file, why, "have sshd's stack of PAM whole and readable")
    });
    // One is enough to wait for.
    let asking = stack.asking.into_iter().next();
    asking.map(|(place, module)| asks(place, &module)).into_iter().chain(unread).collect()
}

fn asks(place: String, module: &str) -> Finding {
    let evidence = format!("{module} asks a server, and a login waits for it");
    let mend = if sshd::has_dedicated() {
        format!("rm {}; {}", sshd::MATCH_FILE, sshd::reload_hosts())
    } else {
        "make install-dom0 SSHD=dedicated, systemctl enable --now xen-fence-sshd, and take the \
         Match block away"
            .to_owned()
    };
    finding(&PAM, place, evidence, mend)
}

/// A stack of PAM, as far as a login with a key goes through it.
#[derive(Debug, Default)]
struct Stack {
    /// The lines whose module asks a server, and the modules.
    asking: Vec<(String, String)>,
    /// The files that could not be looked at, and why.
    unread: BTreeSet<(String, String)>,
}

impl Stack {
    /// A key's login runs the account and session modules (pam.conf(5)); `kind` is that of an include. A
    /// name is one of the directory, or a path of its own.
    fn collect(&mut self, dir: &Path, name: &Path, kind: Option<&str>, depth: u8) {
        let path = dir.join(name);
        let file = path.display();
        let text = match text_of(&path, name) {
            Ok(_) if depth > DEEPEST => Err(format!("it is included over {DEEPEST} others")),
            text => text,
        };
        let text = text.unwrap_or_else(|why| {
            self.unread.insert((file.to_string(), why));
            String::new()
        });
        let deeper = depth.saturating_add(1);
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["@include", name, ..] => self.collect(dir, Path::new(name), kind, deeper),
                [of, rest @ ..] => {
                    let of = of.trim_start_matches('-');
                    let runs =
                        matches!(of, "account" | "session") && kind.is_none_or(|kind| kind == of);
                    match rest {
                        ["include" | "substack", name, ..] if runs => {
                            self.collect(dir, Path::new(name), Some(of), deeper);
                        }
                        _ if runs => {
                            let asks = |word: &&&str| ASKING.iter().any(|name| word.contains(name));
                            if let Some(module) = rest.iter().find(asks) {
                                let number = index.saturating_add(1);
                                self.asking
                                    .push((format!("{file}:{number}"), (*module).to_owned()));
                            }
                        }
                        _ => {}
                    }
                }
                [] => {}
            }
        }
    }
}

/// The text of a file of PAM: without all of them a login fails.
fn text_of(path: &Path, name: &Path) -> Result<String, String> {
    let shipped = PAM_VENDOR_DIRS.iter().map(|dir| Path::new(dir).join(name));
    for place in std::iter::once(path.to_owned()).chain(shipped) {
        if let Some(text) = look::text(&place)? {
            return Ok(text);
        }
    }
    Err(format!("{} is not there", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        of_sources(text, "", |_| false, &[]).iter().map(|finding| finding.code.id).collect()
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
        let sources = |text: &str| named(text, "c").unwrap().1.join(" ");
        assert_eq!(sources("a: b\n#c: d\nc : e [x] f # g\n"), "e f");
        assert_eq!(
            sources("c: e [SUCCESS=return NOTFOUND=continue] f[!UNAVAIL=return]g\n"),
            "e f g"
        );
        assert!(codes("group: files [SUCCESS=return NOTFOUND=continue] systemd\n").is_empty());
    }

    /// authselect has a link there.
    #[test]
    fn what_is_linked_stays_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let [link, file] = ["nsswitch.conf", "authselect"].map(|name| dir.path().join(name));
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let wrong = "passwd: sss files\ninitgroups: sss\nsudoers: sss\nhosts: dns\n";
        std::fs::write(&file, wrong).unwrap();
        let place = link.display().to_string();
        let found = of_sources(wrong, &place, |_| false, &[]);
        for finding in &found {
            assert!(look::run("/bin/sh", &["-c", &finding.mend]).unwrap().status.success());
        }
        let right =
            "passwd: files sss files\ninitgroups: files\nsudoers: files\nhosts: files dns\n";
        assert_eq!(std::fs::read_to_string(&file).unwrap(), right);
        assert!(link.is_symlink());
    }

    #[test]
    fn compat_is_the_hosts_own_until_a_line_sends_on() {
        let codes = |text: &str, sends_on| -> Vec<&str> {
            of_sources(text, "", sends_on, &[]).iter().map(|finding| finding.code.id).collect()
        };
        let text = "passwd: compat\ngroup: compat\nshadow: compat\n";
        assert!(codes(text, |_| false).is_empty());
        // Its own file answers for the accounts, which stand in it.
        assert!(codes(text, |database| database == "passwd").is_empty());
        assert_eq!(codes(text, |database| database == "group"), ["XF102"]);
        let local = format!("{text}group_compat: files\n");
        assert!(codes(&local, |_| true).is_empty());
        let ldap = format!("initgroups: compat\n{text}group_compat: ldap\n");
        assert_eq!(codes(&ldap, |database| database == "group"), ["XF102"]);
        let found = of_sources(&ldap, "", |_| true, &[]);
        assert!(found[0].evidence.contains("ask ldap"), "{}", found[0].evidence);
    }

    #[test]
    fn the_hosts_own_name_is_not_asked_of_dns_first() {
        for (sources, found) in [
            ("files dns", false),
            ("files mdns4_minimal [NOTFOUND=return] dns", false),
            ("mdns4_minimal [NOTFOUND=return] files dns", false),
            ("mymachines resolve [!UNAVAIL=return] files myhostname dns", false),
            ("myhostname dns", false),
            ("", false),
            ("dns files", true),
            ("wins files dns", true),
            ("mdns4_minimal [NOTFOUND=return] dns files", true),
            ("dns", true),
        ] {
            let found_there = codes(&format!("hosts: {sources}\n"));
            assert_eq!(found_there == ["XF107"], found, "{sources}: {found_there:?}");
        }
    }

    #[test]
    fn what_of_a_stack_cannot_be_read_is_no_empty_file() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let elsewhere = dir.path().join("elsewhere").display().to_string();
        put("elsewhere", "account required pam_sss.so\n");
        put("common", "-session optional pam_krb5.so\naccount required pam_ldap.so\n");
        let look = |text: &str| {
            put("sshd", text);
            let mut stack = Stack::default();
            stack.collect(dir.path(), Path::new("sshd"), None, 0);
            let name = |place: &str| place.rsplit('/').next().unwrap().to_owned();
            let asking: Vec<_> = stack.asking.iter().map(|(place, _)| name(place)).collect();
            let unread: Vec<_> = stack.unread.iter().map(|(file, _)| name(file)).collect();
            (asking.join(" "), unread.join(" "))
        };
        for (text, asking, unread) in [
            ("auth required pam_sss.so\naccount required pam_unix.so # pam_sss\n", "", ""),
            ("session include common\n", "common:1", ""),
            (&format!("@include {elsewhere}\n"), "elsewhere:1", ""),
            (
                "account include no-such-file\naccount required pam_sss.so\n",
                "sshd:2",
                "no-such-file",
            ),
            ("auth include no-such-file\n", "", ""),
            ("@include .\n", "", "."),
            ("@include sshd\n", "", "sshd"),
        ] {
            assert_eq!(look(text), (asking.to_owned(), unread.to_owned()), "{text}");
        }
    }
}
