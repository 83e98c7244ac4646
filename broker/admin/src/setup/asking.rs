//! The few questions that a person at a terminal is asked. Nobody else is ever waited for.

use super::Fault;
use super::sshd;
use super::wishes::{self, ClusterWish, Listen, Way};
use crate::output::say;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use xen_fence_broker::names::ClusterName;

/// Whether a person reads and types.
pub(super) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Asks for what no option says and no file has.
pub(super) fn complete(
    way: Way,
    listen: &mut Option<Listen>,
    cluster: &mut ClusterWish,
    is_first: bool,
) -> Result<(), Fault> {
    if way == Way::Dedicated && is_first && listen.is_none() && !sshd::is_told_where() {
        let question = "dom0's address on the network of the nodes (empty: every one that it has)";
        *listen = answer(question, wishes::listen)?;
    }
    let is_asked = cluster.name.is_none() && is_first;
    if is_asked {
        cluster.name = answer("the name of the first cluster (empty: none yet)", |text| {
            ClusterName::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
        })?;
    }
    while is_asked && cluster.name.is_some() {
        let question = "a node with its key, as `xen-fence enroll` prints them (empty: no more)";
        let Some((name, key)) = answer(question, pasted)? else { break };
        if let Err(fault) = cluster.add(name, key) {
            say(fault);
        }
    }
    Ok(())
}

/// Asks whether it may be written.
pub(super) fn consents() -> bool {
    matches!(typed("\nwrite that? [y/N]"), Ok(Some(word)) if matches!(word.as_str(), "y" | "Y" | "yes"))
}

/// What is pasted may be the whole option.
fn pasted(text: &str) -> Result<(xen_fence_protocol::NodeName, wishes::Key), String> {
    let text = text.strip_prefix("--node").unwrap_or(text).trim();
    wishes::node(text.trim_matches('\''))
}

/// Asks until the answer is one, or empty.
fn answer<T>(question: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Fault> {
    loop {
        let Some(text) = typed(&format!("{question}:"))? else { return Ok(None) };
        match read(&text) {
            Ok(value) => return Ok(Some(value)),
            Err(why) => say(why),
        };
    }
}

/// A line, or nothing if it is empty.
fn typed(question: &str) -> Result<Option<String>, Fault> {
    let gone = |_| "nothing was written: the terminal is gone".to_owned();
    let mut out = io::stdout().lock();
    write!(out, "{question} ").and_then(|()| out.flush()).map_err(gone)?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line).map_err(gone)? == 0 {
        return Err("nothing was written: the questions were not answered".to_owned());
    }
    let line = line.trim();
    Ok((!line.is_empty()).then(|| line.to_owned()))
}
