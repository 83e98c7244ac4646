//! Root's own tools on dom0: check and apply the policy, read the journal.
//!
//! sudo starts none of this and no guest reaches it. It uses the broker's own code to read the
//! policy, so what it accepts is what the broker accepts. What it kills it kills by the broker's own
//! story, lock and proof.

#![forbid(unsafe_code)]

mod acl;
mod fence;
mod log;
mod output;

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Root's tools for xen-fence on dom0: the policy and the journal
#[derive(Parser)]
#[command(name = "xen-fence-admin", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 all is well; 1 something is wrong with what was looked at; \
                        2 it could not be looked at, or wrong usage."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check the policy, and write sshd's keys from it
    #[command(subcommand)]
    Acl(AclCommand),
    /// Fence a node of a cluster by hand, with the lock, the journal and the proof of the broker
    ///
    /// The policy has to know the node; a grant is not needed. What is begun is finished, even if
    /// this command is interrupted.
    Fence {
        /// The cluster: the stem of its file in /etc/xen-fence/clusters.d
        cluster: String,
        /// The node, as the policy calls it
        node: String,
        /// What to do to it
        #[arg(long, value_enum, default_value_t = FenceAction::Reset)]
        action: FenceAction,
    },
    /// Show the journal: who asked for what, and what came of it
    Log {
        /// Only this cluster; default: all, in the order of time
        #[arg(long)]
        cluster: Option<String>,
        /// A table for the eye, or one JSON object a line
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

/// What root can do to a node.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FenceAction {
    /// Kill it, prove its death, power it on again
    Reset,
    /// Kill it and prove its death
    Off,
    /// Power it on
    On,
}

#[derive(Subcommand)]
enum AclCommand {
    /// Say whether the policy is as it should be, and where not
    Check {
        /// Policy files, also from elsewhere; default: all of /etc/xen-fence/clusters.d, and the
        /// host's settings
        files: Vec<PathBuf>,
    },
    /// Make the accounts and write sshd's key files as the policy says
    ///
    /// Nothing is changed unless the whole policy is as it should be.
    Apply {
        /// Only say what would be changed
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All is well.
    Well,
    /// Something is wrong with what was looked at.
    Wrong,
    /// It could not be looked at.
    Unable,
}

fn main() -> ExitCode {
    let ending = match Arguments::parse().command {
        Command::Acl(AclCommand::Check { files }) => acl::check::run(&files),
        Command::Acl(AclCommand::Apply { dry_run }) => acl::apply::run(dry_run),
        Command::Fence { cluster, node, action } => fence::run(&cluster, &node, action),
        Command::Log { cluster, format } => log::run(cluster.as_deref(), format),
    };
    ExitCode::from(match ending {
        Ending::Well => 0,
        Ending::Wrong => 1,
        Ending::Unable => 2,
    })
}
