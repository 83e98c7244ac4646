//! What the journals say was done and refused: a line of days, and each deed in words.

use super::text;
use std::fmt::Write as _;

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Killed, and the death proven.
    Killed,
    /// Something was tried and failed, or its end is not known.
    Failed,
    /// Refused.
    Refused,
    /// Powered on.
    Started,
}

/// One thing that was done or refused.
pub(crate) struct Deed {
    pub(crate) kind: Kind,
    /// RFC 3339, UTC.
    pub(crate) time: String,
    pub(crate) cluster: String,
    pub(crate) caller: String,
    pub(crate) from: String,
    pub(crate) action: String,
    pub(crate) node: String,
    /// `fenced killed`, or the refusal's reason.
    pub(crate) result: String,
    /// A sentence.
    pub(crate) text: String,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Killed, Self::Failed, Self::Refused, Self::Started];

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Killed => "killed",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Started => "started",
        }
    }
}

/// Days and deeds.
pub(super) fn section(deeds: &[Deed], left_out: usize, unread: &[String]) -> String {
    let mut out = String::new();
    for why in unread {
        let _ = writeln!(out, "<p>Not all that was done is on this page: {}.</p>", text(why));
    }
    if deeds.is_empty() {
        let read = if unread.is_empty() { "The journals" } else { "The other journals" };
        let _ = writeln!(out, "<p>{read} hold no kill and no refusal.</p>");
        return out;
    }
    out.push_str(&days(deeds));
    if left_out > 0 {
        let _ = writeln!(
            out,
            "<p>{left_out} older ones are not on this page; <code>xen-fence-admin log</code> shows \
             them.</p>"
        );
    }
    out.push_str(
        "<div class=\"wide\"><table class=\"deeds\">\n<thead><tr><th>time (UTC)</th><th>cluster</th>\
         <th>who</th><th>from</th><th>asked</th><th>came to</th></tr></thead>\n<tbody>\n",
    );
    for deed in deeds.iter().rev() {
        let asked = format!("{} {}", deed.action, deed.node);
        let words = if deed.text.is_empty() { &deed.result } else { &deed.text };
        let _ = writeln!(
            out,
            "<tr><td><time>{}</time></td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td><span \
             class=\"badge {word}\">{word}</span> {}</td></tr>",
            text(&deed.time),
            text(&deed.cluster),
            text(&deed.caller),
            text(&deed.from),
            text(asked.trim_end()),
            text(words),
            word = deed.kind.word(),
        );
    }
    out.push_str("</tbody>\n</table></div>\n");
    out
}

/// How many days the line has at most; it ends with the last deed.
const DAYS: usize = 60;
const WIDTH: usize = 14;
const HEIGHT: usize = 72;

/// A column for each day on which something was done, stacked by what it came to.
fn days(deeds: &[Deed]) -> String {
    let mut days: Vec<(&str, [usize; 4])> = Vec::new();
    for deed in deeds {
        let day = deed.time.get(..10).unwrap_or("unknown");
        if days.last().is_none_or(|(last, _)| *last != day) {
            days.push((day, [0; 4]));
        }
        let place = Kind::ALL.iter().position(|kind| *kind == deed.kind);
        let counts = days.last_mut().map(|(_, counts)| counts);
        if let Some(count) = place.zip(counts).and_then(|(at, counts)| counts.get_mut(at)) {
            *count = count.saturating_add(1);
        }
    }
    let days = days.get(days.len().saturating_sub(DAYS)..).unwrap_or_default();
    let most =
        days.iter().map(|(_, counts)| counts.iter().sum::<usize>()).max().unwrap_or(1).max(1);
    let width = (days.len() * WIDTH).max(170);
    let mut out = format!(
        "<div class=\"wide\"><svg class=\"days\" role=\"img\" aria-label=\"deeds a day\" \
         width=\"{width}\" height=\"{}\" viewBox=\"0 0 {width} {}\">\n",
        HEIGHT + 20,
        HEIGHT + 20
    );
    for (at, (day, counts)) in days.iter().enumerate() {
        let mut y = HEIGHT;
        let said: Vec<_> = Kind::ALL
            .iter()
            .zip(counts)
            .filter(|(_, count)| **count > 0)
            .map(|(kind, count)| format!("{count} {}", kind.word()))
            .collect();
        let _ = write!(out, "<g><title>{}: {}</title>", text(day), said.join(", "));
        for (kind, count) in Kind::ALL.iter().zip(counts).filter(|(_, count)| **count > 0) {
            let height = (count * (HEIGHT - 4)).div_ceil(most).max(2);
            y = y.saturating_sub(height);
            let _ = write!(
                out,
                "<rect class=\"{}\" x=\"{}\" y=\"{y}\" width=\"{}\" height=\"{height}\"/>",
                kind.word(),
                at * WIDTH + 1,
                WIDTH - 3,
            );
        }
        out.push_str("</g>\n");
    }
    let _ = writeln!(out, "<line x1=\"0\" y1=\"{HEIGHT}\" x2=\"{width}\" y2=\"{HEIGHT}\"/>");
    if let (Some((first, _)), Some((last, _))) = (days.first(), days.last()) {
        let y = HEIGHT + 14;
        let _ = writeln!(out, "<text x=\"0\" y=\"{y}\">{}</text>", text(first));
        if first != last {
            let _ =
                writeln!(out, "<text x=\"{width}\" y=\"{y}\" class=\"last\">{}</text>", text(last));
        }
    }
    out.push_str(
        "</svg></div>\n<p class=\"legend\">Each day on which something was asked, at most 60: ",
    );
    let keys = Kind::ALL
        .map(|kind| format!("<span class=\"key {word}\">&nbsp;</span> {word}", word = kind.word()));
    out.push_str(&keys.join(" "));
    out.push_str("</p>\n");
    out
}
