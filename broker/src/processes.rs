//! The processes of dom0 that matter to a death: those that may still write for the domain, and
//! those that may bring it back.
//!
//! Writers leave no corpse: a device model or a tapdisk completes its queue from user space. An
//! xl monitor re-creates a domain that rebooted itself, seconds after it was gone from every list.

use crate::acl::Node;
use crate::bounded;
use crate::clock::Moment;
use crate::domain_config;
use crate::media::{Disks, Whose};
use entry::{Entry, directory, entries, exists};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

mod entry;

/// One process, told apart from a later one with the same number by its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number.
    pub pid: i32,
    /// When it was started, in the kernel's ticks since boot (proc(5), stat, field 22).
    pub started: u64,
    /// What it is, for the person who has to look after it.
    pub what: String,
}

/// The processes that may write for a node, and those that do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writers {
    /// Those that do.
    pub known: Vec<Process>,
    /// Those of which nobody can tell at this moment whose they are.
    pub perhaps: Vec<Process>,
    /// Those that write for a living neighbour, who names their disks. Who is in none of these lists may
    /// still have been the node's, as long as it lived.
    pub neighbours: Vec<Process>,
}

impl Writers {
    /// All that may write for the node.
    pub fn all(&self) -> impl Iterator<Item = &Process> {
        self.known.iter().chain(&self.perhaps)
    }

    /// One that may and still runs, in a sentence.
    pub fn obstacle(&self, lives: impl Fn(&Process) -> bool) -> Option<String> {
        let known = self.known.iter().find(|writer| lives(writer));
        let perhaps = || self.perhaps.iter().find(|writer| lives(writer));
        let known = known.map(|it| format!("its {} (pid {}) still runs", it.what, it.pid));
        known.or_else(|| {
            let Process { what, pid, .. } = perhaps()?;
            Some(format!(
                "{what} (pid {pid}) still runs, and nobody can tell that it is not its own"
            ))
        })
    }

    /// Takes in what another look has found. Who was in doubt is out of it once he is known for a
    /// neighbour's.
    pub fn learn(&mut self, found: &Self) {
        add(&mut self.known, &found.known);
        add(&mut self.perhaps, &found.perhaps);
        self.perhaps.retain(|it| !found.neighbours.contains(it) && !self.known.contains(it));
    }
}

/// Adds those that are not there yet.
fn add(to: &mut Vec<Process>, found: &[Process]) {
    for one in found {
        if !to.contains(one) {
            to.push(one.clone());
        }
    }
}

/// What the fencing core asks of dom0's processes; the tests of the core bring their own.
pub trait Processes {
    /// Root's `xl` processes that may bring the node back: its monitor, or a create under way.
    ///
    /// # Errors
    /// If the processes cannot be looked at; then nothing is proven.
    fn restarters(&self, node: &Node) -> std::io::Result<Vec<Process>>;

    /// The device models and tapdisks of the node, whose domains have these domids; `living` are all that
    /// live on the host, the node's or not.
    ///
    /// # Errors
    /// If the processes cannot be looked at; then nothing is proven.
    fn writers(&self, node: &Node, domids: &[u32], living: &[u32]) -> std::io::Result<Writers>;

    /// Root's `xl` or `xm` process that destroys one of these domains, if there is one. It goes on when
    /// the broker that began it is killed.
    ///
    /// # Errors
    /// If the processes cannot be looked at.
    fn destroyer(&self, domids: &[u32]) -> std::io::Result<Option<Process>>;

    /// Whether this very process still runs.
    fn lives(&self, process: &Process) -> bool;

    /// Whether a broker goes on. Its first thread alone acts: what is left of a broker that was killed is
    /// a thread that waits for a disk that hangs.
    fn acts(&self, broker: &Process) -> bool;
}

/// The processes of the host, as /proc shows them.
#[derive(Clone, Copy, Debug)]
pub struct ProcFs;

