//! Where records go: as a table, or as JSON, a line each.

use super::table::Table;
use crate::Format;
use crate::output::{escaped_json, say};
use serde_json::{Map, Value};

/// Where records go.
pub(super) enum Printer {
    Table(Table),
    Json,
}

impl Printer {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Table => {
                let width = terminal_size::terminal_size_of(std::io::stdout());
                Self::Table(Table::new(width.map(|(width, _)| usize::from(width.0))))
            }
        }
    }

    /// Prints a record; false once nobody reads it.
    pub(super) fn show(&mut self, record: &Map<String, Value>) -> bool {
        match self {
            Self::Json => say(escaped_json(&Value::Object(record.clone()).to_string())),
            Self::Table(table) => table.add(record).iter().all(say),
        }
    }

    /// Prints what waits for more, which may not come.
    pub(super) fn settle(&mut self) -> bool {
        match self {
            Self::Json => true,
            Self::Table(table) => table.settle().iter().all(say),
        }
    }
}
