//! What `xl list`, `xl list -v` and `xl vm-list` print, and how the list faults spoil it.
//!
//! Formats are xl 4.17's to the byte, as recorded (T13; a corpse's row: T82).

use std::fmt::Write;
use std::thread;

use super::state::{self, Reason, Record, State};
use super::{faults, out_bytes};

const HEADER: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)";
const VERBOSE: &str = "   UUID                            Reason-Code\tSecurity Label";
/// Domain-0's UUID.
pub const DOM0_UUID: &str = "00000000-0000-0000-0000-000000000000";
/// Domain-0's memory, MiB.
pub const DOM0_MEMORY: u64 = 1024;

/// One line of a listing.
pub struct Row {
    /// The domid.
    pub id: u32,
    /// The name, `(null)` where xenstore has none.
    pub name: String,
    /// The UUID.
    pub uuid: String,
    /// MiB.
    pub mem: u64,
    /// Virtual CPUs online.
    pub vcpus: u32,
    /// Six characters.
    pub state: String,
    /// CPU seconds.
    pub cpu: f64,
    /// Why it shut down.
    pub reason: Option<Reason>,
}

impl Row {
    /// Domain-0's.
    pub fn dom0() -> Self {
        Self {
            id: 0,
            name: "Domain-0".to_owned(),
            uuid: DOM0_UUID.to_owned(),
            mem: DOM0_MEMORY,
            vcpus: 1,
            state: "r-----".to_owned(),
            cpu: state::now() / 10.0,
            reason: None,
        }
    }

    /// A domain's.
    pub fn of(record: &Record) -> Self {
        let shut = record.shutdown;
        // A fresh guest is busy, later it mostly sleeps; either is normal.
        let idle = !record.paused && shut.is_none() && state::now() - record.born > 1.0;
        let flag = |set: bool, letter: char| if set { letter } else { '-' };
        let why = match shut {
            None | Some(Reason::Poweroff) => '-',
            Some(Reason::Reboot) => 'r',
            Some(Reason::Suspend) => 's',
            Some(Reason::Crash) => 'c',
        };
        let letters = [
            '-',
            flag(idle, 'b'),
            flag(record.paused, 'p'),
            flag(shut.is_some(), 's'),
            why,
            flag(record.dying, 'd'),
        ];
        Self {
            id: record.id,
            name: record.name.clone().unwrap_or_else(|| "(null)".to_owned()),
            uuid: record.uuid.clone(),
            mem: record.mem,
            vcpus: record.vcpus,
            state: letters.iter().collect(),
            cpu: record.cpu(),
            reason: shut,
        }
    }

    fn line(&self, verbose: bool) -> String {
        let Self { id, name, uuid, mem, vcpus, state, cpu, reason } = self;
        let mut line = format!("{name:<40} {id:>5} {mem:>5} {vcpus:>5}     {state}  {cpu:>8.1}");
        if verbose {
            let reason = reason.map_or_else(|| "-".to_owned(), |why| format!("{:x}", why as u32));
            let _ = write!(line, " {uuid} {reason:>8} {:>16}", "-");
        }
        line.push('\n');
        line
    }
}

/// Every row, Domain-0's first: one snapshot.
pub fn snapshot() -> Result<Vec<Row>, String> {
    let records = State::look()?.all();
    Ok(std::iter::once(Row::dom0()).chain(records.iter().map(Row::of)).collect())
}

/// The table of `xl list`.
pub fn table(rows: &[Row], verbose: bool) -> String {
    let mut text = HEADER.to_owned();
    if verbose {
        text += VERBOSE;
    }
    text.push('\n');
    text.extend(rows.iter().map(|row| row.line(verbose)));
    text
}

/// The table of `xl vm-list`.
pub fn vm_table(rows: &[Row]) -> String {
    let mut text = "UUID                                  ID    name\n".to_owned();
    for Row { id, name, uuid, .. } in rows {
        let _ = writeln!(text, "{uuid}  {id}    {name:<30}");
    }
    text
}

/// The table of `xl uptime` (T14).
pub fn uptimes() -> Result<String, String> {
    let now = state::now();
    let mut text = format!("{:<33} {:>4} {}\n", "Name", "ID", "Uptime");
    let mut row = |name: &str, id: u32, seconds: u64| {
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let _ = writeln!(text, "{name:<33} {id:>4} {hours:>2}:{minutes:02}:{:02}", seconds % 60);
    };
    row("Domain-0", 0, now as u64);
    for record in State::look()?.all() {
        let name = record.name.as_deref().unwrap_or("(null)");
        row(name, record.id, (now - record.born).max(0.0) as u64);
    }
    Ok(text)
}

/// Waits as `list-delay` says; before the snapshot.
pub fn delay() {
    thread::sleep(faults::delay("list-delay", None).unwrap_or_default());
}

/// Prints a listing, spoilt as the faults say; the answer is the exit code.
pub fn print(text: &str) -> i32 {
    thread::sleep(faults::delay("list-stale", None).unwrap_or_default());
    let Some(kind) = faults::get("list-garbage", None) else {
        out_bytes(text.as_bytes());
        return 0;
    };
    let half = text.trim_end().rfind('\n').map_or(0, |last| last + (text.len() - last) / 3);
    let half = text.as_bytes().get(..half).unwrap_or_default();
    match kind.as_str() {
        "truncated" => out_bytes(half),
        "no-header" => out_bytes(text.split_once('\n').map_or("", |(_, rows)| rows).as_bytes()),
        "no-dom0" => {
            let rows = text.split_inclusive('\n').filter(|row| !row.contains("Domain-0"));
            out_bytes(rows.collect::<String>().as_bytes());
        }
        "binary" => out_bytes(&(0..4096u32).map(|n| (n * 167 % 251) as u8).collect::<Vec<u8>>()),
        "partial-hang" => {
            out_bytes(half);
            faults::wait_while("list-garbage", None);
        }
        _ => {}
    }
    0
}
