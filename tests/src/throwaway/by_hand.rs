//! sshd's key files by hand, for as long as `xen-fence-admin acl apply` does not write them.

use super::clusters::Node;
use super::dom0::Dom0;
use super::error::Result;

/// Writes the key files that `xen-fence-admin acl apply` will write.
pub(crate) fn write_keys_if_missing(dom0: &Dom0, nodes: &[Node]) -> Result<()> {
    for node in nodes {
        let path = format!("/etc/xen-fence/keys/fence-{}", node.cluster);
        let mut text = dom0.file(&path);
        let key = dom0.file(&format!("{}/id_ed25519.pub", node.etc()));
        let key: Vec<&str> = key.split_whitespace().take(2).collect();
        if text.contains(&key.join(" ")) {
            continue;
        }
        let public = format!("{}/id_ed25519.pub", node.etc());
        let print = dom0.place().must(&["ssh-keygen", "-lf", &public])?;
        let print = print.stdout.split_whitespace().nth(1).unwrap_or_default().to_owned();
        text.push_str(&format!(
            "restrict,command=\"xen-fence node {} {print}\" {}\n",
            node.name,
            key.join(" ")
        ));
        dom0.root().write(&path, text.as_bytes(), 0o644)?;
    }
    Ok(())
}
