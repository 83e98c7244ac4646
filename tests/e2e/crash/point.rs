//! One crash, what is asked after it, and the judgement of both by what there is in dom0.

use super::tracer::{Calls, Trace, Tracer};
use super::world::{Life, VICTIM, World, at_work};
use super::{Course, Next};
use crate::client::{Client, MOMENT};
use crate::{BROKER, Dom0, settle, within};
use serde_json::Value;
use std::time::{Duration, Instant};
use xen_fence_tests::throwaway::Output;

/// A client whose broker has died hears so within this.
const SOON: Duration = Duration::from_secs(10);

/// No session takes longer, the two slow parts of a reset included.
const LONGEST: Duration = Duration::from_secs(30);

/// How destroy and create of the victim take their time, so that what comes after a crash meets them.
const SLOW: [[&str; 4]; 2] =
    [["fault", "slow-destroy", "200", VICTIM], ["fault", "create-delay", "200", VICTIM]];

/// A dom0 for crashes, in which each file of the broker's is there that a fence leaves.
pub(super) fn raise(course: Course) -> (Dom0, Vec<String>) {
    let policy =
        "actions = [\"reset\", \"off\", \"on\", \"status\"]\nbrake = \"500 resets in 10m\"";
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2"]).policy("alpha", policy);
    let builder = if course.systemd { builder.systemd() } else { builder };
    let dom0 = builder.raise().unwrap();
    let world = World::of(&dom0);
    world.note_calls();
    SLOW.iter().for_each(|fault| dom0.fault(fault));
    for action in ["reset", "off"] {
        let _ = crate::ask(&dom0, "alpha", "node1", &[action, "node2"]).exits(0);
    }
    // What is only answered is counted.
    let _ = crate::ask(&dom0, "alpha", "node1", &["list"]).exits(0);
    settle(|| at_work(&dom0, false).is_empty());
    let files = world.files();
    power_on(&dom0);
    (dom0, files)
}

fn power_on(dom0: &Dom0) {
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]).exits(0);
}

/// One crash.
pub(super) struct Point<'a> {
    pub(super) dom0: &'a Dom0,
    /// The broker's files where nothing is under way.
    pub(super) files: &'a [String],
    pub(super) course: Course,
    /// The number of the call at which the broker dies.
    pub(super) at: u32,
    pub(super) calls: Calls,
}

/// What a point has shown.
pub(super) struct Shown {
    pub(super) trace: Trace,
    /// How long the client waited for the end of its session, once its broker was dead.
    pub(super) waited: Duration,
    /// How what was asked after the crash was answered.
    pub(super) answer: String,
}

