//! The `xl` toolstack: its commands and where its program is.

use super::{Listing, Program, Toolstack, ToolstackError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `xl`, by the path of the real program.
#[derive(Clone, Debug)]
pub struct Xl {
    program: Program,
}

impl Xl {
    /// Uses this program.
    #[must_use]
    pub const fn at(program: PathBuf) -> Self {
        Self { program: Program(program) }
    }

    /// Finds the real program. On Debian `/usr/sbin/xl` is a shell script that picks the program
    /// of the running hypervisor's version; no shell shall stand between sudo and the toolstack.
    #[must_use]
    pub fn find() -> Self {
        let version = |part: &str| {
            std::fs::read_to_string(format!("/sys/hypervisor/version/{part}"))
                .ok()
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let real = version("major")
            .zip(version("minor"))
            .map(|(major, minor)| PathBuf::from(format!("/usr/lib/xen-{major}.{minor}/bin/xl")))
            .filter(|path| path.is_file());
        Self::at(real.unwrap_or_else(|| PathBuf::from("/usr/sbin/xl")))
    }
}

impl Toolstack for Xl {
    fn name(&self) -> &'static str {
        "xl"
    }

    fn list(&self) -> Result<Listing, ToolstackError> {
        // Not `-l`: it hides corpses and shows no state. Not `list NAME`: a name is gone from
        // xenstore before the domain is.
        self.program.list(&["list", "-v"], Listing::parse)
    }

    fn destroy(&self, domid: u32) -> Result<(), ToolstackError> {
        self.program.destroy(domid)
    }

    fn pause(&self, domid: u32, limit: Duration) -> Result<(), ToolstackError> {
        self.program.pause(domid, limit)
    }

    fn dump_command(&self, domid: u32, file: &Path) -> Vec<String> {
        self.program.dump_command(domid, file)
    }

    fn create_command(&self, config: &Path) -> Vec<String> {
        self.program.create_command(config)
    }

    fn restarts_by_itself(&self) -> bool {
        false
    }
}
