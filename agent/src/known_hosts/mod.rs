//! known_hosts, read line by line by the agent itself, because the SSH library gives up the whole
//! file at one broken line and does not know `@revoked` or wildcards.
//!
//! Hashed names are matched by a function that the caller brings, so nothing here does cryptography
//! but fingerprints. What cannot be judged is refused.

mod line;
#[cfg(test)]
mod tests;

use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::public_key::PublicKey;
use crate::secure_file::{self, Privacy};
use line::{Line, Marker, Names};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file of many thousand hosts.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The algorithms that prove a key of a type: only plain keys, since host certificates cannot be
/// checked here.
const PROVED_BY: [(&str, &str); 5] = [
    ("ssh-ed25519", "ssh-ed25519"),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256"),
    ("ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384"),
    ("ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521"),
    ("ssh-rsa", "rsa-sha2-512,rsa-sha2-256"),
];

/// Tells whether a line's hashed name is a certain name.
pub(crate) type Unhash<'a> = &'a dyn Fn(&str, &str) -> bool;

/// The text of a known_hosts file.
#[derive(Debug)]
pub(crate) struct KnownHosts {
    path: PathBuf,
    text: Option<String>,
}

impl KnownHosts {
    /// Reads the file. One that does not exist counts as empty: it knows no host, and says so
    /// later.
    ///
    /// # Errors
    /// [`Kind::Config`] if it cannot be read or others may write it.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let bytes = secure_file::read(path, "known_hosts", Privacy::Unwritable, MAX_FILE)?;
        let text = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Self { path: path.to_owned(), text })
    }

    /// Whether there is such a file.
    pub(crate) const fn exists(&self) -> bool {
        self.text.is_some()
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Finds what the file says of a host.
    ///
    /// As with OpenSSH, a host on another port than 22 is known by `[host]:port`, and by `host`
    /// only if no line has that. A revoked key is revoked under either name.
    pub(crate) fn find(&self, endpoint: &Endpoint, unhash: Unhash<'_>) -> Pins {
        let exact = endpoint.known_as();
        let plain = endpoint.host.to_string();
        let mut pins = Pins {
            file: self.path.clone(),
            exists: self.text.is_some(),
            known_as: exact.clone(),
            port: endpoint.port,
            host: plain.clone(),
            records: Vec::new(),
            revoked: Vec::new(),
            revoked_unread: Vec::new(),
            authorities: Vec::new(),
            broken: Vec::new(),
        };
        let mut by_plain_name = Vec::new();
        let numbered = self.text.as_deref().unwrap_or_default().lines().zip(1_usize..);
        for (text, number) in numbered {
            let Some(line) = Line::read(text) else { continue };
            let names = |name: &str| line.names.hold(name, text, unhash);
            let (is_exact, is_plain) = (names(&exact), names(&plain));
            if let Err(why) = &line.key {
                pins.broken.push((number, (*why).to_owned()));
                let may_be_ours = is_exact || is_plain || matches!(line.names, Names::Unreadable);
                if line.marker == Marker::Revoked && may_be_ours {
                    pins.revoked_unread.push(number);
                }
                continue;
            }
            let Ok(key) = line.key else { continue };
            let literal = is_exact && line.names.hold_literally(&exact, text, unhash);
            let record = Record { line: number, key, literal };
            match line.marker {
                Marker::Revoked if is_exact || is_plain => pins.revoked.push(record),
                Marker::Authority if is_exact || is_plain => pins.authorities.push(number),
                Marker::None if is_exact => pins.records.push(record),
                Marker::None if is_plain => by_plain_name.push(record),
                Marker::Revoked | Marker::Authority | Marker::None => {}
            }
        }
        if pins.records.is_empty() {
            pins.records = by_plain_name;
        }
        pins
    }
}

/// A key that the file has for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    line: usize,
    key: PublicKey,
    /// The line has this very host and port, and not a pattern for it or the host alone.
    literal: bool,
}

/// What the file says of one host.
#[derive(Debug)]
pub(crate) struct Pins {
    file: PathBuf,
    exists: bool,
    known_as: String,
    host: String,
    port: u16,
    records: Vec<Record>,
    revoked: Vec<Record>,
    revoked_unread: Vec<usize>,
    authorities: Vec<usize>,
    broken: Vec<(usize, String)>,
}

impl Pins {
    /// The host key algorithms to offer: those of the recorded keys and no other; none if no usable
    /// key is recorded, and then the key exchange can only serve to learn what the host offers.
    pub(crate) fn algorithms(&self) -> Option<String> {
        let offered: Vec<&str> = PROVED_BY
            .iter()
            .filter(|(kind, _)| self.records.iter().any(|record| record.key.kind() == *kind))
            .map(|(_, algorithms)| *algorithms)
            .collect();
        if offered.is_empty() { None } else { Some(offered.join(",")) }
    }

    /// The same, if every line is about this very host: two endpoints that share a key then are one
    /// host. Nothing if a line may speak of several, as one with a pattern does: to take two hosts
    /// for one would be to ask one of them.
    pub(crate) fn own_prints(&self) -> Vec<String> {
        if self.records.iter().all(|record| record.literal) { self.prints() } else { Vec::new() }
    }

