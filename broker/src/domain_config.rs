//! What a domain's configuration file says of itself, as far as plain assignments say it.
//!
//! xl's syntax is its own (xl.cfg(5), libxlu_cfg_l.l), xm's is Python. Only what both read alike is read
//! here: statements of the form `key = "value"`, and the strings of `disk = [...]`. Everything else that sets
//! one of these is "cannot tell", never a guess.

use crate::acl::Node;
use crate::bounded;
use crate::names::Uuid;
use crate::secure_file;
use std::path::{Path, PathBuf};

/// No configuration of a domain is larger, in bytes.
const CAP: u64 = 256 * 1024;

/// The assignments that matter here; nothing where it cannot be told what they come to.
#[derive(Debug, PartialEq, Eq)]
struct DomainConfig {
    name: Option<String>,
    uuid: Option<String>,
    disks: Option<Vec<PathBuf>>,
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
    is_of(node, file, &text)?;
    Ok(file)
}

/// Checks that a configuration of this text makes the node's own domain.
fn is_of(node: &Node, file: &Path, text: &str) -> Result<(), Unfit> {
    let config = DomainConfig::parse(text);
    let uuid_fits = |found: &str| Uuid::parse(found).is_ok_and(|found| found == node.uuid());
    let name_fits = |found: &str| found == node.domain().as_str();
    check(file, "uuid", config.uuid, &node.uuid().to_string(), uuid_fits)?;
    check(file, "name", config.name, node.domain().as_str(), name_fits)
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

/// The disks that the node's configuration names; nothing if there is none that can be read, or it
/// cannot be told.
#[must_use]
pub fn disks(node: &Node) -> Option<Vec<PathBuf>> {
    let file = node.config()?;
    let text = bounded::look(file, |file| secure_file::read(file, CAP))?.ok()?;
    DomainConfig::parse(&text).disks
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
        let mut config = Self { name: None, uuid: None, disks: Some(Vec::new()) };
        let Some(statements) = statements(text) else {
            return Self { disks: None, ..config };
        };
        for Statement { indented, text } in statements {
            // Such a line counts in xl's syntax, and may or may not in xm's Python.
            let plain = !indented;
            let Some((key, value)) = text.split_once('=') else { continue };
            let (key, value) = (key.trim(), value.trim());
            match key.strip_suffix('+').map_or((key, false), |key| (key.trim_end(), true)) {
                ("name", adds) => config.name = only_string(value).filter(|_| plain && !adds),
                ("uuid", adds) => config.uuid = only_string(value).filter(|_| plain && !adds),
                ("disk", adds) => {
                    let before = if adds { config.disks } else { Some(Vec::new()) };
                    let named = only_strings(value).and_then(|disks| paths(&disks));
                    config.disks = before
                        .zip(named.filter(|_| plain))
                        .map(|(before, named)| before.into_iter().chain(named).collect());
                }
                _ => {}
            }
        }
        config
    }
}

struct Statement {
    /// Whether its line begins with white space.
    indented: bool,
    text: String,
}

/// The statements of a text, without comments: each ends at a semicolon or with its line, unless a bracket
/// is open. Nothing if a string or a bracket has no end.
fn statements(text: &str) -> Option<Vec<Statement>> {
    let (mut all, mut one) = (Vec::new(), String::new());
    let (mut begins, mut indented) = (true, false);
    let (mut depth, mut quote, mut comment, mut escaped) = (0_u32, None, false, false);
    for c in text.chars().chain(['\n']) {
        comment &= c != '\n';
        if comment {
            continue;
        }
        if let Some(end) = quote {
            if c == '\n' {
                return None;
            }
            if c == end && !escaped {
                quote = None;
            }
            escaped = c == '\\' && !escaped;
            one.push(c);
            continue;
        }
        if std::mem::take(&mut begins) {
            indented = matches!(c, ' ' | '\t');
        }
        match c {
            '"' | '\'' => quote = Some(c),
            '[' | '(' | '{' => depth = depth.saturating_add(1),
            ']' | ')' | '}' => depth = depth.checked_sub(1)?,
            '#' => {
                comment = true;
                continue;
            }
            '\n' | ';' if depth == 0 => {
                all.push(Statement { indented, text: std::mem::take(&mut one) });
                begins = c == '\n';
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    (depth == 0).then_some(all)
}

/// The value of `"…"` or `'…'`, with nothing else.
fn only_string(value: &str) -> Option<String> {
    let quote = value.chars().next().filter(|first| matches!(first, '"' | '\''))?;
    let inside = value.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inside.contains(['\\', quote])).then(|| inside.to_owned())
}

/// The strings of `["…", '…']`, with nothing else in it.
fn only_strings(list: &str) -> Option<Vec<String>> {
    let mut rest = list.strip_prefix('[')?.strip_suffix(']')?.trim();
    let mut strings = Vec::new();
    while let Some(quote) = rest.chars().next() {
        let (inside, behind) = rest.strip_prefix(['"', '\''])?.split_once(quote)?;
        let behind = behind.trim_start();
        if inside.contains('\\') || !(behind.is_empty() || behind.starts_with(',')) {
            return None;
        }
        strings.push(inside.to_owned());
        rest = behind.strip_prefix(',').unwrap_or(behind).trim_start();
    }
    Some(strings)
}

/// The absolute path of each disk, from specifications such as `phy:/dev/vg/x,xvda,w` or
/// `format=raw, target=/srv/x.img` (xl-disk-configuration(5)). An empty drive has none; nothing if
/// another has none.
fn paths(specifications: &[String]) -> Option<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for disk in specifications {
        let path = disk.split(',').find_map(|field| field.find('/').and_then(|at| field.get(at..)));
        match path {
            Some(path) => paths.push(PathBuf::from(path.trim())),
            None if disk.contains("cdrom") => {}
            None => return None,
        }
    }
    Some(paths)
}

#[cfg(test)]
mod tests;
