//! What a broker does with open descriptors: files, its session, pipes, syslog.

use super::{Caller, Fd};
use crate::calls::Answer;
use libc::{c_int, c_long, c_void, off64_t, size_t, ssize_t};

/// So much of a file is locked or stored by one broker at a time: all of it.
const EXCLUSIVE: c_int = libc::LOCK_EX | libc::LOCK_NB;

impl Caller {
    fn fd(&self, fd: c_int) -> Option<&mut Fd> {
        self.open_of().fds.get_mut(&fd)
    }

    pub(crate) fn close(&self, fd: c_int) -> Answer<c_int> {
        if self.helper.is_some() && self.is_dead() {
            return Ok(0);
        }
        let Some(closed) = self.open_of().fds.remove(&fd) else {
            // SAFETY: a descriptor that the kernel below knows, of the thread's own, or none.
            return Ok(unsafe { libc::close(fd) });
        };
        self.world().lets_go_of(self.broker, &closed);
        Ok(0)
    }

    pub(crate) fn read(&self, fd: c_int, to: *mut c_void, count: size_t) -> Answer<ssize_t> {
        if self.is_dead() {
            return Ok(0);
        }
        let world = self.world();
        let host = self.host();
        let taken = match self.fd(fd) {
            Some(Fd::In) => world.hears(self.broker, count)?,
            Some(Fd::File { inode, path, at, .. }) => {
                if world.disk_fault(host, path, "read").is_some() {
                    return Err(libc::EIO);
                }
                let bytes = &world.hosts[host].disk.inode(*inode).bytes;
                let part = bytes[(*at).min(bytes.len())..].iter().take(count).copied();
                let part: Vec<u8> = part.collect();
                *at += part.len();
                part
            }
            Some(Fd::Shown { bytes, at }) => {
                let part: Vec<u8> = bytes[*at..].iter().take(count).copied().collect();
                *at += part.len();
                part
            }
            Some(Fd::From(pipe)) => {
                let pipe = *pipe;
                let bytes = &mut self.open_of().pipes[pipe].bytes;
                bytes.drain(..count.min(bytes.len())).collect()
            }
            Some(Fd::Null) => Vec::new(),
            _ => return Err(libc::EBADF),
        };
        // SAFETY: the caller has room for `count` bytes there, and these are no more.
        unsafe { to.cast::<u8>().copy_from_nonoverlapping(taken.as_ptr(), taken.len()) };
        Ok(taken.len() as ssize_t)
    }

