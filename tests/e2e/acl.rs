//! The policy's tools say what the broker does: its answers through sshd and sudo against what was
//! explained before, and what is said of a host that has changed.

mod by_lot;

use crate::{Dom0, Shared, long_after, settle, two_clusters, untouched};
use by_lot::{Draft, Lot, Member};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::time::Duration;
use xen_fence_protocol::{Body, Reply};
use xen_fence_tests::throwaway::Output;

static SHARED: Shared = Shared::new();

const POLICY: &str = "/etc/xen-fence/clusters.d/alpha.toml";
/// So many policies are drawn, and so many requests are made under each.
const POLICIES: u64 = 20;
const REQUESTS: usize = 11;

/// A request by lot, and the command that explains it.
struct Case {
    caller: usize,
    line: String,
    id: String,
    explain: String,
}

/// What the command says of a request.
fn explained(line: &str) -> (String, String) {
    let object: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let answer = &object["answers"][0];
    let word = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let verdict = if word("verdict") == "permit" { word("verdict") } else { word("reason") };
    (verdict, word("rule"))
}

/// Says this line to the broker by OpenSSH, with this caller's key and from where it is, and hears the
/// reason of its refusal, or that there is none. Nobody says `go`.
fn answer(dom0: &Dom0, caller: &Member, line: &str) -> String {
    let mut words = crate::WIRE;
    for word in &mut words {
        if *word == "/etc/xen-fence/id_ed25519" {
            *word = &caller.file;
        }
    }
    let mut session = dom0.in_node("alpha", &caller.at).spawn(&words);
    session.send(line.as_bytes());
    let heard = BufReader::new(session.stdout().unwrap());
    for line in heard.lines().map_while(Result::ok) {
        match Reply::decode(format!("{line}\n").as_bytes()).map(|reply| reply.body) {
            Ok(Body::Refused { reason, .. }) => return reason.to_string(),
            Ok(Body::Ready { .. } | Body::Seen { .. } | Body::Finding { .. } | Body::Done) => {
                return "permit".to_owned();
            }
            Ok(_) => {}
            Err(error) => panic!("{line:?}: {error}"),
        }
    }
    panic!("nothing was answered\n{}", session.wait())
}

/// Everybody who may have a word in a policy that is drawn, with a key in sshd's file.
fn members(dom0: &Dom0) -> Vec<Member> {
    let etc = dom0.node("alpha", "node1").etc();
    for operator in ["nagios", "desk"] {
        let path = format!("{etc}/{operator}");
        let _ = dom0.on(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", &path]).exits(0);
    }
    let of = |name: &'static str, at: &str, key: &str| {
        let node = dom0.node("alpha", at);
        let path = format!("{}/{key}.pub", node.etc());
        let said = dom0.on(&["ssh-keygen", "-l", "-f", &path]).exits(0).stdout;
        Member {
            name,
            is_node: key == "id_ed25519",
            domain: node.domain.clone(),
            uuid: node.uuid.clone(),
            key: dom0.file(&path).trim_end().to_owned(),
            fingerprint: said.split(' ').nth(1).unwrap_or_default().to_owned(),
            address: node.address.clone(),
            at: at.to_owned(),
            file: format!("/etc/xen-fence/{key}"),
        }
    };
    vec![
        of("node1", "node1", "id_ed25519"),
        of("node2", "node2", "id_ed25519"),
        of("node3", "node3", "id_ed25519"),
        of("nagios", "node1", "nagios"),
        of("desk", "node1", "desk"),
    ]
}

/// Two hundred requests and more through real sshd and sudo, each answered as was explained.
#[test]
fn what_is_explained_is_what_is_answered() {
    let dom0 = Dom0::builder()
        .cluster("alpha", &["node1", "node2", "node3"])
        .cluster("beta", &["db1"])
        .raise()
        .unwrap();
    let members = members(&dom0);
    // sshd lets everybody in from here on: what it would refuse itself, the broker has to refuse too.
    dom0.write(POLICY, Draft::of_all(&members).text(&members), 0o644);
    let _ = dom0.on(&["xen-fence-admin", "acl", "apply"]).exits(0);
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    untouched(&dom0, || {
        for seed in 0..POLICIES {
            let mut lot = Lot(seed);
            let mut text = Draft::draw(&mut lot, &members).text(&members);
            if seed + 1 == POLICIES {
                text = text.replace("uuid", "uuhd");
            }
            dom0.write(POLICY, &text, 0o644);
            let cases: Vec<Case> =
                (0..REQUESTS).map(|at| case(&mut lot, &members, seed, at)).collect();
            let script: Vec<&str> = cases.iter().map(|case| case.explain.as_str()).collect();
            let said = dom0.sh(&script.join("\n")).stdout;
            assert_eq!(said.lines().count(), cases.len(), "{said}");
            let known = dom0.journal("alpha").len();
            let explained: Vec<_> = said.lines().map(explained).collect();
            let answers = answers(&dom0, &members, &cases);
            for (case, (answer, (verdict, _))) in cases.iter().zip(answers.iter().zip(&explained)) {
                assert_eq!(answer, verdict, "{}\n{said}\n{text}", case.explain);
                *seen.entry(answer.clone()).or_default() += 1;
            }
            recorded_so(&dom0.journal("alpha").split_off(known), &cases, &explained);
        }
    });
    assert!(seen.values().sum::<usize>() >= 200, "{seen:?}");
    for word in ["permit", "identity", "source", "not-granted", "not-yours", "policy"] {
        assert!(seen.get(word).is_some_and(|count| *count >= 5), "{word}: {seen:?}");
    }
    println!("answered as explained: {seen:?}");
}

