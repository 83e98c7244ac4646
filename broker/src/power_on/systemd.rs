//! Power-on by a transient unit of PID 1, where systemd runs.
//!
//! Asking is bounded: a PID 1 that does not answer is not waited for, and the condition on the
//! token keeps a request that it carries out late from starting anything.

use super::{Creating, ENVIRONMENT, PowerOn, Starter, group};
use crate::command;
use std::path::Path;
use std::time::Duration;
use xen_fence_protocol::{SYSTEMD, UNIT_SHOWN};

const RUN: &str = "/usr/bin/systemd-run";
const CONTROL: &str = "/usr/bin/systemctl";
/// sd_booted(3): this directory is there if and only if systemd is PID 1.
const BOOTED: &str = "/run/systemd/system";
/// Variables that systemd adds and no hand-made create has (systemd.exec(5)).
const ADDED: &str =
    "INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID MEMORY_PRESSURE_WATCH MEMORY_PRESSURE_WRITE";

/// A unit of PID 1 that runs the toolstack's create.
pub(super) struct Unit {
    name: String,
    /// Whether systemd has failed to tell how it stands.
    was_silent: bool,
}

/// Asks PID 1 for the unit; none if there is no systemd or it does not answer.
pub(super) fn start(power_on: &PowerOn<'_>, create: &[String]) -> Option<Unit> {
    if !Path::new(BOOTED).is_dir() {
        return None;
    }
    let name = format!(
        "xen-fence-{}-{}.service",
        group(power_on.cluster, power_on.node.name()),
        power_on.request
    );
    // Before PID 1 hears of it, so that whoever calls it off knows what to kill.
    power_on.planned.is_carried_out_by(Some(name.clone()), None).ok()?;
    let (token, output) = (&power_on.planned.token, power_on.planned.output());
    let properties = [
        // create leaves the monitor behind and ends: the unit lives as long as the monitor does.
        "Type=forking".to_owned(),
        "GuessMainPID=no".to_owned(),
        // Stopping the unit, at shutdown for one, is no reason to kill a domain's device model.
        "KillMode=process".to_owned(),
        "IgnoreSIGPIPE=no".to_owned(),
        "UMask=0022".to_owned(),
        "TimeoutStartSec=infinity".to_owned(),
        format!("UnsetEnvironment={ADDED}"),
        format!("ConditionPathExists={}", token.display()),
        format!("StandardOutput=append:{}", output.display()),
        format!("StandardError=append:{}", output.display()),
    ];
    let mut args = vec!["--no-block".to_owned(), "--quiet".to_owned(), "--collect".to_owned()];
    args.push(format!("--unit={name}"));
    args.push(format!("--description=xen-fence powers on {}", power_on.node.domain()));
    args.extend(properties.iter().map(|property| format!("--property={property}")));
    args.extend(ENVIRONMENT.iter().map(|(key, value)| format!("--setenv={key}={value}")));
    args.push("--".to_owned());
    args.extend_from_slice(create);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match command::run(Path::new(RUN), &args, SYSTEMD) {
        Ok(done) if done.status.success() => Some(Unit { name, was_silent: false }),
        Ok(_) | Err(_) => {
            // Should PID 1 have taken the request all the same, two creates meet, and Xen refuses
            // the second for its name; once the token is gone, the condition refuses it.
            kill(&name);
            None
        }
    }
}

/// Kills everything in the unit.
pub(super) fn kill(unit: &str) {
    let _gone = command::run(Path::new(CONTROL), &["kill", "--signal=KILL", unit], SYSTEMD);
    let _stopped = command::run(Path::new(CONTROL), &["--no-block", "stop", unit], SYSTEMD);
}

impl Starter for Unit {
    fn poll(&mut self) -> Creating {
        let shown = show(&self.name);
        self.was_silent |= shown.is_none();
        shown.map_or(Creating::Going, |shown| standing(&shown))
    }

    fn saw_its_end(&self) -> bool {
        !self.was_silent
    }

    fn pause(&self) -> Duration {
        Duration::from_millis(200)
    }

    fn stop(&mut self) {
        kill(&self.name);
    }
}

/// Whether systemd says that the unit's create goes on.
pub(super) fn goes_on(unit: &str) -> bool {
    show(unit).is_some_and(|shown| matches!(standing(&shown), Creating::Going))
}

/// What `systemctl show` says of a unit, if systemd answers.
fn show(unit: &str) -> Option<String> {
    let args = ["show", "--property=LoadState,ActiveState,Job", unit];
    let done = command::run(Path::new(CONTROL), &args, UNIT_SHOWN).ok()?;
    Some(done.stdout).filter(|shown| shown.contains("ActiveState="))
}

/// Where a unit stands by what `systemctl show` says of it.
fn standing(shown: &str) -> Creating {
    let says = |line: &str| shown.lines().any(|said| said == line);
    let waits_for_job = shown
        .lines()
        .any(|said| said.strip_prefix("Job=").is_some_and(|job| !job.is_empty() && job != "0"));
    if says("ActiveState=active") {
        Creating::Content
    } else if says("LoadState=not-found")
        || says("ActiveState=failed")
        || (says("ActiveState=inactive") && !waits_for_job)
    {
        // Collected by PID 1, so ended: a domain that runs keeps its monitor's unit.
        Creating::Failed
    } else {
        Creating::Going
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_goes_on_until_systemd_says_how_it_ended() {
        for (shown, stands) in [
            ("LoadState=loaded\nActiveState=activating\nJob=7\n", Creating::Going),
            // Its job waits to begin.
            ("LoadState=loaded\nActiveState=inactive\nJob=7\n", Creating::Going),
            ("LoadState=loaded\nActiveState=inactive\nJob=\n", Creating::Failed),
            ("LoadState=loaded\nActiveState=inactive\nJob=0\n", Creating::Failed),
            ("LoadState=loaded\nActiveState=active\nJob=\n", Creating::Content),
            ("LoadState=loaded\nActiveState=failed\nJob=\n", Creating::Failed),
            ("LoadState=not-found\nActiveState=inactive\nJob=\n", Creating::Failed),
            // A job of an older unit of the name brings none back that is not there.
            ("LoadState=not-found\nActiveState=inactive\nJob=7\n", Creating::Failed),
            ("LoadState=loaded\nActiveState=deactivating\nJob=\n", Creating::Going),
            ("", Creating::Going),
        ] {
            assert_eq!(standing(shown), stands, "{shown}");
        }
        // Each poll runs a program.
        assert!(
            Unit { name: String::new(), was_silent: false }.pause() >= Duration::from_millis(100)
        );
    }
}
