//! What of a recording may differ from one machine and one run to the next, taken out of it.
//!
//! Nothing that a fence reads goes: names, domids, UUIDs, the letters p, s, their reason and d.

use std::collections::HashMap;

/// A recording, or the same step in the stand-in's dom0, as far as it can be compared: exit code,
/// standard output, standard error.
pub fn normal(step: &str, text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut counters = HashMap::new();
    // The command is the same on both sides, but for the domid of what it is given.
    for line in text.lines().skip_while(|line| !line.starts_with("exit code: ")) {
        if line.starts_with("wall time: ") {
            continue;
        }
        let line = row(line).or_else(|| info(step, line)).unwrap_or_else(|| words(line));
        lines.push(relative(&line, &mut counters));
    }
    if POLLED.iter().any(|polled| step.starts_with(polled)) {
        lines = stages(&lines);
    }
    if step.starts_with("44-") {
        either_first(&mut lines);
    }
    lines.join("\n") + "\n"
}

/// Of two at once, which comes first is chance.
fn either_first(lines: &mut [String]) {
    let mut both: Vec<&mut String> =
        lines.iter_mut().filter(|line| line.contains("t rc=") || line.contains("d rc=")).collect();
    let mut codes: Vec<String> =
        both.iter().filter_map(|line| Some(line.split_once("rc=")?.1.to_owned())).collect();
    codes.sort();
    for (line, code) in both.iter_mut().zip(codes) {
        **line = format!("one of them: rc={code}");
    }
}

/// Several recordings of one thing as one: every stage that any of them shows, each after the one that
/// it was seen after.
pub fn merged(rounds: &[String]) -> String {
    let mut merged: Vec<&str> = Vec::new();
    for round in rounds {
        let mut after = 0;
        for line in round.lines() {
            match merged.iter().skip(after).position(|known| *known == line) {
                Some(further) => after += further + 1,
                None if merged.contains(&line) => {}
                None => {
                    merged.insert(after, line);
                    after += 1;
                }
            }
        }
    }
    merged.join("\n") + "\n"
}

/// Steps that list again and again while something goes on. How often a stage is seen is chance.
const POLLED: [&str; 4] = ["60-", "77-", "97-", "98-"];

/// A row of `xl list`: CPU seconds and whether it runs just now are nobody's; dom0's size is the
/// machine's.
fn row(line: &str) -> Option<String> {
    let name = line.get(..40)?;
    let rest: Vec<&str> = line.get(40..)?.split_whitespace().collect();
    let [id, _memory, _vcpus, state, seconds, more @ ..] = rest.as_slice() else { return None };
    let is_row = state.len() == 6 && seconds.parse::<f64>().is_ok() && id.parse::<u32>().is_ok();
    let letters = state.get(2..).filter(|_| is_row)?;
    // The columns themselves are compared: where the fields begin and how wide they are.
    let after = line.find(seconds)? + seconds.len();
    let more = if more.is_empty() { "" } else { line.get(after..)? };
    let front = if *id == "0" {
        format!("{name} {id} M V")
    } else {
        line.get(..line.len().min(58))?.to_owned()
    };
    Some(format!("{front}     --{letters}  T{more}"))
}

/// A line of `xl info`: what the machine is made of is its own.
fn info(step: &str, line: &str) -> Option<String> {
    const XEN: [&str; 5] = ["xen_major", "xen_minor", "xen_scheduler", "xen_pagesize", "xend_conf"];
    let (key, _) = line.split_once(':').filter(|_| step.starts_with("07-"))?;
    let of_xen = XEN.iter().any(|of_xen| key.starts_with(of_xen));
    Some(if of_xen { line.to_owned() } else { format!("{key}: …") })
}

/// Times, process ids, addresses of memory, terminals.
fn words(line: &str) -> String {
    let mut line = line.to_owned();
    if line.starts_with("--- ") && line.get(4..5).is_some_and(|c| c.parse::<u8>().is_ok()) {
        return "--- TIME".to_owned();
    }
    for (front, back) in [
        ("block add [", "]"),
        ("ring-ref = \"", "\""),
        ("tty = \"/dev/pts/", "\""),
        ("event-channel = \"", "\""),
        ("process [", "]"),
        ("multi-queue-max-queues = \"", "\""),
    ] {
        let Some(at) = line.find(front).map(|at| at + front.len()) else { continue };
        let length = line.get(at..).and_then(|rest| rest.find(back)).unwrap_or_default();
        line.replace_range(at..at + length, "N");
    }
    // dom0's size, in `xl list -l`; each guest has 128 MiB.
    if line.contains("_memkb\": ") && !line.ends_with(" 131072,") {
        let value = line.find(": ").map_or(0, |colon| colon + 2);
        line.replace_range(value.., "M,");
    }
    // xl uptime: hours, right-justified in two places, minutes and seconds at the end.
    let time = line.rsplit(' ').next().unwrap_or_default();
    let parts: Vec<&str> = time.split(':').collect();
    if parts.len() == 3 && parts.iter().all(|part| part.parse::<u32>().is_ok()) {
        let start = line.len() - time.len().max("HH:MM:SS".len());
        line.replace_range(start.., "TIME");
    }
    line
}

/// A sector, "NAME NUMBER UPTIME": the number as it stands to the first one of that name. That it
/// is the same, or one more, is what such a step is about.
fn relative(line: &str, first: &mut HashMap<String, i64>) -> String {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [.., name, number, uptime] = fields.as_slice() else { return line.to_owned() };
    let (Ok(number), Ok(_), true) =
        (number.parse::<i64>(), uptime.parse::<f64>(), uptime.contains('.'))
    else {
        return line.to_owned();
    };
    let more = number - *first.entry((*name).to_owned()).or_insert(number);
    let more = match more {
        0 => "n",
        1 => "n + 1",
        2.. => "more than n + 1",
        _ => "less than n",
    };
    let at = line.rfind(name).unwrap_or_default();
    format!("{}{name} {more}", line.get(..at).unwrap_or_default())
}

/// Of listings one after the other, each stage once: a row is dropped where that domain's row was
/// the same when it was last seen. Domids count from the first one here, and of memory that comes or
/// goes only that it is some.
fn stages(lines: &[String]) -> Vec<String> {
    let mut last: HashMap<u32, String> = HashMap::new();
    let (mut first, mut kept) = (None, Vec::new());
    for line in lines {
        if line == "--- TIME" || line.starts_with("Name  ") || line.starts_with("Domain-0 ") {
            continue;
        }
        let Some(domid) = line.get(40..46).and_then(|domid| domid.trim().parse::<u32>().ok())
        else {
            kept.push(line.clone());
            continue;
        };
        let whole = line.get(46..52).map(str::trim).filter(|memory| matches!(*memory, "0" | "128"));
        let memory = whole.unwrap_or("some");
        let relative = domid - *first.get_or_insert(domid);
        let (name, rest) = (line.get(..40).unwrap_or_default(), line.get(52..).unwrap_or_default());
        let row = format!("{name} +{relative} {memory:>6}{rest}");
        // The end of an ordinary destroy, for an instant: 79 and 82 show it standing.
        let instant = row.contains("(null)") && row.contains(" --p--d ") && memory == "0";
        if !instant && last.insert(domid, row.clone()).as_ref() != Some(&row) {
            kept.push(row);
        }
    }
    kept
}
