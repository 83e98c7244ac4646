//! dom0's host key: fetched, compared by somebody, and recorded. A recorded one is never replaced.

use super::{Enrolled, files};
use crate::clock::Deadline;
use crate::config::Enrolment;
use crate::endpoint::Endpoint;
use crate::error::{Error, Kind};
use crate::known_hosts::{KnownHosts, Pins};
use crate::public_key::PublicKey;
use crate::resolve::resolve;
use crate::secure_file::reason;
use crate::transport::ssh::{Ssh, is_hash_of};
use crate::transport::tcp;
use std::fs;
use std::io;
use std::path::Path;

/// Somebody who can tell whether a host key is dom0's.
pub(crate) trait Ask {
    /// Whether it is.
    ///
    /// # Errors
    /// It is not, or nobody is there who could tell.
    fn is_right(&mut self, met: &Met) -> Result<(), Error>;
}

/// A dom0 that has shown its host key.
#[derive(Debug)]
pub(crate) struct Met {
    /// Where it was met.
    pub(crate) endpoint: Endpoint,
    /// What it showed.
    pub(crate) key: PublicKey,
    /// The line that has this key, if one has.
    pub(crate) recorded: Option<String>,
}

impl Met {
    /// The line that records it.
    fn line(&self) -> String {
        format!("{} {}\n", self.endpoint.known_as(), self.key.fields())
    }

    /// What shows the fingerprint on dom0.
    pub(crate) fn compare(&self) -> String {
        format!("on the console of {}: {}", self.endpoint.host, Pins::shown_by(&self.key))
    }
}

/// Has every dom0 show its host key, before anything is recorded.
pub(super) fn meet_all(enrolment: &Enrolment, deadline: Deadline) -> Result<Vec<Met>, Error> {
    let known = KnownHosts::read(&enrolment.settings.known_hosts)?;
    enrolment.settings.dom0s.iter().map(|dom0| meet(dom0, &known, deadline)).collect()
}

fn meet(endpoint: &Endpoint, known: &KnownHosts, deadline: Deadline) -> Result<Met, Error> {
    let pins = known.find(endpoint, &is_hash_of);
    if let Some(error) = pins.unusable() {
        return Err(error);
    }
    let (_, addresses) = resolve(endpoint, deadline)?;
    let show = |algorithms: &str| {
        let tcp = tcp::connect(&endpoint.known_as(), &addresses, deadline)?;
        Ssh::exchange_keys(tcp, algorithms, deadline).map(|(_, key)| key)
    };
    let key = match pins.algorithms().map(|algorithms| show(&algorithms)) {
        // It has none of the recorded types: what it has is for the refusal.
        None => show(&Pins::every_algorithm())?,
        Some(Err(error)) if error.kind == Kind::HostKey => show(&Pins::every_algorithm())?,
        Some(shown) => shown?,
    };
    let endpoint = endpoint.clone();
    match pins.judge(&key) {
        Ok(line) => Ok(Met { endpoint, key, recorded: Some(line) }),
        Err(_) if pins.know_nothing() => Ok(Met { endpoint, key, recorded: None }),
        Err(error) => Err(error),
    }
}

/// Compares what was shown with the one fingerprint that somebody has seen.
pub(super) fn compare(fingerprint: &str, met: &[Met]) -> Result<(), Error> {
    let fresh: Vec<&Met> = met.iter().filter(|one| one.recorded.is_none()).collect();
    let of = match (fresh.as_slice(), met) {
        ([one], _) => *one,
        ([], [one]) => one,
        ([], several) if several.iter().any(|one| one.key.fingerprint() == fingerprint) => {
            return Ok(());
        }
        _ => {
            let why = "one fingerprint cannot be that of several dom0s; nothing was recorded";
            return Err(Error::new(Kind::Usage, why)
                .hint("xen-fence enroll --dom0 ONE --fingerprint ITS, one after the other"));
        }
    };
    if of.key.fingerprint() == fingerprint {
        return Ok(());
    }
    Err(Error::new(
        Kind::HostKey,
        format!(
            "{} shows the host key {}, and not one of the fingerprint {fingerprint}; nothing was \
             recorded",
            of.endpoint.known_as(),
            of.print()
        ),
    )
    .hint("either the fingerprint is of another key of dom0, or something answers in its place")
    .hint(of.compare()))
}

/// Records the keys that are not yet.
pub(super) fn record(
    enrolment: &Enrolment,
    met: &[Met],
    dry_run: bool,
    enrolled: &mut Enrolled,
) -> Result<(), Error> {
    let file = &enrolment.pins_go_to;
    for one in met {
        if let Some(line) = &one.recorded {
            let name = one.endpoint.known_as();
            enrolled
                .done
                .push(format!("the host key of {name} is recorded at {line}: {}", one.print()));
        }
    }
    if met.iter().all(|one| one.recorded.is_some()) {
        return Ok(());
    }
    // A file of our own takes the place of the system's: what that one has, it needs too.
    let moves = *file != enrolment.settings.known_hosts;
    let lines: Vec<&Met> = met.iter().filter(|one| moves || one.recorded.is_none()).collect();
    if !dry_run {
        let added: String = lines.iter().map(|one| one.line()).collect();
        add(file, &added).map_err(|error| {
            let why = format!("{} cannot be written: {}", file.display(), reason(&error));
            Error::new(Kind::Config, why).hint("run as root")
        })?;
    }
    for one in &lines {
        let (name, file) = (one.endpoint.known_as(), file.display());
        let what = format!("the host key of {name} in {file}: {}", one.print());
        enrolled.does(dry_run, "recorded", &what);
    }
    Ok(())
}

/// Adds lines to a file, which is made if there is none.
fn add(file: &Path, lines: &str) -> io::Result<()> {
    files::directory_of(file)?;
    if files::create(file, lines, 0o644)? {
        return Ok(());
    }
    let mut text = fs::read_to_string(file)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(lines);
    files::replace(file, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIMZ6Tt3kE1jzBVP9dw4t9yyXk2mCFTfsEI0V6I1mCkrM";

    fn met(host: &str, recorded: bool) -> Met {
        Met {
            endpoint: Endpoint::parse(&format!("fence-a@{host}:2422")).unwrap(),
            key: PublicKey::of_fields("ssh-ed25519", KEY).unwrap(),
            recorded: recorded.then(|| "known_hosts:1".to_owned()),
        }
    }

    #[test]
    fn one_fingerprint_is_of_one_dom0() {
        let print = met("xen1", false).key.fingerprint();
        let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (met, fingerprint, expected) in [
            (vec![met("xen1", false)], print.as_str(), None),
            (vec![met("xen1", false)], other, Some(Kind::HostKey)),
            (vec![met("xen1", true)], print.as_str(), None),
            (vec![met("xen1", true)], other, Some(Kind::HostKey)),
            (vec![met("xen1", true), met("xen2", false)], print.as_str(), None),
            (vec![met("xen1", false), met("xen2", false)], print.as_str(), Some(Kind::Usage)),
            (vec![met("xen1", true), met("xen2", true)], print.as_str(), None),
            (vec![met("xen1", true), met("xen2", true)], other, Some(Kind::Usage)),
        ] {
            let found = compare(fingerprint, &met).err().map(|error| error.kind);
            assert_eq!(found, expected, "{met:?}");
        }
    }

    #[test]
    fn lines_are_added_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("etc/known_hosts");
        add(&file, "a\n").unwrap();
        fs::write(&file, "somebody's").unwrap();
        add(&file, "b\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "somebody's\nb\n");
    }
}
