//! `xl create`: checks, builds and unpauses a domain under xl's lock.
//!
//! What it says when it fails is what real xl said, libxl's cleaning up included: those words
//! speak of the new domain and never of another one.

use std::fs::{self, File};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};

use super::config::Config;
use super::disk::Kind;
use super::state::{Record, State};
use super::{destroy, faults, kept};

/// What the machine has, in MiB; a domain that wants more is refused (T22).
pub const MEMORY: u64 = 4096;

/// xl's lock, by default where Debian's xl has it.
pub const LOCK: &str = "/var/lock/xl";

/// xl's lock, held until dropped: a POSIX lock on the whole file, waited for without limit.
pub struct XlLock {
    _file: File,
}

impl XlLock {
    /// Waits for the lock.
    pub fn take() -> Result<Self, String> {
        let open =
            || File::options().write(true).create(true).truncate(false).mode(0o200).open(LOCK);
        let file = open().or_else(|_| {
            fs::create_dir_all("/run/lock")?;
            open()
        });
        let file = file.map_err(|e| format!("cannot open the lockfile {LOCK} errno={e}\n"))?;
        let whole = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: 0,
            l_len: 0,
            l_pid: 0,
        };
        loop {
            match fcntl(&file, FcntlArg::F_SETLKW(&whole)) {
                Ok(_) => return Ok(Self { _file: file }),
                Err(nix::Error::EINTR) => {}
                Err(e) => return Err(format!("cannot acquire lock {LOCK}: {e}\n")),
            }
        }
    }
}

/// Makes a domain. The answer is its domid, the error what xl prints.
pub fn create(config: &Config, paused: bool) -> Result<u32, String> {
    let _lock = XlLock::take()?;
    let (delay, kind) = (
        faults::delay("create-delay", Some(&config.name)).unwrap_or_default(),
        faults::get("create-fails", Some(&config.name)),
    );
    let state = State::change()?;
    let id = state.next_domid()?;
    let new = Record::new(id, config.clone());
    if state.named(&config.name).is_some() || config.name == "Domain-0" {
        let name = &config.name;
        let why = format!(
            "libxl_domain.c:81:libxl__domain_rename: Domain {id}:Domain with name \"{name}\" \
             already exists.\n\
             libxl: error: libxl_create.c:1296:initiate_domain_create: Domain {id}:cannot make \
             domain: -6"
        );
        return Err(failed(id, &format!("libxl: error: {why}\n")));
    }
    state.put(&new)?;
    drop(state);
    let made = build(&new, delay, kind.as_deref(), paused);
    if made.is_err() {
        destroy::discard(id);
    }
    made.map(|()| id).map_err(|error| failed(id, &error))
}

/// What libxl adds when it has cleaned up after a failed creation (T20, T22, T23).
fn failed(id: u32, why: &str) -> String {
    format!("{why}{}", destroy::nonexistent(id))
}

fn build(new: &Record, delay: Duration, kind: Option<&str>, paused: bool) -> Result<(), String> {
    let (id, config) = (new.id, &new.config);
    let step = |sixths: u32, change: fn(&mut Record)| {
        thread::sleep(delay * sixths / 6);
        State::change()?.update(id, change).map(drop)
    };
    step(2, |record| record.name = Some(record.config.name.clone()))?;
    step(1, |record| record.mem = record.config.memory)?;
    if config.memory > MEMORY || kind == Some("no-memory") {
        return Err(format!(
            "xc: error: panic: xg_dom_boot.c:119: xc_dom_boot_mem_init: can't allocate low memory \
             for domain: Out of memory\n\
             libxl: error: libxl_dom.c:586:libxl__build_dom: xc_dom_boot_mem_init failed: Cannot \
             allocate memory\n\
             libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain {id}:cannot \
             (re-)build domain: -3\n"
        ));
    }
    let kernel = fs::metadata(&config.kernel);
    if let Err(error) = kernel {
        return Err(format!(
            "xc: error: panic: xg_core.c: failed to open kernel {}: {error}\n\
             libxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain {id}:cannot \
             (re-)build domain: -3\n",
            config.kernel
        ));
    }
    step(1, |record| record.vcpus = record.config.vcpus)?;
    if let Some(error) = disk_error(id, config, kind == Some("disk"))? {
        return Err(format!(
            "{error}libxl: error: libxl_create.c:1672:domcreate_launch_dm: Domain {id}:unable to \
             add disk devices\n"
        ));
    }
    thread::sleep(delay / 3);
    State::change()?.update(id, |record| record.backends = true)?;
    let started = kept::start(id).and_then(|kept| kept.go(paused));
    started.map_err(|error| {
        format!(
            "{error}\nlibxl: error: libxl_create.c:1640:domcreate_rebuild_done: Domain {id}:cannot \
             (re-)build domain: -3\n"
        )
    })
}

/// A disk that is missing, or that another living domain has (T23): real xl finds that out after
/// 22 s, the stand-in at once. A corpse has given its disk back already (T89).
fn disk_error(id: u32, config: &Config, fault: bool) -> Result<Option<String>, String> {
    let others = State::look()?.all();
    let living: Vec<_> = others.iter().filter(|other| other.id != id && other.backends).collect();
    for disk in &config.disks {
        if !fault && fs::metadata(&disk.path).is_err() {
            return Ok(Some(format!(
                "libxl: error: libxl_device.c:354:libxl__device_disk_set_backend: Disk \
                 vdev={} failed to stat: {}: No such file or directory\n",
                disk.vdev, disk.path
            )));
        }
        let shared = living.iter().flat_map(|other| &other.config.disks).any(|theirs| {
            let same = theirs.kind == Kind::Phy && theirs.path == disk.path;
            same && (theirs.writable || disk.writable)
        });
        if fault || (shared && disk.kind == Kind::Phy) {
            let (path, pid) = (&disk.path, std::process::id());
            return Ok(Some(format!(
                "libxl: error: libxl_exec.c:117:libxl_report_child_exitstatus: \
                 /etc/xen/scripts/block add [{pid}] exited with error status 1\n\
                 libxl: error: libxl_device.c:1337:device_hotplug_child_death_cb: script: Device \
                 {path} is mounted in a guest domain,\nand so cannot be mounted now.\n"
            )));
        }
    }
    Ok(None)
}
