//! The faults, each against the transcript that it was seen in.

use super::lab::Lab;
use super::{HEADER, rows, two_nodes};
use std::time::{Duration, Instant};

#[test]
fn a_corpse_t79_to_t92() {
    let lab = Lab::new(1);
    lab.ok("sed 's/node1/stuck/' /etc/xen/node1.cfg > /mnt/stuck.cfg; xl create -q /mnt/stuck.cfg");
    lab.until_written(1, 1);
    lab.ok("stand-in hold-writes stuck");
    let before = lab.sector(1, 1);
    lab.replay("xl destroy stuck", 0, "", "");
    let corpse = "(null)                                       1     0     1     --p--d       9.7";
    lab.replay("xl list", 0, &rows(&[corpse]), "");
    // Inferred from T82 and T84: no transcript shows a corpse in `xl list -v`.
    let verbose = lab.ok("xl list -v");
    let uuid = " 7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac        -                -\n";
    assert!(verbose.contains("--p--d") && verbose.ends_with(uuid), "{verbose}");
    let long = lab.sh("xl list -l");
    assert!(long.code == 0 && !long.out.contains("stuck"), "{}", long.out);
    assert_eq!(
        long.err,
        "libxl: error: libxl_domain.c:2335:retrieve_domain_configuration_lock_acquired: Domain \
         1:Fail to get domain configuration\n"
    );
    lab.replay(
        "xl vm-list",
        0,
        "UUID                                  ID    name\n\
         00000000-0000-0000-0000-000000000000  0    Domain-0                      \n\
         7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac  1    (null)                        \n",
        "",
    );
    let maybe = "maybe this domain does not exist.\n";
    let error = format!("Can't get domid of domain name 'stuck', {maybe}");
    lab.replay("xl domid stuck", 1, "", &error);
    let error = format!("Can't get domain name of domain id '1', {maybe}");
    lab.replay("xl domname 1", 1, "", &error);
    let error = "stuck is an invalid domain identifier (rc=-6)\n";
    lab.replay("timeout 120 xl destroy stuck", 1, "", error);
    lab.replay("timeout 120 xl destroy 1", 0, "", "");
    assert_eq!(lab.sh("xenstore-ls /local/domain/0/backend/vbd").code, 1, "T79: backend gone");
    assert_eq!(lab.sector(1, 1), before, "T79: nothing lands while it is held");

    // T89: the same name on the same disk, beside the corpse; only the corpse's write is held.
    lab.ok("stand-in fault hold-writes 1; stand-in lift hold-writes stuck");
    let new = "stuck                                        2   128     1     ------       0.3";
    lab.replay(
        "timeout 120 xl create /mnt/stuck.cfg; echo \"rc=$?\"; xl list",
        0,
        &format!("rc=0\n{}", rows(&[corpse, new])),
        "Parsing config from /mnt/stuck.cfg\n",
    );
    assert!(lab.ok("xenstore-ls /local/domain/0/backend/vbd").starts_with("2 = \"\"\n"), "T90");
    lab.ok("stand-in release-writes 1; sleep 0.1");
    lab.replay("xl list", 0, &rows(&[new]), "");
}

#[test]
fn a_write_lands_after_destroy_t79() {
    let lab = two_nodes();
    lab.until_written(2, 2);
    lab.ok("stand-in hold-writes node2; xl destroy node2");
    let held = lab.sector(2, 2);
    lab.ok("sleep 0.3");
    assert_eq!(lab.sector(2, 2), held);
    lab.ok("stand-in release-writes node2; while xl vm-list | grep -q '(null)'; do :; done");
    let landed = lab.sector(2, 2);
    let number = |sector: &str| sector.split(' ').nth(1).and_then(|n| n.parse::<u64>().ok());
    assert_eq!(number(&landed), number(&held).map(|n| n + 1), "{held} then {landed}");
    lab.ok("sleep 0.2");
    assert_eq!(lab.sector(2, 2), landed, "nothing after the row is gone");
}

