//! A record as syslog has it: one line, whose field names stay as they are.
//!
//! Each such line names the number of its record and the head of the chain behind it. So a journal
//! whose last lines were cut off, or that was written anew as a whole, is contradicted by syslog; and
//! a remote syslog is out of the reach of whoever is root here. What reads a line stands beside what
//! writes it.

use super::record::{Event, Record};
use xen_fence_protocol::Text;

/// The program's name before each line.
pub const TAG: &str = "xen-fence-broker";
/// No line is longer, without what syslog puts before it. Relays by RFC 3164 cut at 1024 bytes, so what
/// may be long stands at the end.
pub const LONGEST_ANCHOR: usize = 2000;
/// So many hexadecimal digits tell one head from another.
const SHORTEST_HEAD: usize = 16;

/// Whether the journal has the record.
#[derive(Clone, Copy, Debug)]
pub enum Kept<'a> {
    /// It is on disk, and the head of the chain is this.
    InJournal {
        /// Its number.
        n: u64,
        /// The hash of its line.
        head: &'a str,
    },
    /// It is not, for this reason.
    Lost(&'a str),
    /// There is no journal for it, or it is none of its records.
    Nowhere,
}

/// What a line of syslog says of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The dom0 whose journal it is.
    pub dom0: String,
    /// The cluster whose journal it is.
    pub cluster: String,
    /// The record's number, and the hash of its line or the beginning of that; none of a record that the
    /// journal did not take.
    pub kept: Option<(u64, String)>,
}

/// The line for a record of this dom0.
#[must_use]
pub fn line(dom0: &str, record: &Record, kept: Kept<'_>) -> String {
    let mut line = Line::default();
    line.field("cluster", &record.cluster);
    line.field("dom0", dom0);
    match kept {
        Kept::InJournal { n, head } => {
            line.field("n", &n.to_string());
            line.field("head", head);
        }
        Kept::Lost(why) => line.field("lost", &format!("NOT in the journal: {why}")),
        Kept::Nowhere => {}
    }
    let number = |number: Option<u64>| number.map(|number| number.to_string());
    let event = |event: Option<Event>| event.map(word);
    let decision = record.decision.map(word);
    for (name, value) in [
        ("event", event(record.event)),
        ("action", record.action.clone()),
        ("node", record.node.clone()),
        ("result", record.result.clone()),
        ("decision", decision),
        ("caller", record.caller.clone()),
        ("from", record.from.clone()),
        ("account", record.account.clone()),
        ("key", record.key.clone()),
        ("domain", record.domain.clone()),
        ("domid", number(record.domid.map(u64::from))),
        ("uuid", record.uuid.clone()),
        ("request", record.request.clone()),
        ("closes", number(record.closes)),
        ("of", event(record.of)),
        ("more", number(record.more)),
        ("took_ms", number(record.took_ms)),
        ("version", record.version.clone()),
        ("text", record.text.clone()),
        ("rule", record.rule.clone()),
    ] {
        if let Some(value) = value {
            line.field(name, &value);
        }
    }
    line.0
}

/// The word that the journal has for it.
fn word(value: impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(other) => other.to_string(),
        Err(_) => "-".to_owned(),
    }
}

/// A line as it grows.
#[derive(Default)]
struct Line(String);

impl Line {
    /// Adds a field, its value in quotation marks where it is not one plain word. What is too long is cut
    /// and says so; a field for which there is no room at all is left out.
    fn field(&mut self, name: &str, value: &str) {
        const CUT: &str = " [cut]";
        let value = Text::escaped(value);
        let value = value.as_str();
        let plain = value.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'/' | b'+')
        });
        let gap = usize::from(!self.0.is_empty());
        // The name, "=", and two quotation marks.
        let around = gap.saturating_add(name.len()).saturating_add(3);
        let room = LONGEST_ANCHOR.saturating_sub(self.0.len()).saturating_sub(around);
        let mut quoted = String::with_capacity(value.len());
        for character in value.chars() {
            let escape = if matches!(character, '"' | '\\') { "\\" } else { "" };
            if quoted.len().saturating_add(escape.len()).saturating_add(1 + CUT.len()) > room {
                quoted.push_str(CUT);
                break;
            }
            quoted.push_str(escape);
            quoted.push(character);
        }
        if room < CUT.len() {
            return;
        }
        if gap > 0 {
            self.0.push(' ');
        }
        self.0.push_str(name);
        self.0.push('=');
        if plain && quoted.len() == value.len() {
            self.0.push_str(&quoted);
        } else {
            self.0.extend(["\"", &quoted, "\""]);
        }
    }
}

impl Anchor {
    /// Reads a line as a syslog daemon or journalctl writes it. None for lines of other programs, and for
    /// those of records that no journal has.
    #[must_use]
    pub fn read(line: &str) -> Option<Self> {
        let at = line.find("cluster=")?;
        let (before, message) = line.split_at_checked(at)?;
        if !is_ours(before) {
            return None;
        }
        let (mut dom0, mut cluster, mut n, mut head, mut lost) = (None, None, None, None, None);
        let mut rest = message;
        while let Some((name, value, behind)) = next_field(rest) {
            rest = behind;
            let known = match name {
                "dom0" => &mut dom0,
                "cluster" => &mut cluster,
                "n" => &mut n,
                "head" => &mut head,
                "lost" => &mut lost,
                // They all stand before this one; what follows is told in other people's words.
                "event" => break,
                _ => continue,
            };
            if known.is_none() {
                *known = Some(value.to_owned());
            }
        }
        let is_head = |head: &String| {
            head.len() >= SHORTEST_HEAD && head.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let kept = match lost {
            Some(_) => None,
            None => Some((n?.parse().ok()?, head.filter(is_head)?)),
        };
        Some(Self { dom0: dom0?, cluster: cluster?, kept })
    }
}

/// Whether our tag stands before a message, or nothing does.
fn is_ours(before: &str) -> bool {
    let before = before.trim_end();
    let tag = before.split_ascii_whitespace().next_back();
    let pid = tag.and_then(|tag| tag.strip_prefix(TAG)?.strip_prefix('[')?.strip_suffix("]:"));
    before.is_empty() || pid.is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A field's name and value, and what stands behind it. Values that are read are never escaped.
fn next_field(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.trim_start().split_once('=')?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c: char| {
            let is_end = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            is_end
        })?;
        let (value, behind) = quoted.split_at_checked(end)?;
        return Some((name, value, behind.get(1..)?));
    }
    let (value, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((name, value, behind))
}

#[cfg(test)]
mod tests;
