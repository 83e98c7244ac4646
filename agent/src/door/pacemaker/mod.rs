//! The front door for Pacemaker, `fence_xen`: the contract of the fence agents.
//!
//! Exit code 2 means a node that is off and nothing else. A failure is one sentence on standard
//! error, in which Pacemaker looks for the words by which it tells a deadline and an unknown action
//! from other failures; and it takes a second, because Pacemaker calls again at once. One that time has ended
//! takes until it calls no more.

mod deed;
mod input;
mod man;
mod wishes;

use super::parameters::{self, seconds};
use super::voice::{self, Place, Voice};
use super::{descriptors, xml};
use crate::call::{self, Call, Carried};
use crate::clock::{Deadline, Moment};
use crate::config::Wishes;
use crate::error::{Error, Kind};
use crate::exit::Exit;
pub(super) use deed::Deed;
use input::Given;
use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;
use wishes::{nodes, wishes};
use xen_fence_protocol::{Action, NodeName, Power};

/// What it is called.
pub(super) const NAME: &str = "fence_xen";

/// A failure takes so long at least.
const FAILS_NO_SOONER: Duration = Duration::from_secs(1);

/// A fence that time alone has ended takes so long at least. Pacemaker gives it 60 s, and calls again before
/// 0.7 of them have passed: that second call would be killed, and the reason lost with it.
const LATE_NO_SOONER: Duration = Duration::from_secs(43);

/// How a call of the agent ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Off,
    Failed,
}

impl End {
    const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Off => 2,
        }
    }
}

/// Answers Pacemaker.
pub(super) fn open(begun: Moment) -> ExitCode {
    descriptors::close_inherited();
    let end = Given::read(env::args_os().collect()).and_then(|given| match given {
        Some(given) => Agent::of(&given, begun)?.act(),
        None => Ok(End::Done),
    });
    let end = end.unwrap_or_else(|error| {
        fail(&error);
        End::Failed
    });
    if end == End::Failed {
        wait(Deadline::at(begun.plus(FAILS_NO_SOONER)));
    }
    ExitCode::from(end.code())
}

fn wait(until: Deadline) {
    while let Some(left) = until.left() {
        thread::sleep(left);
    }
}

/// Says to a person what is waited for.
fn hint_to_a_person() {
    Voice::new(NAME, Place::Errors, false)
        .say("reading NAME=VALUE lines until Ctrl-D; --help has the options");
}

fn fail(error: &Error) {
    let voice = Voice::new(NAME, Place::Errors, false);
    let is_late = error.late || error.kind.exit() == Exit::TimedOut;
    voice.say(&in_pacemakers_words(is_late, &voice::of_error(error)));
}

/// Whether the deadline has ended it, be it that nobody answered or that nobody was reached.
fn is_late(carried: &Carried) -> bool {
    let errors = &carried.verdict.errors;
    let of_answers = carried.answers.iter().filter_map(|answer| answer.end.as_ref().err());
    // A rehearsal has what failed among its findings.
    let errors: Vec<&Error> =
        if errors.is_empty() { of_answers.collect() } else { errors.iter().collect() };
    let all_late = !errors.is_empty() && errors.iter().all(|error| error.late);
    all_late || carried.verdict.exit == Exit::TimedOut
}

/// The words by which Pacemaker takes a failure for a deadline that passed, in whatever case they stand on
/// standard error (libstonithd, since 2.1.3), and what is said where none has.
const WORDS_OF_A_DEADLINE: [(&str, &str); 4] = [
    ("timed out", "ran out of time"),
    ("-timeout", " time limit"),
    ("_timeout", " time limit"),
    ("timeout", "time limit"),
];

