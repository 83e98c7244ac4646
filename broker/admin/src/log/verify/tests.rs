//! Chains that hold, that do not, and what syslog has to say of them.

use super::*;
use crate::log::anchors::tests::{said, syslog};
use xen_fence_broker::journal::Record;

/// A file: its name, its number, its lines; what stands behind its last newline.
struct Part {
    number: Option<u64>,
    lines: Vec<String>,
    torn: &'static str,
}

/// So many chained lines.
fn lines(count: u64) -> Vec<String> {
    let (mut lines, mut prev) = (Vec::new(), String::new());
    for n in 1..=count {
        let record = Record { n, prev, cluster: "alpha".to_owned(), ..Record::default() };
        let line = serde_json::to_string(&record).unwrap();
        prev = hash(line.as_bytes());
        lines.push(line);
    }
    lines
}

fn part(number: Option<u64>, lines: &[String]) -> Part {
    Part { number, lines: lines.to_vec(), torn: "" }
}

/// Nine records in three files.
fn three() -> Vec<Part> {
    let all = lines(9);
    vec![part(Some(1), &all[..3]), part(Some(2), &all[3..6]), part(None, &all[6..])]
}

fn raw(text: &str, ended: bool) -> RawLine {
    RawLine { bytes: text.as_bytes().to_vec(), length: text.len() as u64, ended }
}

fn walk(parts: &[Part]) -> Found {
    walk_beside(parts, "")
}

fn walk_beside(parts: &[Part], text: &str) -> Found {
    let syslog = syslog(text);
    let mut walk = Walk::of("alpha", &syslog);
    let mut torn = None;
    for (index, part) in parts.iter().enumerate() {
        let name = part.number.map_or_else(|| "now".to_owned(), |number| format!("old.{number}"));
        walk.file(name.clone(), part.number);
        for (number, line) in (1..).zip(&part.lines) {
            walk.line(number, &raw(line, true));
        }
        let number = part.lines.len() + 1;
        if index + 1 == parts.len() {
            torn = (!part.torn.is_empty()).then(|| (number, raw(part.torn, false)));
        } else {
            walk.line(number, &raw(part.torn, false));
        }
    }
    walk.ended(torn.as_ref().map(|(number, line)| (*number, line)))
}

/// What syslog has of these lines.
fn anchored(lines: &[String]) -> String {
    (1..).zip(lines).map(|(n, line)| said("alpha", n, &hash(line.as_bytes()))).collect()
}

/// The same from this record on written by somebody else, and chained as brokers do.
fn rewritten(lines: &[String], from: u64) -> Vec<String> {
    let (mut anew, mut prev) = (Vec::new(), String::new());
    for (n, line) in (1..).zip(lines) {
        let boot = "forged".to_owned();
        let record = Record { n, prev, boot, cluster: "alpha".to_owned(), ..Record::default() };
        let line = if n < from { line.clone() } else { serde_json::to_string(&record).unwrap() };
        prev = hash(line.as_bytes());
        anew.push(line);
    }
    anew
}

#[test]
fn a_whole_chain_holds_over_its_files() {
    let found = walk(&three());
    assert_eq!((found.broken.len(), found.remarks.len()), (0, 0), "{found:?}");
    let head = &hash(lines(9)[8].as_bytes())[..16];
    let summary =
        format!("alpha: 9 records in 3 files, 1 to 9: the chain holds; its head is {head}");
    assert_eq!(found.summary[0], summary);
    assert!(found.summary[1].starts_with("alpha: NOT anchored"), "{found:?}");
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
    let found = walk(&[part(Some(1), &all[..3]), part(Some(4), &all[6..])]);
    assert_eq!(found.broken[0], "old.4: files .2 to .3 before it are not here");
}

