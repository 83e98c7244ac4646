//! Files that several dom0s can see, and that a node writes through the page cache of one.

use super::disks::Use;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::fs;
use xen_fence_broker::settings::ToolstackKind;

const CACHED: Code = Code {
    id: "XF056",
    severity: Severity::Warning,
    title: "a disk that other hosts may use is behind this one's page cache",
};

pub(super) const FAMILY: Family = Family { codes: &[&CACHED], look };

/// File systems that several hosts mount at the same time. That a file lies on one is how it can be told
/// that other dom0s may use it; those on one host's own disk cannot.
const SHARED: [&str; 20] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "ocfs2",
    "gfs",
    "gfs2",
    "ceph",
    "lustre",
    "gpfs",
    "9p",
    "virtiofs",
    "afs",
    "beegfs",
    "orangefs",
    "fuse.glusterfs",
    "fuse.ceph-fuse",
    "fuse.sshfs",
    "fuse.mfs",
];

fn look(scene: &Scene) -> Vec<Finding> {
    let guests = scene.guests();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let of_node = |it: &&Use| it.disk.writable && it.owner.is_some() && it.file.is_some();
    let cached = |it: &&Use| of_node(it) && is_cached(it, guests.toolstack);
    guests.uses.iter().filter(cached).filter_map(|it| finding(it, &mounts)).collect()
}

/// Whether what the domain writes waits in dom0's memory. xl gives a plain file a loop device, which
/// goes through the page cache unless it was made otherwise, and qemu does unless it is told that it
/// need not; a tapdisk goes past it.
fn is_cached(found: &Use, toolstack: ToolstackKind) -> bool {
    let disk = &found.disk;
    let by_tapdisk = disk.backendtype.as_deref() == Some("tap");
    let by_qemu = disk.backendtype.as_deref() == Some("qdisk") || disk.format != "raw";
    match toolstack {
        _ if by_tapdisk || found.seen.direct => false,
        ToolstackKind::Xl => !(by_qemu && disk.direct),
        ToolstackKind::Xm => true,
    }
}

fn finding(found: &Use, mounts: &str) -> Option<Finding> {
    let kind = shared_kind(mounts, found.seen.file_system?)?;
    let whose = found.owner.as_ref()?;
    Some(Finding {
        code: &CACHED,
        clusters: vec![whose.cluster.clone()],
        about: found.disk.target.clone(),
        evidence: format!(
            "{} ({}) writes it through this host's page cache, and it lies on {kind}, which other \
             hosts mount too: what was written here may reach the file after the node is dead, \
             and who takes over on another host reads what is older",
            found.domain,
            found.place()
        ),
        mend: format!(
            "in {}, name a block device, or a loop device that you make with `losetup \
             --direct-io=on --find --show {}`",
            found.place(),
            found.disk.target
        ),
    })
}

/// The kind of a file system that hosts share, by its number in mountinfo (proc(5)).
fn shared_kind(mounts: &str, number: u64) -> Option<&str> {
    let wanted = super::media::number(number);
    mounts.lines().find_map(|line| {
        let (head, tail) = line.split_once(" - ")?;
        (head.split(' ').nth(2)? == wanted).then_some(())?;
        let kind = tail.split(' ').next()?;
        SHARED.contains(&kind).then_some(kind)
    })
}

#[cfg(test)]
mod tests {
    use super::super::config::Disk;
    use super::super::media::{self, Seen};
    use super::super::patience::Patience;
    use super::*;

    #[test]
    fn a_file_system_that_hosts_share_is_told_by_its_number() {
        let mounts = "36 35 98:0 / / rw master:1 - ext4 /dev/root rw\n\
                      40 36 0:52 / /srv/nfs rw shared:7 - nfs4 filer:/x rw,vers=4.2\n\
                      41 36 0:53 / /tmp rw - tmpfs tmpfs rw\n";
        let table = [(0x34, Some("nfs4")), (0x35, None), (0x36, None), (98 << 8, None)];
        for (number, kind) in table {
            assert_eq!(shared_kind(mounts, number), kind, "{number}");
        }
    }

    #[test]
    fn what_goes_past_the_page_cache_is_none() {
        let disk = Disk { target: "/proc/self/stat".to_owned(), ..Disk::default() };
        let seen = media::look(&disk, &Patience::default());
        let of = |format: &str, backendtype: Option<&str>, direct, seen: Seen| {
            let disk = Disk {
                format: format.to_owned(),
                backendtype: backendtype.map(ToOwned::to_owned),
                direct,
                ..Disk::default()
            };
            let found = Use {
                file: None,
                is_nodes_own: true,
                domain: String::new(),
                owner: None,
                disk,
                seen,
            };
            [ToolstackKind::Xl, ToolstackKind::Xm].map(|toolstack| is_cached(&found, toolstack))
        };
        let mut past = seen.clone();
        past.direct = true;
        assert_eq!(of("raw", None, false, seen.clone()), [true, true]);
        assert_eq!(
            of("raw", None, true, seen.clone()),
            [true, true],
            "a loop device is not told so"
        );
        assert_eq!(of("qcow2", None, true, seen.clone()), [false, true]);
        assert_eq!(of("raw", Some("qdisk"), true, seen.clone()), [false, true]);
        assert_eq!(of("raw", Some("tap"), false, seen), [false, false]);
        assert_eq!(of("raw", None, false, past), [false, false]);
    }
}
