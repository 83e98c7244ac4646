//! Devices whose writes the proof of death does not cover: what another domain than dom0 serves, and
//! what the guest drives itself (docs/promises.md, 1).
//!
//! Found in the node's configuration, and for a domain that lives in xenstore too. What cannot be
//! read is said, never taken for harmless.

use super::{Finding, Places};
use crate::acl::Node;
use crate::{bounded, secure_file, xenstore};
use std::collections::BTreeSet;
use xen_fence_protocol::Level;

/// No configuration of a domain is larger, in bytes.
const CAP: u64 = 256 * 1024;

/// Says which of the node's devices the proof does not cover.
pub(super) fn beyond_the_proof(places: &Places, node: &Node, domids: &[u32]) -> Finding {
    let text =
        node.config().and_then(|file| bounded::look(file, |file| secure_file::read(file, CAP)));
    let mut beyond = BTreeSet::new();
    let mut unread = Vec::new();
    if let Some(Ok(text)) = &text {
        beyond.extend(in_config(text));
    }
    for domid in domids {
        match xenstore::devices(*domid) {
            Ok(lines) => beyond.extend(lines.lines().filter_map(in_xenstore)),
            Err(error) => unread.push(error.to_string()),
        }
    }
    if !matches!(text, Some(Ok(_))) && (domids.is_empty() || !unread.is_empty()) {
        unread.push("its configuration cannot be read".to_owned());
    }
    if !beyond.is_empty() {
        let all: Vec<String> = beyond.into_iter().collect();
        let text = format!(
            "it has {}: what is written through that after its death is not waited for",
            all.join(" and ")
        );
        let mend = "let dom0 serve its disks, without pci or backend= in its configuration";
        Finding::new(Level::Warn, "devices", text).hint(&places.on_dom0(mend))
    } else if unread.is_empty() {
        Finding::new(Level::Ok, "devices", "the proof of death covers all of them")
    } else {
        let text = format!("which devices it has cannot be told: {}", unread.join("; "));
        let mend = match domids {
            [domid, ..] => format!("xenstore-ls /local/domain/{domid}/device has to answer"),
            [] => format!(
                "`config` of {} in {} has to be readable",
                node.name(),
                places.policy.display()
            ),
        };
        Finding::new(Level::Warn, "devices", text).hint(&places.on_dom0(&mend))
    }
}

/// What a configuration names. Both toolstacks have the same words for it.
fn in_config(text: &str) -> Vec<String> {
    let mut beyond = Vec::new();
    let mut list = None;
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
        if let Some((key, value)) = line.split_once('=').filter(|_| list.is_none()) {
            let value = value.trim();
            match key.trim() {
                key @ ("pci" | "disk") => list = Some(key.to_owned()),
                "device_model_stubdomain_override" if !matches!(value, "" | "0" | "False") => {
                    beyond.push("a device model in a stub domain".to_owned());
                }
                _ => {}
            }
        }
        let strings = || line.split(['"', '\'']).skip(1).step_by(2);
        match list.as_deref() {
            Some("pci") if strings().next().is_some() => {
                beyond.push("a PCI device of its own".to_owned());
            }
            Some("disk") => beyond.extend(strings().filter_map(driver_domain)),
            Some(_) | None => {}
        }
        if line.contains(']') {
            list = None;
        }
    }
    beyond
}

/// The `backend=` of a disk, if it is not dom0 (xl-disk-configuration(5)).
fn driver_domain(disk: &str) -> Option<String> {
    let named = disk.split(',').find_map(|field| field.trim().strip_prefix("backend="))?;
    (!matches!(named, "0" | "Domain-0")).then(|| format!("a disk that the domain {named} serves"))
}

/// Reads `/local/domain/5/device/vbd/51712/backend = "/local/domain/0/backend/vbd/5/51712"`.
fn in_xenstore(line: &str) -> Option<String> {
    let (path, value) = line.split_once(" = ")?;
    let mut parts = path.strip_prefix("/local/domain/")?.split('/').skip(2);
    let (kind, key) = (parts.next()?, parts.nth(1)?);
    if key != "backend" || parts.next().is_some() {
        return None;
    }
    if kind == "pci" {
        return Some("a PCI device of its own".to_owned());
    }
    let served_by = value.trim_matches('"').strip_prefix("/local/domain/")?.split('/').next()?;
    let is_disk = matches!(kind, "vbd" | "vscsi" | "9pfs");
    (is_disk && served_by != "0").then(|| format!("a disk that the domain {served_by} serves"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_names_them() {
        let pci = "a PCI device of its own";
        let disk = "a disk that the domain storage serves";
        for (text, expected) in [
            ("disk = ['phy:/dev/vg/a,xvda,w']\nvif = ['backend=net']\n", vec![]),
            ("pci = ['0000:03:00.0']\n", vec![pci]),
            ("pci = [\n  '03:00.0',\n]\nname = 'x'\n", vec![pci]),
            ("pci = []\n# pci = ['03:00.0']\n", vec![]),
            (
                "disk = [ 'phy:/dev/a,xvda,w',\n 'backend=storage,vdev=xvdb,target=/b' ]\n",
                vec![disk],
            ),
            (
                "disk = ['backend=0,vdev=xvdb,target=/b', 'backend=Domain-0,vdev=c,target=/c']",
                vec![],
            ),
            ("device_model_stubdomain_override = 1\n", vec!["a device model in a stub domain"]),
            ("device_model_stubdomain_override = 0\n", vec![]),
        ] {
            assert_eq!(in_config(text), expected, "{text}");
        }
    }

    #[test]
    fn xenstore_names_them() {
        for (line, expected) in [
            (
                "/local/domain/5/device/vbd/51712/backend = \"/local/domain/0/backend/vbd/5/51712\"",
                None,
            ),
            (
                "/local/domain/5/device/vbd/51712/backend = \"/local/domain/3/backend/vbd/5/51712\"",
                Some("a disk that the domain 3 serves"),
            ),
            ("/local/domain/5/device/vif/0/backend = \"/local/domain/3/backend/vif/5/0\"", None),
            (
                "/local/domain/5/device/pci/0/backend = \"/local/domain/0/backend/pci/5/0\"",
                Some("a PCI device of its own"),
            ),
            ("/local/domain/5/device/vbd/51712/backend-id = \"3\"", None),
            ("/local/domain/5/device/suspend/event-channel = \"\"", None),
            ("garbage", None),
        ] {
            assert_eq!(in_xenstore(line).as_deref(), expected, "{line}");
        }
    }
}
