//! Which domain a node is: by what runs here, and by the configurations in /etc/xen.
//!
//! It is said or it is plain; where two domains could be meant, nothing is guessed.

use super::Fault;
use super::wishes::NodeWish;
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::{Node, parse};
use xen_fence_broker::domain_config::{self, Unfit};
use xen_fence_broker::names::{ClusterName, DomainName, Uuid};
use xen_fence_broker::serve::toolstack;
use xen_fence_broker::settings::{self, SETTINGS_FILE};
use xen_fence_broker::toolstack::{Listing, Row};

/// Where xl's own scripts look for configurations, and people put them.
const CONFIGS: &str = "/etc/xen";

/// A node's domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Domain {
    pub(super) name: DomainName,
    pub(super) uuid: Uuid,
}

/// What runs here, by the broker's own way to ask.
pub(super) fn running() -> Result<Listing, Fault> {
    let settings = settings::load(Path::new(SETTINGS_FILE)).map_err(|error| error.to_string())?;
    toolstack(&settings).list().map_err(|error| {
        format!(
            "the domains that run here cannot be listed, and the UUIDs are read from that: {error}\n  \
             hint: it has to work for every fence, too; see that `xl list -v` does"
        )
    })
}

/// The domain of a node.
pub(super) fn find(
    listing: &Listing,
    cluster: &ClusterName,
    node: &NodeWish,
) -> Result<Domain, Fault> {
    let names = match &node.domain {
        Some(name) => vec![name.clone()],
        None => [node.name.to_string(), format!("{cluster}-{}", node.name)]
            .iter()
            .filter_map(|name| DomainName::parse(name).ok())
            .collect(),
    };
    let is_named = |row: &&Row, name: &DomainName| row.name.as_deref() == Some(name.as_str());
    let mut found = names.iter().flat_map(|name| {
        listing.rows().iter().filter(move |row| is_named(row, name)).map(move |row| (name, row))
    });
    match (found.next(), found.next()) {
        (Some((one, row)), Some((other, next))) => Err(format!(
            "{node} could be the domain {one} (domid {}) or {other} (domid {})\n  hint: say which: \
             --domain {node}={one}; if both have one name, end the one that is not the node",
            row.domid,
            next.domid,
            node = node.name,
        )),
        (Some((name, row)), None) => running_as(node, name, row),
        (None, _) => not_running(node, &names),
    }
}

fn running_as(node: &NodeWish, name: &DomainName, row: &Row) -> Result<Domain, Fault> {
    let (Some(uuid), domid, node_name) = (row.uuid, row.domid, &node.name) else {
        return Err(format!(
            "the domain {name} has no UUID, so it cannot be the node {}",
            node.name
        ));
    };
    match node.uuid.filter(|wanted| *wanted != uuid) {
        None => Ok(Domain { name: name.clone(), uuid }),
        Some(wanted) => Err(format!(
            "the domain {name} (domid {domid}) has the UUID {uuid}, not {wanted}\n  hint: leave \
             --uuid {node_name}=… out, or say which domain is the node's: --domain {node_name}=NAME"
        )),
    }
}

fn not_running(node: &NodeWish, names: &[DomainName]) -> Result<Domain, Fault> {
    let name = &node.name;
    let shown: Vec<_> = names.iter().map(ToString::to_string).collect();
    let shown = shown.join(" or ");
    let Some(uuid) = node.uuid else {
        return Err(format!(
            "no domain {shown} runs here, so the UUID of {name} is not known\n  hint: start it; or \
             say which it is: --domain {name}=NAME; or give the UUID of one that does not run: \
             --uuid {name}=UUID, which its configuration has as `uuid = \"…\"`"
        ));
    };
    if let [only] = names {
        return Ok(Domain { name: only.clone(), uuid });
    }
    let of = |domain: &DomainName| Domain { name: domain.clone(), uuid };
    let configured = |domain: &Domain| !fitting(name.as_str(), domain).is_empty();
    let mut known = names.iter().map(of).filter(configured);
    match (known.next(), known.next()) {
        (Some(domain), None) => Ok(domain),
        _ => Err(format!(
            "no configuration in {CONFIGS} says whether the domain of {name} is called {shown}\n  \
             hint: say it: --domain {name}=NAME"
        )),
    }
}

/// The configurations that the broker would start the node from.
fn fitting(node: &str, domain: &Domain) -> Vec<PathBuf> {
    let files = of(node, domain).into_iter();
    files.filter(|file| fits(node, domain, file).is_ok()).collect()
}

/// The configuration of a node's domain in /etc/xen; none if no file there is by its UUID or name.
pub(super) fn configuration(node: &str, domain: &Domain) -> Result<Option<PathBuf>, Fault> {
    let files = of(node, domain);
    let mut fitting = fitting(node, domain);
    if fitting.len() > 1 {
        let usual = format!("{}.cfg", domain.name);
        let is_usual = |file: &PathBuf| file.file_name().is_some_and(|name| *name == *usual);
        if let Some(usual) = fitting.iter().position(is_usual) {
            return Ok(Some(fitting.swap_remove(usual)));
        }
        let shown: Vec<_> = fitting.iter().map(|file| file.display().to_string()).collect();
        return Err(format!(
            "{node} could be started from {}\n  hint: say which: --config {node}=FILE",
            shown.join(" or ")
        ));
    }
    if fitting.is_empty() && !files.is_empty() {
        let unfit = files.iter().filter_map(|file| fits(node, domain, file).err());
        let unfit: Vec<_> = unfit.map(|why| why.to_string()).collect();
        return Err(format!(
            "{}\n  hint: mend that, and run this again; or say where the right one is: --config \
             {node}=FILE",
            unfit.join("\n")
        ));
    }
    Ok(fitting.pop())
}

