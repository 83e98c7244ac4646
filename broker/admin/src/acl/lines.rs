//! Text for a terminal of 80 columns.

/// How wide a line may be.
pub(super) const WIDTH: usize = 80;

/// The words in lines that fit, the first behind `head`, the others below it. A word that is longer
/// than a line has one for itself.
pub(super) fn wrapped<W: AsRef<str>>(
    head: &str,
    words: impl IntoIterator<Item = W>,
) -> Vec<String> {
    let indent = head.chars().count();
    let mut lines = vec![head.to_owned()];
    let mut column = indent;
    for word in words {
        let word = word.as_ref();
        let length = word.chars().count();
        let is_first = column == indent;
        if !is_first && column.saturating_add(length).saturating_add(1) > WIDTH {
            lines.push(" ".repeat(indent));
            column = indent;
        }
        let Some(line) = lines.last_mut() else { continue };
        if column > indent {
            line.push(' ');
            column = column.saturating_add(1);
        }
        line.push_str(word);
        column = column.saturating_add(length);
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// A sentence in such lines.
pub(super) fn sentence(head: &str, text: &str) -> Vec<String> {
    wrapped(head, text.split_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_lose_no_word() {
        let text = "word ".repeat(60);
        let lines = sentence("  - ", &text);
        assert!(lines.len() > 3 && lines[0].starts_with("  - word"), "{lines:#?}");
        assert!(lines[1..].iter().all(|line| line.starts_with("    word")), "{lines:#?}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{lines:#?}");
        assert!(lines.iter().any(|line| line.len() > WIDTH - 6), "{lines:#?}");
        assert_eq!(lines.join(" ").matches("word").count(), 60);
        let long = "x".repeat(99);
        assert_eq!(wrapped("  ", [&*long, "y"]), [format!("  {long}"), "  y".to_owned()]);
        assert_eq!(sentence("head", ""), ["head"]);
    }
}
