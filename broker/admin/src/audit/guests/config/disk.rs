//! One disk of a configuration: xl's way of writing it (libxlu_disk_l.l, xl-disk-configuration(5)),
//! and xm's, which is older. It opens nothing.

/// A disk, as a configuration writes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The line of the file that it stands on.
    pub(crate) line: usize,
    /// A path, what a script makes of it, or nothing for an empty drive.
    pub(crate) target: String,
    /// What the domain calls it.
    pub(crate) vdev: String,
    /// `raw` unless it says otherwise.
    pub(crate) format: String,
    /// Whether the domain may write.
    pub(crate) writable: bool,
    /// xm's `w!`: others may write at the same time.
    pub(crate) forced: bool,
    /// The domain that serves it, if one is named.
    pub(crate) backend: Option<String>,
    /// `phy`, `tap`, `qdisk` or `standalone`, if one is named.
    pub(crate) backendtype: Option<String>,
    /// The script that makes a device of the target.
    pub(crate) script: Option<String>,
    /// Whether it is virtio's and not Xen's.
    pub(crate) virtio: bool,
    /// Whether qemu may go past the page cache.
    pub(crate) direct: bool,
    /// Whether it is a drive for discs, which no domain writes.
    pub(crate) removable: bool,
}

impl Disk {
    /// Reads what xl reads.
    ///
    /// # Errors
    /// Why xl would not take it.
    pub(super) fn of_xl(text: &str, line: usize) -> Result<Self, String> {
        let mut reader = Reader {
            disk: Self { line, writable: true, ..Self::default() },
            target: None,
            format: None,
            vdev: None,
            access: false,
            prefixed: false,
        };
        let mut rest = text;
        loop {
            rest = rest.trim_start_matches([' ', '\t', '\n']);
            if rest.is_empty() {
                break;
            }
            if let Some(target) = rest.strip_prefix("target=") {
                reader.target = Some(target.strip_suffix(',').unwrap_or(target).to_owned());
                break;
            }
            if let Some(behind) = reader.prefix(rest)? {
                rest = behind;
                continue;
            }
            let (parameter, behind) = rest.split_once(',').unwrap_or((rest, ""));
            reader.parameter(parameter)?;
            rest = behind;
        }
        reader.finish()
    }

    /// Reads what xend read: `TYPE:TARGET,VDEV,MODE[,BACKEND]`.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn of_xm(text: &str, line: usize) -> Result<Self, String> {
        let mut parts = text.split(',').map(str::trim);
        let target = parts.next().unwrap_or_default();
        let (Some(vdev), Some(mode)) = (parts.next(), parts.next()) else {
            return Err("it is not TARGET,VDEV,MODE".to_owned());
        };
        let mut disk = Self { line, format: "raw".to_owned(), ..Self::default() };
        disk.backend = parts.next().filter(|name| !name.is_empty()).map(ToOwned::to_owned);
        let mut target = target;
        while let Some((prefix, behind)) = target.split_once(':') {
            match prefix {
                "phy" => disk.backendtype = Some("phy".to_owned()),
                "tap" | "tap2" | "tapdisk" | "aio" => disk.backendtype = Some("tap".to_owned()),
                "file" | "raw" | "ioemu" => {}
                "qcow" | "qcow2" | "vhd" | "vmdk" | "ram" => prefix.clone_into(&mut disk.format),
                _ => {
                    disk.script = Some(format!("block-{prefix}"));
                    target = behind;
                    break;
                }
            }
            target = behind;
        }
        target.clone_into(&mut disk.target);
        let (vdev, kind) = vdev.split_once(':').unwrap_or((vdev, "disk"));
        vdev.clone_into(&mut disk.vdev);
        disk.removable = kind == "cdrom";
        (disk.writable, disk.forced) = match mode {
            "r" | "ro" => (false, false),
            "w" | "rw" => (true, false),
            "w!" | "!" => (true, true),
            mode => return Err(format!("{mode:?} is no mode of a disk")),
        };
        Ok(disk)
    }

    /// The path that is opened in dom0, if it is one.
    pub(crate) fn path(&self) -> Option<std::path::PathBuf> {
        let is_path = self.script.is_none() && !self.target.is_empty();
        // libxl and xend look for it in /dev.
        is_path.then(|| std::path::Path::new("/dev").join(&self.target))
    }
}

/// The state of xl's reader within one disk.
struct Reader {
    disk: Disk,
    target: Option<String>,
    format: Option<String>,
    vdev: Option<String>,
    access: bool,
    prefixed: bool,
}

