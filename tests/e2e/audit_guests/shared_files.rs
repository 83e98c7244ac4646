//! A file system that several hosts mount: here it is one of FUSE by the name of such a one, on which every
//! name is a file of 64 KiB.

use super::{SHARED, codes, findings};
use crate::hung_disk::mounted;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};

const AT: &str = "/mnt/shared";
/// Requests by their numbers (linux/fuse.h).
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;
const ENOSYS: i32 = 38;

/// Answers until the file system is taken away.
fn answer(mut fuse: File) {
    let mut request = vec![0_u8; 1 << 20];
    while let Ok(length) = fuse.read(&mut request) {
        let number = |at: usize| u32::from_le_bytes(request[at..at + 4].try_into().unwrap());
        assert!(length >= 40, "a request has a header");
        let (code, unique) = (number(4), &request[8..16]);
        let node = u64::from(number(16));
        let (error, body) = match code {
            FORGET | BATCH_FORGET => continue,
            INIT => (0, init()),
            LOOKUP => (0, [numbers(&[2, 0, 60, 60, 0]), attributes(2)].concat()),
            GETATTR => (0, [numbers(&[60, 0]), attributes(node)].concat()),
            _ => (-ENOSYS, Vec::new()),
        };
        let length = u32::try_from(16 + body.len()).unwrap().to_le_bytes();
        let answer = [&length[..], &i32::to_le_bytes(error), unique, &body].concat();
        fuse.write_all(&answer).unwrap();
    }
}

fn numbers(all: &[u64]) -> Vec<u8> {
    all.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Version 7.31, and no more than has to be said.
fn init() -> Vec<u8> {
    let words: [u32; 16] = [7, 31, 0, 0, 0, 4096, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// What stat says: the first node is the directory.
fn attributes(node: u64) -> Vec<u8> {
    let mode = if node == 1 { 0o40_755 } else { 0o100_600 };
    let words: [u32; 10] = [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0];
    let words = words.iter().flat_map(|word| word.to_le_bytes());
    numbers(&[node, 64 << 10, 128, 0, 0, 0]).into_iter().chain(words).collect()
}

#[test]
fn a_file_that_other_hosts_may_use_is_told_and_a_disk_of_its_own_is_not() {
    let dom0 = SHARED.take();
    let Some(fuse) = mounted(&dom0, "fuse.sshfs", AT) else { return };
    let server = std::thread::spawn(|| answer(fuse));
    let change = |from: &str, to: &str| {
        let line = format!("sed -i 's|{from}|{to}|' /etc/xen/beta-db1.cfg");
        let _ = dom0.sh(&line).exits(0);
    };
    change("/srv/disks/beta-db1.img", "/mnt/shared/db1.img");
    let found = findings(&dom0);
    change("/mnt/shared/db1.img", "/srv/disks/beta-db1.img");
    let left = findings(&dom0);
    let _ = dom0.on(&["umount", AT]).exits(0);
    server.join().unwrap();
    assert_eq!(codes(&found), BTreeSet::from(["XF056"]), "{found:#?}");
    assert!(found[0]["evidence"].as_str().unwrap().contains("fuse.sshfs"), "{found:#?}");
    assert_eq!(left, Vec::<Value>::new());
}
