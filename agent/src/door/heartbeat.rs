//! The front door for Heartbeat and cluster-glue: the external plugin `external/xen-fence`.
//!
//! The action and the node are its arguments, the parameters are variables of the environment. Under
//! Heartbeat standard error is lost and only standard output is logged, so the last line there is the
//! reason. It ends without a newline: libstonith sleeps for a second whenever a read brings it
//! nothing, and so the read that meets the end still brings something.

use super::parameters::{self, AGENT};
use super::voice::{self, Place, Voice};
use super::{descriptors, syslog, xml};
use crate::call::{Call, Carried};
use crate::clock::Moment;
use crate::config::Wishes;
use crate::error::{Error, Kind};
use crate::exit::Exit;
use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use xen_fence_protocol::{Action, NodeName};

/// What it is called in logs.
const NAME: &str = "xen-fence";

/// Answers Heartbeat.
pub(super) fn open(begun: Moment) -> ExitCode {
    descriptors::close_inherited();
    let mut arguments = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let (action, host) = (arguments.next().unwrap_or_default(), arguments.next());
    let text = match action.as_str() {
        "getconfignames" => parameters::mandatory().join("\n") + "\n",
        // Without newlines: Heartbeat puts them into the middle of its lines.
        "getinfo-devid" | "getinfo-devname" => AGENT.title.to_owned(),
        "getinfo-devdescr" => AGENT.story.to_owned(),
        "getinfo-devurl" => AGENT.url.to_owned(),
        "getinfo-xml" => xml::plugin(),
        word => return act(word, host.as_deref(), begun),
    };
    print(&text);
    Exit::Success.into()
}

fn act(word: &str, host: Option<&str>, begun: Moment) -> ExitCode {
    // What gethosts prints are hosts, every word of it.
    let place = if word == "gethosts" { Place::Errors } else { Place::Output };
    let mut voice = Voice::new(NAME, place, false);
    let carried = call(word, host).and_then(|call| call.carry_out(begun, &mut voice));
    let (exit, said) = match &carried {
        Ok(carried) => {
            for warning in &carried.verdict.warnings {
                voice.say(&format!("warning: {warning}"));
            }
            (carried.verdict.exit, voice::reason(carried))
        }
        Err(error) => (error.kind.exit(), voice::of_error(error)),
    };
    let is_well = exit == Exit::Success;
    match &carried {
        Ok(carried) if is_well && word == "gethosts" => print(&hosts(carried)),
        Ok(_) | Err(_) => {
            let said = if is_well { said } else { format!("error: {said}") };
            if !is_well || matches!(word, "on" | "off" | "reset") {
                let about = host.map(|host| format!(" {host}")).unwrap_or_default();
                syslog::say(NAME, is_well, &format!("{word}{about}: {said}"));
            }
            print(&format!("{NAME}: {said}"));
        }
    }
    exit.of_plugin().into()
}

fn call(word: &str, host: Option<&str>) -> Result<Call, Error> {
    let action = match word {
        "gethosts" => Action::List,
        "status" => Action::Monitor,
        "on" => Action::On,
        "off" => Action::Off,
        "reset" => Action::Reset,
        "" => return Err(unknown("no action is named")),
        other => return Err(unknown(&format!("{other:?} is no action of this plugin"))),
    };
    let node = match (action, host) {
        (Action::List | Action::Monitor, _) => None,
        (_, Some(host)) => Some(NodeName::parse(host).map_err(|error| {
            Error::new(Kind::Usage, format!("{host:?} is not a node: {error}"))
        })?),
        (_, None) => return Err(Error::new(Kind::Usage, format!("{word} needs a node"))),
    };
    let wishes = wishes(&variable)?;
    Ok(Call { action, node, nodes: Vec::new(), confirmed_down: Vec::new(), wishes })
}

fn unknown(why: &str) -> Error {
    Error::new(Kind::Usage, why).hint(
        "they are gethosts, status, on, off, reset, getconfignames, getinfo-devid, \
         getinfo-devname, getinfo-devdescr, getinfo-devurl and getinfo-xml; people call \
         /usr/sbin/xen-fence",
    )
}

/// What the variables of the environment say; an empty one says nothing.
fn wishes(variable: &dyn Fn(&str) -> Option<String>) -> Result<Wishes, Error> {
    let value = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let path = |name: &str| value(name).map(|value| value.trim().into());
    Ok(Wishes {
        config: None,
        account: None,
        dom0: value("dom0").map(|text| parameters::dom0s(&text)).unwrap_or_default(),
        identity: path("identity_file"),
        known_hosts: path("known_hosts"),
        timeout: value("timeout").map(|text| parameters::seconds("timeout", &text)).transpose()?,
    })
}

fn variable(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

fn hosts(carried: &Carried) -> String {
    parameters::nodes(&carried.answers).iter().map(|(node, _)| format!("{node}\n")).collect()
}

fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests {
    use super::parameters::Parameter;
    use super::*;
    use std::cell::RefCell;
    use std::collections::BTreeSet;

    #[test]
    fn variables_are_wishes() {
        let variables = |name: &str| {
            let value = match name {
                "dom0" => "fence-a@xen1:2422 fence-a@xen2, fence-a@xen3",
                "timeout" => " 30 ",
                "identity_file" => "/k",
                "known_hosts" => " ",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let wishes = wishes(&variables).unwrap();
        assert_eq!(wishes.dom0, ["fence-a@xen1:2422", "fence-a@xen2", "fence-a@xen3"]);
        assert_eq!(wishes.timeout, Some(30));
        assert_eq!(wishes.identity.as_deref(), Some("/k".as_ref()));
        assert_eq!(wishes.known_hosts, None);
        let bad = |name: &str| (name == "timeout").then(|| "soon".to_owned());
        assert_eq!(super::wishes(&bad).unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn what_is_described_is_read_and_nothing_else() {
        let asked = RefCell::new(BTreeSet::new());
        let none = |name: &str| {
            asked.borrow_mut().insert(name.to_owned());
            None
        };
        let _ = super::wishes(&none).unwrap();
        assert_eq!(asked.into_inner(), parameters::of_plugin().map(Parameter::name).collect());
    }

    #[test]
    fn what_is_no_action_or_no_node_is_said() {
        for (word, host, why) in [
            ("", None, "no action"),
            ("monitor", None, "no action of this plugin"),
            ("RESET", Some("node2"), "no action of this plugin"),
            ("reset", None, "needs a node"),
            ("reset", Some("node2;reboot"), "not a node"),
            ("off", Some(""), "not a node"),
        ] {
            let error = call(word, host).unwrap_err();
            assert_eq!(error.kind, Kind::Usage);
            assert!(error.message.contains(why), "{word}: {error}");
        }
    }
}
