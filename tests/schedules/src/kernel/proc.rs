//! A host's processes, and how /proc shows them.

use std::collections::BTreeMap;

/// A process.
#[derive(Clone, Default)]
pub struct Proc {
    pub parent: i32,
    /// In ticks since boot, a hundred a second.
    pub started: u64,
    pub name: String,
    pub args: Vec<String>,
    /// What it has open.
    pub files: Vec<String>,
    /// It has ended, and nobody has asked how.
    pub ended: Option<i32>,
}

/// What a name below /proc leads to.
pub enum Shown {
    File(Vec<u8>),
    Dir(Vec<String>),
    Link(String),
}

/// All that run on a host.
#[derive(Clone)]
pub struct Procs {
    pub all: BTreeMap<i32, Proc>,
    next: i32,
}

/// The cgroup of every broker when it begins, and where cgroups are.
const CGROUP: &str = "0::/system.slice/ssh.service\n";
const MOUNTS: &str = "25 31 0:22 / /sys/fs/cgroup rw,relatime - cgroup2 cgroup2 rw\n";

impl Procs {
    /// A host on which nothing runs yet.
    pub const fn new() -> Self {
        Self { all: BTreeMap::new(), next: 1 }
    }

    /// Begins a process.
    pub fn begin(&mut self, now: u64, parent: i32, name: &str, args: &[&str]) -> i32 {
        let pid = self.next;
        self.next += 1;
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let (name, started) = (name.to_owned(), now / 10_000);
        self.all.insert(pid, Proc { parent, started, name, args, ..Proc::default() });
        pid
    }

    /// Whether it runs.
    pub fn runs(&self, pid: i32) -> bool {
        self.all.get(&pid).is_some_and(|proc| proc.ended.is_none())
    }

    /// What /proc shows; `own` is who asks.
    pub fn show(&self, own: i32, path: &str) -> Option<Shown> {
        let rest = path.strip_prefix("/proc")?;
        let mut parts = rest.split('/').skip(1).filter(|part| !part.is_empty());
        let Some(first) = parts.next() else {
            return Some(Shown::Dir(self.all.keys().map(ToString::to_string).collect()));
        };
        let file = |text: &str| Some(Shown::File(text.as_bytes().to_vec()));
        let pid = if first == "self" { own } else { first.parse().ok()? };
        let proc = self.all.get(&pid)?;
        let rest: Vec<&str> = parts.collect();
        match *rest.as_slice() {
            [] => Some(Shown::Dir(Vec::new())),
            ["cgroup"] => file(CGROUP),
            ["mountinfo"] => file(MOUNTS),
            ["stat"] | ["task", _, "stat"] => {
                let (name, parent, started) = (&proc.name, proc.parent, proc.started);
                let state = if proc.ended.is_some() { 'Z' } else { 'S' };
                let zeros = "0 ".repeat(17);
                file(&format!("{pid} ({name}) {state} {parent} {zeros}{started} 0 0\n"))
            }
            ["status"] => file(&format!("Name:\t{}\nUid:\t0\t0\t0\t0\n", proc.name)),
            ["cmdline"] => {
                let args = proc.args.iter().flat_map(|arg| [arg.as_str(), "\0"]);
                file(&args.collect::<String>())
            }
            ["task"] => Some(Shown::Dir(vec![pid.to_string()])),
            ["fd"] => Some(Shown::Dir((0..proc.files.len()).map(|at| at.to_string()).collect())),
            ["fd", at] => Some(Shown::Link(proc.files.get(at.parse::<usize>().ok()?)?.clone())),
            ["exe"] if proc.ended.is_none() => {
                Some(Shown::Link(format!("/usr/sbin/{}", proc.name)))
            }
            ["cwd"] => Some(Shown::Link("/".to_owned())),
            _ => None,
        }
    }
}
