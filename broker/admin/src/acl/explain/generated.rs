//! Policies and requests by lot, and what the one makes of the other by a second writing of the
//! rules, which reads what was drawn and no file.

use std::fmt::Write as _;

/// Numbers by lot, all of them told by the seed (splitmix64).
pub(super) struct Lot(pub(super) u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True in one of so many cases.
    fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    fn pick<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[self.below(things.len())]
    }

    fn some<T: Copy>(&mut self, things: &[T]) -> Vec<T> {
        things.iter().copied().filter(|_| self.one_in(2)).collect()
    }
}

const ALL: [&str; 7] = ["reset", "off", "on", "status", "list", "monitor", "check"];
const NAMES: [&str; 6] = ["node1", "Node2", "n3.example", "n-4", "5", "node_6"];
const OPERATORS: [&str; 3] = ["nagios", "desk", "Ops.1"];
/// Networks, and an address in each that is in none of the others.
const NETS: [(&str, &str); 4] = [
    ("192.168.2.0/24", "192.168.2.11"),
    ("10.0.0.7", "10.0.0.7"),
    ("fd00:2::/64", "fd00:2::11"),
    ("172.16.0.0/12", "172.31.255.1"),
];
const NOWHERE: &str = "203.0.113.5";

/// A node or an operator, as it was drawn.
#[derive(Clone)]
struct Drawn {
    name: &'static str,
    is_node: bool,
    keys: Vec<usize>,
    targets: Option<Vec<&'static str>>,
    /// An operator's own; a node's are the cluster's.
    actions: Vec<&'static str>,
    from: Option<Vec<usize>>,
    config: bool,
}

/// A policy, as it was drawn.
pub(super) struct Policy {
    members: Vec<Drawn>,
}

/// What is asked, and by whom.
pub(super) struct Asked {
    /// `node NAME` or `operator NAME`, as the launcher says it.
    pub(super) caller: String,
    pub(super) key: usize,
    pub(super) from: String,
    pub(super) action: &'static str,
    /// `-` for none.
    pub(super) node: String,
}

/// A key's line; its fingerprint is for others to say.
pub(super) fn key(number: usize) -> String {
    format!("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA{number:0>42}")
}

impl Policy {
    pub(super) fn draw(lot: &mut Lot) -> Self {
        let actions = lot.some(&ALL[..4]);
        let from = lot.one_in(2).then(|| nets(lot));
        let nodes: Vec<&str> = NAMES[..1 + lot.below(NAMES.len())].to_vec();
        let mut number = 0;
        let mut keys = |lot: &mut Lot| {
            let count = 1 + lot.below(2);
            number += count;
            (number - count..number).collect::<Vec<_>>()
        };
        let mut members = Vec::new();
        for name in &nodes {
            members.push(Drawn {
                name,
                is_node: true,
                keys: keys(lot),
                targets: lot.one_in(2).then(|| lot.some(&nodes)),
                actions: actions.clone(),
                from: from.clone(),
                config: lot.one_in(2),
            });
        }
        for name in lot.some(&OPERATORS) {
            let mut actions = lot.some(&ALL);
            if actions.is_empty() {
                actions.push("monitor");
            }
            members.push(Drawn {
                name,
                is_node: false,
                keys: keys(lot),
                targets: lot.one_in(2).then(|| lot.some(&nodes)),
                actions,
                from: lot.one_in(2).then(|| nets(lot)),
                config: false,
            });
        }
        Self { members }
    }

