//! A core of the guest before it is killed, for whoever has to find out why it hung. Off unless
//! broker.toml names a directory.
//!
//! It must never turn a kill into a failure: whatever goes wrong here is told, and the kill goes on.
//! The guest is paused first, so that a node which was called silent does not go on beside its
//! own picture; time and space are limited.

use crate::bounded;
use crate::command;
use crate::host;
use crate::lock::make_private_dir;
use crate::settings::Dump;
use crate::toolstack::Toolstack;
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xen_fence_protocol::{LISTING, RECORD};

/// In less no core is written.
const LEAST: Duration = Duration::from_secs(1);
/// Limits the size of what a program writes, and is that program then (prlimit(1)).
const PRLIMIT: &str = "/usr/bin/prlimit";

/// Pauses the domain and writes its core, all of it in the time that is wished for. `name` is for the file.
///
/// # Errors
/// A sentence that says why there is no core.
pub fn dump(
    wish: &Dump,
    toolstack: &dyn Toolstack,
    name: &str,
    domid: u32,
) -> Result<PathBuf, String> {
    let begun = Instant::now();
    let left = || wish.time.checked_sub(begun.elapsed()).filter(|left| !left.is_zero());
    if wish.time < LEAST {
        return Err("the request is too old to be held up by it".to_owned());
    }
    let file = wish.directory.join(format!("{name}.{domid}.core"));
    let (wanted, place) = (wish.clone(), file.clone());
    let looked = bounded::within(RECORD, move || is_ready(&wanted, &place));
    looked.map_err(|undone| format!("{} did not answer {undone}", wish.directory.display()))??;
    let late = || format!("nothing is left of {} s", wish.time.as_secs());
    let paused = toolstack.pause(domid, left().ok_or_else(late)?.min(LISTING));
    paused.map_err(|error| format!("the domain was not paused: {error}"))?;
    let wish = &wish.within(left().ok_or_else(late)?);
    let written = write(wish, toolstack, domid, &file);
    if written.is_err() {
        // A piece of a core is of no use, and takes the room of the next one.
        let piece = file.clone();
        let _gone = bounded::within(RECORD, move || fs::remove_file(piece));
    }
    written.map(|()| file)
}

/// Whether a core can be put there: root's own directory, with room, and no core of that name in it.
fn is_ready(wish: &Dump, file: &Path) -> Result<(), String> {
    let directory = &wish.directory;
    make_private_dir(directory)
        .map_err(|error| format!("{} cannot be made: {error}", directory.display()))?;
    let found = fs::symlink_metadata(directory)
        .map_err(|error| format!("{} cannot be looked at: {error}", directory.display()))?;
    if !found.is_dir() || found.uid() != 0 || found.mode() & 0o077 != 0 {
        let hint = "guests' memory would be in others' hands; make it root's, with mode 0700";
        return Err(format!("{} is not root's alone: {hint}", directory.display()));
    }
    if file.exists() {
        return Err(format!("{} is there already, from an earlier boot", file.display()));
    }
    let free = host::Room::at(directory)?.bytes;
    if free < wish.bytes() {
        return Err(format!(
            "{} has {} MiB free, and a core may take {} (dump_megabytes in broker.toml)",
            directory.display(),
            free >> 20,
            wish.megabytes
        ));
    }
    Ok(())
}

fn write(wish: &Dump, toolstack: &dyn Toolstack, domid: u32, file: &Path) -> Result<(), String> {
    let limit = format!("--fsize={}", wish.bytes());
    let dump = toolstack.dump_command(domid, file);
    let mut args = vec![limit.as_str(), "--"];
    args.extend(dump.iter().map(String::as_str));
    let done = command::run(Path::new(PRLIMIT), &args, wish.time).map_err(|e| e.to_string())?;
    if done.status.success() {
        return Ok(());
    }
    if done.status.signal() == Some(Signal::SIGXFSZ as i32) {
        let most = wish.megabytes;
        return Err(format!("it is larger than {most} MiB (dump_megabytes in broker.toml)"));
    }
    Err(format!("{}: {}: {}", dump.join(" "), done.ending(), done.last_words()))
}
