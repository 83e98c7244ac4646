//! A hundred agents at once, and one tenant's noise beside another's fence: everybody is served within
//! the deadline, nobody is lost, nothing counts twice. How fast is for tests/bench to say.

use crate::{Dom0, ask, settle, two_clusters};
use serde_json::Value;
use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};
use xen_fence_tests::noise::{MANY_ADDRESSES, Noise};
use xen_fence_tests::throwaway::{Builder, Output, Process, Running};

const CLUSTERS: [&str; 5] = ["alpha", "beta", "gamma", "delta", "epsilon"];

/// Who asks, who is to be off, and who is to be reset, each by an asker of its own.
const NODES: [&str; 7] = ["asks1", "asks2", "asks3", "asks4", "down", "again1", "again2"];

/// What the four askers of a cluster ask at the same time, and what is right to answer.
const ORDERS: [(&str, &[&str], i32); 20] = [
    ("asks1", &["off", "down"], 0),
    ("asks1", &["reset", "again1"], 0),
    ("asks1", &["status", "asks2"], 0),
    ("asks1", &["list"], 0),
    ("asks1", &["status", "asks1"], 0),
    ("asks2", &["off", "down"], 0),
    ("asks2", &["reset", "again2"], 0),
    ("asks2", &["status", "asks1"], 0),
    ("asks2", &["list"], 0),
    ("asks2", &["status", "asks2"], 0),
    ("asks3", &["off", "down"], 0),
    ("asks3", &["off", "nobodys"], 3),
    ("asks3", &["status", "asks4"], 0),
    ("asks3", &["list"], 0),
    ("asks3", &["status", "asks3"], 0),
    ("asks4", &["off", "down"], 0),
    ("asks4", &["reset", "nobodys"], 3),
    ("asks4", &["status", "asks3"], 0),
    ("asks4", &["list"], 0),
    ("asks4", &["status", "asks4"], 0),
];

/// The agent's own deadline, and what a process needs to begin and to end.
const IN_TIME: Duration = Duration::from_secs(51);

fn clusters() -> Builder {
    let add = |builder: Builder, name: &&str| builder.cluster(name, &NODES);
    CLUSTERS.iter().fold(Dom0::builder(), add)
}

/// An agent that stands ready in its node, and begins when it is told.
struct Agent {
    code: i32,
    process: Running,
}

const WAITS: [&str; 4] = ["sh", "-c", "read -r go; exec xen-fence -v \"$@\"", "sh"];

fn stand_ready(dom0: &Dom0, clusters: &[&str], orders: &[(&str, &[&str], i32)]) -> Vec<Agent> {
    let orders = clusters.iter().flat_map(|cluster| orders.iter().map(move |one| (cluster, one)));
    let agents = orders.map(|(cluster, (node, order, code))| {
        let process = dom0.in_node(cluster, node).spawn(&[&WAITS[..], order].concat());
        Agent { code: *code, process }
    });
    let agents: Vec<Agent> = agents.collect();
    assert_eq!(agents.len(), 100);
    settle(|| {
        let waits = |one: &Process| one.name == "sh" && one.command.contains(WAITS[2]);
        dom0.processes().into_iter().filter(waits).count() == agents.len()
    });
    agents
}

/// Lets all begin, waits for each, and sees that it was answered in time as is right. Says how many
/// had to try more than once.
fn let_go(mut agents: Vec<Agent>) -> usize {
    let (tell, heard) = channel();
    let began = Instant::now();
    for agent in &mut agents {
        agent.process.send(b"go\n");
    }
    for Agent { process, code } in agents {
        let tell = tell.clone();
        std::thread::spawn(move || {
            let output = process.wait();
            let _ = tell.send((output, began.elapsed(), code));
        });
    }
    drop(tell);
    let answers: Vec<(Output, Duration, i32)> = heard.iter().collect();
    assert_eq!(answers.len(), 100);
    let longest = answers.iter().map(|(_, took, _)| *took).max().unwrap();
    let again = answers.iter().filter(|(output, ..)| output.says("trying again")).count();
    println!("the last of 100 agents was answered after {longest:?}; {again} tried again");
    for (output, took, code) in answers {
        let output = output.exits(code);
        assert!(took < IN_TIME, "after {took:?}\n{output}");
    }
    again
}

/// The domids of a cluster's nodes, in their order.
fn domids(dom0: &Dom0, cluster: &str) -> Vec<Option<u32>> {
    NODES.iter().map(|node| dom0.domid(cluster, node)).collect()
}

/// The journal says of each request that killed when it began and how it ended, once; and each node
/// that was to die died by one request.
fn killed_once(dom0: &Dom0, cluster: &str) {
    let _ = dom0
        .on(&["xen-fence-admin", "log", "--cluster", cluster, "--verify"])
        .exits(0)
        .saying("the chain holds");
    let records = dom0.journal(cluster);
    let of = |event: &str, request: &Value| {
        let same = |one: &&Value| one["event"] == event && one["request"] == *request;
        records.iter().filter(same).count()
    };
    let killed: Vec<&Value> =
        records.iter().filter(|record| record["result"] == "fenced killed").collect();
    for kill in &killed {
        let request = &kill["request"];
        assert_eq!((of("intent", request), of("outcome", request)), (1, 1), "{kill}");
    }
    let mut dead: Vec<&str> = killed.iter().filter_map(|kill| kill["node"].as_str()).collect();
    dead.sort_unstable();
    assert_eq!(dead, ["again1", "again2", "down"], "{cluster}: {killed:#?}");
}

