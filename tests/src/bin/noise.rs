//! A tenant that makes all the noise it can at dom0's sshd: connections that say nothing, so many
//! at first and so many a second, and logins by its key that ask for nothing.
//!
//!     noise ADDRESS:PORT [silent=N] [rate=N] [logins=N] [account=NAME] [from=FIRST-LAST]
//!
//! `from` are this machine's addresses that the silent ones take turns in. Says `up` with figures
//! when it has what it can get, and the figures again when its standard input ends, and then ends.

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use ssh2::{Channel, Session};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Logins that are made at the same time.
const HANDS: usize = 8;

/// After so long without a new one, it has as many as it can get.
const ENOUGH: Duration = Duration::from_secs(3);

struct Wanted {
    to: SocketAddrV4,
    silent: usize,
    rate: usize,
    logins: usize,
    account: String,
    from: Vec<Ipv4Addr>,
}

#[derive(Default)]
struct Figures {
    made: AtomicUsize,
    silent: AtomicUsize,
    logged_in: AtomicUsize,
    logins: AtomicUsize,
}

impl Figures {
    fn tell(&self, word: &str) {
        let [made, silent, logged_in, logins] =
            [&self.made, &self.silent, &self.logged_in, &self.logins]
                .map(|figure| figure.load(Ordering::Relaxed));
        println!("{word} made={made} silent={silent} logins={logins} logged-in={logged_in}");
    }
}

fn main() {
    let wanted = wanted();
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.max(soft), hard);
    let figures = Figures::default();
    std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let (wanted, figures) = (&wanted, &figures);
            let share = wanted.logins / HANDS + usize::from(hand < wanted.logins % HANDS);
            scope.spawn(move || log_in(wanted, share, figures));
        }
        // Silence first would leave this address no room for a login.
        until_it_has_enough(&wanted, &figures);
        scope.spawn(|| keep_silent(&wanted, &figures));
        while figures.made.load(Ordering::Relaxed) < wanted.silent {
            std::thread::sleep(Duration::from_millis(20));
        }
        std::thread::sleep(Duration::from_millis(500));
        figures.tell("up");
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        figures.tell("end");
        std::process::exit(0);
    });
}

fn wanted() -> Wanted {
    let mut words = std::env::args().skip(1);
    let to = words.next().and_then(|word| word.parse().ok()).expect("ADDRESS:PORT");
    let mut wanted =
        Wanted { to, silent: 0, rate: 0, logins: 0, account: String::new(), from: Vec::new() };
    for word in words {
        let (name, value) = word.split_once('=').expect("NAME=VALUE");
        match name {
            "silent" => wanted.silent = value.parse().expect("a number"),
            "rate" => wanted.rate = value.parse().expect("a number"),
            "logins" => wanted.logins = value.parse().expect("a number"),
            "account" => value.clone_into(&mut wanted.account),
            "from" => {
                let (first, last) = value.split_once('-').expect("FIRST-LAST");
                let number = |text: &str| text.parse::<Ipv4Addr>().expect("an address").to_bits();
                wanted.from = (number(first)..=number(last)).map(Ipv4Addr::from_bits).collect();
            }
            _ => panic!("{word}: no such setting"),
        }
    }
    wanted
}

