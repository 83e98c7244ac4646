//! What the dedicated sshd asks for an account's keys: it says them once the account has room for
//! one more login. Without it whoever has a key could log in until dom0 has no processes left, and
//! nobody's fence would get in.
//!
//! sshd starts it as root. It reads the keys, says nothing to who comes with another, and becomes the
//! account before it looks for room: so it can end nobody's connections but the account's own.

#![forbid(unsafe_code)]

mod logins;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Where `xen-fence-admin acl apply` writes the keys.
const KEYS: &str = "/etc/xen-fence/keys";
/// Root's, on tmpfs, beside the broker's own locks.
const RUN: &str = "/run/xen-fence";
/// Group of those that have none; the key files are for everybody to read.
const NOBODYS_GROUP: u32 = 65534;
/// Between two looks whether there is room. sshd ends the wait with its LoginGraceTime.
const PAUSE: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (most, account, uid, key) = match arguments.as_slice() {
        [version] if version == "--version" => {
            let version = concat!("xen-fence-keys ", env!("CARGO_PKG_VERSION"));
            let _ = writeln!(std::io::stdout(), "{version}");
            return ExitCode::SUCCESS;
        }
        [most, account, uid, key] => (most, account, uid, Some(key)),
        // An sshd_config that was changed and stayed: nobody is to be shut out by that.
        [most, account, uid] => (most, account, uid, None),
        _ => {
            return complain(
                "usage, in sshd_config: AuthorizedKeysCommand xen-fence-keys MOST %u %U %k",
            );
        }
    };
    let (Ok(most), Ok(uid)) = (most.parse::<u64>(), uid.parse::<u32>()) else {
        return complain("the most logins and the account's number have to be numbers");
    };
    if most == 0 || uid == 0 || account.contains('/') || account.starts_with('.') {
        return complain("this is no account of a cluster");
    }
    let keys = match std::fs::read_to_string(Path::new(KEYS).join(account)) {
        Ok(keys) => keys,
        Err(error) => return complain(&format!("{KEYS}/{account} cannot be read: {error}")),
    };
    // sshd asks before anything is proven. A stranger's key takes nobody's turn and turns nobody out.
    if key.is_some_and(|key| !keys.split_ascii_whitespace().any(|field| field == key)) {
        return ExitCode::SUCCESS;
    }
    end_with_sshd();
    // Held to the end. Whoever waits for it is still root, and does not count.
    let _turn = take_turn(account);
    if let Err(error) = become_account(most, uid) {
        return complain(&format!("cannot become {account}: {}", error.desc()));
    }
    // The change of the account has undone it.
    end_with_sshd();
    let mut ended = Vec::new();
    while !has_room() {
        // What waits longest for nothing makes room; while each has a broker at work, they end by
        // themselves.
        if let Some(idlest) = logins::end_the_idlest(Path::new("/proc"), uid, &ended) {
            logins::wait_for(idlest);
            ended.push(idlest);
        }
        thread::sleep(PAUSE);
    }
    let said = std::io::stdout().write_all(keys.as_bytes());
    if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Who waits for a connection that is gone would keep the next ones waiting.
fn end_with_sshd() {
    // It cannot fail for a signal that exists.
    let _ = set_pdeathsig(Signal::SIGKILL);
}

/// Waits until no other login of this account asks for room. Where there can be no lock, all ask at once
/// and some of them in vain.
fn take_turn(account: &str) -> Option<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(RUN).ok()?;
    let path = Path::new(RUN).join(format!("{account}.logins"));
    let lock =
        File::options().write(true).create(true).truncate(false).mode(0o600).open(path).ok()?;
    lock.lock().ok()?;
    Some(lock)
}

/// Gives root up for good. From here on the kernel counts what runs as the account, whoever started
/// it, and lets this process have a thread only if there are fewer.
fn become_account(most: u64, uid: u32) -> nix::Result<()> {
    setrlimit(Resource::RLIMIT_NPROC, most, most)?;
    setgroups(&[])?;
    setgid(Gid::from_raw(NOBODYS_GROUP))?;
    setuid(Uid::from_raw(uid))
}

/// Whether one more process may run as the account: a thread counts as one.
fn has_room() -> bool {
    thread::Builder::new().spawn(|| {}).is_ok_and(|one| one.join().is_ok())
}

/// sshd drops what is said here; who tries it by hand reads it.
fn complain(sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "xen-fence-keys: error: {sentence}");
    ExitCode::FAILURE
}
