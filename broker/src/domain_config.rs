//! What a domain's configuration file says of itself, as far as plain assignments say it.
//!
//! xl's syntax is its own (xl.cfg(5)), xm's is Python. Only lines of the form `key = "value"` and
//! the strings of `disk = [...]` are read here; everything else is "cannot tell", never a guess.

use crate::acl::Node;
use crate::bounded;
use crate::names::Uuid;
use crate::secure_file;
use std::path::{Path, PathBuf};

/// No configuration of a domain is larger, in bytes.
const CAP: u64 = 256 * 1024;

/// The assignments that matter here.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct DomainConfig {
    name: Option<String>,
    uuid: Option<String>,
    disks: Vec<PathBuf>,
}

/// Why a node may not be powered on from its configuration.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// The policy names none.
    #[error("the policy names no configuration for {0}, so it cannot be powered on")]
    None(String),
    /// It cannot be read, or others than root could have written it.
    #[error("the configuration of {node} is not usable: {why}")]
    Unreadable {
        /// The node.
        node: String,
        /// What is wrong.
        why: String,
        /// What to do.
        hint: String,
    },
    /// It does not say, in a plain assignment, what it must say.
    #[error("{file} has no plain `{key} = \"…\"`; add `{key} = \"{expected}\"`")]
    CannotTell {
        /// The file.
        file: PathBuf,
        /// The missing key.
        key: &'static str,
        /// What it should say.
        expected: String,
    },
    /// It says something else than the policy.
    #[error("{file} says {key} \"{found}\", the policy says \"{expected}\"")]
    Mismatch {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What the file says.
        found: String,
        /// What the policy says.
        expected: String,
    },
}

/// Checks that the node's configuration can be trusted and is the node's own.
///
/// # Errors
/// [`Unfit`], whose sentence says what to mend.
pub fn fit(node: &Node) -> Result<&Path, Unfit> {
    let file = node.config().ok_or_else(|| Unfit::None(node.name().to_string()))?;
    let unreadable = |why, hint| Unfit::Unreadable { node: node.name().to_string(), why, hint };
    let text = bounded::look(file, |file| secure_file::read(file, CAP))
        .ok_or_else(|| {
            let shown = file.display();
            unreadable(
                format!("{shown} does not answer"),
                format!("look at the disk that {shown} lies on"),
            )
        })?
        .map_err(|error| unreadable(error.to_string(), error.hint()))?;
    let config = DomainConfig::parse(&text);
    let uuid_fits = |found: &str| Uuid::parse(found).is_ok_and(|found| found == node.uuid());
    let name_fits = |found: &str| found == node.domain().as_str();
    check(file, "uuid", config.uuid, &node.uuid().to_string(), uuid_fits)?;
    check(file, "name", config.name, node.domain().as_str(), name_fits)?;
    Ok(file)
}

/// What a domain that was saved begins with (xl.h, `savefileheader_magic`); its configuration
/// follows, as JSON.
const SAVED: &[u8] = b"Xen saved domain, xl format";

/// Whether a file, whoever wrote it, is a configuration or a saved state of the node's domain, by name
/// or UUID; nothing where it does not say.
#[must_use]
pub fn whose(file: &Path, node: &Node) -> Option<bool> {
    if !std::fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut head = Vec::new();
    let opened = std::fs::File::open(file).ok()?;
    std::io::Read::read_to_end(&mut std::io::Read::take(opened, CAP), &mut head).ok()?;
    let text = String::from_utf8_lossy(&head);
    if head.starts_with(SAVED) {
        let names = [node.domain().to_string(), node.uuid().to_string()];
        return Some(names.iter().any(|name| text.contains(&format!("\"{name}\""))));
    }
    let config = DomainConfig::parse(&text);
    let same_uuid = config.uuid.and_then(|uuid| Uuid::parse(&uuid).ok()) == Some(node.uuid());
    if same_uuid {
        return Some(true);
    }
    config.name.map(|name| name == node.domain().as_str())
}