/// Waits until it has the logins that it wants, or gets no more.
fn until_it_has_enough(wanted: &Wanted, figures: &Figures) {
    let (mut seen, mut since) = (0, Instant::now());
    while seen < wanted.logins && since.elapsed() < ENOUGH {
        let logged_in = figures.logged_in.load(Ordering::Relaxed);
        if logged_in > seen {
            (seen, since) = (logged_in, Instant::now());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Opens so many connections, then so many a second, and holds each until the server closes it or
/// there are too many. Nothing is ever said on one.
fn keep_silent(wanted: &Wanted, figures: &Figures) {
    let mut held: VecDeque<TcpStream> = VecDeque::new();
    let mut from = wanted.from.iter().cycle();
    let began = Instant::now();
    let mut looked = began;
    loop {
        let by_now = began.elapsed().as_millis() as usize * wanted.rate / 1000;
        while figures.made.load(Ordering::Relaxed) < wanted.silent + by_now {
            figures.made.fetch_add(1, Ordering::Relaxed);
            held.extend(open(wanted.to, from.next()));
        }
        while held.len() > wanted.silent.max(1) {
            held.pop_front();
        }
        if looked.elapsed() > Duration::from_millis(200) {
            held.retain_mut(is_open);
            figures.silent.store(held.len(), Ordering::Relaxed);
            looked = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Begins a connection, and does not wait for it.
fn open(to: SocketAddrV4, from: Option<&Ipv4Addr>) -> Option<TcpStream> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Inet, SockType::Stream, flags, None).ok()?;
    if let Some(from) = from {
        bind(made.as_raw_fd(), &SockaddrIn::from(SocketAddrV4::new(*from, 0))).ok()?;
    }
    match connect(made.as_raw_fd(), &SockaddrIn::from(to)) {
        Ok(()) | Err(Errno::EINPROGRESS) => Some(TcpStream::from(made)),
        Err(_) => None,
    }
}

/// Reads away what the server says; false if it has closed the connection.
fn is_open(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 256];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => {
                return matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected);
            }
        }
    }
}

/// Somebody who is logged in: with a broker that waits for its request, or with none.
struct LoggedIn {
    session: Session,
    channel: Option<Channel>,
    asks: bool,
}

/// Holds so many logins, a new one for each that the server ends.
fn log_in(wanted: &Wanted, share: usize, figures: &Figures) {
    let mut held: Vec<LoggedIn> = Vec::new();
    let mut looked = Instant::now();
    loop {
        if held.len() < share
            && let Some(one) = one_login(wanted, held.len().is_multiple_of(2))
        {
            figures.logins.fetch_add(1, Ordering::Relaxed);
            figures.logged_in.fetch_add(1, Ordering::Relaxed);
            held.push(one);
        }
        if looked.elapsed() > Duration::from_secs(1) || held.len() == share {
            let before = held.len();
            held.retain_mut(LoggedIn::stays);
            figures.logged_in.fetch_sub(before - held.len(), Ordering::Relaxed);
            looked = Instant::now();
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn one_login(wanted: &Wanted, asks: bool) -> Option<LoggedIn> {
    let tcp = TcpStream::connect_timeout(&wanted.to.into(), Duration::from_secs(5)).ok();
    let Some(tcp) = tcp else {
        std::thread::sleep(Duration::from_millis(100));
        return None;
    };
    let mut session = Session::new().ok()?;
    session.set_tcp_stream(tcp);
    session.set_timeout(30_000);
    let key = std::path::Path::new("/etc/xen-fence/id_ed25519");
    let done = session
        .method_pref(ssh2::MethodType::Kex, "curve25519-sha256")
        .and_then(|()| session.handshake())
        .and_then(|()| session.userauth_pubkey_file(&wanted.account, None, key, None));
    if done.is_err() {
        // It was turned away, and comes again.
        std::thread::sleep(Duration::from_millis(100));
        return None;
    }
    let mut one = LoggedIn { session, channel: None, asks };
    one.ask();
    one.session.set_blocking(false);
    Some(one)
}

impl LoggedIn {
    /// Opens a session and, if this is one of those, has a broker started in it.
    fn ask(&mut self) {
        self.channel = self.session.channel_session().ok();
        if let Some(channel) = self.channel.as_mut().filter(|_| self.asks) {
            let _ = channel.exec("xen-fence/1");
        }
    }

    /// Answers the server's questions whether it is there. When its broker has ended, it starts another.
    fn stays(&mut self) -> bool {
        let Some(channel) = self.channel.as_mut() else { return self.session.authenticated() };
        let mut bytes = [0; 1024];
        match channel.read(&mut bytes) {
            Ok(0) if channel.eof() => {
                self.session.set_blocking(true);
                self.session.set_timeout(2_000);
                let _ = channel.close();
                self.ask();
                self.session.set_blocking(false);
                self.channel.is_some()
            }
            Ok(_) => true,
            Err(error) => error.kind() == ErrorKind::WouldBlock,
        }
    }
}
