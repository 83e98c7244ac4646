//! The files that `make install-dom0` puts on a host, from the same sources, so that this program can
//! say whether they are right and put them there itself.

use super::wishes::Way;
use super::{Fault, sshd, sudo};
use std::io;
use std::path::Path;

/// A file of this version, and where it belongs.
pub(super) struct Shipped {
    pub(super) path: &'static str,
    pub(super) mode: u32,
    pub(super) text: &'static str,
    pub(super) kind: Kind,
}

/// What becomes of one that is another than this version's, and what has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The sudo rule.
    Sudoers,
    /// Settings of sshd: those of the one for fencing may be a person's and stay.
    Sshd(Way),
    /// What systemd reads.
    Unit,
    /// What nobody has to be told of.
    Plain,
}

impl Kind {
    /// Looks at what is about to be put in its place.
    pub(super) fn check_before(self, new: &Path) -> io::Result<()> {
        match self {
            // A mistake here could stop sudo for everybody.
            Self::Sudoers => sudo::accepts(new).map_err(io::Error::other),
            Self::Sshd(_) | Self::Unit | Self::Plain => Ok(()),
        }
    }

    /// Looks at what it has come to, now that it is in its place.
    pub(super) fn check_after(self) -> Result<(), Fault> {
        match self {
            Self::Sshd(way) => sshd::accepts(way),
            Self::Sudoers | Self::Unit | Self::Plain => Ok(()),
        }
    }
}

/// The configuration of the sshd for fencing.
pub(super) const SSHD_CONFIG: &str = "/etc/xen-fence/sshd_config";
/// Where what is particular to this host stands.
pub(super) const HOST_CONF: &str = "/etc/xen-fence/sshd_config.d/host.conf";
/// The Match block.
pub(super) const MATCH_CONF: &str = "/etc/ssh/sshd_config.d/xen-fence.conf";
/// The sudo rule.
pub(super) const SUDO_RULE: &str = "/etc/sudoers.d/xen-fence";

const RULE: Shipped = Shipped {
    path: SUDO_RULE,
    mode: 0o440,
    text: include_str!("../../../../sudoers.d/xen-fence"),
    kind: Kind::Sudoers,
};

const DEDICATED: [Shipped; 7] = [
    RULE,
    Shipped {
        path: SSHD_CONFIG,
        mode: 0o644,
        text: include_str!("../../../host/sshd_config"),
        kind: Kind::Sshd(Way::Dedicated),
    },
    Shipped {
        path: "/usr/lib/systemd/system/xen-fence-sshd.service",
        mode: 0o644,
        text: include_str!("../../../host/xen-fence-sshd.service"),
        kind: Kind::Unit,
    },
    Shipped {
        path: "/usr/lib/systemd/system/xen-fence-log.service",
        mode: 0o644,
        text: include_str!("../../../host/xen-fence-log.service"),
        kind: Kind::Unit,
    },
    Shipped {
        path: "/usr/lib/systemd/system/xen-fence-log.timer",
        mode: 0o644,
        text: include_str!("../../../host/xen-fence-log.timer"),
        kind: Kind::Unit,
    },
    Shipped {
        path: "/etc/systemd/system/ssh.service.d/xen-fence.conf",
        mode: 0o644,
        text: include_str!("../../../host/ssh_keep_directory.conf"),
        kind: Kind::Unit,
    },
    Shipped {
        path: "/etc/logrotate.d/xen-fence",
        mode: 0o644,
        text: include_str!("../../../host/logrotate"),
        kind: Kind::Plain,
    },
];

const MATCH: [Shipped; 2] = [
    RULE,
    Shipped {
        path: MATCH_CONF,
        mode: 0o644,
        text: include_str!("../../../host/sshd_match.conf"),
        kind: Kind::Sshd(Way::Match),
    },
];

/// The files of one way in.
pub(super) const fn files(way: Way) -> &'static [Shipped] {
    match way {
        Way::Dedicated => &DEDICATED,
        Way::Match => &MATCH,
    }
}

/// The directories of one way in, with their modes, each after its parent.
pub(super) const fn directories(way: Way) -> &'static [(&'static str, u32)] {
    const BOTH: &[(&str, u32)] = &[
        ("/etc/xen-fence", 0o755),
        ("/etc/xen-fence/clusters.d", 0o750),
        ("/var/lib/xen-fence", 0o700),
        ("/var/lib/xen-fence/journal", 0o700),
        ("/var/lib/xen-fence/holds", 0o700),
        ("/etc/ssh/sshd_config.d", 0o755),
    ];
    const ALONE: &[(&str, u32)] = &[
        ("/etc/xen-fence", 0o755),
        ("/etc/xen-fence/clusters.d", 0o750),
        ("/var/lib/xen-fence", 0o700),
        ("/var/lib/xen-fence/journal", 0o700),
        ("/var/lib/xen-fence/holds", 0o700),
        ("/etc/xen-fence/sshd_config.d", 0o755),
        ("/var/log/xen-fence", 0o750),
    ];
    match way {
        Way::Dedicated => ALONE,
        Way::Match => BOTH,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What this program takes for right is what make puts there, file by file and mode by mode.
    #[test]
    fn make_puts_the_same_files_in_the_same_places() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let makefile = std::fs::read_to_string(repository.join("Makefile")).unwrap();
        let makefile = makefile.replace("\\\n", " ");
        for file in files(Way::Dedicated).iter().chain(files(Way::Match)) {
            let dir = Path::new(file.path).parent().unwrap().display().to_string();
            let line = makefile.lines().find(|line| {
                let puts = line.contains("$(FILE) -m") || line.contains("$(call put,");
                let whole = [file.path, &format!("{dir}/")];
                puts && whole.iter().any(|place| line.contains(place))
                    || file.path == SSHD_CONFIG && line.contains("sshd_config $$new")
            });
            let line = line.unwrap_or_else(|| panic!("make does not put {}", file.path));
            assert!(line.contains(&format!("{:04o}", file.mode)), "{}: {line}", file.path);
        }
        for (dir, mode) in directories(Way::Dedicated).iter().chain(directories(Way::Match)) {
            let line = makefile.lines().find(|line| {
                line.contains("$(DIR) -m") && line.split(' ').any(|word| word.ends_with(dir))
            });
            let line = line.unwrap_or_else(|| panic!("make does not make {dir}"));
            assert!(line.contains(&format!("{mode:04o}")), "{dir}: {line}");
        }
    }
}
