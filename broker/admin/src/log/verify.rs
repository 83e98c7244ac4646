//! `log --verify`: does each line hold the hash of the one before it, over all files?
//!
//! What a chain cannot show is that lines at its end are gone: for that its head is printed, which
//! syslog has too, with the line of that record.

use super::files::Part;
use xen_fence_broker::journal::{Record, hash};

/// What a walk along the chain found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// How many records there are.
    pub(super) records: u64,
    /// In how many files.
    pub(super) files: usize,
    /// The numbers of the first and of the last.
    pub(super) numbers: Option<(u64, u64)>,
    /// The hash of the last line.
    pub(super) head: String,
    /// Where it does not hold.
    pub(super) broken: Vec<String>,
    /// What a reader should know although it holds.
    pub(super) remarks: Vec<String>,
}

/// Walks along the chain from the oldest line on.
pub(super) fn walk(parts: &[Part]) -> Found {
    let mut found = Found { files: parts.len(), ..Found::default() };
    let mut file_before = 0_u64;
    for (index, part) in parts.iter().enumerate() {
        // The one that is written has the number that it will be given.
        let expected = file_before.saturating_add(1);
        let number = part.number.unwrap_or(expected);
        if number != expected && index > 0 {
            found.broken.push(format!("{}: {} not here", part.name, missing(expected, number)));
        }
        file_before = number;
        let mut lines = part.lines().peekable();
        while let Some((line_number, line)) = lines.next() {
            let last = index.saturating_add(1) == parts.len() && lines.peek().is_none();
            if last && part.is_torn() {
                found.remarks.push(format!(
                    "{}:{line_number}: the last line is torn, by a crash or because it is being \
                     written",
                    part.name
                ));
                continue;
            }
            found.step(
                &format!("{}:{line_number}", part.name),
                line,
                number == 1 && part.number.is_some(),
            );
        }
    }
    found
}

fn missing(first: u64, next: u64) -> String {
    let last = next.saturating_sub(1);
    if first == last {
        format!("file .{first} before it is")
    } else {
        format!("files .{first} to .{last} before it are")
    }
}

impl Found {
    /// Goes on to the next line. Before the file with the number 1 there was none.
    fn step(&mut self, place: &str, line: &[u8], in_first_file: bool) {
        let before = std::mem::replace(&mut self.head, hash(line));
        let Ok(record) = serde_json::from_slice::<Record>(line) else {
            self.remarks.push(format!(
                "{place}: this line is no record, cut off by a crash perhaps; the chain holds its \
                 hash"
            ));
            return;
        };
        self.records = self.records.saturating_add(1);
        let last = self.numbers.map(|(_, last)| last);
        let first = self.numbers.map_or(record.n, |(first, _)| first);
        self.numbers = Some((first, record.n));
        if before.is_empty() && !record.prev.is_empty() && !in_first_file {
            self.remarks.push(format!(
                "{place}: records 1 to {} are in older files, which are not here; from this one on \
                 the chain can be followed",
                record.n.saturating_sub(1)
            ));
        } else if record.prev != before {
            self.broken.push(match last {
                Some(last) if record.n > last.saturating_add(1) => format!(
                    "{place}: the chain is broken: records {} to {} are gone",
                    last.saturating_add(1),
                    record.n.saturating_sub(1)
                ),
                _ => format!(
                    "{place}: the chain is broken: the line before this one was changed, or lines \
                     between them are gone"
                ),
            });
        } else if last.is_some_and(|last| record.n != last.saturating_add(1)) {
            self.remarks.push(format!("{place}: the numbers begin anew, with {}", record.n));
        }
    }

