//! `log`: the journal as a table for the eye or as JSON, a line each, as it is and as it grows; and
//! whether its chain holds.
//!
//! What stands in it came from strangers, so nothing of it is printed unescaped. It only reads, in little
//! memory: whatever stands in a journal's place is a complaint, and never waited for.

mod anchors;
mod lines;
mod printer;
mod reader;
mod show;
mod table;
mod verify;
mod wanted;

use crate::output::{complain, escaped, say};
use crate::{Ending, Format, root};
pub(crate) use anchors::Syslog;
use reader::{Next, Reader};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
pub(crate) use verify::Found;
use verify::Walk;
pub(crate) use wanted::{Since, Wanted};
use xen_fence_broker::host::own_name;
use xen_fence_broker::journal::JOURNAL_DIR;
use xen_fence_broker::names::ClusterName;

/// Where a journal goes that is no longer added to, with what syslog said of it.
pub(crate) const ASIDE: &str = "/var/lib/xen-fence/journal-broken";

/// What of the journals is asked for.
pub(crate) struct Query {
    /// Only this cluster's.
    pub(crate) cluster: Option<String>,
    /// Which records.
    pub(crate) wanted: Wanted,
    /// Only so many, the last.
    pub(crate) last: Option<usize>,
    /// Those that are still to come, too.
    pub(crate) follow: bool,
    /// How.
    pub(crate) format: Format,
}

/// Shows the journal of one cluster, or of all in the order of time.
pub(crate) fn run(query: &Query) -> Ending {
    match names(query.cluster.as_deref()) {
        Ok(names) => show::show(Path::new(JOURNAL_DIR), names, query),
        Err(ending) => ending,
    }
}

/// Says whether the chain of each journal holds, and whether syslog says the same.
pub(crate) fn verify(cluster: Option<&str>, files: &[PathBuf]) -> Ending {
    let names = match names(cluster) {
        Ok(names) => names,
        Err(ending) => return ending,
    };
    // Before the journals: what is added meanwhile has no line in it yet, and not the other way round.
    let syslog = Syslog::read(files, own_name().as_str());
    let mut ending = Ending::Well;
    for fault in &syslog.faults {
        complain(escaped(fault));
        // What this host keeps by itself may lack one of several files; what was named is wanted.
        if !files.is_empty() {
            worse(&mut ending, Ending::Unable);
        }
    }
    if syslog.of_others > 0 {
        complain(format_args!("{} lines of other dom0s were left out", syslog.of_others));
    }
    for name in &names {
        let verdict = follow(name, &syslog);
        worse(&mut ending, verdict);
    }
    let is_here = |name: &str| names.iter().any(|here| here.as_str() == name);
    let without = syslog.clusters().filter(|name| cluster.is_none() && !is_here(name));
    for gone in without.filter_map(|name| gone(name, &syslog)) {
        complain(escaped(&gone));
        worse(&mut ending, Ending::Wrong);
    }
    ending
}

/// Follows one chain to its end.
fn follow(name: &ClusterName, syslog: &Syslog) -> Ending {
    let path = journal_of(name);
    let mut reader = Reader::of(path.clone());
    let mut walk = Walk::of(name.as_str(), syslog);
    let (mut ending, mut begun) = (Ending::Well, false);
    while let Some(next) = reader.next() {
        match next {
            Next::File { name, number, odd } => {
                begun = true;
                walk.file(name, number);
                if let Some(odd) = odd {
                    complain(odd);
                    worse(&mut ending, Ending::Wrong);
                }
            }
            Next::Line { number, line } => walk.line(number, &line),
            Next::Fault(why) => {
                begun = true;
                complain(why);
                worse(&mut ending, Ending::Unable);
            }
        }
    }
    let found = walk.ended(reader.torn());
    for remark in &found.remarks {
        complain(escaped(remark));
    }
    if !begun {
        if let Some(gone) = gone(name.as_str(), syslog) {
            complain(escaped(&gone));
            return Ending::Wrong;
        }
        complain(format_args!("{name} has no journal: {} is not there", path.display()));
        return Ending::Unable;
    }
    for broken in &found.broken {
        complain(escaped(broken));
        worse(&mut ending, Ending::Wrong);
    }
    // What could not be read whole is no chain that holds.
    if ending == Ending::Unable && found.broken.is_empty() {
        say(format_args!("{name}: NOT VERIFIED: not all of it could be read"));
    } else {
        // Nothing is said on once nobody reads it.
        let _all = found.summary.iter().all(|line| say(escaped(line)));
    }
    ending
}

