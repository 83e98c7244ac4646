//! What `fence_xen` is told: options, or lines of `name=value` on standard input where there are none.
//!
//! On standard input what is not known is left alone, because Pacemaker passes on whatever it was
//! configured with; a wrong option is a mistake of a person, who is told.

use super::super::parameters::{Content, Parameter, TABLE};
use super::{Deed, NAME};
use crate::error::{Error, Kind};
use clap::{Arg, ArgAction, Command};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{IsTerminal, Read, stdin};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// What was set, by the parameters' long names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Given(BTreeMap<&'static str, String>);

/// Far more than any configuration.
const MAX_INPUT: u64 = 1024 * 1024;

/// How long whoever has no options may take to say what he wants. A person may take his time.
const PATIENCE: Duration = Duration::from_secs(10);

impl Given {
    /// Reads what there is. None if a person was shown what he asked for.
    ///
    /// # Errors
    /// [`Kind::Usage`], with all that is wrong.
    pub(super) fn read(arguments: Vec<OsString>) -> Result<Option<Self>, Error> {
        if arguments.len() > 1 { Self::of_options(arguments) } else { Self::of_lines(&input()?) }
    }

    fn of_options(arguments: Vec<OsString>) -> Result<Option<Self>, Error> {
        let matches = match command().try_get_matches_from(arguments) {
            Ok(matches) => matches,
            Err(error) if error.exit_code() == 0 => {
                let _ = error.print();
                return Ok(None);
            }
            Err(error) => {
                let text = error.render().to_string();
                let text = text.trim_start_matches("error: ").lines().next().unwrap_or_default();
                let hint = format!("`{NAME} --help` has the options");
                return Err(Error::new(Kind::Usage, text).hint(hint));
            }
        };
        let mut given = Self::default();
        for one in settable() {
            if one.content == Content::Flag {
                if matches.get_flag(one.long) {
                    given.0.insert(one.long, "1".to_owned());
                }
            } else if let Some(value) = matches.get_one::<String>(one.long) {
                given.0.insert(one.long, value.clone());
            }
        }
        Ok(Some(given))
    }

    fn of_lines(text: &str) -> Result<Option<Self>, Error> {
        let mut given = Self::default();
        let mut plugs: BTreeMap<String, &str> = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
            let value = bare.unwrap_or(value);
            let name = name.trim().replace('-', "_");
            let Some(one) = of_name(&name) else { continue };
            given.0.insert(one.long, value.to_owned());
            if one.long == "plug" {
                plugs.insert(name, value);
            }
        }
        // The last of several lines counts; but a node under two names that are one parameter is no duplicate.
        if let Some(((first, node), (other, another))) =
            plugs.first_key_value().zip(plugs.last_key_value())
            && !node.eq_ignore_ascii_case(another)
        {
            let why = format!("{first} and {other} name two nodes: {node:?} and {another:?}");
            return Err(Error::new(Kind::Usage, why).hint("leave one of them out"));
        }
        for shown in ["help", "version"] {
            if given.flag(shown) {
                return Self::of_options(vec![NAME.into(), format!("--{shown}").into()]);
            }
        }
        Ok(Some(given))
    }

    #[cfg(test)]
    pub(super) fn of_text(text: &str) -> Self {
        Self::of_lines(text).unwrap().unwrap()
    }

    /// The value of a parameter; an empty one says nothing.
    pub(super) fn value(&self, long: &str) -> Option<&str> {
        self.0.get(long).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value as it was written, blanks and all.
    pub(super) fn text(&self, long: &str) -> Option<&str> {
        self.0.get(long).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether a flag is up.
    pub(super) fn flag(&self, long: &str) -> bool {
        let up = ["1", "yes", "on", "true"];
        self.value(long).is_some_and(|value| up.iter().any(|word| value.eq_ignore_ascii_case(word)))
    }
}

/// The parameter of a name on standard input, which has underscores for hyphens here.
fn of_name(name: &str) -> Option<&'static Parameter> {
    TABLE.iter().find(|one| one.name() == name || one.older.contains(&name))
}

/// What can be set; the others are answered at once.
fn settable() -> impl Iterator<Item = &'static Parameter> {
    TABLE.iter().filter(|one| !matches!(one.long, "help" | "version"))
}

/// The options, and the help that is made of them.
fn command() -> Command {
    let mut command = Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .about(super::super::parameters::AGENT.story)
        .override_usage(format!("{NAME} [OPTIONS]\n       {NAME} < FILE"))
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true)
        .max_term_width(100)
        .after_help(after_help());
    for one in TABLE {
        let mut text = one.text.to_owned();
        if let Some(default) = one.default {
            text.push_str(&format!(" [default: {default}]"));
        }
        let action = match (one.long, one.content) {
            ("help", _) => ArgAction::Help,
            ("version", _) => ArgAction::Version,
            (_, Content::Flag) => ArgAction::SetTrue,
            (_, Content::Text | Content::Seconds | Content::Number | Content::Action) => {
                ArgAction::Set
            }
        };
        let mut argument = Arg::new(one.long).long(one.long).help(text).action(action);
        if let Some(letter) = one.short {
            argument = argument.short(letter);
        }
        if !one.value.is_empty() {
            argument = argument.value_name(one.value).allow_hyphen_values(true);
        }
        command = command.arg(argument.visible_aliases(one.older.iter().copied()));
    }
    command
}

