//! What no dom0 can know by itself: how its answer took against the deadline, whether any of them
//! sees a node, and whether a node that was named is anybody's.

use crate::ask::Answer;
use crate::client::Finding;
use std::time::Duration;
use xen_fence_protocol::{GO_BY, Level, NodeName, Step, Text};

/// Completes what the dom0s found. `nodes` are those that a person named, if it was several.
pub(crate) fn complete(answers: &mut [Answer], nodes: &[NodeName], timeout: Duration) {
    for answer in &mut *answers {
        only(answer, nodes);
        ready(answer, timeout);
    }
    somewhere(answers);
}

/// Leaves out what concerns other nodes, and says which of those that were named dom0 has none of.
fn only(answer: &mut Answer, nodes: &[NodeName]) {
    if nodes.is_empty() || answer.end.is_err() {
        return;
    }
    let named = |node: &Option<NodeName>| node.as_ref().is_none_or(|node| nodes.contains(node));
    let told = &mut answer.told.findings;
    told.retain(|finding| named(&finding.node) || finding.step.as_str() == "asker");
    for node in nodes {
        if !told.iter().any(|finding| finding.node.as_ref() == Some(node)) {
            let text = "no node of that name is among your targets on this host (hint: here: \
                        xen-fence list shows the nodes that you may name)";
            told.extend(finding(Some(node), Level::Fail, "policy", text, Duration::ZERO));
        }
    }
}

/// How long after the call a fence by this dom0 could be told to go. A rehearsal does what comes
/// before that, and more.
fn ready(answer: &mut Answer, timeout: Duration) {
    if answer.end.is_err() {
        return;
    }
    let (took, limit) = (answer.told.took, GO_BY.min(timeout));
    let seconds = took.as_secs_f64();
    let text = format!(
        "a fence could go after {seconds:.2} s; it has to by {} s, and to end by {} s",
        limit.as_secs(),
        timeout.as_secs()
    );
    let found = if took > limit / 2 {
        let (step, longest) = slowest(answer);
        let dom0 = &answer.endpoint.host;
        let text = format!(
            "{text} (hint: on {dom0}, as root: {step} took {:.2} s of it: `time xl list` and \
             `uptime` show how busy it is)",
            longest.as_secs_f64()
        );
        finding(None, Level::Warn, "ready", &text, took)
    } else {
        finding(None, Level::Ok, "ready", &text, took)
    };
    answer.told.findings.extend(found);
}

fn slowest(answer: &Answer) -> (String, Duration) {
    let phases = answer.phases.iter().map(|(phase, took)| (phase.word().to_owned(), took));
    let sudo = answer.told.first_word.map(|took| ("sudo".to_owned(), took));
    let told = answer.told.findings.iter().map(|one| (one.step.as_str().to_owned(), one.took));
    // The time of the answer is that of its parts.
    let parts = phases.filter(|(word, _)| word != "answer").chain(sudo).chain(told);
    parts.max_by_key(|(_, took)| *took).unwrap_or_default()
}

/// A node that another dom0 sees may be absent here. That nobody sees the one who asks is worse than
/// any failure: a fence of it would be called a success while it lives.
fn somewhere(answers: &mut [Answer]) {
    let all_answered = answers.iter().all(|answer| answer.end.is_ok());
    let seen: Vec<NodeName> = answers
        .iter()
        .flat_map(|answer| &answer.told.findings)
        .filter(|finding| finding.step.as_str() == "domain")
        .filter_map(|finding| finding.node.clone())
        .collect();
    for told in answers.iter_mut().flat_map(|answer| &mut answer.told.findings) {
        let is_seen = told.node.as_ref().is_some_and(|node| seen.contains(node));
        match told.step.as_str() {
            "asker" | "absent" if is_seen => {
                told.level = Level::Ok;
                told.text = Text::escaped("another dom0 sees it");
            }
            "asker" if all_answered => {
                told.level = Level::Fail;
            }
            _ => {}
        }
    }
}

fn finding(
    node: Option<&NodeName>,
    level: Level,
    step: &str,
    text: &str,
    took: Duration,
) -> Option<Finding> {
    // The steps are words of this file, all well formed.
    let step = Step::parse(step).ok()?;
    Some(Finding { node: node.cloned(), level, step, text: Text::escaped(text), took })
}
