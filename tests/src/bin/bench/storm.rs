//! A tenant's fence while another one makes noise at the same sshd, against the same fence in quiet.
//!
//! Quiet and every kind of noise take turns in one run. What is promised are ratios: at most twice
//! the quiet median, at worst two seconds more, none lost.

use crate::SELF;
use std::process::Command;
use std::time::{Duration, Instant};
use xen_fence_tests::noise::{MANY_ADDRESSES, Noise};
use xen_fence_tests::series::Series;
use xen_fence_tests::throwaway::{Dom0, Error, Result};

/// How much of the quiet median a fence may take at the median, and how many milliseconds more at worst.
const MOST_RATIO: f64 = 2.0;
const MOST_ADDED: f64 = 2000.0;

/// Fences of one turn.
const TURN: usize = 5;

const NOISES: [(&str, &[&str]); 4] = [
    ("quiet", &[]),
    ("1,000 silent, 50 a second, from its own address", &["silent=1000", "rate=50"]),
    ("the same, and as many logins as it is let have", &["silent=1000", "rate=50", "logins=1000"]),
    (
        "1,000 silent, 50 a second, from a hundred addresses",
        &["silent=1000", "rate=50", MANY_ADDRESSES],
    ),
];

/// What came of one kind of noise.
struct Kind {
    series: Series,
    words: &'static [&'static str],
    lost: Vec<String>,
    figures: String,
}

/// Raises the dom0, has the turns run, and prints what came of them.
pub(crate) fn compare(turns: usize) -> Result<()> {
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2"]);
    let dom0 = builder.cluster("beta", &["db1", "db2"]).raise()?;
    let program = std::env::current_exe().map_err(|error| Error::new(error.to_string()))?;
    let bytes = std::fs::read(&program).map_err(|error| Error::new(error.to_string()))?;
    dom0.write(SELF, &bytes, 0o755);
    let program = program.with_file_name("noise");
    let mut kinds = NOISES.map(|(name, words)| Kind {
        series: Series::new(name),
        words,
        lost: Vec::new(),
        figures: String::new(),
    });

    let fences = turns * TURN;
    println!(
        "{fences} fences in quiet and in each kind of noise, in turns of {TURN}, on this machine as it is now:"
    );
    // The first turn warms caches and is not counted.
    let _ = turn(&dom0)?;
    for _ in 0..turns {
        for kind in &mut kinds {
            if kind.words.is_empty() {
                kind.take(turn(&dom0)?);
                continue;
            }
            let noise = Noise::make(&dom0, &program, kind.words)?;
            kind.take(turn(&dom0)?);
            kind.figures = format!("{}; of sshd {} processes", noise.up, processes(&dom0));
            drop(noise);
            calm(&dom0)?;
        }
    }
    print(&kinds);
    judge(&kinds)
}

/// Holds the figures to what is promised. A guest with many addresses makes others wait for longer, which
/// docs/promises.md says; none of theirs is lost all the same.
fn judge(kinds: &[Kind]) -> Result<()> {
    let quiet = kinds.first().map_or(f64::NAN, |kind| kind.series.median());
    let broken = kinds.iter().filter(|kind| {
        let (ratio, adds) = (kind.series.median() / quiet, kind.series.at(1.0) - quiet);
        let is_slow = ratio > MOST_RATIO || adds > MOST_ADDED;
        !kind.lost.is_empty() || (is_slow && !kind.words.contains(&MANY_ADDRESSES))
    });
    let broken: Vec<&str> = broken.map(|kind| kind.series.name.as_str()).collect();
    if broken.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!("what is promised does not hold here: {}", broken.join("; "))))
}

impl Kind {
    fn take(&mut self, (millis, lost): (Vec<f64>, Vec<String>)) {
        self.series.millis.extend(millis);
        self.lost.extend(lost);
    }
}

fn print(kinds: &[Kind]) {
    println!(
        "{:>9} {:>9} {:>9} {:>9} {:>6} {:>10} {:>5}",
        "median ms", "min", "p90", "max", "ratio", "worst adds", "lost"
    );
    let quiet = kinds.first().map_or(f64::NAN, |kind| kind.series.median());
    for Kind { series, lost, .. } in kinds {
        println!(
            "{:>9.1} {:>9.1} {:>9.1} {:>9.1} {:>6.2} {:>10.1} {:>5}  {}",
            series.median(),
            series.at(0.0),
            series.at(0.9),
            series.at(1.0),
            series.median() / quiet,
            series.at(1.0) - quiet,
            lost.len(),
            series.name
        );
    }
    println!("\nWhat the noise was in its last turn:");
    for kind in kinds.iter().filter(|kind| !kind.words.is_empty()) {
        println!("{}: {}", kind.series.name, kind.figures);
    }
    for lost in kinds.iter().flat_map(|kind| &kind.lost) {
        println!("lost: {lost}");
    }
}

/// One turn in node1.
fn turn(dom0: &Dom0) -> Result<(Vec<f64>, Vec<String>)> {
    let output = dom0.in_node("alpha", "node1").run(&[SELF, "fences", &TURN.to_string()]);
    let output = output.succeeded()?;
    let (mut millis, mut lost) = (Vec::new(), Vec::new());
    for line in output.stdout.lines() {
        match line.strip_prefix("lost\t") {
            Some(why) => lost.push(why.to_owned()),
            None => millis.extend(line.parse::<f64>()),
        }
    }
    Ok((millis, lost))
}

/// Runs in node1: fences, a line for each with its milliseconds or why it was lost.
pub(crate) fn fences(count: usize) -> Result<()> {
    for _ in 0..count {
        let began = Instant::now();
        let output = Command::new("xen-fence").args(["off", "node2"]).output();
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let output = output.map_err(|error| Error::new(format!("xen-fence: {error}")))?;
        if output.status.success() {
            println!("{took}");
        } else {
            let stderr = String::from_utf8_lossy(&output.stderr).replace('\n', " ");
            println!("lost\tafter {took:.0} ms: {stderr}");
        }
        let _started = Command::new("xen-fence").args(["on", "node2"]).output();
    }
    Ok(())
}

/// Processes that sshd has for the noisy tenant, or for nobody yet.
fn processes(dom0: &Dom0) -> usize {
    let noisy = |command: &str| command.contains("fence-beta") || command.contains("[accepted]");
    dom0.processes().iter().filter(|process| noisy(&process.command)).count()
}

/// Waits until the noise has ended on dom0 as well.
fn calm(dom0: &Dom0) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(60);
    while processes(dom0) > 0 {
        if Instant::now() > end {
            return Err(Error::new("the noise did not end within a minute"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}
