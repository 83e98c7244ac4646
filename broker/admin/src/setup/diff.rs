//! What changes in a text, line by line, for a person who is about to say yes to it.

use crate::output::escaped;

/// How many lines are shown around a change.
const AROUND: usize = 2;
/// More lines than this are not compared one by one: they are shown as gone and come.
const MOST: usize = 2000;

/// One line of two texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line<'a> {
    Both(&'a str),
    Gone(&'a str),
    Come(&'a str),
}

/// The changed lines with a few around each, escaped and indented: `  - old`, `  + new`.
pub(super) fn changes(old: &str, new: &str) -> Vec<String> {
    let lines = compare(&old.lines().collect::<Vec<_>>(), &new.lines().collect::<Vec<_>>());
    let changed: Vec<bool> = lines.iter().map(|line| !matches!(line, Line::Both(_))).collect();
    let near = |at: usize| {
        let range = at.saturating_sub(AROUND)..at.saturating_add(AROUND + 1).min(changed.len());
        changed.get(range).is_some_and(|lines| lines.contains(&true))
    };
    let mut shown = Vec::new();
    let mut skipped = false;
    for (at, line) in lines.iter().enumerate() {
        if !near(at) {
            skipped = true;
            continue;
        }
        if std::mem::take(&mut skipped) {
            shown.push("  ...".to_owned());
        }
        let (sign, text) = match line {
            Line::Both(text) => (' ', text),
            Line::Gone(text) => ('-', text),
            Line::Come(text) => ('+', text),
        };
        shown.push(format!("  {sign} {}", escaped(text)).trim_end().to_owned());
    }
    shown
}

/// The lines of a new file, without its comments.
pub(super) fn without_comments(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .map(|line| format!("  + {}", escaped(line)))
        .collect()
}

/// Both texts in one: what they have in common at both ends, and what is between.
fn compare<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    let head = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (begin, old) = old.split_at(head);
    let new = new.get(head..).unwrap_or_default();
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, end) = old.split_at(old.len().saturating_sub(tail));
    let new = new.get(..new.len().saturating_sub(tail)).unwrap_or_default();
    let both = |lines: &[&'a str]| lines.iter().map(|line| Line::Both(line)).collect::<Vec<_>>();
    [both(begin), between(old, new), both(end)].concat()
}

/// By the longest common subsequence, unless that would take long.
fn between<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    if old.len().max(new.len()) > MOST {
        let gone = old.iter().map(|line| Line::Gone(line));
        return gone.chain(new.iter().map(|line| Line::Come(line))).collect();
    }
    // The length of the longest one from each pair of lines on.
    let mut lengths = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    let length = |lengths: &[Vec<u16>], at: usize, to: usize| {
        lengths.get(at).and_then(|row| row.get(to)).copied().unwrap_or_default()
    };
    for (at, one) in old.iter().enumerate().rev() {
        for (to, other) in new.iter().enumerate().rev() {
            let longest = if one == other {
                length(&lengths, at + 1, to + 1).saturating_add(1)
            } else {
                length(&lengths, at + 1, to).max(length(&lengths, at, to + 1))
            };
            if let Some(cell) = lengths.get_mut(at).and_then(|row| row.get_mut(to)) {
                *cell = longest;
            }
        }
    }
    let (mut at, mut to, mut lines) = (0, 0, Vec::new());
    loop {
        match (old.get(at), new.get(to)) {
            (None, None) => return lines,
            (Some(one), Some(other)) if one == other => {
                lines.push(Line::Both(one));
                (at, to) = (at + 1, to + 1);
            }
            (Some(one), other)
                if other.is_none()
                    || length(&lengths, at + 1, to) >= length(&lengths, at, to + 1) =>
            {
                lines.push(Line::Gone(one));
                at += 1;
            }
            (_, Some(other)) => {
                lines.push(Line::Come(other));
                to += 1;
            }
            (Some(one), None) => {
                lines.push(Line::Gone(one));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_stand_among_their_neighbours() {
        let old = "a\nb\nc\nd\ne\nf\ng\nh\n";
        let new = "a\nb\nc\nD\ne\nf\ng\nh\ni\x1b\n";
        let shown = changes(old, new);
        let expected =
            ["  ...", "    b", "    c", "  - d", "  + D", "    e", "    f", "    g", "    h"];
        assert_eq!(shown[..9], expected);
        assert_eq!(shown[9], "  + i\\u{1b}");
        assert_eq!(changes(old, old), ["  ..."; 0].to_vec());
        assert_eq!(changes("", "x\n"), ["  + x"]);
        assert_eq!(changes("x\n", ""), ["  - x"]);
        assert_eq!(
            changes("a\nx\nb\nc\n", "x\nb\ny\nc\n"),
            ["  - a", "    x", "    b", "  + y", "    c"]
        );
    }

    #[test]
    fn a_huge_change_is_shown_without_being_compared() {
        let of = |word: &str| format!("{word}\n").repeat(MOST + 1);
        assert_eq!(changes(&of("a"), &of("b")).len(), 2 * (MOST + 1));
    }

    #[test]
    fn a_new_file_is_shown_without_its_comments() {
        assert_eq!(
            without_comments("# c\n\nPort 1\n  # d\n  x # y\n"),
            ["  + Port 1", "  +   x # y"]
        );
    }
}
