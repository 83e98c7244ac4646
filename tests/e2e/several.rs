//! Several dom0s: fenced is said when all have proven it, and nothing is touched where one is missing
//! that has to be asked.

use crate::client::{Client, MOMENT, destroy_goes_on};
use crate::{Dom0, ask, counts, is_listing, long_after, recorded, settle, stands_still};
use std::time::{Duration, Instant};
use xen_fence_tests::throwaway::Output;

/// node1 and node3 run on xen1, node2 on xen2.
fn two() -> (Dom0, Dom0) {
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2", "node3"]);
    builder.raise_two(&[("alpha", "node2")]).unwrap()
}

fn node1(dom0: &Dom0, words: &[&str]) -> Output {
    ask(dom0, "alpha", "node1", words)
}

/// Adds lines to node1's settings.
fn settings(dom0: &Dom0, more: &str) {
    let path = format!("{}/agent.toml", dom0.node("alpha", "node1").etc());
    let text = dom0.file(&path);
    dom0.write(&path, format!("{text}{more}"), 0o644);
}

#[test]
fn a_node_is_fenced_wherever_it_runs() {
    let (xen1, xen2) = two();
    let first = xen2.domid("alpha", "node2");
    let reset = node1(&xen1, &["-v", "reset", "node2"]).exits(0);
    let reset = reset.saying("absent on xen1").saying("killed by xen2");
    let reset = reset.saying("started by xen2").saying("off when looked at again");
    assert!(reset.took < Duration::from_secs(5), "{reset}");
    assert!(!reset.says("both may die"), "xen1 sees node1: {reset}");
    assert!(xen2.domid("alpha", "node2") > first);
    assert_eq!(xen1.domid("alpha", "node2"), None, "it must not run twice");
    assert!(recorded(&xen2, "alpha", &["fenced killed", "node2"]));
    assert!(recorded(&xen1, "alpha", &["fenced absent", "node2"]));
    counts(&xen2, "alpha", "node2");

    let off = node1(&xen1, &["off", "node2", "--json"]).exits(0);
    let value: serde_json::Value = serde_json::from_str(&off.stdout).unwrap();
    assert_eq!(value["result"], "fenced", "{off}");
    let mut stands: Vec<String> = value["dom0s"]
        .as_array()
        .unwrap()
        .iter()
        .map(|dom0| {
            format!("{} {}", dom0["dom0"].as_str().unwrap(), dom0["stands"].as_str().unwrap())
        })
        .collect();
    stands.sort();
    assert!(stands[0].starts_with("xen1 fenced (absent), and off"), "{off}");
    assert!(stands[1].starts_with("xen2 fenced (killed), and off"), "{off}");
    stands_still(&xen2, "alpha", "node2");

    // Off on both: proven by both.
    let _ =
        node1(&xen1, &["off", "node2"]).exits(0).saying("absent on xen1").saying("absent on xen2");
    // One that runs at home.
    let _ =
        node1(&xen1, &["off", "node3"]).exits(0).saying("killed by xen1").saying("absent on xen2");
    let _ = node1(&xen1, &["on", "node3"]).exits(0);
}

