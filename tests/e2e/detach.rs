//! From go on the fence outlives its client: the agent, the network, sshd's processes, and
//! everything in the cgroup that the session lived in. Promise 3.

use crate::client::{Client, brokers, destroy_goes_on, groups};
use crate::{Dom0, Shared, ask, long_after, recorded, settle, two_clusters};
use xen_fence_tests::throwaway::{Process, Sshd};

static SHARED: Shared = Shared::new();

/// The one broker at work.
#[track_caller]
fn broker(dom0: &Dom0) -> Process {
    let found = brokers(dom0);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

/// A reset of node2 that has just begun to destroy it, slowly.
#[track_caller]
fn under_way(dom0: &Dom0, id: u128) -> Client {
    dom0.fault(&["fault", "slow-destroy", "3000", "alpha-node2"]);
    let mut client = Client::ready(dom0, "node1", id, "reset node2");
    client.say("go", "");
    destroy_goes_on(dom0);
    client
}

#[test]
fn the_broker_leaves_the_sessions_cgroup_at_go() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
    let mut client = Client::ready(&dom0, "node1", 0xd1, "off node2");
    let serving = broker(&dom0);
    let session = dom0.process(serving.parent).unwrap();
    assert!(session.name.starts_with("sshd"), "{session:?}");
    let of_session = groups(&dom0, session.pid);
    assert_eq!(groups(&dom0, serving.pid), of_session, "born in the session's cgroup");
    client.say("go", "");
    destroy_goes_on(&dom0);
    let own = groups(&dom0, serving.pid);
    for (own, of_session) in own.iter().zip(&of_session) {
        assert_ne!(own, of_session);
        assert!(own.ends_with("/xen-fence/broker"), "{own}");
    }
    assert_eq!(own.len(), of_session.len());
    let _ = client.hears("fenced");
}

#[test]
fn no_signal_that_ends_a_session_ends_a_fence() {
    let dom0 = SHARED.take();
    let client = under_way(&dom0, 0xd2);
    let pid = broker(&dom0).pid.to_string();
    for signal in ["-HUP", "-INT", "-TERM", "-PIPE"] {
        let _ = dom0.on(&["kill", signal, &pid]).exits(0);
    }
    let _ = client.hears("fenced");
    let _ = client.hears("started");
    let _ = client.hears("done");
}

/// How far a reset has come.
#[derive(Clone, Copy, Debug)]
enum Step {
    Destroy,
    Proof,
    Start,
}

/// A reset of node2 that has come so far, and is kept there for a while.
#[track_caller]
fn reached(dom0: &Dom0, step: Step, id: u128) -> Client {
    let old = dom0.domid("alpha", "node2");
    match step {
        Step::Destroy => return under_way(dom0, id),
        Step::Proof => dom0.fault(&["hold-writes", "alpha-node2"]),
        Step::Start => dom0.fault(&["fault", "create-delay", "2000", "alpha-node2"]),
    }
    let mut client = Client::ready(dom0, "node1", id, "reset node2");
    client.say("go", "");
    match step {
        Step::Start => settle(|| dom0.domid("alpha", "node2").is_some_and(|new| Some(new) > old)),
        Step::Destroy | Step::Proof => settle(|| dom0.domid("alpha", "node2").is_none()),
    }
    client
}

/// However far a reset has come when this strikes: the node dies once, is started once, and both are
/// on record.
#[track_caller]
fn outlives(strike: impl Fn(&Dom0, Client)) {
    let dom0 = two_clusters().raise().unwrap();
    for (step, id) in [(Step::Destroy, 0xe1), (Step::Proof, 0xe2), (Step::Start, 0xe3)] {
        long_after(&dom0);
        let domids = dom0.nodes().iter().filter_map(|node| dom0.domid(&node.cluster, &node.name));
        let last = domids.max().unwrap();
        let client = reached(&dom0, step, id);
        strike(&dom0, client);
        dom0.fault(&["release-writes", "alpha-node2"]);
        settle(|| brokers(&dom0).is_empty());
        assert_eq!(dom0.domid("alpha", "node2"), Some(last + 1), "{step:?}");
        let id = format!("{id:032x}");
        for result in ["fenced killed", "started created"] {
            assert!(recorded(&dom0, "alpha", &[&id, result]), "{step:?}: {result}");
        }
        dom0.fault(&["clear"]);
    }
}

#[test]
fn the_fence_outlives_the_agent() {
    outlives(|_, client| drop(client));
}

#[test]
fn the_fence_outlives_a_connection_that_is_reset() {
    outlives(|dom0, client| {
        let node1 = dom0.in_node("alpha", "node1");
        let resets = || {
            let counters = node1.run(&["nstat", "-asz", "TcpOutRsts"]).exits(0).stdout;
            counters.lines().find_map(|line| {
                line.strip_prefix("TcpOutRsts")?.split_whitespace().next()?.parse::<u64>().ok()
            })
        };
        let before = resets();
        let _ = node1.run(&["ss", "-K", "dport = 2422"]).exits(0);
        assert!(before.is_some() && resets() > before, "{before:?}: nobody was told");
        drop(client);
    });
}

/// Nothing says that it has ended: sshd does not know that nobody is there.
#[test]
fn the_fence_outlives_the_network() {
    outlives(|dom0, client| {
        let vif = format!("vif{}.0", dom0.domid("alpha", "node1").unwrap());
        let _ = dom0.on(&["ip", "link", "set", &vif, "down"]).exits(0);
        dom0.fault(&["release-writes", "alpha-node2"]);
        settle(|| brokers(dom0).is_empty());
        let _ = dom0.on(&["ip", "link", "set", &vif, "up"]).exits(0);
        // What node1 knows of its neighbour has to settle, or the next login fails.
        settle(|| ask(dom0, "alpha", "node1", &["status", "node1"]).code == 0);
        drop(client);
    });
}

/// sudo has none of its own: the broker is sshd's child.
#[test]
fn the_fence_outlives_sshds_process() {
    outlives(|dom0, client| {
        let session = dom0.process(broker(dom0).parent).unwrap();
        assert!(session.name.starts_with("sshd"), "{session:?}");
        let _ = dom0.on(&["kill", "-KILL", &session.pid.to_string()]).exits(0);
        settle(|| dom0.process(session.pid).is_none());
        drop(client);
    });
}

/// What `systemctl stop`, or logind with KillUserProcesses, does to a session.
#[test]
fn the_fence_outlives_everything_in_the_sessions_cgroup() {
    outlives(|dom0, client| {
        let serving = broker(dom0);
        let session = groups(dom0, serving.parent);
        let all = dom0.processes();
        let inside =
            |one: &&Process| groups(dom0, one.pid).iter().any(|group| session.contains(group));
        let victims: Vec<String> =
            all.iter().filter(inside).map(|victim| victim.pid.to_string()).collect();
        assert!(victims.contains(&serving.parent.to_string()), "{victims:?}");
        assert!(victims.len() >= 2, "the listener, the connection's own: {victims:?}");
        let kill = ["kill", "-KILL"].into_iter().chain(victims.iter().map(String::as_str));
        let _ = dom0.on(&kill.collect::<Vec<_>>());
        assert!(dom0.process(serving.pid).is_some(), "the broker died with its session");
        drop(client);
        dom0.start_sshd(Sshd::Dedicated).unwrap();
    });
}
