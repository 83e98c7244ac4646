//! What an account has of its own: a home, keys in it, and programs that start without a login.

use super::super::files;
use super::super::look::{self, About, finding_of, quoted_path};
use super::entry::Entry;
use crate::audit::{Code, Finding, Severity};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use xen_fence_broker::names::ClusterName;

pub(super) const KEYS: Code = Code {
    id: "XF009",
    severity: Severity::Serious,
    title: "an account has an authorized_keys of its own",
};
pub(super) const HOME: Code =
    Code { id: "XF012", severity: Severity::Warning, title: "an account's home is not root's" };
pub(super) const STARTS: Code = Code {
    id: "XF013",
    severity: Severity::Serious,
    title: "something starts as an account without a login",
};

/// The files that sshd takes by default, below a home (AuthorizedKeysFile in sshd_config(5)).
pub(in crate::audit::host) const KEY_FILES: [&str; 2] =
    [".ssh/authorized_keys", ".ssh/authorized_keys2"];
/// Where cron, at and systemd keep what starts by itself: on Debian, Fedora and SUSE.
const CRONTABS: [&str; 3] = ["/var/spool/cron/crontabs", "/var/spool/cron", "/var/spool/cron/tabs"];
const AT_JOBS: [&str; 3] = ["/var/spool/cron/atjobs", "/var/spool/at", "/var/spool/atjobs"];
const LINGER: &str = "/var/lib/systemd/linger";
/// Tables of root's whose lines name an account (crontab(5)).
const SYSTEM_TABLES: [&str; 2] = ["/etc/crontab", "/etc/anacrontab"];
const SYSTEM_TABLES_DIR: &str = "/etc/cron.d";

/// A table of root's.
pub(super) struct Crontab {
    path: PathBuf,
    text: String,
}

/// Reads the tables of root's, once for all accounts; one that cannot be read is a finding.
pub(super) fn crontabs() -> (Vec<Crontab>, Vec<Finding>) {
    let paths = look::in_time(SYSTEM_TABLES_DIR, || {
        let more = fs::read_dir(SYSTEM_TABLES_DIR).into_iter().flatten().flatten();
        // cron passes by directories.
        let more = more.map(|entry| entry.path()).filter(|path| !path.is_dir());
        SYSTEM_TABLES.iter().map(PathBuf::from).chain(more).collect::<Vec<_>>()
    });
    let paths = match paths {
        Ok(paths) => paths,
        Err(why) => {
            let mend = "see with findmnt which file system does not answer";
            return (Vec::new(), vec![look::unseen(About::TooMuch, SYSTEM_TABLES_DIR, why, mend)]);
        }
    };
    let (mut tables, mut findings) = (Vec::new(), Vec::new());
    for path in paths {
        match look::text(&path) {
            Ok(Some(text)) => tables.push(Crontab { path, text }),
            Ok(None) => {}
            Err(why) => {
                let about = path.display().to_string();
                let why = format!("{why}: it may start programs as an account");
                let mend =
                    format!("see what it is, and move it away: mv {} /root/", quoted_path(&path));
                findings.push(look::unseen(About::TooMuch, &about, why, &mend));
            }
        }
    }
    (tables, findings)
}

/// Looks at all of it.
pub(super) fn look(cluster: &ClusterName, entry: &Entry, crontabs: &[Crontab]) -> Vec<Finding> {
    let (name, uid, home) = (entry.name.clone(), entry.uid, PathBuf::from(&entry.home));
    let account = entry.name.clone();
    let looked = look::in_time("its home, crontab and jobs", move || {
        (keys(&home), home_is_loose(&home), starts(&name, uid))
    });
    let (keys, home_is_loose, starts) = match looked {
        Ok(looked) => looked,
        Err(why) => {
            let mend = "see with findmnt which file system does not answer";
            return vec![look::unseen(About::TooMuch, &account, why, mend)];
        }
    };
    let mut findings = Vec::new();
    for file in keys {
        let evidence = format!("an sshd that serves {account} by other settings would take it");
        findings.push(with_keys(cluster, &file, evidence));
    }
    if home_is_loose {
        let evidence = format!("others than root can put files into {}", entry.home);
        let mend = format!("usermod --home / {account}");
        findings.push(finding_of(&[cluster], &HOME, &account, evidence, mend));
    }
    for (place, mend) in starts.into_iter().chain(lines_in(crontabs, &account)) {
        let evidence = format!("{place} starts programs as {account}");
        findings.push(finding_of(&[cluster], &STARTS, &account, evidence, mend));
    }
    findings
}

pub(super) fn with_keys(cluster: &ClusterName, file: &Path, evidence: String) -> Finding {
    let path = quoted_path(file);
    let mend = format!("mv {path} {path}.not-used");
    finding_of(&[cluster], &KEYS, file.display(), evidence, mend)
}

fn keys(home: &Path) -> Vec<PathBuf> {
    let files = KEY_FILES.iter().map(|name| home.join(name));
    files.filter(|file| fs::symlink_metadata(file).is_ok()).collect()
}

fn home_is_loose(home: &Path) -> bool {
    home.exists() && !files::way_is_tight(home)
}

/// Each thing that starts as the account, and the command that takes it away.
fn starts(account: &str, uid: u32) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let linger = Path::new(LINGER).join(account);
    let tables = CRONTABS.iter().map(|dir| Path::new(dir).join(account));
    for path in tables.chain([linger]) {
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file()) {
            found.push((path.display().to_string(), format!("rm {}", quoted_path(&path))));
        }
    }
    for job in AT_JOBS.iter().flat_map(|dir| fs::read_dir(dir).into_iter().flatten().flatten()) {
        let path = job.path();
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.uid() == uid) {
            found.push((path.display().to_string(), format!("rm {}", quoted_path(&path))));
        }
    }
    found
}

/// The same for lines in root's tables.
fn lines_in(crontabs: &[Crontab], account: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for Crontab { path, text } in crontabs {
        for number in lines_of(text, account) {
            let place = format!("{}:{number}", path.display());
            found.push((place, format!("sed -i '{number}s/^/#/' {}", quoted_path(path))));
        }
    }
    found
}

/// The numbers of the lines that run as the account: it stands behind five fields, or one as `@daily`.
fn lines_of(text: &str, account: &str) -> Vec<usize> {
    let runs_as = |line: &str| {
        if line.trim_start().starts_with('#') {
            return false;
        }
        let fields = if line.trim_start().starts_with('@') { 1 } else { 5 };
        line.split_whitespace().nth(fields) == Some(account)
    };
    let lines = text.lines().enumerate().filter(|(_, line)| runs_as(line));
    lines.map(|(index, _)| index.saturating_add(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_system_crontab_name_who_runs_them() {
        let table = "SHELL=/bin/sh\n# m h dom mon dow user command\n17 * * * * root x\n\
                     1 2 3 4 5 fence-a y\n@daily fence-a z\n#1 2 3 4 5 fence-a q\n";
        assert_eq!(lines_of(table, "fence-a"), [4, 5]);
    }
}
