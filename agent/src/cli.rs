//! The command line, and the help that a person can work from.
//!
//! It holds what was typed and nothing else; what it means, together with agent.toml, is
//! [`crate::config`]'s business.

use crate::config::Wishes;
use crate::exit::Exit;
use clap::{Parser, ValueEnum};
use std::path::PathBuf;
use xen_fence_protocol as protocol;

/// Asks dom0 to fence a node of this cluster, and believes only proof.
#[derive(Debug, Parser)]
#[command(
    name = "xen-fence",
    version,
    override_usage = "xen-fence [OPTIONS] ACTION [NODE…]",
    after_help = "`xen-fence --help` has examples, the exit codes and the files.",
    after_long_help = after_long_help(),
    max_term_width = 100
)]
pub(crate) struct Cli {
    /// What to do
    #[arg(value_name = "ACTION", value_enum, hide_possible_values = false)]
    pub(crate) action: Action,

    /// The node it concerns, by the name that the cluster knows (uname -n); check takes several
    #[arg(value_name = "NODE")]
    pub(crate) nodes: Vec<String>,

    /// A dom0 to ask; may be given several times
    ///
    /// The account is your cluster's on that dom0, such as fence-alpha; agent.toml can name the one
    /// for a dom0 that is given without. An IPv6 address stands in brackets. The port is 22 unless
    /// named. Given here, those of agent.toml do not count. With several, off and reset ask all of
    /// them, and fail if one does not answer; on starts NODE only if all say that it is off.
    #[arg(long, value_name = "[ACCOUNT@]HOST[:PORT]")]
    pub(crate) dom0: Vec<String>,

    /// I know that this dom0 is down, and that NODE does not run there; may be given several times
    ///
    /// For off and reset. The dom0 is not asked, and its answer is not waited for. The statement goes
    /// on record at every dom0 that is asked. If it is wrong, NODE may live on there beside its
    /// successor, and write to the same disk: look at the machine before you make it.
    #[arg(long, value_name = "HOST")]
    pub(crate) confirmed_down: Vec<String>,

    /// The private key of this node; nobody but its owner may be able to read it
    #[arg(long, value_name = "FILE")]
    pub(crate) identity: Option<PathBuf>,

    /// The file that holds dom0's host key
    #[arg(long, value_name = "FILE")]
    pub(crate) known_hosts: Option<PathBuf>,

    /// The deadline for everything, name resolution and retries included [default: 50]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: Option<u64>,

    /// The settings to use instead of /etc/xen-fence/agent.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// For check: every node that you may name, and every dom0; so it is without NODE, too
    #[arg(long, conflicts_with_all = ["nodes", "dom0"])]
    pub(crate) all: bool,

    /// For check and monitor: one line and the exit codes of a Nagios or Icinga plugin
    ///
    /// 0 a fence would work, 1 it would, with something to mend, 2 it would fail, 3 what was typed
    /// cannot be read. Give --timeout less time than the plugin has.
    #[arg(long, conflicts_with_all = ["json", "verbose"])]
    pub(crate) nagios: bool,

    /// For enroll: the fingerprint of dom0's host key, where nobody is there to compare it
    ///
    /// It is what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` shows on dom0.
    #[arg(long, value_name = "SHA256:…")]
    pub(crate) fingerprint: Option<String>,

    /// For enroll: only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,

    /// Show each phase with its time, and what was checked
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl Cli {
    /// What is not to be as agent.toml has it.
    pub(crate) fn wishes(&self) -> Wishes {
        Wishes {
            config: self.config.clone(),
            account: None,
            dom0: self.dom0.clone(),
            identity: self.identity.clone(),
            known_hosts: self.known_hosts.clone(),
            timeout: self.timeout,
        }
    }
}

/// The actions, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Action {
    /// Kill NODE, prove its death, start it again
    Reset,
    /// Kill NODE and prove its death
    Off,
    /// Start NODE; with several dom0s on the first that can, if it is off on all
    On,
    /// Tell whether NODE is on, off or unknown
    Status,
    /// Tell it of every node that you may name
    List,
    /// Rehearse, without naming a node: would fencing work now?
    Monitor,
    /// Rehearse step by step for each NODE, or for every node; kills nobody
    Check,
    /// Set this node up: make its key, record dom0's host key, say what dom0 has to know
    Enroll,
}

