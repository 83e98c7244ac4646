//! From go on the fence outlives its client: the agent, the network, sshd's processes, and
//! everything in the cgroup that the session lived in. Promise 3.

use crate::client::{Client, brokers, destroy_goes_on, groups};
use crate::{Dom0, Shared, ask, long_after, recorded, settle, two_clusters};
use xen_fence_tests::throwaway::Process;

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

/// What `systemctl stop`, or logind with KillUserProcesses, does to a session.
#[test]
fn the_end_of_everything_in_the_sessions_cgroup_ends_no_fence() {
    let dom0 = two_clusters().raise().unwrap();
    let domid = dom0.domid("alpha", "node2").unwrap();
    let client = under_way(&dom0, 0xd3);
    let serving = broker(&dom0);
    let session = groups(&dom0, serving.parent);
    let all = dom0.processes();
    let inside =
        |one: &&Process| groups(&dom0, one.pid).iter().any(|group| session.contains(group));
    let victims: Vec<&Process> = all.iter().filter(inside).collect();
    assert!(victims.iter().any(|one| one.pid == serving.parent), "{victims:#?}");
    assert!(victims.len() >= 2, "the listener, the connection's own: {victims:#?}");
    for victim in &victims {
        let _ = dom0.on(&["kill", "-KILL", &victim.pid.to_string()]);
    }
    assert!(dom0.process(serving.pid).is_some(), "the broker died with its session");
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| now > domid));
    settle(|| brokers(&dom0).is_empty());
    for event in ["outcome", "start"] {
        let id = format!("{:032x}", 0xd3);
        assert!(recorded(&dom0, "alpha", &[&id, &format!("\"event\":\"{event}\"")]), "{event}");
    }
    drop(client);
}

/// The asker, its network or its sshd is gone the moment the kill has begun.
#[test]
fn the_fence_outlives_agent_network_and_sshd() {
    let dom0 = SHARED.take();
    let vif = format!("vif{}.0", dom0.domid("alpha", "node1").unwrap());
    for (victim, id) in [("agent", 0xe1), ("network", 0xe2), ("sshd", 0xe3)] {
        long_after(&dom0);
        let domid = dom0.domid("alpha", "node2");
        let client = under_way(&dom0, id);
        match victim {
            "agent" => drop(client),
            "network" => {
                let _ = dom0.on(&["ip", "link", "set", &vif, "down"]).exits(0);
                settle(|| brokers(&dom0).is_empty());
                let _ = dom0.on(&["ip", "link", "set", &vif, "up"]).exits(0);
                // What node1 knows of its neighbour has to settle, or the next login fails.
                settle(|| ask(&dom0, "alpha", "node1", &["status", "node1"]).code == 0);
            }
            _ => {
                let session = dom0.process(broker(&dom0).parent).unwrap();
                assert!(session.name.starts_with("sshd"), "{session:?}");
                let _ = dom0.on(&["kill", "-KILL", &session.pid.to_string()]).exits(0);
            }
        }
        settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > domid));
        let id = format!("{id:032x}");
        settle(|| recorded(&dom0, "alpha", &[&id, "started created"]));
        dom0.fault(&["clear"]);
    }
}
