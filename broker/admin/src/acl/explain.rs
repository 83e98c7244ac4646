//! `acl explain`: what would come of a request, without making it. The broker's own decision says
//! whether, its own look at the host says of which domain; nothing is touched and nothing recorded.

mod now;
mod steps;
mod text;
mod verdict;

use super::callers;
use super::source::{Cannot, Source, Unread};
use crate::output::{escaped_json, say};
use crate::root::unable;
use crate::{Ending, Format};
use now::Now;
use serde_json::json;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use verdict::{Answer, Verdict};
use xen_fence_broker::acl::{Cluster, PolicyError};
use xen_fence_broker::identity::Identity;
use xen_fence_broker::names::{Caller, ClusterName, Fingerprint};
use xen_fence_broker::settings::{self, SETTINGS_FILE, Settings};
use xen_fence_protocol::{Action, NodeName, Request, RequestId};

/// What is asked.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The cluster, or a policy file: DIRECTORY/CLUSTER.toml, also a draft
    cluster: String,
    /// The node, as the request would name it; - for list, monitor, and a check of all
    node: String,
    /// reset, off, on, status, list, monitor or check
    #[arg(value_parser = action)]
    action: Action,
    /// Who asks: NODE, or operator:NAME; default: each that there is, one after the other
    #[arg(long = "as", value_name = "CALLER", value_parser = callers::parse)]
    caller: Option<Caller>,
    /// From which address; default: one that the policy allows
    #[arg(long, value_name = "ADDRESS")]
    from: Option<IpAddr>,
    /// With which key, by its fingerprint; default: one that the policy has for whoever asks
    #[arg(long, value_name = "SHA256:…", value_parser = fingerprint)]
    key: Option<Fingerprint>,
    /// Text for the eye, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

fn action(text: &str) -> Result<Action, String> {
    let words = "write reset, off, on, status, list, monitor or check";
    Action::from_word(text).map_err(|_| words.to_owned())
}

fn fingerprint(text: &str) -> Result<Fingerprint, String> {
    Fingerprint::parse(text).map_err(|error| format!("{error}; {}", error.hint()))
}

/// Everything that there is to say of a request.
struct Explained {
    cluster: ClusterName,
    file: PathBuf,
    request: Request,
    verdicts: Vec<Verdict>,
    /// What is so at this moment, of each node that it would be about.
    now: Option<Now>,
}

/// Explains a request.
pub(crate) fn run(arguments: &Arguments) -> Ending {
    let explained = request(arguments).and_then(|request| {
        let settings = settings::load(Path::new(SETTINGS_FILE));
        explain(arguments, request, settings)
    });
    let explained = match explained {
        Ok(explained) => explained,
        Err((why, hint)) => return unable(why, Some(&hint)),
    };
    match arguments.format {
        Format::Json => {
            say(escaped_json(&explained.object().to_string()));
        }
        Format::Table => {
            for line in text::lines(&explained) {
                say(line);
            }
        }
    }
    if explained.is_permitted() { Ending::Well } else { Ending::Wrong }
}

const NODE_HINT: &str = "the name is the one that the policy has in [nodes.NAME]; for none write -";

/// The request, as it would stand on the wire.
fn request(arguments: &Arguments) -> Result<Request, Cannot> {
    let node = match arguments.node.as_str() {
        "-" => None,
        name => Some(
            NodeName::parse(name)
                .map_err(|error| (format!("{name:?}: {error}"), NODE_HINT.to_owned()))?,
        ),
    };
    Request::new(RequestId::from_bits(0), arguments.action, node)
        .map_err(|error| (error.to_string(), NODE_HINT.to_owned()))
}

fn explain(
    arguments: &Arguments,
    request: Request,
    settings: Result<Settings, PolicyError>,
) -> Result<Explained, Cannot> {
    let source = Source::of_word(&arguments.cluster)?;
    let (verdicts, now) = match source.read() {
        Ok(policy) => {
            let askers = askers(arguments, &policy);
            let verdicts: Vec<Verdict> = askers
                .into_iter()
                .map(|asker| Verdict::of(&policy, asker, &request, &settings))
                .collect();
            let now = Now::of(&policy, &request, &verdicts, &settings.unwrap_or_default());
            (verdicts, now)
        }
        Err(Unread::Refused(error)) => {
            (vec![Verdict::of_broken(arguments.caller.as_ref(), &error)], None)
        }
        Err(Unread::Unable(cannot)) => return Err(cannot),
    };
    Ok(Explained { cluster: source.name, file: source.file, request, verdicts, now })
}

/// Who is asked for, with what the command line says of them and else what the policy has.
fn askers(arguments: &Arguments, policy: &Cluster) -> Vec<Identity> {
    let askers = match &arguments.caller {
        Some(caller) => vec![callers::identity(policy, caller.clone())],
        None => callers::all(policy),
    };
    let as_told = |asker: Identity| Identity {
        key: arguments.key.clone().or(asker.key),
        from: arguments.from.or(asker.from),
        ..asker
    };
    askers.into_iter().map(as_told).collect()
}

impl Explained {
    fn object(&self) -> serde_json::Value {
        json!({
            "cluster": self.cluster.as_str(),
            "file": self.file.display().to_string(),
            "action": self.request.action().word(),
            "node": self.request.node().map(NodeName::as_str),
            "answers": self.verdicts.iter().map(Verdict::object).collect::<Vec<_>>(),
            "now": self.now.as_ref().map(Now::object),
            "steps": self.steps(),
        })
    }

    /// Whether anybody of those who are asked for is permitted.
    fn is_permitted(&self) -> bool {
        self.verdicts.iter().any(|verdict| matches!(verdict.answer, Answer::Permit { .. }))
    }

    /// The steps that it would take; none if nobody is permitted.
    fn steps(&self) -> Vec<String> {
        let now = self.now.as_ref().filter(|_| self.is_permitted());
        now.map(|now| steps::of(&self.cluster, &self.request, now)).unwrap_or_default()
    }
}

#[cfg(test)]
mod generated;
#[cfg(test)]
mod tests;
