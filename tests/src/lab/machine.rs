//! The virtual machine that the real hypervisor boots in.

use super::control::Control;
use super::monitor::Monitor;
use crate::error::{Doing, Error, Result};
use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::{Duration, Instant};

/// A machine that is running. QEMU dies with the program that started it.
pub(super) struct Machine {
    pub(super) control: Control,
    monitor: Mutex<Monitor>,
    ended: Receiver<std::io::Result<ExitStatus>>,
    pid: u32,
    run: PathBuf,
}

/// How a machine begins.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// From its image, with a new disk.
    Boot,
    /// From the snapshot, in a QEMU of its own: one that goes back to a snapshot by itself lets the
    /// processor's time stamp counter run on, and the hypervisor then slows its clock down.
    Resume,
    /// From the disk as the run has left it.
    Again,
}

const SNAPSHOT: &str = "at-first";

/// What the machine has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hardware {
    processors: &'static str,
    /// In MiB.
    memory: &'static str,
    /// A second disk, by the name of its image, which nobody writes to.
    second_disk: Option<&'static str>,
}

impl Hardware {
    /// For two guests that write. More processors cost more than they bring: where the machine has
    /// fewer to give than are asked for, those that run wait in a spin loop for those that do not.
    pub(super) const GUESTS: Self = Self { processors: "1", memory: "1536", second_disk: None };
    /// For four nodes that run Heartbeat. A panicked one takes a processor for itself.
    pub(super) const NODES: Self =
        Self { processors: "2", memory: "2048", second_disk: Some("nodes.raw") };
}

/// The ports of this machine's loopback address that lead into dom0.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// To the sshd for fencing alone.
    pub fencing: u16,
    /// To the host's own sshd, for a person.
    pub person: u16,
}

/// A dom0 that has not said a word by then will not come up. It takes half a minute.
const BOOT: Duration = Duration::from_secs(300);

impl Machine {
    /// Starts the machine whose files are in this directory, and returns when its dom0 answers. It
    /// boots, or resumes from the snapshot that was taken in the same run.
    pub(super) fn start(
        image: &Path,
        run: &Path,
        ports: Ports,
        hardware: Hardware,
        how: Start,
    ) -> Result<Self> {
        let mut qemu = qemu(image, run, ports, hardware)?;
        match how {
            Start::Boot => overlay(&image.join("dom0.raw"), &run.join("dom0.qcow2"))?,
            Start::Resume => drop(qemu.args(["-loadvm", SNAPSHOT])),
            Start::Again => {}
        }
        let sockets = [run.join("control"), run.join("monitor")];
        for socket in &sockets {
            let _ = std::fs::remove_file(socket);
        }
        let (started, pid) = channel();
        let (ending, ended) = channel();
        // The kernel kills QEMU with the thread that started it, so that thread has to stay.
        std::thread::spawn(move || match qemu.spawn() {
            Ok(mut child) => {
                let _ = started.send(Ok(child.id()));
                let _ = ending.send(child.wait());
            }
            Err(error) => drop(started.send(Err(error))),
        });
        let pid = pid.recv().doing("start QEMU")?.doing("start qemu-system-x86_64")?;
        let end = Instant::now() + Duration::from_secs(20);
        while !sockets.iter().all(|socket| socket.exists()) {
            if Instant::now() > end || ended.try_recv().is_ok() {
                return Err(Error::new(format!("QEMU did not start:\n{}", tail(run, "qemu.log"))));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let control = insist(end, || Control::connect(&run.join("control")))?;
        let monitor = Mutex::new(insist(end, || Monitor::connect(&run.join("monitor")))?);
        let machine = Self { control, monitor, ended, pid, run: run.to_owned() };
        machine.wait_for_dom0()?;
        Ok(machine)
    }

    fn wait_for_dom0(&self) -> Result<()> {
        let end = Instant::now() + BOOT;
        let mut unanswered = Vec::new();
        // What is written before anybody reads there is kept or lost, as the kernel likes. Where
        // the machine has much else to do, an answer takes longer than it is worth waiting for.
        while Instant::now() < end {
            match self.control.start("true")?.ends_within(Duration::from_secs(2)) {
                Ok(_) => return Ok(()),
                Err(late) => unanswered.push(late),
            }
            for hello in std::mem::take(&mut unanswered) {
                match hello.ends_within(Duration::ZERO) {
                    Ok(_) => return Ok(()),
                    Err(late) => unanswered.push(late),
                }
            }
            match self.ended.recv_timeout(Duration::ZERO) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return Err(Error::new(format!("QEMU ended:\n{}", self.last_words()))),
            }
        }
        Err(Error::new(format!("dom0 did not come up in {BOOT:?}:\n{}", self.last_words())))
    }

    /// The end of what QEMU, the hypervisor and dom0's kernel said.
    fn last_words(&self) -> String {
        format!("{}\n{}", tail(&self.run, "qemu.log"), tail(&self.run, "console.log"))
    }

    /// Switches it off as QEMU does when it is asked to, its disk whole.
    pub(super) fn end(mut self) {
        if let Ok(mut monitor) = self.monitor.lock() {
            // QEMU may be gone before it has answered.
            let _ = monitor.command("quit");
        }
        if self.ended.recv_timeout(Duration::from_secs(30)).is_ok() {
            // Nothing is left to be killed.
            self.ended = channel().1;
        }
    }

    /// Takes the snapshot that [`Start::Resume`] resumes from.
    pub(super) fn save(&self) -> Result<()> {
        let mut monitor = self.monitor.lock().map_err(|_| Error::new("QEMU's monitor is lost"))?;
        monitor.command(&format!("savevm {SNAPSHOT}"))
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Once it has been waited for, its number may be another's.
        let runs = matches!(self.ended.try_recv(), Err(TryRecvError::Empty));
        if let (true, Ok(pid)) = (runs, i32::try_from(self.pid)) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            );
            let _ = self.ended.recv_timeout(Duration::from_secs(10));
        }
    }
}

