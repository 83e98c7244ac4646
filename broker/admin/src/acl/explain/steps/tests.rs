//! The steps of requests for a node in every state: what is told is what the broker would do.

use super::*;
use xen_fence_broker::acl::{Cluster, parse};
use xen_fence_broker::hold::Held;
use xen_fence_protocol::{NodeName, RequestId};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN";

fn policy() -> Cluster {
    let text = format!(
        "actions = []\nbrake = \"1 reset in 1m\"\n[nodes.node2]\n\
         uuid = \"0f6a1b2c-0000-4000-8000-000000000002\"\nkeys = [\"{KEY}\"]\n"
    );
    parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap()
}

/// node2 runs as domain 7, nothing stands against a request, and it can be started.
fn running() -> NodeNow {
    NodeNow {
        node: policy().nodes()[0].clone(),
        seen: Some(Seen { power: Power::On, domids: vec![7], doubt: None }),
        held: None,
        brake: Some(Ok(Braking::Free(0))),
        start: Ok("/usr/sbin/xl create /etc/xen/node2.cfg".to_owned()),
    }
}

fn seen(power: Power, domids: &[u32], doubt: Option<Doubt>) -> NodeNow {
    let seen = Some(Seen { power, domids: domids.to_vec(), doubt });
    NodeNow { seen, ..running() }
}

fn held(on_fence: OnFence, now: NodeNow) -> NodeNow {
    let text = String::new;
    let held = Held { node: text(), by: text(), why: text(), set: 0, until: 1, on_fence };
    NodeNow { held: Some(held), ..now }
}

fn off() -> NodeNow {
    seen(Power::Off, &[], None)
}

fn corpse() -> NodeNow {
    seen(Power::Unknown, &[7], Some(Doubt::Obstacle("domain 7 is still dying".to_owned())))
}

/// The steps, one after the other.
fn told(action: Action, now: NodeNow) -> String {
    let name = NodeName::parse("node2").unwrap();
    let node = (action != Action::List && action != Action::Monitor).then_some(name);
    let request = Request::new(RequestId::from_bits(0), action, node).unwrap();
    let now = Now { no_xen: None, no_holds: None, nodes: vec![now] };
    of(&ClusterName::parse("alpha").unwrap(), &request, &now).join("\n")
}

#[test]
fn the_steps_are_those_of_the_state() {
    let brake = policy().brake().unwrap();
    let braked = || NodeNow { brake: Some(Ok(Braking::On(brake, "then".to_owned()))), ..running() };
    let unfit = |now| NodeNow { start: Err("no configuration".to_owned()), ..now };
    let ambiguous = || seen(Power::Unknown, &[], Some(Doubt::Ambiguous("two of it".to_owned())));
    let starting = || seen(Power::Unknown, &[], Some(Doubt::Starting));
    let silent = || NodeNow { seen: None, ..running() };
    let refuse = |now| held(OnFence::Refuse, now);
    let leave_off = |now| held(OnFence::Off, now);
    let (kills, fenced) = ("domain 7 destroyed", "the answer is `fenced`");
    let (starts, stays) = ("xl create /etc/xen/node2.cfg` is run", "it is left off");
    #[rustfmt::skip]
    let rows: [(Action, NodeNow, &[&str], &[&str]); 20] = [
        // action, state, what is told, what is not
        (Action::Off, running(), &[kills, fenced], &[starts, stays]),
        (Action::Off, off(), &["nothing to destroy", fenced], &[kills, starts]),
        (Action::Off, corpse(), &["what lives of it is destroyed", fenced], &[kills]),
        (Action::Off, silent(), &["fails (toolstack)", fenced], &[kills, "it is off"]),
        (Action::Off, ambiguous(), &["fails (ambiguous)", "two of it"], &["go", "destroyed", fenced]),
        (Action::Off, refuse(running()), &["only if this look proves it off"], &[kills, fenced]),
        (Action::Off, leave_off(running()), &[kills, fenced], &["only if", starts]),
        (Action::Reset, running(), &[kills, fenced, starts], &[stays]),
        (Action::Reset, leave_off(running()), &[kills, fenced, "because it is held"], &[starts]),
        (Action::Reset, braked(), &[kills, "because of its brake"], &[starts]),
        (Action::Reset, unfit(running()), &[kills, "left off: no configuration"], &[starts]),
        (Action::On, running(), &["it runs already"], &[starts, kills]),
        (Action::On, off(), &[starts, "`ready`", "brake of node2 lifted"], &["fails"]),
        (Action::On, refuse(off()), &["refused (held)"], &[starts, "`ready`"]),
        (Action::On, leave_off(off()), &["refused (held)"], &[starts, "`ready`"]),
        (Action::On, unfit(off()), &["fails: no configuration"], &[starts, "`ready`"]),
        (Action::On, corpse(), &["fails: domain 7 is still dying"], &[starts]),
        (Action::On, starting(), &[starts], &["fails"]),
        (Action::Status, running(), &["node2 on", "no lock"], &["`ready`"]),
        (Action::Monitor, running(), &["nothing is killed"], &["node2", "`ready`"]),
    ];
    for (action, now, said, not_said) in rows {
        let state = format!("{now:?}");
        let told = told(action, now);
        for words in said {
            assert!(told.contains(words), "{action}, {state}: {words}\n{told}");
        }
        for words in not_said {
            assert!(!told.contains(words), "{action}, {state}: not {words}\n{told}");
        }
    }
    assert!(self::told(Action::Status, silent()).contains("Xen could not be asked"));
    assert!(self::told(Action::Check, off()).contains("node2 off"));
}