#[test]
fn one_that_does_not_answer_keeps_everything_alive() {
    let (xen1, xen2) = two();
    let alive = || {
        assert!(xen1.domid("alpha", "node3").is_some(), "node3 was touched");
        assert!(!recorded(&xen1, "alpha", &["intent", "node3"]), "node3 was to be killed");
    };
    // sshd accepts and says nothing.
    let _ = xen2.on(&["pkill", "-STOP", "-o", "-x", "sshd"]).exits(0);
    let slow = node1(&xen1, &["off", "node3", "--timeout", "5"]);
    assert!([4, 7].contains(&slow.code), "{slow}");
    assert!(
        slow.took < Duration::from_secs(7) && slow.says("xen2:2422: dom0 said nothing"),
        "{slow}"
    );
    assert!(slow.says("nothing was touched on any dom0"), "{slow}");
    alive();
    let _ = xen2.on(&["pkill", "-CONT", "-o", "-x", "sshd"]).exits(0);

    // Nobody listens.
    let _ = xen2.on(&["pkill", "-KILL", "-o", "-x", "sshd"]).exits(0);
    let gone = node1(&xen1, &["reset", "node3", "--timeout", "4"]).exits(4);
    let _ = gone.saying("xen2").saying("nothing was touched");
    alive();

    // The machine is gone.
    drop(xen2);
    let down = node1(&xen1, &["off", "node3", "--timeout", "4"]).exits(4);
    assert!(down.took < Duration::from_secs(6), "{down}");
    alive();

    // And a person says so.
    let _ = node1(&xen1, &["off", "node3", "--confirmed-down", "xen3"]).exits(2).saying("xen3");
    let _ = node1(&xen1, &["status", "node3", "--confirmed-down", "xen2"]).exits(2);
    alive();
    let _ = node1(&xen1, &["off", "node3", "--confirmed-down", "xen2"]).exits(0).saying("killed");
    assert_eq!(xen1.domid("alpha", "node3"), None);
    assert!(recorded(&xen1, "alpha", &["intent", "node3", "states that xen2 is down"]));
}

#[test]
fn a_pin_says_who_has_to_answer() {
    let (xen1, xen2) = two();
    settings(&xen1, "[pins]\nnode3 = [\"xen1\"]\nnode2 = [\"xen2\"]\n");
    // All answer: all are asked.
    let _ = node1(&xen1, &["reset", "node3"]).exits(0).saying("absent on xen2");
    // Nowhere at all: it is started where it can run.
    for (node, home) in [("node3", &xen1), ("node2", &xen2)] {
        let _ = node1(&xen1, &["off", node]).exits(0);
        let _ = node1(&xen1, &["reset", node]).exits(0);
        assert!(home.domid("alpha", node).is_some(), "{node} was started elsewhere");
    }
    let _ = xen2.on(&["pkill", "-STOP", "-o", "-x", "sshd"]).exits(0);
    let slow = node1(&xen1, &["off", "node3"]).exits(0).saying("killed by xen1").saying("left out");
    assert!(slow.took < Duration::from_secs(5), "{slow}");
    let needed = node1(&xen1, &["off", "node2", "--timeout", "4"]);
    assert!([4, 7].contains(&needed.code), "{needed}");
    let _ = xen2.on(&["pkill", "-CONT", "-o", "-x", "sshd"]).exits(0);
    // A policy that does not know the node: it cannot run there, and need not be asked.
    let policy = xen2.file("/etc/xen-fence/clusters.d/alpha.toml");
    let cut = policy.find("[nodes.node3]").unwrap();
    xen2.write("/etc/xen-fence/clusters.d/alpha.toml", &policy[..cut], 0o644);
    let _ = node1(&xen1, &["off", "node3"]).exits(0).saying("absent on xen1").saying("left out");
    settings(&xen1, "node1 = [\"xen9\"]\n");
    let _ = node1(&xen1, &["off", "node3"]).exits(2).saying("xen9");
}

/// Longer than a lock is held for the others. Which of the two is asked last is in their host keys.
#[test]
fn a_slow_listing_costs_a_fence_only_what_needs_it() {
    let (xen1, xen2) = two();
    // Where both are needed, the slow one is named.
    let mut named = 0;
    for (slow, name) in [(&xen1, "xen1"), (&xen2, "xen2")] {
        slow.fault(&["fault", "list-delay", "6000"]);
        let off = node1(&xen1, &["off", "node2", "--timeout", "16"]);
        if off.says("was not ready") {
            assert_ne!(off.code, 0, "{off}");
            let off = off.saying(&format!("{name} was not ready to fence node2 while"));
            let _ = off.saying("the toolstack or the cluster's lock keeps it waiting");
            named += 1;
        }
        slow.fault(&["lift", "list-delay"]);
    }
    assert!(named > 0);
    settings(&xen1, "[pins]\nnode3 = [\"xen1\"]\nnode2 = [\"xen2\"]\n");
    let mut left_out = 0;
    for (slow, node) in [(&xen1, "node2"), (&xen2, "node3")] {
        slow.fault(&["fault", "list-delay", "6000"]);
        let off = node1(&xen1, &["off", node]).exits(0);
        left_out += usize::from(off.says("left out"));
        assert!(off.took < Duration::from_secs(30), "{off}");
        slow.fault(&["lift", "list-delay"]);
    }
    assert!(left_out > 0, "neither was slow while the other's lock was held");
}

