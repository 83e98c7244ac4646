//! Journals on a disk of their own: chained, torn, set aside, and closed by the next broker.

use super::*;
use std::fs::OpenOptions;
use std::io::Write;

const OTHER: &str = "0b007000-0000-4000-8000-000000000000";

fn record(text: &str) -> Record {
    let event = Some(Event::Note);
    Record {
        cluster: "alpha".to_owned(),
        boot: "this".to_owned(),
        pid: Some(1),
        started: Some(1),
        event,
        text: Some(text.to_owned()),
        ..Record::default()
    }
}

fn intent(pid: i32, request: &str) -> Record {
    Record {
        event: Some(Event::Intent),
        request: Some(request.to_owned()),
        action: Some("off".to_owned()),
        node: Some("node2".to_owned()),
        pid: Some(pid),
        ..record("killing")
    }
}

fn read(path: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Appends while the brokers with these process numbers live.
fn write(path: &Path, record: Record, living: &[i32]) -> Vec<Written> {
    let lives = |broker: &Process| living.contains(&broker.pid);
    append(path, &record.clone(), Some(record), &lives).unwrap()
}

/// All lines of a journal, from its oldest file on.
fn lines(path: &Path) -> Vec<String> {
    let mut files: Vec<PathBuf> =
        old_files(path).unwrap().into_iter().map(|(_, path)| path).collect();
    files.push(path.to_owned());
    let text = files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default());
    text.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// Every record of these lines follows the one before it.
#[track_caller]
fn chained(lines: &[String]) {
    let mut prev = String::new();
    for (index, line) in lines.iter().enumerate() {
        let record: Record = serde_json::from_str(line).unwrap();
        assert_eq!((record.n, &record.prev), (index as u64 + 1, &prev), "{line}");
        prev = hash(line.as_bytes());
    }
}

#[test]
fn records_are_numbered_and_chained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal/alpha.jsonl");
    let journal = Journal::at(path.clone());
    let heads: Vec<String> =
        ["one", "two", "three"].iter().map(|t| journal.append(record(t)).unwrap().head).collect();
    let records = read(&path);
    assert_eq!(records.iter().map(|r| r.n).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(records[0].prev, "");
    assert_eq!(records[1].prev, heads[0]);
    assert_eq!(records[2].prev, heads[1]);
}

#[test]
fn a_torn_last_line_stays_and_the_chain_goes_on_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    write(&path, record("one"), &[]);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"n\":2,\"ti").unwrap();
    write(&path, record("three"), &[]);
    let records = read(&path);
    assert_eq!(records.iter().map(|r| r.n).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(records[1].prev, hash(b"{\"n\":2,\"ti"));
}

#[test]
fn a_line_of_a_broker_that_knew_fewer_fields_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    let old = r#"{"n":41,"time":"2026-11-21T09:54:16.880Z","boot":"b","up_ms":5,"event":"intent","cluster":"alpha","request":"c0ffee","action":"off","node":"node2","prev":"aa"}"#;
    std::fs::write(&path, format!("{old}\n")).unwrap();
    write(&path, record("next"), &[]);
    assert_eq!(read(&path)[1].n, 42);
    assert_eq!(read(&path)[1].prev, hash(old.as_bytes()));
}

/// After a downgrade: the number goes on, and nothing is closed that a later broker has closed.
#[test]
fn a_line_of_a_later_broker_is_read_as_far_as_it_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    write(&path, intent(12, "dead"), &[12]);
    let prev = hash(std::fs::read_to_string(&path).unwrap().trim_end().as_bytes());
    let later = format!(
        r#"{{"n":2,"time":"t","boot":"this","up_ms":5,"event":"undone","cluster":"alpha","moon":{{"full":true}},"steps":[{{"step":"x","us":1,"by":"y"}}],"prev":"{prev}"}}"#
    );
    OpenOptions::new().append(true).open(&path).unwrap().write_all(later.as_bytes()).unwrap();
    let written = write(&path, record("next"), &[]);
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!((written[0].record.n, &written[0].record.prev), (3, &hash(later.as_bytes())));
    assert_eq!(read(&path)[1].event, Some(Event::Later));
    // What lacks what every record has is none: neither its number nor what is in flight counts.
    for short in
        ["{}", r#"{"n":9}"#, r#"{"n":9,"time":"t","boot":"b","up_ms":1,"cluster":"alpha"}"#]
    {
        assert!(serde_json::from_str::<Record>(short).is_err(), "{short}");
    }
}

#[test]
fn the_longest_record_fits_into_what_is_read_of_a_files_end() {
    let name = "n".repeat(64);
    let open: Vec<InFlight> = (0..64)
        .map(|n| InFlight {
            n: u64::MAX - n,
            time: "2026-11-21T09:54:16.880Z".to_owned(),
            boot: OTHER.to_owned(),
            pid: i32::MAX,
            started: u64::MAX,
            request: "f".repeat(32),
            caller: Some(format!("operator {name}")),
            action: "brake clear".to_owned(),
            node: Some(name.clone()),
            doing: Doing::PowerOn,
        })
        .collect();
    let text = xen_fence_protocol::Text::escaped(&"\"".repeat(5000)).as_str().to_owned();
    let step =
        Step { step: "destroyed".to_owned(), us: u64::MAX, evidence: Some("\"".repeat(306)) };
    let longest = Record {
        open,
        steps: vec![step; 24],
        text: Some(text.clone()),
        rule: Some(text),
        domain: Some(name.clone()),
        ..intent(12, &name)
    };
    let length = serde_json::to_vec(&longest).unwrap().len();
    assert!(length < LONGEST_LINE - 4096, "{length}");
}

