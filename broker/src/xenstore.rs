//! What xenstore says of disks and devices. It may only add doubt: its entries vanish before the domain
//! does.

use crate::command::{self, CommandError};
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use xen_fence_protocol::XENSTORE;

/// A guest with two disks and a network card takes 5 KiB of it: this is enough for thousands.
const MOST: usize = 16 << 20;
/// Where xenstore tells of what dom0 serves.
pub const BACKENDS: &str = "/local/domain/0/backend";

/// Why xenstore's answer is not to be had.
#[derive(Debug, thiserror::Error)]
pub enum XenstoreError {
    /// `xenstore-ls` could not be run to its end.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// `xenstore-ls` ended with an error.
    #[error("xenstore-ls: {ending}: {words}")]
    Failed {
        /// How it ended.
        ending: String,
        /// What it said last.
        words: String,
    },
}

impl XenstoreError {
    /// Whether nothing was said at all, as where xenstored is dead.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::Command(CommandError::TimedOut { .. }))
    }
}

/// A device of a domain whose writes the proof of its death does not cover, in words that go on after
/// "it has".
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Uncovered {
    /// The guest drives it itself.
    Pci,
    /// Another domain than dom0 serves it: its number, or what a configuration calls it.
    ServedBy(String),
}

impl fmt::Display for Uncovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pci => f.write_str("a PCI device of its own"),
            Self::ServedBy(domain) => write!(f, "a disk that the domain {domain} serves"),
        }
    }
}

/// The disks that backends in dom0 serve, each with the domid that it serves.
///
/// # Errors
/// If `xenstore-ls` does not answer. That there are no backends at all is an answer.
pub(crate) fn backend_disks() -> Result<Vec<(u32, PathBuf)>, XenstoreError> {
    Ok(list(BACKENDS)?.lines().filter_map(disk).collect())
}

/// The devices of a domain that the proof of its death does not cover.
///
/// # Errors
/// If `xenstore-ls` does not answer. That it has no devices is an answer.
pub fn uncovered(domid: u32) -> Result<BTreeSet<Uncovered>, XenstoreError> {
    // libxl's own notes, which are root's (Xen 4.7 and later; seen on 4.17). The guest can write what is below
    // its own domain, so that counts where there are none.
    let notes = list(&format!("/libxl/{domid}/device"))?;
    let told =
        if notes.is_empty() { list(&format!("/local/domain/{domid}/device"))? } else { notes };
    Ok(told.lines().filter_map(uncovered_device).collect())
}

/// Everything below a path, one entry a line. That there is nothing is an answer.
///
/// # Errors
/// If `xenstore-ls` does not answer.
pub fn list(path: &str) -> Result<String, XenstoreError> {
    let program = ["/usr/bin/xenstore-ls", "/usr/sbin/xenstore-ls"]
        .into_iter()
        .map(Path::new)
        .find(|path| path.is_file())
        .unwrap_or_else(|| Path::new("/usr/bin/xenstore-ls"));
    let done = command::run_for(MOST, program, &["-f", path], XENSTORE)?;
    if done.status.success() || is_of_nothing(&done.stderr, path) {
        return Ok(done.stdout);
    }
    Err(XenstoreError::Failed { ending: done.ending(), words: done.last_words().to_owned() })
}

/// Whether xenstore said that there is no such path. A library or a socket that is missing is told with
/// the same last words.
fn is_of_nothing(said: &str, path: &str) -> bool {
    said.contains(&format!("xs_directory ({path}): No such file or directory"))
}

/// Reads `/local/domain/0/backend/KIND/DOMID/DEVICE/params = "aio:/srv/x.img"`.
fn disk(line: &str) -> Option<(u32, PathBuf)> {
    let (path, value) = line.split_once(" = ")?;
    let mut parts = path.strip_prefix(BACKENDS)?.strip_prefix('/')?.split('/').skip(1);
    let domid = parts.next()?.parse().ok()?;
    let key = parts.nth(1)?;
    if !matches!(key, "params" | "tapdisk-params") || parts.next().is_some() {
        return None;
    }
    let value = value.trim().trim_matches('"');
    let at = value.find('/')?;
    Some((domid, PathBuf::from(value.get(at..)?)))
}

