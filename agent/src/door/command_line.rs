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
use crate::rehearsal::one_line::{self, State};
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
        // What Nagios calls wrongly has to say so in its language.
        Err(error) if std::env::args().any(|arg| arg == "--nagios") => {
            return in_one_line(one_line::of_usage(&error.render().to_string()));
        }
        Err(error) => {
            Report::new(false, false).usage(&error.render().to_string());
            return Exit::Usage.into();
        }
    };
    let Some(action) = cli.action.asks() else { return super::enroll::open(&cli, begun) };
    if cli.nagios {
        let carried = call(&cli, action);
        let carried = carried.and_then(|call| call.carry_out(begun, &mut Report::silent()));
        return in_one_line(match carried {
            Ok(carried) => one_line::of_rehearsal(&carried, begun.elapsed()),
            Err(error) => one_line::of_error(&error),
        });
    }
    let mut report = Report::new(cli.verbose, cli.json);
    let carried = call(&cli, action).and_then(|call| call.carry_out(begun, &mut report));
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

fn in_one_line((state, line): (State, String)) -> ExitCode {
    Report::silent().answer(&line);
    ExitCode::from(state.code())
}

fn call(cli: &Cli, action: Action) -> Result<Call, Error> {
    only_where_it_counts(cli, action)?;
    let mut nodes = nodes(cli, action)?;
    let node = if nodes.len() == 1 { nodes.pop() } else { None };
    let (confirmed_down, wishes) = (cli.confirmed_down.clone(), cli.wishes());
    Ok(Call { action, node, nodes, confirmed_down, wishes })
}

/// An option that an action would leave unheard is refused: `--dry-run` must not come before a kill.
fn only_where_it_counts(cli: &Cli, action: Action) -> Result<(), Error> {
    let usage = |why: String| Error::new(Kind::Usage, why);
    if !cli.confirmed_down.is_empty() && !action.kills() {
        let why = format!("--confirmed-down is for off and reset; {action} asks who answers");
        return Err(usage(why).hint("with --dom0, only the dom0s named there are asked"));
    }
    if cli.dry_run || cli.fingerprint.is_some() {
        let which = if cli.dry_run { "--dry-run" } else { "--fingerprint" };
        return Err(usage(format!("{which} is for enroll, and {action} was not begun"))
            .hint("`xen-fence check` rehearses a fence, and kills nobody"));
    }
    if cli.all && action != Action::Check {
        return Err(usage(format!("--all is for check; {action} does not know it")));
    }
    if cli.nagios && !matches!(action, Action::Check | Action::Monitor) {
        return Err(usage(format!("--nagios is for check and monitor, not for {action}")));
    }
    Ok(())
}

/// The nodes that are named, as the action needs one, several or none.
fn nodes(cli: &Cli, action: Action) -> Result<Vec<NodeName>, Error> {
    let usage = |why: String| Error::new(Kind::Usage, why);
    let parse = |name: &String| {
        NodeName::parse(name).map_err(|error| usage(format!("{name:?} is not a node: {error}")))
    };
    let nodes = cli.nodes.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    match (action, nodes.len()) {
        (Action::List | Action::Monitor, 1..) => {
            Err(usage(format!("{action} is about the whole cluster and takes no node")))
        }
        (Action::Reset | Action::Off | Action::On | Action::Status, 0) => {
            Err(usage(format!("{action} needs the name of a node"))
                .hint(format!("xen-fence {action} NODE")))
        }
        (Action::Reset | Action::Off | Action::On | Action::Status, 2..) => {
            Err(usage(format!("{action} takes one node, and nothing was begun"))
                .hint(format!("xen-fence {action} NODE, for one after the other")))
        }
        (
            Action::Reset
            | Action::Off
            | Action::On
            | Action::Status
            | Action::List
            | Action::Monitor
            | Action::Check,
            _,
        ) => Ok(nodes),
    }
}

fn say(cli: &Cli, carried: &Carried, begun: Moment, report: &Report) {
    let Carried { request, answers, verdict, .. } = carried;
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
