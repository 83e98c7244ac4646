//! What brings a node back behind everybody's back: its own reboot, which its xl monitor completes,
//! and a power-on that waits for xl's lock. After `fenced` nothing comes back.

use crate::{fresh, pause};
use std::time::Duration;
use xen_fence_tests::lab::Lab;

/// Nothing of node2 is there, and nothing comes in the time that a waiting create needs.
fn stays_away(lab: &Lab) {
    lab.stands_still("node2");
    assert!(lab.rows("node2").is_empty(), "{}", lab.listing());
    assert!(lab.xl_processes_of("node2").is_empty(), "{:?}", lab.xl_processes_of("node2"));
}

/// node2 has rebooted itself, and its monitor waits for xl's lock before it makes it anew.
fn in_a_long_gap(lab: &Lab) {
    lab.creates_take_xls_lock();
    lab.remake("node2", "do=reboot", "");
    lab.hold_xls_lock();
    lab.settle("its monitor waits for the lock", || {
        lab.rows("node2").is_empty() && !lab.creates_at_xls_lock().is_empty()
    });
}

#[test]
fn absent_is_not_off_while_its_monitor_lives() {
    let lab = fresh();
    in_a_long_gap(&lab);
    let status = lab.ask("node1", &["status", "node2"]).wait();
    assert!(status.says("unknown") && !status.says("node2 off"), "{status}");
    let mut off = lab.ask("node1", &["off", "node2", "-v"]);
    pause(20);
    assert!(off.is_running(), "{}", off.wait());
    assert!(lab.rows("node2").is_empty(), "the gap goes on: {}", lab.listing());
    lab.let_go_xls_lock();
    let _ = off.wait().exits(0).saying("fenced (killed)");
    stays_away(&lab);
}

/// What a fence that kills monitors would rely on. A monitor that has gone past the lock leaves what
/// it has made so far: a domain that is never started, and that nobody waits for.
#[test]
fn a_monitor_that_is_killed_may_leave_a_domain() {
    let lab = fresh();
    in_a_long_gap(&lab);
    let waiting = lab.sh("kill -KILL $(pgrep -x -f '.*xl create .*node2.*')");
    let _ = waiting.exits(0);
    lab.let_go_xls_lock();
    pause(5);
    assert!(lab.rows("node2").is_empty(), "it waited and had made nothing: {}", lab.listing());
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced");

    lab.remake("node2", "do=reboot", "");
    let first = lab.rows("node2");
    let script = "until xl list | grep -q 'alpha-node2 .* --p---'; do :; done
                  kill -KILL $(pgrep -x -f '.*xl create .*node2.*')";
    let _ = lab.sh(script).exits(0);
    pause(10);
    let left = lab.rows("node2");
    assert!(left.len() == 1 && left != first, "half built, for ever: {}", lab.listing());
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced (killed)");
    stays_away(&lab);
}

/// Root began to make it before the fence, and xl waits for its lock; no listing shows it.
fn begun_by_root(prepare: &str, begin: &str) {
    let lab = fresh();
    lab.creates_take_xls_lock();
    let _ = lab.sh(prepare).exits(0);
    lab.settle("it is off", || lab.rows("node2").is_empty());
    lab.hold_xls_lock();
    let begun = lab.start(begin);
    lab.settle("xl waits for the lock", || !lab.creates_at_xls_lock().is_empty());
    let status = lab.ask("node1", &["status", "node2"]).wait();
    assert!(status.says("unknown") && !status.says("node2 off"), "{status}");
    let mut off = lab.ask("node1", &["off", "node2"]);
    pause(6);
    assert!(off.is_running(), "{}", off.wait());
    lab.let_go_xls_lock();
    let _ = off.wait().exits(0).saying("fenced (killed)");
    let _ = begun.wait();
    stays_away(&lab);
}

#[test]
fn a_restore_by_root_that_waits() {
    begun_by_root("xl save alpha-node2 /root/saved", "xl restore /root/saved");
}

#[test]
fn a_create_by_root_that_waits() {
    let create = "xl create --defconfig=/etc/xen/alpha-node2.cfg";
    begun_by_root("xl destroy alpha-node2", create);
}

#[test]
fn a_reboot_at_that_very_moment() {
    let lab = fresh();
    for delay in [0, 300, 900] {
        lab.remake("node2", "do=reboot", "");
        let first = lab.domid("node2");
        lab.settle("it reboots itself", || lab.domid("node2") != first);
        std::thread::sleep(Duration::from_millis(delay));
        let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced");
        stays_away(&lab);
    }
}

#[test]
fn an_off_beside_an_on_that_waits_for_xls_lock() {
    let lab = fresh();
    lab.creates_take_xls_lock();
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0);
    lab.hold_xls_lock();
    let on = lab.ask("node1", &["on", "node2"]);
    lab.settle("a create waits", || !lab.creates_at_xls_lock().is_empty());
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced");
    assert!(lab.creates_at_xls_lock().is_empty(), "{:?}", lab.creates_at_xls_lock());
    let on = on.wait();
    assert_ne!(on.code, 0, "{on}");
    lab.let_go_xls_lock();
    stays_away(&lab);
}

#[test]
fn an_off_beside_a_reset_whose_power_on_waits_for_xls_lock() {
    let lab = fresh();
    lab.creates_take_xls_lock();
    lab.hold_xls_lock();
    let reset = lab.ask("node1", &["reset", "node2"]);
    lab.settle("a create waits", || !lab.creates_at_xls_lock().is_empty());
    let _ = lab.ask("node1", &["off", "node2"]).wait().exits(0).saying("fenced");
    assert!(lab.creates_at_xls_lock().is_empty(), "{:?}", lab.creates_at_xls_lock());
    let _ = reset.wait().exits(0).saying("fenced");
    lab.let_go_xls_lock();
    stays_away(&lab);
}
