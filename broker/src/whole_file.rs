//! Files that are replaced as a whole: whoever is killed half-way leaves the old one or the new one.
//!
//! The caller keeps others from writing the same file at the same time.

use crate::lock::make_private_dir;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file on tmpfs, which ends with the boot. It is root's alone, and so is its directory.
///
/// # Errors
/// It cannot be written; the old one is there then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write(path, bytes, false)
}

/// The same on disk: after it has returned, a power cut leaves the new one.
///
/// # Errors
/// As [`replace`].
pub(crate) fn replace_for_good(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write(path, bytes, true)
}

fn write(path: &Path, bytes: &[u8], for_good: bool) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    make_private_dir(dir)?;
    // Behind the name, of which nothing is taken for an extension: a node's name may hold dots.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(nix::fcntl::OFlag::O_NOFOLLOW.bits())
        .open(&new)?;
    file.write_all(bytes)?;
    if for_good {
        file.sync_all()?;
    }
    fs::rename(&new, path)?;
    if for_good { File::open(dir)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn the_old_one_stays_until_the_new_one_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/a.b.json");
        for (write, text) in [(replace as fn(&Path, &[u8]) -> _, "one"), (replace_for_good, "two")]
        {
            write(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        // What somebody left half-way is no obstacle, and a link leads nowhere.
        let new = dir.path().join("made/a.b.json.new");
        fs::write(&new, "half a fi").unwrap();
        replace(&path, b"three").unwrap();
        assert!(!new.exists());
        symlink(dir.path().join("elsewhere"), &new).unwrap();
        assert!(replace(&path, b"four").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "three");
        assert!(!dir.path().join("elsewhere").exists());
    }
}