/// Until it has looked for a name in vain, sudo starts no broker; nobody else's lock bears that.
#[test]
fn a_slow_sudo_on_one_dom0_only_delays_a_fence() {
    let (xen1, xen2) = two();
    let _ = xen2.on(&["mv", "/usr/bin/sudo", "/usr/bin/sudo.real"]).exits(0);
    let script = "#!/bin/sh\nsleep 6\nexec /usr/bin/sudo.real \"$@\"\n";
    xen2.write("/usr/bin/sudo", script, 0o755);
    let off = node1(&xen1, &["off", "node2"]).exits(0).saying("killed by xen2");
    assert!(off.took < Duration::from_secs(9), "{off}");
    // Slower than a broker waits for its request.
    xen2.write("/usr/bin/sudo", script.replace("6", "60"), 0o755);
    let never = node1(&xen1, &["off", "node3", "--timeout", "12"]);
    assert_ne!(never.code, 0, "{never}");
    let _ = never.saying("xen2").saying("was not ready").saying("sudo, which starts");
    assert!(xen1.domid("alpha", "node3").is_some(), "node3 was touched");
}

#[test]
fn one_dom0_at_two_addresses_is_one_and_a_dead_one_costs_a_moment() {
    let dom0 = crate::two_clusters().raise().unwrap();
    let etc = dom0.node("alpha", "node1").etc();
    let known = dom0.file(&format!("{etc}/known_hosts"));
    let key = known.split_once(' ').unwrap().1.trim();
    let more = format!("{known}[10.77.0.99]:2422 {key}\n");
    dom0.write(&format!("{etc}/known_hosts"), more, 0o644);
    let ways = |ways: [&str; 2]| {
        let dom0s = ways.map(|way| format!("fence-alpha@{way}:2422"));
        let words = ["off", "node2", "--dom0", &dom0s[0], "--dom0", &dom0s[1]];
        node1(&dom0, &words).exits(0)
    };
    let quiet = node1(&dom0, &["off", "node2"]).exits(0).took;
    let both = ways(["xen1", "10.77.0.254"]);
    assert!(both.took < quiet + Duration::from_millis(200), "{both}, alone {quiet:?}");
    for order in [["10.77.0.99", "xen1"], ["xen1", "10.77.0.99"]] {
        let dead = ways(order);
        assert!(dead.took < quiet + Duration::from_millis(450), "{dead}, alone {quiet:?}");
    }
    // A name with two addresses, the first of them dead.
    let hosts = dom0.file("/etc/hosts");
    dom0.write("/etc/hosts", format!("10.77.0.99 both\n10.77.0.254 both\n{hosts}"), 0o644);
    let more = format!("{known}[both]:2422 {key}\n");
    dom0.write(&format!("{etc}/known_hosts"), more, 0o644);
    let named = node1(&dom0, &["off", "node2", "--dom0", "fence-alpha@both:2422"]).exits(0);
    assert!(named.took < quiet + Duration::from_millis(450), "{named}, alone {quiet:?}");
}

