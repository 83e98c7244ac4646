//! Both ways of sshd with one fault each: in their settings, at their port, in their unit.

use super::{audit, each, each_beside, told, typed};
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
            typed("XF125", "sed -i '/^AuthorizedKeysCommand/d' /etc/xen-fence/sshd_config"),
            told(
                "XF120",
                own("Match Adress 10.0.0.0/8"),
                "rm /etc/xen-fence/sshd_config.d/more.conf",
            ),
            told(
                "XF120",
                own("PubkeyAuthentication no"),
                "rm /etc/xen-fence/sshd_config.d/more.conf",
            ),
            typed("XF121", "kill $(cat /run/xen-fence-sshd.pid); sleep 1"),
            typed("XF120", "rmdir /run/sshd"),
            typed("XF106", "touch /etc/nologin"),
            typed("XF106", "touch /run/nologin"),
            typed(
                "XF020",
                "cd /etc/xen-fence/sshd_config.d; echo ListenAddress 10.77.0.254:2522 > host.conf
                 printf 'Match LocalPort 2522\\n ForceCommand /bin/true\\nMatch all\\n' > more.conf
                 kill -HUP $(cat /run/xen-fence-sshd.pid); sleep 1",
            ),
            // One address of two answers.
            typed(
                "XF121",
                "echo ListenAddress 10.77.0.254:2523 >> /etc/xen-fence/sshd_config.d/host.conf",
            ),
        ],
    );
}

/// Several faults at once in both ways, and all that is printed typed in that order.
#[test]
fn audit_of_sshd_with_several_faults() {
    let dom0 = two_clusters().raise().unwrap();
    let change = "s|^ *AuthorizedPrincipalsFile.*|AuthorizedPrincipalsFile %h/p|;
        s/^ *PermitTTY no/PermitTTY yes/; /^ *AuthorizedKeysFile/d; /^ *DisableForwarding/d";
    let fault = format!(
        "cd /etc/xen-fence; sed -i '{change}' sshd_config /etc/ssh/sshd_config.d/xen-fence.conf
         echo 'DenyUsers fence-alpha fence-beta' > sshd_config.d/more.conf
         printf 'Match LocalPort 2599\\n PermitTTY no\\n' >> sshd_config
         echo 'DenyUsers fence-beta root fence-alpha # not these' >> /etc/ssh/sshd_config"
    );
    let _ = dom0.sh(&fault).exits(0);
    let found = audit(&dom0);
    let of = |wanted: &str| found.iter().filter(|(code, _, _)| code == wanted).count();
    assert_eq!([of("XF021"), of("XF024"), of("XF125"), found.len()], [4, 4, 4, 12], "{found:#?}");
    for (_, _, mend) in &found {
        // One that reads its configuration again has no file with its number for a while.
        let (change, _) = mend.split_once("; test ! -e").unwrap();
        let _ = dom0.sh(change).exits(0);
    }
    let files = ["/etc/xen-fence/sshd_config", "/etc/ssh/sshd_config"];
    for file in files {
        let _ = dom0.on(&["/usr/sbin/sshd", "-t", "-f", file]).exits(0);
    }
    let [own, hosts] = files.map(|file| dom0.file(file));
    assert_eq!(audit(&dom0), [], "{own}\n{hosts}");
    assert!(hosts.contains("\nDenyUsers root # not these\n"), "{hosts}");
}

/// Ours is read before it then, or nobody's.
const FIRST: &str = "rm /etc/ssh/sshd_config.d/a.conf";

