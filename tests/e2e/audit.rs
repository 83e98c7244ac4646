//! The audit of the host: as installed it yields nothing; a host with one fault yields exactly that
//! one, and what it says to type takes it away.

mod sshd;

use crate::{Dom0, two_clusters};
use serde_json::Value;
use std::collections::BTreeSet;
use xen_fence_tests::throwaway::Syslog;

/// What one look found, of the host and of its guests: code, subject, mend.
type Found = Vec<(String, String, String)>;

fn audit(dom0: &Dom0) -> Found {
    let output = dom0.on(&["xen-fence-admin", "audit", "--format", "json"]);
    let found: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let all = found["findings"].as_array().unwrap().iter();
    all.map(|it| (text(it, "code"), text(it, "about"), text(it, "mend"))).collect()
}

/// One fault, the code that it has to yield and those of what comes with it, and what is typed where the mend
/// is words.
struct Case {
    fault: String,
    code: &'static str,
    /// Empty where the mend itself is a command.
    by_hand: &'static str,
}

fn typed(code: &'static str, fault: impl Into<String>) -> Case {
    told(code, fault, "")
}

fn told(code: &'static str, fault: impl Into<String>, by_hand: &'static str) -> Case {
    Case { fault: fault.into(), code, by_hand }
}

/// Brings each fault about in turn, and mends it.
#[track_caller]
fn each(dom0: &Dom0, cases: &[Case]) {
    each_beside(dom0, &[], cases);
}

