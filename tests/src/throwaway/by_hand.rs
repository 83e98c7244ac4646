//! The product's installation by hand, for as long as the repository's Makefile has none.

use super::clusters::Node;
use super::dom0::Dom0;
use super::error::{Doing, Result};
use super::product::{Product, repository};
use super::root::Root;

/// True while the Makefile cannot install.
pub(crate) fn is_needed() -> bool {
    !repository().join("Makefile").exists()
}

/// Does what `make install-dom0 install-node` will do.
pub(crate) fn install(root: &Root, product: &Product) -> Result<()> {
    for (name, path) in [
        ("xen-fence", "/usr/sbin/xen-fence"),
        ("xen-fence-broker", "/usr/sbin/xen-fence-broker"),
        ("xen-fence-admin", "/usr/sbin/xen-fence-admin"),
        ("xen-fence-launcher", "/usr/lib/xen-fence/xen-fence-launcher"),
    ] {
        let from = product.programs.join(name);
        let bytes = std::fs::read(&from).doing(format!("read {}", from.display()))?;
        root.write(path, &bytes, 0o755)?;
    }
    for dir in ["/etc/xen-fence/clusters.d", "/etc/xen-fence/keys", "/var/log/xen-fence"] {
        root.make_dir(dir, 0o755)?;
    }
    root.write("/etc/sudoers.d/xen-fence", SUDOERS.as_bytes(), 0o440)?;
    root.write("/etc/xen-fence/sshd_config", SSHD.as_bytes(), 0o644)?;
    root.write("/etc/ssh/sshd_config.d/xen-fence.conf", MATCH.as_bytes(), 0o644)?;
    root.write("/usr/lib/systemd/system/xen-fence-sshd.service", UNIT.as_bytes(), 0o644)
}

const SUDOERS: &str = "Defaults!/usr/sbin/xen-fence-broker env_keep += \"XEN_FENCE_CALLER XEN_FENCE_KEY \
SSH_CONNECTION\", !syslog, !pam_session, !use_pty\n\
%xen-fence ALL=(root) NOPASSWD: /usr/sbin/xen-fence-broker serve\n";
const SSHD: &str = "Port 2422\nUsePAM no\nUseDNS no\nAllowGroups xen-fence\n\
PasswordAuthentication no\nKbdInteractiveAuthentication no\n\
PidFile /run/xen-fence-sshd.pid\nHostKey /etc/ssh/ssh_host_ed25519_key\n\
AuthorizedKeysFile /etc/xen-fence/keys/%u\n";
const MATCH: &str = "Match Group xen-fence\n  AuthorizedKeysFile /etc/xen-fence/keys/%u\n";
const UNIT: &str = "[Service]\n\
ExecStart=/usr/sbin/sshd -D -f /etc/xen-fence/sshd_config -E /var/log/xen-fence/sshd.log\n";

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
