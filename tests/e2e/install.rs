//! What `make install-dom0` and `install-node` put in their places: right owners and modes, and nothing
//! that sshd, sudo or systemd would stumble over.

use crate::{Dom0, ask, two_clusters};
use std::path::Path;
use xen_fence_tests::skipped;

#[test]
fn files_are_roots_and_nobody_elses_to_write() {
    let dom0 = two_clusters().raise().unwrap();
    for (path, mode) in [
        ("/usr/sbin/xen-fence", 0o755),
        ("/usr/sbin/fence_xen", 0o755),
        ("/usr/lib/stonith/plugins/external/xen-fence", 0o755),
        ("/usr/share/man/man8/fence_xen.8", 0o644),
        ("/usr/sbin/xen-fence-broker", 0o755),
        ("/usr/sbin/xen-fence-admin", 0o755),
        ("/usr/lib/xen-fence/xen-fence-launcher", 0o755),
        ("/usr/lib/xen-fence/xen-fence-keys", 0o755),
        ("/etc/logrotate.d/xen-fence", 0o644),
        ("/usr/lib/systemd/system/xen-fence-log.service", 0o644),
        ("/usr/lib/systemd/system/xen-fence-log.timer", 0o644),
        ("/etc/xen-fence/clusters.d", 0o750),
        ("/var/lib/xen-fence", 0o700),
        ("/var/lib/xen-fence/journal", 0o700),
        ("/var/lib/xen-fence/holds", 0o700),
        ("/etc/xen-fence/keys", 0o755),
        ("/etc/xen-fence/keys/fence-alpha", 0o644),
        ("/etc/xen-fence/sshd_config", 0o644),
        ("/etc/ssh/sshd_config.d/xen-fence.conf", 0o644),
        ("/etc/sudoers.d/xen-fence", 0o440),
    ] {
        assert!(dom0.has(path), "{path} is not there");
        assert_eq!(dom0.mode(path), (mode, 0, 0), "{path}: mode {:o}", dom0.mode(path).0);
    }
}

/// 64-bit Fedora and SUSE have it elsewhere.
#[test]
fn the_plugin_goes_where_plugins_says() {
    let dom0 = two_clusters().raise().unwrap();
    let program = std::env::current_exe().unwrap();
    let built = program.ancestors().nth(2).unwrap().display();
    let make = |plugins: &str| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let (built, plugins) = (format!("BUILT={built}"), format!("PLUGINS={plugins}"));
        dom0.on(&["make", "--silent", "-C", source, "install-node", &built, &plugins])
    };
    let _ = make("/usr/lib64/stonith/plugins").exits(0);
    let plugin = "/usr/lib64/stonith/plugins/external/xen-fence";
    assert_eq!(dom0.on(&[plugin, "getconfignames"]).exits(0).stdout, "dom0\n");
    // There it would be the command for people.
    let output = make("/usr/lib/heartbeat/plugins").exits(2);
    let _ = output.saying("/usr/lib/heartbeat/plugins is no plugin directory of cluster-glue");
    assert!(!dom0.has("/usr/lib/heartbeat/plugins/external"));
}

/// Whoever knocks at the port writes into sshd's log.
#[test]
fn the_log_has_a_size() {
    if !["/lib/systemd/systemd", "/usr/sbin/logrotate"].iter().all(|path| Path::new(path).exists())
    {
        return skipped("the_log_has_a_size", "there is no systemd or no logrotate here");
    }
    let dom0 = two_clusters().systemd().raise().unwrap();
    let _ = dom0.on(&["systemctl", "is-active", "xen-fence-log.timer"]).exits(0);
    let rotate = || dom0.on(&["systemctl", "start", "xen-fence-log.service"]).exits(0);
    let log = "/var/log/xen-fence/sshd.log";
    let _ = rotate();
    assert!(!dom0.has(&format!("{log}.1")), "it is short");
    let _ = dom0.sh(&format!("head -c 17M /dev/zero >>{log}")).exits(0);
    let _ = rotate();
    assert!(dom0.file(log).len() < 4096 && dom0.has(&format!("{log}.1")));
    // sshd goes on writing to the same file, and does not name whom it turns away.
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    assert!(dom0.file(log).contains("Accepted publickey for fence-alpha"), "{}", dom0.file(log));
    let level = dom0.on(&["/usr/sbin/sshd", "-T", "-f", "/etc/xen-fence/sshd_config"]).exits(0);
    let _ = level.saying("loglevel INFO");
}

