//! `xen-fence`: asks dom0 to fence a node of this cluster, and believes only proof.
//!
//! [`run`] is the whole story: settings, then what is local, then the dom0s, for a fence all
//! together and else one after the other, then one verdict. Nothing here decides whether a node is dead.

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
mod fence;
mod gather;
mod identity;
mod json;
mod kept_id;
mod known_hosts;
mod phase;
mod power_on;
mod public_key;
mod reach;
mod rehearsal;
mod report;
mod resolve;
mod secure_file;
mod targets;
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
use kept_id::KeptId;
use known_hosts::KnownHosts;
use phase::Phases;
use power_on::{fresh_id, power_on};
use reach::Means;
use rehearsal::Finding;
use report::Report;
use std::cell::RefCell;
use std::process::ExitCode;
use std::slice;
use std::sync::Arc;
use targets::Target;
use transport::ssh::is_hash_of;
use xen_fence_protocol::{Action, HostName, Level, NodeName, Request};

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
    let action = Action::from(cli.action);
    let node = node(cli, action)?;
    let settings = Settings::load(cli)?;
    let deadline = Deadline::at(begun.plus(settings.timeout));

    let mut here = Vec::new();
    let identity = local("key", Identity::read(&settings.identity), action, &mut here)?;
    let known_hosts =
        local("known-hosts", KnownHosts::read(&settings.known_hosts), action, &mut here)?;
    let (mut answers, mut judged) = (Vec::new(), None);
    let mut request = Request::new(fresh_id()?, action, node)
        .map_err(|error| Error::new(Kind::Usage, error.to_string()))?;
    if let (Some(identity), Some(known_hosts)) = (identity, known_hosts) {
        let text = format!("{} can be used", identity.name());
        here.push(Finding::here(Level::Ok, "key", text));
        let text = format!("{} can be read", known_hosts.path().display());
        here.push(Finding::here(Level::Ok, "known-hosts", text));
        let mut targets = targets(&settings, action, &known_hosts);
        let means = Arc::new(Means { identity, known_hosts });
        match (request.node().cloned(), action) {
            (Some(node), Action::Reset | Action::Off) => {
                let down = targets::without(&mut targets, &cli.confirmed_down)?;
                targets::pin(&mut targets, settings.pins.get(&node));
                let kept = KeptId::take(&node, action)?;
                request = fencing(&kept, action, node, down)?;
                for text in kept.word().into_iter().chain([asking(&targets, &request).as_str()]) {
                    report.detail(text);
                }
                let kept = RefCell::new(kept);
                let ask = Ask { request: &request, means: &means, begun, kept: &kept };
                let (said, verdict) = fence::fence(targets, &ask, deadline, report);
                kept.borrow_mut().untouched();
                (answers, judged) = (said, Some(verdict));
            }
            (Some(node), Action::On) if targets.len() > 1 => {
                let mut ask = |target: &Target, request: &Request, until| {
                    ask_one(target, request, &means, Moment::now(), until, report)
                };
                let (said, verdict) = power_on(&targets, &node, deadline, &mut ask)?;
                (answers, judged) = (said, Some(verdict));
            }
            _ => {
                let mut ask = |target: &Target, until| {
                    ask_one(target, &request, &means, begun, until, report)
                };
                answers = ask_all(&targets, deadline, &mut ask);
            }
        }
    }
    let verdict = judged.unwrap_or_else(|| verdict::judge(&request, &answers, here));
    say(cli, &request, &answers, &verdict, begun, report);
    Ok(verdict.exit)
}

/// The request of a fence, under the id that is kept for it.
fn fencing(
    kept: &KeptId,
    action: Action,
    node: NodeName,
    down: Vec<HostName>,
) -> Result<Request, Error> {
    Request::new(kept.id(), action, Some(node))
        .and_then(|request| request.with_confirmed_down(down))
        .map_err(|error| Error::new(Kind::Usage, format!("--confirmed-down: {error}")))
}

fn ask_one(
    target: &Target,
    request: &Request,
    means: &Arc<Means>,
    begun: Moment,
    until: Deadline,
    report: &mut Report,
) -> Answer {
    report.detail(&asking(slice::from_ref(target), request));
    let kept = RefCell::new(KeptId::of(request.id()));
    ask::ask(target, &Ask { request, means, begun, kept: &kept }, until, report)
}

fn asking(targets: &[Target], request: &Request) -> String {
    let names: Vec<String> = targets.iter().map(Target::name).collect();
    format!("asking {}: {} {}", names.join(", "), request.action(), request.id())
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

/// The dom0s to ask. A rehearsal walks every way by itself; everything else takes those that lead to
/// one dom0 together.
fn targets(settings: &Settings, action: Action, known_hosts: &KnownHosts) -> Vec<Target> {
    let keys = |endpoint: &Endpoint| known_hosts.find(endpoint, &is_hash_of).prints();
    let own_keys = |endpoint: &Endpoint| known_hosts.find(endpoint, &is_hash_of).own_prints();
    match (action, settings.dom0s.as_slice()) {
        (Action::Check | Action::Monitor, _) | (_, [_]) => {
            settings.dom0s.iter().cloned().map(Target::at).collect()
        }
        (Action::On, dom0s) => {
            let mut targets = targets::together(dom0s, &own_keys);
            targets::in_order(&mut targets, &keys);
            targets
        }
        (Action::Reset | Action::Off | Action::Status | Action::List, dom0s) => {
            targets::together(dom0s, &own_keys)
        }
    }
}

/// What a local step gave. A rehearsal goes on to report it; everything else ends with it.
fn local<T>(
    step: &str,
    result: Result<T, Error>,
    action: Action,
    here: &mut Vec<Finding>,
) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if action == Action::Check => {
            here.push(Finding::of_error(step, &error));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// One dom0 after the other; those still to be asked share the time that is left.
fn ask_all(
    targets: &[Target],
    deadline: Deadline,
    ask: &mut dyn FnMut(&Target, Deadline) -> Answer,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    let count = u32::try_from(targets.len()).unwrap_or(u32::MAX);
    for (target, to_ask) in targets.iter().zip((1..=count).rev()) {
        let share = deadline.left().unwrap_or_default() / to_ask;
        answers.push(ask(target, Deadline::after(share).or_earlier(deadline)));
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
    if answers.len() > 1 {
        for answer in answers {
            if let Some(stands) = answer.stands {
                let name = answer.told.dom0.as_ref().map(ToString::to_string);
                let name = name.unwrap_or_else(|| answer.endpoint.to_string());
                report.detail(&format!("{name}: {}", fence::stands(stands)));
            }
        }
    }
    match answers {
        [answer] => report.timings(&answer.phases, total),
        _ => report.timings(&Phases::default(), total),
    }
}