#[test]
fn stages_of_a_destroy_t77() {
    let lab = two_nodes();
    lab.ok("stand-in fault slow-destroy 2400 node1; xl destroy node1 > /mnt/out 2>&1 &");
    let mut seen = Vec::new();
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        let list = lab.ok("xl list");
        let backend = lab.sh("xenstore-read /local/domain/0/backend/vbd/3/51712/dev").code == 0;
        let row = list.lines().find(|row| row.get(40..46) == Some("     3"));
        let row =
            row.map(|row| (row.get(..6).map(str::to_owned), row.get(63..69).map(str::to_owned)));
        let row = row.map(|(name, state)| format!("{} {}", name.unwrap(), state.unwrap()));
        // Two reads are no snapshot: the backend's is the later one.
        let step = row.clone().map(|row| format!("{row} {backend}"));
        if seen.last() != Some(&step) {
            seen.push(step);
        }
        if row.is_none() {
            break;
        }
    }
    // Between the last stage and the end it may be seen dying, for an instant.
    let stage = |step: &String| !step.contains(" ---") && !step.contains("--p--d");
    let seen: Vec<String> = seen.into_iter().flatten().filter(stage).collect();
    let wanted = ["node1  --p--- true", "node1  --p--- false", "(null) --p--- false"];
    assert_eq!(seen, wanted, "then it is gone");
}

#[test]
fn a_guest_that_reboots_itself_t60_t61() {
    let lab = Lab::new(5);
    lab.ok("xl create -q /etc/xen/node1.cfg");
    lab.until_written(1, 1);
    lab.replay(
        "echo \"domid $(xl domid node1)\"; xl reboot node1; while xl domid node1 > /dev/null 2>&1; \
         do :; done; xl destroy node1; echo \"destroy rc=$?\"; xl list",
        0,
        &format!("domid 5\ndestroy rc=1\n{}", rows(&[])),
        "Rebooting domain 5\nnode1 is an invalid domain identifier (rc=-6)\n",
    );
    let monitor = lab.ok("pgrep -x xl; pgrep -f '[x]l create -q /etc/xen/node1.cfg'");
    assert_eq!(monitor.lines().count(), 2, "the monitor waits in the gap: {monitor}");
    let not_yet = "xl list node1 2>&1 | grep -qE -- '--p---|rc=-6'";
    lab.ok(&format!("for i in $(seq 100); do {not_yet} || break; sleep 0.1; done"));
    let again = "node1                                        6   128     1     ------       4.0";
    lab.replay("xl list", 0, &rows(&[again]), "");
    lab.ok("xl destroy node1; for i in $(seq 50); do pgrep -x xl || break; sleep 0.1; done");
    assert_eq!(lab.sh("pgrep -x xl").code, 1, "destroyed by another: the monitor goes");
}

#[test]
fn the_monitor_is_what_the_proof_looks_for() {
    let lab = two_nodes();
    let found = lab.ok(
        "for p in $(pgrep -x xl); do tr '\\0' ' ' < /proc/$p/cmdline; for f in 1 2; do readlink \
         /proc/$p/fd/$f; done; grep ^flags /proc/$p/fdinfo/1; basename $(readlink /proc/$p/exe); \
         done",
    );
    for node in ["node1", "node2"] {
        let log = format!("/var/log/xen/xl-{node}.log");
        let wanted = format!("xl create /etc/xen/{node}.cfg {log}\n{log}\nflags:\t0102001\nxl\n");
        assert!(found.contains(&wanted), "{found}");
    }
}

