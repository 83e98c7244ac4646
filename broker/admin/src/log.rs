//! `log`: the journal as a table for the eye or as JSON, a line each; and whether its chain holds.
//!
//! What stands in it came from strangers, so nothing of it is printed unescaped. It only reads; a
//! line that is being written at this moment is left for the next time.

mod files;
mod table;
mod verify;

use crate::output::{complain, escaped, escaped_json, say};
use crate::{Ending, Format};
use files::Part;
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::path::Path;
use table::{cell, table};
use xen_fence_broker::clock::boot_id;
use xen_fence_broker::flood::Flood;
use xen_fence_broker::journal::{Cut, InFlight, JOURNAL_DIR};
use xen_fence_broker::names::ClusterName;
use xen_fence_broker::processes::{ProcFs, Processes};
use xen_fence_broker::serve::RUN_DIR;

/// One line of a journal.
#[derive(Debug, PartialEq)]
enum Line {
    /// A record.
    Record(Map<String, Value>),
    /// What is no JSON object: damaged, or written by somebody else.
    Damaged { number: usize },
}

/// One cluster's journal, read.
struct Journal {
    cluster: ClusterName,
    parts: Vec<Part>,
}

/// What of the journals is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The records.
    Records(Format),
    /// Whether the chain holds.
    Chain,
}

/// Shows the journal of one cluster, or of all in the order of time.
pub(crate) fn run(cluster: Option<&str>, view: View) -> Ending {
    let dir = Path::new(JOURNAL_DIR);
    let names = match cluster.map(ClusterName::parse) {
        Some(Ok(name)) => vec![name],
        Some(Err(error)) => {
            complain(format_args!("{error}\n  hint: {}", error.hint()));
            return Ending::Unable;
        }
        None => match files::clusters(dir) {
            Ok(names) => names,
            Err(error) => {
                complain(format_args!(
                    "{JOURNAL_DIR} cannot be read: {error}\n  hint: run it as root on dom0; the \
                     broker makes the directory with its first record"
                ));
                return Ending::Unable;
            }
        },
    };
    let mut journals = Vec::new();
    let mut ending = Ending::Well;
    for cluster in names {
        let path = dir.join(format!("{cluster}.jsonl"));
        match files::read(&path) {
            Ok(parts) => journals.push(Journal { cluster, parts }),
            Err(error) => {
                complain(format_args!("{} cannot be read: {error}", path.display()));
                ending = Ending::Unable;
            }
        }
    }
    let shown = match view {
        View::Records(format) => show(&journals, format),
        View::Chain => follow(&journals),
    };
    if ending == Ending::Well { shown } else { ending }
}

