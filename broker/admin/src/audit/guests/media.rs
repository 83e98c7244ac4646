//! What a disk is, whatever it is called: a device by its number, a file by its file system and inode,
//! through links, loop devices, partitions and the device mapper, as /sys shows them.

use super::config::Disk;
use super::patience::Patience;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What a disk is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Medium {
    /// A block device, by its number.
    Device(u64, u64),
    /// A file, by its file system and inode.
    File(u64, u64),
    /// What is not there, or what a script makes a device of: by its name alone.
    Named(String),
}

/// A disk as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// What it is.
    pub(super) own: Medium,
    /// What it is and what it lies on: who writes one of these writes it as well.
    chain: BTreeSet<Medium>,
    /// Whether it is there.
    pub(super) found: bool,
    /// Why that is not known, behind its name.
    pub(super) silent: Option<String>,
    /// The file system's number, if it comes down to a file.
    pub(super) file_system: Option<u64>,
    /// Whether a loop device is in the way that goes past the page cache.
    pub(super) direct: bool,
}

impl Seen {
    /// Whether who writes the one can change the other. Two parts of one device do not meet.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.chain.contains(&other.own) || other.chain.contains(&self.own)
    }

    /// The same by another name, too: who writes either writes this.
    pub(super) fn also(mut self, other: Self) -> Self {
        self.chain.extend(other.chain);
        self
    }
}

/// Where the kernel tells of devices.
const SYS: &str = "/sys";
/// No sensible stack of devices is deeper.
const DEEPEST: u32 = 8;

/// Looks at a disk. One that does not answer in time is known by its name.
pub(super) fn look(disk: &Disk, patience: &Patience) -> Seen {
    let Some(path) = disk.path() else {
        let script = disk.script.as_deref().and_then(|script| script.rsplit('/').next());
        let script = script.unwrap_or_default();
        let mut seen = by_name(format!("{script}:{}", disk.target));
        seen.found = true;
        return seen;
    };
    let name = path.display().to_string();
    let sought = move || at(Path::new(SYS), &path, 0);
    patience.ask(sought).unwrap_or_else(|why| Seen { silent: Some(why), ..by_name(name) })
}

/// The same for a device by its number.
pub(super) fn look_at(major: u64, minor: u64, patience: &Patience) -> Seen {
    let sought = move || device(Path::new(SYS), major, minor, 0);
    let unseen = |why| Seen { silent: Some(why), ..by_name(format!("{major}:{minor}")) };
    patience.ask(sought).unwrap_or_else(unseen)
}

fn by_name(name: String) -> Seen {
    let own = Medium::Named(name);
    let chain = BTreeSet::from([own.clone()]);
    Seen { own, chain, found: false, silent: None, file_system: None, direct: false }
}

fn at(sys: &Path, path: &Path, depth: u32) -> Seen {
    let Ok(found) = fs::metadata(path) else { return by_name(path.display().to_string()) };
    if found.file_type().is_block_device() {
        let (major, minor) = numbers(found.rdev());
        return device(sys, major, minor, depth);
    }
    let own = Medium::File(found.dev(), found.ino());
    let mut seen = Seen {
        chain: BTreeSet::from([own.clone()]),
        own,
        found: true,
        silent: None,
        file_system: Some(found.dev()),
        direct: false,
    };
    // Whoever writes the device under the file system writes the file. Those without one have 0.
    let (major, minor) = numbers(found.dev());
    if major != 0 && depth < DEEPEST {
        seen.chain.extend(device(sys, major, minor, depth.saturating_add(1)).chain);
    }
    seen
}

