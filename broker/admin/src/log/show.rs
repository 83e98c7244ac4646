//! Records in the order of time, over all clusters: as they are, and as they come.
//!
//! One record of each cluster is held at a time, and with `--last` so many of the end.

use super::printer::Printer;
use super::reader::{Next, Reader, clusters};
use super::table::cell;
use super::wanted::Wanted;
use super::{Query, worse};
use crate::Ending;
use crate::output::{complain, escaped};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::path::Path;
use xen_fence_broker::clock::boot_id;
use xen_fence_broker::flood::Flood;
use xen_fence_broker::journal::{Cut, InFlight, Record};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::processes::{ProcFs, Processes};
use xen_fence_broker::serve::RUN_DIR;

/// Pause between two looks for new records, in milliseconds.
const LOOK_EVERY: u16 = 250;
/// So many records a follower begins with, where nothing else is asked for.
const FOLLOWS_BEHIND: usize = 10;
/// So many damaged lines of one journal are told one by one.
const DAMAGED: u64 = 10;
/// So many bytes of records `--last` keeps at most.
const KEPT: usize = 64 << 20;

/// A record, and how long its line is.
type Sized = (Map<String, Value>, usize);

/// One cluster's journal, as far as it has been shown.
struct Source {
    cluster: ClusterName,
    reader: Reader,
    file: String,
    next: Option<Sized>,
    /// The last line that is a record.
    last: Vec<u8>,
    damaged: u64,
}

/// Shows what is asked for of these journals.
pub(super) fn show(dir: &Path, names: Vec<ClusterName>, query: &Query) -> Ending {
    let mut ending = Ending::Well;
    let mut sources: Vec<Source> = names.into_iter().map(|name| Source::of(dir, name)).collect();
    for source in &mut sources {
        source.advance(&query.wanted, &mut ending);
        if query.cluster.is_some() && source.file.is_empty() && !source.reader.is_given_up() {
            complain(format_args!("{} has no journal in {}", source.cluster, dir.display()));
            worse(&mut ending, Ending::Unable);
        }
    }
    let mut printer = Printer::new(query.format);
    if !print_all(&mut sources, query, &mut printer, &mut ending) {
        return ending;
    }
    if query.follow {
        return follow(dir, sources, query, printer, ending);
    }
    for source in &sources {
        source.tell_open(&query.wanted, &mut ending);
    }
    ending
}

/// Prints everything that is there; false once nobody reads it.
fn print_all(
    sources: &mut [Source],
    query: &Query,
    printer: &mut Printer,
    ending: &mut Ending,
) -> bool {
    let behind = (query.follow && query.wanted.since.is_none()).then_some(FOLLOWS_BEHIND);
    match query.last.or(behind) {
        None => {
            while let Some((record, _)) = pull(sources, &query.wanted, ending) {
                if !printer.show(&record) {
                    return false;
                }
            }
        }
        Some(count) => {
            let (mut kept, mut size, mut over) = (VecDeque::new(), 0_usize, false);
            while let Some((record, length)) = pull(sources, &query.wanted, ending) {
                size = size.saturating_add(length);
                kept.push_back((record, length));
                while kept.len() > count || size > KEPT {
                    over |= kept.len() <= count;
                    let gone = kept.pop_front().map_or(0, |(_, length): Sized| length);
                    size = size.saturating_sub(gone);
                }
            }
            if over {
                let mib = KEPT >> 20;
                complain(format_args!("the last {} are all that fit into {mib} MiB", kept.len()));
            }
            if !kept.iter().all(|(record, _)| printer.show(record)) {
                return false;
            }
        }
    }
    printer.settle()
}

/// The next record in the order of time. Those of one journal stay in its own order, because a clock can
/// be set back but a journal is only ever added to.
fn pull(sources: &mut [Source], wanted: &Wanted, ending: &mut Ending) -> Option<Sized> {
    let time = |source: &Source| source.next.as_ref().map(|(record, _)| cell(record, "time"));
    let waiting = sources.iter_mut().filter(|source| source.next.is_some());
    let source = waiting.min_by_key(|source| time(source))?;
    let next = source.next.take();
    source.advance(wanted, ending);
    next
}

/// Prints what is added, until nobody reads it.
fn follow(
    dir: &Path,
    mut sources: Vec<Source>,
    query: &Query,
    mut printer: Printer,
    mut ending: Ending,
) -> Ending {
    loop {
        if !sources.is_empty() && sources.iter().all(|source| source.reader.is_given_up()) {
            complain("no journal is left that could be followed");
            return Ending::Unable;
        }
        if nobody_reads() {
            return ending;
        }
        if query.cluster.is_none() {
            let known = |name: &ClusterName| sources.iter().any(|source| source.cluster == *name);
            let new: Vec<_> =
                clusters(dir).unwrap_or_default().into_iter().filter(|name| !known(name)).collect();
            sources.extend(new.into_iter().map(|name| Source::of(dir, name)));
        }
        for source in sources.iter_mut().filter(|source| source.next.is_none()) {
            source.advance(&query.wanted, &mut ending);
        }
        while let Some((record, _)) = pull(&mut sources, &query.wanted, &mut ending) {
            if !printer.show(&record) {
                return ending;
            }
        }
    }
}