#[test]
fn a_hundred_agents_at_once_through_the_hosts_own_sshd() {
    let dom0 = clusters().hosts_sshd().raise().unwrap();
    let settings = dom0.on(&["/usr/sbin/sshd", "-T"]).exits(0).stdout;
    assert!(settings.lines().any(|line| line == "maxstartups 10:30:100"), "{settings}");
    let before = CLUSTERS.map(|cluster| domids(&dom0, cluster));
    let again = let_go(stand_ready(&dom0, &CLUSTERS, &ORDERS));
    // Else this was no storm.
    assert!(again > 0, "sshd turned nobody away");
    let log = dom0.syslog();
    assert!(log.contains("past MaxStartups"), "sshd turned nobody away");

    for (cluster, before) in CLUSTERS.iter().zip(before) {
        killed_once(&dom0, cluster);
        let after = domids(&dom0, cluster);
        let [asks1, asks2, asks3, asks4, down, again1, again2] = after[..] else { unreachable!() };
        assert_eq!([asks1, asks2, asks3, asks4], before[..4], "{cluster}: an asker was touched");
        assert_eq!(down, None, "{cluster}");
        assert!(again1 > before[5] && again2 > before[6], "{cluster}: {before:?} {after:?}");
    }
}

/// One account's, and more at once than it may have logins.
#[test]
fn a_hundred_agents_of_one_cluster_through_the_sshd_for_fencing() {
    let dom0 = Dom0::builder().cluster("alpha", &NODES).raise().unwrap();
    let orders = [&ORDERS[..]; 5].concat();
    let _ = let_go(stand_ready(&dom0, &["alpha"], &orders));
    let records = dom0.journal("alpha");
    let killed = |record: &&Value| record["result"] == "fenced killed" && record["node"] == "down";
    assert_eq!(records.iter().filter(killed).count(), 1);
}

fn noise(dom0: &Dom0, words: &[&str]) -> Noise {
    Noise::make(dom0, Path::new(env!("CARGO_BIN_EXE_noise")), words).unwrap()
}

/// What the dedicated sshd holds for somebody who has logged in.
fn logins(dom0: &Dom0, account: &str) -> usize {
    // Beside root's process for the same connection, which has `[priv]` in its title; with no session
    // there is nothing behind the name.
    let title = format!("sshd: {account}");
    let is_login = |process: &Process| {
        process.command.trim().strip_prefix(&title).is_some_and(|more| !more.contains('['))
    };
    dom0.processes().into_iter().filter(is_login).count()
}

/// node1 kills node2 and starts it again, some times.
fn fences(dom0: &Dom0) {
    for _ in 0..5 {
        let off = ask(dom0, "alpha", "node1", &["-v", "off", "node2"]).exits(0);
        let off = off.saying("fenced (killed)");
        assert!(off.took < IN_TIME, "{off}");
        let _ = ask(dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    }
}

#[test]
fn a_tenants_silent_connections_keep_no_other_from_fencing() {
    let dom0 = two_clusters().raise().unwrap();
    for from in ["from=10.77.0.13-10.77.0.13", MANY_ADDRESSES] {
        let noise = noise(&dom0, &["silent=1000", "rate=50", from]);
        fences(&dom0);
        let up = noise.up.clone();
        println!("{from}: {up}; at the end {}", noise.end().unwrap());
    }
    // The tenant has only itself to blame, and is heard again at once.
    let _ = ask(&dom0, "beta", "db2", &["off", "db1"]).exits(0);
}

/// A key opens as many connections as sshd lets it, and sshd has no limit for those of one account.
#[test]
fn a_tenants_logins_keep_no_other_from_fencing() {
    let dom0 = two_clusters().raise().unwrap();
    let noise = noise(&dom0, &["silent=1000", "rate=50", "logins=300"]);
    fences(&dom0);
    let held = logins(&dom0, "fence-beta");
    println!("{}; sshd holds {held}", noise.up);
    // 64, and those of its one address that were just being let in when they were counted.
    assert!((8..=64 + 16).contains(&held), "{held} logins of one account: {}", noise.up);
    // Its own other node is let in too, where the oldest that does nothing has to go.
    let _ = ask(&dom0, "beta", "db2", &["off", "db1"]).exits(0).saying("fenced (killed)");
    println!("{}", noise.end().unwrap());
}

/// sshd asks for the keys before anything is proven: a stranger's key waits for nobody, and is told nothing.
#[test]
fn a_strangers_key_takes_no_turn_of_the_account() {
    let dom0 = two_clusters().raise().unwrap();
    let keys = dom0.file("/etc/xen-fence/keys/fence-alpha");
    let key = keys.split_whitespace().find(|field| field.starts_with("AAAA")).unwrap();
    let said = |key: &str| {
        dom0.sh(&format!(
            "timeout 5 /usr/lib/xen-fence/xen-fence-keys 64 fence-alpha $(id -u fence-alpha) {key}"
        ))
    };
    assert_eq!(said(key).exits(0).stdout, keys);
    // As an sshd_config of before says it.
    assert_eq!(said("").exits(0).stdout, keys);
    let turn = "exec flock /run/xen-fence/fence-alpha.logins sh -c 'echo mine; exec sleep 60'";
    let holder = dom0.place().spawn(&["sh", "-c", turn]);
    settle(|| dom0.sh("flock -n /run/xen-fence/fence-alpha.logins true").code != 0);
    assert_eq!(said("AAAAC3NzaC1lZDI1NTE5AAAAIstranger").exits(0).stdout, "");
    let _ = said(key).exits(124);
    drop(holder);
}
