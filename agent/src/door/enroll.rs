//! `xen-fence enroll`, at the door for people: asks whoever is at the terminal whether a host key is
//! right, and tells what was done.

use crate::cli::Cli;
use crate::clock::Moment;
use crate::endpoint::Endpoint;
use crate::enroll::{self, Ask, Enrolled, Met, Wanted};
use crate::error::{Error, Kind};
use crate::exit::Exit;
use crate::json;
use crate::report::Report;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use xen_fence_protocol::NodeName;

/// Sets this node up.
pub(super) fn open(cli: &Cli, begun: Moment) -> ExitCode {
    let report = Report::new(cli.verbose, true);
    let enrolled = wanted(cli).and_then(|wanted| enroll::enroll(&wanted, begun, &mut Person));
    let exit = match enrolled {
        Ok(enrolled) => say(cli, &enrolled, &report),
        Err(error) => {
            report.error(&error);
            if cli.json {
                report.answer(&json::of_error(&error).to_string());
            }
            error.kind.exit()
        }
    };
    exit.into()
}

fn wanted(cli: &Cli) -> Result<Wanted, Error> {
    let usage = |why: &str| Error::new(Kind::Usage, why);
    if cli.all || cli.nagios || !cli.confirmed_down.is_empty() {
        return Err(usage("--all, --nagios and --confirmed-down are not for enroll"));
    }
    let node = match cli.nodes.as_slice() {
        [] => None,
        [name] => Some(
            NodeName::parse(name)
                .map_err(|error| usage(&format!("{name:?} is not a node: {error}")))?,
        ),
        _ => return Err(usage("enroll is about this node alone")),
    };
    let fingerprint = cli.fingerprint.as_deref().map(str::trim).map(|print| {
        let well_formed = print.strip_prefix("SHA256:").is_some_and(|hash| {
            hash.len() == 43
                && hash.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
        });
        if well_formed {
            return Ok(print.to_owned());
        }
        Err(usage("--fingerprint is not SHA256: and 43 characters")
            .hint("on dom0: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub shows it"))
    });
    let fingerprint = fingerprint.transpose()?;
    Ok(Wanted { node, wishes: cli.wishes(), fingerprint, dry_run: cli.dry_run })
}

fn say(cli: &Cli, enrolled: &Enrolled, report: &Report) -> Exit {
    for done in &enrolled.done {
        report.news(done);
    }
    for warning in &enrolled.warnings {
        report.warning(warning);
    }
    let exit = enrolled.error.as_ref().map_or(Exit::Success, |error| error.kind.exit());
    if cli.json {
        report.answer(&object(cli, enrolled, exit).to_string());
    } else {
        for line in enroll::lines(enrolled, &cli.wishes()) {
            report.answer(&line);
        }
    }
    if let Some(error) = &enrolled.error {
        report.error(error);
    }
    exit
}

fn object(cli: &Cli, enrolled: &Enrolled, exit: Exit) -> serde_json::Value {
    json!({
        "action": "enroll",
        "node": enrolled.node.as_str(),
        "cluster": enrolled.cluster,
        "result": if exit == Exit::Success { "enrolled" } else { exit.word() },
        "exit": exit.code(),
        "exit_word": exit.word(),
        "dry_run": cli.dry_run,
        "dom0s": enrolled.dom0s.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "key": enrolled.key,
        "uuid": enrolled.uuid,
        "table": enrolled.table(),
        "command": enrolled.command(),
        "done": enrolled.done,
        "warnings": enrolled.warnings,
        "error": enrolled.error.as_ref().map(json::error_object),
    })
}

/// Whoever is at the terminal.
struct Person;

impl Ask for Person {
    fn is_right(&mut self, met: &Met) -> Result<(), Error> {
        let (name, print) = (met.endpoint.known_as(), met.print());
        let unconfirmed = |why: &str| {
            let why = format!("the host key of {name} is not recorded: {why}; it shows {print}");
            Error::new(Kind::HostKey, why).hint(met.compare())
        };
        let mut stderr = io::stderr();
        if !io::stdin().is_terminal() || !stderr.is_terminal() {
            return Err(unconfirmed("nobody is there to compare it")
                .hint(format!("only if it is the same: {}", again(&met.endpoint, met))));
        }
        let question = format!(
            "xen-fence: {name} shows the host key\n  {print}\nCompare it, {}\nIs it the same? [yes/no] ",
            met.compare()
        );
        let mut answer = String::new();
        let heard = stderr
            .write_all(question.as_bytes())
            .and_then(|()| stderr.flush())
            .and_then(|()| io::stdin().read_line(&mut answer));
        let answer = answer.trim();
        if heard.is_ok() && (answer == "yes" || answer == met.key.fingerprint()) {
            Ok(())
        } else {
            Err(unconfirmed("that was no yes"))
        }
    }
}

fn again(endpoint: &Endpoint, met: &Met) -> String {
    format!("xen-fence enroll --dom0 {endpoint} --fingerprint {}", met.key.fingerprint())
}
