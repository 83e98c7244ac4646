//! The choices that make a schedule: drawn at random the first time, replayed as they were, shrunk
//! one by one.
//!
//! A schedule is nothing but this list. 0 is always the harmless answer (no fault, no delay), and
//! what lies behind the end of a list is 0, so a shorter list and a smaller number are a simpler
//! schedule.

/// A source of choices that remembers what it gave.
pub struct Choices {
    made: Vec<u32>,
    given: Option<Vec<u32>>,
    random: u64,
}

impl Choices {
    /// Choices at random, all of them told by the seed.
    pub fn of_seed(seed: u64) -> Self {
        // Seeds that follow each other shall have nothing in common.
        let mut choices = Self { made: Vec::new(), given: None, random: seed };
        choices.random = choices.next() | 1;
        choices
    }

    /// These choices, and then the harmless ones.
    pub fn given(given: Vec<u32>) -> Self {
        Self { made: Vec::new(), given: Some(given), random: 1 }
    }

    /// What was chosen so far.
    pub fn made(&self) -> &[u32] {
        &self.made
    }

    /// One of `0..n`, each as likely as the others.
    pub fn below(&mut self, n: u32) -> u32 {
        self.choose(n, |random| u32::try_from(random % u64::from(n)).unwrap_or(0))
    }

    /// 0, but once in so many times one of `0..n`.
    pub fn seldom(&mut self, once_in: u32, n: u32) -> u32 {
        self.choose(n, |random| {
            let rare = (random >> 32).is_multiple_of(u64::from(once_in));
            if rare { u32::try_from((random & 0xffff_ffff) % u64::from(n)).unwrap_or(0) } else { 0 }
        })
    }

    /// True once in so many times.
    pub fn once_in(&mut self, n: u32) -> bool {
        self.choose(2, |random| u32::from((random >> 32).is_multiple_of(u64::from(n)))) == 1
    }

    fn choose(&mut self, n: u32, draw: impl FnOnce(u64) -> u32) -> u32 {
        let chosen = match &self.given {
            Some(given) => given.get(self.made.len()).copied().unwrap_or(0).min(n - 1),
            None => draw(self.next()),
        };
        self.made.push(chosen);
        chosen
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A list as a person can hand it on: the places of what is not harmless, `17=2 40=1`.
pub fn told(choices: &[u32]) -> String {
    let unusual = choices.iter().enumerate().filter(|(_, choice)| **choice > 0);
    unusual.map(|(at, choice)| format!("{at}={choice}")).collect::<Vec<_>>().join(" ")
}

/// Reads what [`told`] wrote.
pub fn read(text: &str) -> Option<Vec<u32>> {
    let mut choices = Vec::new();
    for word in text.split_whitespace() {
        let (at, choice) = word.split_once('=')?;
        let at: usize = at.parse().ok().filter(|at| *at < 1_000_000)?;
        choices.resize(choices.len().max(at + 1), 0);
        choices[at] = choice.parse().ok()?;
    }
    Some(choices)
}

/// The simplest list that can be found for which `fails` still says the same, in so many tries.
pub fn shrink(mut list: Vec<u32>, mut tries: u32, fails: impl Fn(&[u32]) -> bool) -> Vec<u32> {
    let harmless_end = |list: &mut Vec<u32>| {
        while list.last() == Some(&0) {
            list.pop();
        }
    };
    harmless_end(&mut list);
    loop {
        let before = list.clone();
        // Half of all, a quarter, and so on down to each.
        let unusual =
            |list: &[u32]| -> Vec<usize> { (0..list.len()).filter(|at| list[*at] > 0).collect() };
        let mut length = unusual(&list).len();
        while length > 0 {
            let mut from = 0;
            loop {
                let places = unusual(&list);
                if from >= places.len() || tries == 0 {
                    break;
                }
                tries -= 1;
                let mut simpler = list.clone();
                for at in places.iter().skip(from).take(length) {
                    simpler[*at] = 0;
                }
                if fails(&simpler) {
                    list = simpler;
                } else {
                    from += length;
                }
            }
            length /= 2;
        }
        for at in unusual(&list) {
            for smaller in [1, list[at] / 2, list[at] - 1] {
                if smaller < list[at] && smaller > 0 && tries > 0 {
                    tries -= 1;
                    let mut simpler = list.clone();
                    simpler[at] = smaller;
                    if fails(&simpler) {
                        list = simpler;
                    }
                }
            }
        }
        // A choice that nobody needs shifts what follows it, which may be simpler too.
        for at in (0..list.len()).rev() {
            if tries == 0 {
                break;
            }
            tries -= 1;
            let mut simpler = list.clone();
            simpler.remove(at);
            if fails(&simpler) {
                list = simpler;
            }
        }
        harmless_end(&mut list);
        if list == before || tries == 0 {
            return list;
        }
    }
}