/// One request, one kill, also by two: who lost one of them asks both again, with the same id.
#[test]
fn a_retry_by_two_joins_what_one_of_them_did() {
    for agent_dies in [false, true] {
        let (xen1, xen2) = two();
        xen2.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
        let reset = xen1.in_node("alpha", "node1").spawn(&["xen-fence", "reset", "node2"]);
        destroy_goes_on(&xen2);
        let output = if agent_dies {
            reset.signal("KILL");
            assert_ne!(reset.wait().code, 0);
            node1(&xen1, &["-v", "reset", "node2"]).exits(0).saying("asking again as")
        } else {
            let _ = xen2.sh("pkill -KILL -f '[s]shd: fence-alpha'").exits(0);
            reset.wait().exits(0)
        };
        let _ = output.saying("joined by xen2");
        // Nobody remembers where it ran; both could start it, and one does.
        let runs_on = |dom0: &Dom0| dom0.domid("alpha", "node2").is_some();
        settle(|| runs_on(&xen1) || runs_on(&xen2));
        std::thread::sleep(Duration::from_secs(1));
        assert!(runs_on(&xen1) != runs_on(&xen2), "it runs twice");
        let killed = |record: &serde_json::Value| record.to_string().contains("fenced killed");
        assert_eq!(xen2.journal("alpha").iter().filter(|record| killed(record)).count(), 1);
    }
}

/// A toolstack that takes its time: the other dom0 holds its lock meanwhile.
#[test]
fn a_slow_toolstack_is_waited_for() {
    let (xen1, xen2) = two();
    for slow in [&xen1, &xen2] {
        slow.fault(&["fault", "list-delay", "2000"]);
        let reset = node1(&xen1, &["reset", "node2"]).exits(0).saying("started by xen2");
        assert!(reset.took > Duration::from_secs(4), "{reset}");
        slow.fault(&["clear"]);
        // Longer than a reset counts for another one.
        std::thread::sleep(Duration::from_millis(10_500));
    }
}

/// What known_hosts does not tell, the key exchange does.
#[test]
fn two_names_with_one_host_key_are_asked_once() {
    let dom0 = crate::two_clusters().raise().unwrap();
    let etc = dom0.node("alpha", "node1").etc();
    let known = dom0.file(&format!("{etc}/known_hosts"));
    let key = known.split_once(' ').unwrap().1.trim();
    let _ = dom0.on(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/other"]).exits(0);
    let other = dom0.file("/root/other.pub");
    let vague = format!("[xen1]:2422 {key}\n[10.77.0.254]:2422 {key}\n[10.77.0.254]:2422 {other}");
    dom0.write(&format!("{etc}/known_hosts"), vague, 0o644);
    let words = ["-v", "off", "node2", "--dom0", "fence-alpha@xen1:2422"];
    let off = node1(&dom0, &[&words[..], &["--dom0", "fence-alpha@10.77.0.254:2422"]].concat());
    let _ = off.exits(0).saying("one dom0").saying("killed");
    let intents = dom0.journal("alpha").iter().filter(|one| one["event"] == "intent").count();
    assert_eq!(intents, 1);
}

/// Two nodes on two hosts shoot each other: they meet at the lock of the host that comes first.
#[test]
fn two_that_shoot_each_other_never_both_die() {
    let builder = Dom0::builder().cluster("alpha", &["node1", "node2"]);
    let (xen1, xen2) = builder.raise_two(&[("alpha", "node2")]).unwrap();
    let (one, other) = (
        || xen1.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]),
        || xen2.in_node("alpha", "node2").spawn(&["xen-fence", "off", "node1"]),
    );
    for (skew, one_first) in
        [(25, false), (10, false), (0, true), (0, false), (10, true), (25, true)]
    {
        let first = if one_first { one() } else { other() };
        std::thread::sleep(Duration::from_millis(skew));
        let second = if one_first { other() } else { one() };
        let ends = [first.wait(), second.wait()];
        let begun = Instant::now();
        let alive = || {
            let (one, other) = (xen1.domid("alpha", "node1"), xen2.domid("alpha", "node2"));
            usize::from(one.is_some()) + usize::from(other.is_some())
        };
        settle(|| alive() == 1 || begun.elapsed() > Duration::from_secs(3));
        assert_eq!(alive(), 1, "skew {skew} ms\n{}\n{}", ends[0], ends[1]);
        for (dom0, node) in [(&xen1, "node1"), (&xen2, "node2")] {
            if dom0.domid("alpha", node).is_none() {
                let _ = dom0.on(&["xl", "create", &dom0.node("alpha", node).config()]).exits(0);
            }
        }
    }
}

