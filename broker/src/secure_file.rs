//! Reads files that only root may have written; everything is checked on the open handle.
//!
//! What this refuses, nobody may act on: a policy that a tenant can write is no policy. It follows
//! no link in the last component and never waits for a pipe or a device.

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why a file is not believed: a sentence with the path, and the command that mends it.
#[derive(Debug)]
pub struct InsecureFile {
    path: PathBuf,
    fault: Fault,
}

#[derive(Debug)]
enum Fault {
    Missing,
    Link,
    NotRegular,
    Owner { found: u32, wanted: u32 },
    Writable { mode: u32 },
    TooLong { cap: u64 },
    NotUtf8 { at: usize },
    Io(io::Error),
}

impl InsecureFile {
    /// The file, or its directory, whichever is at fault.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is no such file at all.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self.fault, Fault::Missing)
    }

    /// What mends it.
    #[must_use]
    pub fn hint(&self) -> String {
        let path = self.path.display();
        match &self.fault {
            Fault::Missing => format!("make {path}, or correct the name"),
            Fault::Link => format!("put the file itself in the place of the link: {path}"),
            Fault::NotRegular => format!("move it away, and put a plain file at {path}"),
            Fault::Owner { wanted: 0, .. } => format!("chown root:root {path}"),
            Fault::Owner { wanted, .. } => format!("chown {wanted} {path}"),
            Fault::Writable { .. } => format!("chmod go-w {path}"),
            Fault::TooLong { .. } | Fault::NotUtf8 { .. } => {
                format!("see with `file {path}` what it is")
            }
            Fault::Io(_) => format!("see with `ls -ld {path}` what is there"),
        }
    }
}

impl fmt::Display for InsecureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.fault {
            Fault::Missing => write!(f, "{path} does not exist"),
            Fault::Link => write!(f, "{path} is a symbolic link, which is not followed"),
            Fault::NotRegular => write!(f, "{path} is not a regular file"),
            Fault::Owner { found, wanted: 0 } => {
                write!(f, "{path} belongs to the user id {found} and not to root")
            }
            Fault::Owner { found, wanted } => {
                write!(f, "{path} belongs to the user id {found} and not to {wanted}")
            }
            Fault::Writable { mode } => {
                write!(f, "{path} can be written by others than its owner (mode {mode:04o})")
            }
            Fault::TooLong { cap } => write!(f, "{path} is longer than {cap} bytes"),
            Fault::NotUtf8 { at } => write!(f, "{path} is not UTF-8 text from byte {at} on"),
            Fault::Io(error) => write!(f, "{path} cannot be read: {error}"),
        }
    }
}

impl std::error::Error for InsecureFile {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io(error) => Some(error),
            Fault::Missing
            | Fault::Link
            | Fault::NotRegular
            | Fault::Owner { .. }
            | Fault::Writable { .. }
            | Fault::TooLong { .. }
            | Fault::NotUtf8 { .. } => None,
        }
    }
}

/// Reads a file of at most `cap` bytes, if it and its directory are root's alone.
///
/// # Errors
/// A sentence with the path and the command that mends it.
pub fn read(path: &Path, cap: u64) -> Result<String, InsecureFile> {
    read_of(path, cap, 0)
}

/// The same for any owner, so that tests need not be root.
fn read_of(path: &Path, cap: u64, owner: u32) -> Result<String, InsecureFile> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |fault| InsecureFile { path, fault }
    };
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(at(path)(Fault::NotRegular));
    };
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let handle = open(dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())
        .map(File::from)
        .map_err(fault_of)
        .map_err(at(dir))?;
    metadata(&handle).and_then(|found| alone(&found, owner)).map_err(at(dir))?;

    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = openat(&handle, name, flags, Mode::empty())
        .map(File::from)
        .map_err(fault_of)
        .map_err(at(path))?;
    let found = metadata(&file).map_err(at(path))?;
    if !found.is_file() {
        return Err(at(path)(Fault::NotRegular));
    }
    alone(&found, owner).map_err(at(path))?;

    let mut bytes = Vec::new();
    file.take(cap.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| at(path)(Fault::Io(error)))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > cap) {
        return Err(at(path)(Fault::TooLong { cap }));
    }
    String::from_utf8(bytes)
        .map_err(|error| at(path)(Fault::NotUtf8 { at: error.utf8_error().valid_up_to() }))
}