/// A socket has its name a moment before anybody listens there.
fn insist<T>(end: Instant, connect: impl Fn() -> Result<T>) -> Result<T> {
    loop {
        match connect() {
            Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            done => return done,
        }
    }
}

/// A disk that begins as the image is, and takes what this run writes.
fn overlay(image: &Path, disk: &Path) -> Result<()> {
    let image = image
        .canonicalize()
        .doing(format!("find {}; tests/xen-lab build makes it", image.display()))?;
    let mut make = Command::new("qemu-img");
    make.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(image).arg(disk);
    let output = make.output().doing("run qemu-img")?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::new(format!("qemu-img: {}", String::from_utf8_lossy(&output.stderr))))
}

impl Ports {
    /// Two that nobody uses.
    pub(super) fn free() -> Result<Self> {
        Ok(Self { fencing: free_port()?, person: free_port()? })
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").doing("find a free port")?;
    Ok(listener.local_addr().doing("find a free port")?.port())
}

/// QEMU's own translation runs everything: no /dev/kvm is needed, and most that offer one could not
/// run a hypervisor in it.
fn qemu(image: &Path, run: &Path, ports: Ports, hardware: Hardware) -> Result<Command> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.current_dir(run).args(["-accel", "tcg,thread=multi", "-machine", "pc"]);
    // Without xsave: with it, dom0's floating point registers are lost between guests, and sshd
    // then finds good signatures bad.
    qemu.args(["-cpu", "max,-xsave", "-smp", hardware.processors, "-m", hardware.memory]);
    qemu.args(["-nodefaults", "-display", "none", "-no-reboot"]);
    qemu.args(["-serial", "file:console.log", "-qmp", "unix:monitor,server=on,wait=off"]);
    // The console has its own argument list behind each module; a comma would end the module.
    let kernel = "console=hvc0 root=/dev/vda rw net.ifnames=0 quiet mitigations=off audit=0";
    qemu.arg("-kernel").arg(image.join("xen")).args([
        "-append",
        "console=com1 com1=115200,8n1 dom0_mem=640M,max:640M vga=none edd=off no-real-mode spec-ctrl=no",
    ]);
    qemu.arg("-initrd").arg(format!(
        "{} {kernel},{}",
        image.join("vmlinuz").display(),
        image.join("initramfs-dom0").display()
    ));
    qemu.args(["-drive", "file=dom0.qcow2,format=qcow2,if=none,id=root,cache=unsafe"]);
    qemu.args(["-device", "virtio-blk-pci,drive=root"]);
    if let Some(disk) = hardware.second_disk {
        let file = image.join(disk);
        qemu.arg("-drive")
            .arg(format!("file={},format=raw,readonly=on,if=none,id=second", file.display()));
        qemu.args(["-device", "virtio-blk-pci,drive=second"]);
    }
    // No way out: what is in there reaches nobody.
    let forward = |port: u16, to: u16| format!("hostfwd=tcp:127.0.0.1:{port}-:{to}");
    qemu.arg("-netdev").arg(format!(
        "user,id=net,restrict=on,{},{}",
        forward(ports.fencing, 2422),
        forward(ports.person, 22)
    ));
    qemu.args(["-device", "virtio-net-pci,netdev=net,romfile="]);
    qemu.args(["-device", "virtio-serial-pci"]);
    qemu.args(["-chardev", "socket,id=control,path=control,server=on,wait=off"]);
    qemu.args(["-device", "virtserialport,chardev=control,name=control"]);
    let log = File::create(run.join("qemu.log")).doing("make QEMU's log")?;
    let same = log.try_clone().doing("share QEMU's log")?;
    qemu.stdin(Stdio::null()).stdout(log).stderr(same);
    let die_with_us = || {
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)
            .map_err(std::io::Error::from)
    };
    // SAFETY: prctl(2) is one system call, and allocates nothing.
    unsafe { qemu.pre_exec(die_with_us) };
    Ok(qemu)
}

fn tail(directory: &Path, file: &str) -> String {
    let text = std::fs::read(directory.join(file)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
