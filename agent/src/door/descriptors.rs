//! What a cluster manager leaves open in its children: log files, sockets, pipes. They are closed, so
//! that a fence that outlives its caller holds none of them.

use std::fs;
use std::os::fd::RawFd;

/// Closes everything but standard input, output and error. Called before anything is opened here.
pub(super) fn close_inherited() {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<RawFd> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|fd| *fd > 2)
        .collect();
    for fd in open {
        // The directory itself was among them, and is closed already.
        let _ = nix::unistd::close(fd);
    }
}
