//! The product and the stand-in hypervisor, built, and put at their real places in a throwaway dom0.

use super::command::Place;
use super::root::Root;
use crate::error::{Doing, Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The programs as cargo builds them, in one profile.
#[derive(Clone, Debug)]
pub(crate) struct Product {
    /// The directory that cargo puts the programs in.
    pub(crate) programs: PathBuf,
}

/// Set by a script that has just built everything itself.
pub const BUILT: &str = "XEN_FENCE_TESTS_BUILT";

const PACKAGES: [&str; 5] =
    ["xen-fence", "xen-fence-broker", "xen-fence-admin", "xen-fence-launcher", "xen-fence-tests"];

impl Product {
    /// The programs beside this one, brought up to date once in a process.
    pub(crate) fn built() -> Result<&'static Self> {
        static PRODUCT: OnceLock<std::result::Result<Product, String>> = OnceLock::new();
        PRODUCT
            .get_or_init(|| Self::build().map_err(|error| error.to_string()))
            .as_ref()
            .map_err(Error::new)
    }

    fn build() -> Result<Self> {
        let program = std::env::current_exe().doing("find this program")?;
        let mut programs = program.parent().unwrap_or(Path::new("/")).to_owned();
        if programs.ends_with("deps") {
            programs.pop();
        }
        if std::env::var_os(BUILT).is_none() {
            let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
            build.current_dir(repository()).args(["build", "--quiet", "--locked", "--bins"]);
            build.args(PACKAGES.iter().flat_map(|name| ["--package", name]));
            if programs.ends_with("release") {
                build.arg("--release");
            }
            let output = build.output().doing("run cargo, to build what the tests install")?;
            if !output.status.success() {
                let why = String::from_utf8_lossy(&output.stderr);
                return Err(Error::new(format!("cannot build what the tests install:\n{why}")));
            }
        }
        Ok(Self { programs })
    }

    /// The helper that holds a throwaway dom0 and enters it.
    pub(crate) fn helper(&self) -> PathBuf {
        self.programs.join("throwaway")
    }

    /// Installs the product for dom0 with both ways of sshd and, since its domains share its file
    /// system, for a node: as an administrator does, with make.
    pub(crate) fn install(&self, init: i32) -> Result<()> {
        let destination = format!("DESTDIR=/proc/{init}/root");
        let built = format!("BUILT={}", self.programs.display());
        let mut make = Command::new("make");
        make.arg("--silent").arg("-C").arg(repository());
        make.args(["install-dom0", "install-node", "SSHD=both", &destination, &built]);
        let output = make.output().doing("run make")?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr);
        Err(Error::new(format!("make install-dom0 install-node failed:\n{why}")))
    }

    /// Installs the stand-in hypervisor: one program under every name that it answers to.
    pub(crate) fn install_stand_in(&self, root: &Root, dom0: &Place) -> Result<()> {
        for name in ["stand-in", "guest"] {
            let path = self.programs.join(name);
            let bytes = std::fs::read(&path).doing(format!("read {}", path.display()))?;
            root.write(&format!("/usr/lib/stand-in/{name}"), &bytes, 0o755)?;
        }
        root.make_dir("/usr/lib/xen-4.17/bin", 0o755)?;
        for dir in ["/var/lib/stand-in", "/var/log/xen", "/srv/disks"] {
            root.make_dir(dir, 0o755)?;
        }
        dom0.must(&[
            "sh",
            "-ec",
            "for name in /usr/lib/xen-4.17/bin/xl /usr/sbin/xl /usr/sbin/xm /usr/bin/xenstore-ls \
             /usr/bin/xenstore-read /usr/sbin/stand-in; do ln -f /usr/lib/stand-in/stand-in $name; done",
        ])?;
        Ok(())
    }
}

/// The root directory of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
