//! Records what xl prints in the lab: the script of tests/transcripts, group after group,
//! each from the same beginning.
//!
//! The recordings are what parsers and the stand-in are held to. This copies them out as they are.

use super::{Doing, Lab, Result, nodes, repository};
use crate::error::Error;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Every group.
const GROUPS: [&str; 18] = [
    "queries", "create", "destroy", "twice", "ended", "user", "pause", "rename", "backend",
    "dying", "late", "zombie", "gap", "reboot", "hung", "migrate", "times", "nostore",
];
/// The longest group waits four times for a minute.
const LONGEST: Duration = Duration::from_secs(1800);
/// Where in dom0 the scripts are, and where they write.
const SCRIPTS: &str = "/root/scripts";
const WRITTEN: &str = "/root/transcripts";

/// Records these groups, or all, into the directory. What is there is replaced; recordings that
/// are made no more go once every group has been recorded.
pub fn record(lab: &mut Lab, directory: &Path, groups: &[String]) -> Result<()> {
    let all = groups.is_empty();
    let groups: Vec<&str> =
        if all { GROUPS.to_vec() } else { groups.iter().map(String::as_str).collect() };
    if let Some(unknown) = groups.iter().find(|group| !GROUPS.contains(group)) {
        let known = GROUPS.join(", ");
        return Err(Error::new(format!("there is no group {unknown}; there are {known}")));
    }
    // What did not happen as it was meant to is not to be taken for what xl does.
    let aside = PathBuf::from(format!("{}.failed", directory.display()));
    let (mut recorded, mut failed) = (BTreeSet::new(), Vec::new());
    for (number, group) in groups.iter().enumerate() {
        if number > 0 {
            lab.restore()?;
        }
        println!("{group}");
        if run(lab, group)? {
            recorded.extend(fetch(lab, directory)?);
        } else {
            let _ = fetch(lab, &aside)?;
            failed.push(*group);
        }
    }
    if !failed.is_empty() {
        let (failed, aside) = (failed.join(", "), aside.display());
        return Err(Error::new(format!("not recorded: {failed}; what there is: {aside}")));
    }
    if all {
        remove_others(directory, &recorded)?;
    }
    println!("recorded in {}", directory.display());
    Ok(())
}

/// Runs one group in dom0; false if it could not be brought about.
fn run(lab: &Lab, group: &str) -> Result<bool> {
    let scripts = repository().join("tests/transcripts");
    let _ = lab.sh(&format!("mkdir -p {SCRIPTS}")).succeeded()?;
    for name in ["record", "on-xen", "steps-commands", "steps-states"] {
        let path = scripts.join(name);
        let text = std::fs::read_to_string(&path).doing(format!("read {}", path.display()))?;
        nodes::write(lab, &format!("{SCRIPTS}/{name}"), &text)?;
    }
    let mut script = lab.start(&format!("exec bash {SCRIPTS}/record on-xen {WRITTEN} {group}"));
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
    Ok(output.code == 0)
}

/// Copies what is written so far out of dom0, and says which files that were.
fn fetch(lab: &Lab, directory: &Path) -> Result<Vec<String>> {
    let packed = lab.sh(&format!("cd {WRITTEN} && tar -cz * | base64 -w0")).succeeded()?;
    let packed = BASE64.decode(packed.stdout.trim()).doing("read what dom0 packed")?;
    std::fs::create_dir_all(directory).doing(format!("make {}", directory.display()))?;
    let mut tar = Command::new("tar");
    tar.args(["-xzv", "--no-same-owner", "-C"]).arg(directory);
    tar.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut tar = tar.spawn().doing("run tar")?;
    if let Some(mut input) = tar.stdin.take() {
        input.write_all(&packed).doing("unpack the recordings")?;
    }
    let output = tar.wait_with_output().doing("run tar")?;
    if !output.status.success() {
        return Err(Error::new("the recordings could not be unpacked"));
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Removes the recordings that are not among these.
fn remove_others(directory: &Path, recorded: &BTreeSet<String>) -> Result<()> {
    let there = std::fs::read_dir(directory).doing(format!("read {}", directory.display()))?;
    for entry in there.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_one = name.ends_with(".txt") || name.starts_with("group.");
        if is_one && !recorded.contains(&name) {
            let path = entry.path();
            std::fs::remove_file(&path).doing(format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_recordings_are_removed_and_only_those_that_were_not_made() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["01-list.txt", "02-old.txt", "group.queries", "group.old", "README.md"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let recorded = ["01-list.txt", "group.queries"].map(str::to_owned).into();
        remove_others(directory.path(), &recorded).unwrap();
        let left = std::fs::read_dir(directory.path()).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: BTreeSet<String> = left.collect();
        assert_eq!(left, ["01-list.txt", "README.md", "group.queries"].map(str::to_owned).into());
    }
}
