//! The front doors, told apart by how the program is called.
//!
//! `fence_xen` is Pacemaker's. Heartbeat's plugin has the CLI's own name, and is known by the
//! directory that it is called in: only there do variables of the environment mean anything.

mod command_line;
mod descriptors;
mod enroll;
mod heartbeat;
mod pacemaker;
mod parameters;
mod syslog;
mod voice;
mod xml;

use crate::clock::Moment;
use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

/// A front door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// For people.
    CommandLine,
    /// For Heartbeat and cluster-glue: `external/xen-fence`.
    Heartbeat,
    /// For Pacemaker, and all that speaks the fence agents' language: `fence_xen`.
    Pacemaker,
}

/// Where cluster-glue looks for external plugins, below the distribution's own directory for libraries.
const PLUGINS: &str = "stonith/plugins/external";

impl Door {
    /// The door that a program of this name, as it was called, is.
    pub(crate) fn called(name: Option<&OsStr>) -> Self {
        let Some(path) = name.map(Path::new) else { return Self::CommandLine };
        if path.file_name() == Some(OsStr::new(pacemaker::NAME)) {
            return Self::Pacemaker;
        }
        // A bare name was found on the way that PATH says, and is no plugin.
        let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) else {
            return Self::CommandLine;
        };
        let real = dir.canonicalize();
        if dir.ends_with(PLUGINS) || real.is_ok_and(|dir| dir.ends_with(PLUGINS)) {
            return Self::Heartbeat;
        }
        Self::CommandLine
    }

    /// Lets the caller in.
    pub(crate) fn open(self, begun: Moment) -> ExitCode {
        match self {
            Self::CommandLine => command_line::open(begun),
            Self::Heartbeat => heartbeat::open(begun),
            Self::Pacemaker => pacemaker::open(begun),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn called(name: &str) -> Door {
        Door::called(Some(OsStr::new(name)))
    }

    #[test]
    fn each_door_has_its_name() {
        for (name, door) in [
            ("xen-fence", Door::CommandLine),
            ("/usr/sbin/xen-fence", Door::CommandLine),
            ("./xen-fence", Door::CommandLine),
            ("../sbin/xen-fence", Door::CommandLine),
            ("", Door::CommandLine),
            ("/", Door::CommandLine),
            ("external/xen-fence", Door::CommandLine),
            ("/opt/external/xen-fence", Door::CommandLine),
            ("/usr/lib/stonith/plugins/external/xen-fence", Door::Heartbeat),
            ("/usr/lib64/stonith/plugins/external/xen-fence", Door::Heartbeat),
            ("/usr/lib/x86_64-linux-gnu/stonith/plugins/external/xen-fence", Door::Heartbeat),
            ("/usr/lib/stonith/plugins/external/another-name", Door::Heartbeat),
            ("/usr/lib/stonith/plugins/xen-fence", Door::CommandLine),
            ("fence_xen", Door::Pacemaker),
            ("/usr/sbin/fence_xen", Door::Pacemaker),
            ("./fence_xen", Door::Pacemaker),
            ("/usr/sbin/fence_xenapi", Door::CommandLine),
        ] {
            assert_eq!(called(name), door, "{name}");
        }
        assert_eq!(Door::called(None), Door::CommandLine);
    }

    #[test]
    fn a_link_to_the_plugins_is_their_directory() {
        let dir = tempfile::tempdir().unwrap();
        let plugins = dir.path().join("lib").join(PLUGINS);
        fs::create_dir_all(&plugins).unwrap();
        let link = dir.path().join("here");
        std::os::unix::fs::symlink(&plugins, &link).unwrap();
        let name = link.join("xen-fence");
        assert_eq!(Door::called(Some(name.as_os_str())), Door::Heartbeat);
        assert_eq!(called(dir.path().join("xen-fence").to_str().unwrap()), Door::CommandLine);
    }
}
