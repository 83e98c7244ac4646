//! What is remembered, and what a damaged file comes to.

use super::*;
use crate::clock::BootClock;

/// A proven fence by this request, after which the node is powered on.
pub(crate) fn fence(request: &str) -> Fence {
    Fence {
        request: request.to_owned(),
        restarts: true,
        phase: Phase::Fenced,
        at_ms: 5,
        started_ms: None,
        counted: false,
        begun_ms: None,
        joined: Vec::new(),
        before: Vec::new(),
        answered: Vec::new(),
        writers: Vec::new(),
        perhaps: Vec::new(),
        pid: 1,
        started: 2,
    }
}

#[test]
fn what_is_remembered_is_recalled_without_regard_to_case() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::at(dir.path().join("alpha.state"));
    let node2 = NodeName::parse("Node2").unwrap();
    assert!(state.recall().fence_of(&node2).is_none());
    state.remember(&node2, fence("a"), &BootClock).unwrap();
    state.remember(&NodeName::parse("node1").unwrap(), fence("b"), &BootClock).unwrap();
    let recalled = state.recall();
    assert_eq!(recalled.fence_of(&NodeName::parse("node2").unwrap()), Some(&fence("a")));
    assert!(recalled.damage.is_none());
}

#[test]
fn what_an_earlier_fence_answered_outlives_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::at(dir.path().join("alpha.state"));
    let node = NodeName::parse("node2").unwrap();
    let id = RequestId::from_bits;
    let of = |bits, phase| Fence { phase, ..fence(&id(bits).to_string()) };
    let last = || state.recall().fence_of(&node).cloned().unwrap();
    let remember = |fence| state.remember(&node, fence, &BootClock).unwrap();
    remember(of(1, Phase::Killing));
    remember(of(1, Phase::Fenced));
    assert!(last().before.is_empty(), "its own beginning is none before it");
    assert!(!last().has_answered("node=b"));
    state.is_joined(&node, &last(), (id(2), "node=b", false), &BootClock).unwrap();
    assert!(last().has_answered("node=b"));
    remember(of(3, Phase::Killing));
    remember(of(3, Phase::Failed));
    remember(of(4, Phase::Killing));
    for (bits, answered) in [(1, true), (2, true), (3, false), (4, false)] {
        assert_eq!(last().comes_after_that_of(id(bits)), answered, "{bits}");
    }
    for bits in 5..100 {
        remember(of(bits, Phase::Fenced));
    }
    assert_eq!(last().before.len(), MOST_ANSWERED);
    assert!(last().comes_after_that_of(id(98)) && !last().comes_after_that_of(id(30)));
}

#[test]
fn however_many_ask_for_it_on_what_was_answered_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::at(dir.path().join("alpha.state"));
    let node = NodeName::parse("node2").unwrap();
    let id = RequestId::from_bits;
    let remember = |bits| {
        let fence = fence(&id(bits).to_string());
        state.remember(&node, fence, &BootClock).unwrap();
    };
    remember(1);
    remember(2);
    for on in 100..200 {
        state.has_on(&node, id(on), &BootClock).unwrap();
    }
    remember(3);
    let last = state.recall().fence_of(&node).cloned().unwrap();
    assert!(last.comes_after_that_of(id(1)) && last.comes_after_that_of(id(199)));
    assert!(!last.comes_after_that_of(id(150)));
}

#[test]
fn a_damaged_file_and_one_of_another_boot_count_as_empty() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.state");
    let state = State::at(path.clone());
    let node = NodeName::parse("node2").unwrap();
    state.remember(&node, fence("a"), &BootClock).unwrap();
    let whole = fs::read_to_string(&path).unwrap();
    for damaged in ["", "{", &whole[..whole.len() - 1], "[]", "{\"boot\":1}"] {
        fs::write(&path, damaged).unwrap();
        let recalled = state.recall();
        assert!(recalled.fence_of(&node).is_none() && recalled.damage.is_some(), "{damaged}");
    }
    fs::write(&path, whole.replace(&boot_id(), "another")).unwrap();
    let recalled = state.recall();
    assert!(recalled.fence_of(&node).is_none() && recalled.damage.is_none());
    state.remember(&node, fence("b"), &BootClock).unwrap();
    assert_eq!(state.recall().fence_of(&node), Some(&fence("b")));
}

