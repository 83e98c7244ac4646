//! Root's own tools on dom0: check and apply the policy, hold nodes, lift brakes, read the journal.
//!
//! sudo starts none of this and no guest reaches it. It uses the broker's own code to read the
//! policy, so what it accepts is what the broker accepts. What it kills it kills by the broker's own
//! story, lock and proof.

#![forbid(unsafe_code)]

mod acl;
mod brake;
mod fence;
mod hold;
mod log;
mod output;
mod root;

use clap::{Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use xen_fence_broker::hold::{OnFence, is_reason, parse_span};

/// Root's tools for xen-fence on dom0: the policy, holds, brakes and the journal
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
    /// Hold a node: until the time is over, nobody's fence kills or starts it on this dom0
    ///
    /// A node that is proven off still counts as fenced. The hold survives a reboot and ends by
    /// itself, by the wall clock. It binds this dom0 alone, so set it on every one on which the node
    /// may run. A second hold of a node takes the place of the first.
    Hold {
        /// The cluster: the name of its policy file
        cluster: String,
        /// The node, by the name that the policy has for it
        node: String,
        /// How long: a number and s, m, h or d, at most 30d
        #[arg(long = "for", value_name = "LENGTH", value_parser = length)]
        length: Duration,
        /// Why: every node that asks for a fence hears it
        #[arg(long, value_name = "SENTENCE", value_parser = reason)]
        why: String,
        /// What a fence comes to: refuse it, or kill the node and leave it off
        #[arg(long, value_enum, default_value_t = HeldFence::Refuse)]
        on_fence: HeldFence,
    },
    /// End a hold before its time
    Unhold {
        /// The cluster
        cluster: String,
        /// The node
        node: String,
    },
    /// Show the holds: which nodes, by whom, until when, and why
    Holds {
        /// Only this cluster; default: all
        cluster: Option<String>,
        /// A table for the eye, or one JSON object a line
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show or lift the brakes of nodes that were reset again and again
    #[command(subcommand)]
    Brake(BrakeCommand),
    /// Show the journal: who asked for what, and what came of it
    ///
    /// What is in flight, and what was counted and is not in the journal yet, is said on standard
    /// error.
    Log {
        /// Only this cluster; default: all, in the order of time
        #[arg(long)]
        cluster: Option<String>,
        /// A table for the eye, or one JSON object a line
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Instead, say whether each line holds the hash of the one before it, over all files
        ///
        /// Lines that are gone from the end show in no chain: compare the head that is printed with
        /// the one in syslog's last line of the cluster. Oldest files that were taken away are named,
        /// and are no fault.
        #[arg(long, conflicts_with = "format")]
        verify: bool,
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

#[derive(Subcommand)]
enum BrakeCommand {
    /// Show which nodes were reset lately, and which are left off therefore
    List {
        /// Only this cluster; default: all
        cluster: Option<String>,
        /// A table for the eye, or one JSON object a line
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Lift the brake of a node and forget its resets; it is not started by that
    Clear {
        /// The cluster
        cluster: String,
        /// The node
        node: String,
    },
}

/// What a fence of a held node comes to.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HeldFence {
    /// It is refused: the node is neither killed nor started
    Refuse,
    /// The node is killed and left off
    Off,
}

impl From<HeldFence> for OnFence {
    fn from(word: HeldFence) -> Self {
        match word {
            HeldFence::Refuse => Self::Refuse,
            HeldFence::Off => Self::Off,
        }
    }
}

fn length(text: &str) -> Result<Duration, String> {
    parse_span(text)
        .ok_or_else(|| "write 45s, 90m, 2h or 3d: one number, one unit, at most 30d".to_owned())
}

fn reason(text: &str) -> Result<String, String> {
    let sentence = "write one line that says something, of at most 200 plain characters";
    if is_reason(text) { Ok(text.trim().to_owned()) } else { Err(sentence.to_owned()) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
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
        Command::Hold { cluster, node, length, why, on_fence } => {
            hold::set(&cluster, &node, length, &why, on_fence.into())
        }
        Command::Unhold { cluster, node } => hold::clear(&cluster, &node),
        Command::Holds { cluster, format } => hold::list(cluster.as_deref(), format),
        Command::Brake(BrakeCommand::List { cluster, format }) => {
            brake::list(cluster.as_deref(), format)
        }
        Command::Brake(BrakeCommand::Clear { cluster, node }) => brake::clear(&cluster, &node),
        Command::Log { cluster, format, verify } => {
            let view = if verify { log::View::Chain } else { log::View::Records(format) };
            log::run(cluster.as_deref(), view)
        }
    };
    ExitCode::from(match ending {
        Ending::Well => 0,
        Ending::Wrong => 1,
        Ending::Unable => 2,
    })
}
