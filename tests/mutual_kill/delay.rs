//! What holds a connection up on its way to the broker, each for a time of its own. The product's
//! files stay as they are installed; what is slow is what an administrator's host has around it.

use crate::plan::Dice;
use std::fmt;
use std::fmt::Write as _;
use xen_fence_tests::throwaway::{Builder, Dom0, Running};

/// Where a connection is held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// Nowhere.
    None,
    /// In the kernel's queue of connections that sshd has yet to accept.
    BeforeSshd,
    /// In PAM's account phase; through the host's own sshd, since fencing's own goes without PAM.
    InPam,
    /// In what is called sudo.
    InSudo,
}

/// No delay is longer, in milliseconds.
const LONGEST: u64 = 200;

/// More connections to one dom0 are not held up in one round.
const CONNECTIONS: usize = 6;

/// Where the delays of a round lie, each a file whose name ends in its seconds. A node has a /run of its
/// own, and sudo is called by an account that is not root's.
const DELAYS: &str = "/run/delays";

/// Takes the next delay, and sleeps for it: whoever removes the file has it.
const NEXT: (&str, &str) = (
    "/usr/local/sbin/next-delay",
    "#!/bin/sh
for delay in /run/delays/*; do
    rm \"$delay\" 2>/dev/null && exec sleep \"${delay##*-}\"
done
",
);

impl Delay {
    /// The way that the agents take.
    pub(crate) fn way(self, builder: Builder) -> Builder {
        if self == Self::InPam { builder.hosts_sshd() } else { builder }
    }

    /// Puts what holds connections up into a dom0.
    pub(crate) fn install(self, dom0: &Dom0) {
        let _ = dom0.sh(&format!("mkdir -m 777 {DELAYS}")).exits(0);
        dom0.write(NEXT.0, NEXT.1, 0o755);
        match self {
            Self::None | Self::BeforeSshd => {}
            Self::InPam => {
                let rules = dom0.file("/etc/pam.d/sshd");
                let first = format!("account required pam_exec.so quiet {}\n", NEXT.0);
                dom0.write("/etc/pam.d/sshd", first + &rules, 0o644);
            }
            Self::InSudo => {
                let _ = dom0.on(&["mv", "/usr/bin/sudo", "/usr/bin/sudo.real"]).exits(0);
                let script = format!("#!/bin/sh\n{}\nexec /usr/bin/sudo.real \"$@\"\n", NEXT.0);
                dom0.write("/usr/bin/sudo", script, 0o755);
            }
        }
    }

    /// Lays out the delays of a round, which lasts so many milliseconds at the least. What is returned
    /// waits for a line before it begins, and ends by itself.
    pub(crate) fn lay(self, dom0: &Dom0, millis: u64, dice: &mut Dice) -> Option<Running> {
        match self {
            Self::None => None,
            Self::BeforeSshd => Some(dom0.place().spawn(&["sh", "-c", &stutter(millis, dice)])),
            Self::InPam | Self::InSudo => {
                for number in 0..CONNECTIONS {
                    let name = format!("{number}-0.{:03}", dice.up_to(LONGEST));
                    dom0.write(&format!("{DELAYS}/{name}"), "", 0o666);
                }
                None
            }
        }
    }

    /// How many delays are laid out on a dom0 that are counted.
    pub(crate) fn laid(self) -> usize {
        if matches!(self, Self::InPam | Self::InSudo) { CONNECTIONS } else { 0 }
    }
}

/// A shell's words that stop the sshd that accepts and let it go on, again and again: whatever comes
/// while it stands waits for the rest of that time.
fn stutter(millis: u64, dice: &mut Dice) -> String {
    let mut words =
        "set -e; echo here; read -r now; sshd=$(cat /run/xen-fence-sshd.pid)\n".to_owned();
    let mut total = 0;
    while total < millis {
        let (stands, goes_on) = (dice.up_to(LONGEST), 2 + dice.up_to(20));
        let _ = writeln!(
            words,
            "kill -STOP $sshd; sleep 0.{stands:03}; kill -CONT $sshd; sleep 0.{goes_on:03}"
        );
        total += stands + goes_on;
    }
    words
}

impl fmt::Display for Delay {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::None => "no delay",
            Self::BeforeSshd => "delays before sshd",
            Self::InPam => "delays in PAM",
            Self::InSudo => "delays in sudo",
        })
    }
}