#[test]
fn a_fence_without_a_proof_is_not_of_a_life_that_an_on_has_made_since() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::at(dir.path().join("alpha.state"));
    let node = NodeName::parse("node2").unwrap();
    state.lives_anew(&node, &BootClock).unwrap();
    for (phase, since) in [(Phase::Killing, true), (Phase::Failed, true), (Phase::Fenced, false)] {
        let id = RequestId::from_bits(7);
        let joined = vec![RequestId::from_bits(8).to_string()];
        let fence = Fence { phase, joined, ..fence(&id.to_string()) };
        let alone = State::at(dir.path().join(format!("{since}.{phase:?}")));
        alone.remember(&node, fence, &BootClock).unwrap();
        for on in [9, 11, 9] {
            alone.has_on(&node, RequestId::from_bits(on), &BootClock).unwrap();
        }
        alone.lives_anew(&node, &BootClock).unwrap();
        let last = alone.recall().fence_of(&node).cloned().unwrap();
        for bits in [7, 8] {
            assert_eq!(last.comes_after_that_of(RequestId::from_bits(bits)), since, "{phase:?}");
        }
        // The `on`s themselves are before the next fence only.
        assert!(!last.comes_after_that_of(RequestId::from_bits(9)));
        alone
            .remember(&node, self::fence(&RequestId::from_bits(10).to_string()), &BootClock)
            .unwrap();
        let last = alone.recall().fence_of(&node).cloned().unwrap();
        for on in [9, 11] {
            assert!(last.comes_after_that_of(RequestId::from_bits(on)));
        }
    }
}

/// Who fences the node next has to wait for whoever was seen to write for it, until its death is proven.
#[test]
fn writers_are_remembered_until_a_death_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let state = State::at(dir.path().join("alpha.state"));
    let node = NodeName::parse("node2").unwrap();
    let id = RequestId::from_bits;
    let of = |bits, phase| Fence { phase, ..fence(&id(bits).to_string()) };
    let writers = || {
        let last = state.recall().fence_of(&node).cloned().unwrap();
        Writers { known: last.writers, perhaps: last.perhaps, neighbours: Vec::new() }
    };
    let remember = |fence| state.remember(&node, fence, &BootClock).unwrap();
    remember(of(1, Phase::Killing));
    let tapdisk = |pid| vec![Process { pid, started: 8, what: "tapdisk".to_owned() }];
    let told = Writers { known: tapdisk(7), perhaps: tapdisk(8), neighbours: Vec::new() };
    state.has_writers(&node, id(2), &told, &BootClock).unwrap();
    assert_eq!(writers(), Writers::default(), "of another request");
    state.has_writers(&node, id(1), &told, &BootClock).unwrap();
    for (bits, phase) in [(1, Phase::Failed), (2, Phase::Killing), (2, Phase::Failed)] {
        remember(of(bits, phase));
        assert_eq!(writers(), told, "{bits} {phase:?}");
    }
    remember(of(3, Phase::Killing));
    remember(of(3, Phase::Fenced));
    assert_eq!(writers(), Writers::default());
}

/// A package can be changed for a newer one, or an older, while a broker works.
#[test]
fn what_another_version_has_written_beside_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.state");
    let state = State::at(path.clone());
    let node = NodeName::parse("node2").unwrap();
    state.remember(&node, fence("a"), &BootClock).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"request\"", "\"since\":[1],\"request\"")).unwrap();
    assert_eq!(state.recall().fence_of(&node), Some(&fence("a")));
    assert!(state.recall().damage.is_none());
}

/// What is lost with it is said, once.
#[test]
fn a_damaged_file_is_written_anew_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alpha.state");
    fs::write(&path, "{").unwrap();
    let state = State::at(path);
    let node = NodeName::parse("node2").unwrap();
    let said = state.remember(&node, fence("a"), &BootClock).unwrap_err();
    assert!(said.contains("damaged") && said.contains("written anew"), "{said}");
    state.remember(&node, fence("b"), &BootClock).unwrap();
    assert_eq!(state.recall().fence_of(&node).unwrap().request, "b");
}
