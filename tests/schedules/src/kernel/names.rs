//! What a broker does with names: opens, looks at, makes, renames and lists what they lead to.

use super::disk::Inode;
use super::proc::Shown;
use super::{Caller, Fd};
use crate::calls::Answer;
use libc::{DIR, c_char, c_int, c_void, dirent64, size_t, ssize_t, statx};
use std::ffi::{CStr, CString};

/// A path as text.
fn text(path: *const c_char) -> String {
    // SAFETY: the C library's callers give strings that end in a zero byte.
    let path = unsafe { CStr::from_ptr(path) };
    // The lossy way is the slow one.
    path.to_str().map_or_else(|_| path.to_string_lossy().into_owned(), str::to_owned)
}

/// What a call says of a file.
struct Found {
    is_dir: bool,
    size: u64,
    inode: u64,
    mode: u16,
}

impl Caller {
    fn path(&self, dir: c_int, path: *const c_char) -> String {
        let path = text(path);
        match self.open_of().fds.get(&dir) {
            Some(Fd::Dir(dir)) if !path.is_empty() && !path.starts_with('/') => {
                format!("{dir}/{path}")
            }
            _ => path,
        }
    }

    fn shown(&self, path: &str) -> Option<Shown> {
        let broker = &self.world().brokers[self.broker];
        self.world().hosts[broker.host].shows(broker.pid, path)
    }

