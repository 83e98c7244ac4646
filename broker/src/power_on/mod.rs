//! Power-on, apart from the SSH session: the xl monitor and qemu live on in it for months.
//!
//! Where systemd runs, PID 1 starts the domain in a transient unit; elsewhere a session and cgroup
//! of its own do. A token on tmpfs stands for each power-on under way: whoever removes it calls
//! the power-on off, and a later `off` does so first of all.

mod own;
mod systemd;

use crate::acl::Node;
use crate::names::ClusterName;
use crate::processes::{Process, Processes};
use crate::sight::Host;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xen_fence_protocol::{POWER_ON, RequestId, StartedHow};

/// The environment of a hand-made `xl create`: a login of root.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("LOGNAME", "root"),
    ("PATH", crate::command::PATH),
    ("SHELL", "/bin/sh"),
    ("USER", "root"),
];
/// One power-on.
pub struct PowerOn<'a> {
    /// The host.
    pub host: Host<'a>,
    /// Where tokens are.
    pub dir: PathBuf,
    /// Whose node it is.
    pub cluster: &'a ClusterName,
    /// The node.
    pub node: &'a Node,
    /// Its configuration, already found fit.
    pub config: &'a Path,
    /// For which request.
    pub request: RequestId,
}

/// What a token says of the power-on that it stands for.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Token {
    /// systemd's transient unit.
    unit: Option<String>,
    /// Leader of the session in which the toolstack runs, and its start.
    leader: Option<(i32, u64)>,
}

/// Why the toolstack's create did not end well.
enum NotCreated {
    /// It failed by itself.
    Failed(String),
    /// It was stopped, and may have left a domain half built.
    Stopped(String),
}

/// Where the toolstack's create stands.
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
    /// The pause between two polls.
    fn pause(&self) -> Duration {
        Duration::from_millis(10)
    }
}

impl PowerOn<'_> {
    /// Starts the node and waits until it runs.
    ///
    /// # Errors
    /// A sentence that says why it does not run.
    pub fn run(&self) -> Result<StartedHow, String> {
        let token = self.token_path();
        let output = token.with_extension("out");
        crate::lock::make_private_dir(&self.dir)
            .and_then(|()| write_token(&token, &Token::default()))
            .map_err(|error| format!("{} cannot be written: {error}", token.display()))?;
        let ended = self.create(&token, &output);
        let words = last_words(&output);
        let cancelled = fs::remove_file(&token).is_err();
        // What is left of it lies on tmpfs and ends with this boot.
        let _gone = fs::remove_file(&output);
        if cancelled {
            return Err("a later request called the power-on off".to_owned());
        }
        let sight = self.host.look(self.node).map_err(|blind| blind.to_string())?;
        match (ended, sight.lives()) {
            (Ok(()), true) => Ok(StartedHow::Created),
            (Ok(()), false) => Err(format!(
                "the toolstack was content, and yet {} is not in its listing",
                self.node.domain()
            )),
            // Somebody else was quicker, and the name was in use.
            (Err(NotCreated::Failed(_)), true) => Ok(StartedHow::Running),
            (Err(NotCreated::Failed(why) | NotCreated::Stopped(why)), _) if words.is_empty() => {
                Err(why)
            }
            (Err(NotCreated::Failed(why) | NotCreated::Stopped(why)), _) => {
                Err(format!("{why}: {words}"))
            }
        }
    }

    fn create(&self, token: &Path, output: &Path) -> Result<(), NotCreated> {
        let deadline = self.host.clock.now().after(POWER_ON);
        let command = self.host.toolstack.create_command(self.config);
        let mut starter: Box<dyn Starter> = match systemd::start(self, &command, token, output) {
            Some(unit) => Box::new(unit),
            None => {
                let own = own::start(self, &command, token, output);
                Box::new(own.map_err(NotCreated::Failed)?)
            }
        };
        loop {
            match starter.poll() {
                Creating::Content => return Ok(()),
                Creating::Failed => {
                    return Err(NotCreated::Failed(format!("{} failed", command.join(" "))));
                }
                Creating::Going if !token.exists() => {
                    starter.stop();
                    return Err(NotCreated::Stopped("it was called off".to_owned()));
                }
                Creating::Going if self.host.clock.now() >= deadline => {
                    starter.stop();
                    return Err(NotCreated::Stopped(format!(
                        "{} did not end within {} s (it waits while another create holds xl's \
                         lock) and was stopped; `xl list` shows what it may have left",
                        command.join(" "),
                        POWER_ON.as_secs()
                    )));
                }
                Creating::Going => self.host.clock.sleep(starter.pause()),
            }
        }
    }

    fn token_path(&self) -> PathBuf {
        self.dir.join(format!("{}{}", prefix(self.cluster, self.node), self.request))
    }

    /// A name for the unit or the cgroup: one for each node, so that none pile up.
    fn group(&self) -> String {
        format!("start-{}-{}", self.cluster, self.node.name().lower())
    }
}

/// Calls off every power-on of the node that is under way, and kills what carries it out. Says
/// whether there was one.
pub fn call_off(dir: &Path, cluster: &ClusterName, node: &Node, processes: &dyn Processes) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    let prefix = prefix(cluster, node);
    let mut any = false;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !name.starts_with(&prefix) || name.contains('.') {
            continue;
        }
        let text = fs::read(&path).unwrap_or_default();
        let token: Token = serde_json::from_slice(&text).unwrap_or_default();
        // First the token, so that nothing new begins, then what has begun.
        any |= fs::remove_file(&path).is_ok();
        if let Some(unit) = token.unit {
            systemd::kill(&unit);
        }
        if let Some((pid, started)) = token.leader
            && processes.lives(&Process { pid, started, what: String::new() })
        {
            own::kill(pid);
        }
    }
    any
}

/// Tokens of one node; `=` stands in no cluster's and no node's name.
fn prefix(cluster: &ClusterName, node: &Node) -> String {
    format!("{cluster}={}=", node.name().lower())
}

fn write_token(path: &Path, token: &Token) -> std::io::Result<()> {
    let text = serde_json::to_vec(token)?;
    let new = path.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, path)
}

/// The last lines that the toolstack wrote, as one.
fn last_words(output: &Path) -> String {
    let bytes = fs::read(output).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // libxl cleans up after its first error and says so on several lines; the first is the cause.
    lines
        .iter()
        .filter(|line| !line.starts_with("Parsing config"))
        .take(2)
        .copied()
        .collect::<Vec<_>>()
        .join("; ")
}
