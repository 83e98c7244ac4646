//! Real processes that look like xl, qemu and tapdisk, and which of them concern a node.
//!
//! Each is a shell that waits; other machines' worth of such processes may run beside it, so only
//! its own number counts.

use super::{Entry, ProcFs, Process, Processes};
use crate::acl::Node;
use crate::target::tests::{UUID, node, with_config};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A domid that no domain on this machine has.
const DOMID: u32 = 4_000_711;

/// A process that waits until it is dropped.
struct Waiting(Child);

impl Waiting {
    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    /// What was found of this very process.
    fn among(&self, found: Vec<Process>) -> Option<String> {
        found.into_iter().find(|process| process.pid == self.pid()).map(|process| process.what)
    }

    fn restarts(&self, node: &Node) -> bool {
        self.among(ProcFs.restarters(node).unwrap()).is_some()
    }

    fn writes(&self, node: &Node) -> bool {
        self.among(ProcFs.writers(node, &[DOMID], &[]).unwrap().all().cloned().collect()).is_some()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A directory with the shell under another name in it: the kernel calls it by that.
fn called(name: &str) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join(name);
    symlink("/bin/sh", &program).unwrap();
    (dir, program)
}

/// The shell that waits, with these arguments behind its own.
fn waiting(program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(["-c", "read word"]).args(args).stdin(Stdio::piped()).stdout(Stdio::null());
    command
}

fn begin(command: &mut Command) -> Waiting {
    shown(Waiting(command.spawn().unwrap()))
}

/// A program has its name and shows its arguments a moment after its start is known to have worked.
fn shown(process: Waiting) -> Waiting {
    while fs::read(format!("/proc/{}/cmdline", process.pid())).unwrap().is_empty() {}
    process
}

/// The same for a program that was copied just now.
fn begin_copy(command: &mut Command) -> Waiting {
    loop {
        // A child of another test may still have the copy open for writing.
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => {}
            child => return shown(Waiting(child.unwrap())),
        }
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn an_xl_with_the_nodes_configuration_may_bring_it_back() {
    let node = node();
    for (name, args, expected) in [
        ("xl", &["create", "/etc/xen/alpha-node2.cfg"][..], true),
        ("xl", &["create", "xen/alpha-node2.cfg"], true),
        // Files that nobody can read any more may have been the node's.
        ("xl", &["create", "alpha-node2.cfg"], true),
        ("xl", &["create", "/somewhere/else/alpha-node2.cfg"], true),
        ("xl", &["create", "/dev/stdin"], true),
        ("xl", &["create", "/dev/null", "name=\"alpha-node2\""], true),
        ("xl", &["list", "alpha-node2"], false),
        ("xlock", &["create", "/etc/xen/alpha-node2.cfg"], false),
        ("vi", &["/etc/xen/alpha-node2.cfg"], false),
    ] {
        let (_dir, program) = called(name);
        let process = begin(waiting(&program, args).current_dir("/etc"));
        // Nobody but root's xl can start a domain.
        assert_eq!(process.restarts(&node), expected && is_root(), "{name} {args:?}");
    }
}

/// What `xl create` or `xl restore` would make is the node, or provably another's.
#[test]
fn an_xl_that_waits_with_another_file_is_judged_by_what_the_file_says() {
    let node = node();
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    let ours = file("ours", "name = \"alpha-node2\"\n");
    let theirs = file("theirs", "name = \"alpha-node22\"\n");
    let unsaid = file("unsaid", "memory = 128\n");
    let nameless = file("nameless", &format!("uuid = \"{UUID}\"\n"));
    let saved = "Xen saved domain, xl format\n \0 \r";
    let saved_ours = file("saved", &format!("{saved}{{\"name\": \"alpha-node2\"}}"));
    let saved_theirs = file("saved-theirs", &format!("{saved}{{\"name\": \"alpha-node22\"}}"));
    for (args, expected) in [
        (&["create", &ours][..], true),
        (&["create", &format!("--defconfig={ours}")], true),
        (&["create", &format!("-f={ours}")], true),
        (&["create", &theirs], false),
        // In the directory that it was started in.
        (&["create", "theirs"], false),
        (&["create", "ours"], true),
        (&["create", "-q", &format!("--defconfig={theirs}")], false),
        (&["create", &theirs, "name=\"alpha-node2\""], true),
        (&["create", &theirs, &format!("uuid='{UUID}'")], true),
        (&["create", &unsaid], true),
        (&["create", &theirs, &nameless], true),
        (&["restore", &saved_ours], true),
        (&["restore", &saved_theirs], false),
        (&["restore", "/somewhere/else"], true),
        (&["list"], false),
    ] {
        let (_dir, program) = called("xl");
        let process = begin(waiting(&program, args).current_dir(dir.path()));
        assert_eq!(process.restarts(&node), expected && is_root(), "{args:?}");
    }
}

/// It has read its file already, which somebody may have changed since.
#[test]
fn an_xl_that_names_the_nodes_configuration_is_the_nodes_whatever_that_says_by_now() {
    let dir = tempfile::tempdir().unwrap();
    let [own, other, link] = ["own.cfg", "other.cfg", "link.cfg"].map(|name| dir.path().join(name));
    for file in [&own, &other] {
        fs::write(file, "name = 'alpha-node22'\n").unwrap();
    }
    symlink(&own, &link).unwrap();
    let node = with_config(Some(&own));
    for (file, expected) in [(&own, true), (&link, true), (&other, false)] {
        let (_dir, program) = called("xl");
        let file = file.display().to_string();
        let process = begin(&mut waiting(&program, &["create", &file]));
        assert_eq!(process.restarts(&node), expected && is_root(), "{file}");
    }
}

#[test]
fn an_xl_that_keeps_the_nodes_log_open_is_its_monitor() {
    let node = node();
    for (log, expected) in [
        ("xl-alpha-node2.log", true),
        ("xl-alpha-node2.log.1", true),
        ("xl-alpha-node2--incoming.log", true),
        ("xl-alpha-node22.log", false),
        // It waits yet, and nobody can read what it makes.
        ("other", true),
    ] {
        let (dir, program) = called("xl");
        let log = dir.path().join(log);
        let mut command = waiting(&program, &["create", "/somewhere/moved-since.cfg"]);
        let process = begin(command.stdout(File::create(&log).unwrap()));
        assert_eq!(process.restarts(&node), expected && is_root(), "{}", log.display());
        // Where nobody can tell which files its arguments name, its log still says whose monitor it is.
        let entry = Entry::of_pid(process.pid()).unwrap();
        assert_eq!(entry.may_restart(&node, false), expected, "{}", log.display());
        // Rotated away under it.
        fs::remove_file(&log).unwrap();
        assert_eq!(process.restarts(&node), expected && is_root(), "{} deleted", log.display());
    }
}

#[test]
fn what_it_is_called_by_the_kernel_or_by_its_file_makes_an_xl() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("xl");
    fs::copy("/bin/sh", &program).unwrap();
    let mut command = Command::new(&program);
    command.args([
        "-c",
        "printf '\\377other' >/proc/$$/comm && echo renamed && read word",
        "create",
    ]);
    command.arg("/etc/xen/alpha-node2.cfg").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = begin_copy(&mut command);
    let mut line = String::new();
    BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "renamed\n");
    let what = process.among(ProcFs.restarters(&node()).unwrap());
    assert_eq!(what.is_some(), is_root());
    // What the guest hears of it: its arguments may be another tenant's secrets.
    assert!(what.is_none_or(|what| what == "xl"));
}