/// Prints the records, and on standard error what they do not tell yet.
fn show(journals: &[Journal], format: Format) -> Ending {
    let mut ending = Ending::Well;
    let mut lines_of = Vec::new();
    for Journal { cluster, parts } in journals {
        let mut all = Vec::new();
        for part in parts {
            let (lines, torn) = read(part);
            if torn {
                complain(format_args!(
                    "{}: the last line is torn, by a crash or because it is being written",
                    part.name
                ));
            }
            for line in &lines {
                if let Line::Damaged { number } = line {
                    complain(format_args!("{}:{number}: damaged line", part.name));
                    ending = Ending::Wrong;
                }
            }
            all.extend(lines);
        }
        lines_of.push((cluster.to_string(), all));
    }
    let records = merged(lines_of);
    match format {
        Format::Json => {
            for record in &records {
                if !say(escaped_json(&Value::Object(record.clone()).to_string())) {
                    break;
                }
            }
        }
        Format::Table => {
            for row in table(&records) {
                if !say(row) {
                    break;
                }
            }
        }
    }
    for Journal { cluster, parts } in journals {
        for open in files::last_record(parts).map(|last| last.open).unwrap_or_default() {
            let cut = open.is_cut(&boot_id(), &|broker| ProcFs.lives(broker));
            complain(escaped(&format!("{cluster}: {}", in_flight(&open, cut))));
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
    ending
}

/// Says whether the chain of each journal holds.
fn follow(journals: &[Journal]) -> Ending {
    let mut ending = Ending::Well;
    for Journal { cluster, parts } in journals {
        let found = verify::walk(parts);
        for remark in &found.remarks {
            complain(remark);
        }
        for broken in &found.broken {
            complain(broken);
            ending = Ending::Wrong;
        }
        if !say(format_args!("{cluster}: {}", found.summary())) {
            break;
        }
    }
    ending
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

/// The lines of a file, and whether its end is torn.
fn read(part: &Part) -> (Vec<Line>, bool) {
    let whole = part.bytes.iter().rposition(|byte| *byte == b'\n');
    let until = whole.map_or(0, |at| at.saturating_add(1));
    let head = part.bytes.get(..until).unwrap_or_default();
    let line = |(index, text): (usize, &[u8])| match serde_json::from_slice(text) {
        Ok(record) => Line::Record(record),
        Err(_) => Line::Damaged { number: index.saturating_add(1) },
    };
    let mut lines: Vec<_> = head.split(|byte| *byte == b'\n').collect();
    // What stands behind the last newline.
    lines.pop();
    (lines.into_iter().enumerate().map(line).collect(), part.is_torn())
}

/// All records in the order of time; those of one journal stay in its own order, because a clock
/// can be set back but a journal is only ever added to.
fn merged(journals: Vec<(String, Vec<Line>)>) -> Vec<Map<String, Value>> {
    let mut queues: Vec<_> = journals
        .into_iter()
        .map(|(cluster, lines)| {
            let records = lines.into_iter().filter_map(|line| match line {
                Line::Record(mut record) => {
                    // Whoever wrote it: the file's name tells whose it is.
                    record.insert("cluster".to_owned(), Value::String(cluster.clone()));
                    Some(record)
                }
                Line::Damaged { .. } => None,
            });
            records.collect::<VecDeque<_>>()
        })
        .collect();
    let mut out = Vec::new();
    loop {
        let time = |record: &Map<String, Value>| cell(record, "time");
        let next = queues
            .iter_mut()
            .filter(|queue| !queue.is_empty())
            .min_by_key(|queue| queue.front().map(time));
        match next.and_then(VecDeque::pop_front) {
            Some(record) => out.push(record),
            None => return out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> (Vec<Line>, bool) {
        let name = "alpha.jsonl".to_owned();
        super::read(&Part { name, number: None, bytes: bytes.to_vec() })
    }

    const ONE: &str = r#"{"n":1,"time":"2026-11-21T09:00:00Z","event":"request","caller":"node node1","action":"reset","node":"node2"}"#;
    const TWO: &str = r#"{"n":2,"time":"2026-11-21T09:00:02Z","event":"outcome","caller":"node node1","action":"reset","node":"node2","result":"fenced","text":"a\u001b[31m\nb"}"#;

    #[test]
    fn a_torn_end_is_left_out_and_said() {
        let whole = format!("{ONE}\n{TWO}\n");
        let (lines, torn) = read(whole.as_bytes());
        assert_eq!((lines.len(), torn), (2, false));
        let (lines, torn) = read(format!("{whole}{{\"n\":3,\"ti").as_bytes());
        assert_eq!((lines.len(), torn), (2, true));
        assert_eq!(read(b""), (vec![], false));
        assert_eq!(read(b"{"), (vec![], true));
    }

    #[test]
    fn a_damaged_line_does_not_hide_the_others() {
        let (lines, torn) = read(format!("{ONE}\n\x00\u{fffd}[]\n[]\n{TWO}\n").as_bytes());
        assert!(!torn);
        assert_eq!(lines[1..3], [Line::Damaged { number: 2 }, Line::Damaged { number: 3 }]);
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn the_table_is_aligned_and_nothing_in_it_is_unescaped() {
        let (lines, _) = read(format!("{ONE}\n{TWO}\n").as_bytes());
        let rows = table(&merged(vec![("alpha".to_owned(), lines)]));
        assert_eq!(rows.len(), 3);
        assert!(
            rows[0].starts_with("time                  cluster  caller      event"),
            "{rows:?}"
        );
        assert!(rows[2].ends_with("fenced  a\\u{1b}[31m\\u{a}b"), "{rows:?}");
        assert!(rows[1].ends_with("node2  -       -"), "{rows:?}");
    }

    #[test]
    fn journals_are_merged_by_time_and_each_keeps_its_order() {
        let line = |time: &str, n: u32| format!("{{\"time\":\"{time}\",\"n\":{n}}}\n");
        // beta's clock was set back between its two lines.
        let alpha = read((line("10:01", 1) + &line("10:03", 2)).as_bytes()).0;
        let beta = read((line("10:02", 3) + &line("09:00", 4)).as_bytes()).0;
        let records = merged(vec![("alpha".to_owned(), alpha), ("beta".to_owned(), beta)]);
        let order: Vec<_> = records.iter().map(|record| cell(record, "n")).collect();
        assert_eq!(order, ["1", "3", "4", "2"]);
        assert_eq!(cell(&records[1], "cluster"), "beta");
    }
}