#[test]
fn a_pipe_or_a_device_in_its_place_takes_no_record_and_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    for place in ["alpha.jsonl", "alpha.jsonl.3"] {
        let pipe = dir.path().join(place);
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let begun = std::time::Instant::now();
        let error = Journal::at(path.clone()).append(record("x")).unwrap_err();
        assert!(error.ends_with("cannot be written: it is not a regular file"), "{error}");
        assert!(begun.elapsed() < RECORD, "it waited");
        std::fs::remove_file(pipe).unwrap();
    }
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    let error = Journal::at(path).append(record("x")).unwrap_err();
    assert!(error.contains("cannot be written: "), "{error}");
}

#[test]
fn two_writers_never_mix_their_lines_nor_break_the_chain_over_files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    write(&path, record("x"), &[]);
                    set_aside_at(&path, 1000).unwrap();
                }
            });
        }
    });
    chained(&lines(&path));
    assert_eq!(lines(&path).len(), 80);
    let numbers: Vec<u64> =
        old_files(&path).unwrap().into_iter().map(|(number, _)| number).collect();
    assert!(numbers.len() > 5, "{numbers:?}");
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_new_file_goes_on_from_the_last_old_one_even_if_that_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    for _ in 0..12 {
        write(&path, record("x"), &[]);
        set_aside_at(&path, 0).unwrap();
    }
    // Ten is behind nine, and what is no number of ours is no file of ours.
    for stranger in ["alpha.jsonl.bak", "alpha.jsonl.07", "alpha.jsonl.+9", "alpha.jsonl.99.gz"] {
        std::fs::write(dir.path().join(stranger), "x").unwrap();
    }
    write(&path, record("x"), &[]);
    chained(&lines(&path));
    set_aside_at(&path, 0).unwrap();
    let last = dir.path().join("alpha.jsonl.13");
    OpenOptions::new().append(true).open(last).unwrap().write_all(b"{\"n\":").unwrap();
    write(&path, record("x"), &[]);
    let first = &read(&path)[0];
    assert_eq!((first.n, &first.prev), (14, &hash(b"{\"n\":")));
    assert_eq!(std::fs::read(&path).unwrap()[0], b'{');
}

#[test]
fn a_file_that_is_not_long_is_not_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    write(&path, record("x"), &[]);
    set_aside_at(&path, JOURNAL_FILE).unwrap();
    assert!(old_files(&path).unwrap().is_empty());
}

#[test]
fn the_next_broker_closes_what_a_dead_one_left_and_leaves_a_living_ones_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    write(&path, intent(12, "dead"), &[12, 13]);
    write(&path, intent(13, "living"), &[12, 13]);
    assert_eq!(write(&path, record("all live"), &[12, 13]).len(), 1);
    let written = write(&path, record("one has ended"), &[13]);
    assert_eq!(written.len(), 2);
    let closed = &written[0].record;
    assert_eq!(closed.event, Some(Event::Closed));
    assert_eq!((closed.request.as_deref(), closed.closes), (Some("dead"), Some(1)));
    assert_eq!(closed.result.as_deref(), Some("unknown broker-ended"));
    assert_eq!(written[1].record.open.len(), 1);
    assert_eq!(write(&path, record("once only"), &[13]).len(), 1);
    chained(&lines(&path));
}

#[test]
fn what_belongs_to_an_earlier_boot_is_closed_also_over_files_and_behind_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    write(&path, intent(12, "then"), &[12]);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"n\":2,\"out").unwrap();
    set_aside_at(&path, 0).unwrap();
    let next = Record { boot: "next".to_owned(), ..record("after") };
    // The number of its process is in use again.
    let written = write(&path, next, &[12]);
    assert_eq!(written[0].record.result.as_deref(), Some("unknown rebooted"));
    assert_eq!(written[0].record.boot, "next");
    assert_eq!(written.len(), 2);
}

#[test]
fn tending_closes_without_a_record_of_its_own_and_makes_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.jsonl");
    let journal = Journal::at(path.clone());
    assert!(journal.tend(record("")).unwrap().is_empty());
    assert!(!path.exists());
    write(&path, intent(12, "then"), &[12]);
    let next = Record { boot: "next".to_owned(), ..record("") };
    assert_eq!(journal.tend(next.clone()).unwrap().len(), 1);
    assert!(journal.tend(next).unwrap().is_empty());
    assert_eq!(read(&path).len(), 2);
}

#[test]
fn a_journal_that_cannot_be_written_is_named() {
    let error = Journal::at(PathBuf::from("/proc/no/alpha.jsonl")).append(record("x")).unwrap_err();
    assert!(error.starts_with("/proc/no/alpha.jsonl cannot be written: "), "{error}");
}