    /// Names the recorded keys, the preferred type first. Nothing if there are two of one type: a
    /// host has one of each, so that the lines may speak of several hosts.
    pub(crate) fn prints(&self) -> Vec<String> {
        let rank = |record: &Record| {
            let kind = PROVED_BY.iter().position(|(kind, _)| *kind == record.key.kind())?;
            Some((kind, record.key.fingerprint()))
        };
        let prints: BTreeSet<(usize, String)> = self.records.iter().filter_map(rank).collect();
        let kinds: BTreeSet<usize> = prints.iter().map(|(kind, _)| *kind).collect();
        if kinds.len() < prints.len() {
            return Vec::new();
        }
        prints.into_iter().map(|(_, print)| print).collect()
    }

    /// Every plain algorithm, for learning what a host offers.
    pub(crate) fn every_algorithm() -> String {
        PROVED_BY.map(|(_, algorithms)| algorithms).join(",")
    }

    /// The broken lines, as `file:line: what is wrong`.
    pub(crate) fn broken_lines(&self) -> Vec<String> {
        let file = self.file.display();
        self.broken.iter().map(|(line, why)| format!("{file}:{line}: {why}")).collect()
    }

    /// Judges the key that the host offered; the answer is the line that has it.
    ///
    /// # Errors
    /// [`Kind::HostKey`]: revoked, changed or unknown, with what to do.
    pub(crate) fn judge(&self, offered: &PublicKey) -> Result<String, Error> {
        let file = self.file.display();
        let (name, print) = (&self.known_as, offered.fingerprint());
        if let Some(record) = self.revoked.iter().find(|record| record.key == *offered) {
            return Err(Error::new(
                Kind::HostKey,
                format!(
                    "the host key of {name}, {} {print}, is revoked at {file}:{}",
                    offered.kind(),
                    record.line
                ),
            )
            .hint("somebody may have a stolen key; ask the owner of dom0 for its new one"));
        }
        if let Some(line) = self.revoked_unread.first() {
            return Err(Error::new(
                Kind::HostKey,
                format!(
                    "{file}:{line} revokes a key that cannot be read, and it may be that of {name}"
                ),
            )
            .hint("mend or remove the line"));
        }
        if let Some(record) = self.records.iter().find(|record| record.key == *offered) {
            return Ok(format!("{file}:{}", record.line));
        }
        let same_kind = |record: &&Record| record.key.kind() == offered.kind();
        match self.records.iter().find(same_kind).or(self.records.first()) {
            Some(record) => Err(self.changed(record, offered)),
            None => Err(self.unknown(offered)),
        }
    }

    fn changed(&self, record: &Record, offered: &PublicKey) -> Error {
        let (name, file, line) = (&self.known_as, self.file.display(), record.line);
        Error::new(
            Kind::HostKey,
            format!(
                "the host key of {name} is not the recorded one: recorded at {file}:{line} is \
                 {} {}, offered was {} {}",
                record.key.kind(),
                record.key.fingerprint(),
                offered.kind(),
                offered.fingerprint()
            ),
        )
        .hint("either dom0 has a new key or something else answers in its place")
        .hint(self.compare(offered))
        .hint(format!(
            "only if it is the same, replace line {line} of {file} by: {name} {}",
            offered.fields()
        ))
    }

    fn unknown(&self, offered: &PublicKey) -> Error {
        let (name, file, kind) = (&self.known_as, self.file.display(), offered.kind());
        let looked = if self.exists { "has no key" } else { "does not exist, so there is no key" };
        let mut error = Error::new(
            Kind::HostKey,
            format!(
                "the host key of {name} is not known: {file} {looked} for it; offered: {kind} {}",
                offered.fingerprint()
            ),
        )
        .hint(self.compare(offered))
        .hint(format!(
            "only if it is the same, add this line to {file}: {name} {}",
            offered.fields()
        ))
        .hint(format!(
            "ssh-keyscan -p {} {} >> {file} adds all its keys, to be compared likewise",
            self.port, self.host
        ));
        for line in &self.authorities {
            error = error.hint(format!(
                "{file}:{line} names a certificate authority for it; host certificates are not \
                 supported, the plain key has to be recorded"
            ));
        }
        for broken in self.broken_lines().iter().take(3) {
            error =
                error.hint(format!("a line that cannot be read may be the missing one: {broken}"));
        }
        error
    }

    fn compare(&self, offered: &PublicKey) -> String {
        format!("on the console of dom0, compare the fingerprint: {}", Self::shown_by(offered))
    }

    /// What shows the fingerprint of such a key on its own host.
    pub(crate) fn shown_by(key: &PublicKey) -> String {
        let kind = key.kind();
        let kind = kind.strip_prefix("ssh-").unwrap_or(kind);
        let kind = if kind.starts_with("ecdsa") { "ecdsa" } else { kind };
        format!("ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub")
    }

    /// Whether the file has nothing to say of the host, neither a key nor that one is revoked.
    pub(crate) const fn know_nothing(&self) -> bool {
        self.records.is_empty() && self.revoked.is_empty() && self.revoked_unread.is_empty()
    }

    /// The refusal for a host whose recorded keys are all of types that cannot be checked here.
    pub(crate) fn unusable(&self) -> Option<Error> {
        let record = self.records.first()?;
        if self.algorithms().is_some() {
            return None;
        }
        Some(
            Error::new(
                Kind::HostKey,
                format!(
                    "{}:{} has a key of {} of the type {}, which cannot be checked here",
                    self.file.display(),
                    record.line,
                    self.known_as,
                    record.key.kind()
                ),
            )
            .hint(format!(
                "record its ed25519 key: ssh-keyscan -t ed25519 -p {} {}",
                self.port, self.host
            )),
        )
    }
}
