//! sshd as it will really be: its effective settings, its host key, and whether it answers.

use super::Fault;
use super::put::{self, Found};
use super::shipped::{HOST_CONF, MATCH_CONF, SSHD_CONFIG};
use super::systemd;
use super::wishes::Way;
use crate::acl::accounts::GROUP;
use crate::etc;
use crate::patterns::{fits, user_and_hosts};
use std::fs;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};
use xen_fence_broker::command;
use xen_fence_broker::host::own_name;
use xen_fence_broker::names::PublicKey;

const SSHD: &str = "/usr/sbin/sshd";
/// Without it, Debian's sshd neither starts nor says its settings.
const SEPARATION: &str = "/run/sshd";
const LIMIT: Duration = Duration::from_secs(10);
/// How many lines of sshd's complaints are repeated.
const MOST_LINES: usize = 3;
/// How long a daemon that was just started may take until it answers.
const START: Duration = Duration::from_secs(10);

/// Where nodes come in, and what they know the host by.
pub(super) struct Door {
    /// `ADDRESS:PORT`, or a name; without the port where it is ssh's own.
    pub(super) place: String,
    /// Where it can be tried from this host.
    nearby: SocketAddr,
    pub(super) fingerprint: String,
    pub(super) key_type: String,
}

/// The way in that this host has.
pub(super) fn installed() -> Way {
    let there = |path: &str| Path::new(path).exists();
    if there(MATCH_CONF) && !there(SSHD_CONFIG) { Way::Match } else { Way::Dedicated }
}

/// Whether the sshd for fencing has been told where to listen.
pub(super) fn is_told_where() -> bool {
    text(HOST_CONF).is_some_and(|text| text.to_lowercase().contains("listenaddress"))
}

/// What a plain file says.
fn text(path: &str) -> Option<String> {
    match put::look(Path::new(path), 0) {
        Ok(Found::File { text, .. }) => Some(text),
        Ok(Found::Missing) | Err(_) => None,
    }
}

/// Whether sshd accepts its settings as they are now.
pub(super) fn accepts(way: Way) -> Result<(), Fault> {
    run(&["-t", "-f", config(way)]).map(drop)
}

/// Whether sshd will look for the account's keys where they are, by its effective settings.
pub(super) fn lets(way: Way, cluster: &str) -> Result<(), Fault> {
    let told = settings(way, &format!("fence-{cluster}"))?;
    let has = |wanted: &str| told.lines().any(|line| line.starts_with(wanted));
    let account = format!("fence-{cluster}");
    for (key, ours) in [("allowgroups", GROUP), ("allowusers", account.as_str())] {
        // From which hosts he may come is for the audit to say.
        let named = |line: &str| {
            let mut words = line.split(' ').skip(1);
            words.any(|word| fits(user_and_hosts(word).0, ours))
        };
        let of_key = || told.lines().filter(|line| line.starts_with(&format!("{key} ")));
        if of_key().next().is_some() && !of_key().any(named) {
            return Err(format!(
                "{} lets in some alone, and {account} is not among them\n  hint: add {ours} to \
                 {key} there, and have sshd read it again",
                config(way)
            ));
        }
    }
    if has("authorizedkeysfile /etc/xen-fence/keys/%u")
        || has("authorizedkeyscommand /usr/lib/xen-fence/xen-fence-keys ")
    {
        return Ok(());
    }
    Err(match way {
        Way::Dedicated => format!(
            "by {SSHD_CONFIG} sshd does not look for the keys of fence-{cluster} where they are\n  \
             hint: mv {SSHD_CONFIG} {SSHD_CONFIG}.old, and run this again"
        ),
        Way::Match => format!(
            "the host's sshd does not read {MATCH_CONF}, or something before it says otherwise\n  \
             hint: {} needs, above all else, the line `Include \
             /etc/ssh/sshd_config.d/*.conf`",
            config(way)
        ),
    })
}

/// sshd's effective settings for a login. Where a Match block is by something that is not told, sshd tells
/// nothing at all.
fn settings(way: Way, user: &str) -> Result<String, Fault> {
    let login = format!("user={user},host=node,addr=127.0.0.1,laddr=127.0.0.1,lport=22");
    run(&["-T", "-C", &login, "-f", config(way)])
}