    pub(crate) fn write(&self, fd: c_int, from: *const c_void, count: size_t) -> Answer<ssize_t> {
        if fd == 2 {
            // SAFETY: the caller's own arguments; standard error is the test's.
            return Ok(unsafe { libc::write(fd, from, count) });
        }
        // SAFETY: the caller has `count` bytes there.
        let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), count) };
        self.alive()?;
        let host = self.host();
        let before = self.fd(fd).cloned();
        if let Err(errno) = self.comes_to("write") {
            // Whoever is killed in the middle of a write leaves a part of it, or nothing.
            if let Some(Fd::File { inode, appends: true, .. }) = before
                && self.world().choices.once_in(2)
            {
                self.world().stores(host, inode, None, &bytes[..count / 2]);
            }
            return Err(errno);
        }
        let world = self.world();
        match self.fd(fd) {
            Some(Fd::Out) => world.says(self.broker, bytes)?,
            Some(Fd::Syslog) => {
                world.hosts[host].syslog.push(String::from_utf8_lossy(bytes).into_owned())
            }
            Some(Fd::File { inode, path, at, appends, writes: true, .. }) => {
                let (inode, path) = (*inode, path.clone());
                let at = if *appends { None } else { Some(at) };
                match world.disk_fault(host, &path, "write") {
                    Some(0) => {
                        self.hang();
                        return Err(libc::EIO);
                    }
                    Some(errno) if count < 2 || world.choices.once_in(2) => return Err(errno),
                    // A disk that fills up takes what still fits.
                    Some(_) => return Ok(world.stores(host, inode, at, &bytes[..count / 2])),
                    None => return Ok(world.stores(host, inode, at, bytes)),
                }
            }
            Some(Fd::Null) => {}
            _ => return Err(libc::EBADF),
        }
        Ok(count as ssize_t)
    }

    /// A disk that hangs hangs the thread that uses it, for ever.
    pub(super) fn hang(&self) {
        if let Some(helper) = &self.helper {
            helper.hang();
        }
    }

    pub(crate) fn seek(&self, fd: c_int, offset: off64_t, whence: c_int) -> Answer<off64_t> {
        self.alive()?;
        let host = self.host();
        let world = self.world();
        let Some(Fd::File { inode, at, .. }) = self.fd(fd) else {
            return Ok(0);
        };
        let base = match whence {
            libc::SEEK_END => world.hosts[host].disk.inode(*inode).bytes.len(),
            libc::SEEK_CUR => *at,
            _ => 0,
        };
        *at = usize::try_from(base as off64_t + offset).map_err(|_| libc::EINVAL)?;
        Ok(*at as off64_t)
    }

    pub(crate) fn truncate(&self, fd: c_int, length: off64_t) -> Answer<c_int> {
        self.alive()?;
        let host = self.host();
        let Some(Fd::File { inode, path, .. }) = self.fd(fd) else { return Err(libc::EBADF) };
        if self
            .world()
            .disk_fault(host, path, "truncate")
            .is_some_and(|errno| errno != libc::ENOSPC)
        {
            return Err(libc::EIO);
        }
        let inode = *inode;
        self.world().hosts[host].disk.inode(inode).bytes.truncate(length as usize);
        Ok(0)
    }

    pub(crate) fn sync(&self, fd: c_int) -> Answer<c_int> {
        self.comes_to("fsync")?;
        let host = self.host();
        if let Some(Fd::File { path, .. }) = self.fd(fd) {
            let path = path.clone();
            match self.world().disk_fault(host, &path, "fsync") {
                Some(0) => {
                    self.hang();
                    return Err(libc::EIO);
                }
                Some(errno) if errno != libc::ENOSPC => return Err(libc::EIO),
                _ => {}
            }
        }
        Ok(0)
    }

    pub(crate) fn flock(&self, fd: c_int, operation: c_int) -> Answer<c_int> {
        if operation == EXCLUSIVE {
            self.comes_to("flock")?;
        }
        self.alive()?;
        let host = self.host();
        let Some(Fd::File { inode, open, .. }) = self.fd(fd) else { return Err(libc::EBADF) };
        let (inode, open) = (*inode, *open);
        let world = self.world();
        if operation == libc::LOCK_UN {
            world.unlocks(host, open);
            return Ok(0);
        }
        let locked = &mut world.hosts[host].disk.inode(inode).locked;
        match *locked {
            Some(by) if by != open => {
                self.open_of().waits_for = Some((inode, 0));
                Err(libc::EWOULDBLOCK)
            }
            _ => {
                *locked = Some(open);
                world.has_locked(self.broker, inode);
                Ok(0)
            }
        }
    }

    pub(crate) fn control(&self, fd: c_int, command: c_int, _with: c_long) -> Answer<c_int> {
        self.alive()?;
        match command {
            libc::F_DUPFD_CLOEXEC | libc::F_DUPFD => {
                let copy = self.fd(fd).cloned().ok_or(libc::EBADF)?;
                Ok(self.open_of().add(copy))
            }
            libc::F_GETFD => Ok(libc::FD_CLOEXEC),
            _ => Ok(0),
        }
    }

    pub(crate) fn poll(
        &self,
        of: *mut libc::pollfd,
        count: libc::nfds_t,
        millis: c_int,
    ) -> Answer<c_int> {
        // SAFETY: the caller has so many there.
        let of = unsafe { std::slice::from_raw_parts_mut(of, count as usize) };
        let until =
            self.world().now + u64::try_from(millis).map_or(u64::MAX / 2, |millis| millis * 1000);
        if millis != 0 {
            // A poll that looks and does not wait is no place to be held up.
            let _killed = self.comes_to("poll");
        }
        loop {
            let mut ready = 0;
            for one in of.iter_mut() {
                one.revents =
                    if self.is_dead() { libc::POLLHUP } else { self.is_ready(one.fd, one.events) };
                ready += c_int::from(one.revents != 0);
            }
            if ready > 0 || self.world().now >= until {
                return Ok(ready);
            }
            self.open_of().polls = true;
            self.pause_until(until);
            self.open_of().polls = false;
        }
    }

    fn is_ready(&self, fd: c_int, events: i16) -> i16 {
        match self.fd(fd) {
            Some(Fd::In) if self.world().has_said(self.broker) => libc::POLLIN,
            Some(Fd::From(pipe)) => {
                let pipe = *pipe;
                let pipe = &self.open_of().pipes[pipe];
                match (pipe.bytes.is_empty(), pipe.writers) {
                    (false, _) => libc::POLLIN,
                    (true, 0) => libc::POLLHUP,
                    (true, _) => 0,
                }
            }
            Some(Fd::Out | Fd::To(_)) => events & libc::POLLOUT,
            _ => 0,
        }
    }
}