#[test]
fn audit_of_the_hosts_own_sshd() {
    let matched = "/etc/ssh/sshd_config.d/xen-fence.conf";
    let changed = |by: &str| format!("sed -i '{by}' {matched}");
    let block = |criteria: &str, line: &str| {
        format!("printf 'Match {criteria}\\n {line}\\n' > /etc/ssh/sshd_config.d/a.conf")
    };
    let bobs = |line: &str| {
        format!("printf 'Match User bob\\n {line}\\n' >> /etc/ssh/sshd_config.d/aa.conf")
    };
    let from = "actions = [\"reset\", \"off\", \"on\", \"status\"]\nfrom = [\"10.77.0.0/24\", \"192.168.7.0/24\"]";
    let dom0 = two_clusters().policy("beta", from).raise().unwrap();
    each(
        &dom0,
        &[
            // Others log in by these, too: what they have is not changed by a command.
            told("XF020", block("LocalPort 22", "ForceCommand /bin/true"), FIRST),
            told("XF020", block("LocalAddress 10.77.0.254", "ForceCommand /bin/true"), FIRST),
            // alpha may come from anywhere, beta from two networks.
            told("XF020", block("Address = 10.1.0.0/16", "ForceCommand /bin/false"), FIRST),
            told("XF024", block("Address 192.168.7.128/25", "PermitTTY yes"), FIRST),
            told("XF125", block("Address 192.168.7.0/24", "PubkeyAuthentication no"), FIRST),
            typed("XF024", block("Group = xen-fence", "PermitTTY yes")),
            typed(
                "XF020",
                "printf 'Match User fence-*\\n ForceCommand /bin/true\\n' > /etc/ssh/sshd_config.d/a.conf",
            ),
            typed("XF021", changed("/AuthorizedKeysFile/d")),
            typed("XF023", changed("/AuthenticationMethods/d")),
            typed("XF024", changed("s/PermitTTY no/PermitTTY yes/")),
            typed("XF124", "echo MaxStartups 2 >> /etc/ssh/sshd_config"),
            typed("XF125", "echo AllowGroups staff >> /etc/ssh/sshd_config"),
            typed(
                "XF125",
                "printf 'DenyUsers root\nDenyUsers guest fence-beta@192.168.7.0/24\n' >> /etc/ssh/sshd_config",
            ),
            // beta may come from elsewhere as well; what the line keeps out is not let in by a mend.
            told(
                "XF125",
                "echo 'AllowUsers fence-alpha fence-*@10.77.0.0/16' > /etc/ssh/sshd_config.d/a.conf",
                "sed -i 's|$| fence-beta@192.168.7.0/24|' /etc/ssh/sshd_config.d/a.conf",
            ),
            // From some of his network, and from some of everywhere.
            told(
                "XF149",
                "echo 'AllowUsers fence-alpha fence-*@10.77.0.11 fence-*@10.77.0.12 fence-*@192.168.7.0/24' \
                 > /etc/ssh/sshd_config.d/a.conf",
                "rm /etc/ssh/sshd_config.d/a.conf",
            ),
            told(
                "XF149",
                "echo 'DenyUsers fence-beta@10.77.0.12' > /etc/ssh/sshd_config.d/a.conf",
                "rm /etc/ssh/sshd_config.d/a.conf",
            ),
            told(
                "XF149",
                "echo 'AllowUsers fence-beta fence-*@10.77.0.0/16' > /etc/ssh/sshd_config.d/a.conf",
                "rm /etc/ssh/sshd_config.d/a.conf",
            ),
            typed("XF125", "echo 'AllowUsers root # fence-* no more' >> /etc/ssh/sshd_config"),
            told(
                "XF149",
                "printf 'UseDNS yes\nDenyUsers fence-*@*.example\n' > /etc/ssh/sshd_config.d/a.conf",
                "rm /etc/ssh/sshd_config.d/a.conf",
            ),
            // Lines for somebody else stay as they are.
            typed(
                "XF125",
                format!(
                    "{}; echo PubkeyAuthentication no >> /etc/ssh/sshd_config",
                    bobs("PubkeyAuthentication no")
                ),
            ),
            typed(
                "XF125",
                format!(
                    "{}; echo DenyUsers fence-beta >> /etc/ssh/sshd_config",
                    bobs("DenyUsers fence-beta")
                ),
            ),
            typed(
                "XF024",
                format!("{}; {}", bobs("PermitTTY yes"), changed("s/PermitTTY no/PermitTTY yes/")),
            ),
            typed(
                "XF025",
                format!(
                    "{}; echo AcceptEnv LD_PRELOAD >> /etc/ssh/sshd_config",
                    bobs("AcceptEnv LD_PRELOAD")
                ),
            ),
            // One that is for everybody gives way to the block.
            typed(
                "XF024",
                format!(
                    "echo PermitTTY yes > /etc/ssh/sshd_config.d/ab.conf; {}",
                    changed("/PermitTTY/d")
                ),
            ),
            typed("XF024", "echo PermitUserEnvironment yes >> /etc/ssh/sshd_config"),
            typed(
                "XF020",
                "rm /etc/ssh/sshd_config.d/a.conf
                 printf 'Match LocalPort 22\\n ForceCommand /bin/true\\n' >> /etc/ssh/sshd_config",
            ),
            told(
                "XF121",
                "mv /etc/xen-fence/sshd_config /etc/ssh/sshd_config.d/xen-fence.conf /root/",
                "mv /root/sshd_config /etc/xen-fence/; mv /root/xen-fence.conf /etc/ssh/sshd_config.d/",
            ),
        ],
    );
    let bob = dom0.file("/etc/ssh/sshd_config.d/aa.conf");
    let lines = [
        "PubkeyAuthentication no",
        "DenyUsers fence-beta",
        "PermitTTY yes",
        "AcceptEnv LD_PRELOAD",
    ];
    assert!(lines.iter().all(|line| bob.contains(&format!("\n {line}\n"))), "{bob}");
    assert_eq!(dom0.file("/etc/ssh/sshd_config.d/ab.conf"), "PermitTTY yes\n");
    // What is for others as well stays.
    let hosts = dom0.file("/etc/ssh/sshd_config");
    assert!(hosts.contains(" ForceCommand /bin/true"), "{hosts}");
    assert!(hosts.contains("\nDenyUsers root\nDenyUsers guest \n"), "{hosts}");
    assert!(hosts.contains("\nPubkeyAuthentication no\n"), "{hosts}");
    // Who may come from where his policy has him come from is not shut out; nor is he by a name that sshd
    // does not look up.
    let users = "AllowUsers fence-alpha fence-*@10.77.0.0/24,192.168.7.*\nDenyUsers *@*.example";
    dom0.write("/etc/ssh/sshd_config.d/a.conf", users, 0o644);
    let _ = dom0.sh("sed -i '/^AllowUsers/d' /etc/ssh/sshd_config").exits(0);
    assert_eq!(audit(&dom0), []);
}

