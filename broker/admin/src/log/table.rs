//! Records as a table for the eye, nothing in it unescaped.
//!
//! It is printed as it is read: the columns are as wide as the first records want them, and a later cell
//! that is wider pushes its own row. On a terminal the sentence at the end is wrapped, never cut; into a
//! file or a pipe each record is one line.

use crate::output::escaped;
use serde_json::{Map, Value};

const COLUMNS: [&str; 7] = ["time", "cluster", "caller", "event", "action", "node", "result"];
const TEXT: &str = "text";
/// So many rows settle how wide the columns are.
const FIRST_ROWS: usize = 200;
/// One long name does not widen a column beyond this.
const WIDEST: usize = 28;
/// Between two columns.
const GAP: usize = 2;
/// The sentence stands beside the columns if it has so much room, and else below them.
const ROOM: usize = 32;
/// How far it stands in, below them.
const INDENT: usize = 4;

/// A row's cells, and its sentence.
type Row = ([String; COLUMNS.len()], String);

/// The table as it grows.
#[derive(Debug)]
pub(super) struct Table {
    /// How many columns of letters a terminal has; none where it is no terminal.
    width: Option<usize>,
    /// Rows that wait for the widths.
    first: Vec<Row>,
    widths: Option<[usize; COLUMNS.len()]>,
}

impl Table {
    pub(super) const fn new(width: Option<usize>) -> Self {
        Self { width, first: Vec::new(), widths: None }
    }

    /// Adds a record; the lines that can be printed now.
    pub(super) fn add(&mut self, record: &Map<String, Value>) -> Vec<String> {
        let mut cells = COLUMNS.map(|column| cell(record, column));
        let [time, ..] = &mut cells;
        to_the_second(time);
        let row = (cells, cell(record, TEXT));
        if let Some(widths) = self.widths {
            return self.lines(&widths, &row);
        }
        self.first.push(row);
        if self.first.len() < FIRST_ROWS { Vec::new() } else { self.settle() }
    }

    /// The lines that have waited so far, the heading before them.
    pub(super) fn settle(&mut self) -> Vec<String> {
        if self.widths.is_some() {
            return Vec::new();
        }
        let heading = (COLUMNS.map(str::to_owned), TEXT.to_owned());
        let rows: Vec<Row> =
            std::iter::once(heading).chain(std::mem::take(&mut self.first)).collect();
        let mut widths = [0; COLUMNS.len()];
        for (cells, _) in &rows {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = cell.len().min(WIDEST).max(*width);
            }
        }
        self.widths = Some(widths);
        rows.iter().flat_map(|row| self.lines(&widths, row)).collect()
    }

    fn lines(&self, widths: &[usize], (cells, text): &Row) -> Vec<String> {
        let cells: Vec<String> =
            cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let columns = cells.join(&" ".repeat(GAP));
        let beside = widths.iter().sum::<usize>() + GAP * widths.len();
        let Some(width) = self.width else {
            return vec![format!("{columns}{:GAP$}{text}", "")];
        };
        if width >= beside + ROOM && columns.len() <= beside {
            let mut pieces = wrapped(text, width - beside).into_iter();
            let first = pieces.next().unwrap_or_default();
            let first = format!("{columns}{:GAP$}{first}", "");
            let below = pieces.map(|piece| format!("{:beside$}{piece}", ""));
            return std::iter::once(first).chain(below).collect();
        }
        // Where the columns are too many, the last one goes before the sentence.
        let too_many = beside > width.saturating_add(GAP);
        let (columns, text) = match cells.split_last() {
            Some((result, others)) if too_many => {
                (others.join(&" ".repeat(GAP)), format!("{}: {text}", result.trim_end()))
            }
            _ => (columns, text.clone()),
        };
        let below = wrapped(&text, width.saturating_sub(INDENT).max(ROOM)).into_iter();
        let below = below.map(|piece| format!("{:INDENT$}{piece}", ""));
        std::iter::once(columns.trim_end().to_owned()).chain(below).collect()
    }
}

