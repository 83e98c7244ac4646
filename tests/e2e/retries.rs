//! One request, one kill, also when the agent dies in the middle: the next process that asks the same
//! asks with the same id.

use crate::client::{Client, destroy_goes_on};
use crate::{Dom0, Shared, ask, recorded, settle};
use std::time::Duration;

static SHARED: Shared = Shared::new();

/// The files of kept ids in node1.
fn kept(dom0: &Dom0) -> Vec<String> {
    let listed = dom0.in_node("alpha", "node1").run(&["ls", "/run/xen-fence-agent"]);
    listed.stdout.split_whitespace().map(str::to_owned).collect()
}

/// How often the journal has a kill of node2 that came to its proof.
fn kills(dom0: &Dom0) -> usize {
    let records = dom0.journal("alpha").into_iter().map(|record| record.to_string());
    records.filter(|record| record.contains("fenced killed") && record.contains("node2")).count()
}

/// Longer than a reset counts for another one, and shorter than an id is kept.
const LATER: Duration = Duration::from_millis(10_500);

#[test]
fn the_next_process_joins_what_a_killed_one_began() {
    // Of its own: what was reset a moment ago would not be killed again.
    let dom0 = crate::two_clusters().raise().unwrap();
    let before = kills(&dom0);
    dom0.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
    let domid = dom0.domid("alpha", "node2");
    let asker = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "reset", "node2"]);
    destroy_goes_on(&dom0);
    asker.signal("KILL");
    assert_ne!(asker.wait().code, 0);
    assert_eq!(kept(&dom0), ["node2.reset"]);
    dom0.fault(&["clear"]);
    settle(|| dom0.domid("alpha", "node2").is_some_and(|now| Some(now) > domid));
    settle(|| recorded(&dom0, "alpha", &["start", "node2"]));
    let booted = dom0.domid("alpha", "node2");
    assert_eq!(kills(&dom0), before + 1);

    let nobody = ["reset", "node2", "--dom0", "fence-alpha@xen1:1", "--timeout", "2"];
    let nobody = ask(&dom0, "alpha", "node1", &nobody);
    assert_ne!(nobody.code, 0);
    let _ = nobody.saying("node2 may be dead by that one");

    std::thread::sleep(LATER);
    let again = ask(&dom0, "alpha", "node1", &["-v", "reset", "node2"]).exits(0);
    let _ = again.saying("asking again as").saying("(joined)");
    assert_eq!(kills(&dom0), before + 1, "the freshly booted node was shot");
    assert_eq!(dom0.domid("alpha", "node2"), booted);
    assert!(kept(&dom0).is_empty(), "its answer has been heard");

    let anew = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0).saying("(killed)");
    assert!(!anew.says("asking again"));
    assert_eq!(kills(&dom0), before + 2);
}

#[test]
fn nothing_is_kept_of_what_was_answered_or_never_begun() {
    let dom0 = SHARED.take();
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(kept(&dom0).is_empty());
    let _ = ask(&dom0, "alpha", "node1", &["off", "db1"]).exits(3);
    assert!(kept(&dom0).is_empty());
    let nobody = ["off", "node2", "--dom0", "fence-alpha@xen1:1", "--timeout", "2"];
    let _ = ask(&dom0, "alpha", "node1", &nobody);
    assert!(kept(&dom0).is_empty());
    let mode = dom0.in_node("alpha", "node1").run(&["stat", "-c", "%a %u", "/run/xen-fence-agent"]);
    assert_eq!(mode.stdout.trim(), "700 0");
}

/// The session breaks after go: the same process asks again, and hears what became of it.
#[test]
fn a_session_that_breaks_after_go_is_asked_again() {
    // Of its own: what was reset a moment ago would not be killed again.
    let dom0 = crate::two_clusters().raise().unwrap();
    let before = kills(&dom0);
    dom0.fault(&["fault", "slow-destroy", "2000", "alpha-node2"]);
    let asker = dom0.in_node("alpha", "node1").spawn(&["xen-fence", "reset", "node2"]);
    destroy_goes_on(&dom0);
    let _ = dom0.sh("pkill -KILL -f '[s]shd: fence-alpha'").exits(0);
    let _ = asker.wait().exits(0).saying("(joined)");
    settle(|| dom0.domid("alpha", "node2").is_some());
    assert_eq!(kills(&dom0), before + 1);
}

/// Nowhere to keep it: the fence goes on, and -v says what is lost.
#[test]
fn without_a_place_for_ids_a_fence_still_works() {
    let dom0 = SHARED.take();
    let place = dom0.in_node("alpha", "node1");
    let _ = place.run(&["sh", "-c", "rm -rf /run/xen-fence-agent; touch /run/xen-fence-agent"]);
    let output = ask(&dom0, "alpha", "node1", &["-v", "off", "node2"]).exits(0);
    let _ = place.run(&["rm", "/run/xen-fence-agent"]).exits(0);
    let _ = output.saying("the request's id is not kept").saying("/run/xen-fence-agent");
}

/// What came to pass after its own fence is another's wish: a retry neither kills nor starts again.
#[test]
fn a_retry_after_anothers_fence_changes_nothing() {
    let dom0 = crate::two_clusters().raise().unwrap();
    let again = |words: &[&str]| {
        let mut client = Client::ready(&dom0, "node1", 0x9a, "reset node2");
        client.say("go", "");
        for word in words {
            let (word, how) = word.split_once(' ').unwrap_or((word, ""));
            let line = client.hears(word);
            assert!(line.ends_with(how), "{how} was expected: {line}");
        }
    };
    again(&["fenced killed", "started created", "done"]);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let kills_until_now = kills(&dom0);
    again(&["fenced joined", "unstarted", "done"]);
    assert_eq!(dom0.domid("alpha", "node2"), None, "the off was another's wish");

    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0);
    let booted = dom0.domid("alpha", "node2");
    let mut client = Client::of(&dom0, "node1", 0x9a);
    client.say("request", " reset node2");
    let _ = client.hears("failed");
    assert_eq!((dom0.domid("alpha", "node2"), kills(&dom0)), (booted, kills_until_now));
}
