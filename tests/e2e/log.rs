//! The journal as an auditor reads it: what each record holds, what is shown of it and how, and that no
//! file in its place is waited for, believed or taken for an all-clear.

use crate::{Dom0, Shared, WIRE, ask, settle, within};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io::{BufRead, BufReader};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use xen_fence_tests::throwaway::{Output, Running};

const JOURNAL: &str = "/var/lib/xen-fence/journal/alpha.jsonl";

static DOM0: Shared = Shared::new();

fn log(dom0: &Dom0, more: &[&str]) -> Output {
    dom0.on(&[&["xen-fence-admin", "log"], more].concat())
}

/// The records that are shown as JSON.
#[track_caller]
fn shown(dom0: &Dom0, more: &[&str]) -> Vec<Value> {
    let json = log(dom0, &[more, &["--format", "json"]].concat()).exits(0).stdout;
    json.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A journal and a syslog that begin with the next request.
fn afresh(dom0: &Dom0) {
    let _ = dom0
        .sh("rm -rf /var/lib/xen-fence/journal; : >/var/log/syslog; rm -f /run/xen-fence/*.flood");
}

fn hash(line: &str) -> String {
    Sha256::digest(line).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lines of syslog that are about a cluster's journal.
fn in_syslog(dom0: &Dom0, cluster: &str) -> Vec<String> {
    let field = format!("]: cluster={cluster} ");
    let of_it = |line: &&str| line.contains(&field) && line.contains(" head=");
    dom0.syslog().lines().filter(of_it).map(str::to_owned).collect()
}

/// Waits until syslog has as many lines as the journal.
#[track_caller]
fn all_in_syslog(dom0: &Dom0) {
    settle(|| in_syslog(dom0, "alpha").len() == dom0.journal("alpha").len());
}

#[test]
fn a_record_holds_who_asked_by_which_rule_what_was_seen_and_how_it_ended() {
    let dom0 = DOM0.take();
    afresh(&dom0);
    let domid = dom0.domid("alpha", "node2").unwrap();
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "nobody"]).exits(3);
    settle(|| dom0.journal("alpha").len() == 4);
    let records = dom0.journal("alpha");
    let boot = dom0.file("/proc/sys/kernel/random/boot_id");
    for (record, event) in records.iter().zip(["intent", "outcome", "start", "refused"]) {
        assert_eq!(record["event"], event, "{record:#}");
        assert_eq!(record["boot"], boot.trim(), "{record:#}");
        for (field, value) in [
            ("cluster", "alpha"),
            ("account", "fence-alpha"),
            ("caller", "node node1"),
            ("version", env!("CARGO_PKG_VERSION")),
        ] {
            assert_eq!(record[field], value, "{field}: {record:#}");
        }
        let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
        assert!(text("key").starts_with("SHA256:"), "{record:#}");
        assert!(text("from").starts_with("10.77.0."), "{record:#}");
        assert_eq!(text("request").len(), 32, "{record:#}");
        assert!(text("rule").starts_with("clusters.d/alpha.toml: "), "{record:#}");
        assert!(text("time").ends_with('Z') && record["took_ms"].is_u64(), "{record:#}");
    }
    let node = dom0.node("alpha", "node2");
    for record in &records[..3] {
        assert_eq!(record["decision"], "permit", "{record:#}");
        assert_eq!(record["domid"], domid, "{record:#}");
        assert_eq!(record["domain"], node.domain.as_str(), "{record:#}");
        assert_eq!(record["uuid"].as_str().unwrap().len(), 36, "{record:#}");
    }
    assert_eq!(records[3]["decision"], "refuse");
    assert_eq!(records[3]["rule"], "clusters.d/alpha.toml: there is no nodes.nobody");
    // Each step with its time, and those on which the verdict rests with what was seen.
    let steps = records[1]["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    let all = [
        "asked",
        "granted",
        "locked",
        "listed",
        "go",
        "detached",
        "written",
        "aimed",
        "destroyed",
        "proven",
    ];
    assert_eq!(names, all, "{steps:#?}");
    assert!(steps.iter().all(|step| step["us"].is_u64()), "{steps:#?}");
    for (step, evidence) in [
        ("listed", format!("domain {domid} ({}) lives, of 5 that are listed", node.domain)),
        ("go", "ready was said: it is on, asker here, hold none".to_owned()),
        ("destroyed", format!("destroy of domain {domid}: ended well")),
        ("proven", "no row has its UUID, of 4 that are listed; no xl process".to_owned()),
    ] {
        let found = steps.iter().find(|one| one["step"] == step).unwrap();
        assert!(found["evidence"].as_str().unwrap().starts_with(&evidence), "{steps:#?}");
    }
    assert_eq!(records[2]["steps"].as_array().unwrap().last().unwrap()["step"], "started");
}

