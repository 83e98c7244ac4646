//! A TCP connection to the first address that answers.

use crate::clock::Deadline;
use crate::error::{Error, Kind, Retry};
use crate::secure_file::reason;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The most that one address gets in one attempt. The kernel repeats an unanswered SYN ever more
/// seldom; a new attempt finds a host that comes back sooner.
const MOST_PER_ADDRESS: Duration = Duration::from_secs(5);

/// Connects to one of the addresses; those still to be tried share the time that is left.
///
/// # Errors
/// [`Kind::Unreachable`], with what each address did.
pub(crate) fn connect(
    name: &str,
    addresses: &[SocketAddr],
    deadline: Deadline,
) -> Result<TcpStream, Error> {
    let mut failures = Vec::new();
    let mut refused_by_all = true;
    for (at, address) in addresses.iter().enumerate() {
        let to_try = u32::try_from(addresses.len().saturating_sub(at)).unwrap_or(u32::MAX);
        let share = deadline.left().unwrap_or_default() / to_try.max(1);
        let share = share.min(MOST_PER_ADDRESS);
        if share.is_zero() {
            failures.push(format!("{address}: no time was left to try"));
            refused_by_all = false;
            continue;
        }
        match TcpStream::connect_timeout(address, share).and_then(prepare) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                refused_by_all &= error.kind() == ErrorKind::ConnectionRefused;
                failures.push(format!("{address}: {}", why(&error, share)));
            }
        }
    }
    let message = format!("dom0 {name} could not be reached: {}", failures.join("; "));
    let error = Error::new(Kind::Unreachable, message);
    Err(if refused_by_all {
        error.hint("is sshd running there, on that port?").retry(Retry::Soon)
    } else {
        error
            .hint("is dom0 up, is there a way to it, does a firewall drop the connection?")
            .retry(Retry::UntilDeadline)
    })
}

fn prepare(stream: TcpStream) -> io::Result<TcpStream> {
    // Without this, Nagle's algorithm waits 40 ms for a delayed ACK in the middle of the login.
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

fn why(error: &io::Error, share: Duration) -> String {
    if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) {
        format!("no answer in {:.1} s", share.as_secs_f64())
    } else {
        reason(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn closed_port() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn the_next_address_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [closed_port(), listener.local_addr().unwrap()];
        let stream = connect("xen1", &addresses, Deadline::after(Duration::from_secs(5))).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        assert!(stream.nodelay().unwrap());
    }

    #[test]
    fn refusals_name_every_address() {
        let addresses = [closed_port(), closed_port()];
        let error =
            connect("xen1", &addresses, Deadline::after(Duration::from_secs(5))).unwrap_err();
        assert_eq!((error.kind, error.retry), (Kind::Unreachable, Retry::Soon));
        for address in addresses {
            assert!(error.message.contains(&format!("{address}: connection refused")), "{error}");
        }
    }

    #[test]
    fn no_time_is_no_attempt() {
        let error = connect("xen1", &[closed_port()], Deadline::after(Duration::ZERO)).unwrap_err();
        assert!(error.message.contains("no time was left"), "{error}");
    }
}
