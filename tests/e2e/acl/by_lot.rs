//! Policies and requests by lot, of callers who exist.

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

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, cases: usize) -> bool {
        self.below(cases) == 0
    }

    fn most<'t>(&mut self, words: &[&'t str]) -> Vec<&'t str> {
        words.iter().copied().filter(|_| !self.one_in(4)).collect()
    }
}

const ACTIONS: [&str; 7] = ["reset", "off", "on", "status", "list", "monitor", "check"];
const NODES: [&str; 3] = ["node1", "node2", "node3"];

/// Somebody with a key that sshd knows.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) is_node: bool,
    /// The domain of a node; an operator's is that from which it asks.
    pub(super) domain: String,
    pub(super) uuid: String,
    pub(super) key: String,
    pub(super) fingerprint: String,
    pub(super) address: String,
    /// The node in whose domain it is.
    pub(super) at: String,
    /// Its key there.
    pub(super) file: String,
}

/// What a policy says of one of them; nothing, if it is not in the policy.
struct Entry {
    targets: Option<Vec<&'static str>>,
    actions: Vec<&'static str>,
    from: Option<&'static str>,
    has_config: bool,
    /// Its key is not the one that sshd knows.
    revoked: bool,
}

/// A policy that was drawn.
pub(super) struct Draft {
    actions: Vec<&'static str>,
    from: Option<&'static str>,
    entries: Vec<Option<Entry>>,
}

impl Draft {
    /// Everybody may do everything, from anywhere.
    pub(super) fn of_all(members: &[Member]) -> Self {
        let entry = || Entry {
            targets: None,
            actions: ACTIONS.to_vec(),
            from: None,
            has_config: true,
            revoked: false,
        };
        let entries = members.iter().map(|_| Some(entry())).collect();
        Self { actions: ACTIONS[..4].to_vec(), from: None, entries }
    }

    pub(super) fn draw(lot: &mut Lot, members: &[Member]) -> Self {
        let entry = |lot: &mut Lot| {
            let mut actions = lot.most(&ACTIONS);
            if actions.is_empty() {
                actions.push("list");
            }
            Entry {
                targets: lot.one_in(2).then(|| lot.most(&NODES)),
                actions,
                from: from(lot),
                has_config: !lot.one_in(3),
                revoked: lot.one_in(8),
            }
        };
        // One node at least stays: a policy of none is none.
        let entries = members
            .iter()
            .enumerate()
            .map(|(at, _)| (at == 0 || !lot.one_in(8)).then(|| entry(lot)))
            .collect();
        Self { actions: lot.most(&ACTIONS[..4]), from: from(lot), entries }
    }

    /// The policy's file.
    pub(super) fn text(&self, members: &[Member]) -> String {
        let mut text = format!("actions = {:?}\n", self.actions);
        text.extend(self.from.map(|from| format!("from = [{from:?}]\n")));
        let both = || members.iter().zip(&self.entries);
        let nodes: Vec<&str> = both()
            .filter(|(member, entry)| member.is_node && entry.is_some())
            .map(|(member, _)| member.name)
            .collect();
        for (member, entry) in both() {
            let Some(entry) = entry else { continue };
            let Member { name, is_node, domain, uuid, key, .. } = member;
            let table = if *is_node { "nodes" } else { "operators" };
            // Some other key, if its own is revoked.
            let key = if entry.revoked { key.replace("AAAAI", "AAAAIA") } else { key.clone() };
            let key: String = key.chars().take("ssh-ed25519 ".len() + 68).collect();
            let _ = write!(text, "[{table}.{name}]\nkeys = [{key:?}]\n");
            if let Some(targets) = &entry.targets {
                let known: Vec<_> = targets.iter().filter(|it| nodes.contains(it)).collect();
                let _ = writeln!(text, "targets = {known:?}");
            }
            if *is_node {
                let _ = writeln!(text, "domain = {domain:?}\nuuid = {uuid:?}");
                text.extend(
                    entry.has_config.then(|| format!("config = \"/etc/xen/{domain}.cfg\"\n")),
                );
            } else {
                let _ = writeln!(text, "actions = {:?}", entry.actions);
                text.extend(entry.from.map(|from| format!("from = [{from:?}]\n")));
            }
        }
        text
    }
}

/// From where somebody may ask: most often from where everybody is.
fn from(lot: &mut Lot) -> Option<&'static str> {
    let places = [None, None, Some("10.77.0.0/24"), Some("10.77.0.11"), Some("192.0.2.0/24")];
    places[lot.below(places.len())]
}

/// What is asked: an action, and the node that it names.
pub(super) fn request(lot: &mut Lot) -> (&'static str, &'static str) {
    let action = ACTIONS[lot.below(ACTIONS.len())];
    let node = match action {
        "list" | "monitor" => "-",
        "check" if lot.one_in(3) => "-",
        _ if lot.one_in(8) => ["db1", "nobody", "Domain-0"][lot.below(3)],
        _ => ["node1", "NODE2", "node3"][lot.below(3)],
    };
    (action, node)
}
