//! Shows xen-fence at work in a throwaway dom0: one node fences another, and is refused where it has
//! no business. Every line of output but the headings comes from the installed product or from what
//! the demo finds in the throwaway dom0; tests/demo builds everything and runs this.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use xen_fence_tests::throwaway::{Dom0, Error, Place, Process, Result};

fn main() -> ExitCode {
    let began = Instant::now();
    let stage = Stage::new();
    match play(&stage) {
        Ok(()) => {
            stage.say(&format!("The demo took {:.0} s.", began.elapsed().as_secs_f64()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(stage: &Stage) -> Result<()> {
    stage.step("Raise a dom0 with two clusters: alpha is node1 and node2, beta is db1 and db2");
    let began = Instant::now();
    let dom0 = Dom0::builder()
        .cluster("alpha", &["node1", "node2"])
        .cluster("beta", &["db1", "db2"])
        .raise()?;
    stage.say(&format!(
        "Up in {:.1} s, over this machine's own files and apart from them: sshd, sudo and syslog are \
         real,\nthe hypervisor is a stand-in whose domains are process trees that write to a disk.",
        began.elapsed().as_secs_f64()
    ));
    let host = dom0.place();
    stage.run("xen1", host, &["xl", "list"], 0)?;

    stage.step("node2 is alive: it has processes, and counts on its disk");
    let before = dom0.processes_of("alpha", "node2");
    let domid_before = dom0.domid("alpha", "node2");
    stage.processes("node2", domid_before, &before);
    stage.counter(&dom0, Duration::from_secs(1));

    stage.step("node1 fences node2");
    let node1 = dom0.in_node("alpha", "node1");
    stage.run("node1", &node1, &["xen-fence", "reset", "node2"], 0)?;

    stage.step("The old node2 is gone, and a new one runs");
    let still_here =
        |old: &&Process| dom0.process(old.pid).is_some_and(|now| now.command == old.command);
    stage.say(&format!(
        "Processes of domid {} that are left: {}.",
        number(domid_before),
        before.iter().filter(still_here).count()
    ));
    stage.processes("node2", dom0.domid("alpha", "node2"), &dom0.processes_of("alpha", "node2"));
    stage.counter(&dom0, Duration::from_secs(1));
    stage.run("xen1", host, &["xl", "list"], 0)?;

    stage.step("node1 aims at a node of the other cluster, and is refused");
    let db1 = dom0.domid("beta", "db1");
    stage.run("node1", &node1, &["xen-fence", "reset", "db1"], 3)?;
    stage.say(&format!(
        "db1 was domid {}, and is domid {}.",
        number(db1),
        number(dom0.domid("beta", "db1"))
    ));

    stage.step("Within its own cluster, db1 may ask");
    stage.run("db1", &dom0.in_node("beta", "db1"), &["xen-fence", "status", "db2"], 0)?;

    stage.step("What dom0 has on record, for each cluster apart");
    stage.run("xen1", host, &["xen-fence-admin", "log", "--cluster", "alpha"], 0)?;
    stage.run("xen1", host, &["xen-fence-admin", "log", "--cluster", "beta"], 0)?;

    stage.step("Clean up");
    let count = dom0.processes().len();
    let began = Instant::now();
    drop(dom0);
    stage.say(&format!(
        "{count} processes ended and everything removed in {:.0} ms.",
        began.elapsed().as_secs_f64() * 1000.0
    ));
    Ok(())
}

fn number(domid: Option<u32>) -> String {
    domid.map_or_else(|| "none".to_owned(), |domid| domid.to_string())
}

/// What the audience sees.
struct Stage {
    step: std::cell::Cell<usize>,
    terminal: bool,
}

impl Stage {
    fn new() -> Self {
        let terminal = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { step: 0.into(), terminal }
    }

    fn bold(&self, text: &str) -> String {
        if self.terminal { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn step(&self, text: &str) {
        if self.terminal && self.step.get() > 0 {
            // Time to read what the step before has shown.
            std::thread::sleep(Duration::from_millis(1500));
        }
        self.step.set(self.step.get() + 1);
        println!("\n{}", self.bold(&format!("{}. {text}", self.step.get())));
    }

    fn say(&self, text: &str) {
        println!("{text}");
    }

    /// Shows a command as a person would type it, and runs it on this very terminal.
    fn run(&self, host: &str, place: &Place, words: &[&str], code: i32) -> Result<()> {
        println!("{}", self.bold(&format!("{host}# {}", words.join(" "))));
        // Output from here and from there must not overtake each other.
        let _ = std::io::stdout().flush();
        let status = place.command(words).status();
        let status =
            status.map_err(|error| Error::new(format!("cannot run a command: {error}")))?;
        if status.code() == Some(code) {
            if code != 0 {
                println!("(exit code {code})");
            }
            return Ok(());
        }
        let line = words.join(" ");
        Err(Error::new(format!(
            "`{line}` ended with {status}, where exit code {code} was expected"
        )))
    }

    fn processes(&self, node: &str, domid: Option<u32>, processes: &[Process]) {
        println!("The processes of {node}, domid {}, as dom0 sees them:", number(domid));
        for process in processes {
            println!("  {:>6} {}", process.pid, process.command);
        }
    }

    fn counter(&self, dom0: &Dom0, pause: Duration) {
        let first = dom0.counter("alpha", "node2");
        std::thread::sleep(pause);
        let second = dom0.counter("alpha", "node2");
        println!(
            "Its counter on the disk: {first}, and {:.0} s later {second}.",
            pause.as_secs_f64()
        );
    }
}
