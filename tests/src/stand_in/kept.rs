//! The creating xl's side of a domain's keeper: two pipes, one line an answer.
//!
//! An xl that dies before it has said go leaves a half-built, paused domain, as on real Xen.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::OFlag;
use nix::unistd::pipe2;

use super::keeper::NAME;
use super::process::{self, Start};

/// The creating xl's end of a keeper.
pub struct Kept {
    go: File,
    status: File,
}

/// Starts the keeper of a domain whose record exists.
pub fn start(id: u32) -> Result<Kept, String> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).map_err(|e| format!("pipe: {e}"));
    let ((go_out, go_in), (status_out, status_in)) = (pipe()?, pipe()?);
    let argv = vec![
        NAME.to_owned(),
        id.to_string(),
        go_out.as_raw_fd().to_string(),
        status_in.as_raw_fd().to_string(),
    ];
    let keep = vec![go_out.as_fd(), status_in.as_fd()];
    Start { program: process::alias(NAME)?, argv, env: Vec::new(), keep }.detached()?;
    drop((go_out, status_in));
    let mut kept = Kept { go: File::from(go_in), status: File::from(status_out) };
    kept.answer("built")?;
    Ok(kept)
}

impl Kept {
    /// Unpauses the domain for the first time, or leaves it paused.
    pub fn go(mut self, paused: bool) -> Result<(), String> {
        let step: &[u8] = if paused { b"p" } else { b"g" };
        self.go.write_all(step).map_err(|e| format!("the domain's keeper is gone: {e}"))?;
        self.answer("running")
    }

    fn answer(&mut self, wanted: &str) -> Result<(), String> {
        let (mut line, mut byte) = (Vec::new(), [0; 1]);
        while matches!(self.status.read(&mut byte), Ok(1)) && byte != *b"\n" {
            line.extend(byte);
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        if line == wanted { Ok(()) } else { Err(format!("the domain's keeper: {line}")) }
    }
}
