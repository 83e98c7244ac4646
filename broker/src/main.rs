//! `xen-fence-broker serve`: all that sudo allows. Puts the real parts together and serves once.

use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;
use xen_fence_broker::acl::CLUSTERS_DIR;
use xen_fence_broker::clock::BootClock;
use xen_fence_broker::hold::HOLDS_DIR;
use xen_fence_broker::host::own_name;
use xen_fence_broker::identity::Environment;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::serve::{Door, House, RUN_DIR, serve};
use xen_fence_broker::session::Session;
use xen_fence_broker::settings::SETTINGS_FILE;

fn main() -> ExitCode {
    // For root, who may ask it by hand: sudo lets nobody say anything but `serve`.
    if std::env::args_os().skip(1).eq(["--version"]) {
        let version = concat!("xen-fence-broker ", env!("CARGO_PKG_VERSION"));
        let _unheard = writeln!(std::io::stdout(), "{version}");
        return ExitCode::SUCCESS;
    }
    let mut args = std::env::args_os().skip(1);
    if args.next().as_deref() != Some("serve".as_ref()) || args.next().is_some() {
        return complain(
            "the only thing it can do is `serve`, for an agent, through sudo; root's own tools are in xen-fence-admin",
        );
    }
    // Nobody's terminal, directory or leftover descriptors matter from here on.
    if std::env::set_current_dir("/").is_err() {
        return complain("the root directory is not accessible");
    }
    // Whoever has the account could have lowered it, and a journal or state that it cuts off would
    // end this process by a signal. A root without CAP_SYS_RESOURCE has to leave it.
    let _forbidden = setrlimit(Resource::RLIMIT_FSIZE, RLIM_INFINITY, RLIM_INFINITY);
    let house = House {
        door: Door::Sudo(Environment::of_process()),
        settings: Path::new(SETTINGS_FILE),
        clusters: Path::new(CLUSTERS_DIR),
        journals: Path::new(JOURNAL_DIR),
        holds: Path::new(HOLDS_DIR),
        run: Path::new(RUN_DIR),
        clock: &BootClock,
    };
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let mut session = Session::new(input.as_fd(), output.as_fd(), own_name());
    serve(&house, &mut session);
    // The agent believes lines, never an exit status, which a broken connection can forge.
    ExitCode::SUCCESS
}

fn complain(what: &str) -> ExitCode {
    // A closed stderr is nobody to complain to.
    let _deaf = writeln!(std::io::stderr(), "xen-fence-broker: error: {what}");
    ExitCode::from(64)
}
