//! The guests' half of the audit: a host with a fault yields exactly its finding, and what the finding
//! says mends it.

mod faults;
mod shared_files;

use crate::{Shared, hung_disk, two_clusters, within};
use faults::Mend::{By, Printed, PrintedBehind, PrintedLine};
use faults::{AS_BEFORE, FAULTS, TOOLS};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use xen_fence_tests::skipped;
use xen_fence_tests::throwaway::{Dom0, Output};

static SHARED: Shared = Shared::new();

/// All findings, the host's as well: what is wrong with a guest is nothing that its host is told for.
fn told(output: &Output) -> Vec<Value> {
    let report: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
    report["findings"].as_array().unwrap().clone()
}

fn findings(dom0: &Dom0) -> Vec<Value> {
    told(&dom0.on(&["xen-fence-admin", "audit", "--format", "json"]))
}

fn codes(findings: &[Value]) -> BTreeSet<&str> {
    findings.iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

/// A line takes the place of the file's own for its key, or joins it.
fn put(dom0: &Dom0, file: &str, line: &str) {
    let key = line.split(' ').next().unwrap();
    let text = dom0.file(file);
    let rest: Vec<&str> = if file.ends_with(".toml") {
        text.lines().collect()
    } else {
        text.lines().filter(|there| !there.starts_with(&format!("{key} ="))).collect()
    };
    // At the end of the policy's file is its last node, which is the one in question.
    dom0.write(file, format!("{}\n{line}\n", rest.join("\n")), 0o644);
}

#[test]
fn a_fault_yields_its_finding_and_the_mend_takes_it_away() {
    let dom0 = SHARED.take();
    let sh = |line: &str| dom0.on(&["bash", "-c", &format!("{TOOLS}{line}")]).exits(0);
    assert_eq!(findings(&dom0), Vec::<Value>::new(), "a clean host has none");
    let chosen = std::env::var("XEN_FENCE_FAULT").ok();
    let mut wrong = Vec::new();
    let _ = sh("rm -rf /root/xen /root/policy; cp -a $X /root/xen; cp -a $P /root/policy");
    for (what, wanted, inject, words, mend) in FAULTS {
        let code = wanted.split(' ').next().unwrap();
        if chosen.as_ref().is_some_and(|chosen| chosen != code) {
            continue;
        }
        let _ = sh(inject);
        let found = findings(&dom0);
        let of_code: Vec<&Value> = found.iter().filter(|it| it["code"] == code).collect();
        if codes(&found) != wanted.split(' ').collect()
            || !of_code.iter().any(|it| it["evidence"].as_str().unwrap().contains(words))
        {
            wrong.push(format!("{what}: {wanted} with {words:?} is wanted, and it is {found:#?}"));
        }
        let printed = of_code.first().map_or("", |it| it["mend"].as_str().unwrap()).to_owned();
        let behind = printed.rsplit(": ").next().unwrap();
        let _ = match mend {
            Printed => sh(&printed),
            PrintedBehind => sh(behind),
            PrintedLine(file) => {
                put(&dom0, file, behind);
                sh("true")
            }
            By(line) => sh(line),
        };
        let left = || findings(&dom0);
        if !within(Duration::from_secs(5), || left().is_empty()) {
            wrong.push(format!("{what}: after {printed:?} is left {:#?}", left()));
        }
        let _ = sh(AS_BEFORE);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every death takes a moment in which its row is there.
#[test]
fn what_is_about_to_go_is_no_corpse() {
    let dom0 = SHARED.take();
    let line = "stand-in fault corpse alpha-node2; xl destroy alpha-node2
        (sleep 1; stand-in clear) > /dev/null 2>&1 &
        xen-fence-admin audit --format json";
    let found = told(&dom0.sh(line));
    assert_eq!(found, Vec::<Value>::new());
}

#[test]
fn a_loop_device_and_its_file_are_one_disk() {
    let dom0 = SHARED.take();
    // In one breath: a loop device that is left would be the machine's.
    let line = "cp -p /etc/xen/beta-db1.cfg /root
        test -e /dev/loop-control || mknod /dev/loop-control c 10 237
        number=$(losetup --find) || exit 9
        test -e $number || mknod $number b 7 ${number#/dev/loop}
        losetup $number /srv/disks/alpha-node1.img || exit 9
        sed -i \"s|,xvda,w\\\"|&, \\\"phy:$number,xvdb,w\\\"|\" /etc/xen/beta-db1.cfg
        xen-fence-admin audit --format json
        losetup --detach $number
        mv /root/beta-db1.cfg /etc/xen";
    let output = dom0.sh(line);
    if output.code == 9 {
        let why = "no loop device can be had here";
        return skipped("a_loop_device_and_its_file_are_one_disk", why);
    }
    let found = told(&output);
    assert_eq!(codes(&found), BTreeSet::from(["XF054"]), "{found:#?}");
    assert!(found[0]["about"].as_str().unwrap().contains("/dev/loop"), "{found:#?}");
}

/// A domain that was made from a file elsewhere is known by what it runs with.
#[test]
fn what_a_running_domain_writes_is_seen_without_its_configuration() {
    let dom0 = SHARED.take();
    let line = "stray; ln -f /srv/disks/alpha-node1.img /srv/disks/by-another-name.img
        sed -i 's|,xvda,w\"|&, \"phy:/srv/disks/by-another-name.img,xvdb,w\"|' $X/stray.cfg
        mv $X/stray.cfg /root; xl create /root/stray.cfg";
    let _ = dom0.on(&["bash", "-c", &format!("{TOOLS}{line}")]).exits(0);
    let found = findings(&dom0);
    let _ = dom0.on(&["xl", "destroy", "stray"]).exits(0);
    assert_eq!(codes(&found), BTreeSet::from(["XF055", "XF161"]), "{found:#?}");
    assert!(found[0]["evidence"].as_str().unwrap().contains("stray (as it runs)"), "{found:#?}");
}

/// xl gives a device model that is a domain of its own the name of the node with `-dm` behind it, and its disks.
#[test]
fn a_device_model_in_a_domain_is_no_stranger() {
    let dom0 = SHARED.take();
    let line = "stray
        ln -f /srv/disks/alpha-node1.img /srv/disks/by-another-name.img
        sed -e 's/^name.*/name = \"alpha-node1-dm\"/' -e 's|stray.img|by-another-name.img|' $X/stray.cfg > /root/dm.cfg
        rm $X/stray.cfg; xl create /root/dm.cfg";
    let _ = dom0.on(&["bash", "-c", &format!("{TOOLS}{line}")]).exits(0);
    let found = findings(&dom0);
    let page = dom0.on(&["xen-fence-admin", "audit", "--format", "html"]);
    // What has a configuration is a domain like another.
    let _ = dom0.sh("cp /root/dm.cfg /etc/xen/alpha-node1-dm.cfg").exits(0);
    let with_its_file = findings(&dom0);
    let _ = dom0.sh("rm /etc/xen/alpha-node1-dm.cfg; xl destroy alpha-node1-dm").exits(0);
    assert_eq!(found, Vec::<Value>::new());
    assert!(!page.says("alpha-node1-dm"), "{page}");
    assert_eq!(codes(&with_its_file), BTreeSet::from(["XF055", "XF161"]), "{with_its_file:#?}");
}

/// With xenstored dead every xl hangs.
#[test]
fn a_xen_that_is_silent_is_no_all_clear_and_no_hang() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "xenstored-dead"]);
    let found = findings(&dom0);
    let audit = dom0.on(&["xen-fence-admin", "audit"]);
    dom0.fault(&["clear"]);
    assert_eq!(codes(&found), BTreeSet::from(["XF147"]), "nobody knows more: {found:#?}");
    let _ = audit.exits(3).saying("XF147");
}

/// What it lives by is not known then, and nobody is told to boot the host.
#[test]
fn a_xenstore_ls_that_fails_is_no_dead_xenstored() {
    let dom0 = SHARED.take();
    let keep = "mv /usr/bin/xenstore-ls /root; cd /usr/bin";
    for (says, why) in [
        ("exit 1", "exit code 1"),
        ("exec yes", "more than 16777216 bytes"),
        ("exec sleep 60", "no answer within 5 s"),
    ] {
        let fault =
            format!("{keep}; printf '#!/bin/sh\n{says}\n' > xenstore-ls; chmod 755 xenstore-ls");
        let _ = dom0.sh(&fault).exits(0);
        let audit = dom0.on(&["xen-fence-admin", "audit"]);
        let _ = dom0.sh("mv -f /root/xenstore-ls /usr/bin").exits(0);
        let audit = audit.exits(1).saying("XF151").saying(why);
        assert!(!audit.says("XF14"), "{audit}");
    }
}

/// As many lines as some three hundred guests have.
#[test]
fn a_host_with_many_guests_is_looked_at_like_another() {
    let dom0 = SHARED.take();
    let line = "instead_of_xenstore_ls '/root/xenstore-ls \"$@\"
        test \"$2\" != /local/domain/0/backend || seq 30000 | sed \
            \"s|.*|/local/domain/0/backend/vif/&/0/handle = \\\"0\\\"|\"'
        xenstore-ls -f /local/domain/0/backend | wc -c";
    let length = dom0.on(&["bash", "-c", &format!("{TOOLS}{line}")]).exits(0);
    let found = findings(&dom0);
    let _ = dom0.sh("mv -f /root/xenstore-ls /usr/bin").exits(0);
    assert!(length.stdout.trim().parse::<u32>().unwrap() > 1 << 20, "{length}");
    assert_eq!(found, Vec::<Value>::new());
}

/// Whether the toolstack answers and what it lists are one question.
#[test]
fn the_host_is_listed_once() {
    let dom0 = SHARED.take();
    let once = "#!/bin/sh
        test -e /root/listed && exit 1
        touch /root/listed
        exec /usr/lib/xen-4.17/bin/xl \"$@\"\n";
    dom0.write("/root/once/xl", once, 0o755);
    dom0.write("/etc/xen-fence/broker.toml", "xl = \"/root/once/xl\"\n", 0o644);
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    let found = dom0.on(&["xen-fence-admin", "audit", "--format", "json"]);
    let _ = dom0.on(&["xl", "create", "/etc/xen/alpha-node2.cfg"]).exits(0);
    let _ = dom0.sh("rm -rf /etc/xen-fence/broker.toml /root/once /root/listed").exits(0);
    assert_eq!(codes(&told(&found)), BTreeSet::from(["XF152"]), "{found}");
    assert!(!found.says("XF148"), "{found}");
}

#[test]
fn a_configuration_that_hangs_holds_nothing_up() {
    let dom0 = two_clusters().raise().unwrap();
    let Some(_fuse) = hung_disk::hung(&dom0) else { return };
    let line = "mkdir -p /etc/xen/auto /etc/rc3.d; touch /etc/rc3.d/S20xendomains
        ln -s ../beta-db1.cfg /etc/xen/auto/10-beta
        ln -s /mnt/hung/alpha-node1.cfg /etc/xen/auto/20-alpha
        sed -i 's|/etc/xen/alpha-node1.cfg|/mnt/hung/alpha-node1.cfg|' /etc/xen-fence/clusters.d/alpha.toml
        timeout -s KILL 100 xen-fence-admin audit --format json";
    let found = told(&dom0.sh(line));
    assert_eq!(
        codes(&found),
        BTreeSet::from(["XF049", "XF053", "XF057", "XF156", "XF165"]),
        "{found:#?}"
    );
}

#[test]
fn xms_python_is_read_as_far_as_it_is_plain() {
    let dom0 = SHARED.take();
    let config = "/etc/xen/beta-db1.cfg";
    let kept = dom0.file(config);
    dom0.write("/etc/xen-fence/broker.toml", "toolstack = \"xm\"\n", 0o644);
    let plain = format!("import os\narch = os.uname()[4]\n{kept}");
    let shared = plain.replace(",xvda,w\"", ",xvda,w\", 'phy:/srv/disks/alpha-node1.img,xvdb,w!'");
    let python = format!("{plain}disk.append('phy:/srv/disks/alpha-node1.img,xvdb,w!')\n");
    let mut seen = Vec::new();
    for text in [plain, shared, python] {
        dom0.write(config, text, 0o644);
        seen.push(findings(&dom0));
    }
    dom0.write(config, kept, 0o644);
    dom0.remove("/etc/xen-fence/broker.toml");
    let [plain, shared, python] = seen.as_slice() else { panic!() };
    assert_eq!(plain, &Vec::<Value>::new());
    assert_eq!(codes(shared), BTreeSet::from(["XF054"]), "{shared:#?}");
    assert!(shared[0]["evidence"].as_str().unwrap().contains("w!"), "{shared:#?}");
    assert_eq!(codes(python), BTreeSet::from(["XF057"]), "{python:#?}");
}

#[test]
fn a_cluster_hears_of_its_own_and_of_the_hosts() {
    let dom0 = SHARED.take();
    let _ = dom0.sh("chmod 666 /etc/xen/alpha-node2.cfg").exits(0);
    let of = |cluster: &str| dom0.on(&["xen-fence-admin", "audit", "--cluster", cluster]);
    let (alpha, beta) = (of("alpha"), of("beta"));
    let _ = dom0.sh("chmod 644 /etc/xen/alpha-node2.cfg").exits(0);
    let _ = alpha.exits(3).saying("XF156").saying("mend: chmod go-w /etc/xen/alpha-node2.cfg");
    assert!(!beta.says("XF156"), "{beta}");
}
