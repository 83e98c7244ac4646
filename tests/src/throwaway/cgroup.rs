//! The cgroups of a throwaway dom0: one group on the machine, which its own cgroup namespace makes
//! the root of all that it sees. Laid out inside as the machine has it, unified or hybrid.

use crate::error::{Doing, Result};
use nix::mount::{MsFlags, mount};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How the cgroup file systems are laid out under /sys/fs/cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// cgroup2 alone.
    Unified,
    /// cgroup2 in `unified`, and systemd's named hierarchy of version 1 in `systemd`.
    Hybrid,
}

impl Layout {
    /// As the machine has it: hybrid where any hierarchy of version 1 is mounted.
    pub fn of_the_machine() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").doing("read /proc/self/mounts")?;
        let old = mounts.lines().any(|line| line.split(' ').nth(2) == Some("cgroup"));
        Ok(if old { Self::Hybrid } else { Self::Unified })
    }

    /// Mounts the cgroup file systems on this directory.
    pub(crate) fn mount(self, on: &Path) -> Result<()> {
        match self {
            Self::Unified => mount_one(on, "cgroup2", None),
            Self::Hybrid => {
                mount(Some("tmpfs"), on, Some("tmpfs"), MsFlags::empty(), Some("mode=755"))
                    .doing(format!("mount a tmpfs on {}", on.display()))?;
                mount_one(&on.join("unified"), "cgroup2", None)?;
                mount_one(&on.join("systemd"), "cgroup", Some("none,name=systemd"))
            }
        }
    }

    /// The hierarchies' roots, under the directory that they are mounted on.
    pub(crate) fn roots(self, on: &Path) -> Vec<PathBuf> {
        match self {
            Self::Unified => vec![on.to_owned()],
            Self::Hybrid => vec![on.join("unified"), on.join("systemd")],
        }
    }
}

fn mount_one(on: &Path, kind: &str, options: Option<&str>) -> Result<()> {
    fs::create_dir_all(on).doing(format!("make {}", on.display()))?;
    mount(Some(kind), on, Some(kind), MsFlags::empty(), options)
        .doing(format!("mount {kind} on {}", on.display()))
}

/// The groups of one throwaway dom0 on the machine, one in each hierarchy.
pub(crate) struct Groups {
    layout: Layout,
    groups: Vec<PathBuf>,
}

impl Groups {
    /// Makes the groups, reached through a mount of our own under `base`.
    pub(crate) fn make(base: &Path) -> Result<Self> {
        let (layout, roots) = sweep(base)?;
        let groups: Vec<PathBuf> =
            roots.iter().map(|root| root.join(format!("{PREFIX}{}", std::process::id()))).collect();
        for group in &groups {
            fs::create_dir(group).doing(format!("make the cgroup {}", group.display()))?;
        }
        Ok(Self { layout, groups })
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Moves the calling process in.
    pub(crate) fn join(&self) -> Result<()> {
        self.groups.iter().try_for_each(|group| join(group))
    }

    /// Removes the groups; their processes are dying.
    pub(crate) fn remove(&self) {
        let until = Instant::now() + Duration::from_secs(5);
        for group in &self.groups {
            while remove_tree(group).is_err() && group.exists() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

const PREFIX: &str = "throwaway-dom0-";

/// Moves the calling process into this group, which is made if it is not there.
pub(crate) fn join(group: &Path) -> Result<()> {
    fs::create_dir_all(group).doing(format!("make the cgroup {}", group.display()))?;
    fs::write(group.join("cgroup.procs"), "0").doing(format!("join the cgroup {}", group.display()))
}

/// Mounts the machine's hierarchies under `base`, and removes the groups in them whose holder died
/// before it could. Returns the hierarchies' roots.
pub(crate) fn sweep(base: &Path) -> Result<(Layout, Vec<PathBuf>)> {
    let layout = Layout::of_the_machine()?;
    let on = base.join("cgroup");
    fs::create_dir_all(&on).doing(format!("make {}", on.display()))?;
    layout.mount(&on)?;
    let roots = layout.roots(&on);
    roots.iter().for_each(|root| sweep_one(root));
    Ok((layout, roots))
}

fn sweep_one(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let holder = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if holder.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // One that still has processes stays: rmdir refuses.
            let _ = remove_tree(&entry.path());
        }
    }
}

/// Removes a group and those below it, innermost first.
fn remove_tree(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)?.flatten() {
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
