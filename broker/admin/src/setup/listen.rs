//! Where the sshd for fencing listens: one line of a file that is a person's otherwise.

use super::Fault;
use super::put::{self, Found, Put, Step};
use super::shipped::{HOST_CONF, Kind};
use super::wishes::{Listen, Way};
use std::net::TcpListener;
use std::path::PathBuf;

/// What has to be written for it to listen there; nothing if it does already.
pub(super) fn step(way: Way, listen: Listen) -> Result<Option<Step>, Fault> {
    if way == Way::Match {
        return Err("--listen is for the sshd for fencing alone\n  hint: leave it out, or say \
                    --sshd dedicated; where the host's own sshd listens is in /etc/ssh"
            .to_owned());
    }
    // sshd starts all the same, and listens nowhere.
    if let Err(error) = TcpListener::bind((listen.address, 0)) {
        return Err(format!(
            "sshd could not listen at {}: {error}\n  hint: it has to be an address of this host; \
             `ip address` shows them",
            listen.address
        ));
    }
    let path = PathBuf::from(HOST_CONF);
    let found = put::look(&path, MODE)?;
    let (old, text) = match &found {
        Found::Missing => (None, ""),
        Found::File { text, .. } => (Some(text.clone()), text.as_str()),
    };
    let new = with(text, listen)?;
    if matches!(found, Found::File { in_order: true, .. }) && new == text {
        return Ok(None);
    }
    Ok(Some(Step::Put(Put { path, mode: MODE, kind: Kind::Sshd(Way::Dedicated), new, old })))
}

/// The text with the line, if it is not there yet.
fn with(text: &str, listen: Listen) -> Result<String, Fault> {
    let line = line(listen);
    let words = |line: &str| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>();
    let starts = |at: &&str, word: &str| words(at).first().is_some_and(|first| first == word);
    let said: Vec<&str> = text.lines().filter(|at| starts(at, "listenaddress")).collect();
    if said.iter().any(|said| words(said) == words(&line)) {
        return Ok(text.to_owned());
    }
    let in_the_way = said.first().copied();
    match in_the_way.or_else(|| text.lines().find(|at| starts(at, "match"))) {
        None if text.is_empty() => Ok(format!(
            "# What is particular to this host; sshd reads it before {}.\n{line}\n",
            "/etc/xen-fence/sshd_config"
        )),
        None => Ok(format!("{}\n{line}\n", text.trim_end_matches('\n'))),
        Some(other) => Err(format!(
            "{HOST_CONF} says `{}`, and nothing that a person wrote is changed\n  hint: put this \
             line there by hand: {line}",
            crate::output::escaped(other.trim())
        )),
    }
}

/// As sshd_config(5) has it.
fn line(listen: Listen) -> String {
    match (listen.address, listen.port) {
        (address, None) => format!("ListenAddress {address}"),
        (address, Some(port)) => {
            format!("ListenAddress {}", std::net::SocketAddr::new(address, port))
        }
    }
}

const MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::wishes;

    #[test]
    fn a_line_is_added_and_none_is_changed() {
        let at = |text: &str| wishes::listen(text).unwrap();
        let new = with("", at("192.168.2.1")).unwrap();
        assert!(new.ends_with("\nListenAddress 192.168.2.1\n"), "{new}");
        assert_eq!(with(&new, at("192.168.2.1")).unwrap(), new);
        let mine = "# mine\nLoginGraceTime 10";
        let new = with(mine, at("[fd00:2::1]:2522")).unwrap();
        assert_eq!(new, format!("{mine}\nListenAddress [fd00:2::1]:2522\n"));
        let spaced = "  listenaddress   192.168.2.1  \n";
        assert_eq!(with(spaced, at("192.168.2.1")).unwrap(), spaced);
        for text in ["ListenAddress 10.0.0.1\n", "Match all\n"] {
            let error = with(text, at("192.168.2.1")).unwrap_err();
            assert!(error.contains("by hand: ListenAddress 192.168.2.1"), "{error}");
        }
    }
}
