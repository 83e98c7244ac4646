//! Every cap and every time limit of the chain, in one place.
//!
//! docs/limits.md has the same table with the reasons; the test below holds the order that makes
//! an inner limit end before the outer one gives up.

use std::time::Duration;

/// Longest line that a client may send, newline included, in bytes.
pub const MAX_CLIENT_LINE: usize = 256;
/// Longest line that a broker sends, newline included, in bytes.
pub const MAX_REPLY_LINE: usize = 1024;
/// Longest sentence at the end of a reply, in bytes.
pub const MAX_TEXT: usize = 768;
/// Most lines in one answer: the nodes of a cluster are fewer, a report's findings too.
pub const MAX_REPLY_LINES: usize = 2048;
/// Longest node or operator name, in bytes.
pub const MAX_NODE_NAME: usize = 64;

/// The agent's deadline for everything, unless it is told otherwise.
pub const AGENT_DEADLINE: Duration = Duration::from_secs(50);
/// `go` is not sent, and not obeyed, later than this after the request was made or read.
pub const GO_BY: Duration = Duration::from_secs(40);
/// How long `ready` stands without a word from the asker.
pub const READY_SILENCE: Duration = Duration::from_secs(2);
/// How long `wait` may hold a cluster's lock, in all.
pub const WAIT_IN_ALL: Duration = Duration::from_secs(5);
/// Pause between two `wait`: a quarter of the silence that a broker bears.
pub const WAIT_EVERY: Duration = Duration::from_millis(500);
/// How long the first `ready` may be held while those of other dom0s are collected. Its broker began
/// to count before it was heard, so this ends before [`WAIT_IN_ALL`].
pub const COLLECTED_BY: Duration = Duration::from_secs(4);
/// How long the first of several brokers that listen is kept waiting for its request: less than
/// [`REQUEST_READ`], which its own clock counts.
pub const LISTENING_BY: Duration = Duration::from_secs(8);
/// How long a broker whose proof is in waits for `look`, as long as it hears `wait`.
pub const LOOK_BY: Duration = Duration::from_secs(50);
/// How long a node that was reset and runs again counts as reset for those who ask for the same.
pub const RESET_IS_NEW: Duration = Duration::from_secs(10);
/// A target looked up longer ago than this is looked up again before the kill.
pub const LOOK_UP_FRESH: Duration = Duration::from_secs(2);
/// One listing of the toolstack.
pub const LISTING: Duration = Duration::from_secs(10);
/// One destroy. libxl may wait 10 s for each device and 40 s for its hotplug script
/// (LIBXL_DESTROY_TIMEOUT and LIBXL_HOTPLUG_TIMEOUT in libxl_internal.h).
pub const DESTROY: Duration = Duration::from_secs(55);
/// One power-on, waiting for xl's lock included.
pub const POWER_ON: Duration = Duration::from_secs(300);
/// Asking systemd for a transient unit, before the broker starts the domain by itself.
pub const SYSTEMD: Duration = Duration::from_secs(2);
/// Asking systemd what has become of such a unit.
pub const UNIT_SHOWN: Duration = Duration::from_secs(5);
/// One look into xenstore; without it, doubt stays.
pub const XENSTORE: Duration = Duration::from_secs(5);
/// One fsync of the journal, and one message to syslog.
pub const RECORD: Duration = Duration::from_secs(1);
/// A journal's file longer than this is set aside, and a new one begun.
pub const JOURNAL_FILE: u64 = 8 << 20;
/// Of one caller's refusals, answers or rehearsals of one kind, so many are stored in a window; the
/// rest is counted.
pub const STORED_PER_WINDOW: u32 = 20;
/// How long that window lasts at first.
pub const WINDOW: Duration = Duration::from_secs(60);
/// It doubles while there are more than are stored, up to this.
pub const WINDOW_AT_MOST: Duration = Duration::from_secs(3600);
/// Of all kinds of one caller together, so many are stored in an hour, from the first of them on.
pub const STORED_PER_CALLER: u32 = 300;
/// The whole proof; a corpse that stays longer is reported as what it is.
pub const PROOF: Duration = Duration::from_secs(600);
/// From the start of the broker until its request line has been read.
pub const REQUEST_READ: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_limits_end_before_outer_ones() {
        // Pacemaker's own fencing-timeout is 60 s; the agent ends before it.
        assert!(AGENT_DEADLINE < Duration::from_secs(60));
        assert!(GO_BY < AGENT_DEADLINE);
        // "The toolstack does not answer" reaches the agent: the listing before `ready` and the
        // one that is taken again at `go` both fit before `go` is too late.
        assert!(REQUEST_READ + LISTING + LISTING < GO_BY);
        assert!(READY_SILENCE <= WAIT_IN_ALL);
        assert!(WAIT_EVERY < READY_SILENCE);
        assert!(COLLECTED_BY < WAIT_IN_ALL);
        assert!(LISTENING_BY < REQUEST_READ);
        // A dead asker delays the power-on by no more than it would have waited itself.
        assert!(LOOK_BY <= AGENT_DEADLINE);
        assert!(WAIT_IN_ALL + LISTING < GO_BY);
        assert!(DESTROY < PROOF);
        assert!(SYSTEMD < POWER_ON);
        assert!(RECORD + RECORD < GO_BY);
        const { assert!(MAX_TEXT + 4 * MAX_NODE_NAME <= MAX_REPLY_LINE) };
    }
}
