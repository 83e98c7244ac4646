//! `xl destroy`: what libxl does, in its order, and what it says.
//!
//! Network down and CPUs stopped first, then qemu, the backends' xenstore entries, the name, and
//! last the domain itself, whose row stays as a corpse while a write of it is in flight.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::keeper::outlives;
use super::state::{self, Record, State};
use super::{faults, net, process};

/// How a destroy ended, in libxl's numbers.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// rc 0.
    Done,
    /// rc of an unknown domid (T41).
    NotFound,
    /// rc of a PCI device that would not go; the domain lives on.
    Pci,
    /// rc of a domain that somebody else destroyed meanwhile (T44).
    Overtaken,
}

/// libxl's three lines about a domid that is not there (T41; also at the end of T20, T22, T23).
pub fn nonexistent(id: u32) -> String {
    format!(
        "libxl: error: libxl_domain.c:1183:libxl__destroy_domid: Domain {id}:Non-existant domain\n\
         {}",
        callbacks(id)
    )
}

fn callbacks(id: u32) -> String {
    format!(
        "libxl: error: libxl_domain.c:1137:domain_destroy_callback: Domain {id}:Unable to destroy \
         guest\n\
         libxl: error: libxl_domain.c:1064:domain_destroy_cb: Domain {id}:Destruction of domain \
         failed\n"
    )
}

/// What libxl says when a PCI device would not go. By reading libxl; no transcript shows it.
pub fn pci(id: u32) -> String {
    format!(
        "libxl: error: libxl_domain.c:1196:libxl__destroy_domid: Domain {id}:Pci shutdown failed\n\
         {}",
        callbacks(id)
    )
}

/// What libxl says when the domain went away under its hands (T44).
pub fn overtaken(id: u32) -> String {
    format!(
        "libxl: error: libxl_dom.c:1216:libxl__userdata_path: unable to find domain info for domain \
         {id}: No such file or directory\n{}",
        callbacks(id)
    )
}

/// Destroys a domain as libxl does for xl, xm and the monitor alike.
pub fn destroy(id: u32) -> Result<Ended, String> {
    let Some(record) = State::look()?.get(id) else { return Ok(Ended::NotFound) };
    let name = record.config.name.as_str();
    if record.dying {
        wait_for_row(&record);
        return Ok(Ended::Done);
    }
    faults::wait_while("destroy-hangs", Some(name));
    if faults::is_set("exit-lies", name, record.id) {
        return Ok(Ended::Done);
    }
    if faults::is_set("destroy-fails-before-pause", name, record.id) {
        return Ok(Ended::Pci);
    }
    let slow = faults::delay("slow-destroy", Some(name)).filter(|slow| !slow.is_zero());
    net::set_up(id, &record.config, false);
    if let Some(slow) = slow {
        in_stages(&record, slow)?;
    }
    let state = State::change()?;
    if state.get(id).is_none_or(|record| record.dying) {
        drop(state);
        wait_for_row(&record);
        return Ok(Ended::Overtaken);
    }
    let found = state.update(id, |record| {
        record.stop_cpu();
        record.backends = false;
        record.name = None;
        record.mem = 0;
        record.dying = true;
    })?;
    // As it is now: a create that went on meanwhile may have made its keeper since.
    let now = state.get(id);
    let init = now.as_ref().and_then(|now| now.init);
    let keeper = now.and_then(|now| now.keeper);
    let kept = keeper.is_some_and(|pid| kill(Pid::from_raw(pid), None).is_ok());
    if found && !kept {
        // Half built, its create killed perhaps, or a row made by hand: nobody else takes it away.
        if !faults::is_set("corpse", name, record.id) {
            state.remove(id);
        }
    } else if let Some(init) = init {
        end(init, Signal::SIGKILL);
    }
    drop(state);
    if let Some(keeper) = keeper {
        end(keeper, Signal::SIGUSR1);
    }
    wait_for_row(&record);
    Ok(Ended::Done)
}

/// The stages of T77: running; named and paused; backends gone; nameless; its memory going.
fn in_stages(record: &Record, slow: Duration) -> Result<(), String> {
    let id = record.id;
    thread::sleep(slow / 10);
    State::change()?.update(id, Record::stop_cpu)?;
    if let Some(init) = record.init {
        process::signal_domain(init, Signal::SIGSTOP);
    }
    thread::sleep(slow * 2 / 5);
    if !outlives(record) {
        for pid in record.qemu.iter().chain(&record.tapdisks) {
            end(*pid, Signal::SIGKILL);
        }
    }
    State::change()?.update(id, |record| record.backends = false)?;
    thread::sleep(slow / 4);
    State::change()?.update(id, |record| record.name = None)?;
    thread::sleep(slow / 12);
    State::change()?.update(id, |record| record.mem = record.mem * 2 / 5)?;
    thread::sleep(slow / 6);
    Ok(())
}

/// The row of a domain without writes in flight is gone when destroy is back.
fn wait_for_row(record: &Record) {
    let name = &record.config.name;
    let corpse =
        faults::is_set("corpse", name, record.id) || faults::is_set("hold-writes", name, record.id);
    let limit = Duration::from_millis(if corpse { 10 } else { 2000 });
    let (path, begun) = (state::path(record.id), Instant::now());
    while path.exists() && begun.elapsed() < limit {
        thread::sleep(Duration::from_micros(100));
    }
}

/// Removes what a failed creation has left.
pub fn discard(id: u32) {
    let Ok(state) = State::change() else { return };
    if let Some(record) = state.get(id) {
        state.remove(id);
        if let Some(keeper) = record.keeper {
            end(keeper, Signal::SIGUSR1);
        }
    }
}

fn end(pid: i32, signal: Signal) {
    // It may be gone already.
    let _ = kill(Pid::from_raw(pid), signal);
}
