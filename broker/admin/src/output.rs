//! What the tools print. A reader that goes away (`| head`) is no error, and no byte that a
//! stranger wrote reaches the terminal unescaped.

use std::fmt::Display;
use std::io::{self, Write as _};

/// Prints a line on standard output; false once nobody reads it.
pub(crate) fn say(line: impl Display) -> bool {
    writeln!(io::stdout().lock(), "{}", harmless(&line.to_string())).is_ok()
}

/// Prints a line on standard error, after the program's name.
pub(crate) fn complain(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "xen-fence-admin: {}", harmless(&line.to_string()));
}

/// Escapes what would drive a terminal or turn its lines around, wherever it comes from: a policy may be
/// a stranger's draft, and so may a file's name.
fn harmless(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if turns(c) || (c.is_control() && !matches!(c, '\n' | '\t')) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Rows with aligned columns; their cells are escaped already.
pub(crate) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|at| rows.iter().filter_map(|row| Some(row.get(at)?.len())).max().unwrap_or_default())
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

/// Escapes what is not printable ASCII, so that a journal's text cannot drive a terminal.
pub(crate) fn escaped(text: &str) -> String {
    text.chars()
        .map(
            |c| if matches!(c, ' '..='~') { c.to_string() } else { c.escape_unicode().to_string() },
        )
        .collect()
}

/// The same inside JSON, where what is not ASCII stands in strings alone.
pub(crate) fn escaped_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if matches!(c, ' '..='~') {
            out.push(c);
        } else {
            let mut units = [0; 2];
            out.extend(c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [["node", "by", ""], ["n1", "alice", "x"]].map(|row| row.map(str::to_owned));
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.to_vec()).collect();
        assert_eq!(aligned(&rows), ["node  by", "n1    alice  x"]);
        assert!(aligned(&[]).is_empty());
    }

    #[test]
    fn nothing_that_is_printed_drives_a_terminal() {
        let text = "a\tä …\n\x1b]0;x\u{7}\u{202e}\u{9b}\r";
        assert_eq!(harmless(text), "a\tä …\n\\u{1b}]0;x\\u{7}\\u{202e}\\u{9b}\\u{d}");
    }

    #[test]
    fn control_and_direction_bytes_are_escaped() {
        assert_eq!(escaped("a\x1b[31m\n\u{202e}b"), "a\\u{1b}[31m\\u{a}\\u{202e}b");
        let json = serde_json::to_string("a\x1b\u{7f}\u{202e}\u{1f600}\"").unwrap();
        let clean = escaped_json(&json);
        assert!(clean.bytes().all(|b| matches!(b, b' '..=b'~')), "{clean}");
        assert_eq!(
            serde_json::from_str::<String>(&clean).unwrap(),
            "a\x1b\u{7f}\u{202e}\u{1f600}\""
        );
    }
}
