//! The stand-in hypervisor: xl, xm and xenstore reads over domains that are process trees.
//!
//! One binary, told apart by the name it is called by; it is installed by copying it to those
//! names. Output, exit codes and the order of events are those recorded on real Xen 4.17
//! ("T79" in a comment is transcript 79). Faults are in [`faults`], the control door in
//! `control`. Nothing here is part of the product.

mod acts;
mod backend;
mod birth;
mod config;
mod control;
mod create;
mod destroy;
mod disk;
pub mod faults;
mod keeper;
mod kept;
mod listing;
mod long;
mod monitor;
mod net;
mod process;
pub mod state;
mod usage;
mod xenstore;
mod xl;
mod xm;

use std::io::Write;
use std::path::Path;

pub use process::restore_sigpipe;

/// Runs as whatever this process is called; the answer is its exit code.
pub fn main() -> i32 {
    process::restore_sigpipe();
    let args: Vec<String> =
        std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let (called, rest) = args.split_first().map_or(("", &[][..]), |(a, b)| (a.as_str(), b));
    if let Ok(job) = std::env::var(backend::JOB) {
        return code(backend::run(&job));
    }
    match Path::new(called).file_name().and_then(|name| name.to_str()).unwrap_or_default() {
        "xl" => {
            state::note_call(rest);
            xl::run(rest)
        }
        "xm" => xm::run(rest),
        name @ ("xenstore-ls" | "xenstore-read" | "xenstore-exists") => xenstore::run(name, rest),
        keeper::NAME => code(keeper::run(rest)),
        _ => control::run(rest),
    }
}

fn code(done: Result<(), String>) -> i32 {
    match done {
        Ok(()) => 0,
        Err(error) => {
            err(&format!("stand-in: {error}\n"));
            1
        }
    }
}

/// Writes to standard output; a reader that has gone is no reason to fail.
fn out(text: &str) {
    out_bytes(text.as_bytes());
}

fn out_bytes(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Writes to standard error, likewise.
fn err(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// A new random UUID, the kernel's.
fn uuid() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default();
    text.trim().to_owned()
}
