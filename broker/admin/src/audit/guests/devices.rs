//! Devices through which a dead node may still write, or that keep it from dying: the proof looks at
//! blkback's, qemu's and tapdisk's disks in dom0, and at nothing else.

use super::config::{DomainConfig, MODEL_ARGS};
use super::files::{Known, Whose};
use super::live::Beyond;
use super::{Guests, quoted};
use crate::audit::{Code, Family, Finding, Scene, Severity};
use xen_fence_broker::xenstore::Uncovered;

const UNCOVERED: Code = Code {
    id: "XF160",
    severity: Severity::Warning,
    title: "a node has a device that the proof of its death does not cover",
};

pub(super) const FAMILY: Family = Family { codes: &[&UNCOVERED], look };

/// Keys that give a domain a device of another kind, and what that means for a fence.
const KINDS: [(&str, &str); 11] = [
    (
        "pci",
        "a PCI device that cannot be taken away makes the toolstack's destroy fail, and the node lives",
    ),
    ("dtdev", "a device of the host is its own, and may go on by itself"),
    ("gfx_passthru", "the host's graphics are its own: a PCI device like another"),
    ("vscsi", "what it wrote to a SCSI device may be under way after it is dead"),
    ("usbdev", "what it wrote to a USB device may be under way after it is dead"),
    ("usbctrl", "what it wrote to a USB device may be under way after it is dead"),
    ("usbdevice", "what it wrote to a USB device may be under way after it is dead"),
    ("p9", "a process of dom0 writes files for it that is neither its qemu nor a tapdisk"),
    ("virtio", "a process of dom0 serves it that is neither its qemu nor a tapdisk"),
    ("pvcalls", "dom0's own sockets speak for it, and may go on after it is dead"),
    (
        "device_model_stubdomain_override",
        "its device model is a domain of its own with another UUID, which may outlive it",
    ),
];

/// What stands among the words for qemu where it is given a device of the host.
const OF_HOST: [&str; 5] = ["vfio", "usb-host", "xen-pci-passthrough", "-virtfs", "-fsdev"];
/// What qemu makes up for a guest of HVM, and nothing is written to.
const INPUTS: [&str; 3] = ["tablet", "mouse", "keyboard"];

fn look(scene: &Scene) -> Vec<Finding> {
    let guests = scene.guests();
    let nodes = guests
        .configs
        .iter()
        .filter_map(|known| Some((known, known.of.as_ref()?, known.said.as_ref().ok()?)));
    let configured = nodes.flat_map(|(known, whose, config)| of_one(known, whose, config));
    let running = guests.beyond.iter().flatten().filter(|beyond| {
        let config = guests.config_of(&beyond.whose).and_then(|known| known.said.as_ref().ok());
        !config.is_some_and(|config| tells_of(config, &beyond.device))
    });
    configured.chain(running.map(|beyond| as_it_runs(guests, beyond))).collect()
}

/// Whether a configuration has a device of this kind itself, so that it is told with its line.
fn tells_of(config: &DomainConfig, device: &Uncovered) -> bool {
    match device {
        Uncovered::Pci => config.wants("pci").is_some(),
        Uncovered::ServedBy(_) => {
            let mut backends = config.disks().iter().filter_map(|disk| disk.backend.as_deref());
            backends.any(|name| !is_dom0(name))
        }
    }
}

