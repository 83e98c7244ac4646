//! The journal as a witness that is killed, cut off, filled up and flooded: what was in flight is
//! told by the next run, the chain holds, and nothing that a tenant says over and over fills it.

use crate::client::{Client, brokers, destroy_goes_on};
use crate::{Dom0, WIRE, ask, recorded, settle, two_clusters};
use serde_json::Value;
use sha2::{Digest, Sha256};
use xen_fence_tests::throwaway::Output;

const JOURNAL: &str = "/var/lib/xen-fence/journal/alpha.jsonl";
const OTHER_BOOT: &str = "0b007000-0000-4000-8000-000000000000";

fn log(dom0: &Dom0, more: &[&str]) -> Output {
    dom0.on(&[&["xen-fence-admin", "log", "--cluster", "alpha"], more].concat())
}

/// The chain holds, from its first line on.
#[track_caller]
fn chained(dom0: &Dom0) -> Output {
    log(dom0, &["--verify"]).exits(0).saying("the chain holds")
}

/// The records of one event.
fn of(dom0: &Dom0, event: &str) -> Vec<Value> {
    let mut records = dom0.journal("alpha");
    records.retain(|record| record["event"] == event);
    records
}

/// Kills the broker at work with SIGKILL, and waits until what it had begun has ended too.
fn kill_the_broker(dom0: &Dom0) -> i32 {
    let pid = brokers(dom0).pop().unwrap().pid;
    let _ = dom0.on(&["kill", "-KILL", &pid.to_string()]).exits(0);
    settle(|| brokers(dom0).is_empty());
    settle(|| dom0.on(&["pgrep", "-f", "xl destroy"]).code != 0);
    pid
}

/// An off of node2 whose broker is killed amid its destroy.
fn cut_short(dom0: &Dom0, id: u128) -> i32 {
    dom0.fault(&["fault", "slow-destroy", "1500", "alpha-node2"]);
    let mut client = Client::ready(dom0, "node1", id, "off node2");
    client.say("go", "");
    destroy_goes_on(dom0);
    kill_the_broker(dom0)
}

fn boot_anew(dom0: &Dom0) {
    dom0.write("/srv/boot_id", format!("{OTHER_BOOT}\n"), 0o444);
    let _ =
        dom0.on(&["mount", "--bind", "/srv/boot_id", "/proc/sys/kernel/random/boot_id"]).exits(0);
}

#[test]
fn the_next_run_closes_what_a_killed_broker_left_and_touches_nothing() {
    let dom0 = two_clusters().raise().unwrap();
    let pid = cut_short(&dom0, 0xa1);
    let ended = format!("its broker, process {pid}, ended");
    let told = log(&dom0, &[]).exits(0).saying("the kill of node2 (off, asked by node node1");
    assert!(told.stderr.contains(&ended), "{told}");
    let before = dom0.on(&["xl", "list"]).stdout;
    let status = ask(&dom0, "alpha", "node1", &["status", "node2"]);
    assert!(
        status.says(&format!("the broker (process {pid}) ended while the kill of node2")),
        "{status}"
    );
    let rows = |listing: &str| {
        listing.lines().map(|row| row.chars().take(46).collect::<String>()).collect::<Vec<_>>()
    };
    assert_eq!(rows(&dom0.on(&["xl", "list"]).stdout), rows(&before));
    let closed = of(&dom0, "closed");
    assert_eq!(closed.len(), 1, "{closed:#?}");
    assert_eq!(closed[0]["result"], "unknown broker-ended");
    assert_eq!(closed[0]["request"], format!("{:032x}", 0xa1));
    assert_eq!(closed[0]["closes"], of(&dom0, "intent")[0]["n"]);
    settle(|| dom0.syslog().contains("unknown broker-ended"));
    // Once only, and the log has nothing in flight any more.
    let _ = ask(&dom0, "alpha", "node1", &["list"]).exits(0);
    assert_eq!(of(&dom0, "closed").len(), 1);
    assert_eq!(log(&dom0, &[]).exits(0).stderr, "");
    let _ = chained(&dom0);
}

