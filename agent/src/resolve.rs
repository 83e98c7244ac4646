//! From a host to its addresses within the deadline.
//!
//! An address needs nothing and a name in /etc/hosts only that file, which is read here, so that no
//! name service is asked. Whatever else asks the system's resolver in a thread of its own: nothing
//! bounds the resolver's time, and a thread that hangs is left behind.

use crate::clock::Deadline;
use crate::endpoint::{Endpoint, Host};
use crate::error::{Error, Kind, Retry};
use crate::secure_file::reason;
use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;

const HOSTS: &str = "/etc/hosts";
const MAX_HOSTS: u64 = 4 * 1024 * 1024;

/// Where addresses came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The endpoint is an address.
    Literal,
    /// /etc/hosts has the name.
    HostsFile,
    /// The system's resolver was asked, which may need DNS.
    Resolver,
}

/// Where the addresses of a host come from, and those that are known without asking anybody.
pub(crate) fn without_asking(host: &Host) -> (Source, Vec<IpAddr>) {
    match host {
        Host::Address(address) => (Source::Literal, vec![*address]),
        Host::Name(name) => {
            let mut text = Vec::new();
            if let Ok(file) = File::open(HOSTS) {
                // A file that cannot be read is one that has no names: the resolver is asked.
                let _ = file.take(MAX_HOSTS).read_to_end(&mut text);
            }
            match in_hosts(&String::from_utf8_lossy(&text), name) {
                addresses if addresses.is_empty() => (Source::Resolver, addresses),
                addresses => (Source::HostsFile, addresses),
            }
        }
    }
}

/// Finds the addresses of an endpoint.
///
/// # Errors
/// [`Kind::Unreachable`]: the name is not known, or nobody answered in time.
pub(crate) fn resolve(
    endpoint: &Endpoint,
    deadline: Deadline,
) -> Result<(Source, Vec<SocketAddr>), Error> {
    let (source, addresses) = without_asking(&endpoint.host);
    let addresses = match source {
        Source::Literal | Source::HostsFile => {
            addresses.into_iter().map(|address| SocketAddr::new(address, endpoint.port)).collect()
        }
        Source::Resolver => ask(endpoint, deadline)?,
    };
    Ok((source, addresses))
}

fn ask(endpoint: &Endpoint, deadline: Deadline) -> Result<Vec<SocketAddr>, Error> {
    let host = endpoint.host.to_string();
    let fail = |why: &str| {
        Error::new(Kind::Unreachable, format!("no address was found for {host}: {why}"))
            .hint(format!("name dom0 by its address, or put {host} into {HOSTS}"))
            .retry(Retry::Soon)
    };
    let (sender, receiver) = mpsc::channel();
    let question = (host.clone(), endpoint.port);
    let asked = thread::Builder::new().name("resolver".to_owned()).spawn(move || {
        // Nobody listens any more when the deadline has passed.
        let _ = sender.send(question.to_socket_addrs().map(Iterator::collect::<Vec<_>>));
    });
    if let Err(error) = asked {
        return Err(fail(&reason(&error)));
    }
    let left = deadline.left().unwrap_or_default();
    match receiver.recv_timeout(left) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err(fail("it has none")),
        Ok(Ok(addresses)) => Ok(addresses),
        Ok(Err(error)) => {
            let text = reason(&error);
            Err(fail(text.rsplit(": ").next().unwrap_or_default()))
        }
        Err(_) => Err(fail("the resolver did not answer before the deadline").retry(Retry::Never)),
    }
}

fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split('#').next()?.split_ascii_whitespace();
            let address = fields.next()?.parse().ok()?;
            fields.any(|field| field.eq_ignore_ascii_case(name)).then_some(address)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_hosts_file() {
        let text = "# xen1\n127.0.0.1 localhost\n10.0.0.1\tXen1.example.org xen1 # xen2\n\
                    fd00::1 xen1\nfe80::1%eth0 xen1\nnonsense xen1\n10.0.0.2\n";
        let addresses: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        assert_eq!(in_hosts(text, "xen1"), addresses);
        assert_eq!(in_hosts(text, "xen1.example.org"), addresses[..1]);
        assert_eq!(in_hosts(text, "xen2"), Vec::<IpAddr>::new());
        assert_eq!(in_hosts("", "xen1"), Vec::<IpAddr>::new());
    }

    #[test]
    fn an_address_needs_nobody() {
        let endpoint = Endpoint::parse("a@[::1]:2422").unwrap();
        let passed = Deadline::after(Duration::ZERO);
        let (source, addresses) = resolve(&endpoint, passed).unwrap();
        assert_eq!(source, Source::Literal);
        assert_eq!(addresses, ["[::1]:2422".parse().unwrap()]);
    }

    #[test]
    fn a_resolver_gets_no_longer_than_the_deadline() {
        let endpoint = Endpoint::parse("a@no-such-host.invalid").unwrap();
        let error = resolve(&endpoint, Deadline::after(Duration::ZERO)).unwrap_err();
        assert_eq!(error.kind, Kind::Unreachable);
        assert!(error.message.contains("no-such-host.invalid"), "{error}");
    }
}