impl Processes for ProcFs {
    fn restarters(&self, node: &Node) -> std::io::Result<Vec<Process>> {
        let xls: Vec<Entry> = entries()?.into_iter().filter(Entry::is_roots_xl).collect();
        let named: Vec<Vec<PathBuf>> = xls.iter().map(Entry::named).collect();
        let config = node.config();
        let names_config =
            config.map_or_else(|| vec![false; xls.len()], |config| name(config, named));
        let may = xls.iter().zip(names_config).filter(|(xl, names)| xl.may_restart(node, *names));
        // Its arguments may be another tenant's secrets; its number says enough to root.
        Ok(may.map(|(xl, _)| xl.process("xl".to_owned())).collect())
    }

    fn writers(&self, node: &Node, domids: &[u32], living: &[u32]) -> std::io::Result<Writers> {
        let mut found = Writers::default();
        let mut tapdisks = Vec::new();
        for entry in entries()? {
            if entry.name.starts_with("tapdisk") {
                tapdisks.push(entry);
            } else if entry.is_device_model_of(node, domids) {
                found.known.push(entry.process(format!("device model {}", entry.name)));
            }
        }
        if !tapdisks.is_empty() {
            let disks = Disks::of(node, domids, living);
            for tapdisk in tapdisks {
                let process = tapdisk.process(tapdisk.name.clone());
                match disks.whose(&tapdisk.path("fd")) {
                    Whose::Own => found.known.push(process),
                    Whose::Perhaps => found.perhaps.push(process),
                    Whose::Neighbours => found.neighbours.push(process),
                    Whose::Nobodys => {}
                }
            }
        }
        Ok(found)
    }

    fn destroyer(&self, domids: &[u32]) -> std::io::Result<Option<Process>> {
        let destroys = |entry: &Entry| {
            (entry.is_roots_xl() || entry.name == "xm" && entry.is_roots())
                && entry.destroys(domids)
        };
        let found = entries()?.into_iter().find(destroys);
        Ok(found.map(|entry| entry.process(format!("{} destroy", entry.name))))
    }

    fn lives(&self, known: &Process) -> bool {
        is_it(known, Entry::of_pid(known.pid))
    }

    fn acts(&self, broker: &Process) -> bool {
        is_it(broker, Entry::of_first_thread(broker.pid))
    }
}

/// Whether what /proc has under its number is this process, and has not ended.
fn is_it(known: &Process, found: Option<Entry>) -> bool {
    found.map_or_else(
        // What is there and cannot be read is not gone.
        || exists(&directory(known.pid)),
        |entry| entry.started == known.started && !entry.is_dead(),
    )
}

/// When a process was started, in the kernel's ticks since boot; none if it is not there.
#[must_use]
pub fn start_of(pid: i32) -> Option<u64> {
    Entry::of_pid(pid).map(|entry| entry.started)
}

/// When the SSH connection was accepted through which this process was started: the start of
/// sshd's process for it. Without an sshd above it, the start of this process.
#[must_use]
pub fn connection_accepted() -> Option<Moment> {
    let own = Entry::of_pid(i32::try_from(std::process::id()).ok()?)?;
    let mut oldest = own.started;
    let mut above = Entry::of_pid(own.parent);
    while let Some(entry) = above.filter(|entry| entry.pid > 1) {
        above = Entry::of_pid(entry.parent);
        // The listener has been there since long before, and its own parent is no sshd; where
        // init accepts for sshd, the topmost sshd is the connection's, a moment older.
        if entry.name.starts_with("sshd") {
            if !above.as_ref().is_some_and(|above| above.name.starts_with("sshd")) {
                break;
            }
            oldest = entry.started;
        }
    }
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten()?;
    let millis = oldest.checked_mul(1000)?.checked_div(u64::try_from(ticks).ok()?)?;
    Some(Moment::since_boot(Duration::from_millis(millis)))
}

/// How long, and how often, a program that shows no arguments is given to show them.
const BEGINNING: (Duration, u32) = (Duration::from_millis(5), 10);

impl Entry {
    fn is_roots_xl(&self) -> bool {
        let called_xl = self.name == "xl"
            || fs::read_link(self.path("exe"))
                .is_ok_and(|exe| exe.file_name() == Some("xl".as_ref()));
        called_xl && fs::metadata(self.path("")).is_ok_and(|dir| dir.uid() == 0) && self.is_roots()
    }