    /// What it comes to, in one line.
    pub(super) fn summary(&self) -> String {
        let (first, last) = self.numbers.unwrap_or_default();
        let files = if self.files == 1 { "file" } else { "files" };
        let verdict =
            if self.broken.is_empty() { "the chain holds" } else { "THE CHAIN IS BROKEN" };
        format!(
            "{} records in {} {files}, {first} to {last}: {verdict}; its head is {}",
            self.records,
            self.files,
            self.head.get(..16).unwrap_or(&self.head)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many chained lines.
    fn lines(count: u64) -> Vec<String> {
        let mut prev = String::new();
        let mut lines = Vec::new();
        for n in 1..=count {
            let record = Record { n, prev, cluster: "alpha".to_owned(), ..Record::default() };
            let line = serde_json::to_string(&record).unwrap();
            prev = hash(line.as_bytes());
            lines.push(line);
        }
        lines
    }

    fn part(number: Option<u64>, lines: &[String]) -> Part {
        let name = number.map_or_else(|| "now".to_owned(), |number| format!("old.{number}"));
        Part { name, number, bytes: (lines.join("\n") + "\n").into_bytes() }
    }

    /// Nine records in three files.
    fn three() -> Vec<Part> {
        let all = lines(9);
        vec![part(Some(1), &all[..3]), part(Some(2), &all[3..6]), part(None, &all[6..])]
    }

    #[test]
    fn a_whole_chain_holds_over_its_files() {
        let found = walk(&three());
        assert_eq!((found.records, found.numbers), (9, Some((1, 9))));
        assert_eq!((found.broken.len(), found.remarks.len()), (0, 0), "{found:?}");
        let head = &hash(lines(9)[8].as_bytes())[..16];
        let summary = format!("9 records in 3 files, 1 to 9: the chain holds; its head is {head}");
        assert_eq!(found.summary(), summary);
    }

    #[test]
    fn oldest_files_that_are_not_here_are_named_and_the_newer_ones_hold() {
        let mut parts = three();
        parts.remove(0);
        let found = walk(&parts);
        assert!(found.broken.is_empty(), "{found:?}");
        assert!(found.remarks[0].starts_with("old.2:1: records 1 to 3 are in older files"));
    }

    #[test]
    fn a_file_that_is_gone_from_the_middle_breaks_it_and_is_named() {
        let mut parts = three();
        parts.remove(1);
        let found = walk(&parts);
        assert_eq!(found.broken, ["now:1: the chain is broken: records 4 to 6 are gone"]);
        let all = lines(9);
        let parts = [part(Some(1), &all[..3]), part(Some(4), &all[6..])];
        let found = walk(&parts);
        assert_eq!(found.broken[0], "old.4: files .2 to .3 before it are not here");
    }

    #[test]
    fn a_changed_removed_or_added_line_breaks_it() {
        type Change = fn(&mut Vec<String>);
        let changes: [(&str, Change); 4] = [
            ("changed", |lines| lines[4] = lines[4].replace("alpha", "beta")),
            ("removed", |lines| drop(lines.remove(4))),
            ("first removed", |lines| drop(lines.remove(1))),
            ("added", |lines| lines.insert(4, lines[4].clone())),
        ];
        for (what, change) in changes {
            let mut all = lines(9);
            change(&mut all);
            assert!(!walk(&[part(None, &all)]).broken.is_empty(), "{what}");
        }
        // Nothing is older than the first file.
        assert!(!walk(&[part(Some(1), &lines(9)[1..])]).broken.is_empty());
    }

    #[test]
    fn torn_lines_are_tolerated_in_the_middle_and_at_the_end() {
        let mut all = lines(3);
        all.push("{\"n\":4,\"ti".to_owned());
        let prev = hash(all[3].as_bytes());
        let next = Record { n: 4, prev, ..Record::default() };
        all.push(serde_json::to_string(&next).unwrap());
        let found = walk(&[part(None, &all)]);
        assert!(found.broken.is_empty(), "{found:?}");
        assert!(found.remarks[0].starts_with("now:4: this line is no record"), "{found:?}");

        let mut torn = part(None, &lines(3));
        torn.bytes.extend_from_slice(b"{\"n\":4");
        let found = walk(&[torn]);
        assert!(found.broken.is_empty() && found.remarks[0].contains("torn"), "{found:?}");
        assert_eq!(found.head, hash(lines(3)[2].as_bytes()));

        // Torn, and set aside before the next record.
        let all = lines(3);
        let mut old = part(Some(1), &all);
        old.bytes.extend_from_slice(b"{\"n\":4");
        let next = Record { n: 4, prev: hash(b"{\"n\":4"), ..Record::default() };
        let found = walk(&[old, part(None, &[serde_json::to_string(&next).unwrap()])]);
        assert!(found.broken.is_empty(), "{found:?}");
    }
}
