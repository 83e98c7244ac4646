//! Configurations as people have them.

use super::{Disk, DomainConfig};
use xen_fence_broker::settings::ToolstackKind::{Xl, Xm};

pub(super) fn xl(text: &str) -> DomainConfig {
    DomainConfig::parse(text, Xl)
}

pub(super) fn xm(text: &str) -> DomainConfig {
    DomainConfig::parse(text, Xm)
}

pub(super) fn doubts(config: &DomainConfig) -> Vec<usize> {
    config.doubts().iter().map(|doubt| doubt.line).collect()
}

/// Of an HVM guest with everything.
pub(super) const HVM: &str = r#"# An HVM guest of the alpha cluster.
type = "hvm"
name = "alpha-node1"; uuid = '0f6a1b2c-0000-4000-8000-000000000001'
memory = 4096   # MiB
maxmem=0x2000
vcpus = 4
firmware_override = ""
boot = "dc"
vif = [ 'mac=00:16:3e:00:00:01,bridge=xenbr0,type=ioemu',
        "bridge=xenbr1, backend=netdom" ]
disk = [
    'phy:/dev/vg0/alpha-root,xvda,w',       # the root
    'file:/srv/iso/debian.iso,hdc:cdrom,r',
    ',hdd:cdrom,r',
    "format=qcow2, vdev=xvdb, access=rw, target=/srv/images/with, comma.qcow2",
    '/dev/mapper/shared,,xvdc',
    "tap:qcow2:/srv/x.qcow2,xvdd,w",
    '/srv/images/ro.img,raw,xvde,ro', 'drbd:res0,xvdf,w',
    'target=/dev/vg0/b'
]
disk += [ '/dev/vg0/late,raw,xvdg,rw,backendtype=qdisk,direct-io-safe' , ]
pci = [ ]
vnc = 1
device_model_args = [ "-foo", [ 1, 2, ], "a \"quoted\" \\ one" ]
on_crash = 'restart'
on_crash = "preserve""#;

#[test]
fn an_hvm_guest_with_everything_is_read() {
    let config = xl(HVM);
    assert_eq!(config.name(), Some("alpha-node1"));
    assert!(config.uuid().is_some() && config.is_of_a_domain());
    assert_eq!(config.text("maxmem"), Some((5, "0x2000")));
    assert_eq!(config.text("on_crash"), Some((26, "preserve")));
    assert_eq!((config.wants("pci"), config.wants("vnc")), (None, Some(23)));
    let vifs: Vec<usize> = config.list("vif").iter().map(|(line, _)| *line).collect();
    assert_eq!(vifs, [9, 10]);
    // One of them has no vdev, which xl does not take.
    assert_eq!(doubts(&config), [19]);
    assert!(config.doubts()[0].why.contains("no vdev"), "{:?}", config.doubts());
    let told: Vec<_> = config
        .disks()
        .iter()
        .map(|disk| (disk.line, disk.target.as_str(), disk.vdev.as_str(), disk.writable))
        .collect();
    assert_eq!(
        told,
        [
            (12, "/dev/vg0/alpha-root", "xvda", true),
            (13, "/srv/iso/debian.iso", "hdc", false),
            (14, "", "hdd", false),
            (15, "/srv/images/with, comma.qcow2", "xvdb", true),
            (16, "/dev/mapper/shared", "xvdc", true),
            (17, "/srv/x.qcow2", "xvdd", true),
            (18, "/srv/images/ro.img", "xvde", false),
            (18, "res0", "xvdf", true),
            (21, "/dev/vg0/late", "xvdg", true),
        ]
    );
    let [_, _, _, qcow, _, tap, _, drbd, late] = config.disks() else { panic!() };
    assert_eq!((qcow.format.as_str(), tap.format.as_str()), ("qcow2", "qcow2"));
    assert_eq!((drbd.script.as_deref(), drbd.path()), (Some("block-drbd"), None));
    assert_eq!((late.backendtype.as_deref(), late.direct), (Some("qdisk"), true));
}

#[test]
fn one_disk_has_many_spellings() {
    let first = Disk::of_xl("/dev/vg/guest-volume,raw,hda,rw", 1).unwrap();
    for spelling in [
        "/dev/vg/guest-volume,,hda",
        "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
        "raw:/dev/vg/guest-volume,hda,w",
        "phy:/dev/vg/guest-volume,hda,w",
        "  vdev=hda,/dev/vg/guest-volume",
    ] {
        assert_eq!(Disk::of_xl(spelling, 1).unwrap(), first, "{spelling}");
    }
    let cd = Disk::of_xl("/root/image.iso,,hdc,cdrom", 1).unwrap();
    for spelling in [
        "/root/image.iso,,hdc,,cdrom",
        "/root/image.iso,raw,hdc,devtype=cdrom",
        "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso",
        "raw:/root/image.iso,hdc:cdrom,ro",
    ] {
        assert_eq!(Disk::of_xl(spelling, 1).unwrap(), cd, "{spelling}");
    }
    let relative = Disk::of_xl("phy:vg/x,xvda,w", 1).unwrap();
    assert_eq!(relative.path().unwrap(), std::path::Path::new("/dev/vg/x"));
    assert_eq!(Disk::of_xl("rbd:pool/image,raw,xvda,w", 1).unwrap().target, "rbd:pool/image");
}