    /// Whether root started it: a set-user-ID program under the name of xl is anybody's.
    fn is_roots(&self) -> bool {
        let Ok(status) = fs::read_to_string(self.path("status")) else { return true };
        let real = status.lines().find_map(|line| line.strip_prefix("Uid:"));
        real.and_then(|ids| ids.split_whitespace().next()).is_none_or(|real| real == "0")
    }

    /// What its arguments are, if they are files.
    fn named(&self) -> Vec<PathBuf> {
        let base = self.base();
        self.args().iter().skip(1).map(|arg| base.join(arg)).collect()
    }

    /// An argument may be relative to the directory that the process was started in.
    fn base(&self) -> PathBuf {
        fs::read_link(self.path("cwd")).unwrap_or_default()
    }

    /// Whether it may bring the node back; `names_config` is whether its arguments are seen to name the node's
    /// configuration.
    fn may_restart(&self, node: &Node, names_config: bool) -> bool {
        let files = self.open_files();
        if files.iter().any(|file| is_monitor_log(file, node.domain().as_str())) {
            return true;
        }
        // Of a file that does not answer `may_make` tells, by what xl was begun for.
        let is_others_monitor = files.iter().any(|file| is_some_monitors_log(file));
        names_config || (!is_others_monitor && self.may_make(&self.base(), node))
    }

    /// The arguments of a program that may have been started just now, and then shows none for a
    /// moment; none if it goes on to show none. One that ends shows none either, and no program.
    fn args_of_beginner(&self) -> Option<Vec<String>> {
        for _ in 0..BEGINNING.1 {
            let args = self.args();
            let ends = || fs::read_link(self.path("exe")).is_err();
            if !args.is_empty() || ends() {
                return Some(args);
            }
            std::thread::sleep(BEGINNING.0);
        }
        None
    }

    /// Whether this is a create or restore whose domain may be the node's. One that still waits, for
    /// xl's lock say, has no log yet, and its domain is in no listing. What it makes is another's only
    /// if what it reads says so.
    fn may_make(&self, base: &Path, node: &Node) -> bool {
        let Some(args) = self.args_of_beginner() else { return true };
        let Some(verb) = args.iter().position(|arg| arg == "create" || arg == "restore") else {
            return false;
        };
        let args = args.get(verb..).unwrap_or_default();
        let names = [node.domain().to_string(), node.uuid().to_string()];
        let (mut may, mut known) = (false, false);
        for arg in args.iter().skip(1) {
            let mut words = arg.split(|c: char| "=\"' ;,".contains(c));
            may |= words.any(|word| names.iter().any(|name| name.eq_ignore_ascii_case(word)));
            // As an argument of its own, or behind an option and "=".
            for word in
                std::iter::once(arg.as_str()).chain(arg.split_once('=').map(|(_, word)| word))
            {
                let node = node.clone();
                let whose = move |file: &Path| domain_config::whose(file, &node);
                match bounded::look(&base.join(word), whose) {
                    // Nor does what does not answer say that it is another's.
                    None | Some(Some(true)) => may = true,
                    Some(Some(false)) => known = true,
                    Some(None) => {}
                }
            }
        }
        may || !known
    }

    /// Whether this is `xl destroy N` or `xm destroy N`.
    fn destroys(&self, domids: &[u32]) -> bool {
        let args = self.args();
        let verb = args.iter().position(|arg| arg == "destroy");
        let of = verb.and_then(|verb| args.get(verb.saturating_add(1)..)).unwrap_or_default();
        of.iter().filter_map(|arg| arg.parse().ok()).any(|domid| domids.contains(&domid))
    }

