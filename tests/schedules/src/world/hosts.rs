//! A host: its disk, its processes, what sshd has running there, its syslog.

use super::World;
use super::faults::Moods;
use super::xl::Program;
use crate::cast::{self, CLUSTERS, NODES};
use crate::kernel::disk::Disk;
use crate::kernel::proc::{Procs, Shown};
use std::collections::BTreeMap;

/// One dom0.
pub struct Host {
    pub disk: Disk,
    pub procs: Procs,
    pub syslog: Vec<String>,
    pub has_syslog: bool,
    pub(super) moods: Moods,
    pub(super) programs: BTreeMap<i32, Program>,
    pub(super) next_domid: u32,
    /// sshd's listener.
    pub(super) sshd: i32,
    boot: String,
}

impl Host {
    pub(super) fn new(number: usize, brake: bool) -> Self {
        let mut disk = Disk::default();
        for dir in ["/run", "/var/lib/xen-fence", "/sys/fs/cgroup", "/etc/xen-fence"] {
            disk.make_dirs(dir);
        }
        for cluster in CLUSTERS {
            disk.put(
                &format!("/etc/xen-fence/clusters.d/{cluster}.toml"),
                &cast::policy(cluster, brake),
            );
        }
        for node in 0..NODES.len() {
            let text =
                format!("name = \"{}\"\nuuid = \"{}\"\n", cast::domain(node), cast::uuid(node));
            disk.put(&cast::config(node), &text);
        }
        let mut procs = Procs::new();
        procs.begin(0, 0, "init", &["init"]);
        let sshd = procs.begin(10_000_000, 1, "sshd", &["sshd: listener"]);
        Self {
            disk,
            procs,
            syslog: Vec::new(),
            has_syslog: true,
            moods: Moods::default(),
            programs: BTreeMap::new(),
            next_domid: 5,
            sshd,
            boot: format!("00000000-0000-4000-8000-{number:012}\n"),
        }
    }

    /// What /proc shows to a process.
    pub fn shows(&self, own: i32, path: &str) -> Option<Shown> {
        if path == "/proc/sys/kernel/random/boot_id" {
            return Some(Shown::File(self.boot.clone().into_bytes()));
        }
        self.procs.show(own, path)
    }
}

impl World {
    /// What a host is called.
    pub(super) fn host_name(host: usize) -> String {
        format!("xen{}", host + 1)
    }

    /// Puts bytes into a file: at that place, or behind what there is.
    pub fn stores(
        &mut self,
        host: usize,
        inode: usize,
        at: Option<&mut usize>,
        bytes: &[u8],
    ) -> isize {
        let file = &mut self.hosts[host].disk.inode(inode).bytes;
        match at {
            None => file.extend_from_slice(bytes),
            Some(at) => {
                file.truncate(*at);
                file.extend_from_slice(bytes);
                *at += bytes.len();
            }
        }
        bytes.len() as isize
    }

    /// Takes its locks from an open file, and lets go on who waits for one.
    pub fn unlocks(&mut self, host: usize, open: u64) {
        self.hosts[host].disk.unlock(open);
        for broker in 0..self.brokers.len() {
            let waiting = &self.brokers[broker];
            let Some((inode, earliest)) = waiting.open.waits_for else { continue };
            let free = waiting.host == host && self.hosts[host].disk.inode(inode).locked.is_none();
            if free && !waiting.is_over() {
                self.wakes(broker, earliest);
            }
        }
    }
}
