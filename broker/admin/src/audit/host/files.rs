//! Files and directories that fencing trusts: whoever but root can change one of them, or a
//! directory on the way to it, can make himself root or speak for any cluster.
//!
//! The policy's own files are not here: the broker refuses them at once when they are loose, which
//! is `policy`'s finding.

use super::look::{self, About, finding};
use super::{policy, sshd, xen};
use crate::acl::apply::KEYS_DIR;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use xen_fence_broker::acl::CLUSTERS_DIR;
use xen_fence_broker::hold::HOLDS_DIR;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::serve::RUN_DIR;
use xen_fence_broker::settings::SETTINGS_FILE;

const LOOSE: Code = Code {
    id: "XF001",
    severity: Severity::Serious,
    title: "others than root can change what fencing trusts",
};
const READABLE: Code = Code {
    id: "XF002",
    severity: Severity::Warning,
    title: "others than root can read what is root's alone",
};

/// Owners and modes.
pub(crate) const FAMILY: Family = Family { codes: &[&LOOSE, &READABLE], look: look_at };

/// Files, and directories with all that lies in them.
const TRUSTED: [&str; 27] = [
    KEYS_DIR,
    "/etc/xen-fence/sshd_config",
    "/etc/xen-fence/sshd_config.d",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/nsswitch.conf",
    "/usr/etc/ssh/sshd_config",
    "/usr/etc/ssh/sshd_config.d",
    "/usr/etc/sudoers",
    "/usr/etc/sudoers.d",
    "/usr/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/ld.so.preload",
    "/usr/sbin/sshd",
    "/usr/bin/sudo",
    "/usr/sbin/xen-fence-admin",
    "/usr/bin/xenstore-ls",
    "/usr/lib/systemd/system/xen-fence-sshd.service",
    "/etc/systemd/system/xen-fence-sshd.service",
    "/etc/systemd/system/xen-fence-sshd.service.d",
    JOURNAL_DIR,
    HOLDS_DIR,
];
/// Root's alone, also to read: one cluster's kills are nobody else's business.
const PRIVATE: [&str; 4] = ["/var/lib/xen-fence", JOURNAL_DIR, HOLDS_DIR, RUN_DIR];
/// More links than this on one way are a circle (path_resolution(7)).
const MOST_LINKS: usize = 40;

fn look_at(scene: &Scene) -> Vec<Finding> {
    let mut trusted: Vec<PathBuf> = TRUSTED.iter().map(PathBuf::from).collect();
    trusted.extend(super::programs::PROGRAMS.iter().map(|program| program.path.into()));
    let settings = policy::settings().unwrap_or_default();
    trusted.push(xen::program(&settings));
    let nodes = scene.policy.clusters.iter().flat_map(|cluster| cluster.nodes());
    let configs: Vec<PathBuf> = nodes.filter_map(|it| it.config().map(Path::to_owned)).collect();
    trusted.extend(configs.iter().filter_map(|config| Some(config.parent()?.to_owned())));
    let mut private: Vec<PathBuf> = PRIVATE.iter().map(PathBuf::from).collect();
    private.extend(settings.dump().map(|dump| dump.directory.clone()));
    // Not all that lies beside a file that sshd includes is read.
    let included = sshd::sources();
    let all = move || {
        let mut findings = survey(&trusted, &included, &private);
        // A configuration itself is looked at with its domain; the way to it can have links.
        let place = |config: &PathBuf| {
            let (dir, file) = (config.parent()?, config.file_name()?);
            Some(fs::canonicalize(dir).ok()?.join(file).display().to_string())
        };
        let configs: Vec<String> = configs.iter().filter_map(place).collect();
        findings.retain(|finding| !configs.contains(&finding.about));
        findings
    };
    match look::in_time("the files that fencing trusts", all) {
        Ok(findings) => findings,
        Err(why) => vec![look::unseen(
            About::TooMuch,
            "the files that fencing trusts",
            why,
            "see with findmnt which file system does not answer",
        )],
    }
}

fn survey(trusted: &[PathBuf], included: &[PathBuf], private: &[PathBuf]) -> Vec<Finding> {
    let mut places = BTreeSet::new();
    for path in trusted {
        places.extend(passed(path));
        let inside = fs::read_dir(path).into_iter().flatten().flatten();
        places.extend(inside.flat_map(|entry| passed(&entry.path())));
    }
    places.extend(included.iter().chain(private).flat_map(|path| passed(path)));
    // These the broker refuses by itself: policy, holds, settings, and where they lie.
    let of_broker = |place: &Path| {
        let settings = Path::new(SETTINGS_FILE);
        let refused = [CLUSTERS_DIR, HOLDS_DIR].iter().any(|dir| place.starts_with(dir));
        refused || place == settings || Some(place) == settings.parent()
    };
    places.retain(|place| !of_broker(place));
    let seen: Vec<_> = places
        .into_iter()
        .filter_map(|place| fs::symlink_metadata(&place).ok().map(|found| (place, found)))
        .collect();
    let loose = seen.iter().filter_map(|(place, found)| {
        let keep = if private.contains(place) { OWNERS } else { NOBODY_WRITES };
        loose(place, found, 0, keep)
    });
    let open = seen.iter().filter(|(place, _)| private.contains(place));
    loose.chain(open.filter_map(|(place, found)| readable(place, found))).collect()
}

