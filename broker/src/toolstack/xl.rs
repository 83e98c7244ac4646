//! The `xl` toolstack: its commands and where its program is.

use super::{Listing, Toolstack, ToolstackError};
use crate::command::{self, Finished};
use std::path::{Path, PathBuf};
use xen_fence_protocol::{DESTROY, LISTING};

/// `xl`, by the path of the real program.
#[derive(Clone, Debug)]
pub struct Xl {
    program: PathBuf,
}

impl Xl {
    /// Uses this program.
    #[must_use]
    pub const fn at(program: PathBuf) -> Self {
        Self { program }
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

    fn run(&self, args: &[&str], limit: std::time::Duration) -> Result<Finished, ToolstackError> {
        let done = command::run(&self.program, args, limit)?;
        if done.status.success() {
            return Ok(done);
        }
        Err(ToolstackError::Failed {
            line: command::describe(&self.program, args),
            ending: done.ending(),
            words: done.last_words().to_owned(),
        })
    }
}

impl Toolstack for Xl {
    fn name(&self) -> &'static str {
        "xl"
    }

    fn list(&self) -> Result<Listing, ToolstackError> {
        // Not `-l`: it hides corpses and shows no state. Not `list NAME`: a name is gone from
        // xenstore before the domain is.
        const ARGS: [&str; 2] = ["list", "-v"];
        let done = self.run(&ARGS, LISTING)?;
        Listing::parse(&done.stdout).map_err(|source| ToolstackError::Listing {
            line: command::describe(&self.program, &ARGS),
            source,
        })
    }

    fn destroy(&self, domid: u32) -> Result<(), ToolstackError> {
        self.run(&["destroy", &domid.to_string()], DESTROY).map(drop)
    }

    fn create_command(&self, config: &Path) -> Vec<String> {
        vec![self.program.display().to_string(), "create".to_owned(), config.display().to_string()]
    }

    fn restarts_by_itself(&self) -> bool {
        false
    }
}
