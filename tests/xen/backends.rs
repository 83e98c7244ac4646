//! Disks that a device model in dom0 serves, from user space: qemu as the backend of a
//! paravirtual disk (qdisk), and as an emulated IDE disk of a guest with emulated hardware.

use crate::{fresh, pause};
use std::time::{Duration, Instant};
use xen_fence_tests::lab::{DISK, Lab};

/// A disk for xl, by its name in the guest, that a device model serves.
fn qdisk(file: &str, name: &str) -> String {
    format!("\"format=raw,vdev={name},access=rw,backendtype=qdisk,target={file}\"")
}

/// node2 with its disk served by a device model.
fn on_qdisk(lab: &Lab) {
    lab.remake("node2", "", &format!("disk = [{}]\n", qdisk(DISK, "xvda")));
}

/// How long [`on_lingering_qdisk`] writes on: longer than the last look for a row takes.
const LINGERS: u32 = 20;

/// node2 with its disk served by a device model that writes on when it has let go of the guest's
/// memory, as one with a cache of its own may: Xen has nothing left to show then.
fn on_lingering_qdisk(lab: &Lab) {
    on_qdisk(lab);
    let qemu = lab.sh(&format!("readlink /proc/{}/exe", device_model(lab))).exits(0).stdout;
    let (qemu, slot, program) = (qemu.trim(), lab.node("node2").slot, "/srv/device-model");
    lab.write(
        program,
        &format!(
            "#!/bin/bash
            trap 'kill $child' HUP TERM
            {qemu} \"$@\" &
            child=$!
            while kill -0 $child 2>/dev/null; do wait $child; done
            sector() {{ dd bs=4096 conv=fsync,notrunc count=1 \"$@\" 2>/dev/null; }}
            read -r name number rest < <(sector if={DISK} skip={slot})
            end=$((SECONDS + {LINGERS}))
            while [ $SECONDS -lt $end ]; do
                number=$((number + 1))
                printf '%-4095s\\n' \"$name $number late\" | sector of={DISK} seek={slot}
                sleep 0.2
            done"
        ),
    );
    let _ = lab.sh(&format!("chmod 755 {program}")).exits(0);
    let disk = qdisk(DISK, "xvda");
    lab.remake("node2", "", &format!("disk = [{disk}]\ndevice_model_override = \"{program}\"\n"));
}

/// node2 with emulated hardware, which knows of no Xen: tests/image/guest-bios.S. Its kernel is its
/// first disk.
fn on_emulated_disk(lab: &Lab) {
    // A BIOS counts in sectors of 512 bytes, the lab in those of 4096.
    let (boot, sector) = ("/srv/boot.img", lab.node("node2").slot * 8);
    let _ = lab
        .sh(&format!(
            "cp /lab/guest-bios {boot} && truncate -s 1M {boot} &&
             printf 'node2   \\{sector:03o}' | dd of={boot} bs=1 seek=440 conv=notrunc"
        ))
        .exits(0);
    let disks = format!("{}, {}", qdisk(boot, "hda"), qdisk(DISK, "hdb"));
    let node = lab.node("node2");
    let (domain, uuid, config) = (&node.domain, &node.uuid, node.config());
    let text = format!(
        "name = \"{domain}\"\nuuid = \"{uuid}\"\ntype = \"hvm\"\nmemory = 64\nvcpus = 1\n\
         boot = \"c\"\nvga = \"none\"\nvnc = 0\ndisk = [{disks}]\n"
    );
    let _ = lab.sh(&format!("xl destroy {domain}; until ! xl domid {domain}; do sleep 0.5; done"));
    lab.write(&config, &text);
    lab.blank("node2");
    let _ = lab.sh(&format!("xl create {config}")).exits(0);
    lab.counts("node2");
}

/// The process of node2's device model that libxl has started.
fn device_model(lab: &Lab) -> u32 {
    let domid = lab.domid("node2").unwrap();
    let found = lab.sh(&format!("pgrep -o -f -- '-xen-domid {domid} '")).exits(0);
    found.stdout.trim().parse().unwrap()
}

/// The threads of a process, each with its state and what it waits for in the kernel.
fn threads(lab: &Lab, pid: u32) -> String {
    let show = "echo $(cut -d' ' -f1,3 $task/stat) $(cat $task/wchan)";
    lab.sh(&format!(
        "cd /proc/{pid}/task 2>/dev/null || exit 0
         for task in *; do [ ! -e $task/stat ] || {show}; done 2>/dev/null"
    ))
    .stdout
}

/// Freezes the disk until the device model is in the middle of a write that does not end.
fn freeze(lab: &Lab, device_model: u32) {
    let _ = lab.sh("fsfreeze -f /srv/shared").exits(0);
    let hanging = || {
        let threads = threads(lab, device_model);
        let hanging = threads.lines().filter(|thread| thread.contains(" D "));
        hanging.map(str::to_owned).collect::<Vec<_>>()
    };
    // A write that was begun before ends soon.
    let stuck = || {
        let before = hanging();
        pause(2);
        hanging().iter().any(|thread| before.contains(thread))
    };
    let seen = lab.until("", Duration::from_secs(60), stuck);
    assert!(seen.is_ok(), "no thread hangs in a write:\n{}", threads(lab, device_model));
}

fn fenced_is_on_record(lab: &Lab) -> bool {
    lab.journal().iter().any(|record| record["result"] == "fenced killed")
}

/// `off` while the device model hangs in a write: no proof before the thaw, and soon after it.
fn off_waits_for(lab: &Lab, kill_device_model: bool) {
    let watch = lab.watch("node2");
    let pid = device_model(lab);
    freeze(lab, pid);
    if kill_device_model {
        let _ = lab.sh(&format!("kill -KILL {pid}")).exits(0);
        lab.settle("its first thread has ended", || threads(lab, pid).contains(" Z "));
    }
    let mut off = lab.ask("node1", &["off", "node2", "-v"]);
    lab.settle("its domain is dying", || lab.domid("node2").is_none());
    pause(8);
    assert!(threads(lab, pid).contains(" D "), "{}", threads(lab, pid));
    assert!(off.is_running(), "{}", off.wait());
    assert!(!fenced_is_on_record(lab), "{}", lab.listing());
    let _ = lab.sh("fsfreeze -u /srv/shared").exits(0);
    let thawed = Instant::now();
    let off = off.wait().exits(0).saying("fenced (killed)");
    assert!(thawed.elapsed().as_secs() < 15, "{off}");
    assert_eq!(threads(lab, pid), "", "the device model has ended");
    lab.judge(watch);
    lab.stands_still("node2");
}

fn reset_starts_anew(lab: &Lab) {
    let watch = lab.watch("node2");
    let before = (lab.domid("node2"), device_model(lab));
    let _ = lab.ask("node1", &["reset", "node2"]).wait().exits(0).saying("fenced (killed)");
    lab.settle("it is on again", || lab.domid("node2").is_some_and(|new| Some(new) > before.0));
    assert_eq!(threads(lab, before.1), "", "the device model of the old one has ended");
    lab.counts("node2");
    lab.judge(watch);
}

#[test]
fn reset_with_a_qdisk() {
    let lab = fresh();
    on_qdisk(&lab);
    reset_starts_anew(&lab);
}

#[test]
fn fenced_waits_for_a_qdisks_write() {
    let lab = fresh();
    on_qdisk(&lab);
    off_waits_for(&lab, false);
}

#[test]
fn fenced_waits_for_the_write_of_a_killed_qdisk() {
    let lab = fresh();
    on_qdisk(&lab);
    off_waits_for(&lab, true);
}

#[test]
fn reset_with_an_emulated_disk() {
    let lab = fresh();
    on_emulated_disk(&lab);
    reset_starts_anew(&lab);
}

#[test]
fn fenced_waits_for_an_emulated_disks_write() {
    let lab = fresh();
    on_emulated_disk(&lab);
    off_waits_for(&lab, false);
}

#[test]
fn fenced_waits_for_the_write_of_a_killed_device_model() {
    let lab = fresh();
    on_emulated_disk(&lab);
    off_waits_for(&lab, true);
}

#[test]
fn fenced_waits_for_a_device_model_without_a_row() {
    let lab = fresh();
    on_lingering_qdisk(&lab);
    let watch = lab.watch("node2");
    let pid = device_model(&lab);
    let mut off = lab.ask("node1", &["off", "node2", "-v"]);
    lab.settle("no row is left of it", || lab.rows("node2").is_empty());
    assert!(lab.sector("node2").ends_with("late"), "its device model writes on");
    assert!(off.is_running(), "{}", off.wait());
    assert!(!fenced_is_on_record(&lab), "{:?}", lab.journal());
    let _ = off.wait().exits(0).saying("fenced (killed)");
    assert_eq!(threads(&lab, pid), "", "the device model has ended");
    lab.judge(watch);
    lab.stands_still("node2");
}
