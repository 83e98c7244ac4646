//! What the other side says outside the protocol, on standard error.

use ssh2::Channel;
use std::io::Read;
use xen_fence_protocol::Text;

/// How much of a complaint is kept.
const COMPLAINT: usize = 1024;

/// What of the other side's standard error is a complaint.
pub(super) fn complaint(bytes: &[u8]) -> Option<Text> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        // sshd says this of every account without a home, which ours is.
        .filter(|line| !line.is_empty() && !line.starts_with("Could not chdir to home"))
        .collect();
    if lines.is_empty() { None } else { Some(Text::escaped(&lines.join("; "))) }
}

/// Takes what was complained of, up to a cap.
pub(super) fn hear_complaints(channel: &mut Channel, complaint: &mut Vec<u8>) {
    let mut bytes = [0; COMPLAINT];
    while let Ok(length @ 1..) = channel.stderr().read(&mut bytes) {
        let room = COMPLAINT.saturating_sub(complaint.len());
        complaint.extend(bytes.iter().take(length.min(room)));
    }
}