#[test]
fn what_belongs_to_an_earlier_boot_is_closed_and_the_next_fence_works() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = cut_short(&dom0, 0xa2);
    dom0.fault(&["clear"]);
    boot_anew(&dom0);
    let _ = log(&dom0, &[]).exits(0).saying("was under way when dom0 was booted anew");
    let _ = dom0.on(&["xl", "create", &dom0.node("alpha", "node2").config()]);
    let off = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert!(off.says("dom0 was booted anew while the kill of node2"), "{off}");
    let records = dom0.journal("alpha");
    let events: Vec<_> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["intent", "closed", "intent", "outcome"]);
    assert_eq!(records[1]["result"], "unknown rebooted");
    assert_eq!(records[1]["boot"], OTHER_BOOT);
    assert_eq!(dom0.domid("alpha", "node2"), None);
    let _ = chained(&dom0);
}

#[test]
fn a_power_on_that_was_cut_short_is_told_apart_from_the_kill_before_it() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["fault", "create-delay", "3000"]);
    let mut client = Client::ready(&dom0, "node1", 0xa3, "reset node2");
    client.say("go", "");
    let _ = client.hears("fenced");
    settle(|| dom0.on(&["pgrep", "-f", "xl create /etc/xen/alpha-node2.cfg"]).code == 0);
    let pid = brokers(&dom0).pop().unwrap().pid.to_string();
    let _ = dom0.on(&["kill", "-KILL", &pid]).exits(0);
    settle(|| brokers(&dom0).is_empty());
    let _ = ask(&dom0, "alpha", "node1", &["list"]);
    let closed = of(&dom0, "closed");
    assert_eq!(closed.len(), 1, "{closed:#?}");
    let text = closed[0]["text"].as_str().unwrap();
    assert!(text.contains("the power-on of node2 (reset, asked by node node1"), "{text}");
    let _ = chained(&dom0);
}

#[test]
fn what_a_living_broker_does_is_left_alone() {
    let dom0 = two_clusters().raise().unwrap();
    dom0.fault(&["fault", "slow-destroy", "3000", "alpha-node2"]);
    let mut client = Client::ready(&dom0, "node1", 0xa4, "off node2");
    client.say("go", "");
    destroy_goes_on(&dom0);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node1"]).exits(0);
    let told = log(&dom0, &[]).exits(0);
    assert!(told.stderr.contains("is under way: its broker, process "), "{told}");
    let _ = client.hears("fenced");
    let _ = ask(&dom0, "alpha", "node1", &["status", "node1"]).exits(0);
    assert!(of(&dom0, "closed").is_empty());
    assert_eq!(log(&dom0, &[]).exits(0).stderr, "");
}

#[test]
fn a_torn_last_line_is_tolerated_and_the_chain_goes_on() {
    let dom0 = two_clusters().raise().unwrap();
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    let _ = dom0.sh(&format!("printf '{{\"n\":2,\"ti' >>{JOURNAL}")).exits(0);
    let _ = log(&dom0, &["--verify"]).exits(0).saying("the last line is torn");
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = chained(&dom0).saying("3 records in 1 file, 1 to 3").saying("no record, cut off");
}

/// So many bytes of records, each with the hash of the one before it.
fn chain_of(bytes: usize) -> String {
    let (mut text, mut prev, mut n) = (String::new(), String::new(), 0);
    while text.len() <= bytes {
        n += 1;
        let more = "x".repeat(800);
        let line = format!(
            "{{\"n\":{n},\"time\":\"2026-01-01T00:00:00.000Z\",\"boot\":\"b\",\"up_ms\":{n},\
             \"event\":\"note\",\"cluster\":\"alpha\",\"text\":\"{more}\",\"prev\":\"{prev}\"}}"
        );
        prev = Sha256::digest(&line).iter().map(|byte| format!("{byte:02x}")).collect();
        text.push_str(&line);
        text.push('\n');
    }
    text
}