    /// The policy's file.
    pub(super) fn text(&self) -> String {
        let list = |words: Vec<String>| {
            let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("[{}]", words.join(", "))
        };
        let words = |words: &[&str]| list(words.iter().map(ToString::to_string).collect());
        let places = |from: &[usize]| list(from.iter().map(|at| NETS[*at].0.to_owned()).collect());
        let mut text = String::new();
        for (at, member) in self.members.iter().enumerate() {
            if at == 0 {
                writeln!(text, "actions = {}", words(&member.actions)).unwrap();
                if let Some(from) = &member.from {
                    writeln!(text, "from = {}", places(from)).unwrap();
                }
            }
            let table = if member.is_node { "nodes" } else { "operators" };
            writeln!(text, "[{table}.\"{}\"]", member.name).unwrap();
            writeln!(text, "keys = {}", list(member.keys.iter().map(|it| key(*it)).collect()))
                .unwrap();
            if let Some(targets) = &member.targets {
                writeln!(text, "targets = {}", words(targets)).unwrap();
            }
            if member.is_node {
                writeln!(text, "domain = \"d{at}\"\nuuid = \"0f6a1b2c-0000-4000-8000-{at:012}\"")
                    .unwrap();
                if member.config {
                    writeln!(text, "config = \"/nowhere/d{at}.cfg\"").unwrap();
                }
            } else {
                writeln!(text, "actions = {}", words(&member.actions)).unwrap();
                if let Some(from) = &member.from {
                    writeln!(text, "from = {}", places(from)).unwrap();
                }
            }
        }
        text
    }

    /// A request of somebody, most often one who exists, with a key and from a place of his own.
    pub(super) fn ask(&self, lot: &mut Lot) -> Asked {
        let asker = lot.pick(&self.members).clone();
        let kind = if asker.is_node != lot.one_in(12) { "node" } else { "operator" };
        let name = if lot.one_in(12) { "stranger" } else { asker.name };
        let name = if lot.one_in(4) { name.to_uppercase() } else { name.to_owned() };
        let key = if lot.one_in(8) { lot.below(12) } else { *lot.pick(&asker.keys) };
        let place = match &asker.from {
            Some(from) if !lot.one_in(6) => NETS[*lot.pick(from)].1,
            _ => lot.pick(&[NETS[0].1, NETS[1].1, NETS[2].1, NETS[3].1, NOWHERE]),
        };
        // A listener of both families shows IPv4 so.
        let mapped = !place.contains(':') && lot.one_in(4);
        let from = if mapped { format!("::ffff:{place}") } else { place.to_owned() };
        let action = *lot.pick(&ALL);
        let node = match action {
            "list" | "monitor" => "-".to_owned(),
            "check" if lot.one_in(3) => "-".to_owned(),
            _ if lot.one_in(8) => {
                (*lot.pick(&["nobody", "Domain-0", "d0", "nagios", "0"])).to_owned()
            }
            _ => {
                let nodes: Vec<_> = self.members.iter().filter(|it| it.is_node).collect();
                let name = lot.pick(&nodes).name;
                if lot.one_in(4) { name.to_uppercase() } else { name.to_owned() }
            }
        };
        Asked { caller: format!("{kind} {name}"), key, from, action, node }
    }

    /// `permit`, or the reason of the refusal.
    pub(super) fn says(&self, asked: &Asked) -> &'static str {
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let (kind, name) = asked.caller.split_once(' ').unwrap();
        let is_asker = |it: &&Drawn| it.is_node == (kind == "node") && same(it.name, name);
        let Some(asker) = self.members.iter().find(is_asker) else { return "identity" };
        if !asker.keys.contains(&asked.key) {
            return "identity";
        }
        let place = asked.from.trim_start_matches("::ffff:");
        if asker.from.as_ref().is_some_and(|from| from.iter().all(|at| NETS[*at].1 != place)) {
            return "source";
        }
        let is_free = asker.is_node && ["list", "monitor", "check"].contains(&asked.action);
        if !is_free && !asker.actions.contains(&asked.action) {
            return "not-granted";
        }
        if asked.node == "-" {
            return "permit";
        }
        let is_target = |it: &&Drawn| it.is_node && same(it.name, &asked.node);
        let Some(target) = self.members.iter().find(is_target) else { return "not-yours" };
        if asker.targets.as_ref().is_some_and(|targets| !targets.contains(&target.name)) {
            return "not-yours";
        }
        if asked.action == "on" && !target.config { "not-granted" } else { "permit" }
    }
}

fn nets(lot: &mut Lot) -> Vec<usize> {
    let some = lot.some(&[0, 1, 2, 3]);
    if some.is_empty() { vec![0] } else { some }
}