/// The disks that the node's configuration names; nothing if there is none that can be read.
#[must_use]
pub fn disks(node: &Node) -> Option<Vec<PathBuf>> {
    let file = node.config()?;
    let text = bounded::look(file, |file| secure_file::read(file, CAP))?.ok()?;
    Some(DomainConfig::parse(&text).disks)
}

fn check(
    file: &Path,
    key: &'static str,
    found: Option<String>,
    expected: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<(), Unfit> {
    let (file, expected) = (file.to_owned(), expected.to_owned());
    match found {
        None => Err(Unfit::CannotTell { file, key, expected }),
        Some(found) if !fits(&found) => Err(Unfit::Mismatch { file, key, found, expected }),
        Some(_) => Ok(()),
    }
}

impl DomainConfig {
    fn parse(text: &str) -> Self {
        let mut config = Self::default();
        let mut in_disks = false;
        for line in text.lines() {
            // A line that begins with white space may belong to anything in xm's Python, and goes
            // on with a list in xl's syntax.
            let assignment = line.split_once('=').filter(|_| !line.starts_with([' ', '\t']));
            match assignment.map(|(key, value)| (key.trim(), value.trim())) {
                Some(("name", value)) => config.name = only_string(value),
                Some(("uuid", value)) => config.uuid = only_string(value),
                Some(("disk", _)) => in_disks = true,
                Some(_) | None => {}
            }
            if in_disks {
                config.disks.extend(strings(line).iter().filter_map(|disk| disk_path(disk)));
                in_disks = !line.contains(']');
            }
        }
        config
    }
}

/// The value of `"…"` or `'…'`, with nothing behind it but a comment or a semicolon.
fn only_string(value: &str) -> Option<String> {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let (inside, behind) = value.get(1..)?.split_once(quote)?;
    let behind = behind.trim().trim_start_matches(';').trim_start();
    let plain = !inside.contains('\\') && (behind.is_empty() || behind.starts_with('#'));
    plain.then(|| inside.to_owned())
}

/// The quoted strings of a line.
fn strings(line: &str) -> Vec<&str> {
    line.split(['"', '\'']).skip(1).step_by(2).collect()
}

/// The absolute path in a disk's specification, such as `phy:/dev/vg/x,xvda,w` or
/// `format=raw, target=/srv/x.img` (xl-disk-configuration(5)).
fn disk_path(specification: &str) -> Option<PathBuf> {
    specification
        .split(',')
        .find_map(|field| field.find('/').and_then(|at| field.get(at..)))
        .map(|path| PathBuf::from(path.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_assignments_are_read() {
        let config = DomainConfig::parse(
            "# name = \"no\"\nname = \"alpha-node2\" # the second\nuuid='7F95'\n\
             disk = [ 'phy:/dev/vg/root,xvda,w',\n  \"format=raw, vdev=xvdb, target=/srv/x.img\" ]\n\
             kernel = \"/boot/vmlinuz\"\n",
        );
        assert_eq!(config.name.as_deref(), Some("alpha-node2"));
        assert_eq!(config.uuid.as_deref(), Some("7F95"));
        assert_eq!(config.disks, [PathBuf::from("/dev/vg/root"), PathBuf::from("/srv/x.img")]);
    }

    #[test]
    fn what_is_no_plain_assignment_cannot_be_told() {
        for text in [
            "name = \"a\" + \"b\"",
            "name = vmname",
            "name = \"a\\x41\"",
            "  name = \"indented\"",
            "name = \"open",
            "names = \"x\"",
            "name",
        ] {
            assert_eq!(DomainConfig::parse(text).name, None, "{text}");
        }
        assert_eq!(DomainConfig::parse("name=\"x\";").name.as_deref(), Some("x"));
    }

    #[test]
    fn the_last_assignment_counts_as_in_xl() {
        assert_eq!(DomainConfig::parse("name='a'\nname='b'\n").name.as_deref(), Some("b"));
        assert_eq!(DomainConfig::parse("name='a'\nname=f()\n").name, None);
    }
}