/// The same on a host that has one thing of its own already.
#[track_caller]
fn each_beside(dom0: &Dom0, usual: &[&str], cases: &[Case]) {
    let mut wrong = Vec::new();
    let found = audit(dom0);
    let codes: BTreeSet<&str> = found.iter().map(|(code, _, _)| code.as_str()).collect();
    assert_eq!(codes, usual.iter().copied().collect(), "as installed: {found:#?}");
    let audit = |dom0: &Dom0| -> Found {
        let found = audit(dom0).into_iter();
        found.filter(|(code, _, _)| !usual.contains(&code.as_str())).collect()
    };
    for Case { fault, code, by_hand } in cases {
        let _ = dom0.sh(fault).exits(0);
        let found = audit(dom0);
        let codes: BTreeSet<&str> = found.iter().map(|(code, _, _)| code.as_str()).collect();
        if codes != code.split(' ').collect() {
            // No shell is given what was not expected.
            wrong.push(format!("{code}: {fault}\n  found {found:#?}"));
            break;
        }
        let first = code.split(' ').next().unwrap();
        let printed = found.iter().find(|(code, _, _)| code == first);
        let printed = printed.map_or("", |(_, _, mend)| mend.as_str());
        let mend = if by_hand.is_empty() { printed } else { by_hand };
        let mended = dom0.sh(mend);
        let left = audit(dom0);
        if mended.code != 0 || !left.is_empty() {
            wrong.push(format!("{code}: {fault}\n  mend {mended}\n  left {left:#?}"));
            break;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn audit_of_files_and_policy() {
    each(
        &two_clusters().raise().unwrap(),
        &[
            typed("XF001", "chmod g+w /usr/sbin/xen-fence-broker"),
            typed("XF001", "chmod 0777 /usr/lib/xen-fence"),
            typed("XF001", "chown nobody /etc/ssh/sshd_config.d/xen-fence.conf"),
            typed("XF111", "chmod o+w /etc/xen-fence"),
            typed("XF001", "chown nobody /usr/bin/sudo && chmod 4755 /usr/bin/sudo"),
            typed(
                "XF001",
                "cp -p /etc/sudoers.d/README /srv/lead; chown nobody /srv/lead; mv /etc/sudoers.d/README \
             /root/; ln -s /srv/lead /etc/sudoers.d/README",
            ),
            typed(
                "XF001",
                "mkdir /srv/sshd; echo '# none' > /srv/sshd/a.conf; chown nobody /srv/sshd/a.conf
                 echo 'Include /srv/sshd/*.conf' >> /etc/ssh/sshd_config",
            ),
            typed("XF001", "rm /srv/sshd/a.conf; chmod 1777 /srv/sshd"),
            typed("XF002", "chmod 0755 /var/lib/xen-fence/journal"),
            typed("XF110", "chmod 0664 /etc/xen-fence/clusters.d/alpha.toml"),
            typed("XF110", "chmod 0775 /etc/xen-fence/clusters.d"),
            told(
                "XF110",
                "echo 'what = 1' >> /etc/xen-fence/clusters.d/alpha.toml",
                "sed -i '$d' /etc/xen-fence/clusters.d/alpha.toml",
            ),
            typed("XF001", "chmod 0775 /etc/xen"),
            typed("XF112", "touch /etc/xen-fence/clusters.d/alpha.toml.bak"),
            told(
                "XF111",
                "echo 'toolstack = \"virsh\"' > /etc/xen-fence/broker.toml",
                "rm /etc/xen-fence/broker.toml",
            ),
            typed("XF118", "echo '{' > /var/lib/xen-fence/holds/alpha.json"),
            typed(
                "XF118",
                "cd /var/lib/xen-fence/holds; echo '{\"holds\":[]}' > beta.json; chmod 0666 beta.json",
            ),
            typed("XF118", "mkfifo /var/lib/xen-fence/holds/alpha.json"),
            typed("XF118", "chmod 0777 /var/lib/xen-fence/holds"),
            typed("XF001", "chmod 0777 /var/lib/xen-fence/journal"),
            typed(
                "XF119",
                "mkdir -p -m 0700 /run/xen-fence; echo damaged > /run/xen-fence/alpha.state",
            ),
        ],
    );
}

#[test]
fn audit_of_keys() {
    let dom0 = two_clusters().raise().unwrap();
    each(&dom0, &[
        // `acl apply` would refuse it: both files are as an older policy had them.
        told(
            "XF003",
            "cd /etc/xen-fence; cp -p clusters.d/beta.toml /root/
             key=$(grep -m1 ^keys clusters.d/alpha.toml)
             sed -i \"0,/^keys/s|^keys.*|$key|\" clusters.d/beta.toml
             line=$(grep -m1 'node node1 ' keys/fence-alpha | sed 's/node node1 /node db1 /')
             sed -i \"s|^restrict.*node db1 .*|$line|\" keys/fence-beta",
            "cp -p /root/beta.toml /etc/xen-fence/clusters.d/; xen-fence-admin acl apply",
        ),
        told(
            "XF004",
            "cd /etc/xen-fence; cp -p clusters.d/beta.toml /root/; rm -f /root/rsa*
             ssh-keygen -q -t rsa -b 1024 -N '' -f /root/rsa
             sed -i \"0,/^keys/s|^keys.*|keys = [\\\"$(cat /root/rsa.pub)\\\"]|\" clusters.d/beta.toml
             xen-fence-admin acl apply",
            "cp -p /root/beta.toml /etc/xen-fence/clusters.d/; xen-fence-admin acl apply",
        ),
        typed(
            "XF005",
            "grep -m1 'node node1 ' /etc/xen-fence/keys/fence-alpha | sed 's/^restrict,//' \
             >> /etc/xen-fence/keys/fence-alpha",
        ),
        typed("XF006", "cp -p /etc/xen-fence/keys/fence-alpha /etc/xen-fence/keys/root"),
        typed("XF117", "sed -i '/node node2 /d' /etc/xen-fence/keys/fence-alpha"),
        typed("XF117", "chmod 0600 /etc/xen-fence/keys/fence-beta"),
        typed("XF117", "rm /etc/xen-fence/keys/fence-beta"),
        typed("XF117", "cd /etc/xen-fence/keys; rm fence-beta; mkdir -p fence-beta/more"),
        typed("XF117", "chmod 0700 /etc/xen-fence/keys"),
        typed("XF117", "chmod 0750 /etc/xen-fence"),
        typed("XF117", "chgrp xen-fence /etc/xen-fence; chmod 0705 /etc/xen-fence"),
    ]);
    // The group's right is as good as everybody's.
    let _ = dom0.sh("chmod 0710 /etc/xen-fence").exits(0);
    assert_eq!(audit(&dom0), []);
    // To the sshd for fencing a program of root's says the keys.
    let _ = dom0.sh("rm /etc/ssh/sshd_config.d/xen-fence.conf; chmod 0700 /etc/xen-fence").exits(0);
    assert_eq!(audit(&dom0), []);
}

#[test]
fn audit_of_accounts() {
    each(
        &two_clusters().raise().unwrap(),
        &[
            typed("XF007", "usermod --append --groups adm,disk fence-alpha"),
            typed("XF008", "usermod --password '$6$x$y' fence-alpha"),
            typed("XF008", "sed -i 's/^fence-beta:[*]/fence-beta:/' /etc/shadow"),
            typed("XF008", "sed -i 's/^fence-alpha:x:/fence-alpha::/' /etc/passwd"),
            typed("XF008", "sed -i 's/^fence-beta:x:/fence-beta:$6$x$y:/' /etc/passwd"),
            typed("XF009", "mkdir /.ssh; touch /.ssh/authorized_keys"),
            typed("XF010", "usermod --shell /bin/sh fence-alpha"),
            // usermod would look through the whole of the home, /, for files of the old number.
            typed("XF011", "sed -i 's/^fence-alpha:x:[0-9]*/fence-alpha:x:0/' /etc/passwd"),
            typed(
                "XF011",
                "sed -i \"s/^fence-alpha:x:[0-9]*/fence-alpha:x:$(id -u fence-beta)/\" /etc/passwd",
            ),
            typed("XF012", "install -d -o fence-alpha /srv/home; usermod -d /srv/home fence-alpha"),
            typed(
                "XF013",
                "mkdir -p /var/spool/cron/crontabs; echo '@reboot id' > /var/spool/cron/crontabs/fence-alpha",
            ),
            typed(
                "XF013",
                "mkdir -p /etc/cron.d; echo '* * * * * fence-beta id' > /etc/cron.d/more",
            ),
            typed(
                "XF013",
                "mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/fence-alpha",
            ),
            typed(
                "XF013",
                "mkdir -p /var/spool/cron/atjobs
                 install -o fence-alpha /dev/null /var/spool/cron/atjobs/a0001",
            ),
            told("XF049", "mkdir -p /etc/cron.d; mkfifo /etc/cron.d/pipe", "rm /etc/cron.d/pipe"),
            told("XF049", "head -c 5M /dev/zero > /etc/cron.d/long", "rm /etc/cron.d/long"),
            typed("XF113", "userdel fence-alpha"),
            typed("XF114", "usermod --gid nogroup fence-alpha"),
            typed("XF115", "usermod --lock fence-alpha"),
            typed("XF116", "chage --expiredate 2030-01-01 fence-alpha"),
            typed("XF116", "chage --maxdays 90 --lastday 2026-01-01 fence-alpha"),
            typed("XF116", "chage --lastday 0 fence-beta"),
        ],
    );
}

/// Whose policy file is refused, or gone, can still have a way into this host.
#[test]
fn audit_of_accounts_without_a_policy() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = dom0
        .sh("cd /etc/xen-fence/clusters.d; rm beta.toml; xen-fence-admin acl apply && usermod --lock fence-beta")
        .exits(0);
    let shell = |cluster: &str| typed("XF010", format!("usermod --shell /bin/sh fence-{cluster}"));
    let sudo = |cluster: &str| {
        let rule = format!("fence-{cluster} ALL = (ALL) NOPASSWD: ALL");
        typed("XF014", format!("umask 337; echo '{rule}' > /etc/sudoers.d/more"))
    };
    // Its domains are nobody's now.
    each_beside(&dom0, &["XF161"], &[shell("beta"), sudo("beta")]);
    let _ = dom0.sh("echo 'what = 1' >> /etc/xen-fence/clusters.d/alpha.toml").exits(0);
    each_beside(
        &dom0,
        &["XF110"],
        &[
            shell("alpha"),
            shell("beta"),
            sudo("alpha"),
            sudo("beta"),
            typed("XF008", "usermod --password '$6$x$y' fence-alpha"),
            typed(
                "XF013",
                "mkdir -p /var/spool/cron/crontabs; echo '@reboot id' > /var/spool/cron/crontabs/fence-beta",
            ),
            typed(
                "XF023",
                "echo AuthenticationMethods any > /etc/xen-fence/sshd_config.d/more.conf",
            ),
        ],
    );
}

#[test]
fn audit_of_sudo() {
    let rule = "/etc/sudoers.d/more";
    let with = |text: &str| format!("umask 337; printf '{text}\\n' > {rule}");
    let more = with("# more\\nfence-alpha ALL = (ALL) NOPASSWD: /bin/ls");
    let group = with("%%xen-fence ALL = (ALL) ALL");
    let mistake = with("# more\\nfoo bar");
    let watch = with("Defaults log_subcmds");
    let dom0 = two_clusters().raise().unwrap();
    each(
        &dom0,
        &[
            typed("XF014", &more),
            typed("XF014", group),
            typed("XF130", "rm /etc/sudoers.d/xen-fence"),
            typed("XF130", "sed -i 's/NOSETENV: //' /etc/sudoers.d/xen-fence"),
            typed("XF130", "sed -i '/!pam_session/d' /etc/sudoers.d/xen-fence"),
            typed("XF131", "sed -i '/^@includedir/d' /etc/sudoers"),
            typed("XF132", mistake),
            typed("XF135", watch),
            told(
                "XF149",
                "cd /usr/sbin; mv visudo /root/
                 printf '#!/bin/sh\nexec sleep 60\n' > visudo; chmod 755 visudo",
                "mv /root/visudo /usr/sbin/",
            ),
            typed("XF132", "echo '# more' > /etc/sudoers.d/more; chmod 0644 /etc/sudoers.d/more"),
        ],
    );
    // Who is not in the group can have a rule of his own all the same.
    let _ = dom0.sh("usermod --gid nogroup fence-alpha").exits(0);
    each_beside(&dom0, &["XF114"], &[typed("XF014", &more)]);
}

#[test]
fn audit_of_names() {
    let dom0 = two_clusters().raise().unwrap();
    each(
        &dom0,
        &[
            typed("XF101", "sed '/xen1/d' /etc/hosts > /root/hosts; cp /root/hosts /etc/hosts"),
            told(
                "XF149",
                "cp /etc/hosts /root/hosts; head -c 5M /dev/zero | tr '\\0' '\\n' >> /etc/hosts",
                "cp /root/hosts /etc/hosts",
            ),
            typed("XF102", "sed -i 's/^group:.*/group: files ldap/' /etc/nsswitch.conf"),
            typed("XF102", "sed -i 's/^initgroups:.*/initgroups: files ldap/' /etc/nsswitch.conf"),
            typed("XF103", "echo 'sudoers: files sss' >> /etc/nsswitch.conf"),
            typed("XF104", "sed -i 's/^passwd:.*/passwd: ldap files/' /etc/nsswitch.conf"),
            typed(
                "XF102",
                "mkdir -p /usr/etc; mv /etc/nsswitch.conf /usr/etc/
                 sed -i 's/^initgroups:.*/initgroups: files ldap/' /usr/etc/nsswitch.conf",
            ),
            typed("XF107", "sed -i 's/^hosts:.*/hosts: dns files/' /etc/nsswitch.conf"),
            typed(
                "XF102",
                "sed -i -e 's/^group:.*/group: compat/' -e '/^initgroups/d' /etc/nsswitch.conf
                 echo +::: >> /etc/group",
            ),
        ],
    );
    each(
        &dom0,
        &[
            told(
                "XF149",
                "mkfifo /etc/pam.d/more; echo 'session include more' >> /etc/pam.d/sshd",
                "rm /etc/pam.d/more; sed -i '$d' /etc/pam.d/sshd",
            ),
            typed(
                "XF105",
                "permit=$(find /lib /usr/lib -name pam_permit.so | head -n 1)
                 cp $permit ${permit%permit.so}sss.so; mkdir /srv/pam
                 echo 'account required pam_sss.so' > /srv/pam/more
                 echo '@include /srv/pam/more' >> /etc/pam.d/common-account",
            ),
        ],
    );
}

#[test]
fn audit_of_programs_and_room() {
    let away = "mv /usr/sbin/xen-fence-broker /root/";
    let back = "mv /root/xen-fence-broker /usr/sbin/";
    let old = "mv /usr/sbin/xen-fence-broker /root/; cd /usr/sbin
        printf '#!/bin/sh\\necho xen-fence-broker 0.0.9\\n' > xen-fence-broker; chmod 755 xen-fence-broker";
    let empty =
        "mv /usr/sbin/xen-fence-broker /root/; install -m 755 /dev/null /usr/sbin/xen-fence-broker";
    let dumps = "install -d -m 700 /srv/cores; mount -t tmpfs -o size=8m,mode=700 cores /srv/cores
        head -c 6M /dev/zero > /srv/cores/alpha-node1.7.core
        printf 'dump = \"/srv/cores\"\\ndump_megabytes = 4\\n' > /etc/xen-fence/broker.toml";
    let dom0 = two_clusters().raise().unwrap();
    each(
        &dom0,
        &[
            told("XF133", away, back),
            told("XF133", empty, back),
            told(
                "XF133",
                "mv /usr/lib/xen-fence/xen-fence-keys /root/",
                "mv /root/xen-fence-keys /usr/lib/xen-fence/",
            ),
            told("XF134", old, back),
            told(
                "XF140",
                "mount -t tmpfs -o size=1m,mode=700 full /var/lib/xen-fence/journal",
                "umount /var/lib/xen-fence/journal",
            ),
            told(
                "XF140",
                "mount -t tmpfs -o nr_inodes=9,mode=700 full /var/lib/xen-fence/journal",
                "umount /var/lib/xen-fence/journal",
            ),
            told(
                "XF140",
                "mount -t tmpfs -o ro,mode=700 full /var/lib/xen-fence/journal",
                "umount /var/lib/xen-fence/journal",
            ),
            // It is the machine's, and stays as it is.
            told(
                "XF141",
                "echo 1 > /root/pid_max; mount --bind /root/pid_max /proc/sys/kernel/pid_max",
                "umount /proc/sys/kernel/pid_max",
            ),
            told(
                "XF149",
                "echo > /root/loadavg; mount --bind /root/loadavg /proc/loadavg",
                "umount /proc/loadavg",
            ),
            typed("XF142", "mount -o remount,hidepid=2 /proc"),
            typed("XF143", dumps),
            told(
                "XF143",
                "sed -i 's/= 4/= 4000/' /etc/xen-fence/broker.toml",
                "umount /srv/cores; rm /etc/xen-fence/broker.toml",
            ),
        ],
    );
}

#[test]
fn audit_of_witnesses_and_xen() {
    let dom0 = two_clusters().raise().unwrap();
    let journal = "/var/lib/xen-fence/journal/alpha.jsonl";
    // Three records, of which syslog has the last as well.
    let written = |what: &str| {
        format!(
            "for n in one two {what}; do xen-fence-admin hold alpha node1 --for 1s --why $n; done
             until grep -q 'head=.*{what}' /var/log/syslog; do sleep 0.1; done"
        )
    };
    let and = |what: &str, fault: &str| format!("{}\n{fault}", written(what));
    let _ = dom0.sh(&written("three")).exits(0);
    each(
        &dom0,
        &[
            typed("XF144", format!("sed -i '2s/two/TWO/' {journal}")),
            // What no chain shows, and syslog does.
            typed("XF144", and("cut", &format!("sed -i '$d' {journal}"))),
            typed("XF144", and("changed", &format!("sed -i '$s/changed/CHANGED/' {journal}"))),
            typed("XF144", and("gone", &format!("rm {journal}*"))),
            typed(
                "XF144",
                and(
                    "rotated",
                    &format!("sed -i '2s/two/TWO/' {journal}; mv {journal} {journal}.1"),
                ),
            ),
            typed("XF145", format!("mkfifo {journal}")),
            typed("XF145", format!("mkdir {journal}")),
            typed(
                "XF145",
                "cd /var/lib/xen-fence && rm -r journal && install -m 0600 /dev/null journal",
            ),
            typed("XF145", "cd /var/lib/xen-fence && rm -rf journal && ln -s /srv/none journal"),
            told(
                "XF146",
                "pkill -x rsyslogd; while pgrep -x rsyslogd > /dev/null; do sleep 0.1; done; rm -f /dev/log",
                "rsyslogd -iNONE; while ! test -e /dev/log; do sleep 0.1; done",
            ),
            told("XF147", "stand-in fault xenstored-dead", "stand-in clear"),
            told("XF148", "stand-in fault list-garbage no-header", "stand-in clear"),
            told("XF148", "stand-in fault list-delay 15000", "stand-in clear"),
        ],
    );
}

/// A daemon that is there and does not read is as bad as none.
#[test]
fn audit_of_a_stuck_syslog() {
    let dom0 = two_clusters().syslog(Syslog::Mute).raise().unwrap();
    let found = audit(&dom0);
    let codes: Vec<&str> = found.iter().map(|(code, _, _)| code.as_str()).collect();
    assert_eq!(codes, ["XF146"], "{found:#?}");
}

/// Where nothing is set up yet there is nothing to find.
/// A name that is mistyped is no cluster in which all is well.
#[test]
fn audit_of_a_cluster_that_there_is_not() {
    let dom0 = two_clusters().raise().unwrap();
    for format in ["table", "json", "html"] {
        let words = ["xen-fence-admin", "audit", "--cluster", "alhpa", "--format", format];
        let said = dom0.on(&words).exits(2).saying("policy of alhpa").saying("alpha, beta");
        assert!(said.stdout.is_empty(), "{said}");
    }
}

#[test]
fn audit_of_a_host_without_clusters() {
    let dom0 = Dom0::builder().bare().raise().unwrap();
    let found = audit(&dom0);
    let codes: Vec<&str> = found.iter().map(|(code, _, _)| code.as_str()).collect();
    // No syslog daemon runs there.
    assert_eq!(codes, ["XF146"], "{found:#?}");
}
