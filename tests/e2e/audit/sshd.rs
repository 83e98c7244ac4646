//! Both ways of sshd with one fault each: in their settings, at their port, in their unit.

use super::{each, told, typed};
use crate::two_clusters;
use xen_fence_tests::skipped;

#[test]
fn audit_of_sshd() {
    let dom0 = two_clusters().raise().unwrap();
    let own = |text: &str| format!("echo '{text}' > /etc/xen-fence/sshd_config.d/more.conf");
    each(
        &dom0,
        &[
            typed("XF020", own("ForceCommand /bin/true")),
            typed("XF021", own("AuthorizedKeysFile .ssh/authorized_keys")),
            typed("XF021", own("AuthorizedKeysCommand /bin/cat /etc/motd")),
            typed("XF021", own("TrustedUserCAKeys /etc/motd")),
            typed("XF022", own("AllowGroups staff")),
            typed(
                "XF022",
                "rm /etc/xen-fence/sshd_config.d/more.conf; sed -i /^AllowGroups/d /etc/xen-fence/sshd_config",
            ),
            typed("XF022", own("PermitRootLogin prohibit-password")),
            typed("XF023", own("AuthenticationMethods any")),
            typed("XF024", own("PermitTTY yes")),
            typed("XF024", own("PermitUserEnvironment yes")),
            typed("XF024", "sed -i /^DisableForwarding/d /etc/xen-fence/sshd_config"),
            typed("XF025", own("AcceptEnv LANG LD_PRELOAD")),
            typed("XF120", own("NoSuchThing yes")),
            typed(
                "XF124",
                "sed -i 's/^MaxStartups.*/MaxStartups 3:30:10/' /etc/xen-fence/sshd_config",
            ),
            typed("XF125", own("DenyUsers fence-a*")),
            typed("XF125", "sed -i '/^AuthorizedKeysCommand /d' /etc/xen-fence/sshd_config"),
            told(
                "XF120",
                own("PubkeyAuthentication no"),
                "rm /etc/xen-fence/sshd_config.d/more.conf",
            ),
            typed("XF121", "kill $(cat /run/xen-fence-sshd.pid); sleep 1"),
            typed("XF120", "rmdir /run/sshd"),
            typed("XF106", "touch /etc/nologin"),
            typed("XF106", "touch /run/nologin"),
        ],
    );
}

#[test]
fn audit_of_the_hosts_own_sshd() {
    let matched = "/etc/ssh/sshd_config.d/xen-fence.conf";
    let changed = |by: &str| format!("sed -i '{by}' {matched}");
    each(
        &two_clusters().raise().unwrap(),
        &[
            typed(
                "XF020",
                "printf 'Match User fence-*\\n ForceCommand /bin/true\\n' > /etc/ssh/sshd_config.d/a.conf",
            ),
            typed("XF021", changed("/AuthorizedKeysFile/d")),
            typed("XF023", changed("/AuthenticationMethods/d")),
            typed("XF024", changed("s/PermitTTY no/PermitTTY yes/")),
            typed("XF124", "echo MaxStartups 2 >> /etc/ssh/sshd_config"),
            typed("XF125", "echo AllowGroups staff >> /etc/ssh/sshd_config"),
            typed("XF125", "echo PubkeyAuthentication no >> /etc/ssh/sshd_config"),
            told(
                "XF123",
                "mv /etc/xen-fence/sshd_config /root/",
                "mv /root/sshd_config /etc/xen-fence/",
            ),
            told(
                "XF121",
                "mv /etc/xen-fence/sshd_config /etc/ssh/sshd_config.d/xen-fence.conf /root/",
                "mv /root/sshd_config /etc/xen-fence/; mv /root/xen-fence.conf /etc/ssh/sshd_config.d/",
            ),
        ],
    );
}

#[test]
fn audit_of_a_unit() {
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        return skipped("audit_of_a_unit", "there is no systemd here (package systemd)");
    }
    let dom0 = two_clusters().systemd().raise().unwrap();
    let _ = dom0.on(&["systemctl", "enable", "--now", "xen-fence-sshd"]).exits(0);
    each(
        &dom0,
        &[
            typed("XF121", "systemctl stop xen-fence-sshd"),
            typed("XF121", "systemctl kill --kill-who=main --signal=STOP xen-fence-sshd"),
            typed("XF122", "systemctl disable xen-fence-sshd"),
            typed("XF126", "systemctl set-property xen-fence-sshd.service TasksMax=100"),
        ],
    );
}
