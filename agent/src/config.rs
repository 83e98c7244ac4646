//! agent.toml and what the caller wishes, together: what the agent is to do.
//!
//! The wish wins, key by key. A key that is not known is refused with file, line, column
//! and a caret: a setting that is silently not used would be found out at the next fence.

use crate::endpoint::{Endpoint, is_account};
use crate::error::{Error, Kind};
use crate::secure_file::{self, Privacy};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Spanned;
use xen_fence_protocol::{AGENT_DEADLINE, NodeName};

const AGENT_TOML: &str = "/etc/xen-fence/agent.toml";
const IDENTITY: &str = "/etc/xen-fence/id_ed25519";
const KNOWN_HOSTS: &str = "/etc/xen-fence/known_hosts";
const SSH_KNOWN_HOSTS: &str = "/etc/ssh/ssh_known_hosts";
const MAX_FILE: u64 = 64 * 1024;
/// An hour: longer than any limit of dom0.
const LONGEST_TIMEOUT: u64 = 3600;

/// What a caller wants otherwise than agent.toml has it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// The settings to use instead of agent.toml.
    pub(crate) config: Option<PathBuf>,
    /// The account of a dom0 that is wished for without one.
    pub(crate) account: Option<String>,
    /// The dom0s, as they are written; those of agent.toml if it is empty.
    pub(crate) dom0: Vec<String>,
    /// The key file.
    pub(crate) identity: Option<PathBuf>,
    /// The known_hosts file.
    pub(crate) known_hosts: Option<PathBuf>,
    /// The deadline for everything, in seconds.
    pub(crate) timeout: Option<u64>,
}

impl Wishes {
    /// Whether the dom0s are named by the caller, and not by a file.
    pub(crate) const fn names_dom0(&self) -> bool {
        !self.dom0.is_empty()
    }
}

/// What the agent works with.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The dom0s to ask, in their order; at least one.
    pub(crate) dom0s: Vec<Endpoint>,
    /// The dom0s that a node can run on, by their names; each is one of those above.
    pub(crate) pins: BTreeMap<NodeName, Vec<String>>,
    /// The key file.
    pub(crate) identity: PathBuf,
    /// The known_hosts file.
    pub(crate) known_hosts: PathBuf,
    /// The deadline for everything.
    pub(crate) timeout: Duration,
}

impl Settings {
    /// Reads agent.toml and puts the caller's wishes over it.
    ///
    /// # Errors
    /// [`Kind::Config`] for the file, [`Kind::Usage`] for a wish.
    pub(crate) fn load(wishes: &Wishes) -> Result<Self, Error> {
        let file = match &wishes.config {
            Some(path) => File::read(path)?.ok_or_else(|| {
                Error::new(Kind::Config, format!("{} does not exist", path.display()))
            })?,
            None => File::read(Path::new(AGENT_TOML))?.unwrap_or_default(),
        };
        Self::of(file, wishes)
    }

    fn of(file: File, wishes: &Wishes) -> Result<Self, Error> {
        let account = wishes.account.as_ref().or(file.account.as_ref()).map(String::as_str);
        let dom0s = if wishes.dom0.is_empty() {
            file.dom0s
        } else {
            let parse = |text: &String| Endpoint::parse_for(account, text);
            let dom0s: Result<Vec<_>, String> = wishes.dom0.iter().map(parse).collect();
            dom0s.map_err(|why| Error::new(Kind::Usage, format!("--dom0: {why}")))?
        };
        if dom0s.is_empty() {
            return Err(Error::new(Kind::Usage, "no dom0 is named")
                .hint("--dom0 fence-CLUSTER@HOST:PORT, with your cluster's name")
                .hint(format!("or in {AGENT_TOML}: dom0 = [\"fence-CLUSTER@HOST:PORT\"]")));
        }
        if let Some((again, _)) = dom0s.iter().enumerate().find_map(|(at, one)| {
            dom0s.iter().take(at).find(|other| *other == one).map(|other| (other, one))
        }) {
            return Err(Error::new(Kind::Usage, format!("{again} is named twice")));
        }
        // A name with a slip in it would take a dom0 out of those that have to answer.
        for (node, hosts) in &file.pins {
            let strange = |host: &&String| !dom0s.iter().any(|dom0| dom0.is_called(host));
            if let Some(host) = hosts.iter().find(strange) {
                return Err(Error::new(
                    Kind::Config,
                    format!(
                        "{node} is pinned to {host}, which is none of the dom0s that are asked"
                    ),
                )
                .hint("in [pins], write a dom0 as its host stands in `dom0` or in --dom0"));
            }
        }
        let known_hosts = || {
            let own = Path::new(KNOWN_HOSTS);
            if own.exists() || !Path::new(SSH_KNOWN_HOSTS).exists() {
                own.to_owned()
            } else {
                SSH_KNOWN_HOSTS.into()
            }
        };
        Ok(Self {
            dom0s,
            pins: file.pins,
            identity: wishes.identity.clone().or(file.identity).unwrap_or_else(|| IDENTITY.into()),
            known_hosts: wishes
                .known_hosts
                .clone()
                .or(file.known_hosts)
                .unwrap_or_else(known_hosts),
            timeout: wishes.timeout.or(file.timeout).map_or(AGENT_DEADLINE, Duration::from_secs),
        })
    }
}

/// What a node that is being set up has to work with.
#[derive(Debug)]
pub(crate) struct Enrolment {
    /// The file of the settings.
    pub(crate) file: PathBuf,
    /// Its text; none if there is no such file.
    pub(crate) text: Option<String>,
    /// The dom0s that it names; none if it has no such line.
    pub(crate) dom0s_on_file: Option<Vec<Endpoint>>,
    /// Where a host key is to be recorded: never in the system's own file.
    pub(crate) pins_go_to: PathBuf,
    /// What holds together with what the caller wishes.
    pub(crate) settings: Settings,
}