/// What the broker says to all of them, two at a time.
fn answers(dom0: &Dom0, members: &[Member], cases: &[Case]) -> Vec<String> {
    let one = &|case: &Case| answer(dom0, &members[case.caller], &case.line);
    std::thread::scope(|scope| {
        let halves = cases.chunks(cases.len().div_ceil(2));
        let halves: Vec<_> = halves
            .map(|half| scope.spawn(move || half.iter().map(one).collect::<Vec<_>>()))
            .collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

fn case(lot: &mut Lot, members: &[Member], seed: u64, at: usize) -> Case {
    let caller = lot.below(members.len());
    let Member { name, is_node, fingerprint, address, .. } = &members[caller];
    let (action, node) = by_lot::request(lot);
    let id = format!("{:032x}", (seed + 1) * 1000 + at as u64);
    let caller_word = if *is_node { (*name).to_owned() } else { format!("operator:{name}") };
    Case {
        caller,
        line: format!("xen-fence/1 request {id} {action} {node}\n"),
        explain: format!(
            "xen-fence-admin acl explain alpha {node} {action} --as {caller_word} --from {address} \
             --key {fingerprint} --format json"
        ),
        id,
    }
}

/// Refusals are on record with the rule that was explained. What was told over and over is only counted.
#[track_caller]
fn recorded_so(records: &[serde_json::Value], cases: &[Case], explained: &[(String, String)]) {
    for (case, (verdict, rule)) in cases.iter().zip(explained) {
        let is_its = |record: &&serde_json::Value| {
            record["request"] == case.id.as_str() && record["event"] == "refused"
        };
        // Who was permitted to kill and has gone without a word is no refusal of the policy's.
        let record = records.iter().find(is_its).filter(|record| record["result"] != "no-go");
        if let Some(record) = record {
            assert_eq!(record["result"], verdict.as_str(), "{record}");
            assert_eq!(record["text"], rule.as_str(), "{record}");
        }
    }
}

fn explain(dom0: &Dom0, words: &[&str]) -> Output {
    let command = ["xen-fence-admin", "acl", "explain", "alpha"];
    dom0.on(&[&command, words].concat())
}

/// The domain is the one that runs now, and what stands against a request is said with it.
#[test]
fn an_explanation_says_what_is_so_now() {
    let dom0 = SHARED.take();
    let domid = dom0.domid("alpha", "node2").unwrap();
    let words = ["node2", "reset", "--as", "node1"];
    untouched(&dom0, || {
        let said = explain(&dom0, &words).exits(0);
        let text = said.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        for wanted in [
            "permit node node1".to_owned(),
            format!("{POLICY}:1 {POLICY}:3"),
            format!("domain {domid} now, on"),
            "no hold and no brake stands against it".to_owned(),
            format!("domain {domid} destroyed"),
            "create /etc/xen/alpha-node2.cfg` is".to_owned(),
        ] {
            assert!(text.contains(&wanted), "{wanted}\n{said}");
        }
        assert!(said.stdout.lines().all(|line| line.len() <= 80), "{said}");
        let hold = ["xen-fence-admin", "hold", "alpha", "node2", "--for", "1h", "--why", "upgrade"];
        let _ = dom0.on(&hold).exits(0);
        let _ = explain(&dom0, &words).exits(0).saying("(upgrade)").saying("refused (held)");
        let _ = dom0.on(&["xen-fence-admin", "unhold", "alpha", "node2"]).exits(0);
    });
    let _ = explain(&dom0, &["db1", "off"]).exits(1).saying("not-yours");
    // Nobody's request was made by all that.
    assert!(!crate::recorded(&dom0, "alpha", &["\"action\":\"reset\""]));
    let _ = dom0.on(&["xl", "destroy", "alpha-node2"]).exits(0);
    settle(|| {
        let said = explain(&dom0, &["node2", "reset", "--format", "json"]).exits(0).stdout;
        let object: serde_json::Value = serde_json::from_str(&said).unwrap();
        object["now"]["nodes"][0]["power"] == "off"
    });
}

/// A toolstack that hangs, and somebody who may ask none: the rest is said, and nothing is called off.
#[test]
fn an_explanation_does_without_xen() {
    let dom0 = SHARED.take();
    dom0.fault(&["fault", "xenstored-dead"]);
    let said = explain(&dom0, &["node2", "off"]);
    dom0.fault(&["clear"]);
    let said = said.exits(0).saying("permit  node node1").saying("Xen cannot be asked here");
    assert!(!said.says("is off"), "{said}");
    assert!(said.took < Duration::from_secs(15), "{said}");
    let line = "setpriv --reuid=65534 --clear-groups xen-fence-admin acl explain alpha node2 off";
    let said = dom0.sh(line).exits(0).saying("permit  node node1");
    let _ = said.saying("nobody can tell what is held");
}

/// What it prints is what mends it, taken literally.
#[test]
fn a_configuration_without_the_uuid_is_mended_by_the_line_that_is_printed() {
    let dom0 = two_clusters().raise().unwrap();
    let check = || dom0.on(&["xen-fence-admin", "acl", "check"]);
    let _ = check().exits(0);
    let config = dom0.node("alpha", "node2").config();
    let good = dom0.file(&config);
    let bare: Vec<&str> = good.lines().filter(|line| !line.starts_with("uuid")).collect();
    dom0.write(&config, bare.join("\n") + "\n", 0o644);
    let said = check().exits(1).saying(&config).saying("add this line to it");
    let line = said.stdout.lines().find(|line| line.starts_with("uuid = ")).unwrap();
    dom0.write(&config, format!("{}\n{line}\n", bare.join("\n")), 0o644);
    let _ = check().exits(0);
    assert!(good.contains(line), "{line}");
    dom0.write(&config, good.replace(&dom0.node("alpha", "node2").domain, "other"), 0o644);
    let _ = check().exits(1).saying("says name \"other\"");
    dom0.remove(&config);
    let _ = check().exits(1).saying("does not exist").saying("leaves the node off");
}

/// None of these is a policy, none holds anybody up, and each is said to be what it is.
#[test]
fn what_is_no_policy_is_said_at_once() {
    let dom0 = SHARED.take();
    let good = dom0.file(POLICY);
    let put = |line: &str| {
        let _ = dom0.sh(&format!("rm -f {POLICY}; {line}")).exits(0);
    };
    for (line, why) in [
        (format!("mkfifo {POLICY}"), "is not a regular file"),
        (format!("ln -s /etc/xen-fence/clusters.d/beta.toml {POLICY}"), "is a symbolic link"),
        (format!("truncate --size=1G {POLICY}"), "is longer than 1048576 bytes"),
        (format!("printf 'actions = []\\n# \\377\\n' > {POLICY}"), "is not UTF-8 text from byte"),
    ] {
        put(&line);
        for command in ["acl check", "acl show", "acl explain alpha node2 off"] {
            let said = dom0.sh(&format!("xen-fence-admin {command}")).exits(1).saying(why);
            assert!(said.took < Duration::from_secs(5), "{said}");
        }
        let draft = format!(
            "mkdir -p /root/draft; mv {POLICY} /root/draft/; xen-fence-admin acl check /root/draft/alpha.toml; echo $?"
        );
        let said = dom0.sh(&draft).saying(why).saying("1\n");
        assert!(said.took < Duration::from_secs(5), "{said}");
    }
    dom0.write(POLICY, &good, 0o644);
    long_after(&dom0);
}

/// A tenant's draft is a stranger's text, and so is the name of its file.
#[test]
fn no_draft_drives_the_terminal() {
    let dom0 = SHARED.take();
    let draft = "mkdir -p /root/hostile; cd /root/hostile; \
                 printf '\"\\\\u001b]0;x\\\\u0007\\\\u202e\" = 1\\n' >alpha.toml; \
                 cp alpha.toml \"$(printf 'be\\033[2Jta.toml')\"; \
                 xen-fence-admin acl check alpha.toml *ta.toml 2>&1";
    let said = dom0.sh(draft);
    assert_ne!(said.code, 0, "{said}");
    assert!(said.says("unknown key") && said.says("\\u{1b}"), "{said}");
    let drives = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!said.stdout.contains(drives), "{:?}", said.stdout);
}

/// A matrix for each cluster, by people who are not root too.
#[test]
fn everybody_who_can_read_the_policy_is_shown_it() {
    let dom0 = SHARED.take();
    let nobody = "setpriv --reuid=65534 --clear-groups xen-fence-admin acl show";
    let said = dom0.sh(nobody).exits(0);
    for line in ["node1  ronsc  ronsc  lmc", "db1  ronsc  ronsc  lmc"] {
        assert!(said.stdout.lines().any(|found| found == line), "{line}\n{said}");
    }
    let said = dom0.sh(&format!("{nobody} --cluster beta --node db2 --format json")).exits(0);
    let object: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(object["nodes"][0]["uuid"], dom0.node("beta", "db2").uuid.as_str());
    let _ = dom0.sh(&format!("{nobody} --cluster gamma")).exits(2).saying("does not exist");
}
