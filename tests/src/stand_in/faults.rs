//! Faults: files under the state directory that act on every later call.
//!
//! A fault is a file named after what was seen on real Xen, its text the fault's value; `NAME`
//! concerns every domain, `NAME@DOMAIN` one. The table in [`TABLE`] is what `--help` prints.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, thread};

use super::state;

/// Every fault: name, its value (empty where it has none), and what it does.
pub const TABLE: &[(&str, &str, &str)] = &[
    (
        "hold-writes",
        "",
        "disk writes stay in flight: destroy returns 0, the corpse's row stays (T79)",
    ),
    ("outlive-writes", "", "qemu or tapdisk outlives destroy, a write queued; the row goes"),
    ("corpse", "", "the row stays as (null) --p--d after destroy, with nothing in flight (T82)"),
    ("slow-destroy", "MS", "destroy takes that long, stage by stage (T77)"),
    ("slow-pause", "MS", "pause takes that long"),
    ("slow-dump", "MS", "dump-core takes that long"),
    ("destroy-hangs", "", "destroy hangs before it does anything"),
    ("destroy-fails-before-pause", "", "PCI removal fails: exit 1, the domain lives on"),
    ("exit-lies", "", "destroy says nothing, returns 0 and does nothing"),
    ("reboot-gap", "MS", "the monitor waits that long before it re-creates (T60, T61; xl: 2000)"),
    ("ask-limit", "MS", "shutdown and reboot wait that long for a guest's answer (T54; xl: 60000)"),
    ("create-delay", "MS", "create takes that long, rows --p--- all the while (T60, T97)"),
    ("create-fails", "KIND", "no-memory (T22), disk (T23) or config"),
    ("hold-lock", "MS", "another process holds xl's lock that long; 0: until lifted"),
    ("xenstored-dead", "", "every xl, xm and xenstore command hangs without output (T99)"),
    ("list-delay", "MS", "a listing begins that late"),
    ("list-stale", "MS", "a listing is printed that long after it was made"),
    ("list-garbage", "KIND", "truncated, no-header, no-dom0, binary, empty or partial-hang"),
];

/// Where faults lie.
pub fn directory() -> PathBuf {
    state::root().join("faults")
}

/// A fault's value for a domain, if it is set for it or for all.
pub fn get(name: &str, domain: Option<&str>) -> Option<String> {
    let of = |file: String| fs::read_to_string(directory().join(file)).ok();
    let one = domain.and_then(|domain| of(format!("{name}@{domain}")));
    one.or_else(|| of(name.to_owned())).map(|text| text.trim().to_owned())
}

/// Whether a fault is set for all, for a domain's name, or for this instance of it, its domid.
pub fn is_set(name: &str, domain: &str, id: u32) -> bool {
    let set = |file: String| directory().join(file).exists();
    set(format!("{name}@{domain}")) || set(name.to_owned()) || set(format!("{name}@{id}"))
}

/// A fault's value as a duration; none where it is not set.
pub fn delay(name: &str, domain: Option<&str>) -> Option<Duration> {
    get(name, domain)?.parse().ok().map(Duration::from_millis)
}

/// Sets a fault.
pub fn set(name: &str, domain: Option<&str>, value: &str) -> Result<(), String> {
    let path = directory().join(file(name, domain));
    fs::create_dir_all(directory())
        .and_then(|()| fs::write(&path, value))
        .map_err(|e| format!("{}: {e}", path.display()))
}

/// Lifts a fault; all of its domains' too if none is named.
pub fn lift(name: &str, domain: Option<&str>) {
    for entry in fs::read_dir(directory()).into_iter().flatten().flatten() {
        let found = entry.file_name().to_string_lossy().into_owned();
        let mine = match domain {
            Some(_) => found == file(name, domain),
            None => found.split('@').next() == Some(name),
        };
        if mine {
            // Somebody else may have lifted it.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn file(name: &str, domain: Option<&str>) -> String {
    domain.map_or_else(|| name.to_owned(), |domain| format!("{name}@{domain}"))
}

/// Sleeps while a fault is set.
pub fn wait_while(name: &str, domain: Option<&str>) {
    while get(name, domain).is_some() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// What xl meets first: with xenstored dead nothing goes on.
pub fn xenstored() {
    wait_while("xenstored-dead", None);
}
