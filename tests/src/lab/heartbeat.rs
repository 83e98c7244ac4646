//! The lab with two Heartbeat clusters: what each node finds in its initramfs, what xl and the broker are
//! told of it. What the nodes then do is theirs.

use super::machine::Hardware;
use super::{Doing, Lab, Result, nodes};
use crate::error::Error;
use crate::throwaway::clusters::{Node, policy};
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The clusters and their nodes.
const NODES: [(&str, &str); 4] =
    [("alpha", "node1"), ("alpha", "node2"), ("beta", "db1"), ("beta", "db2")];

/// dom0 as the nodes know it: tests/image/dom0-init.
const DOM0: &str = "10.88.0.254";

impl Lab {
    /// Raises a lab with two clusters of two nodes each, and returns when xl has made their domains.
    /// Nothing of it is kept: the nodes go on from where they are, case after case.
    ///
    /// # Errors
    /// If anything of that fails.
    pub fn raise_clusters() -> Result<Self> {
        let mut lab = Self::of(Hardware::NODES, &NODES)?;
        lab.boot()?;
        let mut keys = Vec::new();
        for node in &lab.nodes {
            keys.push((node.name.clone(), nodes::make_agent(&lab, node)?));
            furnish(&lab, node)?;
        }
        let key_of = |node: &Node| {
            let found = keys.iter().find(|(name, _)| *name == node.name);
            found.map(|(_, key)| key.clone()).unwrap_or_default()
        };
        for cluster in ["alpha", "beta"] {
            let members: Vec<&Node> =
                lab.nodes.iter().filter(|node| node.cluster == cluster).collect();
            let path = format!("/etc/xen-fence/clusters.d/{cluster}.toml");
            nodes::write(&lab, &path, &policy(nodes::ACTIONS, &members, &key_of))?;
        }
        lab.sh("xen-fence-admin acl apply").succeeded()?;
        lab.record_course()?;
        for node in &lab.nodes {
            // xl gives a script of its own 40 s, which it exceeds where the machine is busy.
            let create = format!("xl create {}", node.config());
            let again = format!("{create} || {{ sleep 30; {create}; }}");
            lab.sh(&again).succeeded()?;
        }
        Ok(lab)
    }

    /// Has dom0 note from now on what the nodes say and write.
    fn record_course(&self) -> Result<()> {
        let domains: Vec<&str> = self.nodes.iter().map(|node| node.domain.as_str()).collect();
        let domains = domains.join(" ");
        let script =
            format!("setsid /lab/course {COURSE} {domains} </dev/null >{COURSE}.err 2>&1 &");
        self.sh(&script).succeeded().map(drop)
    }

    /// What dom0 has noted of its nodes behind so many bytes: tests/image/course has the words.
    ///
    /// # Panics
    /// If dom0 does not answer.
    #[must_use]
    #[track_caller]
    pub fn course(&self, behind: usize) -> String {
        let output = self.sh(&format!("tail -c +{} {COURSE}; cat {COURSE}.err >&2", behind + 1));
        assert_eq!(output.stderr, "", "who notes the course has failed");
        output.exits(0).stdout
    }

    /// Types a line at the console of a node, which runs it: tests/image/node-init.
    ///
    /// # Panics
    /// If it has none.
    #[track_caller]
    pub fn type_at(&self, node: &str, line: &str) {
        let domain = &self.node(node).domain;
        let tty = format!("/local/domain/$(xl domid {domain})/console/tty");
        let _ = self.sh(&format!("echo '{line}' >$(xenstore-read {tty})")).exits(0);
    }
}

/// Where the course is noted.
const COURSE: &str = "/run/course";

/// A node's address on the bridge, the same in each life.
fn address(node: &Node) -> String {
    format!("10.88.0.{}", node.slot)
}