#[test]
fn a_long_file_is_set_aside_and_the_chain_goes_on_over_files() {
    let dom0 = two_clusters().raise().unwrap();
    let text = chain_of(8 << 20);
    let count = text.lines().count() as u64;
    dom0.write(JOURNAL, text, 0o600);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    settle(|| dom0.has(&format!("{JOURNAL}.1")));
    assert!(!dom0.has(JOURNAL));
    let _ = chained(&dom0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert_eq!(dom0.mode(JOURNAL), (0o600, 0, 0));
    assert_eq!(dom0.journal("alpha")[0]["n"], count + 2);
    let whole = format!("{} records in 2 files, 1 to {}", count + 3, count + 3);
    let _ = chained(&dom0).saying(&whole);
    let all = log(&dom0, &["--format", "json"]).exits(0).stdout;
    assert_eq!(all.lines().count() as u64, count + 3);
    // A changed byte in the old file is found; the file taken away is named, and the rest holds.
    let _ = dom0.sh(&format!("sed -i '9s/note/nose/' {JOURNAL}.1")).exits(0);
    let broken = format!("{JOURNAL}.1:10: the chain is broken");
    let _ = log(&dom0, &["--verify"]).exits(1).saying(&broken).saying("THE CHAIN IS BROKEN");
    dom0.remove(&format!("{JOURNAL}.1"));
    let gone = format!("records 1 to {} are in older files, which are not here", count + 1);
    let _ = chained(&dom0).saying(&gone);
}

#[test]
fn a_flood_of_refusals_is_counted_and_hides_no_kill() {
    let dom0 = two_clusters().raise().unwrap();
    let line = format!("xen-fence/1 request {:032x} off nobody", 0xf);
    let one = format!("echo {line} | {}", WIRE.join(" "));
    let all = format!("seq 30 | xargs -P 3 -I % sh -c '{one}'");
    let refused = dom0.in_node("alpha", "node1").run(&["sh", "-c", &all]);
    assert_eq!(refused.stdout.matches(" not-yours ").count(), 30, "{refused}");
    assert_eq!(of(&dom0, "refused").len(), 20);
    let said = |word: &str| dom0.syslog().lines().filter(|line| line.contains(word)).count();
    settle(|| said(" event=refused action=off node=nobody result=not-yours ") == 20);
    let told = log(&dom0, &[]).exits(0);
    assert!(told.stderr.contains("10 more of this kind between "), "{told}");
    // Another kind, another caller and another cluster are stored, and a kill whole.
    let _ = ask(&dom0, "alpha", "node1", &["on", "nobody"]).exits(3);
    let _ = ask(&dom0, "alpha", "node2", &["off", "nobody"]).exits(3);
    let _ = ask(&dom0, "beta", "db1", &["off", "nobody"]).exits(3);
    assert_eq!(of(&dom0, "refused").len(), 22);
    assert!(recorded(&dom0, "beta", &["not-yours"]));
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert_eq!((of(&dom0, "intent").len(), of(&dom0, "outcome").len()), (1, 1));
    assert!(of(&dom0, "summary").is_empty());
    // The minute is over, for whom no broker that is about to end counts on.
    settle(|| brokers(&dom0).is_empty());
    let _ = dom0.sh("sed -i 's/\"opened_ms\":[0-9]*/\"opened_ms\":0/g' /run/xen-fence/alpha.flood");
    let _ = ask(&dom0, "alpha", "node1", &["list"]).exits(0);
    settle(|| !of(&dom0, "summary").is_empty());
    let summary = of(&dom0, "summary").remove(0);
    assert_eq!(summary["of"], "refused");
    assert_eq!(summary["result"], "not-yours");
    assert_eq!(summary["caller"], "node node1");
    assert_eq!(summary["more"], 10);
    settle(|| said("10 more of this kind between ") == 1);
    let _ = chained(&dom0);
}

/// What touches nothing is counted like a refusal: a node may ask for it as often as it likes.
#[test]
fn an_off_of_what_is_off_and_an_on_of_what_runs_fill_no_journal() {
    let dom0 = two_clusters().stopped("alpha", "node2").raise().unwrap();
    for (action, event, result) in
        [("off node2", "outcome", "fenced absent"), ("on node1", "start", "started running")]
    {
        for id in 0..24 {
            let mut client = Client::ready(&dom0, "node1", 0xf00 + id, action);
            client.say("go", "");
            let _ = client.hears(if action == "on node1" { "started" } else { "fenced" });
            let _ = client.hears("done");
        }
        let told = of(&dom0, event);
        assert_eq!(
            told.iter().filter(|record| record["result"] == result).count(),
            20,
            "{told:#?}"
        );
    }
    assert_eq!(of(&dom0, "intent").len(), 0);
    // What is done is on record all the same.
    let _ = ask(&dom0, "alpha", "node1", &["on", "node2"]).exits(0).saying("started");
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0).saying("killed");
    // So is what a person has stated.
    let mut client = Client::ready(&dom0, "node1", 0xfff, "off node2 down=xen9");
    client.say("go", "");
    let _ = client.hears("fenced");
    assert!(recorded(&dom0, "alpha", &["outcome", "states that xen9 is down"]));
    assert_eq!(of(&dom0, "intent").len(), 2);
    let _ = chained(&dom0);
}
