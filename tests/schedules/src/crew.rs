//! Many schedules, by several processes side by side: a broker that ends the process, or hangs it,
//! is found as well.

use crate::choices::Choices;
use crate::planted::TURN;
use crate::world;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Tells a process which schedules are its own: the first seed, the step, how many.
pub const SHARE: &str = "XEN_FENCE_SHARE";
/// A schedule takes a thousandth of this.
const LONG: Duration = Duration::from_secs(60);
/// What is said of a schedule that does not end. It would not when it is lived through again.
pub const HANGS: &str = "a broker hangs";

/// What many schedules came to.
pub struct Result {
    /// Schedules that were lived through, brokers that served, lives ended, crashes, proofs.
    pub counts: [u64; 5],
    /// The seed of one in which a promise broke, and which one.
    pub broken: Option<(u64, String)>,
}

/// Lives through so many schedules, with this program, until one breaks a promise.
pub fn run(program: &Path, seed: u64, count: u64, planted: usize) -> Result {
    // One for each processor: two that take turns on one are slower than one after the other.
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let crew = processors.min(count).max(1);
    let (tell, told) = mpsc::channel();
    let mut children: Vec<Child> = Vec::new();
    // The schedule that each lives through, and the one that it did when that was last looked at.
    let at: Arc<[AtomicU64]> = (0..crew).map(|_| AtomicU64::new(0)).collect();
    let mut before = vec![0; at.len()];
    for member in 0..at.len() {
        let first = member as u64;
        let share = count / crew + u64::from(first < count % crew);
        let mut child = Command::new(program)
            .env(SHARE, format!("{} {crew} {share}", seed.wrapping_add(first)))
            .env(TURN, planted.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let output = child.stdout.take().expect("it is piped");
        let (tell, at) = (tell.clone(), Arc::clone(&at));
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(std::result::Result::ok) {
                match line.split_once(' ') {
                    Some(("lives", seed)) => {
                        at[member].store(seed.parse().unwrap_or(0), Ordering::Relaxed);
                    }
                    _ => drop(tell.send((member, line))),
                }
            }
            // Who has told nothing by now was ended by a signal.
            let _told = tell.send((member, "end".to_owned()));
        });
        children.push(child);
    }
    drop(tell);
    let mut result = Result { counts: [0; 5], broken: None };
    let mut working = vec![true; children.len()];
    while working.contains(&true) && result.broken.is_none() {
        let Ok((member, line)) = told.recv_timeout(LONG) else {
            let now: Vec<u64> = at.iter().map(|seed| seed.load(Ordering::Relaxed)).collect();
            let hangs = (0..now.len()).find(|one| working[*one] && now[*one] == before[*one]);
            result.broken = hangs.map(|one| (now[one], HANGS.to_owned()));
            before = now;
            continue;
        };
        let lives = at[member].load(Ordering::Relaxed);
        match line.split_once(' ') {
            Some(("broken", what)) => result.broken = Some((lives, what.to_owned())),
            Some(("counts", counts)) => {
                working[member] = false;
                for (sum, count) in result.counts.iter_mut().zip(counts.split(' ')) {
                    *sum += count.parse().unwrap_or(0);
                }
            }
            _ if line == "end" && working[member] => {
                result.broken = Some((lives, "a broker ends the process".to_owned()));
            }
            _ => {}
        }
    }
    for child in &mut children {
        let _ended = child.kill();
        let _reaped = child.wait();
    }
    result
}

/// Does what [`SHARE`] says.
pub fn works(share: &str) {
    let mut numbers = share.split(' ').filter_map(|number| number.parse::<u64>().ok());
    let (Some(first), Some(step), Some(count)) = (numbers.next(), numbers.next(), numbers.next())
    else {
        return;
    };
    keeps_to_one_processor(first);
    let mut output = std::io::stdout().lock();
    let mut sums = [0; 5];
    for at in 0..count {
        let seed = first.wrapping_add(at * step);
        writeln!(output, "lives {seed}").expect("somebody reads");
        let seen = world::live(Choices::of_seed(seed), false);
        sums[0] += 1;
        for (sum, count) in sums.iter_mut().skip(1).zip(seen.counts) {
            *sum += count;
        }
        if let Some(broken) = seen.broken.first() {
            writeln!(output, "broken {}", broken.replace('\n', " ")).expect("somebody reads");
            return;
        }
    }
    let sums: Vec<String> = sums.iter().map(ToString::to_string).collect();
    writeln!(output, "counts {}", sums.join(" ")).expect("somebody reads");
}

/// Keeps this process to one of its processors. Its threads run one at a time, and to wake one on
/// another processor costs more than it does.
fn keeps_to_one_processor(number: u64) {
    const SIZE: usize = size_of::<libc::cpu_set_t>();
    // SAFETY: a set is plain bits, and both calls read or write no more than one.
    unsafe {
        let mut own: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, SIZE, &raw mut own) != 0 {
            return;
        }
        let may = (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, &own));
        let may: Vec<usize> = may.collect();
        let Some(cpu) = may.get(number as usize % may.len().max(1)) else { return };
        let mut one: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(*cpu, &mut one);
        // Where it may not, it is slower.
        let _slower = libc::sched_setaffinity(0, SIZE, &raw const one);
    }
}