#[test]
fn syslog_has_each_record_in_a_line_with_the_head_behind_it() {
    let dom0 = DOM0.take();
    afresh(&dom0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["off", "no-such-node"]).exits(3);
    all_in_syslog(&dom0);
    let lines = in_syslog(&dom0, "alpha");
    for (n, (line, record)) in (1..).zip(lines.iter().zip(dom0.file(JOURNAL).lines())) {
        let head = format!("]: cluster=alpha dom0=xen1 n={n} head={} event=", hash(record));
        assert!(line.contains(&head), "{line}");
        assert!(
            line.contains(" caller=\"node node1\" from=10.77.0.11 account=fence-alpha key=SHA256:")
        );
    }
    let outcome = &lines[1];
    for field in [
        "event=outcome action=off node=node2 result=\"fenced killed\" decision=permit ",
        " domain=alpha-node2 domid=",
        " rule=\"clusters.d/alpha.toml: actions (line ",
    ] {
        assert!(outcome.contains(field), "{field}: {outcome}");
    }
}

#[test]
fn records_are_shown_by_node_time_and_number_and_refusals_alone() {
    let dom0 = DOM0.take();
    afresh(&dom0);
    let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    let _ = ask(&dom0, "alpha", "node2", &["off", "nobody"]).exits(3);
    let _ = ask(&dom0, "beta", "db1", &["off", "nobody"]).exits(3);
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    let events = |more: &[&str]| -> Vec<String> {
        let of =
            |record: &Value| format!("{} {}", record["cluster"], record["event"]).replace('"', "");
        shown(&dom0, more).iter().map(of).collect()
    };
    let all = ["alpha answer", "alpha refused", "beta refused", "alpha intent", "alpha outcome"];
    assert_eq!(events(&[]), all);
    assert_eq!(events(&["--last", "2"]), all[3..]);
    assert_eq!(events(&["--refused"]), all[1..3]);
    assert_eq!(events(&["--refused", "--cluster", "beta"]), all[2..3]);
    assert_eq!(events(&["--node", "node1"]), [all[0], all[3], all[4]]);
    assert_eq!(events(&["--node", "NODE2"]), [all[0], all[1], all[3], all[4]]);
    assert_eq!(events(&["--since", "1h"]), all);
    assert_eq!(events(&["--since", "2200-01-01"]), [""; 0]);
    // What was old yesterday, and what has no time, which is not hidden.
    let _ = dom0.sh(&format!(
        "sed -i -e '1s/\"time\":\"20../\"time\":\"1999/' -e '2s/\"time\":\"[^\"]*/\"time\":\"unknown/' {JOURNAL}"
    ));
    assert_eq!(events(&["--since", "2d"]), ["beta refused", "alpha refused", all[3], all[4]]);
    // Into a pipe each record is one line, below a heading.
    let table = log(&dom0, &["--cluster", "alpha"]).exits(0).stdout;
    assert_eq!(table.lines().count(), 5, "{table}");
    assert!(
        table.starts_with("time ") && table.contains("  fenced killed  destroyed, and"),
        "{table}"
    );
    let _ = log(&dom0, &["--cluster", "gamma"]).exits(2).saying("gamma has no journal in");
    let _ = log(&dom0, &["--since", "yesterday"]).exits(2).saying("write 45s");
}

