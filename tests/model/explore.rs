//! Visits every state that a model can reach, breadth first, and keeps the shortest way to each
//! kind of flaw.
//!
//! It knows nothing of fences. It must not drop a state that was not seen before: a state is told
//! from another by 128 bits of its hash.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// A system whose every step can be tried.
pub trait Model: Sync {
    /// Where it can be.
    type State: Copy + Hash + Send + Sync;
    /// What can happen.
    type Step: Copy + std::fmt::Debug + Send + Sync;

    /// Where it begins.
    fn first(&self) -> Self::State;
    /// What can happen there.
    fn steps(&self, state: &Self::State, steps: &mut Vec<Self::Step>);
    /// What comes of it.
    fn after(&self, state: &Self::State, step: Self::Step) -> Self::State;
    /// The promises that are broken in a state, by name; `last` says that nothing follows it.
    fn broken(&self, state: &Self::State, last: bool) -> Vec<&'static str>;
}

/// What was seen.
#[derive(Debug)]
pub struct Seen<S> {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// The longest shortest way to a state.
    pub depth: usize,
    /// States that nothing follows.
    pub ends: usize,
    /// Each broken promise with the shortest way there.
    pub broken: BTreeMap<&'static str, Vec<S>>,
    /// How long it took.
    pub millis: u128,
}

/// A state that was found: its number, and itself.
type Found<M> = (u32, <M as Model>::State);

/// What one state led to.
struct Led<M: Model> {
    from: u32,
    next: Vec<(M::Step, u128, M::State)>,
    broken: Vec<&'static str>,
}

/// Visits all states. What follows a broken promise is not looked at.
pub fn explore<M: Model>(model: &M) -> Seen<M::Step> {
    let begun = Instant::now();
    let first = model.first();
    let mut known = HashSet::from([digest(&first)]);
    let mut came: Vec<Option<(u32, M::Step)>> = vec![None];
    let mut level: Vec<Found<M>> = vec![(0, first)];
    let mut seen =
        Seen { states: 1, steps: 0, depth: 0, ends: 0, broken: BTreeMap::new(), millis: 0 };
    while !level.is_empty() {
        let mut next = Vec::new();
        for part in level.chunks(20_000) {
            for led in lead(model, part) {
                seen.steps += led.next.len();
                seen.ends += usize::from(led.next.is_empty());
                for name in led.broken {
                    seen.broken.entry(name).or_insert_with(|| way(&came, led.from));
                }
                for (step, digest, state) in led.next {
                    if known.insert(digest) {
                        next.push((u32::try_from(came.len()).unwrap(), state));
                        came.push(Some((led.from, step)));
                    }
                }
            }
        }
        seen.depth += usize::from(!next.is_empty());
        level = next;
    }
    seen.states = came.len();
    seen.millis = begun.elapsed().as_millis();
    seen
}

/// Tries every step of some states, by two threads.
fn lead<M: Model>(model: &M, level: &[Found<M>]) -> Vec<Led<M>> {
    let half = level.len().div_ceil(2).max(1);
    std::thread::scope(|scope| {
        let parts: Vec<_> = level
            .chunks(half)
            .map(|part| scope.spawn(|| part.iter().map(|found| follow(model, found)).collect()))
            .collect();
        let done = parts.into_iter().map(|part| part.join().unwrap());
        done.flat_map(|led: Vec<Led<M>>| led).collect()
    })
}

fn follow<M: Model>(model: &M, (from, state): &Found<M>) -> Led<M> {
    let mut steps = Vec::new();
    model.steps(state, &mut steps);
    let broken = model.broken(state, steps.is_empty());
    if !broken.is_empty() {
        steps.clear();
    }
    let next = steps.into_iter().map(|step| {
        let after = model.after(state, step);
        (step, digest(&after), after)
    });
    Led { from: *from, next: next.collect(), broken }
}

fn digest(state: &impl Hash) -> u128 {
    let mut halves = [DefaultHasher::new(), DefaultHasher::new()];
    halves[1].write_u8(1);
    for half in &mut halves {
        state.hash(half);
    }
    u128::from(halves[0].finish()) << 64 | u128::from(halves[1].finish())
}

fn way<S: Copy>(came: &[Option<(u32, S)>], to: u32) -> Vec<S> {
    let mut steps = Vec::new();
    let mut at = came[to as usize];
    while let Some((from, step)) = at {
        steps.push(step);
        at = came[from as usize];
    }
    steps.reverse();
    steps
}