    /// libxl starts qemu as `… -xen-domid N … -name NAME …`, for HVM guests and for disks of PV
    /// guests alike, and the traditional one, as xend does, as `qemu-dm -d N … -domain-name NAME …`
    /// (libxl_dm.c; xend's image.py).
    fn is_device_model_of(&self, node: &Node, domids: &[u32]) -> bool {
        let args = self.args();
        let value_of = |flag: &str| {
            args.iter().position(|arg| arg == flag).and_then(|at| args.get(at.saturating_add(1)))
        };
        let (domid, name) = match (value_of("-xen-domid"), value_of("-domain-name")) {
            (Some(domid), _) => (domid, value_of("-name")),
            (None, Some(name)) => (value_of("-d").unwrap_or(name), Some(name)),
            (None, None) => return false,
        };
        domid.parse().is_ok_and(|domid| domids.contains(&domid))
            || name.and_then(|name| name.split(',').next()).is_some_and(|name| {
                // One that came by a migration was started under the name of then.
                name.strip_suffix("--incoming").unwrap_or(name) == node.domain().as_str()
            })
    }
}

/// Whether a file is the log of any monitor's.
fn is_some_monitors_log(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("xl-") && name.contains(".log")
}

/// Whether a file is the log that xl's monitor of this domain keeps open: `xl-NAME.log`, also
/// while it comes in by a migration, also when rotated away under it (xl_utils.c, do_daemonize).
fn is_monitor_log(file: &Path, domain: &str) -> bool {
    let Some(name) = file.file_name().and_then(OsStr::to_str) else { return false };
    [format!("xl-{domain}.log"), format!("xl-{domain}--incoming.log")].iter().any(|log| {
        name.strip_prefix(log.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', ' ']))
    })
}

/// Which of these lists of files have the node's configuration in them, by whatever name, as far as their
/// disks answer.
fn name(config: &Path, lists: Vec<Vec<PathBuf>>) -> Vec<bool> {
    let (own, all) = (config.to_owned(), lists.clone());
    // All at once, as long as nothing hangs; then one after the other.
    let at_once = bounded::look(Path::new("/proc"), move |_| {
        let own = same_file(&own);
        all.iter().map(|list| list.iter().any(|file| same_file(file) == own)).collect()
    });
    at_once.unwrap_or_else(|| {
        let own = bounded::look(config, same_file).unwrap_or_else(|| config.to_owned());
        let is_own =
            |file: &PathBuf| bounded::look(file, same_file).is_some_and(|file| file == own);
        lists.iter().map(|list| list.iter().any(is_own)).collect()
    })
}

/// The path of a file without its symbolic links; as it stands where it cannot be followed.
fn same_file(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod children;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process_lives_and_another_start_of_its_number_does_not() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let own = Entry::of_pid(pid).unwrap().process("test".to_owned());
        assert!(ProcFs.lives(&own) && ProcFs.acts(&own));
        let later = Process { started: own.started + 1, ..own };
        assert!(!ProcFs.lives(&later) && !ProcFs.acts(&later));
    }

    #[test]
    fn a_zombie_is_dead() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let started = Entry::of_pid(pid).map_or(0, |entry| entry.started);
        while !Entry::of_pid(pid).is_none_or(|entry| entry.is_dead()) {
            std::thread::yield_now();
        }
        assert!(!ProcFs.lives(&Process { pid, started, what: String::new() }));
        child.wait().unwrap();
    }

    #[test]
    fn only_logs_of_the_domain_itself_make_a_monitor() {
        for yes in [
            "/var/log/xen/xl-alpha-node2.log",
            "/var/log/xen/xl-alpha-node2.log.1",
            "/var/log/xen/xl-alpha-node2.log (deleted)",
            "/var/log/xen/xl-alpha-node2.log-20261121",
            "/var/log/xen/xl-alpha-node2--incoming.log",
        ] {
            assert!(is_monitor_log(Path::new(yes), "alpha-node2"), "{yes}");
        }
        for no in [
            "/var/log/xen/xl-alpha-node22.log",
            "/var/log/xen/xl-alpha-node2x.log",
            "/var/log/xen/xl-xalpha-node2.log",
            "/var/log/xen/xl-alpha-node2.logs",
            "/dev/null",
        ] {
            assert!(!is_monitor_log(Path::new(no), "alpha-node2"), "{no}");
        }
    }
}
