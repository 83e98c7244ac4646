//! What has to be started or told, where systemd runs the daemons.

use super::Fault;
use super::put::Step;
use super::shipped::Kind;
use super::wishes::Way;
use std::fmt;
use std::path::Path;
use std::time::Duration;
use xen_fence_broker::command::{self, describe};

const SYSTEMCTL: &str = "/usr/bin/systemctl";
const UNIT: &str = "xen-fence-sshd.service";
/// The unit wants it, and gets it when it is started.
const TIMER: &str = "xen-fence-log.timer";
/// A unit that is started checks its settings before.
const LIMIT: Duration = Duration::from_secs(60);

/// One call of systemctl.
pub(super) struct Command(Vec<&'static str>);

/// Whether systemd is what starts daemons here (sd_booted(3)).
pub(super) fn runs() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// What has to be called after these steps; nothing without systemd.
pub(super) fn commands(way: Way, steps: &[Step]) -> Vec<Command> {
    if !runs() {
        return Vec::new();
    }
    let writes =
        |kind: Kind| steps.iter().any(|step| matches!(step, Step::Put(put) if put.kind == kind));
    let (units, settings) = (writes(Kind::Unit), writes(Kind::Sshd(way)));
    let mut commands = Vec::new();
    match way {
        Way::Dedicated => {
            if units {
                commands.push(Command(vec!["daemon-reload"]));
            }
            if !says_yes(&["is-enabled", "--quiet", UNIT])
                || !says_yes(&["is-active", "--quiet", UNIT])
            {
                commands.push(Command(vec!["enable", "--now", UNIT]));
            } else if units {
                // Only the listener is ended with the unit: no fence notices.
                commands.push(Command(vec!["restart", UNIT]));
            } else {
                if settings {
                    commands.push(Command(vec!["reload", UNIT]));
                }
                commands.extend(timer());
            }
        }
        Way::Match if settings => {
            let unit = ["ssh.service", "sshd.service"]
                .into_iter()
                .find(|unit| says_yes(&["is-active", "--quiet", unit]));
            // One that is started by a socket reads its settings at each login.
            commands.extend(unit.map(|unit| Command(vec!["reload", unit])));
        }
        Way::Match => {}
    }
    commands
}

/// What starts the timer where the unit was started before there was one: `make` puts both in their places
/// and tells systemd nothing.
fn timer() -> Vec<Command> {
    if says_yes(&["is-active", "--quiet", TIMER]) {
        return Vec::new();
    }
    let asked = ["show", "--property=NeedDaemonReload", UNIT];
    let is_stale = command::run(Path::new(SYSTEMCTL), &asked, LIMIT)
        .is_ok_and(|done| done.stdout.trim() == "NeedDaemonReload=yes");
    let reload = is_stale.then(|| Command(vec!["daemon-reload"]));
    reload.into_iter().chain([Command(vec!["start", TIMER])]).collect()
}

fn says_yes(arguments: &[&str]) -> bool {
    command::run(Path::new(SYSTEMCTL), arguments, LIMIT).is_ok_and(|done| done.status.success())
}

impl Command {
    pub(super) fn run(&self) -> Result<(), Fault> {
        match command::run(Path::new(SYSTEMCTL), &self.0, LIMIT) {
            Ok(done) if done.status.success() => Ok(()),
            Ok(done) => Err(format!("{self}: {}: {}", done.ending(), done.last_words())),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&describe(Path::new("systemctl"), &self.0))
    }
}