/// The node's initramfs, with the node's own files in it, and its configuration for xl.
fn furnish(lab: &Lab, node: &Node) -> Result<()> {
    let staged = lab.directory().join(format!("{}.initramfs", node.name));
    own_files(lab, node, &staged.join("own"))?;
    let packed = Command::new("sh")
        .args(["-c", "cd \"$0\" && find . | cpio -o -H newc --quiet"])
        .arg(&staged)
        .output()
        .doing("run cpio")?;
    if !packed.status.success() {
        let why = String::from_utf8_lossy(&packed.stderr).into_owned();
        return Err(Error::new(format!("cpio: {why}")));
    }
    let image = format!("/lab/initramfs-{}", node.domain);
    lab.sh(&format!(
        "{{ zcat /lab/initramfs-node; base64 -d <<'END'; }} | gzip -1 >{image}\n{}\nEND",
        BASE64.encode(&packed.stdout)
    ))
    .succeeded()?;
    let (domain, uuid, slot, address) = (&node.domain, &node.uuid, node.slot, address(node));
    let config = format!(
        "name = \"{domain}\"\nuuid = \"{uuid}\"\ntype = \"pv\"\nmemory = 192\nvcpus = 1\n\
         kernel = \"/lab/vmlinux\"\nramdisk = \"{image}\"\n\
         extra = \"console=hvc0 quiet panic=1000 mitigations=off audit=0 net.ifnames=0 address={address}\"\n\
         disk = [\"phy:/dev/vdb,xvda,r\", \"phy:/dev/loop{slot},xvdb,w\"]\n\
         vif = [\"bridge=xenbr0,mac=00:16:3e:00:00:{slot:02x}\"]\n\
         on_poweroff = \"destroy\"\non_reboot = \"restart\"\non_crash = \"restart\"\n"
    );
    nodes::write(lab, &node.config(), &config)
}

/// What no other node has: its name, its key, its side of the cluster's settings.
fn own_files(lab: &Lab, node: &Node, root: &Path) -> Result<()> {
    let host_key = lab.image.join("host_key.pub");
    let host_key = fs::read_to_string(&host_key).doing(format!("read {}", host_key.display()))?;
    let key = nodes::etc(lab, &node.name).join("id_ed25519");
    let key = fs::read_to_string(&key).doing(format!("read {}", key.display()))?;
    let cluster = &node.cluster;
    let members: Vec<&Node> = lab.nodes.iter().filter(|other| other.cluster == *cluster).collect();
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let peer = members.iter().find(|member| member.name != node.name);
    let peer = peer.map(|peer| address(peer)).unwrap_or_default();
    // The times of the field. A peer that xl has not made yet is not dead, so initdead is long.
    let settings = format!(
        "logfile /var/log/ha-log\nlogfacility none\nuse_logd off\nudpport 694\n\
         keepalive 2\nwarntime 10\ndeadtime 20\ninitdead 300\nucast eth0 {peer}\n\
         auto_failback on\ncrm no\nnode {}\n\
         stonith_host * external/xen-fence fence-{cluster}@xen1:2422\n",
        names.join(" ")
    );
    let resource = |member: &&Node| format!("{} writer::{}\n", member.name, member.slot);
    let resources: String = members.iter().map(resource).collect();
    for (path, text, mode) in [
        ("etc/hostname", format!("{}\n", node.name), 0o644),
        ("etc/hosts", format!("127.0.0.1 localhost\n{DOM0} xen1\n"), 0o644),
        ("etc/ha.d/ha.cf", settings, 0o644),
        ("etc/ha.d/haresources", resources, 0o644),
        ("etc/ha.d/authkeys", format!("auth 1\n1 sha1 {cluster}\n"), 0o600),
        ("etc/xen-fence/id_ed25519", key, 0o600),
        ("etc/xen-fence/known_hosts", format!("[xen1]:2422 {host_key}"), 0o644),
        ("etc/xen-fence/agent.toml", format!("dom0 = [\"fence-{cluster}@xen1:2422\"]\n"), 0o644),
    ] {
        let path = root.join(path);
        let parent = path.parent().unwrap_or(root);
        fs::create_dir_all(parent).doing(format!("make {}", parent.display()))?;
        fs::write(&path, text).doing(format!("write {}", path.display()))?;
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(&path, mode).doing(format!("set the mode of {}", path.display()))?;
    }
    Ok(())
}