/// Where fencing has an sshd for itself, the other one knows the accounts all the same.
#[test]
fn audit_of_the_hosts_own_sshd_beside_that_for_fencing() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.remove("/etc/ssh/sshd_config.d/xen-fence.conf");
    let with = |text: &str| {
        format!(
            "sed -i '/^DenyUsers/d' /etc/ssh/sshd_config; touch /etc/ssh/everybody
             printf '{text}\n' > /etc/ssh/sshd_config.d/a.conf"
        )
    };
    let own = "mkdir -p /etc/ssh/keys; touch /etc/ssh/keys/fence-alpha; ";
    each(
        &dom0,
        &[
            typed("XF009", format!("{own}{}", with("AuthorizedKeysFile /etc/ssh/keys/%%u"))),
            typed(
                "XF009",
                format!(
                    "{own}{}",
                    with("Match Address 10.9.0.0/16\n AuthorizedKeysFile .ssh/x /etc/ssh/keys/%%u")
                ),
            ),
            typed("XF021", with("AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/everybody")),
            typed("XF021", with("TrustedUserCAKeys /etc/ssh/everybody")),
            typed(
                "XF021",
                with("AuthorizedKeysCommand /bin/cat /etc/motd\nAuthorizedKeysCommandUser nobody"),
            ),
            typed(
                "XF021",
                format!(
                    "{}; mkdir -p /usr/etc/ssh; mv /etc/ssh/sshd_config /usr/etc/ssh/",
                    with("TrustedUserCAKeys /etc/ssh/everybody")
                ),
            ),
            typed(
                "XF021",
                with(
                    "TrustedUserCAKeys /etc/ssh/everybody\nMatch Address 10.0.0.0/8\n DenyUsers guest",
                ),
            ),
            // A block that is for none of these logins has no say.
            typed(
                "XF021",
                with(
                    "TrustedUserCAKeys /etc/ssh/everybody\nMatch Host *.example\n DenyUsers guest",
                ),
            ),
            // From somewhere they get in.
            typed("XF021", with("TrustedUserCAKeys /etc/ssh/everybody\nAllowUsers *@10.0.0.0/8")),
            told("XF049", with("NoSuchThing yes"), "rm /etc/ssh/sshd_config.d/a.conf"),
        ],
    );
    let shut = with("TrustedUserCAKeys /etc/ssh/everybody\nAllowGroups staff");
    let _ = dom0.sh(&shut).exits(0);
    assert_eq!(audit(&dom0), [], "it lets none of the accounts in");
}

#[test]
fn audit_of_a_host_with_one_sshd() {
    let dom0 = two_clusters().hosts_sshd().raise().unwrap();
    dom0.remove("/etc/xen-fence/sshd_config");
    each_beside(
        &dom0,
        &["XF123"],
        &[
            told("XF121", "kill -STOP $(cat /run/sshd.pid)", "kill -CONT $(cat /run/sshd.pid)"),
            typed("XF121", "kill $(cat /run/sshd.pid); sleep 1"),
            typed(
                "XF121",
                "printf 'ListenAddress 10.77.0.254\\nListenAddress 10.77.0.254:2200\\n' \
                 > /etc/ssh/sshd_config.d/a.conf",
            ),
        ],
    );
}

/// What is printed on a host with one sshd, typed in the source where `make dom0` has been run.
#[test]
fn audit_of_a_host_that_gets_an_sshd_for_fencing() {
    if !std::path::Path::new("/lib/systemd/systemd").exists() {
        let why = "there is no systemd here (package systemd)";
        return skipped("audit_of_a_host_that_gets_an_sshd_for_fencing", why);
    }
    let dom0 = two_clusters().systemd().hosts_sshd().raise().unwrap();
    let unit = "/usr/lib/systemd/system/xen-fence-sshd.service";
    let _ =
        dom0.sh(&format!("rm /etc/xen-fence/sshd_config {unit}; systemctl daemon-reload")).exits(0);
    let found = audit(&dom0);
    let [(code, _, mend)] = found.as_slice() else { panic!("{found:#?}") };
    assert_eq!(code, "XF123");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    if !dom0.has(&format!("{source}/Makefile")) {
        let why =
            "the source lies on a file system of its own, which a throwaway dom0 does not have";
        return skipped("audit_of_a_host_that_gets_an_sshd_for_fencing", why);
    }
    let built = std::env::current_exe().unwrap();
    let built = built.parent().and_then(std::path::Path::parent).unwrap().display();
    let typed = format!("cd {source} && export MAKEFLAGS='--silent -- BUILT={built}' && {mend}");
    let _ = dom0.sh(&typed).exits(0);
    assert_eq!(audit(&dom0), []);
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
            typed(
                "XF122",
                "systemctl disable xen-fence-sshd; systemctl enable --runtime xen-fence-sshd",
            ),
            typed("XF126", "systemctl set-property xen-fence-sshd.service TasksMax=100"),
        ],
    );
}
