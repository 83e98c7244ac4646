//! A cluster's rights for the eye, in 80 columns: a matrix where it fits, else a list in which those
//! who may do the same stand together.

use super::Shown;
use super::rights::{Rights, Row};
use crate::acl::lines::{WIDTH, sentence, wrapped};
use crate::output::aligned;
use xen_fence_broker::names::Caller;
use xen_fence_protocol::{Action, NodeName};

/// The letters of a cell, each in its place.
const LETTERS: [(Action, char); 5] = [
    (Action::Reset, 'r'),
    (Action::Off, 'o'),
    (Action::On, 'n'),
    (Action::Status, 's'),
    (Action::Check, 'c'),
];
/// The letters of what names no node.
const WHOLE: [(Action, char); 3] =
    [(Action::List, 'l'), (Action::Monitor, 'm'), (Action::Check, 'c')];
/// What such a column is called.
const NO_NODE: &str = "no node";

/// Everything that is shown of a cluster; of one node, what it may do and what may be done to it.
pub(super) fn lines(shown: &Shown, node: Option<&NodeName>) -> Vec<String> {
    let policy = &shown.policy;
    let mut lines = vec![
        format!("{}: {}", policy.name(), shown.file.display()),
        format!("account {}", policy.account()),
        String::new(),
    ];
    let rights = &shown.rights;
    match node {
        Some(node) => lines.extend(of_node(rights, node)),
        None => lines.extend(matrix(rights).unwrap_or_else(|| list(rights))),
    }
    lines.push(String::new());
    lines.extend(legend());
    lines.extend(sentence("from   ", &format!("nodes: {}", places(policy.from()))));
    for operator in policy.operators() {
        let text = format!("operator {}: {}", operator.name(), places(operator.from()));
        lines.extend(sentence("       ", &text));
    }
    lines.extend(match policy.brake() {
        Some(brake) => sentence(
            "brake  ",
            &format!(
                "{brake}: the next reset of a node kills it and leaves it off, until somebody \
                 says `on` or root clears the brake"
            ),
        ),
        None => sentence("brake  ", "none: a node is started again after every reset"),
    });
    lines
}

fn places<N: ToString>(nets: Option<&[N]>) -> String {
    nets.map_or_else(
        || "anywhere".to_owned(),
        |nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    )
}

fn legend() -> Vec<String> {
    let mut lines = wrapped(
        "",
        ["r reset   o off   n on   s status   c check   l list   m monitor   - not granted"],
    );
    lines.extend(sentence(
        "",
        "Status, list, check and monitor change nothing: list is the status of all targets, check \
         rehearses a fence, monitor says whether the cluster's nodes could fence at all. List, check \
         and monitor are always allowed to nodes, and to operators if they are listed.",
    ));
    lines
}

/// A row for each caller, a column for each node; nothing if that is too wide.
fn matrix(rights: &Rights) -> Option<Vec<String>> {
    let nodes = rights.nodes.iter().map(ToString::to_string);
    let heading = std::iter::once(String::new()).chain(nodes).chain([NO_NODE.to_owned()]);
    let mut rows: Vec<Vec<String>> = vec![heading.collect()];
    for row in &rights.rows {
        let cells = row.to_nodes.iter().map(|actions| letters(actions, &LETTERS));
        let label = std::iter::once(label(&row.caller));
        rows.push(label.chain(cells).chain([letters(&row.whole, &WHOLE)]).collect());
    }
    let lines = aligned(&rows);
    lines.iter().all(|line| line.len() <= WIDTH).then_some(lines)
}

/// Those who may do the same, and what.
fn list(rights: &Rights) -> Vec<String> {
    let same = |one: &Row, other: &Row| one.to_nodes == other.to_nodes && one.whole == other.whole;
    let mut lines = Vec::new();
    for rows in alike(rights.rows.iter(), |one, other| same(one, other)) {
        let Some(first) = rows.first() else { continue };
        lines.extend(callers("", rows.iter().copied()));
        lines.extend(of_row(rights, first));
    }
    lines
}

/// What one caller may do to whom.
fn of_row(rights: &Rights, row: &Row) -> Vec<String> {
    let mut lines = Vec::new();
    let cells = rights.nodes.iter().zip(&row.to_nodes);
    let (none, some): (Vec<_>, Vec<_>) = cells.partition(|(_, actions)| actions.is_empty());
    let all = rights.nodes.len();
    for cells in alike(some.into_iter(), |one, other| one.1 == other.1) {
        let Some((_, actions)) = cells.first() else { continue };
        let head = format!("    {}  ", letters(actions, &LETTERS));
        lines.extend(if cells.len() == all && all > 1 {
            sentence(&head, &format!("every node ({all})"))
        } else {
            wrapped(&head, cells.iter().map(|(node, _)| node.as_str()))
        });
    }
    if !none.is_empty() {
        let whom = if none.len() == all { "any node" } else { "the others" };
        lines.push(format!("    {}  {whom} ({})", letters(&[], &LETTERS), none.len()));
    }
    lines.push(format!("    {}    {NO_NODE}", letters(&row.whole, &WHOLE)));
    lines
}

/// Who may do what to a node, and what it may do itself.
fn of_node(rights: &Rights, node: &NodeName) -> Vec<String> {
    let mut lines = vec![format!("node {node}"), "what may be done to it".to_owned()];
    let column = rights.nodes.iter().position(|name| name == node).unwrap_or_default();
    let cells = rights.rows.iter().filter_map(|row| Some((row, row.to_nodes.get(column)?)));
    for cells in alike(cells, |one, other| one.1 == other.1) {
        let Some((_, actions)) = cells.first() else { continue };
        let head = format!("    {}  by ", letters(actions, &LETTERS));
        lines.extend(callers(&head, cells.iter().map(|(row, _)| *row)));
    }
    let is_it = |row: &&Row| matches!(&row.caller, Caller::Node(name) if name == node);
    for row in rights.rows.iter().filter(is_it) {
        lines.push("what it may do".to_owned());
        lines.extend(of_row(rights, row));
    }
    lines
}

/// Things in groups of those that are alike, in the order of the first of each.
fn alike<T>(things: impl Iterator<Item = T>, are_alike: impl Fn(&T, &T) -> bool) -> Vec<Vec<T>> {
    let mut groups: Vec<Vec<T>> = Vec::new();
    for thing in things {
        let is_its =
            |group: &&mut Vec<T>| group.first().is_some_and(|first| are_alike(first, &thing));
        match groups.iter_mut().find(is_its) {
            Some(group) => group.push(thing),
            None => groups.push(vec![thing]),
        }
    }
    groups
}

/// The names of callers, in as many lines as they need.
fn callers<'rows>(head: &str, rows: impl Iterator<Item = &'rows Row>) -> Vec<String> {
    let labels: Vec<String> = rows.map(|row| label(&row.caller)).collect();
    sentence(head, &labels.join(" "))
}

/// A node by its name, an operator as such.
fn label(caller: &Caller) -> String {
    match caller {
        Caller::Node(name) => name.to_string(),
        Caller::Operator(_) | Caller::Root(_) => caller.to_string(),
    }
}

fn letters(actions: &[Action], places: &[(Action, char)]) -> String {
    let letter = |(action, letter): &(Action, char)| {
        if actions.contains(action) { *letter } else { '-' }
    };
    places.iter().map(letter).collect()
}
