//! A domain's keeper: the process that stands for the hypervisor's part of one domain.
//!
//! It is the parent of the domain's PID 1 and of its backends, says why a guest ended, and takes
//! the row away when the domain is dead and no write of it is in flight. It is not called `xl`.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::birth::{self, Born};
use super::disk::Kind;
use super::process;
use super::state::{Reason, Record, State, now};
use super::{backend, faults, net};

/// What a keeper is called.
pub const NAME: &str = "stand-in-domain";

struct Keeper {
    id: u32,
    born: Born,
    gated: bool,
    init: Option<Pid>,
    ended: Option<Reason>,
    phy: Vec<Pid>,
    user: Vec<Pid>,
    killed: bool,
    // Its closing ends the domain's qemu.
    _life: OwnedFd,
}

/// The process itself: `stand-in-domain ID GO STATUS`.
pub fn run(args: &[String]) -> Result<(), String> {
    let [id, go, status] = args else { return Err("ID GO STATUS".to_owned()) };
    let id = id.parse().map_err(|_| "ID is a number")?;
    let mut go = File::from(process::inherited(go)?);
    let mut status = File::from(process::inherited(status)?);
    let mut say = |line: &str| {
        // xl may have been killed; the domain stays half built, as on real Xen.
        let _ = status.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes());
    };
    let mut keeper = match Keeper::build(id) {
        Ok(keeper) => keeper,
        Err(error) => {
            say(&error);
            return Err(error);
        }
    };
    let mut mask = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGUSR1, Signal::SIGUSR2] {
        mask.add(signal);
    }
    mask.thread_block().map_err(|e| e.to_string())?;
    let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
        .map_err(|e| e.to_string())?;
    keeper.publish()?;
    say("built");
    let mut step = [0; 1];
    if matches!(go.read(&mut step), Ok(1)) {
        match if step == *b"g" { keeper.unpause() } else { keeper.settle_paused() } {
            Ok(()) => say("running"),
            Err(error) => say(&error),
        }
    }
    drop((go, status));
    loop {
        keeper.reap();
        if !keeper.goes_on()? {
            return Ok(());
        }
        keeper.sleep(&signals);
        while let Ok(Some(info)) = signals.read_signal() {
            if info.ssi_signo == Signal::SIGUSR2 as u32 {
                // One that was destroyed meanwhile is ended by the next round.
                let _ = keeper.unpause();
            }
        }
    }
}

impl Keeper {
    fn build(id: u32) -> Result<Self, String> {
        let record = State::look()?.get(id).ok_or("the domain is gone")?;
        let config = &record.config;
        let pair = || {
            let flags = SockFlag::SOCK_CLOEXEC;
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)
                .map_err(|e| format!("socketpair: {e}"))
        };
        let (life, qemu_life) = pair()?;
        let (mut guest_ends, mut qdisks) = (Vec::new(), Vec::new());
        let (mut phy, mut tap) = (Vec::new(), Vec::new());
        for disk in &config.disks {
            let (guest_end, end) = pair()?;
            guest_ends.push(guest_end);
            let start =
                |kind| backend::start_disk(id, config, kind, &disk.path, &disk.vdev, end.as_fd());
            match disk.kind {
                Kind::Phy => phy.push(start(Kind::Phy)?),
                Kind::Tap => tap.push(start(Kind::Tap)?),
                Kind::Qdisk => qdisks.push((disk.path.clone(), end)),
            }
        }
        let mut qemu = None;
        if config.hvm || !qdisks.is_empty() {
            let served: Vec<(&str, BorrowedFd<'_>)> =
                qdisks.iter().map(|(path, end)| (path.as_str(), end.as_fd())).collect();
            qemu = Some(backend::start_qemu(id, config, &served, qemu_life.as_fd())?);
        }
        let born = birth::bear(config, &guest_ends)?;
        let init = Some(born.init);
        let user = tap.iter().copied().chain(qemu).collect();
        let mut keeper = Self {
            id,
            born,
            gated: true,
            init,
            ended: None,
            phy,
            user,
            killed: false,
            _life: life,
        };
        let settled = net::plug(id, config, keeper.born.init).and_then(|()| keeper.born.settle());
        if let Err(error) = settled {
            let _ = kill(keeper.born.init, Signal::SIGKILL);
            for pid in keeper.phy.iter().chain(&keeper.user) {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            return Err(error);
        }
        State::change()?.update(id, |record| {
            record.qemu = qemu.map(Pid::as_raw);
            record.tapdisks = tap.iter().map(|pid| pid.as_raw()).collect();
        })?;
        Ok(keeper)
    }

    fn publish(&self) -> Result<(), String> {
        let (own, init) = (Pid::this().as_raw(), self.born.init.as_raw());
        State::change()?.update(self.id, |record| {
            record.keeper = Some(own);
            record.init = Some(init);
        })?;
        Ok(())
    }

    fn unpause(&mut self) -> Result<(), String> {
        if !self.gated {
            return Ok(());
        }
        self.gated = false;
        let state = State::change()?;
        if state.get(self.id).is_none_or(|record| record.dying) {
            return Err("it was destroyed before it ran".to_owned());
        }
        let started = self.born.go();
        let failed = started.is_err();
        state.update(self.id, |record| {
            record.building = false;
            record.paused = false;
            record.born = now();
            record.cpu = None;
            record.dying |= failed;
        })?;
        started
    }

    fn settle_paused(&self) -> Result<(), String> {
        State::change()?.update(self.id, |record| record.building = false).map(drop)
    }

    fn reap(&mut self) {
        loop {
            let status = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(status) => status,
            };
            let pid = status.pid();
            if pid.is_some() && pid == self.init {
                self.init = None;
                self.ended = Some(reason(status));
            }
            self.phy.retain(|phy| Some(*phy) != pid);
            self.user.retain(|user| Some(*user) != pid);
        }
    }

