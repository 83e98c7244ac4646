//! What was booted once, kept beside the disk that it was booted from: a later run of the suite
//! begins in seconds.

use super::{Doing, Lab, Result};
use std::fs;
use std::path::Path;

/// Names the disk that it was booted from: tests/image/build writes it anew with each other disk.
const MADE: &str = "disk.made";

/// Takes up what was kept, if it is of this disk.
pub(super) fn take(lab: &Lab) -> Result<bool> {
    let kept = lab.image().join("at-first");
    let made = |directory: &Path| fs::read(directory.join(MADE)).ok();
    if made(&kept).is_none() || made(&kept) != made(lab.image()) {
        return Ok(false);
    }
    copy(&kept, lab.directory())?;
    Ok(true)
}

/// Keeps the snapshot and the nodes' keys of a lab whose machine is off.
pub(super) fn keep(lab: &Lab) -> Result<()> {
    let kept = lab.image().join("at-first");
    let new = lab.image().join(format!("at-first.{}", std::process::id()));
    copy(lab.directory(), &new)?;
    let made = lab.image().join(MADE);
    fs::copy(&made, new.join(MADE)).doing(format!("copy {}", made.display()))?;
    let _ = fs::remove_dir_all(&kept);
    fs::rename(&new, &kept).doing(format!("name {}", kept.display()))
}

/// The disk of the run, and the directories of the nodes.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).doing(format!("make {}", to.display()))?;
    for entry in fs::read_dir(from).doing(format!("read {}", from.display()))? {
        let entry = entry.doing(format!("read {}", from.display()))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else if path.is_file() {
            fs::copy(&path, &target).doing(format!("copy {}", path.display()))?;
        }
    }
    Ok(())
}