fn after_help() -> String {
    let deeds: Vec<String> =
        Deed::ALL.iter().map(|deed| format!("  {:12}  {}", deed.word(), deed.text())).collect();
    format!(
        "Actions:\n{}\n\n\
         Without options, lines of NAME=VALUE are read from standard input, with the same names and\n\
         underscores for the hyphens; what is not known there is left alone.\n\n\
         Exit codes:\n  \
           0  done and proven; status: on\n  \
           1  failed, refused, or nobody can tell: never take it for dead\n  \
           2  status: off\n\n\
         A call that exits with 1 takes a second at least, so that who calls again at once does not\n\
         flood dom0; a fence for which time alone was not enough takes 43 s, if it has them.",
        deeds.join("\n")
    )
}

/// All of standard input.
fn input() -> Result<String, Error> {
    let usage =
        |why: String| Error::new(Kind::Usage, why).hint(format!("`{NAME} --help` has the options"));
    if stdin().is_terminal() {
        super::hint_to_a_person();
    }
    let (tell, read) = mpsc::channel();
    let reader = move || {
        let mut bytes = Vec::new();
        let end = stdin().take(MAX_INPUT.saturating_add(1)).read_to_end(&mut bytes);
        let _ = tell.send(end.map(|_| bytes));
    };
    let started = thread::Builder::new().name("input".to_owned()).spawn(reader);
    started.map_err(|error| usage(format!("standard input cannot be read: {error}")))?;
    let bytes =
        if stdin().is_terminal() { read.recv().ok() } else { read.recv_timeout(PATIENCE).ok() };
    let bytes = bytes.ok_or_else(|| {
        usage(format!("standard input did not end within {} s", PATIENCE.as_secs()))
    })?;
    let bytes = bytes.map_err(|error| usage(format!("standard input cannot be read: {error}")))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_INPUT) {
        return Err(usage(format!("standard input is longer than {MAX_INPUT} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Given {
        Given::of_lines(text).unwrap().unwrap()
    }

    fn options(words: &[&str]) -> Result<Option<Given>, Error> {
        Given::of_options([&[NAME], words].concat().iter().map(OsString::from).collect())
    }

    #[test]
    fn lines_are_read_as_the_field_writes_them() {
        let given = lines(
            "# a comment\n\naction=Off\nport=Node2\nnodename=node2\ndom0=a@x b@y\n\
             identity-file=\"/k\"\nlogin_timeout=3\nlogin-timeout=4\ndelay=\n\
             garbage\n=x\nxyz=1\npasswd=secret\nverbose=YES\nquiet=0\nseparator= \n",
        );
        assert_eq!(given.value("action"), Some("Off"));
        assert_eq!(given.value("plug"), Some("Node2"));
        assert_eq!(given.value("nodename"), Some("node2"));
        assert_eq!(given.value("dom0"), Some("a@x b@y"));
        assert_eq!(given.value("identity-file"), Some("/k"));
        assert_eq!(given.value("login-timeout"), Some("4"), "the last wins");
        assert_eq!(given.value("delay"), None);
        assert!(given.flag("verbose") && !given.flag("quiet"));
        assert_eq!(lines("").0.len(), 0);
        assert_eq!(lines("option=list\nlogin=a\nipaddr=x").0.len(), 3, "older names");
    }

    #[test]
    fn two_nodes_are_a_contradiction() {
        assert_eq!(lines("plug=node2\nport=NODE2").value("plug"), Some("NODE2"));
        assert_eq!(lines("plug=node2\nplug=node3").value("plug"), Some("node3"), "the last wins");
        assert_eq!(lines("port=node2\nplug=node3\nport=node3").value("plug"), Some("node3"));
        for text in [
            "plug=node2\nport=node3",
            "port=node3\nplug=node2",
            "plug=node3\nport=node3\nplug=node2",
        ] {
            let error = Given::of_lines(text).unwrap_err();
            assert!(error.message.contains("plug and port name two nodes"), "{error}");
        }
    }

    #[test]
    fn options_are_read_and_what_is_none_is_said() {
        let given = options(&["-o", "off", "-n", "node2", "--dom0", "a@x b@y", "-k/k", "-v"]);
        let given = given.unwrap().unwrap();
        assert_eq!(given.value("action"), Some("off"));
        assert_eq!(given.value("plug"), Some("node2"));
        assert_eq!(given.value("identity-file"), Some("/k"));
        assert!(given.flag("verbose") && !given.flag("quiet"));
        let older = options(&["--port=node2", "--login", "a", "-n", "node3"]).unwrap().unwrap();
        assert_eq!((older.value("plug"), older.value("username")), (Some("node3"), Some("a")));
        for bad in [&["-x"][..], &["off"], &["--plug"], &["-o", "off", "node2"], &["--frob=1"]] {
            assert_eq!(options(bad).unwrap_err().kind, Kind::Usage, "{bad:?}");
        }
        command().debug_assert();
    }
}
