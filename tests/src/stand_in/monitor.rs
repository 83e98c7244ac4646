//! The daemon that `xl create` leaves behind: watches its domain's end and does what the
//! configuration says.
//!
//! It keeps the arguments of `xl create`, holds `xl-NAME.log` open, and goes when its domain is
//! destroyed by another.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, chdir, fork, setsid};

use super::config::Config;
use super::state::{self, Reason, Record, State, root};
use super::{create, destroy, faults, process};

/// Where xl's logs are.
pub const LOGS: &str = "/var/log/xen";

/// Leaves a monitor behind; the caller goes on as the command that the user started.
pub fn leave_behind(id: u32, config: &Config, called: Option<&CStr>) -> Result<(), String> {
    // SAFETY: single-threaded; the child needs no lock that another thread could hold.
    match unsafe { fork() }.map_err(|e| format!("fork failed: {e}\n"))? {
        ForkResult::Parent { child } => waitpid(child, None).map(drop).map_err(|e| e.to_string()),
        ForkResult::Child => {
            if let Some(called) = called {
                let _ = nix::sys::prctl::set_name(called);
            }
            let log = open_log(&config.name);
            if let Ok(log) = &log {
                process::log_streams(log);
            }
            // Cannot fail: a fresh child leads no process group.
            let _ = setsid();
            let _ = chdir("/");
            // SAFETY: as above.
            if let Ok(ForkResult::Child) = unsafe { fork() } {
                let done = log.and_then(|mut log| watch(id, config.clone(), &mut log));
                process::leave(i32::from(done.is_err()));
            }
            process::leave(0)
        }
    }
}

/// Opens `xl-NAME.log`, older ones pushed to `.1` … `.10` as libxl does.
fn open_log(name: &str) -> Result<File, String> {
    fs::create_dir_all(LOGS).map_err(|e| format!("{LOGS}: {e}"))?;
    let path = |n: u32| {
        let suffix = if n == 0 { String::new() } else { format!(".{n}") };
        PathBuf::from(format!("{LOGS}/xl-{name}.log{suffix}"))
    };
    if path(0).exists() {
        for n in (0..10).rev() {
            // Most of them do not exist.
            let _ = fs::rename(path(n), path(n + 1));
        }
    }
    let file = File::options().append(true).create(true).open(path(0));
    file.map_err(|e| format!("{}: {e}", path(0).display()))
}

fn watch(mut id: u32, config: Config, log: &mut File) -> Result<(), String> {
    let events = Inotify::init(InitFlags::IN_CLOEXEC).map_err(|e| e.to_string())?;
    let changes = AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE;
    events.add_watch(&root().join("domains"), changes).map_err(|e| e.to_string())?;
    let mut say = |line: String| {
        // A full disk must not stop a monitor.
        let _ = writeln!(log, "{line}");
    };
    let name = config.name.clone();
    let generation = state::generation();
    say(format!("Waiting for domain {name} (domid {id}) to die [pid {}]", std::process::id()));
    loop {
        faults::xenstored();
        let seen = State::look()?.get(id);
        let Some(record) = seen.filter(|record| !record.dying) else {
            say(format!("Domain {id} has been destroyed."));
            return Ok(());
        };
        let Some(reason) = record.shutdown else {
            let _ = events.read_events();
            continue;
        };
        let code = reason as u32;
        say(format!("Domain {id} has shut down, reason code {code} {code:#x}"));
        let action = action(&record, reason);
        say(format!("Action for shutdown reason code {code} is {action}"));
        match action {
            "preserve" | "soft-reset" => {
                say("Done. Exiting now".to_owned());
                return Ok(());
            }
            "rename-restart" => set_aside(id, &name)?,
            _ => {
                say(format!("Domain {id} needs to be cleaned up: destroying the domain"));
                destroy::destroy(id)?;
            }
        }
        if !action.ends_with("restart") {
            say("Done. Exiting now".to_owned());
            return Ok(());
        }
        say("Done. Rebooting now".to_owned());
        let gap = faults::delay("reboot-gap", Some(&name));
        thread::sleep(gap.unwrap_or(Duration::from_secs(2)));
        faults::xenstored();
        if state::generation() != generation {
            return Ok(());
        }
        match create::create(&config, false) {
            Ok(new) => id = new,
            Err(error) => {
                say(error.clone());
                return Err(error);
            }
        }
        say(format!("Waiting for domain {name} (domid {id}) to die [pid {}]", std::process::id()));
    }
}

fn action(record: &Record, reason: Reason) -> &str {
    match reason {
        Reason::Poweroff | Reason::Suspend => &record.config.on_poweroff,
        Reason::Reboot => &record.config.on_reboot,
        Reason::Crash => &record.config.on_crash,
    }
}

/// Keeps a dead domain under another name and UUID.
fn set_aside(id: u32, name: &str) -> Result<(), String> {
    let stamp = std::process::Command::new("date").args(["-u", "+-%Y%m%dT%H%MZ"]).output();
    let stamp = stamp.map_err(|e| format!("date: {e}"))?.stdout;
    let stamp = String::from_utf8_lossy(&stamp).trim().to_owned();
    let uuid = super::uuid();
    State::change()?.update(id, |record| {
        record.name = Some(format!("{name}{stamp}"));
        record.uuid = uuid;
    })?;
    Ok(())
}