/// What is off on root's own dom0 may run on another one.
#[test]
fn root_starts_no_node_that_another_dom0_may_run() {
    let (xen1, xen2) = two();
    let runs = |dom0: &Dom0| dom0.domid("alpha", "node2").is_some();
    let (away, home) = if runs(&xen1) { (&xen2, &xen1) } else { (&xen1, &xen2) };
    let fence = away.on(&["xen-fence-admin", "fence", "alpha", "node2"]).exits(0);
    let _ = fence.saying("fenced (absent)").saying("left off here");
    assert!(runs(home) && !runs(away), "it runs twice");
    // It has left a corpse there.
    let _ = away.on(&["xl", "create", &away.node("alpha", "node2").config()]).exits(0);
    let corpse = away.domid("alpha", "node2").unwrap().to_string();
    away.fault(&["fault", "corpse", &corpse]);
    let _ = away.on(&["xl", "destroy", &corpse]).exits(0);
    long_after(away);
    let fence = away.place().spawn(&["xen-fence-admin", "fence", "alpha", "node2"]);
    settle(|| away.file("/run/xen-fence/alpha.state").contains("killing"));
    away.fault(&["drop-row", &corpse]);
    let _ = fence.wait().exits(0).saying("left off here");
    assert!(runs(home) && !runs(away), "it runs twice");
}

/// Root's reset that joins somebody's `off` says how the node is started again.
#[test]
fn root_hears_that_a_joined_reset_leaves_a_node_off() {
    let (xen1, xen2) = two();
    xen2.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
    let off = xen1.in_node("alpha", "node1").spawn(&["xen-fence", "off", "node2"]);
    destroy_goes_on(&xen2);
    let fence = xen2.on(&["xen-fence-admin", "fence", "alpha", "node2"]).exits(0);
    let _ = fence.saying("fenced (joined)").saying("left off here").saying("--action on");
    let _ = off.wait().exits(0);
    assert_eq!(xen2.domid("alpha", "node2"), None);
}

/// Whoever called an `on` off wants the node off: it is started on no other dom0 then.
#[test]
fn an_on_that_was_called_off_starts_the_node_nowhere() {
    let (xen1, xen2) = two();
    let dom0s = [&xen1, &xen2];
    let _ = node1(&xen1, &["off", "node2"]).exits(0);
    dom0s.iter().for_each(|dom0| dom0.fault(&["fault", "hold-lock", "0"]));
    let on = xen1.in_node("alpha", "node1").spawn(&["xen-fence", "on", "node2"]);
    let creates = ["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"];
    settle(|| dom0s.iter().any(|dom0| dom0.on(&creates).code == 0));
    let _ = ask(&xen1, "alpha", "node3", &["off", "node2"]).exits(0);
    dom0s.iter().for_each(|dom0| dom0.fault(&["clear"]));
    let on = on.wait();
    let runs = |dom0: &&&Dom0| dom0.domid("alpha", "node2").is_some();
    assert_eq!(dom0s.iter().filter(runs).count(), 0, "it was fenced, and runs\n{on}");
    let _ = on.exits(1).saying("a later request called the power-on off");
}

/// A power-on that ends while dom0 is looked at is no reason to call the node off.
#[test]
fn a_node_that_is_born_during_a_look_is_not_called_off() {
    let (xen1, _xen2) = two();
    let mut first = Client::ready(&xen1, "node1", 0x601, "reset node2");
    first.say("go-later", "");
    let _ = first.hears("fenced");
    first.say("look", "");
    let _ = first.hears("seen");
    xen1.fault(&["fault", "list-stale", "2500"]);
    let mut status = Client::of(&xen1, "node1", 0x602);
    status.say("request", " status node2");
    settle(|| is_listing(&xen1));
    MOMENT(200);
    xen1.fault(&["lift", "list-stale"]);
    first.say("start", "");
    let _ = first.hears("started");
    assert!(xen1.domid("alpha", "node2").is_some());
    let seen = status.hears("seen");
    assert!(!seen.ends_with(" off"), "{seen}");
}
