//! What PID 1 of a throwaway dom0 does before anything else runs there: /proc, /dev, /sys and the
//! rest are mounted, the machine's file systems are left behind, host name and loopback are set.

use super::cgroup::Layout;
use super::holder::Init;
use crate::error::{Doing, Error, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::{chdir, pivot_root, sethostname};
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The host name of every throwaway dom0.
pub const HOST: &str = "xen1";

/// Makes the root file system what a dom0's is, and goes there for good.
pub(crate) fn furnish(root: &Path, layout: Layout, init: Init) -> Result<()> {
    sethostname(HOST).doing("set the host name")?;
    mount_new(root, "proc", "proc", None)?;
    for (dir, mode) in [("run", "mode=755"), ("tmp", "mode=1777")] {
        mount_new(root, dir, "tmpfs", Some(mode))?;
    }
    devices(&root.join("dev"))?;
    sys(root)?;
    layout.mount(&root.join("sys/fs/cgroup"))?;
    if init == Init::Systemd {
        prepare_systemd(root)?;
    }

    // Both arguments alike: the old root ends up on top of the new one and is taken off again.
    chdir(root).doing("enter the new root")?;
    pivot_root(".", ".").doing("make the overlay the root file system")?;
    umount2(".", MntFlags::MNT_DETACH).doing("leave the machine's file systems")?;
    chdir("/").doing("enter /")?;
    Ok(())
}

fn mount_new(root: &Path, dir: &str, kind: &str, options: Option<&str>) -> Result<()> {
    let on = root.join(dir);
    fs::create_dir_all(&on).doing(format!("make {}", on.display()))?;
    mount(Some(kind), &on, Some(kind), MsFlags::empty(), options)
        .doing(format!("mount {kind} on {}", on.display()))
}

fn bind(from: &Path, on: &Path) -> Result<()> {
    mount(Some(from), on, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>)
        .doing(format!("bind {} on {}", from.display(), on.display()))
}

/// A small /dev of our own, so that /dev/log is ours alone.
fn devices(dev: &Path) -> Result<()> {
    mount_new(dev, "", "tmpfs", Some("mode=755"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let node = dev.join(name);
        fs::write(&node, "").doing(format!("make {}", node.display()))?;
        bind(&Path::new("/dev").join(name), &node)?;
    }
    mount_new(dev, "pts", "devpts", Some("newinstance,ptmxmode=0666,mode=620,gid=5"))?;
    mount_new(dev, "shm", "tmpfs", Some("mode=1777"))?;
    for (target, name) in [
        ("pts/ptmx", "ptmx"),
        ("/proc/self/fd", "fd"),
        ("/proc/self/fd/0", "stdin"),
        ("/proc/self/fd/1", "stdout"),
        ("/proc/self/fd/2", "stderr"),
    ] {
        symlink(target, dev.join(name)).doing(format!("make /dev/{name}"))?;
    }
    Ok(())
}

/// /sys as a Xen host has it. Where the kernel has no /sys/hypervisor, the entries of the real sysfs
/// are bound into a directory of our own that has one.
fn sys(root: &Path) -> Result<()> {
    let sys = root.join("sys");
    mount_new(root, "sys", "sysfs", None)?;
    let hypervisor = sys.join("hypervisor");
    if hypervisor.is_dir() {
        mount_new(&hypervisor, "", "tmpfs", Some("mode=755"))?;
    } else {
        let real = root.join("run/sysfs");
        fs::create_dir_all(&real).doing("make a place for sysfs")?;
        mount(Some(&sys), &real, None::<&str>, MsFlags::MS_MOVE, None::<&str>)
            .doing("move sysfs aside")?;
        mount_new(root, "sys", "tmpfs", Some("mode=755"))?;
        for entry in fs::read_dir(&real).doing("read sysfs")?.flatten() {
            let on = sys.join(entry.file_name());
            fs::create_dir(&on).doing(format!("make {}", on.display()))?;
            bind(&entry.path(), &on)?;
        }
        umount2(&real, MntFlags::MNT_DETACH).doing("take sysfs off")?;
        let _ = fs::remove_dir(&real);
    }
    fs::create_dir_all(hypervisor.join("version")).doing("make /sys/hypervisor")?;
    // As on Debian 12: 4.17.7.
    for (name, text) in [
        ("type", "xen\n"),
        ("uuid", "00000000-0000-0000-0000-000000000000\n"),
        ("version/major", "4\n"),
        ("version/minor", "17\n"),
        ("version/extra", ".7\n"),
    ] {
        fs::write(hypervisor.join(name), text).doing(format!("write /sys/hypervisor/{name}"))?;
    }
    Ok(())
}

/// Takes away what would make systemd look for devices, and gives it a machine-id.
fn prepare_systemd(root: &Path) -> Result<()> {
    fs::write(root.join("etc/machine-id"), "b08dfa6083e7567a1921a715000001fb\n")
        .doing("write /etc/machine-id")?;
    for tree in ["etc", "lib", "usr/lib"] {
        for kind in ["sysinit.target.wants", "basic.target.wants", "local-fs.target.wants"] {
            let wants = root.join(tree).join("systemd/system").join(kind);
            for entry in fs::read_dir(&wants).into_iter().flatten().flatten() {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
    fs::create_dir_all(root.join("run/systemd")).doing("make /run/systemd")
}

/// Becomes systemd.
pub(crate) fn exec_systemd() -> Result<Infallible> {
    let program = ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"]
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or_else(|| Error::new("there is no systemd here (package systemd)"))?;
    let error = Command::new(program)
        .arg0("/sbin/init")
        .args(["--unit=basic.target", "--log-target=null", "--show-status=no"])
        .env_clear()
        .env("container", "throwaway-dom0")
        .env("PATH", super::enter::PATH)
        .exec();
    Err(Error::new(format!("cannot become {program}: {error}")))
}

/// Waits for every process that ends here, for ever: our end is the holder's business.
pub(crate) fn reap_for_ever() -> Result<Infallible> {
    use nix::sys::signal::{SigSet, Signal};
    use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
    // Its arguments named the machine's paths; what a person sees in `ps` should say what it is.
    let _ = nix::sys::prctl::set_name(c"init");
    let null = fs::File::open(OsStr::new("/dev/null")).doing("open /dev/null")?;
    for to in 0..=1 {
        // SAFETY: dup2 over standard input and output, which nothing else here uses any more.
        unsafe { nix::libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&null), to) };
    }
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block().doing("block SIGCHLD")?;
    loop {
        while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            if status == WaitStatus::StillAlive {
                break;
            }
        }
        let _ = children.wait();
    }
}
