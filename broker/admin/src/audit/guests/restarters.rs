//! Services of dom0 that start domains of their own accord: they bring back what a fence has killed, or
//! take for a fault what was meant.

use super::patience::Patience;
use super::{Guests, files, owner, quoted};
use crate::acl::Policy;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::fs;
use std::path::{Path, PathBuf};
use xen_fence_broker::host::text;

const RESTARTS: Code = Code {
    id: "XF165",
    severity: Severity::Warning,
    title: "a service of this host may start what a fence has killed",
};

pub(super) const FAMILY: Family = Family { codes: &[&RESTARTS], look };

/// A service: what it is, its processes as the kernel calls them, its units, and what it does.
struct Service {
    name: &'static str,
    processes: &'static [&'static str],
    units: &'static [&'static str],
    why: &'static str,
}

const SERVICES: [Service; 4] = [
    Service {
        name: "libvirt",
        processes: &["libvirtd", "virtxend"],
        units: &[
            "libvirtd.service",
            "libvirtd.socket",
            "virtxend.service",
            "virtxend.socket",
            "libvirt-guests.service",
        ],
        why: "it watches over its domains itself, where no xl process shows it, and starts those \
              marked autostart",
    },
    Service {
        name: "XAPI",
        processes: &["xapi", "xenopsd"],
        units: &["xapi.service", "xenopsd.service"],
        why: "its high availability starts domains again that it finds dead",
    },
    Service {
        name: "a cluster manager",
        processes: &["pacemakerd", "heartbeat"],
        units: &["pacemaker.service", "heartbeat.service"],
        why: "on dom0 it starts domains that are its resources as soon as it finds them dead",
    },
    Service {
        name: "Ganeti",
        processes: &["ganeti-noded", "ganeti-luxid"],
        units: &["ganeti-noded.service", "ganeti-luxid.service"],
        why: "its watcher starts instances again that it finds dead",
    },
];

fn look(scene: &Scene) -> Vec<Finding> {
    let root = Path::new("/");
    let mut findings = match processes(root) {
        Ok(running) => {
            SERVICES.iter().filter_map(|service| found(service, &running, root)).collect()
        }
        Err(error) => vec![Finding {
            code: &RESTARTS,
            clusters: Vec::new(),
            about: "/proc".to_owned(),
            evidence: format!("the processes of this host cannot be looked at: {error}"),
            mend: "run it as root on dom0".to_owned(),
        }],
    };
    findings.extend(xendomains(&scene.policy, scene.guests(), root));
    findings
}

/// A process: its number, its name as the kernel has it, and the unit that it belongs to, if to one.
struct Process {
    pid: u32,
    name: String,
    unit: Option<String>,
}

fn processes(root: &Path) -> std::io::Result<Vec<Process>> {
    let process = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let name = fs::read(entry.path().join("comm")).ok()?;
        let name = String::from_utf8_lossy(&name).trim_end().to_owned();
        let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
        let mut groups = groups.lines().filter_map(|line| line.rsplit('/').next());
        let unit = groups.find(|group| group.ends_with(".service")).map(ToOwned::to_owned);
        Some(Process { pid, name, unit })
    };
    Ok(fs::read_dir(root.join("proc"))?.flatten().filter_map(process).collect())
}

fn found(service: &Service, running: &[Process], root: &Path) -> Option<Finding> {
    let process = running.iter().find(|it| service.processes.contains(&it.name.as_str()));
    let starts = service.units.iter().copied().filter(|unit| starts_at_boot(root, unit));
    let enabled: Vec<&str> = starts.collect();
    let evidence = match (process, enabled.first()) {
        (Some(process), _) => format!("{} runs here: {}", process.name, service.why),
        (None, Some(unit)) => format!("{unit} starts when this host boots: {}", service.why),
        (None, None) => return None,
    };
    // Who is stopped may stop or save what it has started, so that this comes first.
    let first = "if it manages no domain of a cluster (else take them out of it first)";
    let unit = process.and_then(|process| process.unit.as_deref());
    let mut steps = Vec::new();
    if !enabled.is_empty() {
        // It calls update-rc.d for those that have a script alone.
        steps.push(format!("systemctl disable {}", enabled.join(" ")));
    }
    match (process, unit) {
        (Some(_), Some(unit)) => steps.push(format!("systemctl stop {unit}")),
        (Some(Process { pid, .. }), None) => steps.push(format!("kill {pid}")),
        (None, _) => {}
    }
    let mend = format!("{first}: {}", steps.join(" && "));
    let (about, clusters) = (service.name.to_owned(), Vec::new());
    Some(Finding { code: &RESTARTS, clusters, about, evidence, mend })
}

