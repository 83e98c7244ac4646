//! The nodes of the lab: the files that say who they are to the broker, to xl and to their agents.

use super::{Doing, Lab, Result};
use crate::throwaway::clusters::{Node, policy};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

pub(super) const ACTIONS: &str = "actions = [\"reset\", \"off\", \"on\", \"status\"]\n";

/// How long a guest takes to its first write, at the very longest.
const GUEST_BOOT: Duration = Duration::from_secs(120);

/// The directory that is a node's /etc/xen-fence.
pub(super) fn etc(lab: &Lab, node: &str) -> PathBuf {
    lab.directory().join(node)
}

/// Where a node's agents keep the ids of their requests.
fn run(lab: &Lab, node: &str) -> PathBuf {
    etc(lab, node).join("run")
}

/// What runs a program as in the node: its agents share ids with those of no other node or lab.
pub(super) fn alone(lab: &Lab, node: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = "mkdir -p -m 700 \"$0\" /run/xen-fence-agent &&
        mount --bind \"$0\" /run/xen-fence-agent && exec \"$@\"";
    command.args(["--mount", "--", "sh", "-c", script]).arg(run(lab, node));
    command
}

/// No request of earlier is known to any agent.
pub(super) fn forget(lab: &Lab) -> Result<()> {
    for node in &lab.nodes {
        let run = run(lab, &node.name);
        match fs::remove_dir_all(&run) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            removed => removed.doing(format!("empty {}", run.display()))?,
        }
    }
    Ok(())
}

/// The agent that was built with this program.
pub(super) fn agent() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let directory = program.parent().unwrap_or(&program);
    let directory =
        if directory.ends_with("deps") { directory.join("..") } else { directory.into() };
    directory.join("xen-fence")
}

/// What `xl create` reads: `extra` goes to the guest's kernel, the lines overrule the usual ones.
pub(super) fn xl_config(node: &Node, extra: &str, lines: &str) -> String {
    let (domain, uuid, name, slot) = (&node.domain, &node.uuid, &node.name, node.slot);
    format!(
        "name = \"{domain}\"\nuuid = \"{uuid}\"\ntype = \"pv\"\nmemory = 128\nvcpus = 1\n\
         kernel = \"/lab/vmlinux\"\nramdisk = \"/lab/initramfs-guest\"\n\
         extra = \"console=hvc0 quiet panic=1000 mitigations=off node={name} slot={slot} {extra}\"\n\
         disk = [\"phy:/dev/loop{slot},xvda,w\"]\n\
         on_poweroff = \"destroy\"\non_reboot = \"restart\"\non_crash = \"restart\"\n{lines}"
    )
}

/// Makes the cluster, and starts its nodes.
pub(super) fn furnish(lab: &Lab) -> Result<()> {
    let mut keys = Vec::new();
    for node in &lab.nodes {
        keys.push((node.name.clone(), make_agent(lab, node)?));
        write(lab, &node.config(), &xl_config(node, "", ""))?;
    }
    point_agents(lab)?;
    let key_of = |node: &Node| {
        let found = keys.iter().find(|(name, _)| *name == node.name);
        found.map(|(_, key)| key.clone()).unwrap_or_default()
    };
    let members: Vec<&Node> = lab.nodes.iter().collect();
    write(lab, "/etc/xen-fence/clusters.d/alpha.toml", &policy(ACTIONS, &members, &key_of))?;
    lab.sh("xen-fence-admin acl apply").succeeded()?;
    for node in &lab.nodes {
        lab.sh(&format!("xl create {}", node.config())).succeeded()?;
    }
    for node in &lab.nodes {
        let writes = || lab.sector(&node.name).starts_with(&node.name);
        lab.until(&format!("{} writes", node.name), GUEST_BOOT, writes)?;
    }
    Ok(())
}

/// Makes a node's key, and says the public one.
pub(super) fn make_agent(lab: &Lab, node: &Node) -> Result<String> {
    let etc = etc(lab, &node.name);
    fs::create_dir_all(&etc).doing(format!("make {}", etc.display()))?;
    let key = etc.join("id_ed25519");
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", &node.name, "-f"]).arg(&key);
    keygen.status().doing("run ssh-keygen")?;
    let public = key.with_extension("pub");
    let public = fs::read_to_string(&public).doing(format!("read {}", public.display()))?;
    Ok(public.trim_end().to_owned())
}

/// Tells the nodes' agents where dom0 is in this run.
pub(super) fn point_agents(lab: &Lab) -> Result<()> {
    let port = lab.ports.fencing;
    let host_key = lab.image.join("host_key.pub");
    let host_key = fs::read_to_string(&host_key).doing(format!("read {}", host_key.display()))?;
    for node in &lab.nodes {
        let etc = etc(lab, &node.name);
        let known = format!("[127.0.0.1]:{port} {host_key}");
        let settings = format!(
            "dom0 = [\"fence-{}@127.0.0.1:{port}\"]\nidentity = \"{}\"\nknown_hosts = \"{}\"\n",
            node.cluster,
            etc.join("id_ed25519").display(),
            etc.join("known_hosts").display(),
        );
        for (name, text) in [("known_hosts", known), ("agent.toml", settings)] {
            fs::write(etc.join(name), text).doing(format!("write {name} of {}", node.name))?;
        }
    }
    Ok(())
}

/// Writes a file in dom0.
pub(super) fn write(lab: &Lab, path: &str, text: &str) -> Result<()> {
    lab.sh(&format!("cat >{path} <<'END OF FILE'\n{text}\nEND OF FILE")).succeeded().map(drop)
}
