//! What xl does when a broker calls it, on a good day and on others: field notes and recordings of
//! the real one say what can happen.

use super::{Event, World};
use crate::cast;
use libc::c_int;

/// A program that a broker has started.
pub struct Program {
    what: What,
    /// Who waits for it.
    broker: usize,
    pipes: [Option<usize>; 2],
    step: u32,
    mood: u32,
    /// What it is going to print.
    prints: String,
}

enum What {
    List,
    Destroy(u32),
    /// The node, the request's broker, when the power-on was planned, the life that it has made.
    Create {
        node: usize,
        planned: u64,
        life: Option<usize>,
    },
    Other,
}

impl What {
    const fn is_destroy(&self) -> bool {
        matches!(self, Self::Destroy(_))
    }
}

const HEADER: &str = "Name                                        ID   Mem VCPUs\tState\tTime(s)   UUID                            Reason-Code\tSecurity Label\n";

impl World {
    /// A broker starts a program.
    pub fn starts(
        &mut self,
        broker: usize,
        program: &str,
        args: &[String],
        pipes: [Option<usize>; 2],
    ) -> Result<i32, c_int> {
        let host = self.brokers[broker].host;
        let name = program.rsplit('/').next().unwrap_or_default();
        let what = match (name, args.get(1).map(String::as_str), args.get(2)) {
            ("xl", Some("list"), _) => What::List,
            ("xl", Some("destroy"), Some(domid)) => {
                What::Destroy(domid.parse().map_err(|_| libc::EINVAL)?)
            }
            _ => What::Other,
        };
        // Judged though it may not run: with the first try it has begun, and the next is a repeated one.
        if let What::Destroy(domid) = what {
            self.is_going_to_kill(broker, domid);
        }
        if self.has_no_process(host, what.is_destroy()) {
            return Err(libc::EAGAIN);
        }
        if let What::List = what {
            self.brokers[broker].looked = self.brokers[broker].scanned;
        }
        let mood = match what {
            _ if self.calm => 0,
            What::List => self.choices.seldom(25, 8),
            What::Destroy(_) => self.choices.seldom(6, 9),
            What::Create { .. } | What::Other => 0,
        };
        tell!(
            self,
            "{} runs xl {}{}",
            self.name(broker),
            args[1..].join(" "),
            told_mood(&what, mood)
        );
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (now, parent) = (self.now, self.brokers[broker].pid);
        let pid = self.hosts[host].procs.begin(now, parent, name, &args);
        let program = Program { what, broker, pipes, step: 0, mood, prints: String::new() };
        self.hosts[host].programs.insert(pid, program);
        let first = if mood == 2 { 1_500_000 } else { 4_000 };
        self.after(first, Event::Program(host, pid));
        Ok(pid)
    }

    /// Whether the host has no process to give: once, or for a while, until what comes may be another life.
    fn has_no_process(&mut self, host: usize, for_a_kill: bool) -> bool {
        if self.calm {
            return false;
        }
        let begins = self.choices.once_in(if for_a_kill { 100 } else { 400 });
        let moods = &mut self.hosts[host].moods;
        if begins {
            moods.no_process_until =
                self.now + [0, 20_000_000, 70_000_000][self.choices.seldom(2, 3) as usize];
        }
        let none = begins || self.now < moods.no_process_until;
        moods.toolstack_failed |= none;
        none
    }

    /// A broker forks to create a domain; the token that it made for that says which.
    pub fn creates(&mut self, broker: usize, token: &str) -> Result<i32, c_int> {
        let host = self.brokers[broker].host;
        let mut parts = token.split('=');
        let node =
            parts.next().zip(parts.next()).and_then(|(cluster, name)| cast::named(cluster, name));
        let Some(node) = node else { return Err(libc::EAGAIN) };
        self.is_going_to_create(broker, node);
        let mood = if self.calm { 0 } else { self.choices.seldom(5, 6) };
        let (now, parent, config) = (self.now, self.brokers[broker].pid, cast::config(node));
        let pid =
            self.hosts[host].procs.begin(now, parent, "xl", &["/usr/sbin/xl", "create", &config]);
        let what = What::Create { node, planned: now, life: None };
        tell!(self, "{} runs xl create {config}{}", self.name(broker), told_mood(&what, mood));
        let program =
            Program { what, broker, pipes: [None; 2], step: 0, mood, prints: String::new() };
        self.hosts[host].programs.insert(pid, program);
        // It may have to wait for xl's lock.
        let waits = [20_000, 200_000, 1_000_000, 9_000_000][self.choices.seldom(5, 4) as usize];
        self.after(waits, Event::Program(host, pid));
        Ok(pid)
    }

