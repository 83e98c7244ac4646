//! What there is in a dom0 at a crash, whatever broker and agent say: the stand-in's own account of its
//! domains and of what xl was told, processes, locks and files.

use crate::{BROKER, Dom0};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The node that is fenced.
pub(super) const VICTIM: &str = "alpha-node2";

/// A dom0, seen from the machine that it is on.
pub(super) struct World {
    init: i32,
    root: PathBuf,
}

/// The domain that the node is now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub(super) domid: u32,
    init: i32,
}

impl World {
    pub(super) fn of(dom0: &Dom0) -> Self {
        Self { init: dom0.init(), root: format!("/proc/{}/root", dom0.init()).into() }
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap_or_default()
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(dir)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The broker that serves, by its number on the machine.
    pub(super) fn broker(&self) -> Option<Pid> {
        let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
        let own = space(&self.init.to_string());
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let mut pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let found = pids.find(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim_end() == BROKER && space(pid) == own
        });
        found.and_then(|pid| pid.parse().ok()).map(Pid::from_raw)
    }

    /// The stand-in's records of the node's domains, whatever state they are in.
    pub(super) fn rows(&self) -> Vec<Value> {
        const DOMAINS: &str = "var/lib/stand-in/domains";
        let names = self.names(DOMAINS).into_iter().filter(|name| name.ends_with(".json"));
        let texts = names.map(|name| self.read(&format!("{DOMAINS}/{name}")));
        let rows = texts.filter_map(|text| serde_json::from_str::<Value>(&text).ok());
        rows.filter(|row| row["config"]["name"] == VICTIM).collect()
    }

    /// The one domain that the node is, if it runs.
    pub(super) fn life(&self) -> Option<Life> {
        let rows = self.rows();
        let [row] = rows.as_slice() else { return None };
        let runs = row["dying"] == false && row["building"] == false;
        let number = |name: &str| row[name].as_i64().filter(|_| runs);
        let domid = u32::try_from(number("id")?).ok()?;
        Some(Life { domid, init: i32::try_from(number("init")?).ok()? })
    }

    /// Whether a life is over: no row of it, and none of its processes.
    pub(super) fn is_over(&self, life: Life) -> bool {
        let row = format!("var/lib/stand-in/domains/{}.json", life.domid);
        let process = format!("proc/{}", life.init);
        !self.root.join(row).exists() && !self.root.join(process).exists()
    }

    /// The domid that the next domain gets: each gets one of its own.
    pub(super) fn next_domid(&self) -> u32 {
        self.read("var/lib/stand-in/next-domid").trim().parse().unwrap()
    }

    /// Begins to note what xl is told.
    pub(super) fn note_calls(&self) {
        fs::write(self.root.join("var/lib/stand-in/calls"), "").unwrap();
    }

    /// The domids that xl was told to destroy, each once.
    pub(super) fn destroyed(&self) -> Vec<u32> {
        let calls = self.read("var/lib/stand-in/calls");
        let domids = calls.lines().filter_map(|call| call.strip_prefix("destroy "));
        let mut domids: Vec<u32> = domids.map(|domid| domid.parse().unwrap()).collect();
        domids.sort_unstable();
        domids.dedup();
        domids
    }

    /// Every file of the broker's, but what a node's death and life may leave beside it.
    pub(super) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut dirs = vec!["run/xen-fence".to_owned(), "var/lib/xen-fence".to_owned()];
        while let Some(dir) = dirs.pop() {
            for name in self.names(&dir) {
                let path = format!("{dir}/{name}");
                if self.root.join(&path).is_dir() {
                    dirs.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    /// The broker's files that somebody holds locked.
    pub(super) fn locked(&self) -> Vec<String> {
        let held = |path: &String| {
            let file = fs::File::open(self.root.join(path));
            file.is_ok_and(|file| file.try_lock().is_err())
        };
        self.files().into_iter().filter(held).collect()
    }
}

/// What of a fence is at work: brokers, and the toolstack for the node. Its xl monitor is not, as long as
/// the node runs.
pub(super) fn at_work(dom0: &Dom0, runs: bool) -> Vec<String> {
    let all = dom0.processes().into_iter();
    let xl = |command: &str| {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        match words.first() {
            Some(&("list" | "destroy")) => true,
            Some(&"create") => command.contains(VICTIM) && !runs,
            _ => false,
        }
    };
    let busy = all.filter(|one| match one.name.as_str() {
        BROKER | "systemd-run" | "systemctl" => true,
        "xl" => xl(&one.command),
        _ => false,
    });
    busy.map(|one| format!("{} {}", one.pid, one.command)).collect()
}
