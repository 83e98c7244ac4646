//! The login shell of a fencing account: no shell at all.
//!
//! sshd starts it as `xen-fence-launcher -c "xen-fence node node1 SHA256:…"`, as the key line says.
//! That one form becomes two variables and an exec of sudo; anything else gets one sentence of
//! help. It runs as the account, on a stranger's words: it reads no file, starts no shell and
//! passes nothing on that it did not understand.

#![forbid(unsafe_code)]

mod form;

use form::{Help, Launch};
use std::env;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// sudo by its absolute path: the account's PATH decides nothing.
const SUDO: &str = "/usr/bin/sudo";
/// Never a prompt, and the one command of the one rule in sudoers.
const SUDO_ARGUMENTS: [&str; 3] = ["-n", "/usr/sbin/xen-fence-broker", "serve"];
/// EX_USAGE and EX_UNAVAILABLE of sysexits.h.
const EXIT_HELP: u8 = 64;
const EXIT_NO_SUDO: u8 = 69;

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    if arguments == ["--version"] {
        let version = concat!("xen-fence-launcher ", env!("CARGO_PKG_VERSION"));
        let _ = writeln!(io::stdout(), "{version}");
        return ExitCode::SUCCESS;
    }
    let original = env::var_os("SSH_ORIGINAL_COMMAND");
    let connection = env::var_os("SSH_CONNECTION");
    match form::read(&arguments, original.as_deref(), connection.as_deref()) {
        Ok(launch) => start(&launch),
        Err(Help) => {
            tell(&Help.to_string());
            ExitCode::from(EXIT_HELP)
        }
    }
}

/// Becomes sudo; returns only if that fails.
fn start(launch: &Launch) -> ExitCode {
    let mut sudo = Command::new(SUDO);
    sudo.args(SUDO_ARGUMENTS).env_clear();
    for (name, value) in launch.environment() {
        sudo.env(name, value);
    }
    let error = sudo.exec();
    tell(&format!(
        "{SUDO} cannot be run on this host: {error}; its administrator has to install it"
    ));
    ExitCode::from(EXIT_NO_SUDO)
}

/// Says a sentence on standard error; if nobody listens any more, that is no reason to fail.
fn tell(sentence: &str) {
    let _ = writeln!(io::stderr(), "xen-fence: {sentence}");
}