/// `2026-11-21T09:54:16.880Z` without what a person does not need.
fn to_the_second(time: &mut String) {
    if time.ends_with('Z')
        && let Some((seconds, fraction)) = time.split_once('.')
        && fraction.trim_end_matches('Z').bytes().all(|byte| byte.is_ascii_digit())
    {
        *time = format!("{seconds}Z");
    }
}

/// A sentence in pieces of at most so many letters, at its spaces where it has some.
fn wrapped(text: &str, width: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while rest.len() > width {
        let head = rest.get(..width.saturating_add(1)).unwrap_or(rest);
        let (piece, behind) = match head.rfind(' ') {
            Some(space) if space > 0 => rest.split_at(space),
            // It is ASCII, so every byte is a character's end.
            _ => rest.split_at(width),
        };
        pieces.push(piece);
        rest = behind.trim_start();
    }
    pieces.push(rest);
    pieces
}

/// One value as a person reads it, escaped; `-` where the record has none.
pub(super) fn cell(record: &Map<String, Value>, key: &str) -> String {
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

    const ONE: &str = r#"{"time":"2026-11-21T09:00:00.123Z","cluster":"alpha","event":"intent","caller":"node node1","action":"reset","node":"node2"}"#;
    const TWO: &str = r#"{"time":"2026-11-21T09:00:02.456Z","cluster":"alpha","event":"outcome","caller":"node node1","action":"reset","node":"node2","result":"fenced killed","text":"a\u001b[31m\nb it was destroyed, and its death is proven by a listing"}"#;

    fn rows(width: Option<usize>) -> Vec<String> {
        let mut table = Table::new(width);
        for json in [ONE, TWO] {
            assert!(table.add(&serde_json::from_str(json).unwrap()).is_empty());
        }
        table.settle()
    }

    #[test]
    fn a_record_is_a_line_where_there_is_no_terminal() {
        let rows = rows(None);
        assert_eq!(rows.len(), 3);
        let heading = "time                  cluster  caller      event    action  node   result         text";
        assert_eq!(rows[0], heading);
        assert!(
            rows[1].starts_with("2026-11-21T09:00:00Z  alpha    node node1  intent "),
            "{rows:?}"
        );
        assert!(
            rows[2].contains("fenced killed  a\\u{1b}[31m\\u{a}b it was destroyed"),
            "{rows:?}"
        );
    }

    #[test]
    fn it_fits_a_terminal_and_nothing_is_cut() {
        for width in [40, 72, 80, 120, 160, 300] {
            let rows = rows(Some(width));
            // All columns but the last.
            let least = 68;
            assert!(rows.iter().all(|row| row.len() <= width.max(least)), "{width}: {rows:#?}");
            let all: String = rows.join(" ");
            let words: Vec<&str> = all.split_whitespace().collect();
            for word in ["a\\u{1b}[31m\\u{a}b", "killed", "destroyed,", "proven", "listing"] {
                assert!(
                    words.iter().any(|one| one.trim_end_matches(':') == word),
                    "{width}: {rows:#?}"
                );
            }
        }
        // Below the columns, and in.
        assert!(rows(Some(78)).iter().any(|row| row.starts_with("    fenced killed: a\\u{1b}")));
        assert!(rows(Some(80)).iter().any(|row| row.starts_with("    a\\u{1b}")));
    }

    #[test]
    fn what_comes_later_keeps_the_columns_and_a_wide_cell_pushes_its_row() {
        let mut table = Table::new(None);
        let record = |node: &str| {
            let json = format!(r#"{{"time":"2026-11-21T09:00:00Z","node":"{node}","result":"x"}}"#);
            serde_json::from_str(&json).unwrap()
        };
        for _ in 1..FIRST_ROWS {
            assert!(table.add(&record("n1")).is_empty());
        }
        let first = table.add(&record("n1"));
        assert_eq!(first.len(), FIRST_ROWS + 1);
        let at = first[0].find("result").unwrap();
        assert_eq!(table.add(&record("n2"))[0].find('x'), Some(at));
        assert!(table.add(&record(&"n".repeat(60)))[0].find('x').unwrap() > at);
        assert!(table.settle().is_empty());
    }

    #[test]
    fn words_longer_than_a_line_are_broken() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrapped("", 3), [""]);
    }
}