fn device(sys: &Path, major: u64, minor: u64, depth: u32) -> Seen {
    let own = Medium::Device(major, minor);
    let mut seen = Seen {
        chain: BTreeSet::from([own.clone()]),
        own,
        found: true,
        silent: None,
        file_system: None,
        direct: false,
    };
    if depth >= DEEPEST {
        return seen;
    }
    let deeper = depth.saturating_add(1);
    let dir = sys.join(format!("dev/block/{major}:{minor}"));
    let text = |dir: &Path, file: &str| {
        fs::read_to_string(dir.join(file)).ok().map(|text| text.trim_end_matches('\n').to_owned())
    };
    let numbers_of = |dir: &Path| {
        let text = text(dir, "dev")?;
        let (major, minor) = text.split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    let (mut whole, mut beneath) = (None, Vec::new());
    if let Some(file) = text(&dir, "loop/backing_file") {
        let is_zero = |what: &str| text(&dir, what).is_none_or(|number| number == "0");
        let under = at(sys, Path::new(&file), deeper);
        if is_zero("loop/offset") && is_zero("loop/sizelimit") {
            whole = Some(under);
        } else {
            beneath.push(under);
        }
        seen.direct = text(&dir, "loop/dio").is_some_and(|dio| dio == "1");
    } else if dir.join("partition").exists() {
        // The link leads into the directory of the whole device.
        let parent = fs::canonicalize(&dir).ok();
        let parent = parent.as_deref().and_then(Path::parent).and_then(numbers_of);
        beneath.extend(parent.map(|(major, minor)| device(sys, major, minor, deeper)));
    } else {
        let slaves: Vec<PathBuf> = fs::read_dir(dir.join("slaves"))
            .map(|slaves| slaves.flatten().map(|slave| slave.path()).collect())
            .unwrap_or_default();
        let size = text(&dir, "size");
        let under: Vec<Seen> = slaves
            .iter()
            .filter_map(|slave| numbers_of(slave))
            .map(|(major, minor)| device(sys, major, minor, deeper))
            .collect();
        match (slaves.as_slice(), under.as_slice()) {
            // All of one device under another name.
            ([slave], [all]) if size.is_some() && text(slave, "size") == size => {
                whole = Some(all.clone());
            }
            _ => beneath = under,
        }
    }
    for under in beneath.iter().chain(&whole) {
        seen.chain.extend(under.chain.iter().cloned());
        seen.file_system = seen.file_system.or(under.file_system);
        seen.direct |= under.direct;
    }
    if let Some(whole) = whole {
        seen.own = whole.own;
        seen.found = whole.found;
    }
    seen
}

/// Major and minor number of a device (makedev(3)).
const fn numbers(dev: u64) -> (u64, u64) {
    let major = ((dev >> 8) & 0xfff) | ((dev >> 32) & !0xfff);
    let minor = (dev & 0xff) | ((dev >> 12) & !0xff);
    (major, minor)
}

/// A device's number as the kernel writes it.
pub(super) fn number(dev: u64) -> String {
    let (major, minor) = numbers(dev);
    format!("{major}:{minor}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A /sys with a disk 8:0, its partition 8:1, two volumes 253:0 and 253:1 on it, 253:2 that is all of
    /// 253:1, loop devices 7:0 and 7:1 over one file, and 7:2 over a part of it.
    fn sys(dir: &Path, file: &Path) {
        let write = |path: &str, text: &str| {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{text}\n")).unwrap();
        };
        write("devices/sda/dev", "8:0");
        write("devices/sda/size", "1000");
        write("devices/sda/sda1/dev", "8:1");
        write("devices/sda/sda1/partition", "1");
        for (name, number, size, slave) in [
            ("dm-0", "253:0", "500", "sda"),
            ("dm-1", "253:1", "400", "sda"),
            ("dm-2", "253:2", "400", "dm-1"),
        ] {
            write(&format!("devices/{name}/dev"), number);
            write(&format!("devices/{name}/size"), size);
            fs::create_dir_all(dir.join(format!("devices/{name}/slaves"))).unwrap();
            symlink(
                dir.join("devices").join(slave),
                dir.join(format!("devices/{name}/slaves/{slave}")),
            )
            .unwrap();
        }
        for (name, offset, dio) in [("loop0", "0", "0"), ("loop1", "0", "1"), ("loop2", "512", "0")]
        {
            write(&format!("devices/{name}/loop/backing_file"), &file.display().to_string());
            write(&format!("devices/{name}/loop/offset"), offset);
            write(&format!("devices/{name}/loop/sizelimit"), "0");
            write(&format!("devices/{name}/loop/dio"), dio);
        }
        fs::create_dir_all(dir.join("dev/block")).unwrap();
        for (number, target) in [
            ("8:0", "sda"),
            ("8:1", "sda/sda1"),
            ("253:0", "dm-0"),
            ("253:1", "dm-1"),
            ("253:2", "dm-2"),
            ("7:0", "loop0"),
            ("7:1", "loop1"),
            ("7:2", "loop2"),
        ] {
            symlink(dir.join("devices").join(target), dir.join("dev/block").join(number)).unwrap();
        }
    }

    #[test]
    fn a_disk_is_what_it_is_by_any_name() {
        let dir = tempfile::tempdir().unwrap();
        let [image, link, hard, other] =
            ["image", "link", "hard", "other"].map(|name| dir.path().join(name));
        fs::write(&image, "x").unwrap();
        fs::write(&other, "x").unwrap();
        symlink(&image, &link).unwrap();
        fs::hard_link(&image, &hard).unwrap();
        sys(dir.path(), &image);
        let file = |path: &Path| at(dir.path(), path, 0);
        let device = |major, minor| device(dir.path(), major, minor, 0);
        let none = dir.path().join("none");
        let table = [
            (file(&image), file(&link), true, "a link"),
            (file(&image), file(&hard), true, "a hard link"),
            (file(&image), file(&other), false, "another file"),
            (file(&none), file(&none), true, "what is not there"),
            (file(&none), file(&image), false, "what is not there, and what is"),
            (device(7, 0), file(&hard), true, "a loop device and its file"),
            (device(7, 0), device(7, 1), true, "two loop devices over one file"),
            (device(7, 2), file(&image), true, "a part of a file"),
            (device(7, 0), file(&other), false, "a loop device and another file"),
            (device(8, 1), device(8, 0), true, "a partition and its disk"),
            (device(253, 0), device(8, 0), true, "a volume and its disk"),
            (device(253, 0), device(253, 1), false, "two volumes of a disk"),
            (device(253, 2), device(253, 1), true, "all of a volume by another number"),
            (device(253, 2), device(253, 0), false, "all of another volume"),
            (device(253, 2), device(8, 0), true, "a volume of a volume, and the disk"),
            (device(9, 9), device(9, 9), true, "a device of which /sys says nothing"),
        ];
        for (one, two, meets, what) in table {
            assert_eq!((one.meets(&two), two.meets(&one)), (meets, meets), "{what}");
        }
        assert!(device(7, 1).direct && !device(7, 0).direct);
        assert_eq!(device(7, 0).file_system, Some(fs::metadata(&image).unwrap().dev()));
        assert!(!file(&none).found && file(&image).found);
    }

    #[test]
    fn a_script_and_a_target_are_a_name_of_their_own() {
        let disk = |target: &str| Disk {
            target: target.to_owned(),
            script: Some("block-drbd".to_owned()),
            ..Disk::default()
        };
        let look = |target: &str| look(&disk(target), &Patience::default());
        assert!(look("res0").meets(&look("res0")));
        assert!(!look("res0").meets(&look("res1")));
        assert!(look("res0").found);
        // What is attached is known as a device, and a configuration elsewhere by its name alone.
        let named = look("res0");
        let device = by_name("147:10".to_owned());
        assert!(!device.meets(&named));
        assert!(device.also(look("res0")).meets(&named));
    }
}
