//! What would be changed, for hosts in every state. Accounts are looked up in a table here; that
//! useradd makes fitting ones is for the tests of the installed product.

use super::*;
use xen_fence_broker::acl::parse;

const KEY1: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN";
const KEY2: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE635By9TamHQAQfjPqiszpmb31e+6vm0isRK41ZAQOW";
const UUID1: &str = "0f6a1b2c-0000-4000-8000-000000000001";
const UUID2: &str = "0f6a1b2c-0000-4000-8000-000000000002";

/// A policy of clusters with one node each.
fn policy(clusters: &[(&str, &str, &str)]) -> Policy {
    let cluster = |(name, uuid, key): &(&str, &str, &str)| {
        let text = format!("actions = []\n[nodes.n]\nuuid = \"{uuid}\"\nkeys = [\"{key}\"]\n");
        parse(&ClusterName::parse(name).unwrap(), &text).unwrap()
    };
    Policy { clusters: clusters.iter().map(cluster).collect(), ..Policy::default() }
}

/// The plan's sentences for directories that belong to whoever runs the test, and its faults.
fn planned(policy: &Policy, keys: &Path, found: fn(&str) -> Found) -> (Vec<String>, Vec<String>) {
    let mut faults = Vec::new();
    let me = users::get_effective_uid();
    let changes = plan(policy, keys, me, found, &mut faults).unwrap();
    // Whether the machine that runs the test has the group does not matter.
    let changes = changes.iter().filter(|change| !matches!(change, Change::MakeGroup));
    (changes.map(|change| change.sentence("would")).collect(), faults)
}

fn keys_dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    make_dir(&keys).unwrap();
    (dir, keys)
}

fn fits(_: &str) -> Found {
    Found::Fits
}

#[test]
fn a_new_host_gets_account_directory_and_keys() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let (changes, faults) = planned(&policy(&[("alpha", UUID1, KEY1)]), &keys, |_| Found::Missing);
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(changes[0], "would make the account fence-alpha");
    assert_eq!(changes[1], "would put in order /etc/xen-fence/keys");
    assert!(changes[2].contains("keys/fence-alpha\n  + node n SHA256:"), "{changes:?}");
    assert_eq!(changes.len(), 3);
}

#[test]
fn a_host_in_order_is_left_alone() {
    let (_dir, keys) = keys_dir();
    let policy = policy(&[("alpha", UUID1, KEY1)]);
    keyfile::write(&keys.join("fence-alpha"), &keyfile::text(&policy.clusters[0])).unwrap();
    assert_eq!(planned(&policy, &keys, fits), (vec![], vec![]));
}

#[test]
fn an_exchanged_key_is_shown_as_one_that_goes_and_one_that_comes() {
    let (_dir, keys) = keys_dir();
    let old = policy(&[("alpha", UUID1, KEY1)]);
    keyfile::write(&keys.join("fence-alpha"), &keyfile::text(&old.clusters[0])).unwrap();
    let (changes, _) = planned(&policy(&[("alpha", UUID1, KEY2)]), &keys, fits);
    assert_eq!(changes.len(), 1);
    assert!(changes[0].contains("\n  - node n SHA256:U/Qb9W"), "{changes:?}");
    assert!(changes[0].contains("\n  + node n SHA256:"), "{changes:?}");
}

#[test]
fn keys_of_a_cluster_that_is_gone_are_removed_and_what_lies_about_too() {
    let (_dir, keys) = keys_dir();
    for name in ["fence-beta", "root", ".fence-alpha.new"] {
        fs::write(keys.join(name), "x").unwrap();
    }
    let (mut changes, _) = planned(&Policy::default(), &keys, fits);
    changes.sort();
    assert_eq!(changes.len(), 3);
    assert!(changes[1].contains("fence-beta: there is no policy for beta any more"), "{changes:?}");
    assert!(changes[2].contains("root: it is the file of no cluster's account"), "{changes:?}");
}

#[test]
fn a_loose_directory_is_put_in_order() {
    let (_dir, keys) = keys_dir();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o777)).unwrap();
    let (changes, _) = planned(&Policy::default(), &keys, fits);
    assert_eq!(changes, ["would put in order /etc/xen-fence/keys"]);
}

#[test]
fn an_account_that_is_somebody_elses_is_a_fault_and_not_changed() {
    let (_dir, keys) = keys_dir();
    let policy = policy(&[("alpha", UUID1, KEY1)]);
    let (_, faults) = planned(&policy, &keys, |account| Found::Otherwise {
        why: format!("{account} is a person"),
        hint: "ask".to_owned(),
    });
    assert_eq!(faults, ["fence-alpha is a person\n  hint: ask"]);
}

#[test]
fn clusters_share_neither_keys_nor_uuids() {
    let shared = |uuid, key| -> Vec<String> {
        let both = policy(&[("alpha", UUID1, KEY1), ("beta", uuid, key)]);
        both.conflicts().iter().map(ToString::to_string).collect()
    };
    assert_eq!(shared(UUID2, KEY2), Vec::<String>::new());
    let conflicts = shared(UUID1, KEY1);
    assert_eq!(conflicts.len(), 2);
    assert!(conflicts[0].starts_with("beta.toml nodes.n and alpha.toml nodes.n have the UUID"));
    assert!(conflicts[1].contains("have the key SHA256:"), "{conflicts:?}");
}

#[test]
fn other_files_in_the_directory_are_reported_and_not_read() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["README", "alpha.toml.bak", "Beta.toml", ".toml", "gamma.toml"] {
        fs::write(dir.path().join(name), "not = a policy").unwrap();
    }
    let policy = Policy::load(dir.path()).unwrap();
    assert_eq!((policy.ignored.len(), policy.broken.len(), policy.clusters.len()), (4, 1, 0));
}

#[test]
fn a_pipe_in_a_key_files_place_is_replaced_and_not_read() {
    let (_dir, keys) = keys_dir();
    let pipe = keys.join("fence-alpha");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (changes, faults) = planned(&policy(&[("alpha", UUID1, KEY1)]), &keys, fits);
    assert_eq!((changes.len(), faults.len()), (1, 0), "{changes:?} {faults:?}");
    assert!(changes[0].contains(&pipe.display().to_string()), "{changes:?}");
}