/// Whether the broker would start the node from this file.
pub(super) fn fits(node: &str, domain: &Domain, file: &Path) -> Result<(), Unfit> {
    match with_config(node, domain, file) {
        Some(node) => domain_config::fit(&node).map(drop),
        None => Err(Unfit::Unreadable {
            node: node.to_owned(),
            why: format!("{:?} cannot stand in a policy", file.display().to_string()),
            hint: "give the file another name".to_owned(),
        }),
    }
}

/// The files in /etc/xen that are the domain's by UUID or by name, whatever else is wrong with them.
fn of(node: &str, domain: &Domain) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(CONFIGS).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    let any = Path::new("/etc/xen/none.cfg");
    let Some(node) = with_config(node, domain, any) else { return Vec::new() };
    files.retain(|file| domain_config::whose(file, &node) == Some(true));
    files
}

/// A node as the policy would have it: only the broker's own reading of a policy makes one.
fn with_config(node: &str, domain: &Domain, file: &Path) -> Option<Node> {
    let file = file.to_str().filter(|path| !path.contains(['"', '\\']))?;
    let text = format!(
        "actions = []\n[nodes.\"{node}\"]\ndomain = \"{}\"\nuuid = \"{}\"\nconfig = \"{file}\"\n\
         keys = [\"{ANY_KEY}\"]\n",
        domain.name, domain.uuid
    );
    parse(&ClusterName::parse("any").ok()?, &text).ok()?.nodes().first().cloned()
}

/// A policy without a key is none.
const ANY_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::wishes;
    use xen_fence_broker::toolstack::RowState;

    const ONE: &str = "0f6a1b2c-0000-4000-8000-000000000001";
    const TWO: &str = "0f6a1b2c-0000-4000-8000-000000000002";

    fn listing(rows: &[(&str, &str)]) -> Listing {
        let dom0 =
            Row { domid: 0, name: Some("Domain-0".into()), uuid: None, state: RowState::Living };
        let rows = (1..).zip(rows).map(|(domid, (name, uuid))| Row {
            domid,
            name: Some((*name).to_owned()),
            uuid: Uuid::parse(uuid).ok(),
            state: RowState::Living,
        });
        Listing::of_rows(std::iter::once(dom0).chain(rows).collect()).unwrap()
    }

    fn found(
        rows: &[(&str, &str)],
        domain: Option<&str>,
        uuid: Option<&str>,
    ) -> Result<String, Fault> {
        let (name, key) = wishes::node(&format!("node1={ANY_KEY}")).unwrap();
        let domain = domain.map(|name| DomainName::parse(name).unwrap());
        let uuid = uuid.map(|uuid| Uuid::parse(uuid).unwrap());
        let node = NodeWish { name, key, domain, uuid, config: None };
        let cluster = ClusterName::parse("alpha").unwrap();
        find(&listing(rows), &cluster, &node)
            .map(|domain| format!("{} {}", domain.name, domain.uuid))
    }

    #[test]
    fn a_node_is_the_domain_of_its_name_or_the_one_that_is_said() {
        let one = |name: &str| Ok(format!("{name} {ONE}"));
        assert_eq!(found(&[("node1", ONE), ("node2", TWO)], None, None), one("node1"));
        assert_eq!(found(&[("alpha-node1", ONE), ("x", TWO)], None, None), one("alpha-node1"));
        assert_eq!(found(&[("node1", TWO), ("web", ONE)], Some("web"), None), one("web"));
        assert_eq!(found(&[("node1", ONE)], None, Some(ONE)), one("node1"));
        assert_eq!(found(&[("node2", TWO)], Some("web"), Some(ONE)), one("web"));
    }

    #[test]
    fn what_is_not_plain_is_said_and_not_guessed() {
        for (rows, domain, uuid, words) in [
            (&[("node1", ONE), ("alpha-node1", TWO)][..], None, None, "or alpha-node1 (domid 2)"),
            (&[("node1", ONE), ("node1", TWO)], None, None, "could be"),
            (&[("node2", ONE)], None, None, "no domain node1 or alpha-node1 runs here"),
            (&[("node1", ONE)], Some("web"), None, "no domain web runs here"),
            (&[("node1--incoming", ONE)], None, None, "no domain node1 or"),
            (&[("node1", ONE)], None, Some(TWO), "not 0f6a1b2c-0000-4000-8000-000000000002"),
            (&[("node1", "no")], None, None, "has no UUID"),
            (&[("node2", ONE)], None, Some(TWO), "--domain node1=NAME"),
        ] {
            let error = found(rows, domain, uuid).unwrap_err();
            assert!(
                error.contains(words) && error.contains("hint") != words.contains("no UUID"),
                "{error}"
            );
        }
    }
}
