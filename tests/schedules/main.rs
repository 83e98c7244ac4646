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
mod fiber;
mod kernel;
mod world;

use choices::Choices;

fn main() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("XEN_FENCE_SEED").unwrap_or(1);
    let count = number("XEN_FENCE_SCHEDULES").unwrap_or(1000);
    let begun = std::time::Instant::now();
    let mut sums = [0_u64; 4];
    for at in 0..count {
        let seen = world::live(Choices::of_seed(seed + at), false);
        for (sum, count) in sums.iter_mut().zip(seen.counts) {
            *sum += count;
        }
        if let Some(broken) = seen.broken.first() {
            println!("seed {}: {broken}", seed + at);
            let fails = |list: &[u32]| {
                let again = world::live(Choices::given(list.to_vec()), false);
                again.broken.first().is_some_and(|other| other.split(':').next() == broken.split(':').next())
            };
            let short = choices::shrink(seen.choices, 3000, fails);
            println!("choices: {}", choices::told(&short));
            for line in world::live(Choices::given(short), true).told {
                println!("{line}");
            }
            std::process::exit(1);
        }
    }
    println!("{count} schedules, {sums:?}, in {:?}", begun.elapsed());
}