    /// Does what the record asks for; the answer says whether there is still something to keep.
    fn goes_on(&mut self) -> Result<bool, String> {
        let state = State::change()?;
        let Some(mut record) = state.get(self.id) else {
            self.kill_all();
            return Ok(false);
        };
        if !record.dying {
            if self.ended.is_some() && record.shutdown.is_none() {
                record.shutdown = self.ended;
                record.cpu = Some(record.cpu());
                record.init = None;
                state.put(&record)?;
            }
            return Ok(true);
        }
        if let Some(init) = self.init {
            // Whoever destroys has done it already; a dying domain has no other end.
            let _ = kill(init, Signal::SIGKILL);
            return Ok(true);
        }
        let outlives = outlives(&record);
        if !outlives && !self.killed {
            for pid in &self.user {
                let _ = kill(*pid, Signal::SIGKILL);
            }
            self.killed = true;
        }
        let busy = !self.phy.is_empty() || (!outlives && !self.user.is_empty());
        if busy || faults::is_set("corpse", &record.config.name, record.id) {
            return Ok(true);
        }
        state.remove(self.id);
        Ok(false)
    }

    fn kill_all(&self) {
        for pid in self.init.iter().chain(&self.phy).chain(&self.user) {
            let _ = kill(*pid, Signal::SIGKILL);
        }
    }

    fn sleep(&self, signals: &SignalFd) {
        // A corpse kept by a fault alone ends without a signal.
        let kept = self.init.is_none() && self.phy.is_empty();
        let limit = Duration::from_millis(10);
        let timeout = if kept {
            PollTimeout::try_from(limit).unwrap_or(PollTimeout::NONE)
        } else {
            PollTimeout::NONE
        };
        let _ = poll(&mut [PollFd::new(signals.as_fd(), PollFlags::POLLIN)], timeout);
    }
}

/// Whether a domain's user-space backends are to outlive it.
pub fn outlives(record: &Record) -> bool {
    let name = &record.config.name;
    faults::is_set("outlive-writes", name, record.id)
        || faults::is_set("hold-writes", name, record.id)
}

/// What the end of PID 1 means: 0 or SIGINT (the kernel's word for halt and power-off in a PID
/// namespace) is power-off, 250 or SIGHUP a reboot, anything else a crash.
fn reason(status: WaitStatus) -> Reason {
    match status {
        WaitStatus::Exited(_, 0) | WaitStatus::Signaled(_, Signal::SIGINT, _) => Reason::Poweroff,
        WaitStatus::Exited(_, 250) | WaitStatus::Signaled(_, Signal::SIGHUP, _) => Reason::Reboot,
        _ => Reason::Crash,
    }
}