#[test]
fn processes_that_outlive_destroy() {
    let lab = Lab::new(1);
    lab.ok(
        "cd /mnt; sed 's/phy:\\(.*\\),w\"/file:\\1,w,backendtype=qdisk\"/' /etc/xen/node1.cfg > 1.cfg
         sed 's/phy:/tap:aio:/' /etc/xen/node2.cfg > 2.cfg
         xl create -q 1.cfg; xl create -q 2.cfg",
    );
    for (node, process) in [(1, "[q]emu-system-i386 -xen-domid 1 "), (2, "^tapdisk")] {
        lab.until_written(node, node);
        assert_eq!(lab.sh(&format!("pgrep -f '{process}'")).code, 0, "{process}");
        lab.ok(&format!("stand-in fault outlive-writes node{node}; xl destroy node{node}"));
        lab.ok(&format!("! xl list -v | grep -e ' {node}   128 ' -e null"));
        let held = lab.sector(node, node);
        assert_eq!(lab.sh(&format!("pgrep -f '{process}'")).code, 0, "{process} lives on");
        lab.ok(&format!(
            "stand-in release-writes node{node}; while pgrep -f '{process}'; do :; done"
        ));
        assert_ne!(lab.sector(node, node), held, "its write has landed");
        lab.ok("stand-in clear");
    }
    lab.ok("xl create -q /mnt/1.cfg; xl destroy node1");
    assert_eq!(lab.sh("pgrep -f '[x]en-domid'").code, 1, "ordinarily it goes with the domain");
}

#[test]
fn xenstored_is_dead_t99() {
    let lab = two_nodes();
    lab.until_written(1, 1);
    lab.ok("stand-in fault xenstored-dead");
    for command in ["xl list", "xl destroy node1", "xl destroy 3", "xl domid node1", "xm list"] {
        lab.replay(&format!("timeout 0.3 {command}"), 124, "", "");
    }
    let before = lab.sector(1, 1);
    lab.ok("sleep 0.2");
    assert_ne!(lab.sector(1, 1), before, "the guest lives on");
    lab.ok("stand-in clear; xl list");
}

#[test]
fn creates_that_wait_or_fail() {
    let lab = Lab::new(1);
    lab.ok("stand-in fault hold-lock 1500");
    let took =
        lab.ok("a=$(date +%s%3N); xl create -q /etc/xen/node1.cfg; echo $(($(date +%s%3N) - a))");
    assert!(took.trim().parse::<u64>().unwrap() >= 300, "{took}");
    lab.ok("xl destroy node1; stand-in fault create-delay 2400; xl create -q /etc/xen/node1.cfg \
         > /mnt/out 2>&1 &");
    let rows =
        lab.ok("for i in $(seq 60); do xl list | tail -n +3; sleep 0.06; done | cut -c1-69 | uniq");
    let wanted = [
        "(null)                                       2     0     0     --p---",
        "node1                                        2     0     0     --p---",
        "node1                                        2   128     0     --p---",
        "node1                                        2   128     1     --p---",
        "node1                                        2   128     1     ------",
    ];
    // On a busy machine the last looks find it idle already.
    let rows = rows.replace("-b----", "------");
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.dedup();
    assert_eq!(rows, wanted, "T60, T97");
    lab.ok("stand-in clear; xl destroy node1");
    for (kind, code) in [("no-memory", 3), ("disk", 3), ("config", 1)] {
        lab.ok(&format!("stand-in fault create-fails {kind}"));
        assert_eq!(lab.sh("xl create /etc/xen/node1.cfg").code, code, "{kind}");
    }
    assert_eq!(lab.ok("xl list | wc -l"), "2\n", "nothing is left of them");
}

#[test]
fn destroys_that_lie_or_fail() {
    let lab = two_nodes();
    lab.ok("stand-in fault exit-lies node1");
    lab.replay("xl destroy node1", 0, "", "");
    lab.ok("stand-in clear; stand-in fault destroy-fails-before-pause");
    let failed = lab.sh("xl destroy node1");
    assert!(failed.code == 1 && failed.err.ends_with("destroy failed (rc=-3)\n"), "{}", failed.err);
    lab.ok("stand-in clear; stand-in fault destroy-hangs");
    lab.replay("timeout 0.2 xl destroy node1", 124, "", "");
    lab.ok("stand-in clear; xl list node1");
    lab.until_written(1, 1);
    lab.ok("stand-in fault corpse node1; xl destroy node1; sleep 0.1; xl list | grep -- --p--d");
    lab.ok("stand-in clear; sleep 0.1; ! xl list | grep -- --p--d");
}

