//! A domain's configuration, read as far as it can be: xl's syntax (xl.cfg(5)) whole, xm's as far as
//! it is plain assignments, because it is Python and nothing here runs it.
//!
//! What is not understood is a doubt with its line, so that no disk is lost without a word. The
//! broker reads as root with a smaller and stricter reader of its own.

mod disk;
mod lexer;
mod parse;
#[cfg(test)]
mod spellings;
#[cfg(test)]
mod tests;

pub(crate) use disk::Disk;
use std::collections::BTreeMap;
use xen_fence_broker::names::Uuid;
use xen_fence_broker::settings::ToolstackKind;

/// The keys whose words qemu gets as they are.
pub(crate) const MODEL_ARGS: [&str; 3] =
    ["device_model_args", "device_model_args_pv", "device_model_args_hvm"];
/// Those of them that give it a disk to write (qemu(1)).
const DRIVES: [&str; 9] =
    ["drive", "blockdev", "hda", "hdb", "hdc", "hdd", "sd", "mtdblock", "pflash"];

/// What a configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DomainConfig {
    settings: BTreeMap<String, Setting>,
    disks: Vec<Disk>,
    doubts: Vec<Doubt>,
}

/// One key: the line of its value, and the value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Setting {
    line: usize,
    value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Value {
    /// A string or a number.
    Text(String),
    /// A list, each value with its line.
    List(Vec<(usize, Self)>),
}

/// What could not be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// The line on which it begins.
    pub(crate) line: usize,
    /// Why, in words that go on after the line.
    pub(crate) why: String,
}

impl DomainConfig {
    /// Reads a text as this toolstack does.
    pub(crate) fn parse(text: &str, toolstack: ToolstackKind) -> Self {
        let mut config = match toolstack {
            ToolstackKind::Xl => parse::xl(text),
            ToolstackKind::Xm => parse::xm(text),
        };
        config.read_disks(toolstack);
        let drives: Vec<Doubt> =
            MODEL_ARGS.iter().filter_map(|key| config.own_drive(key)).collect();
        config.doubts.extend(drives);
        config.doubts.sort_by_key(|doubt| doubt.line);
        config
    }

    /// The string or number that a key was last set to, with its line.
    pub(crate) fn text(&self, key: &str) -> Option<(usize, &str)> {
        match self.settings.get(key) {
            Some(Setting { line, value: Value::Text(text) }) => Some((*line, text)),
            Some(_) | None => None,
        }
    }

    /// The strings of a list, each with its line. A string alone counts as a list of one.
    pub(crate) fn list(&self, key: &str) -> Vec<(usize, &str)> {
        match self.settings.get(key) {
            Some(Setting { value: Value::List(items), .. }) => items
                .iter()
                .filter_map(|(line, item)| match item {
                    Value::Text(text) => Some((*line, text.as_str())),
                    Value::List(_) => None,
                })
                .collect(),
            Some(Setting { line, value: Value::Text(text) }) => vec![(*line, text)],
            None => Vec::new(),
        }
    }

    /// The line on which a key is set to something else than nothing, zero or an empty list.
    pub(crate) fn wants(&self, key: &str) -> Option<usize> {
        let Setting { line, value } = self.settings.get(key)?;
        let empty = match value {
            Value::Text(text) => matches!(text.trim(), "" | "0"),
            Value::List(items) => items.is_empty(),
        };
        (!empty).then_some(*line)
    }

    /// Its UUID, if it says one.
    pub(crate) fn uuid(&self) -> Option<Uuid> {
        Uuid::parse(self.text("uuid")?.1).ok()
    }

    /// Its name, if it says one.
    pub(crate) fn name(&self) -> Option<&str> {
        self.text("name").map(|(_, name)| name)
    }

    /// Its disks.
    pub(crate) fn disks(&self) -> &[Disk] {
        &self.disks
    }

    /// What could not be told, in the order of the file.
    pub(crate) fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// Whether it says anything that a domain has, and settings of other programs do not.
    pub(crate) fn is_of_a_domain(&self) -> bool {
        let has = |key: &str| self.settings.contains_key(key);
        has("disk") || has("uuid") || has("name") && (has("memory") || has("kernel"))
    }

    fn read_disks(&mut self, toolstack: ToolstackKind) {
        let Some(Setting { line, value }) = self.settings.get("disk") else { return };
        let items = match value {
            Value::List(items) => items.as_slice(),
            Value::Text(text) if text.is_empty() => &[],
            Value::Text(_) => {
                let why = "disk is no list: the toolstack gives the domain no disk".to_owned();
                self.doubts.push(Doubt { line: *line, why });
                return;
            }
        };
        for (line, item) in items {
            let read = match item {
                Value::Text(text) => match toolstack {
                    ToolstackKind::Xl => Disk::of_xl(text, *line),
                    ToolstackKind::Xm => Disk::of_xm(text, *line),
                }
                .map_err(|why| format!("the disk {text:?} cannot be read: {why}")),
                Value::List(_) => Err("a list stands where a disk should".to_owned()),
            };
            match read {
                Ok(disk) => self.disks.push(disk),
                Err(why) => self.doubts.push(Doubt { line: *line, why }),
            }
        }
    }

    /// A drive that qemu gets by its own words, past the list of disks.
    fn own_drive(&self, key: &str) -> Option<Doubt> {
        let is_drive = |(_, word): &(usize, &str)| {
            let name = word.split_whitespace().next().unwrap_or_default();
            name.starts_with('-') && DRIVES.contains(&name.trim_start_matches('-'))
        };
        let (line, word) = self.list(key).into_iter().find(is_drive)?;
        let why = format!("`{word}` in {key} is for qemu, and is not read here");
        Some(Doubt { line, why })
    }
}
