//! `xenstore-ls`, `xenstore-read` and `xenstore-exists` over a tree made from the records.
//!
//! Paths as T73 and T74 show them, as far as somebody who fences would look; errors as T76.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::disk::Disk;
use super::state::{Record, State};
use super::{err, faults, out};

/// A node's value and its children in the order in which they were made.
#[derive(Default)]
struct Node {
    value: String,
    order: Vec<String>,
    children: BTreeMap<String, Node>,
}

impl Node {
    fn set(&mut self, path: &str, value: &str) {
        let mut node = self;
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if !node.children.contains_key(part) {
                node.order.push(part.to_owned());
            }
            node = node.children.entry(part.to_owned()).or_default();
        }
        value.clone_into(&mut node.value);
    }

    fn get(&self, path: &str) -> Option<&Self> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        parts.try_fold(self, |node, part| node.children.get(part))
    }

    fn show(&self, path: &str, depth: usize, whole: bool, to: &mut String) {
        for key in &self.order {
            let Some(child) = self.children.get(key) else { continue };
            let full = format!("{}/{key}", path.trim_end_matches('/'));
            if whole {
                let _ = writeln!(to, "{full} = \"{}\"", child.value);
            } else {
                let _ = writeln!(to, "{:depth$}{key} = \"{}\"", "", child.value);
            }
            child.show(&full, depth + 1, whole, to);
        }
    }
}

/// Runs one of the three commands; the answer is the exit code.
pub fn run(name: &str, args: &[String]) -> i32 {
    faults::xenstored();
    let whole = args.iter().any(|arg| arg == "-f");
    let mut paths: Vec<&str> =
        args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-')).collect();
    let tree = match tree() {
        Ok(tree) => tree,
        Err(error) => {
            err(&format!("{name}: {error}\n"));
            return 1;
        }
    };
    if name == "xenstore-ls" && paths.is_empty() {
        paths.push("/");
    }
    if paths.is_empty() {
        err(&format!("Usage: {name} [-h] [-p] [-s] [-R] key [...]\n"));
        return 1;
    }
    for path in paths {
        let node = tree.get(path);
        match (name, node) {
            ("xenstore-ls", Some(node)) => {
                let mut text = String::new();
                node.show(path, 0, whole, &mut text);
                out(&text);
            }
            ("xenstore-ls", None) => {
                err(&format!("{name}: xs_directory ({path}): No such file or directory\n"));
                return 1;
            }
            ("xenstore-read", Some(node)) => out(&format!("{}\n", node.value)),
            ("xenstore-read", None) => {
                err(&format!("{name}: couldn't read path {path}\n"));
                return 1;
            }
            (_, Some(_)) => {}
            (_, None) => return 1,
        }
    }
    0
}

fn tree() -> Result<Node, String> {
    let mut tree = Node::default();
    tree.set("/tool/xenstored", "");
    let dom0 = "/local/domain/0";
    tree.set(&format!("{dom0}/name"), "Domain-0");
    tree.set(&format!("{dom0}/domid"), "0");
    for record in State::look()?.all() {
        if record.backends {
            for disk in &record.config.disks {
                disk_backend(&mut tree, &record, disk);
            }
            for number in 0..record.config.vifs.len() {
                let id = record.id;
                let path = format!("{dom0}/backend/vif/{id}/{number}");
                tree.set(
                    &format!("{path}/frontend"),
                    &format!("/local/domain/{id}/device/vif/{number}"),
                );
                tree.set(&format!("{path}/frontend-id"), &id.to_string());
                tree.set(&format!("{path}/state"), "4");
            }
        }
        if record.name.is_some() {
            domain(&mut tree, &record);
        }
    }
    Ok(tree)
}