/// Reads `/libxl/5/device/vbd/51712/backend = "/local/domain/0/backend/vbd/5/51712"`, and the same below
/// `/local/domain/5`.
fn uncovered_device(line: &str) -> Option<Uncovered> {
    let (path, value) = line.split_once(" = ")?;
    let below = path.strip_prefix("/libxl/").or_else(|| path.strip_prefix("/local/domain/"))?;
    let mut parts = below.split('/').skip(2);
    let (kind, key) = (parts.next()?, parts.nth(1)?);
    if key != "backend" || parts.next().is_some() {
        return None;
    }
    if kind == "pci" {
        return Some(Uncovered::Pci);
    }
    let served_by = value.trim_matches('"').strip_prefix("/local/domain/")?.split('/').next()?;
    let is_disk = matches!(kind, "vbd" | "vscsi" | "9pfs");
    (is_disk && served_by != "0").then(|| Uncovered::ServedBy(served_by.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_found_by_domid() {
        let table = [
            (
                "/local/domain/0/backend/vbd/5/51712/params = \"/dev/loop1\"",
                Some((5, "/dev/loop1")),
            ),
            (
                "/local/domain/0/backend/tap/7/51712/tapdisk-params = \"aio:/srv/x\"",
                Some((7, "/srv/x")),
            ),
            ("/local/domain/0/backend/vbd/5/51712/type = \"phy\"", None),
            ("/local/domain/0/backend/vbd/5 = \"\"", None),
            ("/local/domain/0/backend/vbd/x/51712/params = \"/dev/loop1\"", None),
            ("/local/domain/0/backend/vbd/5/51712/params = \"\"", None),
            ("garbage", None),
        ];
        for (line, expected) in table {
            let expected = expected.map(|(domid, path)| (domid, PathBuf::from(path)));
            assert_eq!(disk(line), expected, "{line}");
        }
    }

    #[test]
    fn devices_that_the_proof_does_not_cover_are_found() {
        for (line, expected) in [
            (
                "/local/domain/5/device/vbd/51712/backend = \"/local/domain/0/backend/vbd/5/51712\"",
                None,
            ),
            (
                "/local/domain/5/device/vbd/51712/backend = \"/local/domain/3/backend/vbd/5/51712\"",
                Some("a disk that the domain 3 serves"),
            ),
            (
                "/libxl/5/device/vbd/51712/backend = \"/local/domain/3/backend/vbd/5/51712\"",
                Some("a disk that the domain 3 serves"),
            ),
            ("/libxl/5/device/vbd/51712/backend = \"/local/domain/0/backend/vbd/5/51712\"", None),
            ("/libxl/5/device/vbd/51712/frontend = \"/local/domain/5/device/vbd/51712\"", None),
            ("/local/domain/5/device/vif/0/backend = \"/local/domain/3/backend/vif/5/0\"", None),
            (
                "/local/domain/5/device/pci/0/backend = \"/local/domain/0/backend/pci/5/0\"",
                Some("a PCI device of its own"),
            ),
            ("/local/domain/5/device/vbd/51712/backend-id = \"3\"", None),
            ("/local/domain/5/device/suspend/event-channel = \"\"", None),
            ("garbage", None),
        ] {
            let found = uncovered_device(line).map(|found| found.to_string());
            assert_eq!(found.as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn only_the_path_itself_may_be_missing() {
        for (said, is_answer) in [
            (
                "xenstore-ls: xs_directory (/local/domain/5/device): No such file or directory\n",
                true,
            ),
            ("xenstore-ls: xs_directory (/local/domain/5): No such file or directory\n", false),
            ("xenstore-ls: xs_open: No such file or directory\n", false),
            (
                "xenstore-ls: error while loading shared libraries: libxenstore.so.4: cannot open \
                 shared object file: No such file or directory\n",
                false,
            ),
            ("xenstore-ls: xs_directory (/local/domain/5/device): Permission denied\n", false),
            ("", false),
        ] {
            assert_eq!(is_of_nothing(said, "/local/domain/5/device"), is_answer, "{said}");
        }
    }
}
