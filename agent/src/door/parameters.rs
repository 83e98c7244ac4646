//! The one table of what a cluster manager can set: the readers of standard input, of options and of
//! variables, the help, the man page, the metadata and the plugin's description are all made of it.

mod table;

use crate::ask::Answer;
use crate::error::{Error, Kind};
pub(super) use table::TABLE;
use xen_fence_protocol::{NodeName, Power};

/// What the agent says of itself.
pub(super) struct Agent {
    /// In a few words.
    pub(super) title: &'static str,
    /// In a few sentences.
    pub(super) story: &'static str,
    /// Where its makers are.
    pub(super) url: &'static str,
}

/// What the agent says of itself.
pub(super) const AGENT: Agent = Agent {
    title: "Fence agent for clusters of Xen guests",
    story: "Asks the Xen host (dom0), over one SSH connection, to destroy a node of this cluster, and \
            succeeds only when dom0 has proven that no write of the dead node can still reach a disk. \
            dom0 decides by its own policy which nodes this one may fence. What is not set here is \
            taken from /etc/xen-fence/agent.toml.",
    url: "https://xenproject.org",
};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Any text.
    Text,
    /// A number of seconds.
    Seconds,
    /// A whole number.
    Number,
    /// One of the actions.
    Action,
    /// It is there, or it is not.
    Flag,
}

/// One parameter.
#[derive(Debug)]
pub(super) struct Parameter {
    /// Its long option; its name everywhere else has underscores for the hyphens.
    pub(super) long: &'static str,
    /// Its option of one letter.
    pub(super) short: Option<char>,
    /// Older names for it.
    pub(super) older: &'static [&'static str],
    /// What the value is called in the help.
    pub(super) value: &'static str,
    /// What the value is.
    pub(super) content: Content,
    /// What holds where it is not set.
    pub(super) default: Option<&'static str>,
    /// Whether `fence_xen` cannot do without it, for most actions.
    pub(super) required: bool,
    /// What it is to Heartbeat's plugin.
    pub(super) plugin: Plugin,
    /// One sentence, without its full stop.
    pub(super) text: &'static str,
}

/// What a parameter is to Heartbeat's plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plugin {
    /// It has to be set.
    Mandatory,
    /// It may be set.
    Optional,
    /// It is not known there.
    Unknown,
}

impl Parameter {
    /// Its name on standard input, in the metadata, and as a variable.
    pub(super) fn name(&self) -> String {
        self.long.replace('-', "_")
    }
}

/// The names that Heartbeat's plugin has to be given, in their order; the last takes the rest of the
/// line in ha.cf.
pub(super) fn mandatory() -> Vec<String> {
    of_plugin().filter(|one| one.plugin == Plugin::Mandatory).map(Parameter::name).collect()
}

/// Those that Heartbeat's plugin knows.
pub(super) fn of_plugin() -> impl Iterator<Item = &'static Parameter> {
    TABLE.iter().filter(|one| one.plugin != Plugin::Unknown)
}

/// The dom0s of a value.
pub(super) fn dom0s(text: &str) -> Vec<String> {
    let separates = |c: char| c.is_whitespace() || c == ',' || c == ';';
    text.split(separates).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// An hour: longer than any limit of dom0, or of a cluster manager.
const LONGEST: u64 = 3600;

/// The seconds of a deadline.
///
/// # Errors
/// It is no number of them.
pub(super) fn seconds(name: &str, text: &str) -> Result<u64, Error> {
    let text = text.trim();
    // As in `60s`, which Pacemaker knows.
    let number = text.strip_suffix('s').unwrap_or(text).trim_end();
    number.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds)).ok_or_else(|| {
        let why = format!("{name} is not from 1 to {LONGEST} seconds: {text:?}");
        Error::new(Kind::Usage, why)
    })
}

/// The nodes that the dom0s speak of, each once: on where any says on, off where all say off.
pub(super) fn nodes(answers: &[Answer]) -> Vec<(NodeName, Power)> {
    let mut nodes: Vec<(NodeName, Vec<Power>)> = Vec::new();
    for (node, power) in answers.iter().flat_map(|answer| &answer.told.seen) {
        match nodes.iter_mut().find(|(of, _)| of == node) {
            Some((_, said)) => said.push(*power),
            None => nodes.push((node.clone(), vec![*power])),
        }
    }
    let all = answers.len();
    let power = |said: &[Power]| {
        if said.contains(&Power::On) {
            Power::On
        } else if said.len() == all && said.iter().all(|power| *power == Power::Off) {
            Power::Off
        } else {
            Power::Unknown
        }
    };
    nodes.into_iter().map(|(node, said)| (node, power(&said))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_sound() {
        let mut names = BTreeSet::new();
        let mut letters = BTreeSet::new();
        for one in TABLE {
            let older = one.older.iter().map(|name| (*name).to_owned());
            for name in older.chain([one.name()]) {
                assert!(names.insert(name.clone()), "{name} is there twice");
            }
            if let Some(letter) = one.short {
                assert!(letters.insert(letter), "{letter} is there twice");
            }
            assert!(!one.text.is_empty() && !one.text.ends_with('.'), "{}", one.long);
            assert_eq!(one.value.is_empty(), one.content == Content::Flag, "{}", one.long);
        }
        assert_eq!(mandatory(), ["dom0"]);
    }

    #[test]
    fn seconds_are_counted() {
        assert_eq!(seconds("timeout", "60").unwrap(), 60);
        assert_eq!(seconds("timeout", " 60s ").unwrap(), 60);
        for bad in ["", "0", "-1", "3601", "1.5", "soon", "99999999999999999999"] {
            assert!(seconds("timeout", bad).unwrap_err().message.contains("seconds"), "{bad}");
        }
    }
}