/// Where it listens and what its key is, by its effective settings.
pub(super) fn door(way: Way) -> Result<Door, Fault> {
    let told = settings(way, "root")?;
    let all = |key: &str| -> Vec<&str> {
        let of_key = |line| Some(str::strip_prefix(line, key)?.strip_prefix(' ')?.trim());
        told.lines().filter_map(of_key).collect()
    };
    let places: Vec<SocketAddr> =
        all("listenaddress").iter().filter_map(|place| place.parse().ok()).collect();
    let own = places.iter().find(|place| !place.ip().is_unspecified());
    let Some(first) = own.or(places.first()) else {
        return Err(format!("by {} sshd listens nowhere", config(way)));
    };
    let (place, nearby) = if first.ip().is_unspecified() {
        let near: IpAddr =
            if first.is_ipv4() { [127, 0, 0, 1].into() } else { [0, 0, 0, 0, 0, 0, 0, 1].into() };
        (named(&own_name().to_string(), first.port()), SocketAddr::new(near, first.port()))
    } else {
        let address = match first.ip() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        (named(&address, first.port()), *first)
    };
    let key = |path: &&str| PublicKey::parse(text(&format!("{path}.pub"))?.trim_end()).ok();
    let mut keys: Vec<PublicKey> = all("hostkey").iter().filter_map(key).collect();
    // An agent asks for this one first, and so does ssh.
    keys.sort_by_key(|key| !key.type_and_base64().starts_with("ssh-ed25519 "));
    let Some(key) = keys.first() else {
        return Err(format!(
            "there is no public half of a host key that {} names\n  hint: `ssh-keygen -A` makes host keys",
            config(way)
        ));
    };
    let line = key.type_and_base64();
    Ok(Door {
        place,
        nearby,
        fingerprint: key.fingerprint().to_string(),
        key_type: line.split(' ').next().unwrap_or_default().to_owned(),
    })
}

fn named(host: &str, port: u16) -> String {
    if port == SSH_PORT { host.to_owned() } else { format!("{host}:{port}") }
}

const SSH_PORT: u16 = 22;

/// Whether an SSH server answers there; waits for one that was just started.
pub(super) fn answers(way: Way, door: &Door, is_started: bool) -> Result<(), Fault> {
    let end = Instant::now() + if is_started { START } else { Duration::ZERO };
    loop {
        let why = match greets(door.nearby) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if Instant::now() >= end {
            let at = door.nearby;
            return Err(format!("no sshd answers at {at}: {why}\n  hint: {}", starts(way)));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn greets(at: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut greeting = [0; 4];
    stream.read_exact(&mut greeting)?;
    if &greeting == b"SSH-" {
        Ok(())
    } else {
        Err(std::io::Error::other("something else than SSH answers"))
    }
}

/// What starts it.
fn starts(way: Way) -> String {
    match way {
        Way::Dedicated if systemd::runs() => {
            "systemctl restart xen-fence-sshd; if that does not help, /var/log/xen-fence/sshd.log and \
             systemctl status xen-fence-sshd say why"
                .to_owned()
        }
        Way::Dedicated => format!(
            "systemd does not run here; start it now and at each boot: mkdir -p {SEPARATION}; \
             {SSHD} -E /var/log/xen-fence/sshd.log -f {SSHD_CONFIG}"
        ),
        Way::Match => "start the host's sshd, or have it read its settings again".to_owned(),
    }
}

fn config(way: Way) -> &'static str {
    match way {
        Way::Dedicated => SSHD_CONFIG,
        Way::Match => etc::SSHD.file(),
    }
}

fn run(arguments: &[&str]) -> Result<String, Fault> {
    // It is gone with each boot, and with each stop of Debian's ssh.service.
    let made = fs::create_dir(SEPARATION);
    if let Err(error) = made
        && error.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(format!("{SEPARATION} cannot be made: {error}"));
    }
    match command::run(Path::new(SSHD), arguments, LIMIT) {
        Ok(done) if done.status.success() => Ok(done.stdout),
        Ok(done) => {
            // The last line only says that there was another.
            let said = done.stderr.lines().take(MOST_LINES).map(crate::output::escaped);
            let said = said.collect::<Vec<_>>().join("; ");
            Err(format!("sshd does not accept its settings: {said}"))
        }
        Err(error) => Err(error.to_string()),
    }
}
