//! A disk's backend in dom0: takes a guest's write requests and writes them to the image.
//!
//! It lives outside the domain, so a write that it has taken lands even when the domain is dead.
//! A request is one packet: the sector (u64, little endian) and the data; the answer one byte,
//! 0 for written. A process is `blkback…` (which real Xen does not show), qemu or tapdisk.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv, send};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::disk::Kind;
use super::process::{self, Start};
use super::{faults, state};

/// The variable that carries a backend its job; its argv is what a person would see on real Xen.
pub const JOB: &str = "STAND_IN_BACKEND";

#[derive(Serialize, Deserialize)]
struct Job {
    domain: String,
    id: u32,
    phy: bool,
    comm: Option<String>,
    disks: Vec<(String, Option<String>)>,
}

/// Starts a kernel-like backend or a tapdisk for one disk.
pub fn start_disk(
    id: u32,
    config: &Config,
    kind: Kind,
    path: &str,
    vdev: &str,
    socket: BorrowedFd<'_>,
) -> Result<Pid, String> {
    let (file, comm) = match kind {
        Kind::Tap => ("tapdisk".to_owned(), None),
        Kind::Phy | Kind::Qdisk => {
            ("stand-in-blkback".to_owned(), Some(format!("blkback.{id}.{vdev}")))
        }
    };
    let name = comm.clone().unwrap_or_else(|| file.clone());
    let job = Job {
        domain: config.name.clone(),
        id,
        phy: kind == Kind::Phy,
        comm,
        disks: vec![(socket.as_raw_fd().to_string(), Some(path.to_owned()))],
    };
    start(&file, vec![name], &job, vec![socket])
}

/// Starts a domain's qemu: its device model, its qdisk backend, or both. `life` ends with it.
pub fn start_qemu(
    id: u32,
    config: &Config,
    disks: &[(&str, BorrowedFd<'_>)],
    life: BorrowedFd<'_>,
) -> Result<Pid, String> {
    let program = process::alias("qemu-system-i386")?;
    let machine = if config.hvm { "xenfv" } else { "xenpv" };
    let line = format!(
        "{} -xen-domid {id} -no-shutdown -xen-attach -name {} -vnc none -display none -nographic \
         -machine {machine} -m {}",
        program.display(),
        config.name,
        config.memory
    );
    let mut served = vec![(life.as_raw_fd().to_string(), None)];
    served.extend(disks.iter().map(|(p, fd)| (fd.as_raw_fd().to_string(), Some((*p).to_owned()))));
    let job = Job { domain: config.name.clone(), id, phy: false, comm: None, disks: served };
    let keep = disks.iter().map(|(_, fd)| *fd).chain([life]).collect();
    start("qemu-system-i386", line.split(' ').map(str::to_owned).collect(), &job, keep)
}

fn start(
    file: &str,
    argv: Vec<String>,
    job: &Job,
    keep: Vec<BorrowedFd<'_>>,
) -> Result<Pid, String> {
    let text = serde_json::to_string(job).map_err(|e| e.to_string())?;
    let program = process::alias(file)?;
    Start { program, argv, env: vec![(JOB.to_owned(), text)], keep }.child()
}

/// The marker that a write is being held up for a domain.
pub fn held(domain: &str) -> PathBuf {
    state::root().join(format!("held@{domain}"))
}

/// The process itself. Ends when all of its guests' ends are closed and its writes are done.
pub fn run(job: &str) -> Result<(), String> {
    let job: Job = serde_json::from_str(job).map_err(|e| e.to_string())?;
    if let Some(name) = job.comm.as_deref().and_then(|name| std::ffi::CString::new(name).ok()) {
        let _ = nix::sys::prctl::set_name(&name);
    }
    let mut disks: Vec<(OwnedFd, Option<File>)> = Vec::new();
    for (fd, path) in &job.disks {
        let image = path.as_ref().map(|path| File::options().read(true).write(true).open(path));
        let image = image.transpose().map_err(|e| e.to_string())?;
        disks.push((process::inherited(fd)?, image));
    }
    let mut packet = vec![0; 256 * 1024];
    while !disks.is_empty() {
        let ready = wait(&disks)?;
        let Some((socket, image)) = disks.get(ready) else { continue };
        let size = recv(socket.as_raw_fd(), &mut packet, MsgFlags::empty()).unwrap_or(0);
        if size == 0 {
            disks.remove(ready);
            continue;
        }
        job.hold();
        let written = packet.get(..size).is_some_and(|request| write(image.as_ref(), request));
        // The guest may be dead by now; its write has landed all the same.
        let _ = send(socket.as_raw_fd(), &[u8::from(!written)], MsgFlags::MSG_NOSIGNAL);
    }
    if !job.phy {
        job.hold();
    }
    Ok(())
}

impl Job {
    fn holds(&self) -> bool {
        faults::is_set("hold-writes", &self.domain, self.id)
            || (!self.phy && faults::is_set("outlive-writes", &self.domain, self.id))
    }

    fn hold(&self) {
        if !self.holds() {
            return;
        }
        let marker = held(&self.domain);
        let _ = fs::write(&marker, "");
        while self.holds() {
            thread::sleep(Duration::from_millis(3));
        }
        let _ = fs::remove_file(&marker);
    }
}

fn wait(disks: &[(OwnedFd, Option<File>)]) -> Result<usize, String> {
    let mut fds: Vec<PollFd<'_>> =
        disks.iter().map(|(fd, _)| PollFd::new(fd.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(nix::Error::EINTR) => {}
        Err(e) => return Err(format!("poll: {e}")),
    }
    let ready = fds.iter().position(|fd| fd.revents().is_some_and(|events| !events.is_empty()));
    Ok(ready.unwrap_or(usize::MAX))
}

fn write(image: Option<&File>, request: &[u8]) -> bool {
    let Some((sector, data)) = request.split_first_chunk::<8>() else { return false };
    let Some(offset) = u64::from_le_bytes(*sector).checked_mul(512) else { return false };
    image.is_some_and(|image| image.write_all_at(data, offset).is_ok())
}