fn disk_backend(tree: &mut Node, record: &Record, disk: &Disk) {
    let (id, devid, backend) = (record.id, disk.devid(), disk.kind.backend());
    let base = format!("/local/domain/0/backend/{backend}/{id}/{devid}");
    let mode = if disk.writable { "w" } else { "r" };
    let params = if backend == "vbd" { disk.path.clone() } else { format!("aio:{}", disk.path) };
    // A loop device's; anything else is given its domain's number.
    let minor = disk.path.strip_prefix("/dev/loop").and_then(|number| number.parse().ok());
    let device = format!("7:{}", minor.unwrap_or(id));
    let values = [
        ("frontend", format!("/local/domain/{id}/device/vbd/{devid}")),
        ("params", params),
        ("script", "/etc/xen/scripts/block".to_owned()),
        ("frontend-id", id.to_string()),
        ("online", "1".to_owned()),
        ("removable", "0".to_owned()),
        ("bootable", "1".to_owned()),
        // A guest that runs has connected; on real Xen that takes it a while (T90).
        ("state", if record.building { "2" } else { "4" }.to_owned()),
        ("dev", disk.vdev.clone()),
        ("type", if backend == "vbd" { "phy" } else { backend }.to_owned()),
        ("mode", mode.to_owned()),
        ("device-type", "disk".to_owned()),
        ("discard-enable", "1".to_owned()),
        ("specification", "xen".to_owned()),
        ("feature-max-indirect-segments", "256".to_owned()),
        ("multi-queue-max-queues", "1".to_owned()),
        ("max-ring-page-order", "4".to_owned()),
        ("physical-device", device),
        ("physical-device-path", disk.path.clone()),
        ("hotplug-status", "connected".to_owned()),
    ];
    let sectors = std::fs::metadata(&disk.path).map_or(0, |image| image.len() / 512).to_string();
    let once_connected = [
        ("feature-flush-cache", "1"),
        ("discard-granularity", "1024"),
        ("discard-alignment", "0"),
        ("discard-secure", "0"),
        ("feature-discard", "1"),
        ("feature-barrier", "1"),
        ("feature-persistent", "1"),
        ("sectors", &sectors),
        ("info", "0"),
        ("sector-size", "512"),
        ("physical-sector-size", "512"),
    ];
    let once_connected = once_connected.map(|(key, value)| (key, value.to_owned()));
    let kernel_only = ["script", "physical-device", "physical-device-path", "hotplug-status"];
    let connected = if record.building { Vec::new() } else { once_connected.to_vec() };
    for (key, value) in values.into_iter().chain(connected) {
        if backend == "vbd" || !kernel_only.contains(&key) {
            tree.set(&format!("{base}/{key}"), &value);
        }
    }
}

fn domain(tree: &mut Node, record: &Record) {
    let id = record.id;
    let base = format!("/local/domain/{id}");
    let mut set = |key: &str, value: &str| tree.set(&format!("{base}/{key}"), value);
    set("vm", &format!("/vm/{}", record.uuid));
    set("name", record.name.as_deref().unwrap_or_default());
    for cpu in 0..record.config.vcpus {
        set(&format!("cpu/{cpu}/availability"), "online");
    }
    let kb = (record.config.memory * 1024).to_string();
    set("memory/static-max", &kb);
    set("memory/target", &kb);
    set("memory/videoram", "0");
    set("device/suspend/event-channel", "");
    for disk in record.config.disks.iter().filter(|_| record.backends) {
        let (devid, backend) = (disk.devid(), disk.kind.backend());
        let device = format!("device/vbd/{devid}");
        set(
            &format!("{device}/backend"),
            &format!("/local/domain/0/backend/{backend}/{id}/{devid}"),
        );
        set(&format!("{device}/backend-id"), "0");
        set(&format!("{device}/state"), if record.building { "1" } else { "4" });
        set(&format!("{device}/virtual-device"), &devid.to_string());
        set(&format!("{device}/device-type"), "disk");
        set(&format!("{device}/trusted"), "1");
        set(&format!("{device}/protocol"), "x86_64-abi");
        for (key, value) in [("ring-ref", "8"), ("event-channel", "8"), ("feature-persistent", "1")]
        {
            if !record.building {
                set(&format!("{device}/{key}"), value);
            }
        }
    }
    set("control/shutdown", "");
    for key in ["feature-poweroff", "feature-reboot", "feature-suspend"] {
        set(&format!("control/{key}"), if record.building { "" } else { "1" });
    }
    set("control/sysrq", "");
    set("control/platform-feature-multiprocessor-suspend", "1");
    set("control/platform-feature-xs_reset_watches", "1");
    for key in ["data", "drivers", "feature", "attr", "error"] {
        set(key, "");
    }
    set("domid", &id.to_string());
    set("store/port", "1");
    set("store/ring-ref", "111617");
    if let Some(qemu) = record.qemu {
        set("image/device-model-pid", &qemu.to_string());
    }
    set("console/backend", &format!("/local/domain/0/backend/console/{id}/0"));
    set("console/backend-id", "0");
    set("console/limit", "1048576");
    set("console/type", "xenconsoled");
    set("console/output", "pty");
    set("console/tty", "/dev/pts/0");
    set("console/port", "2");
    set("console/ring-ref", "111618");
}
