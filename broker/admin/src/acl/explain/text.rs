//! An explanation for the eye, in 80 columns.

use super::Explained;
use super::now::{NodeNow, Now};
use super::verdict::{Answer, Verdict};
use crate::acl::lines::sentence;
use crate::output::escaped;
use xen_fence_broker::brake::Verdict as Braking;
use xen_fence_broker::names::{Caller, ClusterName};
use xen_fence_protocol::Action;

/// Everything that there is to say.
pub(super) fn lines(explained: &Explained) -> Vec<String> {
    let Explained { cluster, file, request, verdicts, now } = explained;
    let what = match request.node() {
        Some(node) => format!("{} {node}", request.action()),
        None => request.action().to_string(),
    };
    let mut lines = vec![format!("{what}, in {cluster} by {}", file.display()), String::new()];
    for verdict in verdicts {
        lines.extend(self::verdict(verdict, &file.display().to_string()));
    }
    if let Some(now) = now {
        lines.push(String::new());
        lines.extend(self::now(cluster, request.action(), now));
    }
    let steps = explained.steps();
    if !steps.is_empty() {
        lines
            .extend([String::new(), "what would happen, if nothing changed until then".to_owned()]);
    }
    for (number, step) in (1..).zip(steps) {
        lines.extend(sentence(&format!("{number:3}  "), &escaped(&step)));
    }
    lines
}

fn verdict(verdict: &Verdict, file: &str) -> Vec<String> {
    let who = verdict.caller.as_ref().map_or_else(|| "everybody".to_owned(), Caller::to_string);
    let from = verdict.asker.as_ref().and_then(|asker| asker.from);
    let from = from.map_or_else(String::new, |from| format!(" from {from}"));
    let (word, reason, rule, lines) = match &verdict.answer {
        Answer::Permit { rule, lines, .. } => ("permit", String::new(), rule, lines),
        Answer::Refuse { reason, rule, lines, .. } => {
            ("refuse", format!(": {reason}"), rule, lines)
        }
    };
    let mut out = sentence(&format!("{word}  "), &format!("{who}{from}{reason}"));
    let places: Vec<String> = lines.iter().map(|line| format!("{file}:{line}")).collect();
    out.extend(sentence("        ", &escaped(rule)));
    // A broken file is named with its place in the rule itself.
    if verdict.asker.is_some() && !places.is_empty() {
        out.extend(sentence("        ", &places.join(" ")));
    }
    if let Answer::Refuse { told: Some(told), .. } = &verdict.answer {
        out.extend(sentence("        told: ", told));
    }
    out
}

fn now(cluster: &ClusterName, action: Action, now: &Now) -> Vec<String> {
    let mut lines = vec!["at this moment".to_owned()];
    let mut say = |text: &str| lines.extend(sentence("     ", &escaped(text)));
    if let Some(why) = &now.no_xen {
        say(&format!(
            "Xen cannot be asked here, so nobody can tell which domain it would be: {why}"
        ));
    }
    if let Some(why) = &now.no_holds {
        say(&format!("nobody can tell what is held: {why}"));
    }
    for node in &now.nodes {
        let NodeNow { node: policy, seen, held, brake, start } = node;
        let (name, domain, uuid) = (policy.name(), policy.domain(), policy.uuid());
        say(&match seen {
            Some(_) => format!("{name} (\"{domain}\", {uuid}): {}", node.domain()),
            None => format!("{name} is the domain \"{domain}\" with the UUID {uuid}"),
        });
        if let Some(held) = held {
            say(&held.told(cluster));
        }
        match brake {
            Some(Ok(said)) => {
                if let Some(told) = said.told(cluster, name) {
                    say(&told);
                }
            }
            Some(Err(why)) => say(&format!("nobody can tell how often it was reset: {why}")),
            None => {}
        }
        if let (Action::Reset | Action::On, Err(why)) = (action, start) {
            say(&format!("it cannot be started: {why}"));
        }
    }
    if now.no_holds.is_none() && now.nodes.iter().all(NodeNow::is_free) {
        say("no hold and no brake stands against it on this host");
    }
    lines
}

impl NodeNow {
    /// Whether neither hold nor brake stands against a request.
    fn is_free(&self) -> bool {
        self.held.is_none() && matches!(self.brake, None | Some(Ok(Braking::Free(_))))
    }
}