    /// Root types xl create.
    pub(super) fn root_creates(&mut self, host: usize, node: usize) {
        let (now, config) = (self.now, cast::config(node));
        let pid = self.hosts[host].procs.begin(now, 1, "xl", &["/usr/sbin/xl", "create", &config]);
        tell!(self, "root runs xl create {config} on {}", Self::host_name(host));
        let what = What::Create { node, planned: now, life: None };
        let program = Program {
            what,
            broker: usize::MAX,
            pipes: [None; 2],
            step: 0,
            mood: 0,
            prints: String::new(),
        };
        self.hosts[host].programs.insert(pid, program);
        let waits = [20_000, 200_000, 1_000_000, 9_000_000][self.choices.seldom(2, 4) as usize];
        self.after(waits, Event::Program(host, pid));
    }

    pub(super) fn program_steps(&mut self, host: usize, pid: i32) {
        let Some(mut program) = self.hosts[host].programs.remove(&pid) else { return };
        program.step += 1;
        let next = match program.what {
            What::List => self.list_steps(host, &mut program),
            What::Destroy(domid) => self.destroy_steps(host, domid, &mut program),
            What::Create { node, planned, life } => {
                let (life, next) = self.create_steps(host, node, planned, life, &mut program);
                program.what = What::Create { node, planned, life };
                next
            }
            What::Other => Err(1),
        };
        match next {
            Ok(Some(later)) => {
                self.hosts[host].programs.insert(pid, program);
                self.after(later, Event::Program(host, pid));
            }
            // It hangs.
            Ok(None) => {
                self.hosts[host].programs.insert(pid, program);
            }
            Err(code) => self.program_ends(host, pid, &program, code << 8),
        }
    }

    fn list_steps(&mut self, host: usize, program: &mut Program) -> Result<Option<u64>, c_int> {
        if program.mood > 2 {
            self.hosts[host].moods.toolstack_failed = true;
        }
        match (program.step, program.mood) {
            (_, 6) => return Ok(None),
            (1, 3) => return Err(1),
            (1, _) => {
                program.prints = self.listing(host);
                if program.broker < self.brokers.len() {
                    self.brokers[program.broker].listed = self.now;
                }
                return Ok(Some(if program.mood == 1 { 1_500_000 } else { 900 }));
            }
            (_, 4) => program.prints.truncate(program.prints.len() * 2 / 3),
            (_, 5) => program.prints = program.prints.replace("0f6a1b2c-", "0f6a1b2c"),
            (_, 7) => program.prints.clear(),
            _ => {}
        }
        Err(0)
    }

    fn listing(&self, host: usize) -> String {
        let mut rows = vec![(
            "Domain-0".to_owned(),
            0,
            "r-----",
            "00000000-0000-0000-0000-000000000000".to_owned(),
        )];
        for life in self.lives.iter().filter(|life| life.host == host) {
            let state = match life.state {
                super::domains::State::Runs => "-b----",
                super::domains::State::Dying => "--p--d",
                super::domains::State::Gone => continue,
            };
            let name = life.called.clone().unwrap_or_else(|| "(null)".to_owned());
            rows.push((name, life.domid, state, cast::uuid(life.node)));
        }
        let rows = rows.into_iter().map(|(name, domid, state, uuid)| {
            format!("{name:<40} {domid:>5}   128     1     {state}       7.7 {uuid}        -                -\n")
        });
        std::iter::once(HEADER.to_owned()).chain(rows).collect()
    }

    /// What a destroy does to its domain, and what xl says of it, are two things.
    fn destroy_steps(
        &mut self,
        host: usize,
        domid: u32,
        program: &mut Program,
    ) -> Result<Option<u64>, c_int> {
        let life = self.lives.iter().position(|life| life.host == host && life.domid == domid);
        let Some(life) = life.filter(|life| self.lives[*life].state != super::domains::State::Gone)
        else {
            return Err(1);
        };
        let by = program.broker;
        if matches!(program.mood, 3..) {
            self.hosts[host].moods.toolstack_failed = true;
        }
        match (program.step, program.mood) {
            // It says that it has, and has not; or fails without having.
            (_, 3) => Err(0),
            (_, 4) => Err(1),
            // It hangs before the domain is dead, or behind that.
            (1, 5) => Ok(None),
            (1, 6) => {
                self.is_destroyed(life, Some(by));
                Ok(None)
            }
            // It fails after the kill.
            (1, 7) => {
                self.is_destroyed(life, Some(by));
                Err(1)
            }
            // The name goes long before the domain does.
            (1, 8) => {
                self.lives[life].called = None;
                Ok(Some(600_000))
            }
            (2, 8) => {
                self.is_destroyed(life, Some(by));
                Err(0)
            }
            (1, _) => {
                self.is_destroyed(life, Some(by));
                Ok(Some(if program.mood == 1 { 900_000 } else { 6_000 }))
            }
            _ => Err(0),
        }
    }

