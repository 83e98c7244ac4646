//! Room: on disks, in the table of processes, for the unit of sshd, for cores; and whether idle
//! logins can be seen to make room for new ones.

use super::look::{self, About, finding, quoted_path};
use super::{policy, sshd};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use xen_fence_broker::host::free_bytes;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::settings::Dump;

const DISK: Code =
    Code { id: "XF140", severity: Severity::Warning, title: "a file system is full" };
const PROCESSES: Code =
    Code { id: "XF141", severity: Severity::Serious, title: "the table of processes is full" };
const HIDEPID: Code =
    Code { id: "XF142", severity: Severity::Warning, title: "idle logins cannot be seen" };
const DUMPS: Code =
    Code { id: "XF143", severity: Severity::Warning, title: "there is no room for a core" };

/// Room for what a fence makes.
pub(crate) const FAMILY: Family =
    Family { codes: &[&DISK, &PROCESSES, &HIDEPID, &DUMPS], look: look_at };

/// Where a fence writes: its record, its state, sshd's log, keys that are exchanged.
const WRITTEN: [&str; 4] = [JOURNAL_DIR, "/run", "/var/log", "/etc"];
/// Less than this is full before the next file of the journal is.
const LEAST_FREE: u64 = 16 << 20;

fn look_at(_: &Scene) -> Vec<Finding> {
    let mut findings = match look::in_time("the file systems", full) {
        Ok(findings) => findings,
        Err(why) => {
            let mend = "see with findmnt which file system does not answer";
            vec![look::unseen(About::AFence, "the file systems", why, mend)]
        }
    };
    findings.extend(processes());
    // Only the sshd for fencing asks who is idle.
    findings.extend(hidepid().filter(|_| sshd::has_dedicated()));
    if let Some(dump) = policy::settings().ok().as_ref().and_then(|settings| settings.dump()) {
        let dump = dump.clone();
        match look::in_time("the directory for cores", move || cores(&dump)) {
            Ok(found) => findings.extend(found),
            Err(why) => findings.push(look::unseen(
                About::AFence,
                "the directory for cores",
                why,
                "see with findmnt which file system does not answer",
            )),
        }
    }
    findings
}

fn full() -> Vec<Finding> {
    let mut seen = BTreeSet::new();
    WRITTEN
        .iter()
        .map(Path::new)
        .filter(|dir| fs::metadata(dir).is_ok_and(|found| seen.insert(found.dev())))
        .filter_map(|dir| {
            let free = match free_bytes(dir) {
                Ok(free) if free >= LEAST_FREE => return None,
                Ok(free) => free,
                Err(why) => {
                    return Some(look::unseen(About::AFence, "the file systems", why, "findmnt"));
                }
            };
            let evidence = format!("its file system has {} KiB free", free >> 10);
            let mend = format!(
                "see what takes the room, and take it away: du -xh {} | sort -h | tail",
                dir.display()
            );
            Some(finding(&DISK, dir.display(), evidence, mend))
        })
        .collect()
}

fn processes() -> Option<Finding> {
    let number = |path: &str| look::text(Path::new(path)).ok()??.trim().parse::<u64>().ok();
    let load = look::text(Path::new("/proc/loadavg")).ok()??;
    let most = [number("/proc/sys/kernel/pid_max"), number("/proc/sys/kernel/threads-max")];
    table_is_full(&load, most.into_iter().flatten().min()?)
}

/// The fourth field of /proc/loadavg is `RUNNING/ALL`, in threads (proc(5)).
fn table_is_full(load: &str, most: u64) -> Option<Finding> {
    let now: u64 = load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()?;
    (now.saturating_mul(10) >= most.saturating_mul(9)).then(|| {
        let evidence = format!("{now} of {most} are taken: no login and no broker may start");
        let mend = "see who has them: ps -eLo user= | sort | uniq -c | sort -n | tail";
        finding(&PROCESSES, "processes", evidence, mend)
    })
}

fn hidepid() -> Option<Finding> {
    let mounts = look::text(Path::new("/proc/self/mounts")).ok()??;
    let value = hidden(&mounts)?;
    let evidence = format!(
        "/proc is mounted with hidepid={value}: where an account has its 64 logins, none of them \
         can be found that does nothing, and its next one waits in vain"
    );
    let fstab = look::text(Path::new("/etc/fstab")).ok().flatten().unwrap_or_default();
    let now = "mount -o remount,hidepid=0 /proc";
    let mend = if fstab.contains("hidepid=") {
        format!("{now} && sed -i 's/hidepid=[a-z0-9]*/hidepid=0/' /etc/fstab")
    } else {
        now.to_owned()
    };
    Some(finding(&HIDEPID, "/proc", evidence, mend))
}

/// How /proc hides processes, if it does (proc(5)).
fn hidden(mounts: &str) -> Option<&str> {
    let of_proc = |line: &&str| line.split(' ').nth(1) == Some("/proc");
    let options = mounts.lines().rfind(of_proc)?.split(' ').nth(3)?;
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="))?;
    (!matches!(value, "0" | "off")).then_some(value)
}

fn cores(dump: &Dump) -> Option<Finding> {
    // A directory that is not there is made with the first core.
    let there = dump.directory.ancestors().find(|dir| dir.is_dir())?;
    let free = free_bytes(there).ok()?;
    if free >= dump.bytes() {
        return None;
    }
    let cores = oldest_first(&dump.directory);
    let sum: u64 = cores.iter().map(|(_, size, _)| size).sum();
    let evidence = format!(
        "{} MiB are free, and a core may take {}: the next one is not written; {} cores lie there, \
         of {} MiB in all",
        free >> 20,
        dump.megabytes,
        cores.len(),
        sum >> 20
    );
    let mut gained = free;
    let enough = cores.iter().map(|(_, size, path)| (*size, path)).take_while(|(size, _)| {
        let goes = gained < dump.bytes();
        gained = gained.saturating_add(*size);
        goes
    });
    let paths: Vec<String> = enough.map(|(_, path)| quoted_path(path)).collect();
    let mend = if paths.is_empty() || gained < dump.bytes() {
        format!(
            "set dump_megabytes in /etc/xen-fence/broker.toml to less than {}, or dump to a \
             larger disk",
            free >> 20
        )
    } else {
        format!("rm {}", paths.join(" "))
    };
    Some(finding(&DUMPS, dump.directory.display(), evidence, mend))
}

fn oldest_first(dir: &Path) -> Vec<(SystemTime, u64, PathBuf)> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut cores: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "core"))
        .filter_map(|path| {
            let found = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file)?;
            Some((found.modified().ok()?, found.blocks().saturating_mul(512), path))
        })
        .collect();
    cores.sort();
    cores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_full_before_the_last_place_is_taken() {
        let load = |threads: u64| format!("0.10 0.20 0.30 3/{threads} 4711\n");
        assert!(table_is_full(&load(899), 1000).is_none());
        assert!(table_is_full(&load(900), 1000).is_some());
        assert!(table_is_full("", 1000).is_none());
    }

    #[test]
    fn what_proc_hides_is_read_from_its_last_mount() {
        let mount = |options: &str| format!("proc /proc proc rw,{options} 0 0\n");
        assert_eq!(hidden(&mount("relatime")), None);
        assert_eq!(hidden(&mount("hidepid=invisible")), Some("invisible"));
        assert_eq!(hidden(&(mount("hidepid=2") + &mount("hidepid=off"))), None);
        assert_eq!(hidden("tmpfs /tmp tmpfs hidepid=2 0 0\n"), None);
    }
}
