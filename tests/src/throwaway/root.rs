//! The files of a throwaway dom0, reached from outside. Every path is resolved as a process inside
//! would resolve it: a symbolic link never leads back to the machine's own files.

use crate::error::{Doing, Result};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::Mode;
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The root directory of a throwaway dom0, held open.
#[derive(Debug)]
pub(crate) struct Root {
    root: OwnedFd,
}

impl Root {
    /// The root directory of this process.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/root");
        let root = File::open(&path).doing(format!("open {path}"))?.into();
        Ok(Self { root })
    }

    fn open(&self, path: &str, flags: OFlag, mode: u32) -> std::io::Result<File> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(Mode::from_bits_truncate(mode))
            .resolve(ResolveFlag::RESOLVE_IN_ROOT);
        Ok(openat2(&self.root, path, how)?.into())
    }

    /// What the file holds.
    pub(crate) fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open(path, OFlag::O_RDONLY, 0)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Writes a file with this mode, and the directories that lead to it.
    pub(crate) fn write(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let deed = || format!("write {path} in dom0");
        if let Some(dir) = Path::new(path).parent().and_then(Path::to_str) {
            self.make_dir(dir, 0o755)?;
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
        let mut file = self.open(path, flags, mode).doing(deed())?;
        file.write_all(bytes).doing(deed())?;
        file.set_permissions(Permissions::from_mode(mode)).doing(deed())
    }

    /// Makes a directory with this mode, if it is not there, and those that lead to it.
    pub(crate) fn make_dir(&self, path: &str, mode: u32) -> Result<()> {
        if path.is_empty() || path == "/" || self.open(path, OFlag::O_PATH, 0).is_ok() {
            return Ok(());
        }
        let whole = Path::new(path);
        let parent = whole.parent().and_then(Path::to_str).unwrap_or("/");
        self.make_dir(parent, 0o755)?;
        let place = self.place(path).doing(format!("find {parent} in dom0"))?;
        fs::create_dir(place.path()).doing(format!("make {path} in dom0"))?;
        fs::set_permissions(place.path(), Permissions::from_mode(mode))
            .doing(format!("set the mode of {path} in dom0"))
    }

    /// Removes a file, if it is there.
    pub(crate) fn remove(&self, path: &str) -> Result<()> {
        let place = self.place(path).doing(format!("find {path} in dom0"))?;
        match fs::remove_file(place.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).doing(format!("remove {path} in dom0"))
            }
            _ => Ok(()),
        }
    }

    /// The file's metadata.
    pub(crate) fn metadata(&self, path: &str) -> std::io::Result<fs::Metadata> {
        self.open(path, OFlag::O_PATH, 0)?.metadata()
    }

    /// The names in a directory.
    pub(crate) fn names(&self, dir: &str) -> std::io::Result<Vec<String>> {
        let held = self.open(dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY, 0)?;
        let entries = fs::read_dir(format!("/proc/self/fd/{}", held.as_raw_fd()))?;
        Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    /// A name in a directory that is held open, as a path of this process.
    fn place(&self, path: &str) -> std::io::Result<Place> {
        let path = Path::new(path);
        let dir = path.parent().and_then(Path::to_str).unwrap_or("/");
        let dir = self.open(dir, OFlag::O_PATH | OFlag::O_DIRECTORY, 0)?;
        Ok(Place { dir, name: path.file_name().unwrap_or_default().into() })
    }
}

struct Place {
    dir: File,
    name: PathBuf,
}

impl Place {
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.dir.as_raw_fd())).join(&self.name)
    }
}