#[test]
fn what_stands_in_a_journals_place_is_a_complaint_and_no_all_clear() {
    let dom0 = DOM0.take();
    for (what, put, code, why) in [
        ("a pipe", "mkfifo J", 2, "is not a regular file"),
        ("a link", "ln -s /etc/shadow J", 2, "is a symbolic link"),
        ("a directory", "mkdir J", 2, "is not a regular file"),
        ("nothing but zeros", "truncate -s 1G J", 2, "does not end within 16 MiB"),
        ("a long line", "head -c 1000000 /dev/zero | tr '\\0' x >J; echo >>J", 1, ":1: "),
        ("no UTF-8", "printf '{\"n\":1,\"time\":\"\\377\"}\\n' >J", 1, ":1: "),
        ("a forged line", "echo '{\"n\":7}' >J", 1, ":1: "),
        ("a gigabyte of text", "yes 'no record' | head -c 1G >J", 2, "is 1024 MiB long"),
    ] {
        afresh(&dom0);
        let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
        let _ = dom0.sh(&format!("rm {JOURNAL}; {}", put.replace('J', JOURNAL))).exits(0);
        let told = log(&dom0, &[]).exits(code).saying(why);
        assert!(!told.says("root:"), "{what}: {told}");
        let verified = log(&dom0, &["--verify"]);
        assert_ne!(verified.code, 0, "{what}: {verified}");
        assert!(!verified.says("the chain holds; "), "{what}: {verified}");
        for output in [told, verified] {
            assert!(output.took < Duration::from_secs(30), "{what}: {output}");
            assert!(output.all().len() < 10_000, "{what}: {output}");
        }
        let _ = dom0.sh(&format!("rm -rf {JOURNAL}"));
    }
}

/// `log --follow`, and what it prints.
struct Follower {
    command: Running,
    lines: Receiver<String>,
}

impl Follower {
    fn of(dom0: &Dom0) -> Self {
        let words =
            ["xen-fence-admin", "log", "--follow", "--cluster", "alpha", "--format", "json"];
        let mut command = dom0.place().spawn(&words);
        let stdout = command.stdout().unwrap();
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self { command, lines }
    }

    /// The number and the event of the next record.
    #[track_caller]
    fn next(&self) -> (u64, String) {
        let line = self.lines.recv_timeout(Duration::from_secs(10)).unwrap();
        let record: Value = serde_json::from_str(&line).unwrap();
        (record["n"].as_u64().unwrap(), record["event"].as_str().unwrap().to_owned())
    }
}

#[test]
fn following_goes_on_over_files_that_are_set_aside_or_cut_and_ends_at_once() {
    let dom0 = DOM0.take();
    afresh(&dom0);
    let status = || ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    let _ = status();
    let follower = Follower::of(&dom0);
    assert_eq!(follower.next(), (1, "answer".to_owned()));
    let _ = ask(&dom0, "alpha", "node1", &["off", "node2"]).exits(0);
    assert_eq!(follower.next(), (2, "intent".to_owned()));
    assert_eq!(follower.next(), (3, "outcome".to_owned()));
    for number in 1..=3 {
        let _ = dom0.on(&["mv", JOURNAL, &format!("{JOURNAL}.{number}")]).exits(0);
        let _ = status();
    }
    for n in 4..=6 {
        assert_eq!(follower.next(), (n, "answer".to_owned()));
    }
    // Somebody cuts it: that is said, and what comes then is shown.
    let _ = dom0.sh(&format!(": >{JOURNAL}")).exits(0);
    std::thread::sleep(Duration::from_millis(600));
    let _ = status();
    assert_eq!(follower.next(), (6, "answer".to_owned()));
    follower.command.signal("INT");
    let ended = follower.command.wait();
    assert!(ended.code == 130 && ended.says("it was made shorter while it was read"), "{ended}");
    // A reader that has enough ends it too, without one more record.
    let head = dom0.sh("timeout 10 xen-fence-admin log --follow | head -2").exits(0);
    assert!(head.took < Duration::from_secs(5) && head.stdout.lines().count() == 2, "{head}");
}

