//! `xm`, the toolstack before xl: list, destroy and create, as old xend printed them.
//!
//! From memory of xend and its manual, seen on no living one: plain columns, `Zombie-NAME` for a
//! corpse, SXP for `--long`. xend itself restarts domains; here a daemon called `xend` does.

use std::fmt::Write;
use std::fs;

use super::destroy::{self, Ended};
use super::listing::{self, Row};
use super::state::{Record, State};
use super::{config, create, err, faults, monitor, out, uuid};

/// Runs one command; the answer is the exit code.
pub fn run(args: &[String]) -> i32 {
    if !nix::unistd::geteuid().is_root() {
        err("Error: Most commands need root access. Please try again as root.\n");
        return 1;
    }
    faults::xenstored();
    let (options, words): (Vec<&str>, Vec<&str>) =
        args.iter().map(String::as_str).partition(|arg| arg.starts_with('-'));
    let second = words.get(1).copied();
    let done = match (words.first().copied(), second) {
        (Some("list"), name) => list(name, options.contains(&"--long") || options.contains(&"-l")),
        (Some("destroy"), Some(name)) => destroy_command(name),
        (Some("create"), Some(file)) => create_command(file),
        _ => Err("Usage: xm <list | destroy | create> ...\n".to_owned()),
    };
    done.unwrap_or_else(|error| {
        err(&error);
        1
    })
}

/// xend's name of a domain: a dying one is called a zombie.
fn name(record: &Record) -> String {
    let own = &record.config.name;
    match &record.name {
        Some(name) => name.clone(),
        None if record.dying => format!("Zombie-{own}"),
        None => own.clone(),
    }
}

fn rows() -> Result<Vec<Row>, String> {
    let records = State::look()?.all();
    let named = |record: &Record| Row { name: name(record), ..Row::of(record) };
    Ok(std::iter::once(Row::dom0()).chain(records.iter().map(named)).collect())
}

fn list(only: Option<&str>, long: bool) -> Result<i32, String> {
    listing::delay();
    let mut rows = rows()?;
    if let Some(only) = only {
        rows.retain(|row| row.name == only || row.id.to_string() == only);
        if rows.is_empty() {
            return Err(format!("Error: Domain '{only}' does not exist.\n"));
        }
    }
    let mut text = String::new();
    if !long {
        text += "Name                                        ID   Mem VCPUs      State   Time(s)\n";
    }
    for Row { id, name, uuid, mem, vcpus, state, cpu, .. } in &rows {
        let _ = if long {
            writeln!(
                text,
                "(domain\n    (domid {id})\n    (on_crash restart)\n    (uuid {uuid})\n    \
                 (bootloader_args )\n    (vcpus {vcpus})\n    (name {name})\n    (on_poweroff \
                 destroy)\n    (on_reboot restart)\n    (memory {mem})\n    (maxmem {mem})\n    \
                 (state {state})\n    (cpu_time {cpu:.9})\n    (online_vcpus {vcpus})\n)"
            )
        } else {
            writeln!(text, "{name:<40} {id:>5} {mem:>5} {vcpus:>5} {state:>10} {cpu:>8.1}")
        };
    }
    Ok(listing::print(&text))
}

fn destroy_command(word: &str) -> Result<i32, String> {
    let found = rows()?.into_iter().find(|row| row.name == word || row.id.to_string() == word);
    let missing = format!("Error: Domain '{word}' does not exist.\n");
    let id = found.ok_or_else(|| missing.clone())?.id;
    if id == 0 {
        return Err("Error: Cannot destroy Domain-0.\n".to_owned());
    }
    match destroy::destroy(id)? {
        Ended::Done | Ended::Overtaken => Ok(0),
        Ended::NotFound => Err(missing),
        Ended::Pci => Err("Error: Device 0 (pci) could not be disconnected.\n".to_owned()),
    }
}

fn create_command(file: &str) -> Result<i32, String> {
    let path = if file.contains('/') { file.to_owned() } else { format!("/etc/xen/{file}") };
    let missing = |_| format!("Error: Unable to open config file: {file}\n");
    let text = fs::read_to_string(&path).map_err(missing)?;
    out(&format!("Using config file \"{path}\".\n"));
    let mut config = config::parse(&path, &text).map_err(|e| format!("Error: {e}"))?;
    if config.uuid.is_empty() {
        config.uuid = uuid();
    }
    if State::look()?.named(&config.name).is_some() {
        return Err(format!("Error: VM name '{}' already exists\n", config.name));
    }
    let id = create::create(&config, false).map_err(|e| format!("Error: {e}"))?;
    monitor::leave_behind(id, &config, Some(c"xend"))?;
    out(&format!("Started domain {} (id={id})\n", config.name));
    Ok(0)
}
