//! Faults of guests: what makes each, what its finding says, and what takes it away.

/// How a fault is mended: by what the finding prints, or by what it asks for.
pub(super) enum Mend {
    /// The printed mend is a command.
    Printed,
    /// What stands in it after the last `: ` is a command.
    PrintedBehind,
    /// What stands in it after the last `: ` is a line for this file.
    PrintedLine(&'static str),
    /// It is a matter for judgement; this is one way.
    By(&'static str),
}
use Mend::{By, Printed, PrintedBehind, PrintedLine};

/// What is wrong, the code for it and those of what comes with it, the commands that make it so, what the
/// finding has to say, the mend.
pub(super) type Fault = (&'static str, &'static str, &'static str, &'static str, Mend);

/// What the commands below may use: a domain that is no node, a node of one, a word for node1's UUID; another
/// xenstore-ls, and one that says an entry of node2 more.
pub(super) const TOOLS: &str = "set -e
    X=/etc/xen; P=/etc/xen-fence/clusters.d
    uuid() { sed -n 's/^uuid = \"\\(.*\\)\"/\\1/p' $X/$1.cfg; }
    stray() {
        truncate --size=64K /srv/disks/stray.img
        sed -e 's/^name.*/name = \"stray\"/' -e '/^vif/d' -e 's|/srv/disks/[^,]*|/srv/disks/stray.img|' \\
            -e 's/^uuid.*/uuid = \"5eed0099-77f0-4d0c-9a61-00163e000099\"/' $X/beta-db2.cfg > $X/stray.cfg
    }
    instead_of_xenstore_ls() {
        mv /usr/bin/xenstore-ls /root
        printf '#!/bin/sh\\n%s\\n' \"$1\" > /usr/bin/xenstore-ls; chmod 755 /usr/bin/xenstore-ls
    }
    beside_xenstore_ls() {
        at=/local/domain/$(xl domid alpha-node2)
        instead_of_xenstore_ls \"/root/xenstore-ls \\\"\\$@\\\"
            case \\$2 in $at/device) echo '$at/$1 = \\\"$2\\\"';; esac\"
    }
    key() { ssh-keygen -q -t ed25519 -N '' -f /root/$1 <<< y > /dev/null; cat /root/$1.pub; }
";

pub(super) const FAULTS: &[Fault] = &[
    (
        "a domain in two clusters, by its UUID",
        "XF051 XF117",
        "printf '[nodes.db3]\\ndomain = \"alpha-node1\"\\nuuid = \"%s\"\\nconfig = \"%s\"\\nkeys = [\"%s\"]\\n' \
         $(uuid alpha-node1) $X/alpha-node1.cfg \"$(key db3)\" >> $P/beta.toml",
        "may kill the other",
        By("sed -i '/nodes.db3/,$d' $P/beta.toml"),
    ),
    (
        "another domain's configuration with a node's UUID",
        "XF052",
        "sed 's/^name.*/name = \"copy\"/' $X/alpha-node1.cfg > $X/copy.cfg",
        "under another name",
        Printed,
    ),
    (
        "a configuration with a node's name, and no UUID",
        "XF052",
        "mkdir -p $X/auto; grep -v ^uuid $X/alpha-node1.cfg > \"$X/auto/it's a copy\"",
        "without its UUID",
        Printed,
    ),
    ("a backup", "XF053", "cp $X/alpha-node1.cfg $X/alpha-node1.cfg~", "powers on from that one", Printed),
    (
        "a disk of two clusters, by a link and in two ways of writing",
        "XF054",
        "ln -s alpha-node1.img /srv/disks/shared.img
         sed -i 's|^disk = .*|disk = [ # two\\n \"phy:/srv/disks/beta-db1.img,xvda,w\", \
         \\x27vdev=xvdb, target=/srv/disks/shared.img\\x27,\\n]|' $X/beta-db1.cfg",
        "by two names of it",
        By("sed -i 's|vdev=xvdb|vdev=xvdb, access=ro|' $X/beta-db1.cfg"),
    ),
    (
        "a disk of two clusters, by a hard link",
        "XF054",
        "ln /srv/disks/alpha-node1.img /srv/disks/hard.img
         sed -i 's|,xvda,w\"|&, \"/srv/disks/hard.img,,xvdb\"|' $X/beta-db1.cfg",
        "neither cluster can fence",
        By("sed -i 's|/srv/disks/hard.img,,xvdb|&,r|' $X/beta-db1.cfg"),
    ),
    (
        "a disk of a node and of a domain in no cluster",
        "XF055",
        "stray; sed -i 's|,xvda,w\"|&, \"phy:/srv/disks/alpha-node1.img,xvdb,w\"|' $X/stray.cfg",
        "no cluster can fence the one",
        By("sed -i 's|xvdb,w|xvdb,r|' $X/stray.cfg"),
    ),
    (
        "a disk that a script has made, by its device",
        "XF055 XF161",
        "stray; xl create $X/stray.cfg; mknod /srv/disks/drbd0 b 147 10
         sed -i 's|,xvda,w\"|&, \"phy:/srv/disks/drbd0,xvdb,w\"|' $X/alpha-node1.cfg
         at=/local/domain/0/backend/vbd/$(xl domid stray)/51728
         instead_of_xenstore_ls \"/root/xenstore-ls \\\"\\$@\\\"
            case \\$2 in /local/domain/0/backend) sed 's/.*/&\\\"/; s| = | = \\\"|; s|^|$at/|' << .
params = res0
script = /etc/xen/scripts/block-drbd
physical-device = 93:a
mode = w
.
            esac\"",
        "stray (as it runs)",
        By("mv -f /root/xenstore-ls /usr/bin; xl destroy stray; rm $X/stray.cfg /srv/disks/drbd0
            cp -p /root/xen/alpha-node1.cfg $X"),
    ),
    (
        "a node's configuration that xl does not read",
        "XF057 XF157",
        "echo 'pci = [ ' >> $X/alpha-node1.cfg",
        "xl refuses the file",
        By("sed -i '/^pci/d' $X/alpha-node1.cfg"),
    ),
    (
        "a disk as xm has it, under xl",
        "XF057",
        "sed -i 's|,xvda,w\"|,xvda,w!\"|' $X/alpha-node1.cfg",
        "line 8",
        By("sed -i 's|,w!|,w|' $X/alpha-node1.cfg"),
    ),
    ("Python", "XF057", "echo 'disk = [ \"phy:%s,xvda,w\" % d ]' > $X/old.cfg", "line 1", By("rm $X/old.cfg")),
    ("a pipe", "XF057", "mkfifo $X/pipe.cfg", "not a regular file", By("mv $X/pipe.cfg /root")),
    ("a gigabyte", "XF057", "truncate -s 1G $X/big.cfg", "longer than", By("rm $X/big.cfg")),
    ("no text", "XF057", "printf 'disk = \\377' > $X/bytes", "UTF-8", By("rm $X/bytes")),
    (
        "a xenstore-ls that cannot run",
        "XF151",
        "instead_of_xenstore_ls 'echo \"libxenstore.so.4: No such file or directory\" >&2; exit 127'",
        "exit code 127",
        By("mv -f /root/xenstore-ls /usr/bin"),
    ),
    (
        "devices that xenstore does not tell",
        "XF151",
        "instead_of_xenstore_ls 'case $2 in */device) exit 1;; esac; exec /root/xenstore-ls \"$@\"'",
        "exit code 1",
        By("mv -f /root/xenstore-ls /usr/bin"),
    ),
    ("a node that is off", "XF152", "xl destroy alpha-node2", "is off or runs elsewhere", PrintedBehind),
    (
        "a node that is nowhere",
        "XF153",
        "xl destroy alpha-node2; mv $X/alpha-node2.cfg /root",
        "cannot power it on",
        By("mv /root/alpha-node2.cfg $X; xl create $X/alpha-node2.cfg"),
    ),
    (
        "a node under another name",
        "XF154",
        "xl rename alpha-node2 other",
        "is called",
        By("xl rename other alpha-node2"),
    ),
    (
        "a configuration that is gone",
        "XF155",
        "mv $X/alpha-node2.cfg /root",
        "leaves it off",
        By("mv /root/alpha-node2.cfg $X"),
    ),
    ("a configuration for all to write", "XF156", "chmod 666 $X/alpha-node2.cfg", "0666", Printed),
    ("a configuration of somebody's", "XF156", "chown 65534 $X/alpha-node2.cfg", "65534", Printed),
    (
        "a configuration for all to write, in a directory that is a link",
        "XF156",
        "mkdir -p /srv/xen; mv $X/alpha-node2.cfg /srv/xen; ln -s /srv/xen $X/guests
         sed -i 's|/etc/xen/alpha-node2.cfg|/etc/xen/guests/alpha-node2.cfg|' $P/alpha.toml
         chmod 666 /srv/xen/alpha-node2.cfg",
        "0666",
        Printed,
    ),
    ("a directory for all to write", "XF001", "chmod 777 $X", "0777", Printed),
    (
        "a pipe in the place of a configuration",
        "XF156",
        "mv $X/alpha-node2.cfg /root; mkfifo $X/alpha-node2.cfg",
        "not a regular file",
        By("mv -f /root/alpha-node2.cfg $X"),
    ),
    (
        "a link in the place of a configuration",
        "XF156",
        "mv $X/alpha-node2.cfg /root; ln -s /root/alpha-node2.cfg $X/alpha-node2.cfg",
        "symbolic link",
        By("mv -f /root/alpha-node2.cfg $X"),
    ),
    (
        "a gigabyte in the place of a configuration",
        "XF156",
        "cp $X/alpha-node2.cfg /root; truncate -s 1G $X/alpha-node2.cfg",
        "longer than",
        By("mv -f /root/alpha-node2.cfg $X"),
    ),
    (
        "a configuration without the UUID",
        "XF157",
        "sed -i '/^uuid/d' $X/alpha-node2.cfg",
        "no plain `uuid",
        PrintedLine("/etc/xen/alpha-node2.cfg"),
    ),
    (
        "a configuration of another name",
        "XF157",
        "sed -i 's/^name.*/name = \"other\"/' $X/alpha-node2.cfg",
        "\"alpha-node2\"",
        PrintedLine("/etc/xen/alpha-node2.cfg"),
    ),
    (
        "a node without a configuration",
        "XF158",
        "sed -i '/alpha-node2.cfg/d' $P/alpha.toml",
        "leaves it off",
        PrintedLine("/etc/xen-fence/clusters.d/alpha.toml"),
    ),
    (
        "a dump before a fence",
        "XF159",
        "sed -i 's/^on_crash.*/on_crash = \"coredump-restart\"/' $X/alpha-node2.cfg",
        "a fence waits",
        PrintedLine("/etc/xen/alpha-node2.cfg"),
    ),
    (
        "a dump at each reboot",
        "XF159",
        "echo 'on_reboot = \"coredump-restart\"' >> $X/alpha-node2.cfg",
        "on_reboot",
        PrintedLine("/etc/xen/alpha-node2.cfg"),
    ),
    (
        "a PCI device",
        "XF160",
        "printf 'pci = [\\n  \"0000:01:00.0\",\\n]\\n' >> $X/alpha-node2.cfg",
        "PCI",
        By("sed -i '/^pci/,$d' $X/alpha-node2.cfg"),
    ),
    (
        "a driver domain",
        "XF160",
        "sed -i 's|,xvda,w\"|&, \"backend=store,vdev=xvdb,target=/dev/x\"|' $X/alpha-node2.cfg",
        "the domain store",
        By("sed -i 's|, \"backend=[^\"]*\"||' $X/alpha-node2.cfg"),
    ),
    (
        "a PCI device that was attached by hand",
        "XF160",
        "beside_xenstore_ls device/pci/0/backend /local/domain/0/backend/pci/9/0",
        "a PCI device of its own, as it runs",
        By("mv -f /root/xenstore-ls /usr/bin"),
    ),
    (
        "a driver domain's disk that was attached by hand",
        "XF160",
        "beside_xenstore_ls device/vbd/51728/backend /local/domain/7/backend/vbd/9/51728",
        "that the domain 7 serves, as it runs",
        By("mv -f /root/xenstore-ls /usr/bin"),
    ),
    (
        "a domain of nobody's",
        "XF161",
        "stray; xl create $X/stray.cfg",
        "in no cluster",
        By("xl destroy stray; rm $X/stray.cfg"),
    ),
    (
        "a node that nobody may kill",
        "XF162",
        "sed -i 's/^\\[nodes.node1\\]/&\\ntargets = []/' $P/alpha.toml",
        "among its `targets`",
        By("sed -i 's/^targets = .*/targets = [\"node2\"]/' $P/alpha.toml"),
    ),
    (
        "nodes that may only look",
        "XF162",
        "sed -i 's/^actions.*/actions = [\"status\"]/' $P/alpha.toml",
        "neither off nor reset",
        By("sed -i 's/^actions.*/actions = [\"status\", \"off\", \"reset\"]/' $P/alpha.toml"),
    ),
    (
        "a cluster of one",
        "XF163 XF113 XF117",
        "stray; xl create $X/stray.cfg
         printf 'actions = [\"off\"]\\n[nodes.stray]\\nuuid = \"%s\"\\nconfig = \"%s\"\\nkeys = [\"%s\"]\\n' \
         $(uuid stray) $X/stray.cfg \"$(key stray)\" > $P/gamma.toml",
        "its only node",
        By("rm $P/gamma.toml; xl destroy stray; rm $X/stray.cfg"),
    ),
    (
        "a shared disk, and one that may not kill the other",
        "XF164",
        "sed -i 's|,xvda,w\"|&, \"/srv/disks/alpha-node1.img,,xvdb,w\"|' $X/alpha-node2.cfg
         sed -i 's/^\\[nodes.node1\\]/&\\ntargets = []/' $P/alpha.toml
         printf '[operators.ada]\\nactions = [\"off\"]\\nkeys = [\"%s\"]\\n' \"$(key ada)\" >> $P/alpha.toml
         xen-fence-admin acl apply",
        "node1 may not kill node2",
        By("sed -i 's/^targets = .*/targets = [\"node2\"]/; /operators.ada/,$d' $P/alpha.toml
            xen-fence-admin acl apply"),
    ),
    (
        "libvirt at the next boot",
        "XF165",
        "printf '[Service]\\nExecStart=/bin/true\\n[Install]\\nWantedBy=multi-user.target\\n' \
         > /etc/systemd/system/libvirtd.service
         systemctl enable libvirtd",
        "when this host boots",
        PrintedBehind,
    ),
    (
        "a cluster manager on dom0",
        "XF165",
        "cp $(which sleep) /root/pacemakerd; setsid /root/pacemakerd 600 > /dev/null 2>&1 &",
        "runs here",
        PrintedBehind,
    ),
    (
        "xendomains that starts a node",
        "XF165",
        "mkdir -p $X/auto /etc/systemd/system/multi-user.target.wants
         ln -s /dev/null /etc/systemd/system/multi-user.target.wants/xendomains.service
         ln -s ../alpha-node1.cfg $X/auto/10-alpha",
        "10-alpha has it started",
        Printed,
    ),
    (
        "xendomains that saves nodes",
        "XF165",
        "mkdir -p /etc/rc3.d; touch /etc/rc3.d/S20xendomains
         printf '# x\\nXENDOMAINS_SAVE=/var/lib/xen/save\\n' > /etc/default/xendomains",
        "in the middle",
        Printed,
    ),
    (
        "a pipe in the place of what xendomains goes by",
        "XF165",
        "mkdir -p /etc/rc3.d; touch /etc/rc3.d/S20xendomains
         rm -f /etc/default/xendomains; mkfifo /etc/default/xendomains",
        "not a regular file",
        By("rm /etc/default/xendomains"),
    ),
    (
        "a corpse of a node",
        "XF166",
        "stand-in fault corpse alpha-node2; xl destroy alpha-node2",
        "has been dying",
        By("stand-in clear; sleep 1; xl create $X/alpha-node2.cfg"),
    ),
    (
        "a corpse of nobody's",
        "XF167",
        "stray; xl create $X/stray.cfg; stand-in fault corpse stray; xl destroy stray; rm $X/stray.cfg",
        "no node's",
        By("stand-in clear; sleep 1"),
    ),
    (
        "a disk that is gone",
        "XF168",
        "mv /srv/disks/alpha-node2.img /root",
        "is not there",
        By("mv /root/alpha-node2.img /srv/disks"),
    ),
];

/// What a mend may leave behind that is no fault: the files are what they were, for the next one.
pub(super) const AS_BEFORE: &str = "rm -rf $X; cp -a /root/xen $X; cp -p /root/policy/* $P
    rm -f /srv/disks/shared.img /srv/disks/hard.img";
