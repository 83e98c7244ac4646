//! What the broker asks of a toolstack: a full listing, a destroy by domid, a create from a file.
//!
//! `xl` and `xm` have one file each. Nothing here decides anything; what a listing means for a
//! node is `target`'s business, and what proves a death is `fence`'s.

mod listing;
mod xl;
mod xm;

use crate::command::{self, CommandError, Finished};
pub use listing::{Listing, ListingError, Row, RowState};
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{DESTROY, LISTING};
pub use xl::Xl;
pub use xm::Xm;

/// Why the toolstack's answer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ToolstackError {
    /// The program could not be run to its end.
    #[error("the toolstack does not answer: {0}")]
    Command(#[from] CommandError),
    /// The program ended with an error.
    #[error("{line}: {ending}: {words}")]
    Failed {
        /// The command.
        line: String,
        /// How it ended.
        ending: String,
        /// What it said last.
        words: String,
    },
    /// The listing is not well formed, so nothing can be concluded from it.
    #[error("{line}: {source}")]
    Listing {
        /// The command.
        line: String,
        /// What is wrong with its output.
        source: ListingError,
    },
}

/// A toolstack of dom0.
pub trait Toolstack {
    /// Its name: `xl` or `xm`.
    fn name(&self) -> &'static str;

    /// Every domain that the hypervisor knows, corpses included.
    ///
    /// # Errors
    /// Anything but a complete, well-formed listing with dom0 in it.
    fn list(&self) -> Result<Listing, ToolstackError>;

    /// Asks for the end of the domain with this domid. Success says only that the toolstack was
    /// content: it is no proof.
    ///
    /// # Errors
    /// What the toolstack said, or that it did not answer.
    fn destroy(&self, domid: u32) -> Result<(), ToolstackError>;

    /// Stops the domain's processors, until it is unpaused or dies.
    ///
    /// # Errors
    /// What the toolstack said, or that it did not answer within `limit`.
    fn pause(&self, domid: u32, limit: Duration) -> Result<(), ToolstackError>;

    /// The command that writes a domain's core to a file: program and arguments.
    fn dump_command(&self, domid: u32, file: &Path) -> Vec<String>;

    /// The command that creates a domain from its configuration: program and arguments.
    fn create_command(&self, config: &Path) -> Vec<String>;

    /// Whether a node that this toolstack does not list may come back by the toolstack's own
    /// doing, so that absence alone proves nothing. xend restarts domains from within.
    fn restarts_by_itself(&self) -> bool;
}

/// The program of a toolstack: both have the same commands, and print different listings.
#[derive(Clone, Debug)]
struct Program(PathBuf);

impl Program {
    /// Lists with these arguments, and has the output read.
    fn list(
        &self,
        args: &[&str],
        parse: impl Fn(&str) -> Result<Listing, ListingError>,
    ) -> Result<Listing, ToolstackError> {
        let done = self.run(args, LISTING)?;
        parse(&done.stdout).map_err(|source| ToolstackError::Listing {
            line: command::describe(&self.0, args),
            source,
        })
    }

    fn destroy(&self, domid: u32) -> Result<(), ToolstackError> {
        self.run(&["destroy", &domid.to_string()], DESTROY).map(drop)
    }

    fn pause(&self, domid: u32, limit: Duration) -> Result<(), ToolstackError> {
        let args = ["pause", &domid.to_string()];
        let done = self.run(&args, limit)?;
        // xl returns 0 whether or not libxl could (main_pause in xl_vmcontrol.c), and then says so.
        if done.stderr.trim().is_empty() {
            return Ok(());
        }
        Err(ToolstackError::Failed {
            line: command::describe(&self.0, &args),
            ending: done.ending(),
            words: done.last_words().to_owned(),
        })
    }

    fn dump_command(&self, domid: u32, file: &Path) -> Vec<String> {
        let (program, file) = (self.0.display().to_string(), file.display().to_string());
        vec![program, "dump-core".to_owned(), domid.to_string(), file]
    }

    fn create_command(&self, config: &Path) -> Vec<String> {
        vec![self.0.display().to_string(), "create".to_owned(), config.display().to_string()]
    }

    fn run(&self, args: &[&str], limit: Duration) -> Result<Finished, ToolstackError> {
        let done = command::run(&self.0, args, limit)?;
        if done.status.success() {
            return Ok(done);
        }
        Err(ToolstackError::Failed {
            line: command::describe(&self.0, args),
            ending: done.ending(),
            words: done.last_words().to_owned(),
        })
    }
}
