//! What `xl` does to one domain: create, destroy, pause, rename, and asking the guest.
//!
//! The words are xl's; what really happens is in the modules called `create` and `destroy`.

use std::fs;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::config::{self, Config};
use super::destroy::{self, Ended};
use super::state::{Record, State};
use super::xl::{find, split};
use super::{create, err, faults, monitor, net, process, uuid};

/// `xl destroy` of a domid.
pub fn destroy_command(id: u32, force: bool) -> Result<i32, String> {
    if id == 0 && !force {
        return Err("Not destroying domain 0; use -f to force.\nThis can only be done when using \
                    a disaggregated hardware domain and toolstack.\n\n"
            .to_owned());
    }
    match destroy::destroy(id)? {
        Ended::Done => Ok(0),
        Ended::NotFound => Err(format!("{}destroy failed (rc=-21)\n", destroy::nonexistent(id))),
        Ended::Overtaken => Err(format!("{}destroy failed (rc=-15)\n", destroy::overtaken(id))),
        Ended::Pci => Err(format!("{}destroy failed (rc=-3)\n", destroy::pci(id))),
    }
}

/// `xl pause` and `xl unpause`; that libxl failed is said, not returned, as in xl.
pub fn pause(id: u32, stop: bool) -> Result<(), String> {
    if stop {
        let name = State::look()?.get(id).and_then(|record| record.name);
        thread::sleep(faults::delay("slow-pause", name.as_deref()).unwrap_or_default());
    }
    let state = State::change()?;
    let Some(mut record) = state.get(id).filter(|record| !record.dying) else {
        err(&format!("libxl: error: libxl_domain.c: Domain {id}:Failed to pause domain: -6\n"));
        return Ok(());
    };
    if stop {
        record.stop_cpu();
    } else {
        record.paused = false;
        record.born = super::state::now() - record.cpu() * 10.0;
        record.cpu = None;
        if let Some(keeper) = record.keeper {
            // Opens the gate of a domain that was created paused.
            let _ = kill(Pid::from_raw(keeper), Signal::SIGUSR2);
        }
    }
    state.put(&record)?;
    drop(state);
    net::set_up(id, &record.config, !stop);
    if let Some(init) = record.init {
        process::signal_domain(init, if stop { Signal::SIGSTOP } else { Signal::SIGCONT });
    }
    Ok(())
}

/// `xl dump-core`: a file as large as the domain's memory that begins as a core does.
pub fn dump_core(id: u32, file: &str) -> Result<(), String> {
    let Some(record) = State::look()?.get(id).filter(|record| !record.dying) else {
        return Err(format!("core dump failed (rc=-3) of domain {id}\n"));
    };
    thread::sleep(faults::delay("slow-dump", record.name.as_deref()).unwrap_or_default());
    let write = || {
        let mut core = fs::File::create(file)?;
        core.write_all(b"\x7fELF")?;
        core.set_len(record.mem << 20)
    };
    write().map_err(|error: std::io::Error| format!("core dump failed: {file}: {error}\n"))
}

/// `xl rename` of a domain, running or not.
pub fn rename(word: &str, new: &str) -> Result<(), String> {
    let id = find(word)?;
    let state = State::change()?;
    if state.named(new).is_some() || new == "Domain-0" {
        return Err(format!(
            "libxl: error: libxl_domain.c:81:libxl__domain_rename: Domain {id}:Domain with name \
             \"{new}\" already exists.\nCan't rename domain '{word}'.\n"
        ));
    }
    if state.update(id, |record| record.name = Some(new.to_owned()))? {
        return Ok(());
    }
    Err(format!("Can't rename domain '{word}'.\n"))
}

/// `shutdown` and `reboot` ask the guest: SIGPWR and SIGINT to its PID 1, if that catches them.
pub fn ask(command: &str, id: u32) -> Result<i32, String> {
    let (verb, signal) = match command {
        "reboot" => ("Rebooting", Signal::SIGINT),
        _ => ("Shutting down", Signal::SIGPWR),
    };
    err(&format!("{verb} domain {id}\n"));
    let begun = Instant::now();
    let limit = faults::delay("ask-limit", None).unwrap_or(Duration::from_secs(60));
    while begun.elapsed() < limit {
        let record: Option<Record> = State::look()?.get(id);
        let Some(record) = record.filter(|record| !record.dying) else {
            return Err(format!("{command} failed (rc=-6)\n"));
        };
        if let Some(init) = record.init.filter(|init| !record.paused && catches(*init, signal)) {
            kill(Pid::from_raw(init), signal).map_err(|e| format!("{command} failed: {e}\n"))?;
            return Ok(0);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(format!(
        "libxl: error: libxl_domain.c:854:pvcontrol_cb: guest didn't acknowledge control request: \
         -9\n{command} failed (rc=-9)\n"
    ))
}

fn catches(pid: i32, signal: Signal) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    caught >> (signal as u32 - 1) & 1 == 1
}

/// `xl create`, with xl's options that matter here: -q, -n, -p, -e.
pub fn create_command(args: &[String]) -> Result<i32, String> {
    let (options, words) = split(args);
    let Some((file, more)) = words.split_first() else {
        err("Config file not specified and none in save file\n");
        return Ok(1);
    };
    let text = fs::read_to_string(file).map_err(|e| {
        let why = std::io::Error::from_raw_os_error(e.raw_os_error().unwrap_or(libc::EIO));
        let why = why.to_string();
        let why = why.split(" (os error").next().unwrap_or_default();
        format!("Failed to read config file: {file}: {why}\n")
    });
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            err(&error);
            return Ok(3);
        }
    };
    if !options.contains(&"-q") {
        err(&format!("Parsing config from {file}\n"));
    }
    let mut config = config::parse(file, &format!("{text}\n{}\n", more.join("\n")))?;
    if faults::get("create-fails", Some(&config.name)).as_deref() == Some("config") {
        return Err(format!(
            "{file}:1: config parsing error near `?': syntax error\nFailed to parse config: \
             Invalid argument\n"
        ));
    }
    if config.uuid.is_empty() {
        config.uuid = uuid();
    }
    if options.contains(&"-n") {
        return Ok(0);
    }
    make(&config, options.contains(&"-p"), !options.contains(&"-e"))
}

fn make(config: &Config, paused: bool, watched: bool) -> Result<i32, String> {
    match create::create(config, paused) {
        Ok(id) if watched => monitor::leave_behind(id, config, None).map(|()| 0),
        Ok(_) => Ok(0),
        Err(error) => {
            err(&error);
            Ok(3)
        }
    }
}

/// The variable that tells `xl migrate-receive` what arrives.
pub const ARRIVING: &str = "STAND_IN_ARRIVING";

/// `xl migrate-receive`, for rows that the control door makes.
pub fn receive() -> Result<i32, String> {
    let text = std::env::var(ARRIVING).map_err(|_| "migration target: no stream\n")?;
    let config: Config = serde_json::from_str(&text).map_err(|e| format!("{e}\n"))?;
    make(&config, true, true)
}
