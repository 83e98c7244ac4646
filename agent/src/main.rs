//! `xen-fence`: asks dom0 to fence a node of this cluster, and believes only proof.
//!
//! [`run`] is the whole story: settings, then what is local, then one dom0 after the other, then
//! one verdict. Nothing here decides whether a node is dead.

#![forbid(unsafe_code)]

mod ask;
mod cli;
mod client;
mod clock;
mod config;
mod course;
mod endpoint;
mod error;
mod exit;
mod identity;
mod json;
mod known_hosts;
mod phase;
mod power_on;
mod public_key;
mod rehearsal;
mod report;
mod resolve;
mod secure_file;
mod transport;
mod verdict;

use ask::{Answer, Ask};
use clap::Parser;
use cli::Cli;
use clock::{Deadline, Moment};
use config::Settings;
use endpoint::Endpoint;
use error::{Error, Kind};
use exit::Exit;
use identity::Identity;
use known_hosts::KnownHosts;
use phase::Phases;
use power_on::{fresh_id, power_on};
use rehearsal::Finding;
use report::Report;
use std::process::ExitCode;
use xen_fence_protocol::{Action, Level, NodeName, Request};

fn main() -> ExitCode {
    let begun = Moment::now();
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
    let exit = run(&cli, begun, &mut report).unwrap_or_else(|error| {
        report.error(&error);
        if cli.json {
            report.answer(&json::of_error(&error).to_string());
        }
        error.kind.exit()
    });
    exit.into()
}

fn run(cli: &Cli, begun: Moment, report: &mut Report) -> Result<Exit, Error> {
    let request = request(cli)?;
    let settings = Settings::load(cli)?;
    let several = settings.dom0s.len() > 1;
    if request.action().kills() && several {
        return Err(Error::new(
            Kind::Usage,
            format!(
                "{} with more than one dom0 is not possible yet: their proofs cannot be joined",
                request.action()
            ),
        )
        .hint("name the one dom0 that the node runs on with --dom0"));
    }
    let deadline = Deadline::at(begun.plus(settings.timeout));

    let mut here = Vec::new();
    let identity = local("key", Identity::read(&settings.identity), &request, &mut here)?;
    let known_hosts =
        local("known-hosts", KnownHosts::read(&settings.known_hosts), &request, &mut here)?;
    let (mut answers, mut started) = (Vec::new(), None);
    if let (Some(identity), Some(known_hosts)) = (&identity, &known_hosts) {
        let text = format!("{} can be used", identity.name());
        here.push(Finding::here(Level::Ok, "key", text));
        let text = format!("{} can be read", known_hosts.path().display());
        here.push(Finding::here(Level::Ok, "known-hosts", text));
        let mut ask = |endpoint: &Endpoint, request: &Request, begun, until| {
            report.detail(&format!("asking {endpoint}: {} {}", request.action(), request.id()));
            ask::ask(endpoint, &Ask { request, identity, known_hosts, begun }, until, report)
        };
        if let (Action::On, Some(node), true) = (request.action(), request.node(), several) {
            let mut ask = |endpoint: &Endpoint, request: &Request, until| {
                ask(endpoint, request, Moment::now(), until)
            };
            let (said, verdict) = power_on(&settings.dom0s, node, deadline, &mut ask)?;
            (answers, started) = (said, Some(verdict));
        } else {
            let mut ask = |endpoint: &Endpoint, until| ask(endpoint, &request, begun, until);
            answers = ask_all(&settings, deadline, &mut ask);
        }
    }

    let verdict = started.unwrap_or_else(|| verdict::judge(&request, &answers, here));
    say(cli, &request, &answers, &verdict, begun, report);
    Ok(verdict.exit)
}

/// The request, under a fresh id.
fn request(cli: &Cli) -> Result<Request, Error> {
    let usage = |why: String| Error::new(Kind::Usage, why);
    let action = Action::from(cli.action);
    let node = match &cli.node {
        None => None,
        Some(name) => {
            let node = NodeName::parse(name);
            Some(node.map_err(|error| usage(format!("{name:?} is not a node: {error}")))?)
        }
    };
    let id = fresh_id()?;
    let (named, what) = (node.is_some(), action.word());
    Request::new(id, action, node).map_err(|_| {
        if named {
            usage(format!("{what} is about the whole cluster and takes no node"))
        } else {
            usage(format!("{what} needs the name of a node")).hint(format!("xen-fence {what} NODE"))
        }
    })
}

/// What a local step gave. A rehearsal goes on to report it; everything else ends with it.
fn local<T>(
    step: &str,
    result: Result<T, Error>,
    request: &Request,
    here: &mut Vec<Finding>,
) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if request.action() == Action::Check => {
            here.push(Finding::of_error(step, &error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One dom0 after the other; those still to be asked share the time that is left.
fn ask_all(
    settings: &Settings,
    deadline: Deadline,
    ask: &mut dyn FnMut(&Endpoint, Deadline) -> Answer,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    let count = u32::try_from(settings.dom0s.len()).unwrap_or(u32::MAX);
    for (endpoint, to_ask) in settings.dom0s.iter().zip((1..=count).rev()) {
        let share = deadline.left().unwrap_or_default() / to_ask;
        answers.push(ask(endpoint, Deadline::after(share).or_earlier(deadline)));
    }
    answers
}

fn say(
    cli: &Cli,
    request: &Request,
    answers: &[Answer],
    verdict: &verdict::Verdict,
    begun: Moment,
    report: &Report,
) {
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
    match answers {
        [answer] => report.timings(&answer.phases, total),
        _ => report.timings(&Phases::default(), total),
    }
}
