//! What the parameters mean: whom it concerns, whom to ask, and for how long.

use super::super::parameters::{dom0s, seconds};
use super::{Deed, Given};
use crate::config::Wishes;
use crate::error::{Error, Kind};
use std::net::Ipv6Addr;
use xen_fence_protocol::NodeName;

/// The nodes of the plug, each once.
///
/// # Errors
/// [`Kind::Usage`]: one of them is none.
pub(super) fn nodes(given: &Given) -> Result<Vec<NodeName>, Error> {
    let text = given.value("plug").or_else(|| given.value("nodename")).unwrap_or_default();
    let mut nodes = Vec::new();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let node = NodeName::parse(word)
            .map_err(|error| Error::new(Kind::Usage, format!("{word:?} is not a node: {error}")))?;
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// What is not to be as agent.toml has it.
///
/// # Errors
/// [`Kind::Usage`]: a contradiction, or what is no deadline.
pub(super) fn wishes(given: &Given, deed: Deed) -> Result<Wishes, Error> {
    let usage = |why: &str| Error::new(Kind::Usage, why);
    let dom0 = match (given.value("dom0"), given.value("ip")) {
        (Some(_), Some(_)) => {
            return Err(usage("dom0 and ip both say whom to ask").hint("leave one of them out"));
        }
        (Some(text), None) => dom0s(text),
        (None, Some(ip)) => {
            let host =
                if ip.parse::<Ipv6Addr>().is_ok() { format!("[{ip}]") } else { ip.to_owned() };
            let port = given.value("ipport").map(|port| format!(":{port}")).unwrap_or_default();
            vec![format!("{host}{port}")]
        }
        (None, None) => Vec::new(),
    };
    let own = match deed {
        Deed::On | Deed::Off | Deed::Reboot => "power-timeout",
        Deed::Status
        | Deed::Monitor
        | Deed::List
        | Deed::ListStatus
        | Deed::Metadata
        | Deed::ValidateAll
        | Deed::Manpage => "login-timeout",
    };
    let mut timeout = None;
    // Those of other actions too: a device that is started is one whose fences can run.
    for name in ["timeout", "login-timeout", "power-timeout"] {
        let told = given.value(name).map(|text| seconds(name, text)).transpose()?;
        if name == "timeout" || name == own {
            timeout = told.or(timeout);
        }
    }
    Ok(Wishes {
        config: None,
        account: given.value("username").map(str::to_owned),
        dom0,
        identity: given.value("identity-file").map(Into::into),
        known_hosts: given.value("known-hosts").map(Into::into),
        timeout,
    })
}
