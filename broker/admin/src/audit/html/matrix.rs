//! The matrix of the report: callers by domains, as a picture that shows at a glance whether each
//! cluster's squares stay in its own block. The picture is text and lines (SVG); the words in its
//! squares say what the colours do.

use super::text;
use std::fmt::Write as _;

/// What a caller may do to a node, by the worst of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Strength {
    /// Nothing.
    None,
    /// Ask for its state.
    Look,
    /// Power it on.
    Start,
    /// Kill it.
    Kill,
}

/// A domain.
pub(crate) struct Column {
    /// The cluster; none for one that is in none.
    pub(crate) cluster: Option<String>,
    /// Its node, where it is one.
    pub(crate) node: Option<String>,
    /// Its Xen name.
    pub(crate) domain: String,
}

/// A caller.
pub(crate) struct Row {
    /// Its cluster.
    pub(crate) cluster: String,
    /// `node node1` or `operator nagios`.
    pub(crate) caller: String,
    /// What it may do to the domain of each column, and the words for it, such as `reset off status`.
    pub(crate) cells: Vec<(Strength, String)>,
}

/// Who may do what to whom.
pub(crate) struct Matrix {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Row>,
}

impl Strength {
    const fn class(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Look => "look",
            Self::Start => "start",
            Self::Kill => "kill",
        }
    }

    /// One letter, for who sees no colours.
    const fn letter(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Look => "s",
            Self::Start => "o",
            Self::Kill => "K",
        }
    }
}

/// Width and height of a square, and of a letter, in the picture's units.
const SQUARE: usize = 26;
const LETTER: usize = 7;

/// The picture, its legend, and the same as a table for who cannot see it.
pub(super) fn section(matrix: &Matrix) -> String {
    if matrix.rows.is_empty() {
        return "<p>No cluster has a policy: nobody may do anything.</p>\n".to_owned();
    }
    let mut out = String::from(
        "<p class=\"legend\"><span class=\"key kill\">K</span> may kill (reset or off) \
         <span class=\"key start\">o</span> may power on, not kill \
         <span class=\"key look\">s</span> may ask for its state \
         <span class=\"key none\">&nbsp;</span> nothing</p>\n",
    );
    let _ = writeln!(out, "<div class=\"wide\">{}</div>", picture(matrix));
    out.push_str("<details><summary>The same in words</summary>\n<div class=\"wide\"><table>\n");
    out.push_str(
        "<thead><tr><th>cluster</th><th>who</th><th>domain</th><th>may</th></tr></thead>\n<tbody>\n",
    );
    for row in &matrix.rows {
        for (column, (_, words)) in matrix.columns.iter().zip(&row.cells) {
            if !words.is_empty() {
                let _ = writeln!(
                    out,
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
                    text(&row.cluster),
                    text(&row.caller),
                    text(&column.domain),
                    text(words)
                );
            }
        }
    }
    out.push_str("</tbody>\n</table></div></details>\n");
    out
}

fn picture(matrix: &Matrix) -> String {
    let label = |row: &Row| format!("{} {}", row.cluster, row.caller);
    let longest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let left = longest(&mut matrix.rows.iter().map(|row| label(row).len())) * LETTER + 12;
    let top = longest(&mut matrix.columns.iter().map(|it| it.domain.len())) * LETTER + 12;
    let width = left + matrix.columns.len() * SQUARE + top / 2;
    let height = top + matrix.rows.len() * SQUARE + 4;
    let mut out = format!(
        "<svg class=\"matrix\" role=\"img\" aria-label=\"callers by domains\" width=\"{width}\" \
         height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n"
    );
    for (at, column) in matrix.columns.iter().enumerate() {
        let (x, y) = (left + at * SQUARE + SQUARE / 2 + 4, top - 8);
        let class = if column.cluster.is_none() { "stray" } else { "domain" };
        let of = match (&column.cluster, &column.node) {
            (Some(cluster), Some(node)) => format!("{}: {cluster}'s {node}", column.domain),
            _ => format!("{}: in no cluster", column.domain),
        };
        let _ = writeln!(
            out,
            "<text class=\"{class}\" transform=\"translate({x} {y}) rotate(-60)\">{}<title>{}</title></text>",
            text(&column.domain),
            text(&of)
        );
    }
    for (line, row) in matrix.rows.iter().enumerate() {
        let y = top + line * SQUARE;
        let _ = writeln!(
            out,
            "<text class=\"caller\" x=\"{}\" y=\"{}\">{}</text>",
            left - 8,
            y + SQUARE / 2 + 4,
            text(&label(row))
        );
        for (at, (column, (strength, words))) in matrix.columns.iter().zip(&row.cells).enumerate() {
            let x = left + at * SQUARE;
            let at_home = column.cluster.as_ref() == Some(&row.cluster);
            let home = if at_home { " home" } else { "" };
            let may = if words.is_empty() { "nothing" } else { words };
            let _ = writeln!(
                out,
                "<g><rect class=\"{}{home}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"/>\
                 <text class=\"letter\" x=\"{}\" y=\"{}\">{}</text><title>{} at {}: {}</title></g>",
                strength.class(),
                x + 1,
                y + 1,
                SQUARE - 2,
                SQUARE - 2,
                x + SQUARE / 2,
                y + SQUARE / 2 + 4,
                strength.letter(),
                text(&label(row)),
                text(&column.domain),
                text(may)
            );
        }
    }
    out.push_str("</svg>");
    out
}