#[test]
fn what_xl_refuses_of_a_disk_is_refused() {
    for wrong in [
        "",
        "/dev/a",
        "/dev/a,,xvda,w!",
        "/dev/a,vmdk,xvda",
        "qdisk:/srv/a,xvda,w",
        "/dev/a,raw,xvda,w,again",
        "/dev/a,raw,xvda,colour=red",
        "/dev/a,raw,hda:floppy",
        "vdev=xvda",
        "raw:qcow2:/a,xvda,w",
    ] {
        assert!(Disk::of_xl(wrong, 1).is_err(), "{wrong}");
    }
}

#[test]
fn what_xl_refuses_of_a_file_is_a_doubt_with_its_line() {
    for (text, lines) in [
        ("name = \"a\nmemory = 1\n", vec![1]),
        ("\nname \"a\"\n", vec![2]),
        ("name = \"a\" + \"b\"\n", vec![1]),
        ("name = other\n", vec![1]),
        ("Name = 'a'\n", vec![1]),
        ("name = 'a'\r\n", vec![1]),
        ("disk = [ 'phy:/a,xvda,w'\n\nname = 'a'\n", vec![1]),
        ("disk = 'phy:/a,xvda,w'\n", vec![1]),
        ("disk = [ [ 'phy:/a,xvda,w' ] ]\n", vec![1]),
        ("disk = [ , ]\n", vec![1]),
        ("name = 'a\\x41'\n", vec![1]),
        ("disk = [ 'phy:/a,xvda,w' ]\ndisk += 'phy:/b,xvdb,w'\n", vec![2]),
        ("if 1:\n  disk = [ 'phy:/a,xvda,w' ]\n", vec![1]),
    ] {
        let config = xl(text);
        assert_eq!(doubts(&config), lines, "{text:?}");
    }
    for (text, lines) in [
        ("device_model_args = [ '-drive',\n 'file=/d' ]\n", vec![1]),
        ("device_model_args_hvm = [ '-vga', 'std',\n '-blockdev', 'x' ]\n", vec![2]),
        ("device_model_args_pv = [ '-hda /dev/vg/a' ]\n", vec![1]),
        ("device_model_args = [ '-vga', 'std', 'drive' ]\n", vec![]),
    ] {
        assert_eq!(doubts(&xl(text)), lines, "{text:?}");
    }
    let config = xl("name = f()\nuuid = 'x'\n");
    assert_eq!(config.text("uuid"), Some((2, "x")), "the other lines are read");
}

/// The head of xend's example of its day, and a disk list as it was.
const XM: &str = r#"#  -*- mode: python; -*-
import os, re
arch_libdir = 'lib'
arch = os.uname()[4]
if os.uname()[0] == 'Linux' and re.search('64', arch):
    arch_libdir = 'lib64'

kernel = "/boot/vmlinuz-2.6.18-xen"
name = "alpha-node1"
uuid = "0f6a1b2c-0000-4000-8000-000000000001"
memory = 128; vcpus = 2
vif = [ '' ]
disk = [ 'phy:hda1,hda1,w!', 'file:/srv/a.img,xvda,w',
         'tap:aio:/srv/b.img , xvdb , r', 'phy:/dev/vg/c,xvdc,w,driverdom' ]
localtime = True
"#;

#[test]
fn xms_plain_assignments_are_read() {
    let config = xm(XM);
    assert_eq!(config.doubts(), []);
    assert_eq!(config.name(), Some("alpha-node1"));
    assert_eq!(config.text("vcpus"), Some((11, "2")));
    let [forced, file, tap, driver] = config.disks() else { panic!("{config:?}") };
    assert!(forced.forced && forced.writable && !file.forced);
    assert_eq!(forced.path().unwrap(), std::path::Path::new("/dev/hda1"));
    assert_eq!((tap.target.as_str(), tap.writable), ("/srv/b.img", false));
    assert_eq!(driver.backend.as_deref(), Some("driverdom"));
}

#[test]
fn python_that_may_set_what_matters_is_a_doubt() {
    for (text, lines) in [
        ("disk = [ 'phy:/dev/%s,xvda,w' % vg ]\n", vec![1]),
        ("name = 'a'\ndisk = []\ndisk.append('phy:/a,xvda,w')\n", vec![3]),
        ("if 1:\n    disk = [ 'phy:/a,xvda,w' ]\n", vec![2]),
        ("if 1: uuid = 'x'\n", vec![1]),
        ("for n in (1, 2): disk += ['phy:/dev/x%d,xvda%d,w' % (n, n)]\n", vec![1]),
        ("from common import *\n", vec![1]),
        ("from common import disk\n", vec![1]),
        ("execfile('/etc/xen/common')\n", vec![1]),
        ("disk = ('phy:/a,xvda,w',)\n", vec![1]),
        ("disk = [ 'phy:/a' ',xvda,w' ]\n", vec![1]),
        ("disk = \\\n ['phy:/a,xvda,w']\n", vec![1]),
        ("x = '''\ndisk = ['phy:/a,xvda,w']\n'''\n", vec![1]),
        ("name = r'x'\n", vec![1]),
        ("import os\nmemory = int(os.getenv('M'))\n", vec![]),
    ] {
        assert_eq!(doubts(&xm(text)), lines, "{text:?}");
    }
}
