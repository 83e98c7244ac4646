//! Devices whose writes the proof of death does not cover: what another domain than dom0 serves, and
//! what the guest drives itself (docs/promises.md, 1).
//!
//! Found in the node's configuration, and for a domain that lives in xenstore too. What cannot be
//! read is said, never taken for harmless.

use super::{Finding, Places};
use crate::acl::Node;
use crate::xenstore::{self, Uncovered};
use crate::{bounded, secure_file};
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
        match xenstore::uncovered(*domid) {
            Ok(found) => beyond.extend(found.iter().map(ToString::to_string)),
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
            [domid, ..] => format!("xenstore-ls /libxl/{domid}/device has to answer"),
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
                beyond.push(Uncovered::Pci.to_string());
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
    let is_dom0 = matches!(named, "0" | "Domain-0");
    (!is_dom0).then(|| Uncovered::ServedBy(named.to_owned()).to_string())
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
}
