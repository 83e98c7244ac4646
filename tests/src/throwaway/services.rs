//! The daemons of a throwaway dom0: sshd in both of its shapes, and syslog in three.

use super::command::Place;
use super::root::Root;
use crate::error::{Doing, Error, Result};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

/// Which sshd the agents are told to use. Both are shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sshd {
    /// An instance for fencing alone, on a port of its own.
    Dedicated,
    /// The host's own, with our Match block.
    Host,
}

impl Sshd {
    /// The port that it listens on.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            Self::Dedicated => 2422,
            Self::Host => 22,
        }
    }

    fn command(self, root: &Root) -> Result<Vec<String>> {
        let words = match self {
            Self::Host => "/usr/sbin/sshd -D -f /etc/ssh/sshd_config".to_owned(),
            Self::Dedicated => exec_start(root, "xen-fence-sshd.service")?,
        };
        Ok(words.split_whitespace().map(str::to_owned).collect())
    }

    fn unit(self) -> &'static str {
        match self {
            Self::Host => "ssh.service",
            Self::Dedicated => "xen-fence-sshd.service",
        }
    }
}

/// What listens at /dev/log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syslog {
    /// rsyslogd, writing everything to /var/log/syslog.
    Real,
    /// A socket that is full and that nobody reads: syslog(3) hangs.
    Mute,
    /// Nothing.
    None,
}

const RSYSLOG: &str = "module(load=\"imuxsock\" SysSock.RateLimit.Interval=\"0\")\n\
     *.* action(type=\"omfile\" file=\"/var/log/syslog\" fileCreateMode=\"0640\")\n";

/// Starts what is to be at /dev/log.
pub(crate) fn start_syslog(syslog: Syslog, root: &Root, dom0: &Place) -> Result<()> {
    match syslog {
        Syslog::None => return Ok(()),
        Syslog::Real => {
            root.write("/etc/rsyslog.conf", RSYSLOG.as_bytes(), 0o644)?;
            root.remove("/var/log/syslog")?;
            start(dom0, "rsyslog.service", &["/usr/sbin/rsyslogd", "-n", "-iNONE"])?;
        }
        Syslog::Mute => {
            let mut mute = dom0.clone();
            mute.way.push("--mute-log".to_owned());
            mute.must(&[])?;
        }
    }
    until("something listens at /dev/log", || root.metadata("/dev/log").is_ok())
}

/// Starts sshd, and returns when it listens.
pub(crate) fn start_sshd(sshd: Sshd, root: &Root, dom0: &Place, init: i32) -> Result<()> {
    root.make_dir("/run/sshd", 0o755)?;
    if root.metadata("/run/systemd/system").is_ok() {
        dom0.must(&["systemctl", "start", sshd.unit()])?;
    } else {
        let command = sshd.command(root)?;
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        start(dom0, sshd.unit(), &words)?;
    }
    let port = sshd.port();
    until(&format!("sshd listens on port {port}"), || listens(init, port))
}

/// Starts a daemon in the cgroup that systemd would give its unit.
pub(crate) fn start(dom0: &Place, unit: &str, words: &[&str]) -> Result<()> {
    let mut daemon = dom0.clone();
    daemon.way.extend(["--detach".to_owned(), format!("--cgroup=system.slice/{unit}")]);
    daemon.must(words).map(drop)
}

/// What a unit that we ship starts, so that what is tested is what is shipped.
fn exec_start(root: &Root, unit: &str) -> Result<String> {
    let places = ["/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
    let text = places
        .iter()
        .find_map(|place| root.read(&format!("{place}/{unit}")).ok())
        .ok_or_else(|| Error::new(format!("{unit} is not installed")))?;
    String::from_utf8_lossy(&text)
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .map(str::to_owned)
        .ok_or_else(|| Error::new(format!("{unit} has no ExecStart= line")))
}

/// True if a process in the network namespace of this one listens on this TCP port.
pub(crate) fn listens(pid: i32, port: u16) -> bool {
    let local = format!(":{port:04X}");
    ["tcp", "tcp6"].iter().any(|table| {
        let table = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        table.lines().any(|line| {
            let mut fields = line.split_whitespace().skip(1);
            fields.next().is_some_and(|address| address.ends_with(&local))
                && fields.nth(1) == Some("0A")
        })
    })
}

/// Waits a few seconds until this holds.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(10);
    while !holds() {
        if Instant::now() > end {
            return Err(Error::new(format!("it did not come true in 10 s that {what}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Binds /dev/log, fills it, and never reads: what a stuck syslog daemon leaves behind.
pub(crate) fn mute_log() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let path = "/dev/log";
    let _ = std::fs::remove_file(path);
    // Bound under another name first: whoever sees /dev/log sees it full.
    let early = "/dev/log.early";
    let _reader = UnixDatagram::bind(early).doing("bind /dev/log")?;
    std::fs::set_permissions(early, std::fs::Permissions::from_mode(0o666))
        .doing("open /dev/log to all")?;
    let writer = UnixDatagram::unbound().doing("make a socket")?;
    writer.connect(early).doing("connect to /dev/log")?;
    writer.set_nonblocking(true).doing("make a socket non-blocking")?;
    while writer.send(b"<13>throwaway: filling\n").is_ok() {}
    std::fs::rename(early, path).doing("name /dev/log")?;
    loop {
        std::thread::park();
    }
}
