//! `stand-in`, the control door: sets faults, makes rows, shows and wipes the state.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{ForkResult, Pid, fork, setsid};

use super::process::{self, Start};
use super::state::{Reason, Record, State, root};
use super::{acts, backend, code, create, destroy, err, faults, out};

const HELP: &str = "\
stand-in: the control door of the stand-in hypervisor

  stand-in fault NAME [VALUE] [DOMAIN]   set a fault, for one domain (its name; for a write or a
                                         corpse also its domid) or for all
  stand-in lift NAME [DOMAIN]            lift it
  stand-in hold-writes DOMAIN            as `fault hold-writes DOMAIN`: back when a write is held
  stand-in release-writes DOMAIN         lift hold-writes and outlive-writes of DOMAIN
  stand-in clear                         lift all faults
  stand-in row NAME SUFFIX [live]        a second row of NAME's UUID: --incoming, --migratedaway;
                                         live: with processes and a monitor (xl migrate-receive)
  stand-in add-row NAME UUID [STATE] [live FILE]
                                         another row: STATE is run, paused, suspended, building,
                                         corpse; live: with the processes of configuration FILE
  stand-in drop-row ID                   take a row away, processes and all
  stand-in show                          every record, JSON, one array
  stand-in pid NAME                      the domain's PID 1 as dom0 sees it
  stand-in reset                         kill all domains, lift all faults

Where /var/lib/stand-in/calls is there, each command of xl's is added to it, a line each.

Faults:
";

/// Runs one command; the answer is the exit code.
pub fn run(args: &[String]) -> i32 {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] | ["--help" | "-h" | "help"] => {
            out(HELP);
            for (name, value, what) in faults::TABLE {
                out(&format!("  {:<32} {what}\n", format!("{name} {value}")));
            }
            0
        }
        ["fault", name, rest @ ..] => code(fault(name, rest)),
        ["hold-writes", domain] => code(fault("hold-writes", &[domain])),
        ["release-writes", domain] => {
            faults::lift("hold-writes", Some(domain));
            faults::lift("outlive-writes", Some(domain));
            0
        }
        ["lift", name] => lift(name, None),
        ["lift", name, domain] => lift(name, Some(domain)),
        ["clear"] => {
            for (name, ..) in faults::TABLE {
                faults::lift(name, None);
            }
            0
        }
        ["row", name, suffix] => code(row(name, suffix, false)),
        ["row", name, suffix, "live"] => code(row(name, suffix, true)),
        ["add-row", name, uuid] => code(add_row(name, uuid, "run")),
        ["add-row", name, uuid, "live", file] => code(add_live(name, uuid, file)),
        ["add-row", name, uuid, state] => code(add_row(name, uuid, state)),
        ["drop-row", id] => code(drop_row(id)),
        ["show"] => code(show()),
        ["pid", name] => code(pid(name)),
        ["reset"] => code(reset()),
        _ => {
            err("stand-in: no such command; see stand-in --help\n");
            2
        }
    }
}

fn fault(name: &str, rest: &[&str]) -> Result<(), String> {
    let known = faults::TABLE.iter().find(|(known, ..)| *known == name);
    let (_, takes, _) = known.ok_or_else(|| format!("no fault is called {name}"))?;
    let (value, domain) = match (takes.is_empty(), rest) {
        (true, []) => ("", None),
        (true, [domain]) => ("", Some(*domain)),
        (false, [value]) => (*value, None),
        (false, [value, domain]) => (*value, Some(*domain)),
        _ => return Err(format!("fault {name} {takes} [DOMAIN]")),
    };
    if *takes == "MS" && value.parse::<u64>().is_err() {
        return Err(format!("fault {name}: {value} is no number of milliseconds"));
    }
    if let Some(domain) = domain {
        let _ = fs::remove_file(backend::held(domain));
    }
    faults::set(name, domain, value)?;
    match (name, domain) {
        ("hold-lock", _) => hold_lock(value.parse().unwrap_or(0)),
        ("hold-writes" | "outlive-writes", Some(domain)) => wait_for_write(domain),
        _ => Ok(()),
    }
}

fn lift(name: &str, domain: Option<&str>) -> i32 {
    faults::lift(name, domain);
    0
}