/// systemd goes on with the units that it has read.
#[test]
fn an_update_says_what_systemd_has_to_be_told() {
    if !Path::new("/lib/systemd/systemd").exists() {
        let why = "there is no systemd here (package systemd)";
        return skipped("an_update_says_what_systemd_has_to_be_told", why);
    }
    let dom0 = two_clusters().systemd().raise().unwrap();
    let timer = "xen-fence-log.timer";
    let _ = dom0.on(&["systemctl", "stop", timer]).exits(0);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let made = dom0.on(&["make", "--silent", "-C", source, "install-sshd-dedicated"]).exits(0);
    let told = made.stdout.lines().find(|line| line.starts_with("systemctl"));
    let _ = dom0.sh(told.unwrap_or_else(|| panic!("{made}"))).exits(0);
    let _ = dom0.on(&["systemctl", "is-active", timer]).exits(0);
    let _ = dom0.on(&["systemctl", "stop", "xen-fence-sshd"]).exits(0);
    let made = dom0.on(&["make", "--silent", "-C", source, "install-sshd-dedicated"]).exits(0);
    assert_eq!(made.stdout, "", "{made}");
}

#[test]
fn sudo_accepts_the_rule() {
    let dom0 = Dom0::builder().bare().raise().unwrap();
    let _ = dom0.on(&["visudo", "--check", "--strict"]).exits(0);
    let _ = dom0.on(&["visudo", "--check", "--strict", "--file=/etc/sudoers.d/xen-fence"]).exits(0);
}

#[test]
fn sshd_accepts_both_configurations() {
    let dom0 = two_clusters().raise().unwrap();
    let from_files = ["authorizedkeysfile /etc/xen-fence/keys/%u", "authorizedkeyscommand none"];
    let from_program = [
        "authorizedkeysfile none",
        "authorizedkeyscommand /usr/lib/xen-fence/xen-fence-keys 64 %u %u %k",
    ];
    for (file, keys) in
        [("/etc/ssh/sshd_config", from_files), ("/etc/xen-fence/sshd_config", from_program)]
    {
        let _ = dom0.on(&["/usr/sbin/sshd", "-t", "-f", file]).exits(0);
        let who = "user=fence-alpha,host=node1,addr=10.77.0.11";
        let seen = dom0.on(&["/usr/sbin/sshd", "-T", "-C", who, "-f", file]).exits(0);
        let settings = seen.stdout.to_lowercase();
        for wanted in [
            keys[0],
            keys[1],
            "authenticationmethods publickey",
            "disableforwarding yes",
            "permittty no",
        ] {
            assert!(settings.lines().any(|line| line == wanted), "{file}: no `{wanted}`\n{seen}");
        }
    }
}

#[test]
fn systemd_accepts_the_unit() {
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        return skipped("systemd_accepts_the_unit", "there is no systemd here (package systemd)");
    }
    // The harness starts it with systemctl here.
    let dom0 = two_clusters().systemd().raise().unwrap();
    let _ = dom0.on(&["systemd-analyze", "verify", "xen-fence-sshd.service"]).exits(0);
    let _ = dom0.on(&["systemctl", "is-active", "xen-fence-sshd.service"]).exits(0);
    let _ = crate::ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
}

#[test]
fn apply_makes_accounts_that_can_do_one_thing() {
    let dom0 = two_clusters().raise().unwrap();
    for account in ["fence-alpha", "fence-beta"] {
        let entry = dom0.on(&["getent", "passwd", account]).exits(0).stdout;
        assert!(entry.trim_end().ends_with(":/usr/lib/xen-fence/xen-fence-launcher"), "{entry}");
        let _ = dom0.on(&["id", "-nG", account]).exits(0).saying("xen-fence");
        // No password, and yet not locked: sshd without PAM refuses a locked account.
        let shadow = dom0.on(&["getent", "shadow", account]).exits(0).stdout;
        assert_eq!(shadow.split(':').nth(1), Some("*"), "{shadow}");
    }
    let keys = dom0.file("/etc/xen-fence/keys/fence-alpha");
    assert!(keys.contains("restrict,command=\"xen-fence node node1 SHA256:"), "{keys}");
    // Applying again changes nothing.
    let _ = dom0.on(&["xen-fence-admin", "acl", "apply"]).exits(0);
    assert_eq!(dom0.file("/etc/xen-fence/keys/fence-alpha"), keys);
}
