//! Where in sshd's files a setting stands. What it comes to is for sshd itself to say.

use super::super::look;
use crate::patterns::fits;
use std::fs;
use std::path::{Path, PathBuf};

/// Includes lead no deeper than sshd follows them.
const DEEPEST: u8 = 16;

/// A line that sets something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) file: PathBuf,
    pub(super) number: usize,
    /// In lower case.
    pub(super) keyword: String,
    /// The rest, with single spaces.
    pub(super) value: String,
    /// The criteria of the Match blocks that it stands in, the outer ones first: an Include can stand in one.
    pub(super) blocks: Vec<String>,
}

/// All lines of a configuration, in the order in which sshd reads them.
pub(super) fn lines(file: &Path) -> Vec<Line> {
    let (mut lines, mut sources) = (Vec::new(), Vec::new());
    collect(file, &[], 0, &mut lines, &mut sources);
    lines
}

/// The files that it is read from, and the directories where it looks for more.
pub(super) fn sources(file: &Path) -> Vec<PathBuf> {
    let (mut lines, mut sources) = (Vec::new(), Vec::new());
    collect(file, &[], 0, &mut lines, &mut sources);
    sources
}

fn collect(
    file: &Path,
    outer: &[String],
    depth: u8,
    out: &mut Vec<Line>,
    sources: &mut Vec<PathBuf>,
) {
    sources.push(file.to_owned());
    // A block ends with the file that it begins in.
    let mut blocks = outer.to_vec();
    let text = look::text(file).ok().flatten().unwrap_or_default();
    for (index, line) in text.lines().enumerate() {
        let Some((keyword, value)) = read(line) else { continue };
        if keyword != "include" {
            let number = index.saturating_add(1);
            let is_match = keyword == "match";
            if is_match {
                blocks.truncate(outer.len());
            }
            let begun = is_match.then(|| value.clone());
            let file = file.to_owned();
            out.push(Line { file, number, keyword, value, blocks: blocks.clone() });
            blocks.extend(begun);
            continue;
        }
        for pattern in value.split(' ').filter(|_| depth < DEEPEST) {
            let pattern = Path::new("/etc/ssh").join(pattern);
            sources.extend(pattern.parent().map(Path::to_owned));
            for path in matching(&pattern) {
                collect(&path, &blocks, depth.saturating_add(1), out, sources);
            }
        }
    }
}

/// What sshd takes to the end of the line, with what looks like a comment there.
const TO_THE_END: [&str; 4] =
    ["forcecommand", "authorizedkeyscommand", "authorizedprincipalscommand", "subsystem"];

/// Whether a Match block begins at this line.
pub(super) fn is_match(file: &Path, number: usize) -> bool {
    let text = look::text(file).ok().flatten().unwrap_or_default();
    let line = number.checked_sub(1).and_then(|index| text.lines().nth(index));
    line.and_then(read).is_some_and(|(keyword, _)| keyword == "match")
}

/// Keyword and value: separated by spaces or one `=`, the value perhaps quoted. A comment may follow.
fn read(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
    let (keyword, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start().strip_prefix('=').unwrap_or(rest);
    let keyword = keyword.to_ascii_lowercase();
    let (has_comment, mut is_quoted) = (!TO_THE_END.contains(&keyword.as_str()), false);
    let words = rest.split_whitespace().take_while(|word| {
        let is_comment = has_comment && !is_quoted && word.starts_with('#');
        is_quoted ^= word.matches('"').count() % 2 == 1;
        !is_comment
    });
    let value = words.collect::<Vec<_>>().join(" ").replace('"', "");
    Some((keyword, value))
}

/// The criteria of a Match line and their patterns, which may stand behind a `=`.
pub(super) fn criteria(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '=']).filter(|word| !word.is_empty())
}