#[test]
fn listings_that_are_spoilt() {
    let lab = two_nodes();
    let spoilt = |kind: &str| {
        lab.ok(&format!("stand-in fault list-garbage {kind}"));
        lab.sh("timeout 0.3 xl list | tr -d '\\0'; exit ${PIPESTATUS[0]}")
    };
    let truncated = spoilt("truncated");
    assert!(truncated.code == 0 && !truncated.out.ends_with('\n'), "{}", truncated.out);
    assert!(spoilt("no-header").out.starts_with("Domain-0 "));
    assert!(spoilt("no-dom0").out.starts_with(&format!("{HEADER}node1 ")));
    assert!(!spoilt("binary").out.contains("Domain-0"));
    assert_eq!(spoilt("empty").out, "");
    let hangs = spoilt("partial-hang");
    assert!(hangs.code == 124 && hangs.out.starts_with(HEADER), "{}", hangs.out);
}

#[test]
fn rows_made_by_hand() {
    let lab = two_nodes();
    lab.ok("stand-in row node1 --incoming; stand-in row node1 --migratedaway; \
            stand-in row node2 --incoming live; \
            stand-in add-row evil 06344ce4-c977-4f26-804a-519a3e81bf71");
    let list = lab.ok("xl list -v | cut -c1-46,63-69,80-93");
    for row in [
        "node1--incoming                              5 --p--- 7f9598e3-85dc",
        "node1--migratedaway                          6 ---ss- 7f9598e3-85dc",
        "node2--incoming                              7 --p--- 06344ce4-c977",
        "evil                                         8 ------ 06344ce4-c977",
    ] {
        assert!(list.contains(row), "{list}");
    }
    lab.ok("pgrep -f '[x]l migrate-receive'; ls /var/log/xen/xl-node2--incoming.log");
    lab.ok("for i in 3 4 5 6 7 8; do xl destroy $i; done");
    assert_eq!(lab.ok("xl list | wc -l"), "2\n");
}

#[test]
fn a_domain_inherits_what_its_creator_had() {
    let lab = Lab::new(1);
    lab.ok("sed 's|^kernel.*|kernel = \"/usr/bin/sleep\"|; s|^extra.*|extra = \"99\"|' \
            /etc/xen/node1.cfg > /mnt/s.cfg");
    let facts = "for p in $(stand-in pid node1) $(pgrep -x xl); do grep -E 'Sig(Ign|Blk)|Umask' \
                 /proc/$p/status; grep -E 'open files' /proc/$p/limits; tr '\\0' '\\n' < \
                 /proc/$p/environ | grep MARK || true; done";
    let plain = lab.ok(&format!(
        "umask 022; env --default-signal=HUP,PIPE xl create -q /mnt/s.cfg; {facts}; xl destroy node1"
    ));
    let ignored = |seen: &str| -> Vec<u64> {
        let masks = seen.lines().filter_map(|line| line.strip_prefix("SigIgn:\t"));
        // Only HUP and PIPE: the test's own surroundings may ignore others, and nohup ignores HUP.
        masks.map(|mask| u64::from_str_radix(mask, 16).unwrap() & 0x1001).collect()
    };
    assert_eq!(ignored(&plain), [0, 0], "{plain}");
    let odd = lab.ok(&format!(
        "umask 027; ulimit -n 77; trap '' PIPE HUP; MARK=1 xl create -q /mnt/s.cfg; {facts}"
    ));
    assert_eq!(ignored(&odd), [0x1001, 0x1001], "{odd}");
    assert_eq!(odd.matches("Umask:\t0027").count(), 2, "{odd}");
    assert_eq!(odd.matches(" 77 ").count(), 4, "{odd}");
    assert_eq!(odd.matches("MARK=1").count(), 2, "{odd}");
}
