//! The programs that a broker starts, and its own process.

use super::{Caller, Fd, Pipe};
use crate::calls::Answer;
use libc::{c_char, c_int, passwd, pid_t, size_t, uid_t};
use std::ffi::CStr;

impl Caller {
    pub(crate) fn getpid(&self) -> Answer<pid_t> {
        if self.helper.as_ref().is_some_and(|helper| helper.was_let_go()) {
            return Ok(1);
        }
        Ok(self.world().brokers[self.broker].pid)
    }

    /// The account of a cluster.
    pub(crate) fn getpwuid(
        &self,
        uid: uid_t,
        to: *mut passwd,
        room: *mut c_char,
        count: size_t,
        found: *mut *mut passwd,
    ) -> Answer<c_int> {
        let account = crate::cast::account(uid).unwrap_or("nobody");
        assert!(count > account.len() + 2, "room for an account");
        // SAFETY: the caller has `count` bytes of room, and a passwd and a pointer to one.
        unsafe {
            room.cast::<u8>().copy_from_nonoverlapping(account.as_ptr(), account.len());
            let empty = room.add(account.len());
            empty.write(0);
            let (pw_name, blank) = (room, empty);
            let gid = uid;
            to.write(passwd {
                pw_name,
                pw_passwd: blank,
                pw_uid: uid,
                pw_gid: gid,
                pw_gecos: blank,
                pw_dir: blank,
                pw_shell: blank,
            });
            found.write(to);
        }
        Ok(0)
    }

    pub(crate) fn pipe(&self, to: *mut c_int) -> Answer<c_int> {
        self.alive()?;
        let open = self.open_of();
        open.pipes.push(Pipe { bytes: Vec::new(), writers: 1 });
        let pipe = open.pipes.len() - 1;
        let ends = [open.add(Fd::From(pipe)), open.add(Fd::To(pipe))];
        // SAFETY: the caller has room for two.
        unsafe { to.cast::<[c_int; 2]>().write(ends) };
        Ok(0)
    }

    pub(crate) fn socket(&self) -> Answer<c_int> {
        self.alive()?;
        Ok(self.open_of().add(Fd::Syslog))
    }

    pub(crate) fn reach_syslog(&self) -> Answer<c_int> {
        self.alive()?;
        let host = self.host();
        if self.world().hosts[host].has_syslog { Ok(0) } else { Err(libc::ECONNREFUSED) }
    }

    pub(crate) fn spawn_with(&self, fd: c_int, becomes: c_int) -> Answer<c_int> {
        self.open_of().spawns_with.push((becomes, fd));
        Ok(0)
    }

    /// Starts a program; answers with an errno, as posix_spawn(3) does.
    pub(crate) fn spawn(
        &self,
        pid: *mut pid_t,
        program: *const c_char,
        args: *const *mut c_char,
    ) -> Answer<c_int> {
        let with = std::mem::take(&mut self.open_of().spawns_with);
        if let Err(errno) = self.comes_to("spawn") {
            return Ok(errno);
        }
        // SAFETY: strings that end in a zero byte, and of the arguments a list that ends in null.
        let (program, args) = unsafe {
            let text = |at: *const c_char| CStr::from_ptr(at).to_string_lossy().into_owned();
            let count = (0..).take_while(|at| !(*args.add(*at)).is_null());
            let args: Vec<String> = count.map(|at| text(*args.add(at))).collect();
            (text(program), args)
        };
        let pipe_at = |wanted: c_int| {
            let (_, fd) = with.iter().find(|(becomes, _)| *becomes == wanted)?;
            let Some(Fd::To(pipe)) = self.open_of().fds.get(fd) else { return None };
            Some(*pipe)
        };
        let pipes = [pipe_at(1), pipe_at(2)];
        match self.world().starts(self.broker, &program, &args, pipes) {
            Ok(started) => {
                for pipe in pipes.into_iter().flatten() {
                    self.open_of().pipes[pipe].writers += 1;
                }
                // SAFETY: the caller has room for it.
                unsafe { pid.write(started) };
                Ok(0)
            }
            Err(errno) => Ok(errno),
        }
    }

    /// Only a power-on forks: what it runs is told by the file that its output goes to.
    pub(crate) fn fork(&self) -> Answer<pid_t> {
        self.comes_to("fork")?;
        let output = self.open_of().fds.values().find_map(|fd| match fd {
            Fd::File { path, .. } => path.strip_suffix(".out"),
            _ => None,
        });
        let token = output.and_then(|path| path.rsplit('/').next()).unwrap_or_default().to_owned();
        let forked = self.world().creates(self.broker, &token)?;
        self.open_of().forked = Some(forked);
        Ok(forked)
    }

    pub(crate) fn wait(&self, pid: pid_t, status: *mut c_int) -> Answer<pid_t> {
        self.alive()?;
        let host = self.host();
        let procs = &mut self.world().hosts[host].procs;
        match procs.all.get(&pid).ok_or(libc::ECHILD)?.ended {
            None => Ok(0),
            Some(ended) => {
                procs.all.remove(&pid);
                // SAFETY: the caller has room for it.
                unsafe { status.write(ended) };
                Ok(pid)
            }
        }
    }

    pub(crate) fn kill(&self, group: pid_t) -> Answer<c_int> {
        self.alive()?;
        self.world().is_killed(self.broker, group);
        Ok(0)
    }
}
