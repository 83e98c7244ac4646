//! Journals that grow, are set aside, cut, taken away, or are none.

use super::*;
use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, Instant};

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn add(&self, name: &str, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.path(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::of(self.path("alpha.jsonl"))
    }
}

/// What comes now: `.2` for a file, `3=x` for a line, `3~x` for one without an end, `!` for a fault.
fn comes(reader: &mut Reader) -> String {
    let mut found = Vec::new();
    while let Some(next) = reader.next() {
        found.push(match next {
            Next::File { number: Some(number), .. } => format!(".{number}"),
            Next::File { number: None, .. } => "now".to_owned(),
            Next::Fault(_) => "!".to_owned(),
            Next::Line { number, line } => {
                let sign = if line.ended { '=' } else { '~' };
                format!("{number}{sign}{}", String::from_utf8_lossy(&line.bytes))
            }
        });
    }
    found.join(" ")
}

#[test]
fn files_come_in_their_order_and_ten_is_behind_nine() {
    let place = Place::new();
    for number in 1..=10 {
        place.add(&format!("alpha.jsonl.{number}"), &format!("{number}\n"));
    }
    place.add("alpha.jsonl.bak", "x\n");
    place.add("alpha.jsonl", "a\nb\n");
    let all = ".1 1=1 .2 1=2 .3 1=3 .4 1=4 .5 1=5 .6 1=6 .7 1=7 .8 1=8 .9 1=9 .10 1=10 now 1=a 2=b";
    assert_eq!(comes(&mut place.reader()), all);
}

#[test]
fn what_is_added_comes_once_its_line_has_an_end() {
    let place = Place::new();
    let mut reader = place.reader();
    assert_eq!(comes(&mut reader), "");
    place.add("alpha.jsonl", "a\nb");
    assert_eq!(comes(&mut reader), "now 1=a");
    let (number, line) = reader.torn().unwrap();
    assert_eq!((number, line.bytes.as_slice()), (2, b"b".as_slice()));
    place.add("alpha.jsonl", "c\nd\n");
    assert_eq!(comes(&mut reader), "2=bc 3=d");
    assert_eq!((comes(&mut reader).as_str(), reader.torn().is_none()), ("", true));
}

#[test]
fn a_file_that_is_set_aside_meanwhile_is_read_to_its_end() {
    let place = Place::new();
    place.add("alpha.jsonl", "a\n");
    let mut reader = place.reader();
    assert_eq!(comes(&mut reader), "now 1=a");
    // Three times since the last look, and each file had more.
    place.add("alpha.jsonl", "b\nto");
    place.rename("alpha.jsonl", "alpha.jsonl.1");
    for number in 2..=3 {
        place.add("alpha.jsonl", &format!("of {number}\n"));
        place.rename("alpha.jsonl", &format!("alpha.jsonl.{number}"));
    }
    assert_eq!(comes(&mut reader), "2=b 3~to .2 1=of 2 .3 1=of 3");
    place.add("alpha.jsonl", "c\n");
    assert_eq!(comes(&mut reader), "now 1=c");
    // Nothing was read of the first one yet when it got its number.
    let mut late = place.reader();
    assert!(matches!(late.next(), Some(Next::File { number: Some(1), .. })));
    place.rename("alpha.jsonl", "alpha.jsonl.4");
    place.add("alpha.jsonl", "d\n");
    assert_eq!(comes(&mut late), "1=a 2=b 3~to .2 1=of 2 .3 1=of 3 .4 1=c now 1=d");
    assert_eq!(comes(&mut reader), "now 1=d");
}

#[test]
fn a_file_that_is_cut_or_taken_away_is_told_and_what_follows_is_read() {
    let place = Place::new();
    place.add("alpha.jsonl", "a\nb\n");
    let mut reader = place.reader();
    assert_eq!(comes(&mut reader), "now 1=a 2=b");
    fs::write(place.path("alpha.jsonl"), "c\n").unwrap();
    assert_eq!(comes(&mut reader), "! now 1=c");
    fs::remove_file(place.path("alpha.jsonl")).unwrap();
    assert_eq!(comes(&mut reader), "");
    place.add("alpha.jsonl", "d\n");
    assert_eq!(comes(&mut reader), "now 1=d");
}

#[test]
fn whatever_stands_in_its_place_is_a_fault_and_never_waited_for() {
    type Put = fn(&Path);
    let places: [(&str, Put, &str); 5] = [
        (
            "pipe",
            |path| nix::unistd::mkfifo(path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
            "not a regular file",
        ),
        ("link", |path| std::os::unix::fs::symlink("/etc/passwd", path).unwrap(), "symbolic link"),
        ("directory", |path| fs::create_dir(path).unwrap(), "not a regular file"),
        (
            "no end",
            |path| File::create(path).unwrap().set_len(1 << 40).unwrap(),
            "does not end within 16 MiB",
        ),
        ("text", |path| fs::write(path, "no\n".repeat(5000)).unwrap(), "its lines are no records"),
    ];
    for (what, put, why) in places {
        for name in ["alpha.jsonl", "alpha.jsonl.1"] {
            let place = Place::new();
            put(&place.path(name));
            place.add("alpha.jsonl.2", "b\n");
            let begun = Instant::now();
            let mut reader = place.reader();
            let mut faults = Vec::new();
            let mut lines = 0;
            while let Some(next) = reader.next() {
                match next {
                    Next::Fault(fault) => faults.push(fault),
                    Next::Line { .. } => lines += 1,
                    Next::File { odd, .. } => assert!(odd.is_none() || what == "no end"),
                }
            }
            let others = if what == "text" { 1000 } else { 0 };
            assert_eq!((faults.len(), lines), (1, 1 + others), "{what} {name}: {faults:?}");
            assert!(faults[0].contains(why) && faults[0].contains(name), "{what}: {faults:?}");
            assert_eq!(reader.is_given_up(), name == "alpha.jsonl", "{what} {name}");
            assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        }
    }
}

#[test]
fn clusters_are_told_from_the_names_of_their_files() {
    let place = Place::new();
    for name in
        ["alpha.jsonl", "alpha.jsonl.3", "beta.jsonl.1", "gamma.jsonl.bak", "B@d.jsonl", "x"]
    {
        place.add(name, "");
    }
    let found = clusters(place.dir.path()).unwrap();
    let names: Vec<&str> = found.iter().map(ClusterName::as_str).collect();
    assert_eq!(names, ["alpha", "beta"]);
}
