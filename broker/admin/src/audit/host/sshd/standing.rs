//! Whether an sshd stands at its port, and will after the next boot; and whether it has room for all
//! who may ask at once.

use super::super::look::{self, finding};
use super::config::{self, Line};
use super::settings::{self, Effective, Seen};
use super::{DEDICATED_FILE, PRIVATE_DIR, SSHD, Way, has_dedicated, logins, mends};
use crate::audit::{Code, Finding, Scene, Severity};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

pub(super) const SILENT: Code =
    Code { id: "XF121", severity: Severity::Serious, title: "no sshd answers for fencing" };
pub(super) const NOT_ENABLED: Code = Code {
    id: "XF122",
    severity: Severity::Serious,
    title: "the sshd for fencing is not started at boot",
};
pub(super) const SHARED: Code =
    Code { id: "XF123", severity: Severity::Warning, title: "one sshd serves everybody" };
pub(super) const MAX_STARTUPS: Code = Code {
    id: "XF124",
    severity: Severity::Warning,
    title: "sshd turns logins away before all nodes have asked",
};
pub(super) const TASKS: Code = Code {
    id: "XF126",
    severity: Severity::Warning,
    title: "the unit of the sshd for fencing has too little room",
};
pub(super) const NO_LOGIN: Code = Code {
    id: "XF106",
    severity: Severity::Serious,
    title: "this host lets nobody but root log in",
};

/// How long sshd may take to say who it is.
const GREETING: Duration = Duration::from_secs(3);
const UNIT: &str = "xen-fence-sshd.service";
/// As many begin to be let in unless the configuration says otherwise.
const SHIPPED_STARTUPS: usize = 60;
/// A login of an account is two processes of sshd's and a broker, and xen-fence-keys allows 64.
const TASKS_OF_ACCOUNT: u64 = 192;
/// Those who have not logged in yet: MaxStartups, and a program for the keys of each.
const TASKS_OF_STRANGERS: u64 = 130;

/// Looks at all of it.
pub(super) fn look(scene: &Scene, read: &[(Way, Vec<Seen<'_>>)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let of = |wanted: Way| {
        let (_, seen) = read.iter().find(|(way, _)| *way == wanted)?;
        seen.first().map(|(_, effective)| effective)
    };
    if let Some(dedicated) = of(Way::Dedicated) {
        match answers(Way::Dedicated, dedicated) {
            Ok(()) => findings.extend(is_enabled()),
            Err(why) => findings.push(silent(Way::Dedicated, &why)),
        }
        findings.extend(tasks(scene));
    } else if !has_dedicated() {
        let hosts = of(Way::Hosts);
        let why = hosts.and_then(|hosts| answers(Way::Hosts, hosts).err());
        findings.extend(why.map(|why| silent(Way::Hosts, &why)));
        findings.push(without(hosts.is_some()));
    }
    let callers: usize = scene
        .policy
        .clusters
        .iter()
        .map(|cluster| cluster.nodes().len().saturating_add(cluster.operators().len()))
        .sum();
    for way in [Way::Dedicated, Way::Hosts] {
        findings.extend(of(way).and_then(|effective| startups(way, effective, callers)));
    }
    let pam = [Way::Dedicated, Way::Hosts]
        .into_iter()
        .filter_map(of)
        .any(|effective| effective.is("usepam", "yes"));
    findings.extend(no_login(pam));
    findings
}

/// Whether something that is an sshd answers wherever this one should.
fn answers(way: Way, effective: &Effective) -> Result<(), String> {
    let listeners = effective.listeners();
    if listeners.is_empty() {
        return Err(format!("{} names no address to listen on", way.file()));
    }
    let (everywhere, named): (Vec<SocketAddr>, Vec<SocketAddr>) =
        listeners.into_iter().partition(|listener| listener.ip().is_unspecified());
    let tried = |listener: &SocketAddr| {
        let address = reachable(*listener);
        greets(address).map_err(|error| format!("{address}: {error}"))
    };
    let mut silent: Vec<String> = named.iter().filter_map(|it| tried(it).err()).collect();
    // A host without IPv6 listens everywhere all the same.
    let ports: BTreeSet<u16> = everywhere.iter().map(SocketAddr::port).collect();
    for port in ports {
        let of_port = everywhere.iter().filter(|listener| listener.port() == port);
        let tries: Vec<_> = of_port.map(tried).collect();
        if tries.iter().all(Result::is_err) {
            silent.extend(tries.into_iter().filter_map(Result::err));
        }
    }
    if silent.is_empty() { Ok(()) } else { Err(silent.join("; ")) }
}

/// Who listens everywhere listens here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(logins::loopback(address.ip()));
    }
    address
}

fn greets(address: SocketAddr) -> Result<(), String> {
    let told = |error: std::io::Error| {
        if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            return format!("it says nothing within {} s", GREETING.as_secs());
        }
        error.to_string()
    };
    let mut stream = TcpStream::connect_timeout(&address, GREETING).map_err(told)?;
    stream.set_read_timeout(Some(GREETING)).map_err(told)?;
    let mut greeting = [0_u8; 4];
    stream.read_exact(&mut greeting).map_err(told)?;
    if &greeting == b"SSH-" { Ok(()) } else { Err("what answers there is no sshd".to_owned()) }
}

