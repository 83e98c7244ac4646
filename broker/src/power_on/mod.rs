//! Power-on, apart from the SSH session: the xl monitor and qemu live on in it for months.
//!
//! Where systemd runs, PID 1 starts the domain in a transient unit; elsewhere a session and cgroup
//! of its own do. A token on tmpfs stands for each power-on, from before the cluster's lock is let
//! go: whoever removes it calls the power-on off, and a later `off` does so before it proves.

mod own;
mod plan;
mod systemd;

use crate::acl::Node;
use crate::hold::Holds;
use crate::names::ClusterName;
use crate::sight::Host;
pub use plan::{Planned, Starts};
use std::fs;
use std::path::Path;
use std::time::Duration;
use xen_fence_protocol::{NodeName, POWER_ON, RequestId, StartedHow};

/// The environment of a hand-made `xl create`: a login of root.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("LOGNAME", "root"),
    ("PATH", crate::command::PATH),
    ("SHELL", "/bin/sh"),
    ("USER", "root"),
];
/// One power-on under way.
pub struct PowerOn<'a> {
    /// The host.
    pub host: Host<'a>,
    /// Whose node it is.
    pub cluster: &'a ClusterName,
    /// What holds there are.
    pub holds: Holds,
    /// The node.
    pub node: &'a Node,
    /// Its configuration, already found fit.
    pub config: &'a Path,
    /// For which request.
    pub request: RequestId,
    /// Its plan, which outlives it: what became of it is put on record first.
    pub planned: &'a Planned,
}

/// Why a node was not powered on, in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// It cannot be here. Another host may try.
    #[error("{0}")]
    Unable(String),
    /// Somebody wants it off, wherever it would run.
    #[error("{0}")]
    Unwanted(String),
}

/// Why the toolstack's create did not end well.
enum NotCreated {
    /// It failed by itself.
    Failed(String),
    /// It was stopped, and may have left a domain half built.
    Stopped(String),
    /// It was not begun, because of a hold.
    Held(String),
}

/// Where the toolstack's create stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creating {
    /// Still under way.
    Going,
    /// Ended, and content.
    Content,
    /// Ended with an error.
    Failed,
}

/// A create under way, by either way.
trait Starter {
    fn poll(&mut self) -> Creating;
    fn stop(&mut self);
    /// Whether it was seen to end when it did, so that its end tells when the node began to run.
    fn saw_its_end(&self) -> bool {
        true
    }
    /// The pause between two polls.
    fn pause(&self) -> Duration {
        Duration::from_millis(10)
    }
}

