//! Records what xl prints in the lab: the script of tests/image/transcripts, group after group.
//!
//! The recordings are what parsers and the stand-in are held to. This copies them out as they are.

use super::{Doing, Lab, Result};
use crate::error::Error;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Every group, the one after which xl is of no use last.
const GROUPS: [&str; 17] = [
    "queries", "create", "destroy", "twice", "ended", "user", "pause", "rename", "backend",
    "dying", "late", "zombie", "gap", "reboot", "hung", "migrate", "times",
];
const LAST: &str = "nostore";
/// The longest group waits four times for a minute.
const LONGEST: Duration = Duration::from_secs(1800);

/// Records these groups, or all, into the directory; every recording there is replaced then.
pub fn record(lab: &Lab, directory: &Path, groups: &[String]) -> Result<()> {
    let all = groups.is_empty();
    let every = GROUPS.into_iter().chain([LAST]).map(str::to_owned);
    let groups = if all { every.collect() } else { groups.to_vec() };
    let mut failed = Vec::new();
    for group in &groups {
        println!("{group}");
        let script = format!("exec /lab/transcripts/record on-xen /root/transcripts {group}");
        let mut script = lab.start(&script);
        let mut waited = Duration::ZERO;
        let output = loop {
            match script.ends_within(Duration::from_secs(10)) {
                Ok(output) => break output,
                Err(again) => script = again,
            }
            waited += Duration::from_secs(10);
            if waited > LONGEST {
                return Err(Error::new(format!("{group} did not end in {LONGEST:?}")));
            }
        };
        println!("{}{} s", output.all(), output.took.as_secs());
        if output.code != 0 {
            failed.push(group.as_str());
        }
    }
    // What did not happen is not to be taken for what xl does.
    if !failed.is_empty() {
        let aside = directory.with_extension("failed");
        fetch(lab, &aside, all)?;
        let failed = failed.join(", ");
        return Err(Error::new(format!("not recorded: {failed}; what there is: {}", aside.display())));
    }
    fetch(lab, directory, all)
}

fn fetch(lab: &Lab, directory: &Path, all: bool) -> Result<()> {
    let packed = lab.sh("tar -C /root/transcripts -cz . | base64 -w0").succeeded()?;
    let packed = BASE64.decode(packed.stdout.trim()).doing("read what dom0 packed")?;
    std::fs::create_dir_all(directory).doing(format!("make {}", directory.display()))?;
    let old = std::fs::read_dir(directory).doing("read the directory of recordings")?;
    for entry in old.flatten().filter(|_| all) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".txt") || name.starts_with("group.") {
            std::fs::remove_file(&path).doing(format!("remove {}", path.display()))?;
        }
    }
    let mut tar = Command::new("tar");
    tar.args(["-xz", "--no-same-owner", "-C"]).arg(directory).stdin(Stdio::piped());
    let mut tar = tar.spawn().doing("run tar")?;
    if let Some(mut input) = tar.stdin.take() {
        input.write_all(&packed).doing("unpack the recordings")?;
    }
    if !tar.wait().doing("run tar")?.success() {
        return Err(Error::new("the recordings could not be unpacked"));
    }
    println!("recorded in {}", directory.display());
    Ok(())
}
