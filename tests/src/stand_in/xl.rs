//! The commands of `xl`: arguments, words and exit codes as xl 4.17 has them.
//!
//! Options are read as getopt reads them (also after arguments, `--` ends them) and further
//! arguments are ignored, as xl does (T38).

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};

use super::config::{self, Config};
use super::destroy::{self, Ended};
use super::listing::{self, Row};
use super::state::{Record, State};
use super::{create, err, faults, long, monitor, net, out, process, usage, uuid};

/// Runs one command; the answer is the exit code.
pub fn run(args: &[String]) -> i32 {
    if !geteuid().is_root() {
        err("xencall: error: Could not obtain handle on privileged command interface: Permission \
             denied\n\
             libxl: error: libxl.c:102:libxl_ctx_alloc: cannot open libxc handle: Permission \
             denied\n\
             cannot init xl context\n");
        return 1;
    }
    let global = args.iter().take_while(|arg| ["-v", "-f", "-t", "-T", "-N"].contains(&&***arg));
    let Some((command, rest)) = args.get(global.count()..).and_then(<[_]>::split_first) else {
        out("Usage xl [-vfNtT] <subcommand> [args]\n\n");
        return 1;
    };
    faults::xenstored();
    let done = match command.as_str() {
        "list" | "ls" => list(rest),
        "vm-list" => {
            listing::delay();
            listing::snapshot().map(|rows| listing::print(&listing::vm_table(&rows)))
        }
        "create" => create_command(rest),
        // What the receiving side of a migration runs; see `stand-in row`.
        "migrate-receive" => receive(),
        "info" => State::look().map(|state| {
            let used: u64 = state.all().iter().map(|record| record.mem).sum();
            let total = create::MEMORY + listing::DOM0_MEMORY;
            out(&usage::info(create::MEMORY.saturating_sub(used), total));
            0
        }),
        "destroy" | "domid" | "domname" | "pause" | "unpause" | "rename" | "shutdown"
        | "reboot" => named(command, rest),
        _ => {
            err("command not implemented\n");
            Ok(1)
        }
    };
    done.unwrap_or_else(|error| {
        err(&error);
        1
    })
}

/// Options and arguments, told apart as getopt does.
fn split(args: &[String]) -> (Vec<&str>, Vec<&str>) {
    let (mut options, mut words, mut only_words) = (Vec::new(), Vec::new(), false);
    for arg in args {
        match arg.as_str() {
            "--" if !only_words => only_words = true,
            option if !only_words && option.len() > 1 && option.starts_with('-') => {
                options.push(option);
            }
            word => words.push(word),
        }
    }
    (options, words)
}

fn list(args: &[String]) -> Result<i32, String> {
    let (options, words) = split(args);
    let has = |short: char, long: &str| {
        options
            .iter()
            .any(|option| *option == long || (!option.starts_with("--") && option.contains(short)))
    };
    if words.len() > 1 {
        out(&usage::of("list"));
        return Ok(1);
    }
    listing::delay();
    let only = match words.first() {
        Some(word) => {
            let id = find(word)?;
            let known = id == 0 || State::look()?.get(id).is_some();
            if !known {
                return Err(format!("Error: Domain '{word}' does not exist.\n"));
            }
            Some(id)
        }
        None => None,
    };
    if has('l', "--long") {
        let mut records = State::look()?.all();
        records.retain(|record| only.is_none_or(|id| record.id == id));
        return Ok(long::print(&records, only.is_none_or(|id| id == 0)));
    }
    let mut rows = listing::snapshot()?;
    rows.retain(|row: &Row| only.is_none_or(|id| row.id == id));
    Ok(listing::print(&listing::table(&rows, has('v', "--verbose"))))
}

/// A domid from a domid or a name: digits are a domid whatever the names are (T72).
pub fn find(word: &str) -> Result<u32, String> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(word.parse().unwrap_or(u32::MAX));
    }
    let found = name_to_domid(word)?;
    found.ok_or_else(|| format!("{word} is an invalid domain identifier (rc=-6)\n"))
}

fn name_to_domid(name: &str) -> Result<Option<u32>, String> {
    let found = State::look()?.named(name).map(|record| record.id);
    Ok(found.or((name == "Domain-0").then_some(0)))
}

fn named(command: &str, args: &[String]) -> Result<i32, String> {
    let (options, words) = split(args);
    if options.contains(&"-h") || options.contains(&"--help") {
        out(&usage::of(command));
        return Ok(0);
    }
    let needed = if command == "rename" { 2 } else { 1 };
    if words.len() < needed {
        let plural = if needed > 1 { "s" } else { "" };
        err(&format!("'xl {command}' requires at least {needed} argument{plural}.\n\n"));
        out(&usage::of(command));
        return Ok(2);
    }
    let word = words.first().copied().unwrap_or_default();
    match command {
        "domid" => match name_to_domid(word)? {
            Some(id) => out(&format!("{id}\n")),
            None => {
                return Err(format!(
                    "Can't get domid of domain name '{word}', maybe this domain does not exist.\n"
                ));
            }
        },
        "domname" => {
            let id = word.parse().map_err(|_| "Invalid domain id.\n\n")?;
            let name = State::look()?.get(id).and_then(|record| record.name);
            match name.or_else(|| (id == 0).then(|| "Domain-0".to_owned())) {
                Some(name) => out(&format!("{name}\n")),
                None => {
                    return Err(format!(
                        "Can't get domain name of domain id '{id}', maybe this domain does not \
                         exist.\n"
                    ));
                }
            }
        }
        "destroy" => return destroy_command(find(word)?, options.contains(&"-f")),
        "pause" | "unpause" => pause(find(word)?, command == "pause")?,
        "rename" => rename(word, words.get(1).copied().unwrap_or_default())?,
        _ => return ask(command, find(word)?),
    }
    Ok(0)
}

fn destroy_command(id: u32, force: bool) -> Result<i32, String> {
    if id == 0 && !force {
        return Err("Not destroying domain 0; use -f to force.\nThis can only be done when using \
                    a disaggregated hardware domain and toolstack.\n\n"
            .to_owned());
    }
    match destroy::destroy(id)? {
        Ended::Done => Ok(0),
        Ended::NotFound => Err(format!("{}destroy failed (rc=-21)\n", destroy::nonexistent(id))),
        Ended::Pci => Err(format!("{}destroy failed (rc=-3)\n", destroy::pci(id))),
    }
}

fn pause(id: u32, stop: bool) -> Result<(), String> {
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

fn rename(word: &str, new: &str) -> Result<(), String> {
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
fn ask(command: &str, id: u32) -> Result<i32, String> {
    let (verb, signal) = match command {
        "reboot" => ("Rebooting", Signal::SIGINT),
        _ => ("Shutting down", Signal::SIGPWR),
    };
    err(&format!("{verb} domain {id}\n"));
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
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

fn create_command(args: &[String]) -> Result<i32, String> {
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

fn receive() -> Result<i32, String> {
    let text = std::env::var(ARRIVING).map_err(|_| "migration target: no stream\n")?;
    let config: Config = serde_json::from_str(&text).map_err(|e| format!("{e}\n"))?;
    make(&config, true, true)
}
