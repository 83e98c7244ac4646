//! A TCP connection to the first address that answers.
//!
//! The addresses are tried one after the other with little time between the starts, and all at
//! once after that: a dead one costs no more than its head start.

use crate::clock::Deadline;
use crate::error::{Error, Kind, Retry};
use crate::secure_file::reason;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// The most that one address gets in one attempt. The kernel repeats an unanswered SYN ever more
/// seldom; a new attempt finds a host that comes back sooner.
const MOST_PER_ADDRESS: Duration = Duration::from_secs(5);

/// The head start of each way to a dom0 before the next; the connection attempt delay of RFC 8305.
pub(crate) const HEAD_START: Duration = Duration::from_millis(200);

/// What an attempt that ends with its time needs to say so.
const SLACK: Duration = Duration::from_millis(100);

/// Connects to whichever of the addresses answers first.
///
/// # Errors
/// [`Kind::Unreachable`], with what each address did.
pub(crate) fn connect(
    name: &str,
    addresses: &[SocketAddr],
    deadline: Deadline,
) -> Result<TcpStream, Error> {
    race(name, addresses, deadline, |address, patience| {
        TcpStream::connect_timeout(&address, patience).and_then(prepare)
    })
}

/// What a thread that tried an address has to say.
type Tried<T> = (SocketAddr, Duration, io::Result<T>);

fn race<T: Send + 'static>(
    name: &str,
    addresses: &[SocketAddr],
    deadline: Deadline,
    try_one: fn(SocketAddr, Duration) -> io::Result<T>,
) -> Result<T, Error> {
    let (tell, tried) = mpsc::channel::<Tried<T>>();
    let mut failures = Vec::new();
    let mut refused_by_all = true;
    let mut under_way = 0_usize;
    let mut fails = |address: SocketAddr, why: String, refused: bool| {
        refused_by_all &= refused;
        failures.push(format!("{address}: {why}"));
    };
    for (at, address) in addresses.iter().enumerate() {
        let patience = deadline.left().unwrap_or_default().min(MOST_PER_ADDRESS);
        if patience.is_zero() {
            fails(*address, "no time was left to try".to_owned(), false);
            continue;
        }
        let is_last = at.saturating_add(1) == addresses.len();
        if is_last && under_way == 0 {
            // Nobody is to be waited for beside it.
            match try_one(*address, patience) {
                Ok(stream) => return Ok(stream),
                Err(error) => fails(*address, why(&error, patience), is_refusal(&error)),
            }
            continue;
        }
        let (tell, one) = (tell.clone(), *address);
        let started = thread::Builder::new().name("connect".to_owned()).spawn(move || {
            // One that comes too late is closed with the message that nobody reads.
            let _ = tell.send((one, patience, try_one(one, patience)));
        });
        if let Err(error) = started {
            fails(*address, reason(&error), false);
            continue;
        }
        under_way = under_way.saturating_add(1);
        // The head start is over early when all that were started have failed.
        let wait = if is_last { patience.saturating_add(SLACK) } else { HEAD_START };
        let head_start = Deadline::after(wait);
        while under_way > 0 {
            match tried.recv_timeout(head_start.left().unwrap_or_default()) {
                Ok((_, _, Ok(stream))) => return Ok(stream),
                Ok((address, patience, Err(error))) => {
                    under_way = under_way.saturating_sub(1);
                    fails(address, why(&error, patience), is_refusal(&error));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
    }
    if under_way > 0 {
        refused_by_all = false;
        failures.push("and no answer of the others in time".to_owned());
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

fn is_refusal(error: &io::Error) -> bool {
    error.kind() == ErrorKind::ConnectionRefused
}

fn why(error: &io::Error, patience: Duration) -> String {
    if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) {
        format!("no answer in {:.1} s", patience.as_secs_f64())
    } else {
        reason(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Instant;

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

    /// What an address does, by its port; the answer says after how long it was asked for.
    fn play(address: SocketAddr, patience: Duration) -> io::Result<u16> {
        match address.port() {
            1 => {
                thread::sleep(patience);
                Err(ErrorKind::TimedOut.into())
            }
            2 => Err(ErrorKind::ConnectionRefused.into()),
            port => {
                thread::sleep(Duration::from_millis(u64::from(port)));
                Ok(port)
            }
        }
    }

    fn run(ports: &[u16], seconds: u64) -> (Result<u16, Error>, Duration) {
        let addresses: Vec<SocketAddr> =
            ports.iter().map(|port| SocketAddr::from(([192, 0, 2, 1], *port))).collect();
        let begun = Instant::now();
        (
            race("xen1", &addresses, Deadline::after(Duration::from_secs(seconds)), play),
            begun.elapsed(),
        )
    }

    #[test]
    fn a_dead_address_costs_its_head_start() {
        const { assert!(HEAD_START.as_millis() < 250) };
        let (answer, took) = run(&[1, 10], 50);
        assert_eq!(answer, Ok(10));
        assert!(took >= HEAD_START && took < HEAD_START * 2, "{took:?}");
        let (answer, took) = run(&[1, 1, 10], 50);
        assert_eq!(answer, Ok(10));
        assert!(took >= HEAD_START * 2 && took < HEAD_START * 4, "{took:?}");
    }

    #[test]
    fn a_refusal_costs_nothing_and_a_slow_one_can_still_win() {
        let (answer, took) = run(&[2, 10], 50);
        assert_eq!(answer, Ok(10));
        assert!(took < HEAD_START, "{took:?}");
        let (answer, _) = run(&[400, 3000], 50);
        assert_eq!(answer, Ok(400), "the second was started meanwhile");
    }

    #[test]
    fn all_dead_takes_the_time_that_there_is() {
        let (answer, took) = run(&[1, 1], 1);
        let error = answer.unwrap_err();
        assert_eq!((error.kind, error.retry), (Kind::Unreachable, Retry::UntilDeadline));
        assert_eq!(error.message.matches("no answer in").count(), 2, "{error}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        let (answer, _) = run(&[1, 2], 1);
        assert_eq!(answer.unwrap_err().retry, Retry::UntilDeadline);
    }
}