/// Back when a write of the domain is held up; at the latest after a second, for a guest that
/// does not write.
fn wait_for_write(domain: &str) -> Result<(), String> {
    let state = State::look()?;
    let by_id = domain.parse().ok().and_then(|id| state.get(id));
    let Some(record) = by_id.or_else(|| state.named(domain)) else { return Ok(()) };
    drop(state);
    let (marker, begun) = (backend::held(&record.config.name), Instant::now());
    while !marker.exists() && begun.elapsed() < Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Leaves a process that holds xl's lock; back when it does.
fn hold_lock(ms: u64) -> Result<(), String> {
    let ready = root().join("lock-held");
    let _ = fs::remove_file(&ready);
    // SAFETY: single-threaded; the child needs no lock that another thread could hold.
    match unsafe { fork() }.map_err(|e| format!("fork: {e}"))? {
        ForkResult::Child => {
            let _ = setsid();
            process::null_streams();
            let lock = create::XlLock::take();
            let _ = fs::write(&ready, "");
            let begun = Instant::now();
            let over = || ms > 0 && begun.elapsed() >= Duration::from_millis(ms);
            while faults::get("hold-lock", None).is_some() && !over() {
                thread::sleep(Duration::from_millis(2));
            }
            drop(lock);
            faults::lift("hold-lock", None);
            process::leave(0)
        }
        ForkResult::Parent { .. } => {
            while !ready.exists() {
                thread::sleep(Duration::from_millis(1));
            }
            Ok(())
        }
    }
}

fn row(name: &str, suffix: &str, live: bool) -> Result<(), String> {
    let found = State::look()?.named(name).ok_or_else(|| format!("no domain is called {name}"))?;
    let mut config = found.config;
    config.name = format!("{name}{suffix}");
    config.vifs.clear();
    if live {
        return receive(&config);
    }
    config.disks.clear();
    let shown = if suffix == "--migratedaway" { "suspended" } else { "paused" };
    insert(config, shown)
}

fn add_row(name: &str, uuid: &str, shown: &str) -> Result<(), String> {
    let config = super::config::Config {
        name: name.to_owned(),
        uuid: uuid.to_lowercase(),
        memory: 128,
        vcpus: 1,
        ..super::config::Config::default()
    };
    insert(config, shown)
}

fn insert(config: super::config::Config, shown: &str) -> Result<(), String> {
    let state = State::change()?;
    let mut record = Record::new(state.next_domid()?, config);
    record.name = Some(record.config.name.clone());
    (record.mem, record.vcpus) = (record.config.memory, record.config.vcpus);
    record.building = false;
    match shown {
        "run" => (record.paused, record.cpu) = (false, None),
        "paused" => {}
        "suspended" => (record.paused, record.shutdown) = (false, Some(Reason::Suspend)),
        "building" => (record.building, record.name, record.mem, record.vcpus) = (true, None, 0, 0),
        "corpse" => (record.dying, record.name, record.mem) = (true, None, 0),
        other => return Err(format!("no state is called {other}")),
    }
    state.put(&record)?;
    drop(state);
    out(&format!("{}\n", record.id));
    Ok(())
}

fn add_live(name: &str, uuid: &str, file: &str) -> Result<(), String> {
    let text = fs::read_to_string(file).map_err(|e| format!("{file}: {e}"))?;
    let mut config = super::config::parse(file, &text)?;
    name.clone_into(&mut config.name);
    config.uuid = uuid.to_lowercase();
    config.vifs.clear();
    receive(&config)
}

/// A domain with processes and a monitor, as a migration's receiver has it; it runs at once.
fn receive(config: &super::config::Config) -> Result<(), String> {
    // Storage is shared while a guest migrates: two names of one file are no conflict.
    let mut config = config.clone();
    for disk in &mut config.disks {
        disk.path = format!("/{}", disk.path);
    }
    let text = serde_json::to_string(&config).map_err(|e| e.to_string())?;
    let argv = vec!["xl".to_owned(), "migrate-receive".to_owned()];
    let env = vec![(acts::ARRIVING.to_owned(), text)];
    Start { program: process::alias("xl")?, argv, env, keep: Vec::new() }.detached()?;
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        let arrived = State::look()?.named(&config.name).filter(|record| !record.building);
        if let Some(record) = arrived {
            out(&format!("{}\n", record.id));
            return Ok(());
        }
        thread::sleep(Duration::from_millis(2));
    }
    Err(format!("{} did not arrive", config.name))
}

fn drop_row(id: &str) -> Result<(), String> {
    destroy::discard(id.parse().map_err(|_| "ID is a number")?);
    Ok(())
}

fn show() -> Result<(), String> {
    let text = serde_json::to_string_pretty(&State::look()?.all()).map_err(|e| e.to_string())?;
    out(&format!("{text}\n"));
    Ok(())
}

fn pid(name: &str) -> Result<(), String> {
    let init = State::look()?.named(name).and_then(|record| record.init);
    out(&format!("{}\n", init.ok_or_else(|| format!("no domain is called {name}"))?));
    Ok(())
}

/// Ends everything: domains by their keepers, then whatever was held up, then the faults.
/// Domids are never used again, not even after this.
fn reset() -> Result<(), String> {
    // Let go of before the domains are ended, which takes the lock again.
    let all = State::look()?.all();
    for record in all {
        destroy::discard(record.id);
        let own = record.init.iter().chain(&record.qemu).chain(&record.tapdisks);
        for pid in own {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
    }
    for (name, ..) in faults::TABLE {
        faults::lift(name, None);
    }
    fs::write(root().join("generation"), super::uuid()).map_err(|e| e.to_string())?;
    for entry in fs::read_dir(root()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("held@") {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}
