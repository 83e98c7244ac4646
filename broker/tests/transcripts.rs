//! The listing's parser against everything that was recorded on real Xen.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::path::{Path, PathBuf};
use xen_fence_broker::toolstack::{Listing, Row};

struct Transcript {
    name: String,
    command: String,
    stdout: String,
}

/// Of every version of Xen that was recorded; those of 4.17 are the whole script's.
fn transcripts() -> Vec<Transcript> {
    let data = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data"));
    let directories = std::fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path());
    let recorded = |path: &PathBuf| path.to_string_lossy().contains("/xen-");
    let mut found: Vec<Transcript> =
        directories.filter(recorded).flat_map(|dir| of(&dir)).collect();
    found.sort_by(|one, other| one.name.cmp(&other.name));
    assert!(found.len() > 180, "{} holds {} transcripts", data.display(), found.len());
    found
}

/// Those of one version, whose names begin with it: `4.17/13-list-verbose.txt`.
fn of(dir: &Path) -> Vec<Transcript> {
    let version = dir.to_string_lossy().rsplit("/xen-").next().unwrap().to_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let (command, _) = text.split_once("\nexit code: ").unwrap();
        let stdout = text.split("--- stdout\n").nth(1).unwrap_or_default();
        let stdout = stdout.split("--- stderr\n").next().unwrap_or_default();
        found.push(Transcript {
            name: format!("{version}/{}", path.file_name().unwrap().to_string_lossy()),
            command: command.trim_start_matches("$ ").to_owned(),
            stdout: stdout.to_owned(),
        });
    }
    assert!(found.len() > 40, "{} holds {} transcripts", dir.display(), found.len());
    found
}

const VERBOSE: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label";

/// Every full listing in a transcript: a header of `list -v`, and the rows below it.
fn listings(transcript: &Transcript) -> Vec<String> {
    let mut listings: Vec<String> = Vec::new();
    let mut inside = false;
    for line in transcript.stdout.lines() {
        // No other line in a recording has a UUID in this place.
        let is_row = line.get(80..117).is_some_and(|at| at.matches('-').count() == 4);
        if line == VERBOSE {
            listings.push(String::new());
        }
        inside = line == VERBOSE || (inside && is_row);
        if let Some(listing) = listings.last_mut().filter(|_| inside) {
            listing.push_str(line);
            listing.push('\n');
        }
    }
    listings
}

/// Nothing that xl prints is taken for a full listing but `xl list -v` itself: not a plain list,
/// not the rows of one domain, not a usage message, not an error, not silence.
#[test]
fn only_a_verbose_listing_is_a_listing() {
    let mut taken = 0;
    for transcript in transcripts() {
        let is_verbose = transcript.command == "xl list -v";
        let parsed = Listing::parse(&transcript.stdout);
        assert_eq!(parsed.is_ok(), is_verbose, "{}: {parsed:?}", transcript.name);
        taken += u32::from(is_verbose);
    }
    assert!(taken >= 10, "{taken}");
}

/// Every row of every recorded `xl list -v` is understood, and only those with the state `d` are
/// dying.
#[test]
fn every_recorded_row_is_understood() {
    let (mut rows, mut dying, mut nameless) = (0, 0, 0);
    for transcript in transcripts() {
        // Of one domain, it is no full listing.
        if transcript.command.starts_with("xl list -v ") {
            continue;
        }
        for text in listings(&transcript) {
            let listing = Listing::parse(&text)
                .unwrap_or_else(|error| panic!("{}: {error}\n{text}", transcript.name));
            let lines: Vec<&str> = text.lines().skip(1).collect();
            assert_eq!(listing.rows().len(), lines.len(), "{}", transcript.name);
            for (row, line) in listing.rows().iter().zip(lines) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [name, domid, _, _, state, _, uuid, ..] = fields.as_slice() else {
                    panic!("{}: {line}", transcript.name)
                };
                assert_eq!(row.domid.to_string(), *domid, "{}: {line}", transcript.name);
                assert_eq!(row.lives(), !state.ends_with('d'), "{}: {line}", transcript.name);
                assert_eq!(row.name.as_deref().unwrap_or("(null)"), *name, "{}", transcript.name);
                let read = row.uuid.as_ref().map(ToString::to_string);
                let nil = "00000000-0000-0000-0000-000000000000";
                assert_eq!(read.as_deref().unwrap_or(nil), *uuid, "{}: {line}", transcript.name);
                assert_eq!(read.is_none(), row.domid == 0, "{}: {line}", transcript.name);
                rows += 1;
                dying += u32::from(!row.lives());
                nameless += u32::from(row.name.is_none());
            }
        }
    }
    // So many there are in the recordings; fewer would mean that this test has stopped looking, or
    // that no listing fell into the moment in which a domain without a name lives.
    assert!(rows > 100 && dying >= 3 && nameless > dying, "{rows}, {dying}, {nameless}");
}

fn rows_of(name: &str) -> Vec<Row> {
    let transcript = transcripts().into_iter().find(|one| one.name == name).unwrap();
    let listings = listings(&transcript);
    let rows = listings.iter().flat_map(|text| Listing::parse(text).unwrap().rows().to_vec());
    rows.filter(|row| row.domid != 0).collect()
}

/// What the proof rests on: a corpse keeps its UUID in the listing, dying and nameless, and beside
/// it a new domain may have the same UUID.
#[test]
fn a_corpse_is_found_by_its_uuid() {
    for version in ["4.14", "4.17", "4.20"] {
        let rows = |step: &str| rows_of(&format!("{version}/{step}.txt"));
        let corpse = rows("82-zombie-list-verbose");
        let [corpse] = corpse.as_slice() else { panic!("{corpse:?}") };
        assert!(!corpse.lives() && corpse.name.is_none() && corpse.uuid.is_some(), "{corpse:?}");
        let both = rows("89-zombie-and-new-list-verbose");
        let [old, new] = both.as_slice() else { panic!("{both:?}") };
        assert_eq!((old, new.uuid.as_ref()), (corpse, corpse.uuid.as_ref()));
        assert!(new.lives() && new.domid > old.domid, "{both:?}");
        let after = rows("91-zombie-list-verbose-after-io-completes");
        assert_eq!(after.as_slice(), std::slice::from_ref(new));
    }
}

/// No UUID changes while a domain is destroyed, rebooted, saved or restored.
#[test]
fn a_domain_keeps_its_uuid_in_every_stage() {
    let steps =
        ["4.17/60-reboot-live-kernel", "4.17/77-list-during-destroy-", "4.17/97-save-restore"];
    let listed =
        |transcript: &Transcript| steps.iter().any(|step| transcript.name.starts_with(step));
    let transcripts: Vec<Transcript> = transcripts().into_iter().filter(listed).collect();
    assert!(transcripts.len() > steps.len());
    for Transcript { name, .. } in &transcripts {
        let rows = rows_of(name);
        assert!(rows.len() > 3, "{name}: {rows:?}");
        assert!(rows.iter().all(|row| row.uuid == rows[0].uuid), "{name}: {rows:?}");
    }
}