impl PowerOn<'_> {
    /// Starts the node and waits until it runs.
    ///
    /// # Errors
    /// Why it does not run.
    pub fn run(&self) -> Result<StartedHow, NotStarted> {
        let ended = self.create();
        let words = first_words(&self.planned.output());
        let sight = self.host.look(self.node);
        // Last, so that no failure hides it.
        if self.planned.is_called_off() {
            let text = "a later request called the power-on off";
            return Err(NotStarted::Unwanted(text.to_owned()));
        }
        let sight = sight.map_err(|blind| NotStarted::Unable(blind.to_string()))?;
        let watched = self.host.toolstack.restarts_by_itself() || !sight.restarters.is_empty();
        let with_words =
            |why: String| if words.is_empty() { why } else { format!("{why}: {words}") };
        match (ended, sight.runs()) {
            (Ok(how), true) => Ok(how),
            (Ok(_), false) => Err(NotStarted::Unable(format!(
                "the toolstack was content, and yet {} is not in its listing",
                self.node.domain()
            ))),
            // Somebody else was quicker, and the name was in use: an xl watches over that domain. One
            // that nobody watches over is what a create left that was killed.
            (Err(NotCreated::Failed(_)), true) if watched => Ok(StartedHow::Running),
            (Err(NotCreated::Failed(why)), true) => Err(NotStarted::Unable(format!(
                "{}; its domain is there, half built perhaps: `xl list` shows it, `off` removes it",
                with_words(why)
            ))),
            (Err(NotCreated::Held(why)), _) => Err(NotStarted::Unwanted(why)),
            (Err(NotCreated::Failed(why) | NotCreated::Stopped(why)), _) => {
                Err(NotStarted::Unable(with_words(why)))
            }
        }
    }

    /// Created, or, where it may have run for long before anybody noticed, running.
    fn create(&self) -> Result<StartedHow, NotCreated> {
        let deadline = self.host.clock.now().after(POWER_ON);
        let command = self.host.toolstack.create_command(self.config);
        let mut starter = self.begin(&command)?;
        loop {
            match starter.poll() {
                Creating::Content if starter.saw_its_end() => return Ok(StartedHow::Created),
                Creating::Content => return Ok(StartedHow::Running),
                Creating::Failed => {
                    return Err(NotCreated::Failed(format!("{} failed", command.join(" "))));
                }
                Creating::Going if self.planned.is_called_off() => {
                    starter.stop();
                    return Err(NotCreated::Stopped("it was called off".to_owned()));
                }
                Creating::Going if self.host.clock.now() >= deadline => {
                    starter.stop();
                    return Err(NotCreated::Stopped(format!(
                        "{} did not end within {} s (where xl may take memory from dom0, it \
                         waits while another create does) and was stopped; `xl list` shows what it may have left",
                        command.join(" "),
                        POWER_ON.as_secs()
                    )));
                }
                Creating::Going => self.host.clock.sleep(starter.pause()),
            }
        }
    }

    /// Looks once more whether it was called off, and begins, in one passage through the gate.
    fn begin(&self, command: &[String]) -> Result<Box<dyn Starter>, NotCreated> {
        let _gate = self.planned.gate(self.host.clock).map_err(NotCreated::Stopped)?;
        if self.planned.is_called_off() {
            return Err(NotCreated::Stopped("it was called off".to_owned()));
        }
        // The last look before it is created. Holds that cannot be read forbid nothing; that was
        // said before the kill.
        if let Ok(Some(held)) = self.holds.of_node(self.node.name()) {
            return Err(NotCreated::Held(held.told(self.cluster)));
        }
        self.planned.begins(self.host.clock);
        match systemd::start(self, command) {
            Some(unit) => Ok(Box::new(unit)),
            None => Ok(Box::new(own::start(self, command).map_err(NotCreated::Failed)?)),
        }
    }
}

/// A name for the unit or the cgroup: one for each node, so that none pile up. No cluster's name has
/// a dot in it, so no two nodes share one.
fn group(cluster: &ClusterName, node: &NodeName) -> String {
    format!("start-{cluster}.{}", node.lower())
}

/// The first lines of what the toolstack wrote, as one: libxl cleans up after its first error, and says
/// so on more of them.
fn first_words(output: &Path) -> String {
    let bytes = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let says_something = |line: &&str| !line.is_empty() && !line.starts_with("Parsing config");
    text.lines().map(str::trim).filter(says_something).take(2).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_nodes_share_a_group() {
        let of = |cluster: &str, node: &str| {
            group(&ClusterName::parse(cluster).unwrap(), &NodeName::parse(node).unwrap())
        };
        assert_eq!(of("alpha", "Node2"), "start-alpha.node2");
        assert_ne!(of("a-b", "c"), of("a", "b-c"));
    }

    #[test]
    fn the_cause_is_what_the_toolstack_said_first() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = "Parsing config from /etc/xen/node2.cfg\n\n libxl: error: not enough memory\n\
            libxl: error: cannot add\nlibxl: error: cannot remove\n";
        fs::write(file.path(), said).unwrap();
        let words = "libxl: error: not enough memory; libxl: error: cannot add";
        assert_eq!(first_words(file.path()), words);
        assert_eq!(first_words(Path::new("/nowhere")), "");
    }
}
