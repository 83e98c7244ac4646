//! Room: on disks, in the table of processes, for the unit of sshd, for cores; and whether idle
//! logins can be seen to make room for new ones.

use super::look::{self, About, finding, quoted_path};
use super::{policy, sshd};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use xen_fence_broker::host::Room;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::settings::Dump;

const DISK: Code =
    Code { id: "XF140", severity: Severity::Warning, title: "a file system is full or read-only" };
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
/// A fence makes a handful of files.
const LEAST_INODES: u64 = 64;

fn look_at(_: &Scene) -> Vec<Finding> {
    let mut findings = match look::in_time("the file systems", full) {
        Ok(findings) => findings,
        Err(why) => {
            let mend = "see with findmnt which file system does not answer";
            vec![look::unseen(About::AFence, "the file systems", why, mend)]
        }
    };
    let proc_answers = "see with `mount | grep /proc` what is mounted there";
    let open = |what: &str, why: String| look::unseen(About::AFence, what, why, proc_answers);
    findings.extend(processes().unwrap_or_else(|why| Some(open("processes", why))));
    // Only the sshd for fencing asks who is idle.
    if sshd::has_dedicated() {
        findings.extend(hidepid().unwrap_or_else(|why| Some(open("/proc", why))));
    }
    if let Some(dump) = policy::settings().ok().as_ref().and_then(|settings| settings.dump()) {
        let dump = dump.clone();
        match look::in_time("the directory for cores", move || cores(&dump)).flatten() {
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
    let mut findings = Vec::new();
    for dir in WRITTEN.map(Path::new) {
        let found = match fs::metadata(dir) {
            // What is not there is made with the first record, or by who installs.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            found => {
                found.map_err(|error| format!("{} cannot be looked at: {error}", dir.display()))
            }
        };
        match found.and_then(|found| Ok((found.dev(), Room::at(dir)?))) {
            // A part of a file system can be mounted once more, read-only.
            Ok((device, room)) if seen.insert((device, room.read_only)) => {
                findings.extend(lacking(dir, room));
            }
            Ok(_) => {}
            Err(why) => {
                findings.push(look::unseen(About::AFence, "the file systems", why, "findmnt"));
            }
        }
    }
    findings
}

/// What a file system lacks for what is written there.
fn lacking(dir: &Path, room: Room) -> Option<Finding> {
    let dir = dir.display();
    let (evidence, mend) = match room {
        Room { read_only: true, .. } => (
            "its file system is mounted read-only".to_owned(),
            format!("`findmnt -T {dir}` names it, and dmesg says why: mount it writable again"),
        ),
        Room { bytes, .. } if bytes < LEAST_FREE => (
            format!("its file system has {} KiB free", bytes >> 10),
            format!("see what takes the room, and take it away: du -xh {dir} | sort -h | tail"),
        ),
        Room { inodes: Some(inodes), .. } if inodes < LEAST_INODES => (
            format!("its file system has {inodes} inodes free, one for each new file"),
            format!("see what takes them, and take it away: du -x --inodes {dir} | sort -n | tail"),
        ),
        Room { .. } => return None,
    };
    Some(finding(&DISK, dir, evidence, mend))
}

/// A file of /proc, which is always there.
fn proc(path: &str) -> Result<String, String> {
    look::text(Path::new(path))?.ok_or_else(|| format!("{path} is not there"))
}

fn processes() -> Result<Option<Finding>, String> {
    let number = |path: &str| {
        let text = proc(path)?;
        text.trim().parse::<u64>().map_err(|_| format!("{path} says {:?}", text.trim()))
    };
    let load = proc("/proc/loadavg")?;
    let most = number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max")?);
    table_is_full(&load, most)
}

/// The fourth field of /proc/loadavg is `RUNNING/ALL`, in threads (proc(5)).
fn table_is_full(load: &str, most: u64) -> Result<Option<Finding>, String> {
    let all = load.split_whitespace().nth(3).and_then(|field| field.split_once('/'));
    let now: u64 = all
        .and_then(|(_, all)| all.parse().ok())
        .ok_or_else(|| format!("/proc/loadavg says {:?}", load.trim()))?;
    Ok((now.saturating_mul(10) >= most.saturating_mul(9)).then(|| {
        let evidence = format!("{now} of {most} are taken: no login and no broker may start");
        let mend = "see who has them: ps -eLo user= | sort | uniq -c | sort -n | tail";
        finding(&PROCESSES, "processes", evidence, mend)
    }))
}

fn hidepid() -> Result<Option<Finding>, String> {
    let mounts = proc("/proc/self/mounts")?;
    let Some(value) = hidden(&mounts)? else { return Ok(None) };
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
    Ok(Some(finding(&HIDEPID, "/proc", evidence, mend)))
}

/// How /proc hides processes, if it does (proc(5)).
fn hidden(mounts: &str) -> Result<Option<&str>, String> {
    let of_proc = |line: &&str| line.split(' ').nth(1) == Some("/proc");
    let options = mounts.lines().rfind(of_proc).and_then(|line| line.split(' ').nth(3));
    let options = options.ok_or("/proc/self/mounts does not tell how /proc is mounted")?;
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="));
    Ok(value.filter(|value| !matches!(*value, "0" | "off")))
}

fn cores(dump: &Dump) -> Result<Option<Finding>, String> {
    // A directory that is not there is made with the first core.
    let there = dump.directory.ancestors().find(|dir| dir.is_dir());
    let free = Room::at(there.unwrap_or(&dump.directory))?.bytes;
    if free >= dump.bytes() {
        return Ok(None);
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
    Ok(Some(finding(&DUMPS, dump.directory.display(), evidence, mend)))
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
    fn a_file_system_lacks_room_for_bytes_or_files_or_takes_neither() {
        let room = Room { bytes: LEAST_FREE, inodes: Some(LEAST_INODES), read_only: false };
        let lacks = |room| lacking(Path::new("/run"), room).map(|finding| finding.evidence);
        assert_eq!(lacks(room), None);
        assert_eq!(lacks(Room { inodes: None, ..room }), None, "not all count them");
        for (room, word) in [
            (Room { bytes: LEAST_FREE - 1, ..room }, "16383 KiB"),
            (Room { inodes: Some(LEAST_INODES - 1), ..room }, "63 inodes"),
            (Room { read_only: true, ..room }, "read-only"),
        ] {
            assert!(lacks(room).unwrap().contains(word), "{word}");
        }
    }

    #[test]
    fn a_table_is_full_before_the_last_place_is_taken() {
        let load = |threads: u64| format!("0.10 0.20 0.30 3/{threads} 4711\n");
        assert_eq!(table_is_full(&load(899), 1000), Ok(None));
        assert!(table_is_full(&load(900), 1000).unwrap().is_some());
        assert!(table_is_full("", 1000).is_err(), "what does not tell is no room");
    }

    #[test]
    fn what_proc_hides_is_read_from_its_last_mount() {
        let mount = |options: &str| format!("proc /proc proc rw,{options} 0 0\n");
        assert_eq!(hidden(&mount("relatime")), Ok(None));
        assert_eq!(hidden(&mount("hidepid=invisible")), Ok(Some("invisible")));
        assert_eq!(hidden(&(mount("hidepid=2") + &mount("hidepid=off"))), Ok(None));
        assert!(hidden("tmpfs /tmp tmpfs hidepid=2 0 0\n").is_err());
    }
}