fn silent(way: Way, why: &str) -> Finding {
    let unit = match way {
        Way::Dedicated => UNIT,
        Way::Hosts => super::hosts_unit(),
    };
    let mend = match way {
        _ if look::has_systemd() => format!("systemctl enable {unit} && systemctl restart {unit}"),
        Way::Dedicated => format!(
            "mkdir -p -m 0755 {PRIVATE_DIR} && {SSHD} -E /var/log/xen-fence/sshd.log -f \
             {DEDICATED_FILE}"
        ),
        Way::Hosts => format!("mkdir -p -m 0755 {PRIVATE_DIR} && {SSHD}"),
    };
    finding(&SILENT, unit, format!("{why}: no agent gets in there"), mend)
}

fn is_enabled() -> Option<Finding> {
    if !look::has_systemd() {
        return None;
    }
    let said = match look::run("/usr/bin/systemctl", &["is-enabled", UNIT]) {
        Ok(done) => done.stdout.trim().to_owned(),
        Err(why) => {
            let mend = format!("systemctl is-enabled {UNIT}");
            return Some(look::unseen(look::About::AFence, UNIT, why, &mend));
        }
    };
    // "enabled-runtime" is until the next boot.
    (said != "enabled").then(|| {
        let evidence = format!("systemd says {said:?}: after a boot no fence works");
        finding(&NOT_ENABLED, UNIT, evidence, format!("systemctl enable {UNIT}"))
    })
}

/// There is no sshd for fencing alone.
fn without(hosts_serves: bool) -> Finding {
    let get = format!("make install-dom0 SSHD=dedicated && systemctl enable --now {UNIT}");
    if hosts_serves {
        let evidence = "the host's own sshd serves clusters and administrators: a tenant's noise, \
                        a stuck syslog or /run/nologin keep a fence out";
        finding(&SHARED, Way::Hosts.file(), evidence, get)
    } else {
        let evidence = "there is neither an sshd for fencing nor a block for it in the host's own";
        finding(&SILENT, DEDICATED_FILE, evidence, get)
    }
}

/// `START:RATE:FULL`: from START waiting logins on some are turned away (sshd_config(5)).
fn startups(way: Way, effective: &Effective, callers: usize) -> Option<Finding> {
    let value = effective.all("maxstartups").first()?;
    if begin(value)? >= callers {
        return None;
    }
    let start = callers.max(SHIPPED_STARTUPS);
    let wanted = format!("MaxStartups {start}:30:{}", start.saturating_mul(2));
    let lines = config::lines(Path::new(way.file()));
    // Which of several counts differs between versions of OpenSSH: all that are too small have to go.
    let small: Vec<&Line> = lines
        .iter()
        .filter(|line| line.keyword == "maxstartups" && begin(&line.value) < Some(callers))
        .collect();
    let change = match small.as_slice() {
        [] => mends::add_for_all(way, &wanted, &lines),
        small => small.iter().map(|line| mends::set(line, &wanted)).collect::<Vec<_>>().join("; "),
    };
    let evidence = format!(
        "MaxStartups is {value}, and {callers} nodes and operators may ask at once, when a switch \
         fails"
    );
    let about = small.first().map_or_else(|| way.file().to_owned(), |line| settings::place(line));
    Some(finding(&MAX_STARTUPS, about, evidence, format!("{change}; {}", way.reload())))
}

fn tasks(scene: &Scene) -> Option<Finding> {
    if !look::has_systemd() {
        return None;
    }
    let args = ["show", UNIT, "--property=TasksMax", "--value"];
    let said = look::run("/usr/bin/systemctl", &args).ok()?.stdout;
    // "infinity" is no number, and enough.
    let most: u64 = said.trim().parse().ok()?;
    let accounts = u64::try_from(scene.policy.clusters.len()).unwrap_or(u64::MAX);
    let needed = accounts.saturating_mul(TASKS_OF_ACCOUNT).saturating_add(TASKS_OF_STRANGERS);
    (most < needed).then(|| {
        let evidence = format!(
            "its TasksMax is {most}; {accounts} accounts with all their logins take {needed}"
        );
        let mend = format!("systemctl set-property {UNIT} TasksMax={}", needed.saturating_mul(2));
        finding(&TASKS, UNIT, evidence, mend)
    })
}

fn begin(value: &str) -> Option<usize> {
    value.split(':').next()?.parse().ok()
}

/// sshd itself looks for /etc/nologin where it does without PAM, and pam_nologin for both.
fn no_login(pam: bool) -> Option<Finding> {
    let files = ["/etc/nologin", "/run/nologin"];
    let stops = |file: &&&str| Path::new(**file).exists() && (pam || **file == "/etc/nologin");
    let file = files.iter().find(stops)?;
    let evidence = if *file == "/etc/nologin" {
        "while it exists no agent gets in"
    } else {
        "while it exists no agent gets in through the host's own sshd"
    };
    Some(finding(&NO_LOGIN, file, evidence, format!("rm {file}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;

    #[test]
    fn only_an_sshd_counts_and_silence_ends() {
        let greeter = |words: &'static [u8]| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(words).unwrap();
            });
            greets(address)
        };
        assert_eq!(greeter(b"SSH-2.0-x\r\n"), Ok(()));
        assert!(greeter(b"HTTP/1.1").unwrap_err().contains("no sshd"));
        let mute = TcpListener::bind("127.0.0.1:0").unwrap();
        let why = greets(mute.local_addr().unwrap()).unwrap_err();
        assert!(why.contains("nothing within"), "{why}");
        let everywhere: SocketAddr = "[::]:2422".parse().unwrap();
        assert_eq!(reachable(everywhere).to_string(), "[::1]:2422");
    }
}