impl Reader {
    /// Takes a prefix of the old way away, if there is one.
    fn prefix<'a>(&mut self, rest: &'a str) -> Result<Option<&'a str>, String> {
        let Some((prefix, behind)) = rest.split_once(':') else { return Ok(None) };
        match prefix {
            "raw" | "qcow" | "qcow2" | "vhd" => self.set_format(prefix)?,
            "iscsi" | "nbd" | "enbd" | "drbd" => self.disk.script = Some(format!("block-{prefix}")),
            "tapdisk" | "tap" | "tap2" | "aio" | "ioemu" | "file" | "phy" => {}
            _ => {
                let mut letters = prefix.chars();
                let is_prefix = letters.next().is_some_and(|c| c.is_ascii_lowercase())
                    && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
                let goes_on =
                    behind.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                if is_prefix && !goes_on {
                    return Err(format!("{prefix}: is no prefix that xl knows"));
                }
                return Ok(None);
            }
        }
        self.prefixed = true;
        Ok(Some(behind))
    }

    fn parameter(&mut self, parameter: &str) -> Result<(), String> {
        let disk = &mut self.disk;
        let owned = |value: &str| (!value.is_empty()).then(|| value.to_owned());
        match parameter.split_once('=') {
            Some(("format", value)) => self.set_format(value),
            Some(("access", value)) => self.set_access(value),
            Some(("vdev", value)) => {
                self.vdev = Some(value.to_owned());
                Ok(())
            }
            Some(("devtype", kind @ ("cdrom" | "disk"))) => {
                disk.removable = kind == "cdrom";
                Ok(())
            }
            Some(("backend", value)) => {
                disk.backend = owned(value);
                Ok(())
            }
            Some(("backendtype", value @ ("phy" | "tap" | "qdisk" | "standalone"))) => {
                disk.backendtype = owned(value);
                Ok(())
            }
            Some(("specification", value @ ("xen" | "virtio"))) => {
                disk.virtio = value == "virtio";
                Ok(())
            }
            Some(("script", value)) => {
                disk.script = owned(value);
                Ok(())
            }
            Some((
                "colo-host" | "colo-port" | "colo-export" | "active-disk" | "hidden-disk"
                | "grant_usage" | "transport",
                _,
            )) => Ok(()),
            Some((key, value)) => Err(format!("xl does not know {key}={value}")),
            None => self.positional(parameter),
        }
    }

    fn positional(&mut self, word: &str) -> Result<(), String> {
        match word {
            "cdrom" => self.disk.removable = true,
            "direct-io-safe" => self.disk.direct = true,
            "discard" | "no-discard" | "colo" | "no-colo" | "trusted" | "untrusted" => {}
            word if self.target.is_none() => self.target = Some(word.to_owned()),
            word if !self.prefixed && self.format.is_none() => {
                // `,hdc:cdrom,r` is xend's empty drive.
                let is_drive = self.target.as_deref() == Some("") && word.contains(':');
                if is_drive {
                    self.set_vdev(word)?;
                    self.format = Some("empty".to_owned());
                } else {
                    self.set_format(word)?;
                }
            }
            word if self.vdev.is_none() => self.set_vdev(word)?,
            word if !self.access => {
                self.access = true;
                self.set_access(word)?;
            }
            word => return Err(format!("{word:?} is one value too many")),
        }
        Ok(())
    }

    fn set_vdev(&mut self, word: &str) -> Result<(), String> {
        let (vdev, kind) = word.rsplit_once(':').unwrap_or((word, "disk"));
        self.disk.removable |= match kind {
            "cdrom" => true,
            "disk" => false,
            kind => return Err(format!("{kind:?} is no type of a disk")),
        };
        self.vdev = Some(vdev.to_owned());
        Ok(())
    }

    fn set_format(&mut self, word: &str) -> Result<(), String> {
        let format = if word.is_empty() { "raw" } else { word };
        if !matches!(format, "raw" | "qcow" | "qcow2" | "vhd" | "empty" | "qed") {
            return Err(format!("{format:?} is no format that xl knows"));
        }
        if self.format.as_ref().is_some_and(|before| before != format) {
            return Err("its format is given twice".to_owned());
        }
        self.format = Some(format.to_owned());
        Ok(())
    }

    fn set_access(&mut self, word: &str) -> Result<(), String> {
        self.disk.writable = match word {
            "r" | "ro" => false,
            "w" | "rw" | "" => true,
            word => return Err(format!("{word:?} is no access that xl knows")),
        };
        Ok(())
    }

    fn finish(self) -> Result<Disk, String> {
        let mut disk = self.disk;
        disk.writable &= !disk.removable;
        disk.target = self.target.unwrap_or_default();
        disk.format = self.format.unwrap_or_else(|| "raw".to_owned());
        if disk.target.is_empty() && !disk.removable {
            return Err("it has no target".to_owned());
        }
        disk.vdev = self.vdev.filter(|vdev| !vdev.is_empty()).ok_or("it has no vdev")?;
        Ok(disk)
    }
}
