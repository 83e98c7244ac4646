//! The ready/go protocol, exhaustively: every order of events within bounds that are printed.
//!
//! The agents are the shipped `Round`, the brokers the shipped `Standoff` and the shipped rules about
//! earlier fences; the model adds nodes, network and faults, and the glue around those machines.

mod agent;
mod bounds;
mod broker;
mod explore;
mod kill;
mod link;
mod machines;
mod rules;
mod state;
mod world;

use bounds::Bounds;
use explore::{Seen, explore};
use rules::Rule;
use world::{Step, World};
use xen_fence_tests::measured;

/// What breaks when a rule is left out.
const LEFT_OUT: [(Rule, &str); 18] = [
    (Rule::Lock, "never both"),
    (Rule::LockUntilDead, "never both"),
    (Rule::AskerChecked, "a dead asker is refused"),
    (Rule::GoAwaited, "no kill without a living go"),
    (Rule::LateGoRefused, "never both"),
    (Rule::SameId, "one request, one kill"),
    (Rule::Remembered, "one request, one kill"),
    (Rule::OneOrder, "never none"),
    (Rule::GoWhenAllReady, "never both"),
    (Rule::FirstConfirms, "never both"),
    (Rule::SecondLook, "fenced is dead"),
    (Rule::StartOnWord, "a node runs once"),
    (Rule::ProofAwaited, "one request, one kill"),
    (Rule::AbsenceSeenAfterGo, "fenced is dead"),
    (Rule::CalledOff, "off stays off"),
    (Rule::OneStarter, "a node runs once"),
    (Rule::AstrayRefused, "fenced is dead"),
    (Rule::DestroyerSeen, "never both"),
];

fn way(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("    {step:?}\n")).collect()
}

fn visit(bounds: Bounds) -> Seen<Step> {
    let name = bounds.name;
    let seen = explore(&World::new(bounds, None));
    measured(&format!(
        "{name}: {} states, {} steps, {} deep, {} ends, in {} ms",
        seen.states, seen.steps, seen.depth, seen.ends, seen.millis
    ));
    seen
}

/// A number as docs/testing.md writes it.
fn in_words(number: usize) -> String {
    let digits = number.to_string();
    let places = digits.len();
    let groups = digits.chars().enumerate().map(|(at, digit)| {
        let comma = at > 0 && (places - at).is_multiple_of(3);
        if comma { format!(",{digit}") } else { digit.to_string() }
    });
    groups.collect()
}

#[test]
fn the_promises_hold_in_every_state_that_can_be_reached() {
    let (mut states, mut steps) = (0, 0);
    for bounds in bounds::small().into_iter().chain(bounds::large()) {
        let seen = visit(bounds);
        (states, steps) = (states + seen.states, steps + seen.steps);
        if let Some((promise, steps)) = seen.broken.first_key_value() {
            panic!("{}: {promise} is broken:\n{}", bounds.name, way(steps));
        }
    }
    measured(&format!("together {states} states, {steps} steps"));
    let docs = include_str!("../../docs/testing.md");
    let told = format!("{} states in all", in_words(states));
    assert!(docs.contains(&told), "docs/testing.md does not say: {told}");
}

#[test]
fn no_rule_can_be_left_out() {
    for (without, promise) in LEFT_OUT {
        let found = bounds::small().into_iter().find_map(|bounds| {
            let seen = explore(&World::new(bounds, Some(without)));
            let steps = seen.broken.get(promise)?;
            Some((bounds.name, steps.len(), way(steps)))
        });
        let (bounds, steps, way) =
            found.unwrap_or_else(|| panic!("without {without:?} nothing breaks \"{promise}\""));
        measured(&format!("without {without:?}: {promise} is broken in {steps} steps; {bounds}"));
        if std::env::var_os("MODEL_WAYS").is_some() {
            print!("{way}");
        }
    }
}
