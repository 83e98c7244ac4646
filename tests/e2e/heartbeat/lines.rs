//! What the resources have written: "NODE NUMBER UPTIME", a line each 20 ms, from 1 with each start.

/// One of the lines.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) node: String,
    pub(super) number: u64,
    /// When it was begun, in ms of the boot clock, or up to 10 ms later.
    pub(super) at: u64,
}

/// What the boot clock shows, in whole hundredths of a second as /proc/uptime has them, in ms.
pub(super) fn clock(uptime: &str) -> Option<u64> {
    let first = uptime.split_whitespace().next()?;
    Some(first.replace('.', "").parse::<u64>().ok()? * 10)
}

/// The lines of one file as they stand there; those of two by when they were written, on one clock.
pub(super) fn read(texts: &[String]) -> Vec<Line> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        Some(Line {
            node: words.next()?.to_owned(),
            number: words.next()?.parse().ok()?,
            at: clock(words.next()?)?,
        })
    };
    let whole = |text: &str| text.rfind('\n').map_or(0, |end| end + 1);
    let of = |text: &String| -> Vec<Line> {
        let lines = text[..whole(text)].lines();
        lines
            .map(|text| line(text).unwrap_or_else(|| panic!("no line of a resource: {text}")))
            .collect()
    };
    let mut all: Vec<Line> = texts.iter().flat_map(of).collect();
    if texts.len() > 1 {
        all.sort_by_key(|line| line.at);
    }
    all
}

/// Who wrote, one after the other.
///
/// # Panics
/// If a node wrote on after another had begun.
#[track_caller]
pub(super) fn turns(lines: &[Line]) -> Vec<String> {
    in_turns(lines).unwrap_or_else(|why| panic!("{why}"))
}

fn in_turns(lines: &[Line]) -> Result<Vec<String>, String> {
    let mut turns: Vec<String> = Vec::new();
    let mut last: Option<&Line> = None;
    for line in lines {
        let goes_on =
            last.is_some_and(|last| last.node == line.node && last.number + 1 == line.number);
        if !goes_on {
            // The first that is looked at may be in the middle of a turn.
            if last.is_some() && line.number != 1 {
                return Err(format!("both write: {line:?} after {last:?}, {turns:?}"));
            }
            turns.push(line.node.clone());
        }
        last = Some(line);
    }
    Ok(turns)
}

#[test]
fn lines_that_mix_are_found() {
    let texts = |text: &[&str]| -> Vec<String> {
        text.iter().map(|text| text.replace(',', "\n")).collect()
    };
    assert_eq!(clock("340.23 1.00\n"), Some(340_230));
    let good = texts(&["a 1 0.10,a 2 0.12,b 1 0.30,b 2 0.32,a 1 0.50,b"]);
    assert_eq!(turns(&read(&good)), ["a", "b", "a"]);
    let by_time = texts(&["a 1 0.10,a 2 0.12,", "b 1 0.30,"]);
    assert_eq!(turns(&read(&by_time)), ["a", "b"]);
    for bad in [&["a 1 0.10,b 1 0.12,a 2 0.13,"][..], &["a 1 0.10,a 2 0.40,", "b 1 0.30,"]] {
        assert!(in_turns(&read(&texts(bad))).is_err(), "{bad:?}");
    }
}
