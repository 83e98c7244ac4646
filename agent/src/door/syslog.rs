//! A line in the node's syslog, which neither blocks a fence nor fails it.
//!
//! The `syslog` crate formats; the socket is made here, because the crate's own blocks for ever once
//! nobody reads /dev/log. A line that is not taken at once is lost.

use std::os::unix::net::UnixDatagram;
use syslog::{Facility, Formatter3164, LogFormat, Severity};
use xen_fence_protocol::Text;

const SOCKET: &str = "/dev/log";

/// Says under this name what came of a call.
pub(super) fn say(name: &str, is_well: bool, text: &str) {
    let formatter = Formatter3164 {
        facility: Facility::LOG_DAEMON,
        // A local reader takes a host name for the tag.
        hostname: None,
        process: name.to_owned(),
        pid: std::process::id(),
    };
    let severity = if is_well { Severity::LOG_NOTICE } else { Severity::LOG_ERR };
    let mut line = Vec::new();
    if formatter.format(&mut line, severity, Text::escaped(text)).is_ok() {
        let _ = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.connect(SOCKET)?;
            socket.send(&line)
        });
    }
}
