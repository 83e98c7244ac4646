//! The configurations of domains: those that the policy names, and the others in /etc/xen. Whatever lies
//! there, reading it comes to an end.

use super::config::DomainConfig;
use super::patience::Patience;
use crate::acl::Policy;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::Node;
use xen_fence_broker::settings::ToolstackKind;

/// Where configurations of domains lie, beside those that the policy names: xl's own directory, what
/// xendomains starts, and where SUSE's tools put them.
const PLACES: [&str; 3] = ["/etc/xen", "/etc/xen/auto", "/etc/xen/vm"];
/// What is no configuration, by the end of its name: images, archives, keys, and xend's own settings.
const OTHERS: [&str; 18] = [
    "sxp", "txt", "md", "html", "sh", "py", "img", "raw", "iso", "qcow2", "vhd", "gz", "xz", "bz2",
    "zip", "key", "pem", "save",
];
/// As the broker reads of one at most.
pub(super) const CAP: u64 = 256 * 1024;

/// A node, by its cluster's name and its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Whose {
    pub(super) cluster: String,
    pub(super) node: String,
}

impl Whose {
    pub(super) fn of(cluster: &xen_fence_broker::acl::Cluster, node: &Node) -> Self {
        Self { cluster: cluster.name().to_string(), node: node.name().to_string() }
    }
}

impl std::fmt::Display for Whose {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.toml nodes.{}", self.cluster, self.node)
    }
}

/// A file system's number and an inode.
pub(super) type Identity = (u64, u64);

/// One configuration.
#[derive(Debug)]
pub(super) struct Known {
    /// The file.
    pub(super) file: PathBuf,
    /// What it is, whatever it is called, if it answers.
    pub(super) identity: Option<Identity>,
    /// The node whose policy names it.
    pub(super) of: Option<Whose>,
    /// What it says, or why it cannot be read.
    pub(super) said: Result<DomainConfig, String>,
}

impl Known {
    /// What may be one and does not answer.
    const fn silent(file: PathBuf, why: String) -> Self {
        Self { file, identity: None, of: None, said: Err(why) }
    }
}

/// Every configuration, each file once for each node that names it, and once if none does.
pub(super) fn all(policy: &Policy, toolstack: ToolstackKind, patience: &Patience) -> Vec<Known> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for cluster in &policy.clusters {
        for node in cluster.nodes() {
            let Some(file) = node.config() else { continue };
            let identity = identity(file, patience).ok().flatten();
            seen.extend(identity);
            if patience.ask(exists(file)) == Ok(false) {
                continue;
            }
            let said = read(file, patience).map(|text| DomainConfig::parse(&text, toolstack));
            let of = Some(Whose::of(cluster, node));
            found.push(Known { file: file.to_owned(), identity, of, said });
        }
    }
    for place in PLACES.map(Path::new) {
        match names(place, patience) {
            Ok(names) => found.extend(others(names, &mut seen, toolstack, patience)),
            Err(why) => found.push(Known::silent(place.to_owned(), why)),
        }
    }
    found
}

/// The configurations among files that the policy does not name.
fn others(
    files: Vec<PathBuf>,
    seen: &mut BTreeSet<Identity>,
    toolstack: ToolstackKind,
    patience: &Patience,
) -> Vec<Known> {
    let mut found = Vec::new();
    for file in files {
        let identity = match identity(&file, patience) {
            Ok(Some(identity)) if seen.insert(identity) => Some(identity),
            Ok(_) => continue,
            Err(why) => {
                found.push(Known::silent(file, format!("it {why}")));
                continue;
            }
        };
        let said = read(&file, patience).map(|text| {
            let config = DomainConfig::parse(&text, toolstack);
            (may_be_a_domains(&text, &config), config)
        });
        match said {
            Ok((true, config)) => {
                found.push(Known { file, identity, of: None, said: Ok(config) });
            }
            Err(why) if may_be_called_so(&file) => {
                found.push(Known { file, identity, of: None, said: Err(why) });
            }
            Ok((false, _)) | Err(_) => {}
        }
    }
    found
}

fn exists(file: &Path) -> impl FnOnce() -> bool + Send + 'static {
    let file = file.to_owned();
    move || file.exists()
}

/// The files of a directory, in order. One that is not there has none.
fn names(dir: &Path, patience: &Patience) -> Result<Vec<PathBuf>, String> {
    let dir = dir.to_owned();
    let list = move || {
        let entries = match fs::read_dir(&dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut paths =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>()?;
        paths.retain(|path| !path.is_dir());
        paths.sort();
        Ok(paths)
    };
    let listed = patience.ask(list).map_err(|why| format!("it {why}"))?;
    listed.map_err(|error: std::io::Error| format!("it cannot be read: {error}"))
}

/// What a file is, whatever it is called; nothing if it is not there.
pub(super) fn identity(file: &Path, patience: &Patience) -> Result<Option<Identity>, String> {
    let file = file.to_owned();
    patience.ask(move || fs::metadata(file).ok().map(|found| (found.dev(), found.ino())))
}

/// The text of a file, whoever may write it.
fn read(file: &Path, patience: &Patience) -> Result<String, String> {
    let path = file.display().to_string();
    let own = file.to_owned();
    let read = move || -> Result<Vec<u8>, String> {
        let told = |error: std::io::Error| format!("it cannot be read: {error}");
        // Opening a FIFO would wait for who writes it, as long as the limit lets it.
        if !fs::metadata(&own).map_err(told)?.is_file() {
            return Err("it is not a regular file".to_owned());
        }
        let mut bytes = Vec::new();
        let opened = File::open(&own).map_err(told)?;
        opened.take(CAP.saturating_add(1)).read_to_end(&mut bytes).map_err(told)?;
        Ok(bytes)
    };
    let bytes = patience.ask(read).map_err(|why| format!("it {why}"))??;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > CAP) {
        return Err(format!("it is longer than {CAP} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        format!("{path} is not UTF-8 text from byte {at} on")
    })
}

/// Whether a file that could be read is a domain's: settings of other programs lie there too, and are
/// nobody's fault for being no configurations.
fn may_be_a_domains(text: &str, config: &DomainConfig) -> bool {
    let begins = |line: &str| {
        let key = line.trim_start();
        ["disk", "uuid"].iter().any(|word| {
            key.strip_prefix(word)
                .is_some_and(|rest| rest.trim_start().starts_with(['=', '+', '.']))
        })
    };
    config.is_of_a_domain() || text.lines().any(begins)
}

/// Whether a file that cannot be read may be a configuration, by its name.
fn may_be_called_so(file: &Path) -> bool {
    let other = |end: &str| OTHERS.contains(&end);
    !file.extension().and_then(|end| end.to_str()).is_some_and(other)
}
