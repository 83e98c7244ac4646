//! Whose disk a process writes to: files and devices, by whatever name they are called.

use crate::acl::Node;
use crate::{bounded, domain_config, xenstore};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a path leads to, by whatever name: `/dev/vg/root` and `/dev/dm-0` are one medium.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Medium {
    /// A block device, by its number.
    Device(u64),
    /// A file, by its file system and inode.
    File(u64, u64),
    /// What does not answer, because its disk hangs, by this name alone.
    Named(PathBuf),
}

impl Medium {
    fn at(path: &Path) -> Option<Self> {
        let answer = bounded::look(path, |path| fs::metadata(path).ok());
        // Of a descriptor /proc tells the name that it was opened by, without a look at what that leads to.
        let opened = || path.starts_with("/proc").then(|| fs::read_link(path).ok()).flatten();
        let name = || Self::Named(opened().unwrap_or_else(|| path.to_owned()));
        let Some(metadata) = answer else { return Some(name()) };
        let metadata = metadata?;
        Some(if metadata.file_type().is_block_device() {
            Self::Device(metadata.rdev())
        } else {
            Self::File(metadata.dev(), metadata.ino())
        })
    }

    const fn answers(&self) -> bool {
        !matches!(self, Self::Named(_))
    }
}

/// Whose a process is that writes to disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The node's: it has a disk of it open, and nobody else has that.
    Own,
    /// Nobody can tell.
    Perhaps,
    /// A living neighbour's, who names what it has open.
    Neighbours,
    /// It has nothing open that is a disk of the node or of a neighbour. What was attached to a node that is
    /// gone looks like that.
    Nobodys,
}

/// The disks of a node, and which of them somebody else writes to as well.
pub(crate) struct Disks {
    own: Vec<Medium>,
    others: Vec<Medium>,
    /// Whether the disks of the neighbours are known.
    heard: bool,
    /// Whether every disk of the node is known.
    complete: bool,
}

impl Disks {
    /// What the node's configuration names and xenstore has of these domids are its own; what xenstore
    /// has of others that live is theirs.
    pub(crate) fn of(node: &Node, domids: &[u32], living: &[u32]) -> Self {
        Self::told_by(domain_config::disks(node), xenstore::backend_disks().ok(), domids, living)
    }

    fn told_by(
        configured: Option<Vec<PathBuf>>,
        served: Option<Vec<(u32, PathBuf)>>,
        domids: &[u32],
        living: &[u32],
    ) -> Self {
        let is_served =
            |(domid, _): &(u32, PathBuf)| domids.contains(domid) && living.contains(domid);
        let heard = served.is_some();
        let mut disks = Self { own: Vec::new(), others: Vec::new(), heard, complete: true };
        // Of a domain that lives xenstore tells all, of one that goes ever less.
        let told = served.as_ref().is_some_and(|served| served.iter().any(is_served));
        disks.complete = heard && (configured.is_some() || told);
        // Each with whether it is the node's, and whether it may be gone: what a configuration names beside that.
        let mut paths: Vec<(bool, bool, PathBuf)> =
            configured.unwrap_or_default().into_iter().map(|disk| (true, told, disk)).collect();
        for (domid, disk) in served.unwrap_or_default() {
            // What xenstore has kept of a domain that is gone is nobody's.
            if domids.contains(&domid) || living.contains(&domid) {
                paths.push((domids.contains(&domid), false, disk));
            }
        }
        for (own, may_be_gone, path) in paths {
            match (own, Medium::at(&path)) {
                (true, Some(medium)) => {
                    disks.complete &= medium.answers();
                    disks.own.push(medium);
                }
                (true, None) => disks.complete &= may_be_gone,
                (false, medium) => disks.others.extend(medium),
            }
        }
        disks
    }

    /// Whose a tapdisk is, by its directory of open descriptors in /proc.
    /// One whose image a living neighbour names too is not waited for: it may be the neighbour's.
    /// One that cannot be looked at, or not told from the node's while a disk of the node or those of the
    /// neighbours are unknown, may be the node's.
    pub(crate) fn whose(&self, descriptors: &Path) -> Whose {
        let open = open(descriptors);
        let own = |medium: &Medium| self.own.contains(medium) && !self.others.contains(medium);
        let somebody_elses = |medium: &Medium| self.others.contains(medium);
        let known = self.complete && open.iter().all(Medium::answers);
        if open.iter().any(own) {
            if self.heard { Whose::Own } else { Whose::Perhaps }
        } else if open.iter().any(somebody_elses) {
            Whose::Neighbours
        } else if open.is_empty() || !known {
            Whose::Perhaps
        } else {
            Whose::Nobodys
        }
    }
}

