//! The disks and devices that running domains have, as xenstore tells: also those that were attached by
//! hand, and those of domains whose configurations lie elsewhere.

use super::config::Disk;
use super::files::Whose;
use crate::acl::Policy;
use std::collections::BTreeMap;
use xen_fence_broker::target;
use xen_fence_broker::toolstack::{Listing, Row};
use xen_fence_broker::xenstore::{self, BACKENDS, Uncovered, XenstoreError};

/// A disk that a backend in dom0 serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Attached {
    /// The domain that it serves.
    pub(super) domid: u32,
    /// The disk, as far as xenstore tells.
    pub(super) disk: Disk,
    /// What a script has made of its target, by the number of the device.
    pub(super) device: Option<(u64, u64)>,
}

/// A device of a living node that the proof of its death does not cover.
pub(super) struct Beyond {
    pub(super) whose: Whose,
    /// The node's domain.
    pub(super) row: Row,
    pub(super) device: Uncovered,
}

/// Asks xenstore. That there are no backends at all is an answer.
pub(super) fn disks() -> Result<Vec<Attached>, XenstoreError> {
    Ok(parse(&xenstore::list(BACKENDS)?))
}

/// Asks xenstore for the devices of each node that lives. A node that what runs contradicts has no
/// domain, and is a finding of its own.
pub(super) fn beyond_the_proof(
    policy: &Policy,
    listing: &Listing,
) -> Result<Vec<Beyond>, XenstoreError> {
    let mut found = Vec::new();
    for cluster in &policy.clusters {
        for node in cluster.nodes() {
            let rows = target::find(listing, node).into_iter().flatten();
            for row in rows.map(|sighted| sighted.row).filter(Row::lives) {
                found.extend(xenstore::uncovered(row.domid)?.into_iter().map(|device| {
                    let (whose, row) = (Whose::of(cluster, node), row.clone());
                    Beyond { whose, row, device }
                }));
            }
        }
    }
    Ok(found)
}

/// Reads lines `…/backend/KIND/DOMID/DEVICE/KEY = "VALUE"`.
fn parse(listing: &str) -> Vec<Attached> {
    let mut devices: BTreeMap<(&str, u32, &str), BTreeMap<&str, &str>> = BTreeMap::new();
    for line in listing.lines() {
        let Some((path, value)) = line.split_once(" = ") else { continue };
        let path = path.strip_prefix(BACKENDS).and_then(|path| path.strip_prefix('/'));
        let parts: Vec<&str> = path.unwrap_or_default().split('/').collect();
        let [kind @ ("vbd" | "qdisk" | "tap" | "vbd3"), domid, device, key] = parts.as_slice()
        else {
            continue;
        };
        let Ok(domid) = domid.parse() else { continue };
        let keys = devices.entry((kind, domid, device)).or_default();
        keys.insert(key, value.trim().trim_matches('"'));
    }
    let attached = devices.iter().filter_map(|((_, domid, _), keys)| {
        let params = keys.get("tapdisk-params").or_else(|| keys.get("params"))?;
        let text = |key: &str| keys.get(key).map(|text| (*text).to_owned()).unwrap_or_default();
        let script = text("script").rsplit('/').next().map(ToOwned::to_owned);
        // xl's own script takes a path, others what they like.
        let script = script.filter(|script| !matches!(script.as_str(), "" | "block"));
        let target = if script.is_some() { params } else { path(params)? }.to_owned();
        let device = keys.get("physical-device").filter(|_| script.is_some());
        let device = device.and_then(|numbers| numbers_of(numbers));
        let mode = text("mode");
        let (writable, forced) = (mode.starts_with('w'), mode.contains('!'));
        let disk = Disk { target, vdev: text("dev"), writable, forced, script, ..Disk::default() };
        Some(Attached { domid: *domid, disk, device })
    });
    attached.collect()
}

/// A device's number as the scripts write it: `fd:3`.
fn numbers_of(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((u64::from_str_radix(major, 16).ok()?, u64::from_str_radix(minor, 16).ok()?))
}

/// The path of a backend's parameters, before which may stand how it is read: `aio:/srv/x.img`.
fn path(params: &str) -> Option<&str> {
    let (before, path) = params.split_at(params.find('/')?);
    (before.is_empty() || before.ends_with(':')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backends_are_read_and_nothing_else() {
        let listing = "/local/domain/0/backend/vbd/5/51712/params = \"/dev/vg/a\"\n\
             /local/domain/0/backend/vbd/5/51712/physical-device = \"fd:3\"\n\
             /local/domain/0/backend/vbd/5/51712/mode = \"w\"\n\
             /local/domain/0/backend/vbd/5/51712/dev = \"xvda\"\n\
             /local/domain/0/backend/qdisk/7/51712/params = \"aio:/srv/x.img\"\n\
             /local/domain/0/backend/qdisk/7/51712/mode = \"r\"\n\
             /local/domain/0/backend/tap/8/51712/params = \"/dev/xen/blktap-2/tapdev0\"\n\
             /local/domain/0/backend/tap/8/51712/tapdisk-params = \"aio:/srv/y.img\"\n\
             /local/domain/0/backend/tap/8/51712/mode = \"w!\"\n\
             /local/domain/0/backend/vbd/9/51712/params = \"\"\n\
             /local/domain/0/backend/vbd/9/51728/params = \"iqn.2026/1\"\n\
             /local/domain/0/backend/vbd/9/51744/params = \"iqn.2026/1\"\n\
             /local/domain/0/backend/vbd/9/51744/script = \"/etc/xen/scripts/block-iscsi\"\n\
             /local/domain/0/backend/vbd/9/51744/physical-device = \"93:1f\"\n\
             /local/domain/0/backend/vif/5/0/mac = \"00:16:3e:00:00:01\"\n\
             /local/domain/0/backend/vbd/x/51712/params = \"/dev/vg/a\"\n\
             /local/domain/0/backend/vbd = \"\"\ngarbage\n";
        let found = parse(listing);
        let told: Vec<_> = found
            .iter()
            .map(|it| (it.domid, it.disk.target.as_str(), it.disk.writable, it.disk.forced))
            .collect();
        assert_eq!(
            told,
            [
                (7, "/srv/x.img", false, false),
                (8, "/srv/y.img", true, true),
                (5, "/dev/vg/a", true, false),
                (9, "iqn.2026/1", false, false),
            ]
        );
        assert_eq!(found[2].disk.vdev, "xvda");
        assert_eq!(found[3].disk.script.as_deref(), Some("block-iscsi"));
        let devices: Vec<_> = found.iter().map(|it| it.device).collect();
        assert_eq!(devices, [None, None, None, Some((0x93, 0x1f))]);
    }
}
