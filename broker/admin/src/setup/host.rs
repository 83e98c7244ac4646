//! What of a host does not depend on its clusters: programs, directories, the sudo rule, sshd's files.

use super::put::{self, Found, Put, Step};
use super::shipped::{self, Kind, MATCH_CONF, Shipped};
use super::wishes::Way;
use super::{Fault, diff};
use crate::acl::accounts::LAUNCHER;
use crate::acl::apply::KEYS_DIR;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What the way of a fence is made of, and where each comes from.
const OURS: &str = "run `make install-dom0`, which puts the programs in their places";
const PROGRAMS: [(&str, &str); 6] = [
    ("/usr/sbin/xen-fence-broker", OURS),
    (LAUNCHER, OURS),
    ("/usr/bin/sudo", "install sudo, 1.9.5 or later"),
    ("/usr/sbin/sshd", "install OpenSSH's server"),
    ("/usr/sbin/useradd", "install what has useradd (Debian: passwd; others: shadow)"),
    ("/usr/sbin/groupadd", "install what has groupadd (Debian: passwd; others: shadow)"),
];
/// What only the sshd for fencing calls.
const KEYS: (&str, &str) = ("/usr/lib/xen-fence/xen-fence-keys", OURS);

/// What is missing, or could be replaced by others than root.
pub(super) fn programs(way: Way) -> Vec<Fault> {
    let keys = (way == Way::Dedicated).then_some(&KEYS);
    let programs = PROGRAMS.iter().chain(keys).filter_map(|(path, hint)| fault_of(path, hint));
    let has_key = HOST_KEYS.iter().any(|path| Path::new(path).exists());
    let no_key = "this host has no host key, by which the nodes know it\n  hint: `ssh-keygen -A`";
    programs.chain((!has_key).then(|| no_key.to_owned())).collect()
}

/// Those that the sshd for fencing is told of.
const HOST_KEYS: [&str; 3] =
    ["/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ecdsa_key", "/etc/ssh/ssh_host_rsa_key"];

fn fault_of(path: &str, hint: &str) -> Option<Fault> {
    let Ok(found) = fs::metadata(path) else {
        return Some(format!("{path} is missing\n  hint: {hint}"));
    };
    if !found.is_file() || found.mode() & 0o111 == 0 {
        return Some(format!("{path} is not a program\n  hint: {hint}"));
    }
    if found.uid() != 0 || found.mode() & 0o022 != 0 {
        return Some(format!(
            "others than root could change {path}, which runs in every fence\n  hint: chown \
             root:root {path}; chmod go-w {path}"
        ));
    }
    None
}

/// What is to be put in its place for one way in.
pub(super) fn steps(way: Way) -> Result<Vec<Step>, Fault> {
    let mut steps = Vec::new();
    let mut faults = Vec::new();
    // The host's own sshd reads the key files as the account.
    let by_account = way == Way::Match || Path::new(MATCH_CONF).exists();
    for (path, mode) in shipped::directories(way) {
        let is_passed = by_account && Path::new(KEYS_DIR).starts_with(path);
        match put::directory(path, *mode, is_passed) {
            Ok(step) => steps.extend(step),
            Err(fault) => faults.push(fault),
        }
    }
    for file in shipped::files(way) {
        match step(file) {
            Ok(step) => steps.extend(step),
            Err(fault) => faults.push(fault),
        }
    }
    if faults.is_empty() { Ok(steps) } else { Err(faults.join("\n")) }
}

fn step(file: &Shipped) -> Result<Option<Step>, Fault> {
    let path = PathBuf::from(file.path);
    let old = match put::look(&path, file.mode)? {
        Found::Missing => None,
        Found::File { text, in_order } if text == file.text => {
            if in_order {
                return Ok(None);
            }
            Some(text)
        }
        // It may be what a person has made of it: docs/install.md tells them to compare.
        Found::File { text, .. } if file.kind == Kind::Sshd(Way::Dedicated) => {
            return Ok(Some(Step::Keep { path, lines: diff::changes(file.text, &text) }));
        }
        Found::File { text, .. } => Some(text),
    };
    let new = file.text.to_owned();
    Ok(Some(Step::Put(Put { path, mode: file.mode, kind: file.kind, new, old })))
}