impl Action {
    /// What it is to dom0; none if dom0 is not asked for anything.
    pub(crate) const fn asks(self) -> Option<protocol::Action> {
        match self {
            Self::Reset => Some(protocol::Action::Reset),
            Self::Off => Some(protocol::Action::Off),
            Self::On => Some(protocol::Action::On),
            Self::Status => Some(protocol::Action::Status),
            Self::List => Some(protocol::Action::List),
            Self::Monitor => Some(protocol::Action::Monitor),
            Self::Check => Some(protocol::Action::Check),
            Self::Enroll => None,
        }
    }
}

fn after_long_help() -> String {
    format!(
        "Examples:\n  \
           xen-fence enroll --dom0 fence-alpha@192.168.2.1:2422\n  \
           \x20                                  set this node up; shows what to do on dom0\n  \
           xen-fence check                    would fencing work now? kills nobody\n  \
           xen-fence reset node2              kill node2, prove it, start it again\n  \
           xen-fence -v off node2             kill only; show each phase with its time\n  \
           xen-fence status node2 --json      for programs\n  \
           xen-fence list --dom0 fence-alpha@192.168.2.1:2422 --identity ./key\n  \
           xen-fence off node2 --confirmed-down xen2\n  \
           \x20                                  xen2 is switched off; ask the others\n\n\
         Exit codes:\n{}\n\n\
         With --nagios: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.\n\n\
         Files:\n  \
           /etc/xen-fence/agent.toml          dom0, pins, identity, known_hosts and timeout\n  \
           /etc/xen-fence/id_ed25519          this node's private key\n  \
           /etc/xen-fence/known_hosts         dom0's host key; else /etc/ssh/ssh_known_hosts\n  \
           /run/xen-fence-agent/              ids of requests whose answer was not heard; another\n  \
           \x20                                  user than root: $XDG_RUNTIME_DIR/xen-fence/\n\n\
         Until dom0 has been told to go, a connection that breaks is tried again with the same\n\
         request (one that is refused for 10 s), and Ctrl-C leaves nothing behind. After that,\n\
         dom0 finishes and records what it began; the same call within two minutes hears what\n\
         became of it, and does not kill again.\n\
         A dom0 given by a name that is not in /etc/hosts needs a resolver that answers.",
        Exit::table()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_help_is_sound_and_has_the_table() {
        Cli::command().debug_assert();
        let help = Cli::command().render_long_help().to_string();
        for wanted in ["Examples:", "Exit codes:", "  7  ", "agent.toml", "reset", "--known-hosts"]
        {
            assert!(help.contains(wanted), "{wanted} in {help}");
        }
    }

    #[test]
    fn lines_that_are_read() {
        let cli =
            Cli::try_parse_from(["xen-fence", "reset", "node2", "--dom0", "a@x", "--dom0", "a@y"]);
        let cli = cli.unwrap();
        assert_eq!((cli.action, cli.nodes.as_slice()), (Action::Reset, &["node2".to_owned()][..]));
        assert_eq!(cli.dom0, ["a@x", "a@y"]);
        for bad in [
            &["xen-fence"][..],
            &["xen-fence", "destroy", "node2"],
            &["xen-fence", "off", "-f"],
            &["xen-fence", "check", "a", "--all"],
            &["xen-fence", "check", "--all", "--dom0", "fence-a@x"],
            &["xen-fence", "check", "--nagios", "--json"],
            &["xen-fence", "off", "a", "--timeout", "0"],
            &["xen-fence", "off", "a", "--timeout", "soon"],
        ] {
            let error = Cli::try_parse_from(bad).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{bad:?}");
        }
    }
}
