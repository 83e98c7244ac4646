//! What on this host could hold up, hide or forbid a fence, apart from the hypervisor: looked at by
//! rehearsals, never by a fence.

use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs;
use std::path::Path;
use xen_fence_protocol::HostName;

/// The name by which this dom0 signs its replies.
#[must_use]
pub fn own_name() -> HostName {
    let name = nix::unistd::gethostname().unwrap_or_default();
    HostName::of_kernel(&name.to_string_lossy())
}

/// Whether the host's own name is in /etc/hosts, so that nobody asks DNS for it.
///
/// # Errors
/// A sentence that names the host.
pub fn own_name_is_in_hosts() -> Result<(), String> {
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy();
    let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    if names(&hosts).any(|known| known.eq_ignore_ascii_case(&name)) {
        return Ok(());
    }
    Err(format!("this host's name {name} is not in /etc/hosts"))
}

/// The names of a hosts file (hosts(5)).
fn names(hosts: &str) -> impl Iterator<Item = &str> {
    hosts
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or_default().split_whitespace().skip(1))
}

/// Whether a few bytes can be written in this directory; it leaves nothing there.
///
/// # Errors
/// A sentence that names the directory.
pub fn takes_a_file(dir: &Path, name: &str) -> Result<(), String> {
    let probe = dir.join(name);
    let written = crate::lock::make_private_dir(dir).and_then(|()| fs::write(&probe, [0; 64]));
    // Nothing to remove if nothing was made.
    let _gone = fs::remove_file(&probe);
    written.map_err(|error| format!("nothing can be written in {}: {error}", dir.display()))
}

/// What the file system of a path still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free bytes.
    pub bytes: u64,
    /// Free inodes, one for each new file; none where the file system does not count them.
    pub inodes: Option<u64>,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

impl Room {
    /// Looks at the file system of this path.
    ///
    /// # Errors
    /// A sentence that names the path.
    pub fn at(path: &Path) -> Result<Self, String> {
        let found = statvfs(path)
            .map_err(|errno| format!("{} cannot be looked at: {}", path.display(), errno.desc()))?;
        Ok(Self {
            bytes: found.blocks_available().saturating_mul(found.fragment_size()),
            // btrfs makes inodes as it needs them, and says that it has none in all.
            inodes: (found.files() > 0).then(|| found.files_available()),
            read_only: found.flags().contains(FsFlags::ST_RDONLY),
        })
    }
}

/// Whether the file system under this path has room for a record.
///
/// # Errors
/// A sentence that names the path.
pub fn has_room(path: &Path) -> Result<(), String> {
    let (room, dir) = (Room::at(path)?, path.display());
    if room.read_only {
        return Err(format!("the file system of {dir} is mounted read-only"));
    }
    if room.bytes == 0 {
        return Err(format!("the file system of {dir} is full"));
    }
    if room.inodes == Some(0) {
        return Err(format!("the file system of {dir} has no free inode"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_comments_and_addresses_do_not_count() {
        let hosts =
            "127.0.0.1 localhost\n# 10.0.0.1 xen1\n10.0.0.2\txen2 xen2.example # xen3\nxen4\n";
        let found: Vec<&str> = names(hosts).collect();
        assert_eq!(found, ["localhost", "xen2", "xen2.example"]);
    }

    #[test]
    fn a_probe_leaves_nothing_and_names_what_it_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        takes_a_file(&dir.path().join("run"), "probe").unwrap();
        assert_eq!(fs::read_dir(dir.path().join("run")).unwrap().count(), 0);
        let error = takes_a_file(Path::new("/proc/none"), "probe").unwrap_err();
        assert!(error.starts_with("nothing can be written in /proc/none: "), "{error}");
        has_room(dir.path()).unwrap();
        assert!(has_room(Path::new("/none")).is_err());
    }
}
