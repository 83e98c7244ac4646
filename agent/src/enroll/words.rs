//! What the owner of dom0 has to know of this node, as it has to be written there.

use super::Enrolled;
use crate::config::Wishes;

/// What something done is called before it is.
pub(super) fn infinitive(done: &str) -> &str {
    match done {
        "made" => "make",
        "recorded" => "record",
        "wrote" => "write",
        "added" => "add",
        other => other,
    }
}

impl Enrolled {
    /// The node's table in the policy; none as long as it has no key.
    pub(crate) fn table(&self) -> Option<String> {
        let (node, key) = (self.node.as_str(), self.key.as_ref()?);
        let bare = !node.contains('.');
        let name = if bare { node.to_owned() } else { format!("\"{node}\"") };
        let uuid = match &self.uuid {
            Some(uuid) => format!("uuid = \"{uuid}\""),
            None => "# uuid = \"…\"    # this node does not know it; `xl list -v` on dom0 does"
                .to_owned(),
        };
        Some(format!("[nodes.{name}]\n{uuid}\nkeys = [\"{key} {node}\"]"))
    }

    /// The command that writes it there.
    pub(crate) fn command(&self) -> Option<String> {
        let (cluster, node, key) = (&self.cluster, &self.node, self.key.as_ref()?);
        Some(format!("xen-fence-admin setup --cluster {cluster} --node '{node}={key}'"))
    }
}

/// What a person reads: for dom0's owner, and what to do next.
pub(crate) fn lines(enrolled: &Enrolled, wishes: &Wishes) -> Vec<String> {
    let (Some(table), Some(command)) = (enrolled.table(), enrolled.command()) else {
        return Vec::new();
    };
    let hosts: Vec<String> = enrolled.dom0s.iter().map(|dom0| dom0.host.to_string()).collect();
    let hosts = hosts.join(" and on ");
    let mut lines = vec![
        format!("# On {hosts}, in /etc/xen-fence/clusters.d/{}.toml:", enrolled.cluster),
        table,
        String::new(),
        format!("# or, as root on {hosts}, this one line:"),
        command,
    ];
    if enrolled.error.is_none() {
        lines.extend([String::new(), "# Then, here:".to_owned(), check(wishes)]);
    }
    lines
}

/// The next command, with what is not in its usual place.
fn check(wishes: &Wishes) -> String {
    let mut words = "xen-fence check".to_owned();
    for (option, file) in [
        ("--config", &wishes.config),
        ("--identity", &wishes.identity),
        ("--known-hosts", &wishes.known_hosts),
    ] {
        if let Some(file) = file {
            words.push_str(&format!(" {option} '{}'", file.display()));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Endpoint;
    use xen_fence_protocol::NodeName;

    fn enrolled(node: &str, uuid: Option<&str>) -> Enrolled {
        Enrolled {
            node: NodeName::parse(node).unwrap(),
            cluster: "alpha".to_owned(),
            dom0s: vec![Endpoint::parse("fence-alpha@xen1:2422").unwrap()],
            key: Some("ssh-ed25519 AAAA".to_owned()),
            uuid: uuid.map(str::to_owned),
            done: Vec::new(),
            warnings: Vec::new(),
            error: None,
        }
    }

    #[test]
    fn the_lines_for_dom0() {
        let uuid = "5eed0001-77f0-4d0c-9a61-001600003e01";
        let said = lines(&enrolled("node1", Some(uuid)), &Wishes::default()).join("\n");
        let table =
            format!("[nodes.node1]\nuuid = \"{uuid}\"\nkeys = [\"ssh-ed25519 AAAA node1\"]\n");
        for wanted in [
            table.as_str(),
            "clusters.d/alpha.toml:\n",
            "\nxen-fence-admin setup --cluster alpha --node 'node1=ssh-ed25519 AAAA'\n",
            "\nxen-fence check",
        ] {
            assert!(said.contains(wanted), "{wanted}\n{said}");
        }
        let said = enrolled("n1.example.org", None).table().unwrap();
        assert!(said.starts_with("[nodes.\"n1.example.org\"]\n# uuid = "), "{said}");
        let keyless = Enrolled { key: None, ..enrolled("node1", None) };
        assert!(lines(&keyless, &Wishes::default()).is_empty());
    }
}