/// The bits of a mode that may stay: all but the others' right to write, or the owner's alone.
const NOBODY_WRITES: u32 = 0o7755;
const OWNERS: u32 = 0o700;

/// Whether others than this owner can change it, as a finding.
fn loose(place: &Path, found: &Metadata, owner: u32, keep: u32) -> Option<Finding> {
    let path = look::quoted_path(place);
    let is_link = found.is_symlink();
    // A link's own mode means nothing.
    let writable = !is_link && found.mode() & 0o022 != 0;
    let (mut evidence, mut mend) = (Vec::new(), Vec::new());
    if found.uid() != owner {
        evidence.push(format!("it belongs to the user id {}", found.uid()));
        let flag = if is_link { "--no-dereference " } else { "" };
        mend.push(format!("chown {flag}root {path}"));
    }
    if writable {
        evidence.push(format!("its mode is {:04o}", found.mode() & 0o7777));
    }
    if evidence.is_empty() {
        return None;
    }
    if !is_link {
        // chown takes set-user-id bits away.
        mend.push(format!("chmod {:04o} {path}", found.mode() & keep));
    }
    Some(finding(&LOOSE, place.display(), evidence.join(", and "), mend.join(" && ")))
}

/// Whether nobody but root can change it; what is not there nobody can.
pub(super) fn is_tight(place: &Path) -> bool {
    fs::symlink_metadata(place).is_ok_and(|found| loose(place, &found, 0, NOBODY_WRITES).is_none())
}

/// The same of all that is on the way to it.
pub(super) fn way_is_tight(path: &Path) -> bool {
    passed(path).iter().all(|place| is_tight(place))
}

fn readable(place: &Path, found: &Metadata) -> Option<Finding> {
    (found.mode() & 0o055 != 0 && found.mode() & 0o022 == 0).then(|| {
        let evidence = format!("its mode is {:04o}", found.mode() & 0o7777);
        let mend = format!("chmod go= {}", look::quoted_path(place));
        finding(&READABLE, place.display(), evidence, mend)
    })
}

/// Everything that the kernel passes on the way to this path, itself included: directories, links,
/// and what they lead to. It ends where there is nothing.
pub(super) fn passed(path: &Path) -> Vec<PathBuf> {
    let mut at = PathBuf::from("/");
    let mut out = vec![at.clone()];
    let mut rest = steps(path);
    let mut links = 0_usize;
    while let Some(step) = rest.pop() {
        if step == ".." {
            at.pop();
            continue;
        }
        let next = at.join(&step);
        let Ok(found) = fs::symlink_metadata(&next) else { break };
        out.push(next.clone());
        if !found.is_symlink() {
            at = next;
            continue;
        }
        links = links.saturating_add(1);
        let Some(target) = fs::read_link(&next).ok().filter(|_| links <= MOST_LINKS) else { break };
        if target.is_absolute() {
            at = PathBuf::from("/");
        }
        rest.extend(steps(&target));
    }
    out
}

/// A path's steps, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let step = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn the_way_to_a_file_is_every_directory_and_link() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::write(root.join("real/deep/file"), "").unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("../link/deep/file", root.join("real/second")).unwrap();
        let way = passed(&root.join("link/second"));
        for place in ["link", "real", "real/second", "real/deep", "real/deep/file"] {
            assert!(way.contains(&root.join(place)), "{place}: {way:?}");
        }
        assert!(way.contains(&PathBuf::from("/")) && way.contains(&root));
        symlink("circle", root.join("circle")).unwrap();
        assert!(passed(&root.join("circle")).len() < 100);
    }

    #[test]
    fn whoever_else_may_write_is_told_with_what_mends_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let look = |mode| {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            let found = fs::symlink_metadata(&file).unwrap();
            loose(&file, &found, found.uid(), NOBODY_WRITES).map(|finding| finding.mend)
        };
        assert_eq!(look(0o755), None);
        assert_eq!(look(0o4775), Some(format!("chmod 4755 {}", file.display())));
        assert_eq!(look(0o646), Some(format!("chmod 0644 {}", file.display())));
        let found = fs::symlink_metadata(&file).unwrap();
        let other = loose(&file, &found, found.uid() + 1, NOBODY_WRITES).unwrap();
        assert!(other.mend.starts_with("chown root "), "{}", other.mend);
    }
}
