//! What a test looks at in a throwaway dom0: journal, syslog, domains, processes, disks.

use super::dom0::Dom0;
use serde_json::Value;

/// A process, as dom0 sees it: its own and those of its domains.
#[derive(Clone, Debug)]
pub struct Process {
    /// Its PID in dom0.
    pub pid: i32,
    /// Its parent's PID in dom0.
    pub parent: i32,
    /// What the kernel calls it.
    pub name: String,
    /// Its arguments, joined with spaces.
    pub command: String,
    /// Its state, one letter: `R`, `S`, `D`, `Z`, ….
    pub state: char,
    /// Its place in the cgroup2 hierarchy.
    pub cgroup: String,
}

impl Dom0 {
    /// The journal of a cluster, one object a line.
    ///
    /// # Panics
    /// If a line is no JSON object.
    #[must_use]
    pub fn journal(&self, cluster: &str) -> Vec<Value> {
        let text = self.file(&format!("/var/lib/xen-fence/journal/{cluster}.jsonl"));
        text.lines()
            .map(|line| {
                let parsed: Result<Value, _> = serde_json::from_str(line);
                let value = parsed.unwrap_or_else(|error| panic!("journal: {error}: {line}"));
                assert!(value.is_object(), "journal: not an object: {line}");
                value
            })
            .collect()
    }

    /// Everything that went to syslog.
    #[must_use]
    pub fn syslog(&self) -> String {
        self.file("/var/log/syslog")
    }

    /// The domid of a node's domain, from `xl list`; none if no row has its name.
    #[must_use]
    pub fn domid(&self, cluster: &str, node: &str) -> Option<u32> {
        let domain = &self.node(cluster, node).domain;
        let listing = self.on(&["xl", "list"]);
        let row = listing.stdout.lines().find(|row| row.split(' ').next() == Some(domain))?;
        row.split_whitespace().nth(1)?.parse().ok()
    }

    /// All processes that dom0 sees, those of its domains among them.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let names = self.root().names("/proc").unwrap_or_default();
        let mut found: Vec<Process> = names
            .iter()
            .filter_map(|name| name.parse().ok())
            .filter_map(|pid| self.process(pid))
            .collect();
        found.sort_by_key(|process| process.pid);
        found
    }

    /// The living processes of a node's domain, as dom0 sees them: its PID 1 and what descends from it.
    #[must_use]
    pub fn processes_of(&self, cluster: &str, node: &str) -> Vec<Process> {
        let Some(init) = self.domain_init(self.node(cluster, node)) else { return Vec::new() };
        let mut family = vec![init];
        let all = self.processes();
        // A child's PID may be lower than its parent's, once PIDs have wrapped round.
        loop {
            let born = |process: &&Process| {
                family.contains(&process.parent) && !family.contains(&process.pid)
            };
            match all.iter().find(born) {
                Some(child) => family.push(child.pid),
                None => break,
            }
        }
        all.into_iter().filter(|process| family.contains(&process.pid)).collect()
    }

    /// One process of dom0 or of its domains, if it lives.
    #[must_use]
    pub fn process(&self, pid: i32) -> Option<Process> {
        let read = |name: &str| {
            let bytes = self.root().read(&format!("/proc/{pid}/{name}")).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        let stat = read("stat")?;
        // The name stands in parentheses and may hold anything, so it is found from both ends.
        let (before, after) = stat.rsplit_once(')')?;
        let name = before.split_once('(')?.1.to_owned();
        let mut fields = after.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let command = read("cmdline")?.trim_end_matches('\0').replace('\0', " ");
        let cgroups = read("cgroup").unwrap_or_default();
        let cgroup =
            cgroups.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("").to_owned();
        Some(Process { pid, parent, name, command, state, cgroup })
    }

    /// What each node of a cluster last wrote to its disk: its name, its counter, its uptime.
    #[must_use]
    pub fn sectors(&self, cluster: &str) -> Vec<String> {
        let nodes = self.nodes().iter().filter(|node| node.cluster == cluster);
        nodes.map(|node| self.sector(cluster, &node.name)).collect()
    }

    /// What a node last wrote to its disk, as dom0 sees it.
    #[must_use]
    pub fn sector(&self, cluster: &str, node: &str) -> String {
        let node = self.node(cluster, node);
        let disk = self.root().read(&node.disk()).unwrap_or_default();
        let sector = disk.get(node.slot * 512..(node.slot + 1) * 512).unwrap_or_default();
        String::from_utf8_lossy(sector).trim_matches(['\0', ' ', '\n']).to_owned()
    }

    /// The counter that a node writes to its disk; it begins anew with each boot.
    #[must_use]
    pub fn counter(&self, cluster: &str, node: &str) -> u64 {
        let sector = self.sector(cluster, node);
        sector.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
    }
}