/// What a node runs with, attached by hand or from another file than the policy's.
fn as_it_runs(guests: &Guests, beyond: &Beyond) -> Finding {
    let Beyond { whose, row, device } = beyond;
    let name = row.name.as_deref().map_or_else(|| row.domid.to_string(), quoted);
    let (xl, domid) = (guests.toolstack, row.domid);
    let (what, why, mend) = match device {
        Uncovered::Pci => (
            "pci",
            "one that cannot be taken away makes the toolstack's destroy fail, and the node lives",
            format!(
                "`{xl} pci-list {name}` shows it; if the node can do without, take it away with \
                 `{xl} pci-detach`"
            ),
        ),
        Uncovered::ServedBy(_) => (
            "driver domain",
            "nobody can see there whether writes are under way",
            format!("`{xl} block-list {name}` shows it: have dom0 serve it"),
        ),
    };
    Finding {
        code: &UNCOVERED,
        clusters: vec![whose.cluster.clone()],
        about: format!("{whose}: {what}"),
        evidence: format!("domain {domid} has {device}, as it runs: {why}"),
        mend,
    }
}

fn of_one(known: &Known, whose: &Whose, config: &DomainConfig) -> Vec<Finding> {
    let file = known.file.display();
    let mut findings = Vec::new();
    let mut find = |line: usize, what: &str, why: &str, mend: String| {
        findings.push(Finding {
            code: &UNCOVERED,
            clusters: vec![whose.cluster.clone()],
            about: format!("{whose}: {what}"),
            evidence: format!("{file}:{line}: {why}"),
            mend,
        });
    };
    for (key, why) in KINDS {
        if let Some(line) = wanted(config, key) {
            let mend =
                format!("take `{key}` out of {file}, line {line}, if the node can do without");
            find(line, key, why, mend);
        }
    }
    for key in MODEL_ARGS {
        // `-usbdevice` has it as a word of its own.
        let of_host = |(_, word): &(usize, &str)| {
            word.starts_with("host:") || OF_HOST.iter().any(|it| word.contains(it))
        };
        if let Some((line, word)) = config.list(key).into_iter().find(of_host) {
            let why = format!(
                "`{word}` gives qemu a device or a directory of the host, which may go on by itself"
            );
            let mend = format!("take it out of {file}, line {line}, if the node can do without");
            find(line, key, &why, mend);
        }
    }
    for disk in config.disks() {
        let line = disk.line;
        if let Some(backend) = disk.backend.as_deref().filter(|name| !is_dom0(name)) {
            let why = format!(
                "{} is served by the domain {backend}, where nobody can see whether writes are \
                 under way",
                disk.vdev
            );
            let mend = format!("in {file}, line {line}, have dom0 serve it: without `backend`");
            find(line, "driver domain", &why, mend);
        }
        if disk.virtio || disk.backendtype.as_deref() == Some("standalone") {
            let why = format!(
                "{} is served by a process of dom0 that is neither its qemu nor a tapdisk",
                disk.vdev
            );
            let mend = format!("in {file}, line {line}, make it a disk of Xen's own kind");
            find(line, "virtio", &why, mend);
        }
    }
    for (line, vif) in config.list("vif").into_iter().chain(config.list("vtpm")) {
        let backend = vif.split(',').find_map(|it| it.trim().strip_prefix("backend="));
        if let Some(backend) = backend.map(str::trim).filter(|name| !is_dom0(name)) {
            let why = format!(
                "a device is served by the domain {backend}: while that hangs, the toolstack's \
                 destroy waits for it, and what the node has sent may be under way in it"
            );
            let mend = format!("in {file}, line {line}, have dom0 serve it: without `backend`");
            find(line, "driver domain", &why, mend);
        }
    }
    findings
}

/// The line on which a domain is given something of this kind.
fn wanted(config: &DomainConfig, key: &str) -> Option<usize> {
    if key != "usbdevice" {
        return config.wants(key);
    }
    let is_one = |word: &str| !matches!(word.trim(), "" | "0") && !INPUTS.contains(&word.trim());
    config.list(key).into_iter().find(|(_, word)| is_one(word)).map(|(line, _)| line)
}