/// Waits for a moment; says whether standard output leads nowhere any more, as behind `| head`.
fn nobody_reads() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::from(LOOK_EVERY)).is_ok_and(|ready| ready > 0)
}

impl Source {
    fn of(dir: &Path, cluster: ClusterName) -> Self {
        let reader = Reader::of(dir.join(format!("{cluster}.jsonl")));
        Self { cluster, reader, file: String::new(), next: None, last: Vec::new(), damaged: 0 }
    }

    /// Goes on to the next record that is wanted.
    fn advance(&mut self, wanted: &Wanted, ending: &mut Ending) {
        while let Some(next) = self.reader.next() {
            match next {
                Next::File { name, odd, .. } => {
                    self.file = name;
                    if let Some(odd) = odd {
                        complain(odd);
                        worse(ending, Ending::Wrong);
                    }
                }
                Next::Fault(why) => {
                    complain(why);
                    worse(ending, Ending::Unable);
                }
                Next::Line { line, .. } if line.length == 0 => {}
                Next::Line { number, line } if !line.ended && line.begins_a_record() => {
                    complain(format_args!(
                        "{}:{number}: the last line is torn, by a crash",
                        self.file
                    ));
                }
                Next::Line { number, line } => match record(&line.bytes, line.is_whole()) {
                    Ok(mut record) => {
                        let length = line.bytes.len();
                        self.last = line.bytes;
                        if wanted.includes(&record) {
                            // Whoever wrote it: the file's name tells whose it is.
                            let cluster = Value::String(self.cluster.to_string());
                            record.insert("cluster".to_owned(), cluster);
                            self.next = Some((record, length));
                            return;
                        }
                    }
                    Err(why) => {
                        worse(ending, Ending::Wrong);
                        self.damaged = self.damaged.saturating_add(1);
                        if self.damaged <= DAMAGED {
                            complain(format_args!("{}:{number}: damaged line: {why}", self.file));
                        }
                    }
                },
            }
        }
        if let Some(more) = self.damaged.checked_sub(DAMAGED).filter(|more| *more > 0) {
            complain(format_args!("{}: {more} more damaged lines", self.cluster));
            self.damaged = DAMAGED;
        }
    }

    /// Says on standard error what the records do not tell yet.
    fn tell_open(&self, wanted: &Wanted, ending: &mut Ending) {
        let cluster = &self.cluster;
        match self.reader.torn() {
            None => {}
            Some((number, line)) if line.begins_a_record() => complain(format_args!(
                "{}:{number}: the last line is torn, by a crash or because it is being written",
                self.file
            )),
            Some((number, _)) => {
                complain(format_args!("{}:{number}: damaged line: it is no record", self.file));
                worse(ending, Ending::Wrong);
            }
        }
        let last: Option<Record> = serde_json::from_slice(&self.last).ok();
        let of_node = |open: &InFlight| {
            let wanted = wanted.node.as_deref();
            wanted.is_none_or(|node| {
                open.node.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(node))
            })
        };
        for open in last.map(|last| last.open).unwrap_or_default().iter().filter(|one| of_node(one))
        {
            let cut = open.is_cut(&boot_id(), &|broker| ProcFs.lives(broker));
            complain(escaped(&format!("{cluster}: {}", in_flight(open, cut))));
        }
        for more in Flood::at(Path::new(RUN_DIR).join(format!("{cluster}.flood"))).pending() {
            let caller = more.kind.caller.as_deref().unwrap_or("nobody known");
            complain(escaped(&format!(
                "{cluster}: {} ({caller}: {}) were counted, and are not in the journal yet",
                more.words(),
                more.kind.result
            )));
        }
    }
}

/// The record that a line is. One of a later version may hold more than this one knows; what all of them
/// hold it has to have.
fn record(line: &[u8], whole: bool) -> Result<Map<String, Value>, &'static str> {
    if !whole {
        return Err("it is longer than any record");
    }
    let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8")?;
    let record: Map<String, Value> =
        serde_json::from_str(text).map_err(|_| "it is no JSON object")?;
    let has = |key: &str, is: fn(&Value) -> bool| record.get(key).is_some_and(is);
    if has("n", Value::is_u64) && has("time", Value::is_string) && has("prev", Value::is_string) {
        return Ok(record);
    }
    Err("it lacks the number, the time or the hash that every record has")
}

/// What is in flight, in a sentence.
fn in_flight(open: &InFlight, cut: Option<Cut>) -> String {
    let (what, pid) = (open.words(), open.pid);
    let closes = "how that ended is not on record here, and the next request of this cluster \
                  closes it";
    match cut {
        None => format!("{what} is under way: its broker, process {pid}, is at work"),
        Some(Cut::Rebooted) => {
            format!("{what} was under way when dom0 was booted anew; {closes}")
        }
        Some(Cut::BrokerEnded) => {
            format!("{what} was under way when its broker, process {pid}, ended; {closes}")
        }
    }
}