#[test]
fn a_destroy_is_known_by_its_domid() {
    let domid = DOMID.to_string();
    for (name, args, expected) in [
        ("xl", &["destroy", &domid][..], true),
        ("xl", &["-v", "destroy", "-f", &domid], true),
        ("xm", &["destroy", &domid], true),
        ("xl", &["destroy", "40007110"], false),
        ("xl", &["list", &domid], false),
        ("xlock", &["destroy", &domid], false),
    ] {
        let (_dir, program) = called(name);
        let process = begin(&mut waiting(&program, args));
        let found = ProcFs.destroyer(&[DOMID]).unwrap();
        let is_it = found.is_some_and(|found| found.pid == process.pid());
        assert_eq!(is_it, expected && is_root(), "{name} {args:?}");
    }
}

/// As at its very beginning, and at its end.
#[test]
fn an_xl_that_shows_no_arguments_may_bring_any_node_back() {
    let (_dir, program) = called("xl");
    let process = begin(Command::new(&program).arg0("").stdin(Stdio::piped()));
    assert_eq!(process.restarts(&node()), is_root());
}

#[test]
fn another_accounts_xl_is_nothing_to_wait_for() {
    if !is_root() {
        return;
    }
    let (dir, program) = called("xl");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = waiting(&program, &["create", "/etc/xen/alpha-node2.cfg"]);
    let process = begin(command.uid(65_534));
    assert!(!process.restarts(&node()), "any account could hold up every proof");
    // Nor with a program that is root's while it runs.
    fs::remove_file(&program).unwrap();
    fs::copy("/bin/sleep", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    let mut command = Command::new(&program);
    command.arg("60").arg0("create").uid(65_534);
    let process = begin_copy(&mut command);
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    assert!(status.contains("Uid:\t65534\t0\t0"), "{}: {status}", program.display());
    assert!(!process.restarts(&node()), "any account could hold up every proof");
}

#[test]
fn a_device_model_is_known_by_domid_or_name() {
    let (node, domid) = (node(), DOMID.to_string());
    for (args, expected) in [
        (&["-xen-domid", &domid, "-name", "somebody"][..], true),
        (&["-xen-domid", &domid], true),
        (&["-xen-domid", "7000001", "-name", "alpha-node2"], true),
        (&["-xen-domid", "7000001", "-name", "alpha-node2,process=qemu"], true),
        (&["-xen-domid", "7000001", "-name", "alpha-node2--incoming"], true),
        (&["-xen-domid", "7000001", "-name", "alpha-node22"], false),
        (&["-xen-domid", "7000001"], false),
        (&["-xen-domid"], false),
        // The traditional device model.
        (&["-d", &domid, "-domain-name", "somebody"], true),
        (&["-d", "7000001", "-domain-name", "alpha-node2"], true),
        (&["-d", "7000001", "-domain-name", "alpha-node22"], false),
        // A virtual machine of another hypervisor.
        (&["-name", "alpha-node2"], false),
    ] {
        let process = begin(waiting(Path::new("/bin/sh"), args).arg0("qemu-system-i386"));
        assert_eq!(process.writes(&node), expected, "{args:?}");
        assert!(!process.restarts(&node), "{args:?}");
    }
}

#[test]
fn a_tapdisk_is_the_nodes_if_it_has_its_image_open() {
    if !is_root() {
        return; // A configuration is read only if it is root's.
    }
    let (dir, program) = called("tapdisk2");
    let (own, other) = (dir.path().join("own.img"), dir.path().join("other.img"));
    let file = dir.path().join("alpha-node2.cfg");
    fs::write(&file, format!("disk = [ 'tap:aio:{},xvda,w' ]\n", own.display())).unwrap();
    let node = with_config(Some(&file));
    for (image, expected) in [(&own, true), (&other, false)] {
        let mut command = waiting(&program, &[]);
        let process = begin(command.stdout(File::create(image).unwrap()));
        // Where xenstore is silent, nothing says whose it is, and it may be the node's.
        let silent = crate::xenstore::backend_disks().is_err();
        assert_eq!(process.writes(&node), expected || silent, "{}", image.display());
    }
}

/// A process called tapdisk2 that has this file open, and whose first thread has ended while
/// another goes on: what a killed device model is as long as a write of it does not end.
#[expect(unsafe_code, reason = "no thread but a process's first can be ended with a safe call")]
fn headless(image: &Path) -> i32 {
    let image = File::create(image).unwrap();
    // SAFETY: the child only starts a thread, which glibc allows after fork, and ends its first
    // one by a system call; neither returns into the tests.
    let pid = unsafe {
        let pid = nix::libc::fork();
        if pid == 0 {
            let _named = fs::write("/proc/self/comm", "tapdisk2");
            let _thread = std::thread::spawn(move || {
                let _open = image;
                std::thread::sleep(std::time::Duration::from_secs(60));
            });
            nix::libc::syscall(nix::libc::SYS_exit, 0);
        }
        pid
    };
    assert!(pid > 0);
    let stat = format!("/proc/{pid}/stat");
    while !fs::read_to_string(&stat).unwrap().contains("(tapdisk2) Z") {
        std::thread::yield_now();
    }
    pid
}

#[test]
fn a_killed_process_lives_as_long_as_one_of_its_threads() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("own.img");
    let file = dir.path().join("alpha-node2.cfg");
    fs::write(&file, format!("disk = [ 'tap:aio:{},xvda,w' ]\n", image.display())).unwrap();
    let pid = headless(&image);
    let found = ProcFs.writers(&with_config(Some(&file)), &[DOMID], &[]);
    let found = found.unwrap().all().find(|process| process.pid == pid).cloned();
    let lived = found.as_ref().is_some_and(|process| ProcFs.lives(process));
    let acts = found.as_ref().is_some_and(|process| ProcFs.acts(process));
    let child = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGKILL).unwrap();
    nix::sys::wait::waitpid(child, None).unwrap();
    // A configuration is read only if it is root's.
    assert!((lived, is_root()) != (false, true), "{found:?} has a thread that may write");
    assert!(!acts, "a broker of which only that is left does nothing any more");
    assert!(!found.is_some_and(|process| ProcFs.lives(&process)));
}
