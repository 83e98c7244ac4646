//! Explanations against what the broker decides, and of what cannot be asked where the tests run.

use super::generated::{Asked, Lot, Policy, key};
use super::*;
use clap::Parser as _;
use std::collections::BTreeMap;
use std::fs;
use xen_fence_broker::acl::{Decision, load};
use xen_fence_broker::identity::Environment;
use xen_fence_broker::names::PublicKey;
use xen_fence_broker::serve;
use xen_fence_protocol::ClientLine;

#[derive(clap::Parser)]
struct CommandLine {
    #[command(flatten)]
    arguments: Arguments,
}

fn arguments(words: &[&str]) -> Arguments {
    let words = std::iter::once("explain").chain(words.iter().copied());
    CommandLine::try_parse_from(words).unwrap_or_else(|error| panic!("{error}")).arguments
}

/// What the command says, without what it looks up on the host.
fn explained(words: &[&str]) -> Result<serde_json::Value, Cannot> {
    let arguments = arguments(words);
    let explained = explain(&arguments, request(&arguments)?, Ok(Settings::default()))?;
    Ok(explained.object())
}

/// What the broker makes of the variables that sudo keeps, and of the line that it reads.
fn served(policy: &Cluster, asked: &Asked, key: &Fingerprint) -> (String, String) {
    let environment = Environment {
        sudo_uid: Some("995".to_owned()),
        caller: Some(asked.caller.clone()),
        key: Some(key.to_string()),
        connection: Some(format!("{} 40000 10.77.0.254 2422", asked.from)),
    };
    let identity = environment.identity(|_| Some("fence-alpha".to_owned())).unwrap();
    let line = format!(
        "xen-fence/1 request 0123456789abcdef0123456789abcdef {} {}\n",
        asked.action, asked.node
    );
    let Ok(ClientLine::Request(request)) = ClientLine::decode(line.as_bytes()) else {
        panic!("{line}");
    };
    match serve::decide(policy, &identity, &request) {
        Decision::Permit(grant) => ("permit".to_owned(), grant.rule().to_owned()),
        Decision::Refuse(refused) => (refused.reason.to_string(), refused.recorded),
    }
}

/// Ten thousand policies, a request to each: what the command says, what the broker decides on what
/// sudo and the wire would bring it, and what the rules say in a second writing of them.
#[test]
fn what_is_explained_is_what_is_served() {
    let (path, file) = ("/x/alpha.toml", Path::new("/x/alpha.toml"));
    let name = ClusterName::parse("alpha").unwrap();
    let fingerprints: Vec<Fingerprint> =
        (0..24).map(|number| PublicKey::parse(&key(number)).unwrap().fingerprint()).collect();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..10_000 {
        let mut lot = Lot(seed);
        let drawn = Policy::draw(&mut lot);
        let asked = drawn.ask(&mut lot);
        let text = drawn.text();
        let policy = load::parse_as(file, &name, &text)
            .unwrap_or_else(|error| panic!("seed {seed}: {error}\n{text}"));
        let key = &fingerprints[asked.key];
        let caller = asked.caller.replace(' ', ":");
        let Asked { from, action, node, .. } = &asked;
        let words = [path, node, action, "--as", &caller, "--from", from, "--key", key.as_str()];
        let arguments = arguments(&words);
        let request = request(&arguments).unwrap();
        // Without the look at this machine, which ten thousand times takes its time.
        let asker = askers(&arguments, &policy).remove(0);
        let verdict = Verdict::of(&policy, asker, &request, &Ok(Settings::default())).object();
        let word = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
        let said = if word("verdict") == "permit" { word("verdict") } else { word("reason") };
        let told =
            || format!("seed {seed}: {} asks for {action} {node}\n{verdict}\n{text}", asked.caller);
        assert_eq!((said.clone(), word("rule")), served(&policy, &asked, key), "{}", told());
        assert_eq!(said, drawn.says(&asked), "{}", told());
        let lines = verdict["lines"].as_array().unwrap();
        assert!(lines.iter().all(|line| rests_on(&text, line, &word("rule"))), "{}", told());
        *seen.entry(said).or_default() += 1;
    }
    for word in ["permit", "identity", "source", "not-granted", "not-yours"] {
        assert!(seen.get(word).is_some_and(|count| *count > 300), "{word}: {seen:?}");
    }
}

/// Whether a line of the file is one that can be behind such a rule.
fn rests_on(text: &str, line: &serde_json::Value, rule: &str) -> bool {
    let Some(number) = line.as_u64() else { return false };
    let Some(line) = text.lines().nth(number as usize - 1) else { return false };
    let behind = [
        ("actions = ", "actions"),
        ("from = ", "from"),
        ("targets = ", "targets"),
        ("keys = ", "keys"),
        ("[nodes.", ""),
        ("[operators.", "targets by default"),
    ];
    behind.iter().any(|(begins, word)| line.starts_with(begins) && rule.contains(word))
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN";

/// A draft of two nodes and an operator, in a directory of its own.
fn draft() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alpha.toml");
    let text = format!(
        "actions = [\"reset\", \"off\"]\nfrom = [\"192.168.2.0/24\"]\nbrake = \"3 resets in 10m\"\n\
         [nodes.node1]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\nkeys = [\"{KEY}\"]\n\
         [nodes.node2]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000002\"\nkeys = [\"{}\"]\n\
         targets = [\"node1\"]\n\
         [operators.desk]\nactions = [\"status\"]\nkeys = [\"{}\"]\n",
        key(1),
        key(2)
    );
    fs::write(&file, text).unwrap();
    (dir, file.display().to_string())
}

