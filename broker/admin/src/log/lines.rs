//! Lines of any file, the longest ones not kept: whatever stands in a journal's place is read in little
//! memory.

use std::io::{self, BufRead, BufReader, Read};

/// How every record begins, whatever broker wrote it.
pub(super) const BEGINNING: &[u8] = b"{\"n\":";

/// A line without its newline.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RawLine {
    /// What it holds, up to the cap.
    pub(super) bytes: Vec<u8>,
    /// How long it is.
    pub(super) length: u64,
    /// Whether a newline ends it.
    pub(super) ended: bool,
}

impl RawLine {
    /// Whether it was kept as it is.
    pub(super) const fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.length
    }

    /// Whether it may be the beginning of a record: what a crash leaves, or a broker that is writing.
    pub(super) fn begins_a_record(&self) -> bool {
        let ends_early = || {
            let parsed: Result<serde_json::Value, _> = serde_json::from_slice(&self.bytes);
            parsed.is_err_and(|error| error.is_eof())
        };
        let shorter = BEGINNING.len().min(self.bytes.len());
        self.is_whole() && self.bytes.get(..shorter) == BEGINNING.get(..shorter) && ends_early()
    }
}

/// The lines of something that is read.
#[derive(Debug)]
pub(super) struct Lines<R> {
    source: BufReader<R>,
    cap: usize,
    /// A line without an end, so far.
    begun: RawLine,
    /// How much was read.
    read: u64,
}

impl<R: Read> Lines<R> {
    /// Lines of which so much is kept.
    pub(super) fn of(source: R, cap: usize) -> Self {
        let begun = RawLine { bytes: Vec::new(), length: 0, ended: false };
        Self { source: BufReader::with_capacity(64 << 10, source), cap, begun, read: 0 }
    }

    /// The next line that has an end; none where the source has no more for now. What is begun then goes
    /// on once it has more.
    pub(super) fn next(&mut self) -> io::Result<Option<RawLine>> {
        loop {
            let chunk = match self.source.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(None);
            }
            let newline = chunk.iter().position(|byte| *byte == b'\n');
            let piece = newline.map_or(chunk, |at| chunk.get(..at).unwrap_or_default());
            let room = self.cap.saturating_sub(self.begun.bytes.len());
            self.begun.bytes.extend(piece.iter().take(room));
            self.begun.length = self.begun.length.saturating_add(piece.len() as u64);
            let used = piece.len().saturating_add(usize::from(newline.is_some()));
            self.read = self.read.saturating_add(used as u64);
            self.source.consume(used);
            if newline.is_some() {
                return Ok(Some(RawLine { ended: true, ..self.take_begun() }));
            }
            if self.begun.length > LONGEST_SKIPPED {
                return Err(io::Error::other(format!(
                    "it has a line that does not end within {} MiB",
                    LONGEST_SKIPPED >> 20
                )));
            }
        }
    }

    /// What stands behind the last newline.
    pub(super) fn take_begun(&mut self) -> RawLine {
        let none = RawLine { bytes: Vec::new(), length: 0, ended: false };
        std::mem::replace(&mut self.begun, none)
    }

    /// The line that is begun and has no end yet, if there is one.
    pub(super) fn begun(&self) -> Option<&RawLine> {
        Some(&self.begun).filter(|begun| begun.length > 0)
    }

    /// How many bytes were read.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// What is read.
    pub(super) fn source(&self) -> &R {
        self.source.get_ref()
    }
}

/// A line that is longer is not looked for the end of: it is no text, and may be without end.
const LONGEST_SKIPPED: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8], cap: usize) -> (Vec<RawLine>, RawLine) {
        let mut lines = Lines::of(text, cap);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            found.push(line);
        }
        assert_eq!(lines.read(), text.len() as u64);
        (found, lines.take_begun())
    }

    #[test]
    fn lines_come_one_by_one_and_the_last_may_have_no_end() {
        let (found, rest) = all(b"one\n\nthree\nfo", 100);
        let texts: Vec<&[u8]> = found.iter().map(|line| line.bytes.as_slice()).collect();
        assert_eq!(texts, [b"one".as_slice(), b"", b"three"]);
        assert!(found.iter().all(|line| line.ended && line.is_whole()));
        assert_eq!((rest.bytes.as_slice(), rest.ended), (b"fo".as_slice(), false));
    }

    #[test]
    fn what_a_crash_cuts_off_is_told_from_what_no_broker_wrote() {
        for (text, begins) in [
            ("{", true),
            ("{\"n\":4", true),
            ("{\"n\":4,\"text\":\"a b", true),
            ("{\"n\":4}", false),
            ("{\"n\":4,,", false),
            ("{\"m\":4", false),
            ("x", false),
            ("\0\0\0", false),
        ] {
            let bytes = text.as_bytes().to_vec();
            let line = RawLine { length: bytes.len() as u64, bytes, ended: true };
            assert_eq!(line.begins_a_record(), begins, "{text:?}");
        }
    }

    #[test]
    fn a_long_line_is_passed_over_in_little_memory() {
        let text = [vec![b'x'; 1 << 20], b"\nshort\n".to_vec()].concat();
        let (found, _) = all(&text, 64);
        assert_eq!((found[0].bytes.len(), found[0].length), (64, 1 << 20));
        assert!(!found[0].is_whole() && found[1].is_whole());
        // One without an end is given up.
        let mut lines = Lines::of(io::repeat(0), 64);
        let error = lines.next().unwrap_err().to_string();
        assert_eq!(error, "it has a line that does not end within 16 MiB");
    }
}