/// The files of an Include: with `*` in the last part of the path, as everybody writes it.
fn matching(pattern: &Path) -> Vec<PathBuf> {
    let (Some(dir), Some(name)) =
        (pattern.parent(), pattern.file_name().and_then(|it| it.to_str()))
    else {
        return Vec::new();
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            let file = entry.file_name();
            // As for a shell, `*` does not stand for a hidden file.
            file.to_str().is_some_and(|it| fits(name, it) && (!it.starts_with('.') || it == name))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// sshd says `FILE: line NUMBER: Bad configuration option: …` or `FILE line NUMBER: …`.
pub(super) fn place_of(said: &str) -> Option<(String, usize)> {
    said.lines().find_map(|line| {
        let (file, rest) = line.split_once(" line ")?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number = rest.get(..digits)?.parse().ok()?;
        let file = file.trim_end_matches(':');
        file.starts_with('/').then(|| (file.to_owned(), number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_sshd_reads_them() {
        let pair = |line: &str| read(line).map(|(keyword, value)| format!("{keyword}|{value}"));
        assert_eq!(pair("  PermitTTY\tno "), Some("permittty|no".to_owned()));
        assert_eq!(pair("PermitTTY=no"), Some("permittty|no".to_owned()));
        assert_eq!(pair("AllowGroups = a  \"b\""), Some("allowgroups|a b".to_owned()));
        assert_eq!((pair("# x"), pair("  ")), (None, None));
        for (line, value) in [
            ("AllowUsers root # admins", "root"),
            ("AllowUsers root#1 #admins", "root#1"),
            ("AllowUsers \"a #b\" c #d", "a #b c"),
            ("AllowUsers # nobody", ""),
            ("ForceCommand /bin/x # y", "/bin/x # y"),
        ] {
            assert_eq!(read(line).unwrap().1, value, "{line}");
        }
    }

    #[test]
    fn a_line_knows_its_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("more"), "One 1\nMatch User b\nTwo 2\n").unwrap();
        let main = format!(
            "Zero 0\nInclude {0}\nThree 3\nMatch Group a\nFour 4\nInclude {0}\nFive 5\nMatch all\nSix 6\n",
            path("more").display()
        );
        fs::write(path("main"), main).unwrap();
        let found = lines(&path("main"));
        let told: Vec<_> =
            found.iter().map(|it| format!("{}: {}", it.keyword, it.blocks.join("; "))).collect();
        assert_eq!(
            told,
            [
                "zero: ",
                "one: ",
                "match: ",
                "two: User b",
                "three: ",
                "match: ",
                "four: Group a",
                "one: Group a",
                "match: Group a",
                "two: Group a; User b",
                "five: Group a",
                "match: ",
                "six: all",
            ]
        );
    }

    #[test]
    fn included_files_stand_where_the_include_stands() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for (name, text) in [("b.conf", "Two 2\n"), ("a.conf", "One 1\n"), (".c.conf", "No no\n")] {
            fs::write(path(name), text).unwrap();
        }
        let main = format!("Zero 0\nInclude {}/*.conf\nThree 3\n", dir.path().display());
        fs::write(path("main"), main).unwrap();
        let found = lines(&path("main"));
        let words: Vec<_> = found.iter().map(|line| (line.keyword.as_str(), line.number)).collect();
        assert_eq!(words, [("zero", 1), ("one", 1), ("two", 1), ("three", 3)]);
        let from = ["main", "", "a.conf", "b.conf"].map(path);
        assert_eq!(sources(&path("main")), from);
        // One that includes itself ends.
        fs::write(path("circle"), format!("Include {}\nX y\n", path("circle").display())).unwrap();
        assert!(!lines(&path("circle")).is_empty());
    }

    #[test]
    fn places_are_read_from_what_sshd_says() {
        let said = "/etc/x: line 12: Bad configuration option: Foo\n/etc/x: terminating, 1 bad\n";
        assert_eq!(place_of(said), Some(("/etc/x".to_owned(), 12)));
        let said = "/etc/x line 3: unsupported option \"maybe\".\n";
        assert_eq!(place_of(said), Some(("/etc/x".to_owned(), 3)));
        assert_eq!(place_of("Missing privilege separation directory: /run/sshd\n"), None);
    }
}
