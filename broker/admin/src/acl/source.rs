//! The policy of one cluster, as the broker reads it where it is installed, or from a draft.
//!
//! A draft is a file anywhere else: anybody may check it before it is installed, and no pipe, link
//! or endless file holds that up.

use super::cluster_of;
use std::fs;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{CLUSTERS_DIR, Cluster, PolicyError, load};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::secure_file;

/// Which policy is meant.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Its file.
    pub(super) file: PathBuf,
    /// The cluster that the file is for.
    pub(super) name: ClusterName,
    /// Whether it lies elsewhere than among the policy.
    pub(super) is_draft: bool,
}

/// Why there is no policy.
#[derive(Debug)]
pub(super) enum Unread {
    /// The file is wrong, and the broker would refuse everybody whom it covers.
    Refused(PolicyError),
    /// There is nothing to look at.
    Unable(Cannot),
}

/// Why something cannot be looked at: a sentence, and what to do.
pub(super) type Cannot = (String, String);

impl From<Cannot> for Unread {
    fn from(cannot: Cannot) -> Self {
        Self::Unable(cannot)
    }
}

impl Source {
    /// The policy that is installed for a cluster.
    pub(super) fn installed(name: ClusterName) -> Self {
        let file = Path::new(CLUSTERS_DIR).join(format!("{name}.toml"));
        Self { file, name, is_draft: false }
    }

    /// The policy in a file, wherever it lies.
    pub(super) fn of_file(path: &Path) -> Result<Self, Cannot> {
        let Some(name) = cluster_of(path) else {
            return Err((
                format!(
                    "{}: its name is not that of a cluster with .toml behind it",
                    path.display()
                ),
                "a cluster's name is a lower-case letter, then at most 25 lower-case letters, \
                 digits and hyphens"
                    .to_owned(),
            ));
        };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let is_installed = fs::canonicalize(dir)
            .is_ok_and(|dir| fs::canonicalize(CLUSTERS_DIR).is_ok_and(|policy| policy == dir));
        Ok(Self { file: path.to_owned(), name, is_draft: !is_installed })
    }

    /// The policy that a word on the command line means: a cluster's name, or the path of a file.
    pub(super) fn of_word(word: &str) -> Result<Self, Cannot> {
        if word.contains('/') || word.ends_with(".toml") {
            return Self::of_file(Path::new(word));
        }
        let name = ClusterName::parse(word)
            .map_err(|error| (error.to_string(), error.hint().to_owned()))?;
        Ok(Self::installed(name))
    }

    /// Reads it.
    pub(super) fn read(&self) -> Result<Cluster, Unread> {
        let unread = if self.is_draft {
            let text = secure_file::read_draft(&self.file, load::MAX_FILE).map_err(|error| {
                if error.is_out_of_reach() {
                    (error.to_string(), error.hint()).into()
                } else {
                    Unread::Refused(error.into())
                }
            })?;
            load::parse_as(&self.file, &self.name, &text)
        } else {
            load::load(Path::new(CLUSTERS_DIR), &self.name)
        };
        unread.map_err(|error| match error.hint() {
            Some(hint) if error.is_missing() => {
                (error.message().to_owned(), hint.to_owned()).into()
            }
            Some(_) | None => Unread::Refused(error),
        })
    }
}
