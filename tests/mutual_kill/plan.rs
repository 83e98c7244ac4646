//! Which skews are tried, and what is left to chance: all of it follows from one seed, which is told.

use crate::delay::Delay;
use crate::pair::Place;
use std::fmt;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};
use xen_fence_tests::skipped;

/// Says that every skew is to be tried.
const WHOLE: &str = "XEN_FENCE_SWEEP";

/// A seed that was told, to try the same again.
const SEED: &str = "XEN_FENCE_SWEEP_SEED";

/// node2 asks so many milliseconds after node1 at the least and at the most.
const SKEWS: std::ops::RangeInclusive<i64> = -200..=200;

/// Between one skew and the next.
const STEP: usize = 2;

/// Of so many skews a sample takes one.
const SAMPLE: usize = 10;

/// What this process tries.
pub(crate) static PLAN: LazyLock<Plan> = LazyLock::new(Plan::made);

/// What is tried.
pub(crate) struct Plan {
    whole: bool,
    seed: u64,
}

impl Plan {
    fn made() -> Self {
        let told = std::env::var(SEED).ok();
        let seed = told.map_or_else(
            || {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
                u64::from(now.subsec_nanos()) ^ (now.as_secs() & 0xffff)
            },
            |told| told.parse().unwrap_or_else(|_| panic!("{SEED} is no number: {told}")),
        );
        let plan = Self { whole: std::env::var_os(WHOLE).is_some(), seed };
        if plan.whole {
            println!("{plan}");
        } else {
            let lacks = format!("{} of {SAMPLE} skews ({plan}); tests/sweep tries all", SAMPLE - 1);
            skipped("mutual kill", &lacks);
        }
        plan
    }

    /// The skews for one kind; a sample is spread, and begins elsewhere each time.
    pub(crate) fn skews(&self, place: Place, delay: Delay) -> Vec<i64> {
        let all = SKEWS.step_by(STEP);
        if self.whole {
            return all.collect();
        }
        let offset = self.dice(place, delay, i64::MAX).up_to(SAMPLE as u64 - 1);
        all.skip(usize::try_from(offset).unwrap()).step_by(SAMPLE).collect()
    }

    /// What a round leaves to chance: the same whichever rounds come before it.
    pub(crate) fn dice(&self, place: Place, delay: Delay, skew: i64) -> Dice {
        let mut dice = Dice(self.seed);
        for number in [place as i64, delay as i64, skew] {
            dice.0 ^= number.cast_unsigned();
            dice.0 = dice.roll();
        }
        dice
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SEED}={}", self.seed)
    }
}

/// Numbers that look random: splitmix64.
pub(crate) struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to this.
    pub(crate) fn up_to(&mut self, most: u64) -> u64 {
        self.roll() % (most + 1)
    }
}