#[test]
fn syslog_shows_what_no_chain_can() {
    let dom0 = DOM0.take();
    afresh(&dom0);
    for _ in 0..4 {
        let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    }
    let _ = ask(&dom0, "beta", "db1", &["status", "db2"]).exits(0);
    all_in_syslog(&dom0);
    let verify = |more: &[&str]| log(&dom0, &[&["--verify"], more].concat());
    let place = |line: &str| {
        let syslog = dom0.syslog();
        format!("/var/log/syslog:{}", 1 + syslog.lines().position(|one| one == line).unwrap())
    };
    let last = place(&in_syslog(&dom0, "alpha")[3]);
    let _ = verify(&[])
        .exits(0)
        .saying(&format!("alpha: anchored: {last} has the head behind its last record, 4"))
        .saying("4 of its records are in syslog");
    let whole = dom0.file(JOURNAL);
    let lines: Vec<&str> = whole.lines().collect();

    // The last lines are cut off.
    dom0.write(JOURNAL, lines[..2].join("\n") + "\n", 0o600);
    let gone =
        format!("records 3 to 4 are gone from its end: {last} anchors record 4, with the head");
    let _ = verify(&["--cluster", "alpha"]).exits(1).saying(&gone).saying("THE CHAIN IS BROKEN");
    // The next record is chained to what is left, and does not cover it up.
    let _ = ask(&dom0, "alpha", "node1", &["list"]).exits(0);
    let third = place(&in_syslog(&dom0, "alpha")[2]);
    let _ = verify(&["--cluster", "alpha"]).exits(1).saying("gone from its end");
    let _ = ask(&dom0, "alpha", "node1", &["list"]).exits(0);
    let _ = ask(&dom0, "alpha", "node1", &["list"]).exits(0);
    assert_ne!(third, last);

    // The last one is changed, which breaks no chain.
    dom0.write(
        JOURNAL,
        whole.replace(lines[3], &lines[3].replace("node node1", "node node2")),
        0o600,
    );
    let other = format!("{JOURNAL}:4: this is not the record 4 that /var/log/syslog:");
    let _ = verify(&["--cluster", "alpha"]).exits(1).saying(&other);
    // All of it is gone.
    dom0.remove(JOURNAL);
    for more in [&[][..], &["--cluster", "alpha"]] {
        let _ = verify(more).exits(1).saying("alpha: its journal is gone: /var/log/syslog:");
    }

    // Another host's copy, through a pipe; a file that is not there; nothing at all.
    dom0.write(JOURNAL, &whole, 0o600);
    let upto = last.rsplit(':').next().unwrap();
    let _ = dom0.sh(&format!("head -n {upto} /var/log/syslog >/root/copy")).exits(0);
    let _ = verify(&["--anchors", "/root/copy"]).exits(0).saying("anchored: /root/copy:");
    let piped = "xen-fence-admin log --verify --cluster alpha --anchors - </root/copy";
    let _ = dom0.sh(piped).exits(0).saying("anchored: standard input:");
    let _ = dom0.sh("sed -i 's/dom0=xen1/dom0=xen9/' /root/copy").exits(0);
    let others = verify(&["--anchors", "/root/copy"]).exits(0).saying("lines of other dom0s");
    let _ = others.saying("alpha: NOT anchored");
    let _ = verify(&["--anchors", "/root/none"]).exits(2).saying("/root/none cannot be read");
}

