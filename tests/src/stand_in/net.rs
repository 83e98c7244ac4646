//! A domain's virtual interfaces as dom0 has them: `vifID.N`, on the bridge if it exists.
//!
//! Destroy takes them down before it kills: a dead domain sends no FIN.

use std::fmt::Write;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd::Pid;

use super::birth;
use super::config::Config;

/// Makes the veth pairs of a domain whose PID 1 is `init`.
pub fn plug(id: u32, config: &Config, init: Pid) -> Result<(), String> {
    let mut lines = String::new();
    for (number, vif) in config.vifs.iter().enumerate() {
        let mac = vif.mac.as_ref().map_or_else(String::new, |mac| format!(" address {mac}"));
        let _ = writeln!(
            lines,
            "link add vif{id}.{number} type veth peer name eth{number}{mac} netns {init}"
        );
        let bridge = vif.bridge.as_ref();
        if let Some(bridge) = bridge.filter(|name| if_nametoindex(name.as_str()).is_ok()) {
            let _ = writeln!(lines, "link set vif{id}.{number} master {bridge}");
        }
        let _ = writeln!(lines, "link set vif{id}.{number} up");
    }
    if lines.is_empty() { Ok(()) } else { birth::ip(&lines) }
}

/// Takes a domain's interfaces down, or up again. Without interfaces it does nothing.
pub fn set_up(id: u32, config: &Config, up: bool) {
    let Ok(socket) = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
    else {
        return;
    };
    for number in 0..config.vifs.len() {
        set_one_up(&socket, &format!("vif{id}.{number}"), up);
    }
}

fn set_one_up(socket: &std::os::fd::OwnedFd, name: &str, up: bool) {
    use std::os::fd::AsRawFd;
    // SAFETY: ifreq is a plain C struct; both calls read and write it alone, and the name is
    // cut so that it stays terminated.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(libc::IFNAMSIZ - 1)) {
            *to = from as libc::c_char;
        }
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) == 0 {
            let flag = libc::IFF_UP as libc::c_short;
            let flags = request.ifr_ifru.ifru_flags;
            request.ifr_ifru.ifru_flags = if up { flags | flag } else { flags & !flag };
            libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request);
        }
    }
}
