//! What is wrong with a file of the policy: for the administrator in full, with line, column and a
//! caret; for a guest in one sentence that tells nothing of it.

use crate::secure_file::InsecureFile;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The first thing that is wrong with a file; because of it the whole file is refused.
#[derive(Debug)]
pub struct PolicyError(Box<Parts>);

#[derive(Debug)]
struct Parts {
    file: PathBuf,
    place: Option<Place>,
    message: String,
    hint: Option<String>,
    missing: bool,
}

/// Where in a file, and what stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
    /// How many characters are meant; at least one.
    pub width: usize,
    /// The whole line.
    pub source: String,
}

impl PolicyError {
    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Where in the file; none if it could not be read at all.
    #[must_use]
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }

    /// The sentence, without place and hint.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Whether there is no such file, and therefore no such cluster.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.0.missing
    }

    /// All that a guest may hear of it.
    #[must_use]
    pub const fn short(&self) -> &'static str {
        "this host's policy for your cluster is broken; its administrator finds the reason in the \
         host's log and with `xen-fence-admin acl check`"
    }

    /// The error in one line, for syslog and the journal; the caret stands before what is meant.
    #[must_use]
    pub fn one_line(&self) -> String {
        let Parts { file, place, message, .. } = &*self.0;
        match place {
            Some(place) => {
                let (before, meant, after) = place.window();
                let Place { line, column, .. } = place;
                format!("{}:{line}:{column}: {message}: {before}^{meant}{after}", file.display())
            }
            // The sentence names the path itself.
            None => message.clone(),
        }
    }

    /// An error at the bytes `span` of the file's text.
    pub(crate) fn at(
        file: &Path,
        text: &str,
        span: Range<usize>,
        message: String,
        hint: Option<String>,
    ) -> Self {
        let place = Some(Place::of(text, span));
        Self(Box::new(Parts { file: file.to_owned(), place, message, hint, missing: false }))
    }

    /// What the TOML parser says.
    pub(crate) fn of_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        // A key of the file's may stand in it, with line ends of its own.
        let message = error.message().replace("unknown field", "unknown key").replace('\n', " ");
        Self::at(file, text, error.span().unwrap_or(0..0), message, None)
    }
}

impl From<InsecureFile> for PolicyError {
    fn from(error: InsecureFile) -> Self {
        Self(Box::new(Parts {
            file: error.path().to_owned(),
            place: None,
            message: error.to_string(),
            hint: Some(error.hint()),
            missing: error.is_missing(),
        }))
    }
}

impl std::error::Error for PolicyError {}

/// The error as a person reads it, over several lines:
///
/// ```text
/// /etc/xen-fence/clusters.d/alpha.toml:6:10: "12" cannot be the name of a domain: …
///   6 | domain = "12"
///     |          ^^^^
///   hint: …
/// ```
impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Parts { file, place, message, hint, .. } = &*self.0;
        if let Some(place) = place {
            let Place { line, column, .. } = place;
            let (before, meant, after) = place.window();
            let gutter = line.to_string().len();
            let indent = before.chars().count();
            let carets = "^".repeat(meant.chars().count().max(1));
            writeln!(f, "{}:{line}:{column}: {message}", file.display())?;
            writeln!(f, "  {line} | {before}{meant}{after}")?;
            write!(f, "  {:gutter$} | {:indent$}{carets}", "", "")?;
        } else {
            write!(f, "{message}")?;
        }
        match hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Place {
    fn of(text: &str, span: Range<usize>) -> Self {
        let start = boundary(text, span.start);
        let before = text.get(..start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let source = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or("");
        let offset = start.saturating_sub(line_start);
        let end = boundary(source, span.end.saturating_sub(line_start)).max(offset);
        let count = |range: Range<usize>| source.get(range).map_or(0, |s| s.chars().count());
        Self {
            line: before.matches('\n').count().saturating_add(1),
            column: count(0..offset.min(source.len())).saturating_add(1),
            width: count(offset..end).max(1),
            source: source.to_owned(),
        }
    }

    /// What to show of the line, in one piece each: before, meant, after. A key is longer than a
    /// terminal is wide, and a policy may be shown to somebody while it is not trusted.
    fn window(&self) -> (String, String, String) {
        const BEFORE: usize = 48;
        const MEANT: usize = 40;
        const IN_ALL: usize = 96;
        let shown = |c: char| if c == '\t' || c.is_control() { ' ' } else { c };
        let mut chars = self.source.chars().map(shown);
        let before: String = chars.by_ref().take(self.column.saturating_sub(1)).collect();
        let meant: String = chars.by_ref().take(self.width).collect();
        let after: String = chars.collect();
        let cut = before.chars().count().saturating_sub(BEFORE);
        let before = match cut {
            0 => before,
            _ => "…".chars().chain(before.chars().skip(cut)).collect(),
        };
        let room = IN_ALL.saturating_sub(before.chars().count() + meant.chars().count());
        if meant.chars().count() > MEANT {
            (before, meant.chars().take(MEANT).chain("…".chars()).collect(), String::new())
        } else if after.chars().count() > room {
            (before, meant, after.chars().take(room).chain("…".chars()).collect())
        } else {
            (before, meant, after)
        }
    }
}

/// The nearest place at or before `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str, meant: &str) -> PolicyError {
        let start = text.find(meant).unwrap();
        let span = start..start + meant.len();
        PolicyError::at(Path::new("/p/a.toml"), text, span, "is wrong".into(), Some("mend".into()))
    }

    #[test]
    fn the_caret_stands_under_what_is_meant() {
        let error = error("one = 1\ndomain = \"12\" # ä\n", "\"12\"");
        assert_eq!(
            error.to_string(),
            "/p/a.toml:2:10: is wrong\n  2 | domain = \"12\" # ä\n    |          ^^^^\n  hint: mend"
        );
        assert_eq!(error.one_line(), "/p/a.toml:2:10: is wrong: domain = ^\"12\" # ä");
    }

    #[test]
    fn long_lines_and_control_bytes_are_cut_and_blanked() {
        let text = format!("keys = [\"{}\", \"x\x1b\ty\"]", "k".repeat(500));
        let shown = error(&text, "\"x\x1b\ty\"").to_string();
        assert!(shown.contains("| …kkk") && shown.contains("\"x  y\"]"), "{shown}");
        assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
        let shown = error(&text, "kkkkk").one_line();
        assert!(shown.len() < 150, "{shown}");
    }

    #[test]
    fn a_place_at_the_end_or_beyond_is_still_a_place() {
        for (text, span) in [("", 0..0), ("a = ", 4..4), ("a\nb\n", 4..4), ("ä", 1..9), ("a", 7..9)]
        {
            let place = Place::of(text, span.clone());
            assert!(place.line >= 1 && place.column >= 1 && place.width >= 1, "{text:?} {span:?}");
        }
    }

    #[test]
    fn a_span_over_several_lines_is_cut_at_the_first() {
        assert_eq!(Place::of("a = [\n1,\n2]\n", 4..11).width, 1);
    }
}
