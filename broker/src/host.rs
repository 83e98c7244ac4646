//! What on this host could hold up, hide or forbid a fence, apart from the hypervisor: looked at by
//! rehearsals, never by a fence.

use crate::bounded;
use nix::sys::statvfs::{FsFlags, statvfs};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;
use xen_fence_protocol::HostName;

/// A file that takes longer is not waited for.
const FILE: Duration = Duration::from_secs(3);
/// No file that is looked at here is longer.
const MOST: u64 = 4 << 20;

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
    let hosts = text(Path::new(HOSTS))
        .map_err(|why| format!("{why}; whether this host's name {name} is there is not known"))?;
    if names(&hosts.unwrap_or_default()).any(|known| known.eq_ignore_ascii_case(&name)) {
        return Ok(());
    }
    Err(format!("this host's name {name} is not in {HOSTS}"))
}

/// Where a host has names of its own.
pub const HOSTS: &str = "/etc/hosts";

/// The text of a file, in the time that a file system takes that answers; none if there is no such file.
///
/// # Errors
/// A sentence that names the path. A pipe, a device and what has no end are refused.
pub fn text(path: &Path) -> Result<Option<String>, String> {
    let of_thread = path.to_owned();
    match bounded::within(FILE, move || read(&of_thread)) {
        Ok(Ok(text)) => Ok(Some(text)),
        Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Ok(Err(error)) => Err(format!("{} cannot be read: {error}", path.display())),
        Err(undone) => Err(format!("{} was not read {undone}", path.display())),
    }
}

fn read(path: &Path) -> io::Result<String> {
    // A pipe would be waited for, and a device has no end.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST) {
        return Err(io::Error::other(format!("it is longer than {MOST} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
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
    fn what_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(text(&dir.path().join("none")), Ok(None));
        assert!(text(dir.path()).unwrap_err().contains("not a regular file"));
        let long = dir.path().join("long");
        File::create(&long).unwrap().set_len(MOST + 1).unwrap();
        assert!(text(&long).unwrap_err().contains("longer than"));
        assert!(text(Path::new("/dev/zero")).is_err());
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