    fn create_steps(
        &mut self,
        host: usize,
        node: usize,
        planned: u64,
        life: Option<usize>,
        program: &mut Program,
    ) -> (Option<usize>, Result<Option<u64>, c_int>) {
        let by = (program.broker < self.brokers.len()).then_some(program.broker);
        match (program.step, program.mood) {
            (1, 2) => (None, Err(1)),
            (1, 3) => (None, Ok(None)),
            (1, _) if self.is_there(host, node) => (None, Err(1)),
            (1, _) => {
                let life = self.is_born(node, host, None, by, planned);
                (Some(life), Ok(Some(if program.mood == 4 { 1_200_000 } else { 15_000 })))
            }
            // It fails, or hangs, with the domain half built.
            (2, 1) => (life, Err(1)),
            (2, 5) => (life, Ok(None)),
            (2, _) => {
                let Some(lives) = life.filter(|life| self.lives[*life].runs()) else {
                    return (life, Err(1));
                };
                self.lives[lives].called = Some(cast::domain(node));
                self.is_watched(lives);
                (life, Err(0))
            }
            _ => (life, Err(0)),
        }
    }

    fn program_ends(&mut self, host: usize, pid: i32, program: &Program, status: c_int) {
        let waits = program.broker < self.brokers.len() && !self.brokers[program.broker].is_over();
        if !waits {
            self.hosts[host].procs.all.remove(&pid);
            return;
        }
        if let Some(proc) = self.hosts[host].procs.all.get_mut(&pid) {
            proc.ended = Some(status);
        }
        let broker = &mut self.brokers[program.broker];
        if let Some(pipe) = program.pipes[0] {
            broker.open.pipes[pipe].bytes.extend_from_slice(program.prints.as_bytes());
        }
        if let Some(pipe) = program.pipes[1].filter(|_| status != 0) {
            broker.open.pipes[pipe].bytes.extend_from_slice(b"libxl: error: it did not work\n");
        }
        for pipe in program.pipes.into_iter().flatten() {
            broker.open.pipes[pipe].writers = broker.open.pipes[pipe].writers.saturating_sub(1);
        }
        if broker.open.polls {
            self.wakes(program.broker, self.now);
        }
    }

    /// A broker kills a process group.
    pub fn is_killed(&mut self, by: usize, pid: i32) {
        let host = self.brokers[by].host;
        let Some(program) = self.hosts[host].programs.remove(&pid) else { return };
        tell!(self, "{} kills process {pid}", self.name(by));
        self.has_been_killed(by, program.broker, matches!(program.what, What::Create { .. }));
        self.program_ends(host, pid, &program, libc::SIGKILL);
    }
}

fn told_mood(what: &What, mood: u32) -> String {
    let told = match (what, mood) {
        (_, 0) => return String::new(),
        (What::List, 1) => "it prints late what it saw",
        (What::List, 2) | (What::Destroy(_), 2) => "it begins late",
        (What::List, 3) => "it fails",
        (What::List, 4) => "its output breaks off",
        (What::List, 5) => "a row cannot be read",
        (What::List, 6) => "it hangs",
        (What::List, _) => "it prints nothing",
        (What::Destroy(_), 1) => "it ends late",
        (What::Destroy(_), 3) => "it says that it did, and does not",
        (What::Destroy(_), 4) => "it fails without doing anything",
        (What::Destroy(_), 5) => "it hangs before it does anything",
        (What::Destroy(_), 6) => "it hangs when it has",
        (What::Destroy(_), 7) => "it fails when it has",
        (What::Destroy(_), _) => "the name goes long before the domain",
        (What::Create { .. }, 1) => "it fails with the domain half built",
        (What::Create { .. }, 2) => "it fails",
        (What::Create { .. }, 3) => "it hangs",
        (What::Create { .. }, 4) => "it takes its time",
        (What::Create { .. }, 5) => "it hangs with the domain half built",
        (What::Create { .. } | What::Other, _) => return String::new(),
    };
    format!(" ({told})")
}
