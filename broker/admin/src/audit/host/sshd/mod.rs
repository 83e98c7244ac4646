//! The sshds that let the clusters' accounts in: what their settings come to for each account, and
//! whether they are there.
//!
//! What counts is what sshd itself says of its configuration (`sshd -T`), not what stands in a file.

mod beside;
mod blocks;
mod config;
mod door;
mod logins;
mod mends;
mod settings;
mod standing;

use super::accounts::{self, Account};
use super::look::{self, About, finding};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use crate::etc;
use logins::Login;
use settings::{Effective, Seen, Unread};
use std::path::{Path, PathBuf};

const REFUSED: Code =
    Code { id: "XF120", severity: Severity::Serious, title: "sshd refuses its own configuration" };

/// sshd.
pub(crate) const FAMILY: Family = Family {
    codes: &[
        &settings::FORCED,
        &settings::KEYS,
        &settings::WHO,
        &settings::HOW,
        &settings::MORE,
        &settings::ENVIRONMENT,
        &REFUSED,
        &standing::SILENT,
        &standing::NOT_ENABLED,
        &standing::SHARED,
        &standing::MAX_STARTUPS,
        &door::SHUT_OUT,
        &standing::TASKS,
        &standing::NO_LOGIN,
    ],
    look: look_at,
};

/// The program.
const SSHD: &str = "/usr/sbin/sshd";
const DEDICATED_FILE: &str = "/etc/xen-fence/sshd_config";
/// Without it sshd does nothing.
const PRIVATE_DIR: &str = "/run/sshd";
/// Our block in the host's own.
pub(super) const MATCH_FILE: &str = "/etc/ssh/sshd_config.d/xen-fence.conf";

/// One of the two ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// An sshd for fencing alone.
    Dedicated,
    /// The host's own.
    Hosts,
}

impl Way {
    /// Its configuration.
    fn file(self) -> &'static str {
        match self {
            Self::Dedicated => DEDICATED_FILE,
            Self::Hosts => etc::SSHD.file(),
        }
    }

    /// Whether it is meant to let accounts of clusters in.
    fn is_used(self) -> bool {
        match self {
            Self::Dedicated => has_dedicated(),
            Self::Hosts => Path::new(MATCH_FILE).exists(),
        }
    }

    /// The command that makes it read its configuration again.
    fn reload(self) -> String {
        match (self, look::has_systemd()) {
            (Self::Dedicated, true) => "systemctl reload xen-fence-sshd.service".to_owned(),
            (Self::Dedicated, false) => reload_by_pid("/run/xen-fence-sshd.pid"),
            (Self::Hosts, _) => reload_hosts(),
        }
    }
}

/// The files that an sshd of this host has its settings from, and the directories where it looks for more.
pub(super) fn sources() -> Vec<PathBuf> {
    let ways = [Way::Dedicated, Way::Hosts].into_iter();
    ways.flat_map(|way| config::sources(Path::new(way.file()))).collect()
}

fn reload_by_pid(file: &str) -> String {
    format!("test ! -e {file} || kill -HUP $(cat {file})")
}

/// Whether there is an sshd for fencing alone.
pub(super) fn has_dedicated() -> bool {
    Path::new(DEDICATED_FILE).exists()
}

/// Makes the host's own sshd read its configuration again.
pub(super) fn reload_hosts() -> String {
    if look::has_systemd() {
        format!("systemctl reload {}", hosts_unit())
    } else {
        reload_by_pid("/run/sshd.pid")
    }
}

/// The unit of the host's own sshd. Debian calls it ssh, others sshd.
fn hosts_unit() -> &'static str {
    let debian = Path::new("/usr/lib/systemd/system/ssh.service").exists()
        || Path::new("/lib/systemd/system/ssh.service").exists();
    if debian { "ssh.service" } else { "sshd.service" }
}

/// Whether sshd itself reads the key files of this host, as the account that logs in.
pub(super) fn reads_key_files() -> bool {
    let in_dedicated = |line: &config::Line| {
        line.keyword == "authorizedkeysfile" && line.value == settings::KEY_FILES
    };
    Way::Hosts.is_used() || config::lines(Path::new(DEDICATED_FILE)).iter().any(in_dedicated)
}

/// Whether a login of a cluster's account goes through PAM.
pub(super) fn asks_pam(scene: &Scene) -> bool {
    let accounts = accounts::existing(scene);
    let Some(account) = accounts.iter().find(|account| account.is_known) else { return false };
    let ways = [Way::Dedicated, Way::Hosts].into_iter().filter(|way| way.is_used());
    let seen = ways.filter_map(|way| Effective::of(way, account, Login::ANY).ok());
    seen.into_iter().any(|seen| seen.is("usepam", "yes"))
}

fn look_at(scene: &Scene) -> Vec<Finding> {
    let mut findings = of_ways(scene);
    for finding in &mut findings {
        finding.mend = etc::SSHD.in_etc(std::mem::take(&mut finding.mend));
    }
    findings
}

fn of_ways(scene: &Scene) -> Vec<Finding> {
    let mut accounts = accounts::existing(scene);
    let mut findings = beside::look(&accounts);
    // A block for the group does not concern who is not in it.
    accounts.retain(|account| account.is_known);
    if accounts.is_empty() {
        return findings;
    }
    let mut read = Vec::new();
    for way in [Way::Dedicated, Way::Hosts].into_iter().filter(|way| way.is_used()) {
        match of_way(way, &accounts) {
            Ok(seen) => read.push((way, seen)),
            Err(Unread::Refused(why)) => findings.push(refused(way, why.trim())),
            Err(Unread::Unseen(why)) => {
                let mend = format!("{SSHD} -T -f {}", way.file());
                findings.push(look::unseen(About::TooMuch, way.file(), why, &mend));
            }
        }
    }
    for (way, seen) in &read {
        findings.extend(settings::look(*way, seen));
    }
    // Who has no policy owes no fence.
    if accounts.iter().any(|account| account.policy.is_some()) {
        findings.extend(standing::look(scene, &read));
    }
    findings
}

/// What a way's settings come to, for the logins of each account.
fn of_way<'a>(way: Way, accounts: &'a [Account<'a>]) -> Result<Vec<Seen<'a>>, Unread> {
    let lines = config::lines(Path::new(way.file()));
    let mut seen = Vec::new();
    for account in accounts {
        let answers = Effective::all_of(way, account, &lines)?;
        seen.extend(answers.into_iter().map(|answer| (account, answer)));
    }
    Ok(seen)
}

fn refused(way: Way, why: &str) -> Finding {
    let place = config::place_of(why);
    let mend = match &place {
        Some((file, number)) if config::is_match(Path::new(file), *number) => format!(
            "correct the criteria of the Match block at {file}:{number}: as a comment they would make its lines \
             everybody's"
        ),
        Some((file, number)) => {
            format!("sed -i '{number}s/^/#/' {}; {}", look::quoted(file), way.reload())
        }
        // Debian's ssh.service takes it away when it stops, unless it is told not to.
        None if why.contains(PRIVATE_DIR) => format!("mkdir -m 0755 {PRIVATE_DIR}"),
        None => format!("correct what {SSHD} -t -f {} complains of", way.file()),
    };
    let about =
        place.map_or_else(|| way.file().to_owned(), |(file, number)| format!("{file}:{number}"));
    let evidence = format!("{why}: after its next start it lets nobody in");
    finding(&REFUSED, about, evidence, mend)
}
