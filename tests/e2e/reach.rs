//! What can go wrong before dom0's broker is reached, or between it and a person at the keyboard: an
//! error that names the thing and a hint, within the deadline, and nothing touched.

use crate::{Shared, ask, recorded, settle, untouched};
use std::time::Duration;

static SHARED: Shared = Shared::new();

#[test]
fn the_agents_own_files() {
    let dom0 = SHARED.take();
    let etc = dom0.node("alpha", "node1").etc();
    let key = dom0.file(&format!("{etc}/id_ed25519"));
    untouched(&dom0, || {
        let off = |more: &[&str]| {
            ask(&dom0, "alpha", "node1", &[&["off", "node2", "--timeout", "8"], more].concat())
        };
        let _ = off(&["--identity", "/nowhere/key"]).exits(2).saying("/nowhere/key");
        let loose = format!("{etc}/loose");
        dom0.write(&loose, &key, 0o644);
        let _ =
            off(&["--identity", "/etc/xen-fence/loose"]).exits(2).saying("loose").saying("chmod");
        dom0.write(&format!("{etc}/empty"), "", 0o644);
        let _ = off(&["--known-hosts", "/etc/xen-fence/empty"]).exits(5).saying("ssh-ed25519");
        let known = dom0
            .file(&format!("{etc}/known_hosts"))
            .replace("AAAAC3NzaC1lZDI1NTE5AAAAI", "AAAAC3NzaC1lZDI1NTE5AAAAJ");
        dom0.write(&format!("{etc}/changed"), &known, 0o644);
        let _ = off(&["--known-hosts", "/etc/xen-fence/changed"]).exits(5).saying("changed");
        let _ = off(&["--config", "/nowhere.toml"]).exits(2).saying("/nowhere.toml");
        dom0.write(
            &format!("{etc}/typo.toml"),
            "dom0 = [\"fence-alpha@xen1:2422\"]\ntimeuot = 3\n",
            0o644,
        );
        let _ =
            off(&["--config", "/etc/xen-fence/typo.toml"]).exits(2).saying("timeuot").saying("2");
    });
}

#[test]
fn dom0_that_is_not_there() {
    let dom0 = SHARED.take();
    let etc = dom0.node("alpha", "node1").etc();
    let _ =
        dom0.on(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &format!("{etc}/stranger")]);
    untouched(&dom0, || {
        for place in
            ["fence-alpha@xen1:1", "fence-alpha@10.77.0.99:2422", "fence-alpha@no-such-host"]
        {
            let output =
                ask(&dom0, "alpha", "node1", &["off", "node2", "--timeout", "4", "--dom0", place]);
            assert!([4, 7].contains(&output.code), "{output}");
            assert!(output.took < Duration::from_secs(6), "{output}");
        }
        let two = ["off", "node2", "--dom0", "fence-alpha@xen1:2422", "--dom0", "fence-alpha@xen2"];
        let _ = ask(&dom0, "alpha", "node1", &[&two[..], &["--timeout", "4"]].concat()).exits(4);
        let stranger = ["off", "node2", "--identity", "/etc/xen-fence/stranger", "--timeout", "8"];
        let _ = ask(&dom0, "alpha", "node1", &stranger).exits(6);
        let nobody = ["off", "node2", "--dom0", "fence-gamma@xen1:2422", "--timeout", "8"];
        let _ = ask(&dom0, "alpha", "node1", &nobody).exits(6);
    });
}

#[test]
fn an_sshd_that_accepts_and_says_nothing() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        // The kernel accepts connections for a stopped daemon.
        let _ = dom0.on(&["pkill", "-STOP", "-o", "-x", "sshd"]).exits(0);
        let output = ask(&dom0, "alpha", "node1", &["off", "node2", "--timeout", "4"]);
        let _ = dom0.on(&["pkill", "-CONT", "-o", "-x", "sshd"]).exits(0);
        assert!([4, 7].contains(&output.code), "{output}");
        assert!(output.took < Duration::from_secs(6), "{output}");
    });
}

#[test]
fn ctrl_c_before_go_leaves_nothing_behind() {
    let dom0 = SHARED.take();
    untouched(&dom0, || {
        dom0.fault(&["fault", "list-delay", "3000"]);
        let asker = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
        std::thread::sleep(Duration::from_millis(1500));
        asker.signal("INT");
        assert_ne!(asker.wait().code, 0);
        std::thread::sleep(Duration::from_secs(6));
        dom0.fault(&["clear"]);
        settle(|| dom0.on(&["pgrep", "-f", "xen-fence-broker"]).code != 0);
    });
}

#[test]
fn ctrl_c_after_go_is_too_late() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "slow-destroy", "3000", "alpha-node2"]);
    let domid = dom0.domid("alpha", "node2");
    let asker = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "reset", "node2"]);
    settle(|| dom0.on(&["pgrep", "-f", "xl destroy"]).code == 0);
    asker.signal("INT");
    assert_ne!(asker.wait().code, 0);
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > domid));
    settle(|| recorded(&dom0, "alpha", &["outcome", "node2"]));
}

/// Two addresses of one dom0 stand for two dom0s: on asks both before it starts the node.
#[test]
fn on_asks_every_dom0_first() {
    let dom0 = SHARED.take();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let on = |second: &str| {
        let places = ["--dom0", "fence-alpha@xen1:2422", "--dom0", second, "--timeout", "12"];
        ask(&dom0, "alpha", "node1", &[&["on", "node2"], &places[..]].concat())
    };
    let refused = on("fence-alpha@xen1:1");
    assert_ne!(refused.code, 0, "{refused}");
    assert_eq!(dom0.domid("alpha", "node2"), None, "one dom0 did not say that it is off there");
    let _ = on("fence-alpha@10.77.0.254:2422").exits(0).saying("started");
    let domid = dom0.domid("alpha", "node2");
    assert!(domid.is_some());
    let _ = on("fence-alpha@10.77.0.254:2422").exits(0).saying("already");
    assert_eq!(dom0.domid("alpha", "node2"), domid);
}
