//! Power-on without systemd: a session and a cgroup of its own.

use super::{Creating, ENVIRONMENT, PowerOn, Starter, group};
use crate::{detach, sys};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, Stdio};

/// A child of the broker that runs the toolstack's create.
pub(super) struct Own {
    child: Child,
}

/// Starts `command` as root would by hand.
pub(super) fn start(power_on: &PowerOn<'_>, command: &[String]) -> Result<Own, String> {
    let describe =
        |error: std::io::Error| format!("{} could not be started: {error}", command.join(" "));
    let (program, args) = command.split_first().ok_or("the toolstack has no create")?;
    let log = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(power_on.planned.output())
        .map_err(describe)?;
    let errors = log.try_clone().map_err(describe)?;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(ENVIRONMENT)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    // A child is born into its parent's cgroup: the broker goes there for that moment, so that
    // nothing which the toolstack starts can be anywhere else. Where no cgroup can be made the
    // domain starts in the broker's.
    let group = group(power_on.cluster, power_on.node.name());
    let entered = detach::enter_group(&format!("xen-fence/{group}"));
    let child = sys::begin_afresh(&mut command).spawn();
    if entered.is_ok() {
        let _back = detach::enter_own_group();
    }
    let child = child.map_err(describe)?;
    let pid = i32::try_from(child.id()).unwrap_or(0);
    let started = crate::processes::start_of(pid).unwrap_or(0);
    // Without the token's word a later `off` still waits for this create to end.
    let _told = power_on.planned.is_carried_out_by(None, Some((pid, started)));
    Ok(Own { child })
}

/// Kills the session whose leader this is.
pub(super) fn kill(leader: i32) {
    let _gone = killpg(Pid::from_raw(leader), Signal::SIGKILL);
}

impl Starter for Own {
    fn poll(&mut self) -> Creating {
        match self.child.try_wait() {
            Ok(None) => Creating::Going,
            Ok(Some(status)) if status.success() => Creating::Content,
            Ok(Some(_)) | Err(_) => Creating::Failed,
        }
    }

    fn stop(&mut self) {
        if let Ok(leader) = i32::try_from(self.child.id()) {
            kill(leader);
        }
        let _reaped = self.child.try_wait();
    }
}
