//! What the stand-in knows of its domains: one JSON file each, written by atomic rename.
//!
//! Changes happen under a short exclusive flock, listings under a shared one, so that a listing
//! is a snapshot. Nobody may sleep with the lock held.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::config::Config;

/// Why a guest ended by itself; the numbers are Xen's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The guest powered off.
    Poweroff = 0,
    /// The guest asked for a reboot.
    Reboot = 1,
    /// Suspended: what a migrated-away shell shows.
    Suspend = 2,
    /// The guest crashed.
    Crash = 3,
}

/// A domain, alive, dying or half built.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The domid; never used twice.
    pub id: u32,
    /// xenstore's name; gone before the domain is.
    pub name: Option<String>,
    /// The UUID, known to the hypervisor until the row goes.
    pub uuid: String,
    /// What it was made from.
    pub config: Config,
    /// MiB held.
    pub mem: u64,
    /// Virtual CPUs online.
    pub vcpus: u32,
    /// Not yet unpaused for the first time.
    pub building: bool,
    /// The `p` of the row.
    pub paused: bool,
    /// The `s` of the row.
    pub shutdown: Option<Reason>,
    /// The `d` of the row.
    pub dying: bool,
    /// Whether xenstore has its backend entries.
    pub backends: bool,
    /// The process that stands for the hypervisor's part.
    pub keeper: Option<i32>,
    /// The domain's PID 1 as dom0 sees it.
    pub init: Option<i32>,
    /// Its qemu.
    pub qemu: Option<i32>,
    /// Its tapdisk processes.
    pub tapdisks: Vec<i32>,
    /// Boot-clock seconds of its making.
    pub born: f64,
    /// CPU seconds, once they no longer grow.
    pub cpu: Option<f64>,
}

impl Record {
    /// A new domain that is being built: nameless, without memory.
    pub fn new(id: u32, config: Config) -> Self {
        Self {
            id,
            name: None,
            uuid: config.uuid.clone(),
            config,
            mem: 0,
            vcpus: 0,
            building: true,
            paused: true,
            shutdown: None,
            dying: false,
            backends: false,
            keeper: None,
            init: None,
            qemu: None,
            tapdisks: Vec::new(),
            born: now(),
            cpu: Some(0.0),
        }
    }

    /// CPU seconds: a tenth of its life, which is invented, but grows.
    pub fn cpu(&self) -> f64 {
        self.cpu.unwrap_or_else(|| (now() - self.born) / 10.0)
    }

    /// Stops the virtual CPUs in the record.
    pub fn stop_cpu(&mut self) {
        self.cpu = Some(self.cpu());
        self.paused = true;
    }
}

/// Seconds of the boot clock.
pub fn now() -> f64 {
    let time = clock_gettime(ClockId::CLOCK_BOOTTIME).map(std::time::Duration::from);
    time.map_or(0.0, |time| time.as_secs_f64())
}

/// The state directory: `/var/lib/stand-in`, or `STAND_IN_DIR` for the stand-in's own tests.
pub fn root() -> PathBuf {
    std::env::var_os("STAND_IN_DIR").map_or_else(|| "/var/lib/stand-in".into(), PathBuf::from)
}

/// Adds a command of xl's to the file `calls`, where somebody has put one to know of them.
pub fn note_call(args: &[String]) {
    let calls = File::options().append(true).open(root().join("calls"));
    // Nobody wants to know, as a rule.
    let _ = calls.and_then(|mut calls| calls.write_all((args.join(" ") + "\n").as_bytes()));
}

/// Changes with every reset: a monitor of an earlier time must not bring anything back.
pub fn generation() -> String {
    fs::read_to_string(root().join("generation")).unwrap_or_default()
}

/// Locked state; the lock goes when this is dropped.
pub struct State {
    _lock: Flock<File>,
}

impl State {
    /// Takes the state for changing.
    pub fn change() -> Result<Self, String> {
        Self::lock(FlockArg::LockExclusive)
    }

    /// Takes the state for a snapshot.
    pub fn look() -> Result<Self, String> {
        Self::lock(FlockArg::LockShared)
    }

    fn lock(kind: FlockArg) -> Result<Self, String> {
        let root = root();
        let path = root.join("domains/lock");
        let open = || File::options().create(true).append(true).open(&path);
        let file = open().or_else(|_| {
            fs::create_dir_all(root.join("domains"))?;
            open()
        });
        let file = file.map_err(|e| format!("the stand-in's state {}: {e}", path.display()))?;
        let lock = Flock::lock(file, kind).map_err(|(_, e)| format!("{}: {e}", path.display()))?;
        Ok(Self { _lock: lock })
    }

    /// Gives out the next domid.
    pub fn next_domid(&self) -> Result<u32, String> {
        let path = root().join("next-domid");
        let id = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        let id: u32 = id.unwrap_or(1);
        fs::write(&path, format!("{}\n", id + 1))
            .map_err(|e| format!("{}: {e}", path.display()))?;
        Ok(id)
    }

    /// All domains but Domain-0, by domid.
    pub fn all(&self) -> Vec<Record> {
        let entries = fs::read_dir(root().join("domains")).into_iter().flatten().flatten();
        let records = entries.filter(|entry| entry.path().extension().is_some_and(|e| e == "json"));
        let mut all: Vec<Record> = records.filter_map(|entry| read(entry.path())).collect();
        all.sort_by_key(|record| record.id);
        all
    }

    /// One domain.
    pub fn get(&self, id: u32) -> Option<Record> {
        read(path(id))
    }

    /// The domain of that xenstore name, the lowest domid first, as libxl looks it up.
    pub fn named(&self, name: &str) -> Option<Record> {
        self.all().into_iter().find(|record| record.name.as_deref() == Some(name))
    }

    /// Writes a record.
    pub fn put(&self, record: &Record) -> Result<(), String> {
        let (path, new) = (path(record.id), root().join(format!("domains/{}.new", record.id)));
        let text = serde_json::to_string_pretty(record).map_err(|e| e.to_string())?;
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Changes a record if it is still there; the answer says whether it was.
    pub fn update(&self, id: u32, change: impl FnOnce(&mut Record)) -> Result<bool, String> {
        let Some(mut record) = self.get(id) else { return Ok(false) };
        change(&mut record);
        self.put(&record).map(|()| true)
    }

    /// Removes a record: the row is gone.
    pub fn remove(&self, id: u32) {
        // Another may have removed it; gone is gone.
        let _ = fs::remove_file(path(id));
    }
}

/// Where a domain's record lies.
pub fn path(id: u32) -> PathBuf {
    root().join(format!("domains/{id}.json"))
}

fn read(path: PathBuf) -> Option<Record> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
