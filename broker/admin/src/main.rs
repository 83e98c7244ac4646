//! Root's own tools on dom0: check and apply the policy, hold nodes, lift brakes, read the journal.
//!
//! sudo starts none of this and no guest reaches it. It uses the broker's own code to read the
//! policy, so what it accepts is what the broker accepts. What it kills it kills by the broker's own
//! story, lock and proof.

#![forbid(unsafe_code)]

mod acl;
mod audit;
mod brake;
mod etc;
mod fence;
mod hold;
mod log;
mod output;
mod patterns;
mod root;
mod setup;

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
    /// Set this dom0 up: sudo rule, sshd, a cluster's policy, account and keys
    ///
    /// Shows what it would write before it asks. What is right stays, and so does what a person has
    /// written: it can be run again at any time, with a new node or a new key. On a terminal it asks
    /// for what no option says.
    Setup(setup::Wishes),
    /// Check, show and explain the policy, and write sshd's keys from it
    #[command(subcommand)]
    Acl(AclCommand),
    /// Hold the policy against the living host: what is too open, and what would make a fence fail
    ///
    /// Exit status: 0 nothing, or notes alone; 1 a warning is the worst; 2 it could not be looked
    /// at; 3 something serious.
    Audit {
        /// Only what concerns this cluster or the whole host; default: all
        #[arg(long)]
        cluster: Option<String>,
        /// How it is printed
        #[arg(long, value_enum, default_value_t = audit::Format::Table)]
        format: audit::Format,
    },
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
    /// error. docs/journal.md has every field.
    Log {
        /// Only this cluster; default: all, in the order of time
        #[arg(long)]
        cluster: Option<String>,
        #[command(flatten)]
        show: Show,
        /// Instead, say whether each line holds the hash of the one before it, over all files, and
        /// whether syslog says the same
        ///
        /// Lines that are gone from the end show in no chain, but syslog has the head of the chain
        /// behind each record. Oldest files that were taken away are named, and are no fault.
        #[arg(long, conflicts_with = "Show")]
        verify: bool,
        /// A file of syslog's, as of another host that it is sent to, or - for standard input; more than
        /// once for several. Default: /var/log/auth.log, secure, syslog and messages, else journalctl
        #[arg(long, value_name = "FILE", requires = "verify")]
        anchors: Vec<PathBuf>,
    },
}

/// Which records, and how.
#[derive(clap::Args)]
struct Show {
    /// Only about this node, or what it asked
    #[arg(long)]
    node: Option<String>,
    /// Not older: 90m, 2d, 2w, or a time as 2026-11-21 or 2026-11-21T09:54:16Z
    #[arg(long, value_name = "TIME", value_parser = log::Since::parse)]
    since: Option<log::Since>,
    /// Only refusals
    #[arg(long)]
    refused: bool,
    /// Only so many, the last
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    last: Option<u16>,
    /// Go on with those that are still to come; begins with the last ten, unless told otherwise
    #[arg(long)]
    follow: bool,
    /// A table for the eye, or one JSON object a line
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
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
        /// Text for the eye, or one JSON object a line for each thing that is said
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show who may do what to whom
    ///
    /// Each letter is the broker's own decision on a request with a key and from an address that the
    /// policy has for whoever asks.
    Show {
        /// Policy files, also drafts from elsewhere; default: those of the host
        #[arg(conflicts_with = "cluster")]
        files: Vec<PathBuf>,
        /// Only this cluster; default: all
        #[arg(long)]
        cluster: Option<String>,
        /// Only what this node may do, and what may be done to it
        #[arg(long)]
        node: Option<String>,
        /// A table for the eye, or one JSON object a line for each cluster
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Say what would come of a request: permit or refuse, by which line, of which domain, how
    ///
    /// Exit status: 0 somebody of those who are asked for is permitted; 1 nobody is, or the policy is
    /// broken; 2 it could not be looked at. Whether Xen answers, a hold or a brake does not change it.
    Explain(acl::explain::Arguments),
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

impl Show {
    fn of(self, cluster: Option<String>) -> log::Query {
        let Self { node, since, refused, last, follow, format } = self;
        let wanted = log::Wanted { node, since, refused };
        log::Query { cluster, wanted, last: last.map(usize::from), follow, format }
    }
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
    /// An audit found something serious.
    Serious,
}

fn main() -> ExitCode {
    let ending = match Arguments::parse().command {
        Command::Setup(wishes) => setup::run(wishes),
        Command::Acl(AclCommand::Check { files, format }) => acl::check::run(&files, format),
        Command::Acl(AclCommand::Show { files, cluster, node, format }) => {
            acl::show::run(&files, cluster.as_deref(), node.as_deref(), format)
        }
        Command::Acl(AclCommand::Explain(arguments)) => acl::explain::run(&arguments),
        Command::Acl(AclCommand::Apply { dry_run }) => acl::apply::run(dry_run),
        Command::Audit { cluster, format } => audit::run(cluster.as_deref(), format),
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
        Command::Log { cluster, verify: true, anchors, .. } => {
            log::verify(cluster.as_deref(), &anchors)
        }
        Command::Log { cluster, show, .. } => log::run(&show.of(cluster)),
    };
    ExitCode::from(match ending {
        Ending::Well => 0,
        Ending::Wrong => 1,
        Ending::Unable => 2,
        Ending::Serious => 3,
    })
}