/// These lines, written anew from one on by somebody who can chain them.
fn rewritten(lines: &[&str], from: usize) -> Vec<String> {
    let mut anew: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let mut line = (*line).to_owned();
        if at == from {
            line = line.replace("node node1", "node node2");
        }
        if at > from {
            line = line.replace(&hash(lines[at - 1]), &hash(&anew[at - 1]));
        }
        anew.push(line);
    }
    anew
}

#[test]
fn forged_lines_in_syslog_clear_no_journal_that_was_rewritten() {
    let dom0 = DOM0.take();
    afresh(&dom0);
    for _ in 0..8 {
        let _ = ask(&dom0, "alpha", "node1", &["status", "node2"]).exits(0);
    }
    all_in_syslog(&dom0);
    let verify = |more: &[&str]| log(&dom0, &[&["--verify", "--cluster", "alpha"], more].concat());
    let whole = dom0.file(JOURNAL);
    let lines: Vec<&str> = whole.lines().collect();
    let anew = rewritten(&lines, 4);
    dom0.write(JOURNAL, anew.join("\n") + "\n", 0o600);
    let _ = verify(&[]).exits(1).saying("is not the record 5 that /var/log/syslog:");
    // Root sends lines of his own, as anybody can.
    let forge = |n: usize| {
        let head = hash(&anew[n - 1]);
        format!(
            "logger --id=7 -p authpriv.notice -t xen-fence-broker 'cluster=alpha dom0=xen1 n={n} \
             head={head} event=answer'"
        )
    };
    let sent: Vec<String> = (5..=8).map(forge).collect();
    let _ = dom0.sh(&sent.join(" && ")).exits(0);
    settle(|| in_syslog(&dom0, "alpha").len() == 12);
    let told = |syslog: &str| {
        let place = |head: &str| {
            let text = dom0.syslog();
            1 + text.lines().position(|line| line.contains(head)).unwrap()
        };
        let (old, new) = (hash(lines[4]), hash(&anew[4]));
        format!(
            "alpha: syslog has two different records 5: {syslog}:{} has the head {}, and {syslog}:{} the \
             head {}, and so of 3 later ones; the journal was begun anew, or rewritten",
            place(&old),
            &old[..16],
            place(&new),
            &new[..16]
        )
    };
    let _ = verify(&[]).exits(1).saying(&told("/var/log/syslog")).saying("THE CHAIN IS BROKEN");
    let _ = dom0.sh("cp /var/log/syslog /root/loghost").exits(0);
    let _ = verify(&["--anchors", "/root/loghost"]).exits(1).saying(&told("/root/loghost"));
    // The lines of one of the two agree with it, whichever they are.
    let since = format!(
        "sed '1,/ n=8 head={}/d' /root/loghost | xen-fence-admin log --verify --cluster alpha --anchors -",
        hash(lines[7])
    );
    let _ = dom0.sh(&since).exits(0).saying("4 of its records are in syslog");
}

#[test]
fn rehearsals_over_and_over_fill_no_syslog() {
    let dom0 = DOM0.take();
    afresh(&dom0);
    let line = format!("xen-fence/1 request {:032x} check -", 0xc);
    let all = format!("seq 30 | xargs -P 3 -I % sh -c 'echo {line} | {}'", WIRE.join(" "));
    let checks = dom0.in_node("alpha", "node1").run(&["sh", "-c", &all]);
    assert_eq!(checks.stdout.matches(" syslog it is read").count(), 30, "{checks}");
    let said = |text: &str| dom0.syslog().lines().filter(|line| line.contains(text)).count();
    let asked = " event=rehearsal action=check result=\"syslog asked\" ";
    assert!(within(Duration::from_secs(5), || said(asked) == 20), "{} lines", said(asked));
    assert_eq!(said(" cluster=alpha "), 40);
    let _ = dom0.sh("sed -i 's/\"opened_ms\":[0-9]*/\"opened_ms\":0/g' /run/xen-fence/alpha.flood");
    let _ = ask(&dom0, "alpha", "node1", &["list"]).exits(0);
    settle(|| said("10 more of this kind between ") == 2);
}
