//! `log`: the journal as a table for the eye or as JSON, a line each.
//!
//! What stands in it came from strangers, so nothing of it is printed unescaped. It only reads; a
//! line that is being written at this moment is left for the next time.

use crate::output::{complain, escaped, escaped_json, say};
use crate::{Ending, Format};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;
use xen_fence_broker::names::ClusterName;

/// The journals' directory; CLUSTER.jsonl in it.
const JOURNAL_DIR: &str = "/var/lib/xen-fence/journal";

/// One line of a journal.
#[derive(Debug, PartialEq)]
enum Line {
    /// A record.
    Record(Map<String, Value>),
    /// What is no JSON object: damaged, or written by somebody else.
    Damaged { number: usize },
}

/// Shows the journal of one cluster, or of all in the order of time.
pub(crate) fn run(cluster: Option<&str>, format: Format) -> Ending {
    let dir = Path::new(JOURNAL_DIR);
    let names = match cluster.map(ClusterName::parse) {
        Some(Ok(name)) => vec![name],
        Some(Err(error)) => {
            complain(format_args!("{error}\n  hint: {}", error.hint()));
            return Ending::Unable;
        }
        None => match journals(dir) {
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
    let mut ending = Ending::Well;
    let mut journals = Vec::new();
    for name in names {
        let path = dir.join(format!("{name}.jsonl"));
        match fs::read(&path) {
            Ok(bytes) => {
                let (lines, torn) = read(&bytes);
                if torn {
                    complain(format_args!(
                        "{}: the last line is torn, by a crash or because it is being written",
                        path.display()
                    ));
                }
                for line in &lines {
                    if let Line::Damaged { number } = line {
                        complain(format_args!("{}:{number}: damaged line", path.display()));
                        ending = Ending::Wrong;
                    }
                }
                journals.push((name.to_string(), lines));
            }
            Err(error) => {
                complain(format_args!("{} cannot be read: {error}", path.display()));
                ending = Ending::Unable;
            }
        }
    }
    let records = merged(journals);
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
    ending
}

/// The clusters that have a journal.
fn journals(dir: &Path) -> io::Result<Vec<ClusterName>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        names.extend(stem.and_then(|stem| ClusterName::parse(stem).ok()));
    }
    names.sort();
    Ok(names)
}

/// The lines of a journal, and whether its end is torn.
fn read(bytes: &[u8]) -> (Vec<Line>, bool) {
    let torn = !bytes.is_empty() && !bytes.ends_with(b"\n");
    let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    // What stands behind the last newline: nothing, or half a line.
    lines.pop();
    let line = |(index, text): (usize, &[u8])| match serde_json::from_slice(text) {
        Ok(record) => Line::Record(record),
        Err(_) => Line::Damaged { number: index.saturating_add(1) },
    };
    (lines.into_iter().enumerate().map(line).collect(), torn)
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

const COLUMNS: [&str; 8] =
    ["time", "cluster", "caller", "event", "action", "node", "result", "text"];

/// Rows with aligned columns, the heading first.
fn table(records: &[Map<String, Value>]) -> Vec<String> {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(records.iter().map(|record| COLUMNS.map(|column| cell(record, column))));
    let widths: Vec<_> = (0..COLUMNS.len())
        .map(|column| rows.iter().filter_map(|row| Some(row.get(column)?.len())).max())
        .map(Option::unwrap_or_default)
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

/// One value as a person reads it, escaped; `-` where the record has none.
fn cell(record: &Map<String, Value>, key: &str) -> String {
    let text = match record.get(key) {
        None | Some(Value::Null) => return "-".to_owned(),
        Some(Value::String(text)) => escaped(text),
        Some(other) => escaped(&other.to_string()),
    };
    if text.is_empty() { "-".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

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
