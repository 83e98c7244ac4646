//! Disk and vif specifications, and what a disk's device number is in xenstore.
//!
//! Reads the old positional form (`phy:/path,xvda,w`) and the new one (`/path,raw,xvda,rw`,
//! `key=value`); it opens nothing.

use serde::{Deserialize, Serialize};

/// Who serves a disk in dom0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The kernel: no process of its own to see; writes in flight keep the domain's corpse.
    Phy,
    /// The domain's qemu.
    Qdisk,
    /// A tapdisk process.
    Tap,
}

impl Kind {
    /// The backend's name under `/local/domain/0/backend`.
    pub fn backend(self) -> &'static str {
        match self {
            Self::Phy => "vbd",
            Self::Qdisk => "qdisk",
            Self::Tap => "tap",
        }
    }
}

/// One disk of a domain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Disk {
    /// The image in dom0.
    pub path: String,
    /// What the guest calls it.
    pub vdev: String,
    /// Who serves it.
    pub kind: Kind,
    /// Whether the guest may write.
    pub writable: bool,
}

impl Disk {
    /// Parses one entry of `disk = [...]`.
    pub fn parse(spec: &str) -> Result<Self, String> {
        let mut disk =
            Self { path: String::new(), vdev: String::new(), kind: Kind::Phy, writable: true };
        let access = |word: &str| match word {
            "r" | "ro" => Ok(false),
            "w" | "rw" | "" => Ok(true),
            other => Err(format!(
                "config parsing error in disk specification: unknown value for access: near \
                 `{other}' in `{spec}'\n"
            )),
        };
        for (place, word) in spec.split(',').map(str::trim).enumerate() {
            match word.split_once('=') {
                Some(("target", path)) => path.clone_into(&mut disk.path),
                Some(("vdev", vdev)) => vdev.clone_into(&mut disk.vdev),
                Some(("access", word)) => disk.writable = access(word)?,
                Some(("backendtype", "qdisk")) => disk.kind = Kind::Qdisk,
                Some(("backendtype", "tap")) => disk.kind = Kind::Tap,
                Some(_) => {}
                None if place == 0 => disk.target(word),
                None if ["raw", "qcow", "qcow2", "vhd", "qed", ""].contains(&word) => {}
                None if disk.vdev.is_empty() => word.clone_into(&mut disk.vdev),
                None => disk.writable = access(word)?,
            }
        }
        if disk.path.is_empty() || disk.vdev.is_empty() {
            return Err(format!("config parsing error in disk specification: `{spec}'\n"));
        }
        Ok(disk)
    }

    fn target(&mut self, word: &str) {
        let mut rest = word;
        while let Some((prefix, after)) = rest.split_once(':') {
            match prefix {
                "qdisk" => self.kind = Kind::Qdisk,
                "tap" | "tap2" => self.kind = Kind::Tap,
                "phy" | "file" | "aio" | "raw" => {}
                _ => break,
            }
            rest = after;
        }
        rest.clone_into(&mut self.path);
    }

    /// The device number that xenstore and the guest use: 51712 for xvda.
    pub fn devid(&self) -> u32 {
        let (base, step, rest) = match self.vdev.split_at_checked(3) {
            Some(("xvd", rest)) => (202 << 8, 16, rest),
            Some(("sd", rest)) => (8 << 8, 16, rest),
            Some((_, rest)) => (3 << 8, 64, rest),
            None => (202 << 8, 16, "a"),
        };
        let mut letters = rest.chars();
        let unit = letters.next().map_or(0, |c| (c as u32).saturating_sub('a' as u32));
        base + unit * step + letters.as_str().parse::<u32>().unwrap_or(0)
    }

    /// The environment variable that tells the domain's PID 1 the disk's descriptor.
    pub fn variable(&self) -> String {
        format!("{}_FD", self.vdev.to_uppercase())
    }
}

/// One network interface of a domain.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Vif {
    /// dom0's bridge.
    pub bridge: Option<String>,
    /// The guest's hardware address.
    pub mac: Option<String>,
    /// The guest's address, given the prefix length 24.
    pub ip: Option<String>,
}

impl Vif {
    /// Parses one entry of `vif = [...]`; what it does not know it leaves alone.
    pub fn parse(spec: &str) -> Self {
        let mut vif = Self::default();
        for (key, value) in spec.split(',').filter_map(|word| word.trim().split_once('=')) {
            match key {
                "bridge" => vif.bridge = Some(value.to_owned()),
                "mac" => vif.mac = Some(value.to_owned()),
                "ip" => vif.ip = Some(value.to_owned()),
                _ => {}
            }
        }
        vif
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_of_a_disk() {
        let cases = [
            ("phy:/a/b.img,xvda,w", "/a/b.img", Kind::Phy, true, 51712),
            ("tap:aio:/a,xvdb,r", "/a", Kind::Tap, false, 51728),
            ("file:/a,xvda1,w,backendtype=qdisk", "/a", Kind::Qdisk, true, 51713),
            ("qdisk:/a,xvda,w", "/a", Kind::Qdisk, true, 51712),
            ("/a,raw,xvda,rw", "/a", Kind::Phy, true, 51712),
            ("format=raw,vdev=xvda,access=ro,target=/a", "/a", Kind::Phy, false, 51712),
        ];
        for (spec, path, kind, writable, devid) in cases {
            let disk = Disk::parse(spec).unwrap();
            assert_eq!((disk.path.as_str(), disk.kind), (path, kind), "{spec}");
            assert_eq!((disk.writable, disk.devid()), (writable, devid), "{spec}");
        }
        assert!(Disk::parse("phy:/a,xvda,w!").unwrap_err().contains("near `w!'"));
    }
}