#[test]
fn a_changed_removed_or_added_line_breaks_it() {
    type Change = fn(&mut Vec<String>);
    let changes: [(&str, Change); 5] = [
        ("changed", |lines| lines[4] = lines[4].replace("\"boot\":\"\"", "\"boot\":\"x\"")),
        ("of another cluster", |lines| lines[8] = lines[8].replace("alpha", "beta")),
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
fn a_line_that_no_broker_wrote_breaks_it() {
    let syslog = syslog("");
    let mut walk = Walk::of("alpha", &syslog);
    walk.file("now".to_owned(), None);
    walk.line(1, &RawLine { bytes: vec![b'x'; 10], length: 1 << 20, ended: true });
    let found = walk.ended(None);
    assert!(found.broken[0].starts_with("now:1: this line is longer than any record"), "{found:?}");
    // An object that lacks what all records have is none, and says nothing of the numbers.
    let mut all = lines(3);
    all.push("{\"cluster\":\"alpha\"}".to_owned());
    let found = self::walk(&[part(None, &all)]);
    assert!(found.broken[0].starts_with("now:4: this line is no record, nor"), "{found:?}");
    // Nor is a file of something else without one newline a journal that holds.
    let found = self::walk(&[Part { torn: "some text", ..part(None, &[]) }]);
    assert!(found.broken[0].starts_with("now:1: this line is no record, nor"), "{found:?}");
    let found = self::walk(&[part(None, &[])]);
    assert_eq!(
        (found.summary[0].as_str(), found.broken.len()),
        ("alpha: there is no record yet", 0)
    );
}

#[test]
fn torn_lines_are_tolerated_in_the_middle_and_at_the_end() {
    let cluster = "alpha".to_owned();
    let mut all = lines(3);
    all.push("{\"n\":4,\"ti".to_owned());
    let prev = hash(all[3].as_bytes());
    let next = Record { n: 4, prev, cluster: cluster.clone(), ..Record::default() };
    all.push(serde_json::to_string(&next).unwrap());
    let found = walk(&[part(None, &all)]);
    assert!(found.broken.is_empty(), "{found:?}");
    assert!(found.remarks[0].starts_with("now:4: this line is no record"), "{found:?}");

    let torn = Part { torn: "{\"n\":4", ..part(None, &lines(3)) };
    let found = walk(&[torn]);
    assert!(found.broken.is_empty() && found.remarks[0].contains("torn"), "{found:?}");
    let head = hash(lines(3)[2].as_bytes());
    assert!(found.summary[0].ends_with(&head[..16]), "{found:?}");

    // Torn, and set aside before the next record.
    let old = Part { torn: "{\"n\":4", ..part(Some(1), &lines(3)) };
    let next = Record { n: 4, prev: hash(b"{\"n\":4"), cluster, ..Record::default() };
    let found = walk(&[old, part(None, &[serde_json::to_string(&next).unwrap()])]);
    assert!(found.broken.is_empty(), "{found:?}");
}

#[test]
fn syslog_names_the_line_that_anchors_the_head() {
    let all = lines(9);
    let found = walk_beside(&three(), &anchored(&all));
    assert!(found.broken.is_empty(), "{found:?}");
    let told = "alpha: anchored: auth.log:9 has the head behind its last record, 9; 9 of its records \
                are in syslog";
    assert_eq!(found.summary[1], told);
    let found = walk_beside(&three(), &anchored(&all[..7]));
    let told =
        "alpha: anchored up to record 7, by auth.log:7; syslog has no line for the 2 behind it";
    assert_eq!(found.summary[1], told);
}

#[test]
fn what_no_chain_shows_syslog_does() {
    let all = lines(9);
    // The last lines are cut off.
    let found = walk_beside(&[part(None, &all[..7])], &anchored(&all));
    let head = &hash(all[8].as_bytes())[..16];
    let told = format!(
        "now: records 8 to 9 are gone from its end: auth.log:9 anchors record 9, with the head {head}"
    );
    assert_eq!(found.broken, [told]);
    assert!(found.summary[0].contains("THE CHAIN IS BROKEN"), "{found:?}");
    assert_eq!(
        found.summary[1],
        "alpha: the last record that syslog has just so is 7, at auth.log:7"
    );
    // The very last one was changed.
    let mut changed = all.clone();
    changed[8] = changed[8].replace("\"boot\":\"\"", "\"boot\":\"x\"");
    assert!(walk(&[part(None, &changed)]).broken.is_empty());
    let found = walk_beside(&[part(None, &changed)], &anchored(&all));
    assert_eq!(found.broken.len(), 1, "{found:?}");
    assert!(found.broken[0].starts_with("now:9: this is not the record 9 that auth.log:9 anchors"));
    // Everything was written anew: the chain holds, and not one record is the one that was anchored.
    let anew = rewritten(&all, 1);
    assert!(walk(&[part(None, &anew)]).broken.is_empty());
    let found = walk_beside(&[part(None, &anew)], &anchored(&all));
    assert_eq!(found.broken.len(), 9, "{found:?}");
    assert!(found.summary[1].contains("NOT anchored: syslog has none of its records"), "{found:?}");
}

#[test]
fn who_rewrites_a_journal_cannot_outdo_the_lines_from_before() {
    let all = lines(8);
    let forged = rewritten(&all, 5);
    let head = |lines: &[String]| hash(lines[4].as_bytes())[..16].to_owned();
    // The lines that he sends stand behind those from before; or before them, in another file.
    let after = anchored(&all) + &anchored(&forged);
    let before = anchored(&forged) + &anchored(&all);
    for (text, first, second) in
        [(&after, head(&all), head(&forged)), (&before, head(&forged), head(&all))]
    {
        let found = walk_beside(&[part(None, &forged)], text);
        let told = format!(
            "alpha: syslog has two different records 5: auth.log:5 has the head {first}, and auth.log:13 \
             the head {second}, and so of 3 later ones; the journal was begun anew, or rewritten"
        );
        assert_eq!(found.broken, [told]);
        assert!(found.summary[0].contains("THE CHAIN IS BROKEN"), "{found:?}");
        let told = "alpha: the last record that syslog has just so is 4, at auth.log:4";
        assert_eq!(found.summary[1], told);
    }
    // Nor does it help to take away the files that hold the record.
    let found = walk_beside(&[part(None, &forged[6..])], &after);
    assert_eq!(found.broken.len(), 1, "{found:?}");
    // Of a journal that was begun anew, the lines since then tell.
    let found = walk_beside(&[part(None, &forged)], &anchored(&forged));
    assert!(found.broken.is_empty(), "{found:?}");
}

#[test]
fn many_faults_are_counted() {
    let all = lines(50);
    let found = walk_beside(&[part(None, &[])], &anchored(&all));
    assert_eq!(found.broken.len(), 1, "{found:?}");
    let garbled: Vec<String> = all.iter().map(|line| line.replace("alpha", "gamma")).collect();
    let found = walk(&[part(None, &garbled)]);
    assert_eq!(found.broken.len(), FAULTS + 1, "{found:?}");
    assert!(found.broken[FAULTS].ends_with("79 more such places"), "{found:?}");
}
