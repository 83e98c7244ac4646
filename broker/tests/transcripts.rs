//! The listing's parser against everything that was recorded on real Xen.

#![expect(clippy::unwrap_used, reason = "a test that panics is a test that fails")]

use std::path::PathBuf;
use xen_fence_broker::toolstack::Listing;

struct Transcript {
    name: String,
    stdout: String,
}

fn transcripts() -> Vec<Transcript> {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/xen-4.17"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "txt") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let stdout = text.split("--- stdout\n").nth(1).unwrap_or_default();
        let stdout = stdout.split("--- stderr\n").next().unwrap_or_default();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        found.push(Transcript { name, stdout: stdout.to_owned() });
    }
    assert!(found.len() > 90, "{} holds {} transcripts", dir.display(), found.len());
    found
}

const PLAIN: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)";
const VERBOSE: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label\n";

/// Nothing that xl prints is taken for a full listing but `xl list -v` itself: not a plain list,
/// not a usage message, not an error, not silence.
#[test]
fn only_a_verbose_listing_is_a_listing() {
    for transcript in transcripts() {
        let is_verbose = transcript.name == "13-list-verbose.txt";
        let parsed = Listing::parse(&transcript.stdout);
        assert_eq!(parsed.is_ok(), is_verbose, "{}: {parsed:?}", transcript.name);
    }
}

/// Every row of every recorded `xl list`, given the columns that `-v` adds to it, is understood,
/// and only those with the state `d` are dying. The added columns are inferred from 13, 82 and 84.
#[test]
fn every_recorded_row_is_understood() {
    let (mut rows, mut dying, mut nameless) = (0, 0, 0);
    for transcript in transcripts() {
        let mut inside = false;
        for line in transcript.stdout.lines() {
            if line == PLAIN {
                inside = true;
                continue;
            }
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [name, domid, _, _, state, _] = fields.as_slice() else { continue };
            if !inside || state.len() != 6 || domid.parse::<u32>().is_err() {
                continue;
            }
            rows += 1;
            let domid: u32 = domid.parse().unwrap();
            let nil = "00000000-0000-0000-0000-000000000000";
            let some = "7f9598e3-85dc-486e-bfc5-ab09ef3ad8ac";
            let more = |uuid: &str| format!(" {uuid}        -                -\n");
            let dom0 = format!("Domain-0  0  1024  1  r-----  1.0{}", more(nil));
            let row = format!("{line}{}", more(if domid == 0 { nil } else { some }));
            let listing = if domid == 0 {
                format!("{VERBOSE}{row}")
            } else {
                format!("{VERBOSE}{dom0}{row}")
            };
            let listing = Listing::parse(&listing)
                .unwrap_or_else(|error| panic!("{}: {line}: {error}", transcript.name));
            let read = listing.rows().last().unwrap();
            assert_eq!(read.domid, domid, "{}: {line}", transcript.name);
            assert_eq!(read.lives(), !state.ends_with('d'), "{}: {line}", transcript.name);
            assert_eq!(read.name.is_none(), *name == "(null)", "{}: {line}", transcript.name);
            dying += u32::from(!read.lives());
            nameless += u32::from(read.name.is_none());
        }
    }
    // So many there are in the recordings; fewer would mean that this test has stopped looking.
    assert!(
        rows > 130 && dying >= 3 && nameless >= 5,
        "{rows} rows, {dying} dying, {nameless} nameless"
    );
}