/// What this host's syslog says of the journals.
pub(crate) fn syslog() -> Syslog {
    Syslog::read(&[], own_name().as_str())
}

/// What following a cluster's chain comes to, beside what syslog says of it; none if there is no journal
/// and syslog knows of none.
///
/// # Errors
/// A sentence if not all of it can be read.
pub(crate) fn walked(name: &ClusterName, syslog: &Syslog) -> Result<Option<Found>, String> {
    let mut reader = Reader::of(journal_of(name));
    let mut walk = Walk::of(name.as_str(), syslog);
    let (mut broken, mut begun) = (Vec::new(), false);
    while let Some(next) = reader.next() {
        match next {
            Next::File { name, number, odd } => {
                begun = true;
                walk.file(name, number);
                broken.extend(odd);
            }
            Next::Line { number, line } => walk.line(number, &line),
            Next::Fault(why) => return Err(why),
        }
    }
    if !begun {
        let broken: Vec<String> = gone(name.as_str(), syslog).into_iter().collect();
        let found = Found { broken, remarks: Vec::new(), summary: Vec::new() };
        return Ok(Some(found).filter(|found| !found.broken.is_empty()));
    }
    let found = walk.ended(reader.torn());
    broken.extend(found.broken);
    Ok(Some(Found { broken, ..found }))
}

/// That a journal is gone of which syslog knows, in a sentence.
fn gone(name: &str, syslog: &Syslog) -> Option<String> {
    let (n, _, place) = syslog.of(name)?.last()?;
    let place = syslog.place(place);
    Some(format!(
        "{name}: its journal is gone: {place} anchors its record {n}, and there is no file of it"
    ))
}

/// The last records of a cluster that are wanted, so many at most, and how many are older.
pub(crate) fn last_records(
    name: &ClusterName,
    is_wanted: impl Fn(&Map<String, Value>) -> bool,
    most: usize,
) -> (VecDeque<Map<String, Value>>, usize) {
    let mut reader = Reader::of(journal_of(name));
    let (mut last, mut older) = (VecDeque::new(), 0_usize);
    while let Some(next) = reader.next() {
        // What cannot be read shows where the chain is followed.
        let Next::Line { line, .. } = next else { continue };
        let Ok(record) = serde_json::from_slice(&line.bytes) else { continue };
        if is_wanted(&record) {
            last.push_back(record);
        }
        if last.len() > most {
            last.pop_front();
            older = older.saturating_add(1);
        }
    }
    (last, older)
}

/// The clusters that have a journal.
///
/// # Errors
/// If the directory of the journals cannot be read. Where it is not there, none has.
pub(crate) fn clusters() -> io::Result<Vec<ClusterName>> {
    match reader::clusters(Path::new(JOURNAL_DIR)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        clusters => clusters,
    }
}

/// The file of a cluster's journal that is written.
pub(crate) fn journal_of(name: &ClusterName) -> PathBuf {
    Path::new(JOURNAL_DIR).join(format!("{name}.jsonl"))
}

/// The clusters that are asked for.
fn names(cluster: Option<&str>) -> Result<Vec<ClusterName>, Ending> {
    if let Some(name) = cluster {
        return Ok(vec![root::cluster(name)?]);
    }
    reader::clusters(Path::new(JOURNAL_DIR)).map_err(|error| {
        root::unable(
            format_args!("{JOURNAL_DIR} cannot be read: {error}"),
            Some("run it as root on dom0; the broker makes the directory with its first record"),
        )
    })
}

/// Keeps the worse of two endings.
fn worse(ending: &mut Ending, other: Ending) {
    *ending = match (*ending, other) {
        (Ending::Unable, _) | (_, Ending::Unable) => Ending::Unable,
        (Ending::Wrong | Ending::Serious, _) | (_, Ending::Wrong | Ending::Serious) => {
            Ending::Wrong
        }
        (Ending::Well, Ending::Well) => Ending::Well,
    };
}