fn metadata(file: &File) -> Result<Metadata, Fault> {
    file.metadata().map_err(Fault::Io)
}

/// Nobody but the owner can have changed it.
fn alone(found: &Metadata, wanted: u32) -> Result<(), Fault> {
    if found.uid() != wanted {
        Err(Fault::Owner { found: found.uid(), wanted })
    } else if found.mode() & 0o022 != 0 {
        Err(Fault::Writable { mode: found.mode() & 0o7777 })
    } else {
        Ok(())
    }
}

fn fault_of(errno: Errno) -> Fault {
    if errno == Errno::ENOENT {
        Fault::Missing
    } else if errno == Errno::ELOOP {
        Fault::Link
    } else if errno == Errno::ENXIO {
        // A socket, or a device without a driver.
        Fault::NotRegular
    } else {
        Fault::Io(errno.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::{geteuid, mkfifo};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    fn me() -> u32 {
        geteuid().as_raw()
    }

    fn mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn room() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("alpha.toml");
        fs::write(&file, "text").unwrap();
        mode(dir.path(), 0o755);
        mode(&file, 0o644);
        (dir, file)
    }

    fn told(path: &Path, cap: u64) -> (String, String) {
        let error = read_of(path, cap, me()).unwrap_err();
        (error.to_string(), error.hint())
    }

    #[test]
    fn a_file_that_is_the_owners_alone_is_read() {
        let (_dir, file) = room();
        assert_eq!(read_of(&file, 4, me()).unwrap(), "text");
    }

    #[test]
    fn a_missing_file_and_a_missing_directory_are_told_from_broken_ones() {
        let (dir, file) = room();
        fs::remove_file(&file).unwrap();
        assert!(read_of(&file, 9, me()).unwrap_err().is_missing());
        assert!(read_of(&dir.path().join("no/alpha.toml"), 9, me()).unwrap_err().is_missing());
    }

    #[test]
    fn what_others_can_write_is_refused_with_the_command_that_mends_it() {
        let (dir, file) = room();
        for loose in [0o664, 0o646, 0o666] {
            mode(&file, loose);
            let (message, hint) = told(&file, 9);
            assert!(message.contains(&format!("mode {loose:04o}")), "{message}");
            assert_eq!(hint, format!("chmod go-w {}", file.display()));
        }
        mode(&file, 0o644);
        mode(dir.path(), 0o775);
        assert_eq!(told(&file, 9).1, format!("chmod go-w {}", dir.path().display()));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_refused() {
        let (dir, file) = room();
        let error = read_of(&file, 9, me() + 1).unwrap_err();
        assert!(error.to_string().contains("belongs to the user id"), "{error}");
        assert_eq!(error.path(), dir.path());
        assert!(error.hint().starts_with("chown "));
    }

    #[test]
    fn links_pipes_sockets_and_directories_are_refused_at_once() {
        let (dir, file) = room();
        let link = dir.path().join("link.toml");
        symlink(&file, &link).unwrap();
        assert!(told(&link, 9).0.contains("symbolic link"));
        let pipe = dir.path().join("pipe.toml");
        mkfifo(&pipe, Mode::from_bits_truncate(0o644)).unwrap();
        assert!(told(&pipe, 9).0.contains("not a regular file"));
        let socket = dir.path().join("socket.toml");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert!(told(&socket, 9).0.contains("not a regular file"));
        let inner = dir.path().join("dir.toml");
        fs::create_dir(&inner).unwrap();
        assert!(told(&inner, 9).0.contains("not a regular file"));
    }

    #[test]
    fn long_files_and_other_bytes_than_utf8_are_refused() {
        let (_dir, file) = room();
        assert!(told(&file, 3).0.contains("longer than 3 bytes"));
        fs::write(&file, b"ab\xff").unwrap();
        assert!(told(&file, 9).0.contains("from byte 2 on"));
    }
}