impl Point<'_> {
    /// Lets the broker die and asks again. Afterwards the node runs anew, and nothing else is left.
    pub(super) fn show(&self) -> Shown {
        let world = World::of(self.dom0);
        let life = world.life().expect("the victim does not run");
        let (next_domid, records) = (world.next_domid(), self.journal().len());
        world.note_calls();
        let id = u128::from(life.domid) << 32 | u128::from(self.at);
        let (trace, heard, waited) = self.crash(&world, life, id);
        println!("{}: {:?}, heard {heard:#?}", self.at, trace.struck);
        if world.destroyed().contains(&life.domid) {
            assert!(self.intended(id, life), "a kill without its intent\n{:#?}", self.journal());
        }

        let output = match self.course.next {
            Next::Retry => self.ask_again(id),
            Next::Off => crate::ask(self.dom0, "alpha", "node1", &["-v", "off", "node2"]),
        };
        println!("{output}");
        let answer = match (self.course.action, self.course.next) {
            ("reset", Next::Retry) => self.runs_again(&world, life, next_domid, &output),
            _ => self.is_off(&world, life, &output),
        };
        let killed = world.destroyed();
        // An off that follows a reset kills what that one has started, too.
        let last = if self.course.next == Next::Off { life.domid + 1 } else { life.domid };
        assert!(killed.first() == Some(&life.domid) && killed.last() <= Some(&last), "{killed:?}");
        self.is_told(records, id, &output);
        if self.course.action == "reset" && self.course.next == Next::Retry {
            self.leaves_nothing(&world, true);
            let off = crate::ask(self.dom0, "alpha", "node1", &["off", "node2"]);
            let _ = self.is_off(&world, life, &off);
        }
        self.leaves_nothing(&world, false);
        power_on(self.dom0);
        Shown { trace, waited, answer }
    }

    /// Somebody asks, says go, and hears what there is to hear until the end of the session.
    fn crash(&self, world: &World, life: Life, id: u128) -> (Trace, Vec<String>, Duration) {
        let mut client = Client::of(self.dom0, "node1", id);
        let mut broker = None;
        settle(|| {
            broker = world.broker();
            broker.is_some()
        });
        let tracer = Tracer::attach(broker.unwrap(), self.at, self.calls).unwrap();
        client.say("request", &format!(" {} node2", self.course.action));
        let mut heard = Vec::new();
        let begun = Instant::now();
        loop {
            let over = client.is_over();
            while let Some(line) = client.hear_within(Duration::from_millis(5)) {
                if line.starts_with("ready ") {
                    client.say("go", "");
                }
                if line.starts_with("fenced ") {
                    assert!(world.is_over(life), "{line}, and it lives: {:#?}", world.rows());
                }
                heard.push(line);
            }
            if over {
                break;
            }
            assert!(begun.elapsed() < LONGEST, "the client hangs, having heard {heard:#?}");
        }
        let over = Instant::now();
        assert!(within(SOON, || tracer.has_ended()), "the session is over, and its broker lives");
        let trace = tracer.end();
        let waited = over.saturating_duration_since(trace.gone);
        assert!(waited < SOON, "the client waited for {waited:?} after the death of its broker");
        (trace, heard, waited)
    }

    /// The next process asks the same, as it would after a crash of the first: with the kept id.
    fn ask_again(&self, id: u128) -> Output {
        let action = self.course.action;
        let line = format!(
            "umask 077 && mkdir -p /run/xen-fence-agent && cd /run/xen-fence-agent && \
             read up idle </proc/uptime && read boot </proc/sys/kernel/random/boot_id && \
             echo xen-fence-id/1 $boot ${{up%.*}}${{up#*.}}0 {id:032x} >node2.{action} && \
             exec xen-fence -v {action} node2"
        );
        let output = self.dom0.in_node("alpha", "node1").run(&["sh", "-c", &line]);
        output.saying(&format!("asking again as {id:032x}"))
    }

    /// After a reset: the node runs again, once, and it is said so; or it is off, and that is said.
    fn runs_again(&self, world: &World, life: Life, next_domid: u32, output: &Output) -> String {
        assert!(world.is_over(life), "it was never killed: {:#?}", world.rows());
        settle(|| world.life().is_some() || at_work(self.dom0, false).is_empty());
        let now = world.life().map(|life| life.domid);
        let answer = if output.code == 0 && now.is_some() {
            "fenced, and it runs"
        } else if output.code == 0 && output.says("left off") && now.is_none() {
            "fenced, and left off"
        } else {
            panic!("this is no answer for a node that is {now:?}: {:#?}\n{output}", world.rows())
        };
        let births = world.next_domid() - next_domid;
        assert_eq!(births, u32::from(now.is_some()), "so many domains were made");
        answer.to_owned()
    }

    /// After an off: it was said, and the node is off for good.
    fn is_off(&self, world: &World, life: Life, output: &Output) -> String {
        assert_eq!(output.code, 0, "{output}");
        assert!(world.is_over(life), "it is said to be fenced: {:#?}", world.rows());
        assert!(world.rows().is_empty(), "it is said to be fenced: {:#?}", world.rows());
        let written = self.dom0.sector("alpha", "node2");
        let next_domid = world.next_domid();
        settle(|| at_work(self.dom0, false).is_empty());
        MOMENT(60);
        assert_eq!(self.dom0.sector("alpha", "node2"), written, "a dead node has written");
        assert_eq!(world.next_domid(), next_domid, "it came back after it was fenced");
        let how = ["joined", "absent", "killed"].iter().find(|how| output.says(how));
        format!("fenced, {}", how.unwrap_or(&"somehow"))
    }

    fn journal(&self) -> Vec<Value> {
        self.dom0.journal("alpha")
    }

    /// The journal has the intent to kill this domain by this request.
    fn intended(&self, id: u128, life: Life) -> bool {
        let of_this = |record: &Value| {
            record["event"] == "intent"
                && record["request"] == format!("{id:032x}")
                && record["domid"] == life.domid
        };
        self.journal().iter().any(of_this)
    }

    /// Each intent has its end on record, or the next broker has said that it has none, to its client too.
    fn is_told(&self, before: usize, id: u128, output: &Output) {
        // The last broker may still be closing what it found.
        settle(|| self.dom0.processes().iter().all(|one| one.name != BROKER));
        let journal = self.journal();
        let last = journal.last().expect("no journal");
        assert!(last["open"].is_null(), "in flight, though nobody is at work: {last:#?}");
        let new = &journal[before..];
        let closed = |record: &&Value| record["event"] == "closed";
        let closings: Vec<&Value> = new.iter().filter(closed).collect();
        for closing in &closings {
            assert_eq!(closing["request"], format!("{id:032x}"), "{closing:#?}");
            assert!(output.says(" ended while the "), "closed, and not told: {closing:#?}");
        }
        let cut: Vec<&Value> = new
            .iter()
            .filter(|record| record["event"] == "intent")
            .filter(|intent| !new.iter().any(|end| ends(end, intent)))
            .collect();
        let numbers = |records: &[&Value], field: &str| -> Vec<Value> {
            records.iter().map(|record| record[field].clone()).collect()
        };
        assert_eq!(numbers(&closings, "closes"), numbers(&cut, "n"), "{new:#?}");
        let log = ["xen-fence-admin", "log", "--cluster", "alpha", "--verify"];
        let _ = self.dom0.on(&log).exits(0).saying("the chain holds");
    }

    /// No process, no lock and no file of the crash is left.
    fn leaves_nothing(&self, world: &World, runs: bool) {
        settle(|| at_work(self.dom0, runs).is_empty());
        settle(|| world.locked().is_empty());
        // What the next one who writes a file puts in its own one's place does not grow.
        let whole = |path: &String| path.strip_suffix(".new").unwrap_or(path).to_owned();
        let is_new = |path: &String| !self.files.contains(&whole(path));
        let left: Vec<String> = world.files().into_iter().filter(is_new).collect();
        assert!(left.is_empty() || runs, "left behind: {left:?}");
    }
}

/// Whether this record is the end of this intent, by the same broker.
fn ends(record: &Value, intent: &Value) -> bool {
    let same = ["request", "pid", "started"].iter().all(|name| record[name] == intent[name]);
    let fenced = record["result"].as_str().is_some_and(|result| result.starts_with("fenced "));
    let goes_on = intent["action"] == "reset" && fenced;
    same && (record["event"] == "start" || (record["event"] == "outcome" && !goes_on))
}