/// Whether systemd or one of init's directories starts it when the host boots.
fn starts_at_boot(root: &Path, unit: &str) -> bool {
    let entries = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten();
    let script = unit.strip_suffix(".service").unwrap_or(unit);
    let by_systemd = entries(root.join("etc/systemd/system")).any(|target| {
        let wants = target.path();
        wants.extension().is_some_and(|end| end == "wants" || end == "requires")
            && fs::symlink_metadata(wants.join(unit)).is_ok()
    });
    let by_init = ["2", "3", "4", "5"].iter().any(|level| {
        entries(root.join(format!("etc/rc{level}.d"))).any(|entry| {
            let name = entry.file_name();
            let begins = |name: &str| name.strip_prefix('S').map(|it| it.get(2..) == Some(script));
            name.to_str().and_then(begins).unwrap_or(false)
        })
    });
    by_systemd || by_init
}

/// xendomains starts what is in /etc/xen/auto when the host boots, and what it has saved when the host
/// went down. A node that goes on where it was saved writes where it was, after others have taken over.
fn xendomains(policy: &Policy, guests: &Guests, root: &Path) -> Vec<Finding> {
    if !starts_at_boot(root, "xendomains.service") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let settings = ["etc/default/xendomains", "etc/sysconfig/xendomains"].map(|it| root.join(it));
    for (file, saves) in settings.iter().map(|file| (file.display(), saves(file))) {
        let (evidence, mend) = match saves {
            Ok(false) => continue,
            Ok(true) => (
                format!(
                    "XENDOMAINS_SAVE in {file} is a directory: the nodes are saved when this host \
                     goes down, and go on in the middle of what they wrote when it is up again"
                ),
                format!("sed -i 's/^XENDOMAINS_SAVE=.*/XENDOMAINS_SAVE=\"\"/' {file}"),
            ),
            Err(why) => (
                format!("{why}: whether the nodes are saved when this host goes down is not known"),
                format!("see with `ls -l {file}` what it is, and put a plain file in its place"),
            ),
        };
        findings.push(Finding {
            code: &RESTARTS,
            clusters: Vec::new(),
            about: "xendomains".to_owned(),
            evidence,
            mend,
        });
    }
    let patience = Patience::default();
    let auto = root.join("etc/xen/auto");
    // What does not answer there is told with the configurations.
    let entries = patience.ask(move || names(&auto)).unwrap_or_default();
    for link in entries {
        let Ok(Some(identity)) = files::identity(&link, &patience) else { continue };
        let known = guests.configs.iter().find(|known| known.identity == Some(identity));
        let Some(whose) = known.and_then(|known| owner(policy, known)) else { continue };
        findings.push(Finding {
            code: &RESTARTS,
            clusters: vec![whose.cluster.clone()],
            about: format!("xendomains and {whose}"),
            evidence: format!(
                "{} has it started when this host boots, also if a fence has left it off",
                link.display()
            ),
            mend: format!("rm {}", quoted(&link.display().to_string())),
        });
    }
    findings
}

fn names(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Whether the settings of xendomains name a directory for saved domains.
fn saves(file: &Path) -> Result<bool, String> {
    let text = text(file)?.unwrap_or_default();
    let value = text.lines().rev().find_map(|line| line.trim().strip_prefix("XENDOMAINS_SAVE="));
    Ok(value.is_some_and(|value| !matches!(value.trim(), "" | "\"\"" | "''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_runs_and_what_starts_at_boot_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        let make = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        make("proc/1/comm", "systemd\n");
        make("proc/self/comm", "libvirtd\n");
        let of = |root: &Path| {
            let running = processes(root).unwrap();
            let found = SERVICES.iter().filter_map(|service| found(service, &running, root));
            let command = |mend: String| mend.rsplit(": ").next().unwrap().to_owned();
            found.map(|finding| command(finding.mend)).collect::<Vec<_>>()
        };
        assert!(of(root).is_empty());
        make("proc/70/comm", "libvirtd\n");
        assert_eq!(of(root), ["kill 70"]);
        make("proc/70/cgroup", "0::/system.slice/libvirtd.service\n");
        assert_eq!(of(root), ["systemctl stop libvirtd.service"]);
        fs::remove_dir_all(root.join("proc/70")).unwrap();
        let wants = root.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants).unwrap();
        symlink("/lib/systemd/system/xapi.service", wants.join("xapi.service")).unwrap();
        make("etc/rc3.d/S01pacemaker", "");
        make("etc/rc3.d/K01heartbeat", "");
        assert_eq!(
            of(root),
            ["systemctl disable xapi.service", "systemctl disable pacemaker.service"]
        );
    }

    #[test]
    fn xendomains_saves_where_it_is_told_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("xendomains");
        for (text, saves_there) in [
            ("XENDOMAINS_SAVE=/var/lib/xen/save\n", true),
            ("## x\nXENDOMAINS_SAVE=\"\"\n", false),
            ("XENDOMAINS_SAVE=\n", false),
            ("XENDOMAINS_SAVE=/a\nXENDOMAINS_SAVE=\"\"\n", false),
            ("#XENDOMAINS_SAVE=/a\n", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(saves(&file), Ok(saves_there), "{text}");
        }
        assert_eq!(saves(&dir.path().join("none")), Ok(false));
        let pipe = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        assert!(saves(&pipe).unwrap_err().contains("not a regular file"));
    }
}
