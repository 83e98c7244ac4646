//! Random schedules of requests, faults and crashes against the shipped broker, in a world of its
//! own: kernel, hosts, clock and agents are simulated, `xen_fence_broker::serve` is not.
//!
//! docs/testing.md says what is covered, and how to replay a schedule.

/// Tells what happens, if that is wanted.
macro_rules! tell {
    ($world:expr, $($words:tt)*) => {
        if $world.tells() {
            let line = format!($($words)*);
            $world.told(line);
        }
    };
}

mod calls;
mod cast;
mod choices;
mod crew;
mod fiber;
mod kernel;
mod planted;
mod world;

use choices::Choices;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// So many schedules are lived through in CI.
const SCHEDULES: u64 = 100_000;
/// So long may as many take on an idle machine. A busy one fails nothing: no test is timed.
const WITHIN: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    if let Ok(share) = std::env::var(crew::SHARE) {
        crew::works(&share);
        return ExitCode::SUCCESS;
    }
    if let Ok(text) = std::env::var("XEN_FENCE_CHOICES") {
        let Some(list) = choices::read(&text) else {
            println!("XEN_FENCE_CHOICES is a list like 3=1 17=2");
            return ExitCode::FAILURE;
        };
        return if tells(list) { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let given = number("XEN_FENCE_SEED");
    // Any number does that is another one each time.
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = given.unwrap_or_else(|| since_1970.map_or(0, |time| time.as_micros() as u64));
    let count = number("XEN_FENCE_SCHEDULES").unwrap_or(SCHEDULES);
    let turn = number(planted::TURN);
    println!("schedules: {count} from XEN_FENCE_SEED={seed} on");
    let own = std::env::current_exe().expect("this program");
    let begun = Instant::now();
    let result = crew::run(&own, seed, count, turn.unwrap_or(0) as usize);
    let [lived, brokers, kills, crashes, proofs] = result.counts;
    if let Some((seed, broken)) = result.broken {
        println!("seed {seed}: {broken}");
        if broken == crew::HANGS {
            println!("again: XEN_FENCE_SEED={seed} XEN_FENCE_SCHEDULES=1");
        } else {
            shrinks(seed, &broken);
        }
        return ExitCode::FAILURE;
    }
    println!(
        "schedules: {lived} in {:.1} s: {brokers} brokers, {kills} kills, {proofs} proofs, {crashes} \
         brokers killed; every promise held",
        begun.elapsed().as_secs_f64()
    );
    let within = WITHIN * u32::try_from(count / SCHEDULES).unwrap_or(u32::MAX);
    if count >= SCHEDULES && begun.elapsed() > within {
        println!("schedules: SLOWER than {} s; was the machine idle?", within.as_secs());
    }
    // Who asks for fewer schedules, or for one planted bug, wants nothing else.
    if (count < SCHEDULES && std::env::var_os("XEN_FENCE_BUGS").is_none()) || turn.is_some() {
        return ExitCode::SUCCESS;
    }
    finds_planted(seed, count)
}

/// Each planted bug has to be found among as many schedules.
fn finds_planted(seed: u64, count: u64) -> ExitCode {
    let program = match planted::build() {
        Ok(program) => program,
        Err(why) => {
            println!("planted bugs: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut missed = 0;
    for (number, bug) in (1..).zip(planted::BUGS) {
        let begun = Instant::now();
        let result = crew::run(&program, seed, count, number);
        let took = begun.elapsed().as_secs_f64();
        match result.broken {
            Some((seed, broken)) => {
                let promise = broken.split(':').next().unwrap_or_default();
                println!(
                    "planted {number}, {}: found in {took:.1} s, seed {seed}: {promise}",
                    bug.name
                );
            }
            None => {
                missed += 1;
                println!("planted {number}, {}: NOT FOUND in {took:.1} s", bug.name);
            }
        }
    }
    println!("planted bugs: {} of {} found", planted::BUGS.len() - missed, planted::BUGS.len());
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes a schedule simpler in which a promise breaks, and tells it.
fn shrinks(seed: u64, broken: &str) {
    let promise = |broken: &str| broken.split(':').next().map(str::to_owned);
    let seen = world::live(Choices::of_seed(seed), false);
    if seen.broken.is_empty() {
        println!("it holds when it is lived through again: something besides the choices differs");
        return;
    }
    let fails = |list: &[u32]| {
        let again = world::live(Choices::given(list.to_vec()), false);
        again.broken.first().and_then(|other| promise(other)) == promise(broken)
    };
    let list = choices::shrink(seen.choices, 4000, fails);
    let told = choices::told(&list);
    tells(list);
    println!(
        "again: XEN_FENCE_SEED={seed} XEN_FENCE_SCHEDULES=1, or as shrunk: XEN_FENCE_CHOICES=\"{told}\""
    );
}

/// Lives through these choices and tells it; answers whether a promise broke.
fn tells(list: Vec<u32>) -> bool {
    let seen = world::live(Choices::given(list), true);
    for line in &seen.told {
        println!("{line}");
    }
    !seen.broken.is_empty()
}