    pub(crate) fn open(&self, dir: c_int, path: *const c_char, flags: c_int) -> Answer<c_int> {
        self.alive()?;
        let path = self.path(dir, path);
        let creates = flags & libc::O_CREAT != 0;
        if creates {
            self.comes_to("open")?;
        }
        if path == "/dev/null" {
            return Ok(self.open_of().add(Fd::Null));
        }
        if path.starts_with("/proc") {
            return match self.shown(&path) {
                Some(Shown::File(bytes)) => Ok(self.open_of().add(Fd::Shown { bytes, at: 0 })),
                Some(Shown::Dir(_)) => Ok(self.open_of().add(Fd::Dir(path))),
                Some(Shown::Link(_)) | None => Err(libc::ENOENT),
            };
        }
        let (world, host) = (self.world(), self.host());
        world.looks_into(self.broker, &path);
        let found = world.hosts[host].disk.find(&path);
        if world.hosts[host].disk.is_dir(&path) {
            return Ok(self.open_of().add(Fd::Dir(path)));
        }
        match world.disk_fault(host, &path, if creates { "create" } else { "open" }) {
            Some(0) => {
                self.hang();
                return Err(libc::EIO);
            }
            // What is there already needs no room.
            Some(libc::ENOSPC) if found.is_some() => {}
            Some(errno) => return Err(errno),
            None => {}
        }
        let inode = match found {
            Some(inode) => inode,
            None if creates
                && world.hosts[host]
                    .disk
                    .is_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir)) =>
            {
                world.hosts[host].disk.make(&path, Inode::default())
            }
            None => return Err(libc::ENOENT),
        };
        if flags & libc::O_TRUNC != 0 {
            world.hosts[host].disk.inode(inode).bytes.clear();
        }
        let writes = flags & (libc::O_WRONLY | libc::O_RDWR) != 0;
        let (appends, open) = (flags & libc::O_APPEND != 0, world.number());
        Ok(self.open_of().add(Fd::File { inode, path, at: 0, appends, writes, open }))
    }

    fn found(&self, dir: c_int, path: &str) -> Answer<Found> {
        let host = self.host();
        let disk = &mut self.world().hosts[host].disk;
        let (mode, size, number) = match (path.is_empty(), self.open_of().fds.get(&dir)) {
            (true, Some(Fd::File { inode, .. })) => (0o644, disk.inode(*inode).bytes.len(), *inode),
            (true, Some(Fd::Shown { .. })) => (0o444, 0, 0),
            (true, Some(Fd::Dir(_))) => {
                return Ok(Found { is_dir: true, size: 0, inode: 0, mode: 0o755 });
            }
            (true, _) => return Err(libc::EBADF),
            (false, _) if path.starts_with("/proc") => {
                let is_dir = match self.shown(path).ok_or(libc::ENOENT)? {
                    Shown::Dir(_) => true,
                    Shown::File(_) | Shown::Link(_) => false,
                };
                return Ok(Found { is_dir, size: 0, inode: 0, mode: 0o555 });
            }
            (false, _) => {
                let number = disk.find(path).ok_or(libc::ENOENT)?;
                let inode = disk.inode(number);
                if inode.is_dir {
                    return Ok(Found { is_dir: true, size: 0, inode: number as u64, mode: 0o700 });
                }
                (0o644, inode.bytes.len(), number)
            }
        };
        Ok(Found { is_dir: false, size: size as u64, inode: number as u64, mode })
    }

    pub(crate) fn stat(
        &self,
        dir: c_int,
        path: *const c_char,
        _flags: c_int,
        to: *mut statx,
    ) -> Answer<c_int> {
        self.alive()?;
        if path.is_null() || to.is_null() {
            // std asks so whether the kernel has this call.
            return Err(libc::EFAULT);
        }
        let path = self.path(dir, path);
        let found = self.found(dir, &path)?;
        // SAFETY: plain data, for which zero is a value; the caller has room for it.
        unsafe {
            let mut answer: statx = std::mem::zeroed();
            let kind = if found.is_dir { libc::S_IFDIR } else { libc::S_IFREG };
            answer.stx_mask = libc::STATX_BASIC_STATS;
            answer.stx_mode = (kind as u16) | found.mode;
            (answer.stx_size, answer.stx_ino) = (found.size, found.inode);
            to.write(answer);
        }
        Ok(0)
    }

    pub(crate) fn mkdir(&self, path: *const c_char) -> Answer<c_int> {
        self.alive()?;
        let (path, host) = (text(path), self.host());
        let world = self.world();
        if world.hosts[host].disk.find(&path).is_some() {
            return Err(libc::EEXIST);
        }
        if let Some(errno) = world.disk_fault(host, &path, "mkdir") {
            return Err(if errno == 0 { libc::EIO } else { errno });
        }
        if !world.hosts[host].disk.is_dir(path.rsplit_once('/').map_or("", |(dir, _)| dir)) {
            return Err(libc::ENOENT);
        }
        world.hosts[host].disk.make(&path, Inode { is_dir: true, ..Inode::default() });
        Ok(0)
    }

    pub(crate) fn rename(&self, from: *const c_char, to: *const c_char) -> Answer<c_int> {
        self.comes_to("rename")?;
        let (from, to, host) = (text(from), text(to), self.host());
        let world = self.world();
        if let Some(errno) = world.disk_fault(host, &to, "rename") {
            return Err(if errno == libc::ENOSPC { errno } else { libc::EIO });
        }
        if world.hosts[host].disk.rename(&from, &to) { Ok(0) } else { Err(libc::ENOENT) }
    }

    pub(crate) fn unlink(&self, path: *const c_char) -> Answer<c_int> {
        self.comes_to("unlink")?;
        let (path, host) = (text(path), self.host());
        let world = self.world();
        match world.disk_fault(host, &path, "unlink") {
            Some(errno) if errno != libc::ENOSPC => return Err(libc::EIO),
            _ => {}
        }
        world.forgets(host, &path);
        if world.hosts[host].disk.remove(&path) { Ok(0) } else { Err(libc::ENOENT) }
    }

    pub(crate) fn readlink(
        &self,
        path: *const c_char,
        to: *mut c_char,
        count: size_t,
    ) -> Answer<ssize_t> {
        self.alive()?;
        let Some(Shown::Link(target)) = self.shown(&text(path)) else { return Err(libc::ENOENT) };
        let length = target.len().min(count);
        // SAFETY: the caller has room for `count` bytes.
        unsafe { to.cast::<u8>().copy_from_nonoverlapping(target.as_ptr(), length) };
        Ok(length as ssize_t)
    }

    pub(crate) fn realpath(&self, path: *const c_char, _to: *mut c_char) -> Answer<*mut c_char> {
        self.alive()?;
        let (path, host) = (text(path), self.host());
        if self.world().hosts[host].disk.find(&path).is_none() {
            return Err(libc::ENOENT);
        }
        let path = CString::new(path).map_err(|_| libc::EINVAL)?;
        // SAFETY: whoever asked frees it, as what strdup(3) gives.
        Ok(unsafe { libc::strdup(path.as_ptr()) })
    }

    pub(crate) fn opendir(&self, path: *const c_char) -> Answer<*mut DIR> {
        self.comes_to("opendir")?;
        let (path, host) = (text(path), self.host());
        let world = self.world();
        if path.ends_with("/starts") {
            world.looks_at_plans()?;
        }
        let names = if path.starts_with("/proc") {
            if path == "/proc" {
                world.looks_at_processes(self.broker)?;
            }
            match self.shown(&path) {
                Some(Shown::Dir(names)) => names,
                _ => return Err(libc::ENOENT),
            }
        } else if world.hosts[host].disk.is_dir(&path) {
            world.hosts[host].disk.entries(&path)
        } else {
            return Err(libc::ENOENT);
        };
        // SAFETY: plain data, for which zero is a value. closedir frees it.
        let dir = Box::into_raw(Box::new(unsafe { std::mem::zeroed::<dirent64>() }));
        self.open_of().listings.insert(dir as usize, names.into_iter().rev().collect());
        Ok(dir.cast())
    }

    pub(crate) fn readdir(&self, dir: *mut DIR) -> Answer<*mut dirent64> {
        self.alive().map_err(|_| 0)?;
        let listing = self.open_of().listings.get_mut(&(dir as usize));
        // The end is no error: errno 0.
        let name = listing.and_then(Vec::pop).ok_or(0)?;
        let entry = dir.cast::<dirent64>();
        // SAFETY: opendir made it as one of these, and nobody else uses it; names are short.
        unsafe {
            (*entry).d_type = libc::DT_UNKNOWN;
            (*entry).d_ino = 1;
            let to: *mut c_void = (&raw mut (*entry).d_name).cast();
            to.cast::<u8>().copy_from_nonoverlapping(name.as_ptr(), name.len());
            to.cast::<u8>().add(name.len()).write(0);
        }
        Ok(entry)
    }

    pub(crate) fn closedir(&self, dir: *mut DIR) -> Answer<c_int> {
        if self.alive().is_ok() {
            self.open_of().listings.remove(&(dir as usize));
        }
        // SAFETY: opendir made it so.
        drop(unsafe { Box::from_raw(dir.cast::<dirent64>()) });
        Ok(0)
    }
}