impl Enrolment {
    /// Reads the settings, if there are any.
    ///
    /// # Errors
    /// As [`Settings::load`]; that there is no file is none.
    pub(crate) fn of(wishes: &Wishes) -> Result<Self, Error> {
        let path = wishes.config.clone().unwrap_or_else(|| AGENT_TOML.into());
        let text = File::text(&path)?;
        let file = text.as_ref().map(|text| File::parse(text, &path)).transpose()?;
        let file = file.unwrap_or_default();
        let dom0s_on_file = (!file.dom0s.is_empty()).then(|| file.dom0s.clone());
        let by_default = wishes.known_hosts.is_none() && file.known_hosts.is_none();
        let settings = Settings::of(file, wishes)?;
        let pins_go_to = if by_default { KNOWN_HOSTS.into() } else { settings.known_hosts.clone() };
        Ok(Self { file: path, text, dom0s_on_file, pins_go_to, settings })
    }

    /// Whether this could be the text of the file.
    pub(crate) fn is_sound(&self, text: &str) -> bool {
        File::parse(text, &self.file).is_ok()
    }
}

/// The file, as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    account: Option<Spanned<String>>,
    dom0: Option<Vec<Spanned<String>>>,
    identity: Option<Spanned<PathBuf>>,
    known_hosts: Option<Spanned<PathBuf>>,
    timeout: Option<Spanned<u64>>,
    #[serde(default)]
    pins: BTreeMap<Spanned<String>, Spanned<Vec<String>>>,
}

/// The file, as it is meant.
#[derive(Debug, Default)]
struct File {
    account: Option<String>,
    dom0s: Vec<Endpoint>,
    identity: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    timeout: Option<u64>,
    pins: BTreeMap<NodeName, Vec<String>>,
}

impl File {
    fn read(path: &Path) -> Result<Option<Self>, Error> {
        Self::text(path)?.map(|text| Self::parse(&text, path)).transpose()
    }

    fn text(path: &Path) -> Result<Option<String>, Error> {
        let bytes = secure_file::read(path, "the settings", Privacy::Unwritable, MAX_FILE)?;
        let text = bytes.map(String::from_utf8).transpose();
        text.map_err(|_| {
            Error::new(Kind::Config, format!("the settings {} are not UTF-8", path.display()))
        })
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let at = |start: Option<usize>, why: &str| cite(path, text, start, why);
        let written: Written = toml::from_str(text)
            .map_err(|error| at(error.span().map(|span| span.start), error.message()))?;
        if let Some(account) = written.account.as_ref().filter(|name| !is_account(name.get_ref())) {
            let why = "the account is not a user name, such as fence-alpha";
            return Err(at(Some(account.span().start), why));
        }
        let account = written.account.map(Spanned::into_inner);
        let dom0s: Result<Vec<_>, Error> = written
            .dom0
            .unwrap_or_default()
            .iter()
            .map(|dom0| {
                Endpoint::parse_for(account.as_deref(), dom0.get_ref())
                    .map_err(|why| at(Some(dom0.span().start), &why))
            })
            .collect();
        let absolute = |file: Option<Spanned<PathBuf>>| match file {
            Some(file) if !file.get_ref().is_absolute() => {
                Err(at(Some(file.span().start), "the path does not begin with a /"))
            }
            file => Ok(file.map(Spanned::into_inner)),
        };
        if let Some(timeout) = &written.timeout
            && !(1..=LONGEST_TIMEOUT).contains(timeout.get_ref())
        {
            let why = format!("the timeout is not from 1 to {LONGEST_TIMEOUT} seconds");
            return Err(at(Some(timeout.span().start), &why));
        }
        let mut pins = BTreeMap::new();
        for (name, hosts) in written.pins {
            let start = Some(name.span().start);
            let node = NodeName::parse(name.get_ref())
                .map_err(|error| at(start, &format!("this is not a node: {error}")))?;
            if hosts.get_ref().is_empty() {
                let why = "a node that can run on no dom0 needs no pin: leave the line out";
                return Err(at(Some(hosts.span().start), why));
            }
            if pins.insert(node, hosts.into_inner()).is_some() {
                return Err(at(
                    start,
                    "this node is pinned twice; case does not count in its name",
                ));
            }
        }
        Ok(Self {
            pins,
            dom0s: dom0s?,
            account,
            identity: absolute(written.identity)?,
            known_hosts: absolute(written.known_hosts)?,
            timeout: written.timeout.map(Spanned::into_inner),
        })
    }
}

/// `file:line:column: why`, the line, and a caret under the place.
fn cite(path: &Path, text: &str, start: Option<usize>, why: &str) -> Error {
    let why = why.trim().replace('\n', "; ");
    let Some((before, after)) = start.and_then(|start| text.split_at_checked(start)) else {
        return Error::new(Kind::Config, format!("{}: {why}", path.display()));
    };
    let line_number = before.matches('\n').count().saturating_add(1);
    let head = before.rsplit('\n').next().unwrap_or_default();
    let tail = after.split('\n').next().unwrap_or_default();
    let column = head.chars().count().saturating_add(1);
    let pad: String = head.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let line: String = format!("{head}{tail}")
        .chars()
        .map(|c| if c.is_control() && c != '\t' { '?' } else { c })
        .collect();
    Error::new(
        Kind::Config,
        format!("{}:{line_number}:{column}: {why}\n  {line}\n  {pad}^", path.display()),
    )
}

#[cfg(test)]
mod tests;
