//! Records as a table for the eye, nothing in it unescaped.

use crate::output::escaped;
use serde_json::{Map, Value};

const COLUMNS: [&str; 8] =
    ["time", "cluster", "caller", "event", "action", "node", "result", "text"];

/// Rows with aligned columns, the heading first.
pub(super) fn table(records: &[Map<String, Value>]) -> Vec<String> {
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    rows.extend(records.iter().map(|record| COLUMNS.map(|column| cell(record, column))));
    let widths: Vec<_> = (0..COLUMNS.len())
        .map(|column| rows.iter().filter_map(|row| Some(row.get(column)?.len())).max())
        .map(Option::unwrap_or_default)
        .collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

/// One value as a person reads it, escaped; `-` where the record has none.
pub(super) fn cell(record: &Map<String, Value>, key: &str) -> String {
    let text = match record.get(key) {
        None | Some(Value::Null) => return "-".to_owned(),
        Some(Value::String(text)) => escaped(text),
        Some(other) => escaped(&other.to_string()),
    };
    if text.is_empty() { "-".to_owned() } else { text }
}
