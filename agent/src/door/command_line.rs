//! The front door for people: `xen-fence ACTION [NODE]`.
//!
//! It reads the command line, tells what happens on standard error and answers on standard output. No
//! variable of the environment says what is done.

use crate::call::{Call, Carried};
use crate::cli::Cli;
use crate::clock::Moment;
use crate::error::{Error, Kind};
use crate::exit::Exit;
use crate::fence;
use crate::json;
use crate::phase::Phases;
use crate::report::Report;
use clap::Parser;
use std::process::ExitCode;
use xen_fence_protocol::{Action, NodeName};

/// Answers a person.
pub(super) fn open(begun: Moment) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.exit_code() == 0 => {
            let _ = error.print();
            return Exit::Success.into();
        }
        Err(error) => {
            Report::new(false, false).usage(&error.render().to_string());
            return Exit::Usage.into();
        }
    };
    let mut report = Report::new(cli.verbose, cli.json);
    let carried = call(&cli).and_then(|call| call.carry_out(begun, &mut report));
    let exit = match carried {
        Ok(carried) => {
            say(&cli, &carried, begun, &report);
            carried.verdict.exit
        }
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

fn call(cli: &Cli) -> Result<Call, Error> {
    let action = Action::from(cli.action);
    let (node, confirmed_down) = (node(cli, action)?, cli.confirmed_down.clone());
    Ok(Call { action, node, confirmed_down, wishes: cli.wishes() })
}

/// The node that is named, as the action needs one or none.
fn node(cli: &Cli, action: Action) -> Result<Option<NodeName>, Error> {
    let usage = |why: String| Error::new(Kind::Usage, why);
    if !cli.confirmed_down.is_empty() && !action.kills() {
        let why = format!("--confirmed-down is for off and reset; {action} asks who answers");
        return Err(usage(why).hint("with --dom0, only the dom0s named there are asked"));
    }
    let node = match &cli.node {
        None => None,
        Some(name) => {
            let node = NodeName::parse(name);
            Some(node.map_err(|error| usage(format!("{name:?} is not a node: {error}")))?)
        }
    };
    match action {
        Action::List | Action::Monitor if node.is_some() => {
            Err(usage(format!("{action} is about the whole cluster and takes no node")))
        }
        Action::Reset | Action::Off | Action::On | Action::Status if node.is_none() => {
            Err(usage(format!("{action} needs the name of a node"))
                .hint(format!("xen-fence {action} NODE")))
        }
        Action::Reset
        | Action::Off
        | Action::On
        | Action::Status
        | Action::List
        | Action::Monitor
        | Action::Check => Ok(node),
    }
}

fn say(cli: &Cli, carried: &Carried, begun: Moment, report: &Report) {
    let Carried { request, answers, verdict } = carried;
    let total = begun.elapsed();
    if cli.json {
        report.answer(&json::of_verdict(request, verdict, answers, total).to_string());
    }
    for error in &verdict.errors {
        report.error(error);
    }
    for warning in &verdict.warnings {
        report.warning(warning);
    }
    if !cli.json {
        for line in &verdict.lines {
            report.answer(line);
        }
    }
    if answers.len() > 1 {
        for answer in answers {
            if let Some(stands) = answer.stands {
                let name = answer.told.dom0.as_ref().map(ToString::to_string);
                let name = name.unwrap_or_else(|| answer.endpoint.to_string());
                report.detail(&format!("{name}: {}", fence::stands(stands)));
            }
        }
    }
    match answers.as_slice() {
        [answer] => report.timings(&answer.phases, total),
        _ => report.timings(&Phases::default(), total),
    }
}