/// What a process has open.
fn open(descriptors: &Path) -> Vec<Medium> {
    fs::read_dir(descriptors)
        .map(|fds| fds.flatten().filter_map(|fd| Medium::at(&fd.path())).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_disk_is_the_same_by_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let [image, link, hard, other] =
            ["image", "link", "hard", "other"].map(|name| dir.path().join(name));
        fs::write(&image, "x").unwrap();
        fs::write(&other, "x").unwrap();
        symlink(&image, &link).unwrap();
        fs::hard_link(&image, &hard).unwrap();
        let medium = Medium::at(&image).unwrap();
        for (path, same) in [(&link, true), (&hard, true), (&other, false)] {
            assert_eq!(Medium::at(path) == Some(medium.clone()), same, "{}", path.display());
        }
        assert_eq!(Medium::at(&dir.path().join("none")), None);
        assert!(medium.answers() && !Medium::Named(image).answers());
    }

    /// What a retry knows of a node that the first attempt has killed: its tapdisk may write on.
    #[test]
    fn all_of_a_nodes_disks_are_known_only_while_somebody_tells() {
        let dir = tempfile::tempdir().unwrap();
        let image = dir.path().join("own.img");
        fs::write(&image, "x").unwrap();
        let medium = Medium::at(&image).unwrap();
        let (lives, dead) = (vec![(5, image.clone())], vec![(4, image.clone())]);
        let configured = || Some(vec![image.clone()]);
        let told = |configured, served, domids: &[u32]| {
            Disks::told_by(configured, served, domids, &[0, 5])
        };
        assert!(told(configured(), Some(Vec::new()), &[]).complete);
        assert!(!told(configured(), None, &[]).complete, "xenstore is silent");
        assert!(!told(None, Some(Vec::new()), &[]).complete, "there is no configuration");
        assert!(!told(None, Some(lives.clone()), &[]).complete);
        let own = told(None, Some(lives.clone()), &[5]);
        assert!(own.complete && own.own == [medium.clone()] && own.others.is_empty());
        assert_eq!(told(configured(), Some(lives.clone()), &[]).others, [medium]);
        // A disk of its configuration that is not there, as one that was taken out.
        let gone = || Some(vec![image.clone(), dir.path().join("none")]);
        assert!(told(gone(), Some(lives), &[5]).complete);
        // One that is served may be open all the same.
        let open = vec![(5, dir.path().join("none"))];
        assert!(!told(gone(), Some(open), &[5]).complete);
        assert!(!told(gone(), Some(Vec::new()), &[]).complete);
        let kept = told(configured(), Some(dead), &[]);
        assert!(kept.others.is_empty(), "xenstore has kept it of the node's own life");
    }

    #[test]
    fn a_tapdisk_is_told_by_what_it_has_open() {
        let dir = tempfile::tempdir().unwrap();
        let [image, other, fds] = ["image", "other", "fd"].map(|name| dir.path().join(name));
        fs::write(&image, "x").unwrap();
        fs::write(&other, "x").unwrap();
        fs::create_dir(&fds).unwrap();
        symlink(&image, fds.join("3")).unwrap();
        let medium = |path: &Path| Medium::at(path).unwrap();
        let disks = |own: &[&Path], others: &[&Path], complete| Disks {
            own: own.iter().map(|path| medium(path)).collect(),
            others: others.iter().map(|path| medium(path)).collect(),
            heard: true,
            complete,
        };
        let table = [
            (disks(&[&image], &[], true), Whose::Own, "its own image"),
            (disks(&[&other], &[], true), Whose::Nobodys, "somebody's"),
            (disks(&[&image], &[&image], true), Whose::Neighbours, "shared with a living one"),
            (disks(&[], &[&image], false), Whose::Neighbours, "one's, though not all is known"),
            (disks(&[&other], &[], false), Whose::Perhaps, "nobody knows whose"),
            (disks(&[&image], &[], false), Whose::Own, "its own, though not all is known"),
        ];
        for (disks, whose, what) in table {
            assert_eq!(disks.whose(&fds), whose, "{what}");
        }
        // A peer may have it open as well, and nobody says so.
        let unheard = Disks { heard: false, ..disks(&[&image], &[], false) };
        assert_eq!(unheard.whose(&fds), Whose::Perhaps, "xenstore is silent");
        let unreadable = dir.path().join("unreadable");
        assert_eq!(disks(&[], &[], true).whose(&unreadable), Whose::Perhaps);
    }
}