fn is_dom0(name: &str) -> bool {
    matches!(name, "" | "0" | "Domain-0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xen_fence_broker::settings::ToolstackKind;

    #[test]
    fn what_the_configuration_tells_is_not_told_as_it_runs() {
        let (pci, disk) = (Uncovered::Pci, Uncovered::ServedBy("3".to_owned()));
        for (text, told) in [
            ("disk = ['/d,,xvda']\nvif = ['backend=net']\npci = []\n", [false, false]),
            ("pci = ['01:00.0']\n", [true, false]),
            ("disk = ['/d,,xvda', '/e,,xvdb,backend=store']\n", [false, true]),
        ] {
            let config = DomainConfig::parse(text, ToolstackKind::Xl);
            assert_eq!([&pci, &disk].map(|device| tells_of(&config, device)), told, "{text}");
        }
    }

    #[test]
    fn xms_python_that_may_set_one_is_a_doubt() {
        for (key, _) in KINDS {
            let config = DomainConfig::parse(&format!("{key} = devices()\n"), ToolstackKind::Xm);
            assert_eq!(config.doubts().len(), 1, "{key}");
        }
    }

    #[test]
    fn each_kind_is_found_once_and_what_is_covered_never() {
        let table = [
            (
                "disk = ['/d,,xvda']\nvif = ['bridge=b,backend=Domain-0', 'backend=0']\npci = []\n",
                vec![],
            ),
            ("disk = ['/d,,xvda,backend=Domain-0']\nusbdevice = ''\ngfx_passthru = 0\n", vec![]),
            ("usbdevice = 'tablet'\n", vec![]),
            ("usbdevice = ['mouse', 'keyboard', 'tablet']\n", vec![]),
            ("usbdevice = ['tablet', 'host:1234:5678']\n", vec!["usbdevice"]),
            ("usbdevice = 'disk:/srv/stick.img'\n", vec!["usbdevice"]),
            ("pci = ['01:00.0']\n", vec!["pci"]),
            ("\ndisk = ['/d,,xvda,backend=store']\n", vec!["driver domain"]),
            ("vif = ['bridge=b', 'bridge=c, backend=net']\n", vec!["driver domain"]),
            ("disk = ['/d,,xvda,specification=virtio']\n", vec!["virtio"]),
            (
                "p9 = ['tag=x,path=/srv,security_model=none']\nvscsi = ['/dev/sdx,0:0:0:0']\n",
                vec!["vscsi", "p9"],
            ),
            (
                "device_model_args = ['-device', 'vfio-pci,host=01:00.0']\n",
                vec!["device_model_args"],
            ),
            ("device_model_args_hvm = ['-device', 'virtio-rng-pci']\n", vec![]),
            ("device_model_args = ['-serial', 'tcp:localhost:4444']\n", vec![]),
            (
                "device_model_args = ['-device', 'xen-pci-passthrough,hostaddr=0000:01:00.0']\n",
                vec!["device_model_args"],
            ),
            (
                "device_model_args_hvm = ['-usbdevice', 'host:1234:5678']\n",
                vec!["device_model_args_hvm"],
            ),
            ("device_model_args = ['-fsdev', 'local,id=f,path=/srv']\n", vec!["device_model_args"]),
            ("device_model_args = ['-virtfs', 'local,path=/srv']\n", vec!["device_model_args"]),
            ("device_model_stubdomain_override = 1\n", vec!["device_model_stubdomain_override"]),
        ];
        for (text, wanted) in table {
            let whose = Whose { cluster: "alpha".to_owned(), node: "node1".to_owned() };
            let config = DomainConfig::parse(text, ToolstackKind::Xl);
            assert!(config.doubts().is_empty(), "{config:?}");
            let (file, of) = ("/etc/xen/a.cfg".into(), Some(whose.clone()));
            let known = Known { file, identity: None, of, said: Ok(config) };
            let found = of_one(&known, &whose, known.said.as_ref().unwrap());
            let found: Vec<_> =
                found.iter().map(|it| it.about.rsplit(": ").next().unwrap()).collect();
            assert_eq!(found, wanted, "{text}");
        }
    }
}