#[test]
fn everybody_is_asked_for_unless_one_is_named() {
    let (_dir, file) = draft();
    let object = explained(&[&file, "node2", "off"]).unwrap();
    let answers: Vec<(&str, &str)> = object["answers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["caller"].as_str().unwrap(), it["verdict"].as_str().unwrap()))
        .collect();
    let wanted = [("node node1", "permit"), ("node node2", "refuse"), ("operator desk", "refuse")];
    assert_eq!(answers, wanted);
    assert!(object["steps"].as_array().unwrap().len() > 4, "somebody is permitted");
    let object = explained(&[&file, "node2", "off", "--as", "operator:desk"]).unwrap();
    assert_eq!(object["answers"].as_array().unwrap().len(), 1);
    assert_eq!(object["answers"][0]["reason"], "not-granted");
    assert_eq!(object["answers"][0]["lines"], json!([12]));
    assert_eq!(object["steps"], json!([]), "nobody is permitted");
    // What is not said is what the policy has for whoever asks.
    let object = explained(&[&file, "node2", "off", "--as", "node1"]).unwrap();
    assert_eq!(object["answers"][0]["from"], "192.168.2.0");
    let words = [&*file, "node2", "off", "--as", "node1", "--from", "10.0.0.1"];
    assert_eq!(explained(&words).unwrap()["answers"][0]["reason"], "source");
}

/// Where there is no Xen, what it would be asked for is unknown, and the rest is said all the same.
#[test]
fn without_xen_the_domain_is_unknown_and_not_off() {
    let (_dir, file) = draft();
    let object = explained(&[&file, "node2", "reset", "--as", "node1"]).unwrap();
    assert_eq!(object["answers"][0]["verdict"], "permit");
    let node = &object["now"]["nodes"][0];
    assert_eq!(node["domain"], "node2");
    assert!(node["no_start"].as_str().unwrap().contains("names no configuration"), "{node}");
    if fs::exists("/usr/sbin/xl").unwrap() || fs::exists("/sys/hypervisor/version").unwrap() {
        return;
    }
    assert!(object["now"]["no_xen"].as_str().unwrap().contains("xl list -v"), "{object}");
    assert_eq!((&node["power"], &node["domids"]), (&json!(null), &json!(null)));
    let arguments = arguments(&[&file, "node2", "reset", "--as", "node1"]);
    let request = request(&arguments).unwrap();
    let explained = explain(&arguments, request, Ok(Settings::default())).unwrap();
    let text = text::lines(&explained).join("\n");
    assert!(text.contains("Xen cannot be asked here"), "{text}");
    assert!(!text.contains("is off"), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80 || line.contains(&file)), "{text}");
}

/// What the broker would refuse before or after its decision is a refusal here too.
#[test]
fn a_broken_policy_and_broken_settings_refuse_everybody() {
    let (_dir, file) = draft();
    let arguments = arguments(&[&file, "node2", "off", "--as", "node1"]);
    let explain = || {
        let broken = settings::parse(Path::new("/etc/xen-fence/broker.toml"), "toolstack = 1\n");
        explain(&arguments, request(&arguments).unwrap(), broken).unwrap()
    };
    let answer = explain().object()["answers"][0].clone();
    assert_eq!((&answer["reason"], &answer["lines"]), (&json!("policy"), &json!([1])));
    fs::write(&file, "actions = [\n").unwrap();
    let explained = explain();
    let answer = explained.object()["answers"][0].clone();
    assert_eq!(answer["reason"], "policy");
    assert!(answer["rule"].as_str().unwrap().contains("alpha.toml:1:"), "{answer}");
    let text = text::lines(&explained).join("\n");
    assert!(text.contains("refuse  node node1: policy"), "{text}");
    assert_eq!(run(&arguments), Ending::Wrong);
}

#[test]
fn what_is_no_request_or_no_policy_is_said() {
    let (_dir, file) = draft();
    for (words, why) in [
        ([&*file, "../x", "off"], "the name is not"),
        ([&*file, "-", "off"], "name a node"),
        ([&*file, "node2", "list"], "name none"),
        (["Alpha", "node2", "off"], "is not the name of a cluster"),
        (["no-such-cluster", "node2", "off"], "does not exist"),
        (["/nowhere/alpha.toml", "node2", "off"], "does not exist"),
        (["/nowhere/Alpha.toml", "node2", "off"], "its name is not that of a cluster"),
    ] {
        let (said, _) = explained(&words).unwrap_err();
        assert!(said.contains(why), "{words:?}: {said}");
        assert_eq!(run(&arguments(&words)), Ending::Unable, "{words:?}");
    }
    assert_eq!(explained(&[&file, "nobody", "off"]).unwrap()["now"], json!(null));
}