/// The reason of a failure: with a word of Pacemaker's for a deadline where one passed, and without any
/// elsewhere.
pub(super) fn in_pacemakers_words(is_late: bool, reason: &str) -> String {
    let is_there = |(word, _): &(&str, &str)| reason.to_ascii_lowercase().contains(word);
    match (is_late, WORDS_OF_A_DEADLINE.iter().any(is_there)) {
        (true, false) => format!("timed out: {reason}"),
        (false, true) => WORDS_OF_A_DEADLINE
            .iter()
            .fold(reason.to_owned(), |said, (word, ours)| replaced(&said, word, ours)),
        (true, true) | (false, false) => reason.to_owned(),
    }
}

/// The text with one word for another, which is in lower case and may stand there in any.
fn replaced(text: &str, word: &str, other: &str) -> String {
    let (mut said, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest
        .to_ascii_lowercase()
        .find(word)
        .and_then(|at| rest.get(..at).zip(rest.get(at.saturating_add(word.len())..)))
    {
        said.push_str(before);
        said.push_str(other);
        rest = after;
    }
    said + rest
}

/// What is to be done, and how.
struct Agent {
    begun: Moment,
    deed: Deed,
    nodes: Vec<NodeName>,
    wishes: Wishes,
    delay: Duration,
    separator: String,
    quiet: bool,
    voice: Voice,
}

impl Agent {
    fn of(given: &Given, begun: Moment) -> Result<Self, Error> {
        let deed = given.value("action").map_or(Ok(Deed::Reboot), Deed::parse)?;
        let voice = Voice::new(NAME, Place::Errors, given.flag("verbose"));
        let mut agent = Self {
            begun,
            deed,
            nodes: Vec::new(),
            wishes: Wishes::default(),
            delay: Duration::ZERO,
            separator: given.text("separator").unwrap_or(",").to_owned(),
            quiet: given.flag("quiet"),
            voice,
        };
        // They need no configuration, and a wrong one does not keep them.
        if !matches!(deed, Deed::Metadata | Deed::Manpage) {
            agent.nodes = nodes(given)?;
            agent.wishes = wishes(given, deed)?;
            let is_none = |text: &&str| text.trim_end_matches('s').bytes().all(|byte| byte == b'0');
            if let Some(text) = given.value("delay").filter(|text| !is_none(text)) {
                agent.delay = Duration::from_secs(seconds("delay", text)?);
            }
        }
        Ok(agent)
    }

    fn act(mut self) -> Result<End, Error> {
        match self.deed {
            Deed::Metadata => print(&xml::fence_agent()),
            Deed::Manpage => print(&man::page()),
            Deed::ValidateAll => call::validate(&self.wishes)?,
            Deed::On => return self.each(Action::On),
            Deed::Off => {
                thread::sleep(self.delay);
                return self.each(Action::Off);
            }
            Deed::Reboot => {
                thread::sleep(self.delay);
                return self.each(Action::Reset);
            }
            Deed::Status => return self.status(),
            Deed::Monitor => {
                let carried = self.ask(Action::Monitor, None, Moment::now())?;
                return Ok(self.end(&carried));
            }
            Deed::List | Deed::ListStatus => return self.list(),
        }
        Ok(End::Done)
    }

    fn ask(
        &mut self,
        action: Action,
        node: Option<NodeName>,
        begun: Moment,
    ) -> Result<Carried, Error> {
        let wishes = self.wishes.clone();
        let call = Call { action, node, nodes: Vec::new(), confirmed_down: Vec::new(), wishes };
        call.carry_out(begun, &mut self.voice)
    }

    /// Says what came of it.
    fn end(&self, carried: &Carried) -> End {
        for warning in &carried.verdict.warnings {
            self.voice.say(&in_pacemakers_words(false, &format!("warning: {warning}")));
        }
        let exit = carried.verdict.exit;
        if exit != Exit::Success {
            self.voice.say(&in_pacemakers_words(is_late(carried), &voice::reason(carried)));
            return End::Failed;
        }
        // What a rehearsal says besides is for a person to read, and no answer.
        if carried.request.action() == Action::Monitor {
            carried.verdict.lines.iter().for_each(|line| self.voice.say(line));
        } else if !self.quiet && carried.request.action() != Action::Status {
            print(&(carried.verdict.lines.join("\n") + "\n"));
        }
        End::Done
    }

    /// Does it to each node, also when it has failed for another: every node that is off helps whoever
    /// waits for all of them. They share the time.
    fn each(&mut self, action: Action) -> Result<End, Error> {
        let (begun, nodes) = (Moment::now(), self.named()?);
        let (mut end, mut late) = (End::Done, None);
        for node in nodes {
            match self.ask(action, Some(node), begun) {
                Ok(carried) => {
                    if self.end(&carried) != End::Done {
                        end = End::Failed;
                        late = is_late(&carried).then_some(carried.timeout).or(late);
                    }
                }
                Err(error) => {
                    fail(&error);
                    end = End::Failed;
                }
            }
        }
        if let Some(timeout) = late {
            let no_sooner = Deadline::at(self.begun.plus(LATE_NO_SOONER));
            wait(no_sooner.or_earlier(Deadline::at(begun.plus(timeout))));
        }
        Ok(end)
    }

    /// Off where every node is.
    fn status(&mut self) -> Result<End, Error> {
        let (begun, nodes) = (Moment::now(), self.named()?);
        let (mut end, mut text) = (End::Off, String::new());
        for node in nodes {
            let carried = self.ask(Action::Status, Some(node), begun)?;
            let said = self.end(&carried);
            carried.verdict.lines.iter().for_each(|line| text.push_str(&format!("{line}\n")));
            let is_off = carried.verdict.exit == Exit::Success
                && carried.verdict.result == Power::Off.word();
            end = match (said, end) {
                (End::Failed, _) | (_, End::Failed) => End::Failed,
                (End::Done | End::Off, _) if !is_off => End::Done,
                (End::Done | End::Off, before) => before,
            };
        }
        if end != End::Failed && !self.quiet {
            print(&text);
        }
        Ok(end)
    }

    fn list(&mut self) -> Result<End, Error> {
        let carried = self.ask(Action::List, None, Moment::now())?;
        let exit = carried.verdict.exit;
        if exit != Exit::Success {
            return Ok(self.end(&carried));
        }
        let mut text = String::new();
        for (node, power) in parameters::nodes(&carried.answers) {
            if is_passed_over(&node.to_string()) {
                let how = format!("name every node in pcmk_host_map, this one as {node}:{node}");
                self.voice.say(&format!("warning: Pacemaker passes over {node} in a list: {how}"));
            }
            // A name, an alias, which there is none of, and the power state.
            text.push_str(&format!("{node}{}", self.separator));
            if self.deed == Deed::ListStatus {
                let power = match power {
                    Power::On => "ON",
                    Power::Off => "OFF",
                    Power::Unknown => "UNKNOWN",
                };
                text.push_str(&format!("{}{power}", self.separator));
            }
            text.push('\n');
        }
        print(&text);
        Ok(End::Done)
    }

    /// The nodes, of which there has to be one.
    fn named(&self) -> Result<Vec<NodeName>, Error> {
        if self.nodes.is_empty() {
            let why = format!("{} needs a node", self.deed.word());
            return Err(Error::new(Kind::Usage, why).hint("plug (-n) or nodename names it"));
        }
        Ok(self.nodes.clone())
    }
}

/// Whether Pacemaker takes a name in a list, or in pcmk_host_list, for something else: for an agent's complaint, or
/// for a power state (libstonithd).
fn is_passed_over(node: &str) -> bool {
    ["invalid", "variable"].iter().any(|word| node.contains(word))
        || ["on", "off"].iter().any(|word| node.eq_ignore_ascii_case(word))
}

fn print(text: &str) {
    let mut out = io::stdout();
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

#[cfg(test)]
mod tests;
