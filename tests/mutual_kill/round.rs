//! One round: two agents, each in its node, that begin to ask a given time apart; and what came of it.

use crate::pair::{NODES, Pair};
use crate::plan::Dice;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::process::ChildStdout;
use std::time::{Duration, Instant};
use xen_fence_tests::throwaway::{Output, Running};

/// What came of a round.
pub(crate) struct Round {
    skew: i64,
    ends: Vec<Output>,
    /// Whether each node's life ended, and whether it leads one now.
    died: [bool; 2],
    lives: [bool; 2],
    resets: [bool; 2],
    calm: bool,
    /// How many connections were held up, where that is counted.
    held_up: Option<usize>,
    records: String,
    /// The later one was dead before it could ask.
    pub(crate) unasked: bool,
    /// From the first word to the end of both agents.
    pub(crate) took: Duration,
}

/// Whoever waits for a line, and has said that it does.
struct Waiting(Running, BufReader<ChildStdout>);

impl Waiting {
    fn new(mut running: Running) -> Self {
        let mut stdout = BufReader::new(running.stdout().unwrap());
        let mut here = String::new();
        stdout.read_line(&mut here).unwrap();
        assert_eq!(here, "here\n", "it did not start: {}", running.wait());
        Self(running, stdout)
    }

    /// Waits for its end. What it says fits into the pipe.
    fn end(self) -> Output {
        let Self(running, mut stdout) = self;
        let mut output = running.wait();
        let _ = stdout.read_to_string(&mut output.stdout);
        output
    }
}

/// Has node2 ask so many milliseconds after node1, or node1 after node2 if that is negative.
pub(crate) fn hold(pair: &Pair, skew: i64, dice: &mut Dice) -> Round {
    let apart = Duration::from_millis(skew.unsigned_abs());
    let before = [0, 1].map(|node| pair.life(node).expect("a node does not run"));
    let resets = [0, 1].map(|_| dice.up_to(1) == 1);
    let held_up = pair.dom0s().iter();
    let held_up: Vec<Running> =
        held_up.filter_map(|dom0| pair.delay.lay(dom0, skew.unsigned_abs() + 150, dice)).collect();
    // Both are there before the first begins: what it takes to get in is in no skew.
    let agents = [0, 1].map(|node| {
        let action = if resets[node] { "reset" } else { "off" };
        let line =
            format!("echo here; read -r now; exec xen-fence -v {action} {}", NODES[1 - node]);
        pair.inside(node).spawn(&["sh", "-c", &line])
    });
    let mut agents = agents.map(Waiting::new);
    let mut held_up: Vec<Waiting> = held_up.into_iter().map(Waiting::new).collect();
    held_up.iter_mut().for_each(|one| one.0.send(b"now\n"));

    let began = Instant::now();
    let (first, second) = if skew < 0 { (1, 0) } else { (0, 1) };
    agents[first].0.send(b"now\n");
    std::thread::sleep(apart.saturating_sub(began.elapsed()));
    let unasked = !agents[second].0.is_running();
    agents[second].0.send(b"now\n");
    let ends: Vec<Output> = agents.into_iter().map(Waiting::end).collect();
    let took = began.elapsed();
    held_up.into_iter().for_each(|one| drop(one.end().exits(0)));

    let left = pair.calm();
    let laid = pair.delay.laid() * pair.dom0s().len();
    let lives = [0, 1].map(|node| pair.life(node));
    let mut round = Round {
        skew,
        ends,
        died: [0, 1].map(|node| lives[node] != Some(before[node])),
        lives: lives.map(|life| life.is_some()),
        resets,
        calm: left.is_some(),
        held_up: left.filter(|_| laid > 0).map(|left| laid - left),
        records: String::new(),
        unasked,
        took,
    };
    if round.judged().is_err() {
        round.records = pair.last_records();
    }
    round
}

impl Round {
    /// Who was shot; or what is wrong.
    pub(crate) fn judged(&self) -> Result<usize, &'static str> {
        let victim = match self.died {
            [true, true] => return Err("BOTH died"),
            [false, false] => return Err("NONE died"),
            [dead, _] => usize::from(!dead),
        };
        let [shot, other] = [victim, 1 - victim];
        if !self.calm {
            Err("a broker did not come to its end")
        } else if self.ends[other].code != 0 || !self.ends[other].says("fenced") {
            Err("the one that lives was not told that the other is fenced")
        } else if self.ends[shot].code == 0 {
            Err("the one that was shot was told that the other is fenced")
        } else if self.lives[shot] != self.resets[other] {
            Err("the one that was shot is not as it was to be: off, or started anew")
        } else if self.held_up == Some(0) {
            Err("no connection was held up: the test does not do what it says")
        } else {
            Ok(shot)
        }
    }
}

impl fmt::Display for Round {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "node2 asked {} ms after node1", self.skew)?;
        for (name, (died, lives)) in NODES.iter().zip(self.died.iter().zip(&self.lives)) {
            writeln!(out, "{name}: it died: {died}, it runs now: {lives}")?;
        }
        self.ends.iter().try_for_each(|end| writeln!(out, "{end}"))?;
        writeln!(out, "{}", self.records)
    }
}
