//! Each fault is crossed by exactly its step, and what the cross says to type mends it.

use super::{POLICY, check, crosses, take};
use crate::{Dom0, ask, recorded};
use xen_fence_tests::throwaway::Output;

/// A fault yields exactly these crosses; the output is for the hints in it.
#[track_caller]
fn finds(dom0: &Dom0, expected: &[&str]) -> Output {
    let output = check(dom0);
    assert_eq!(crosses(&output), expected, "{output}");
    let fails = expected.iter().any(|cross| cross.starts_with("FAIL"));
    assert!(output.says("hint: ") || output.says("xen-fence-admin "), "no mend\n{output}");
    output.exits(i32::from(fails))
}

/// The hint was followed, and nothing is left to mend.
#[track_caller]
fn mended(dom0: &Dom0) {
    let output = check(dom0);
    assert_eq!(crosses(&output), [""; 0], "{output}");
    let _ = output.exits(0);
}

/// What the output has between these two texts.
#[track_caller]
fn between<'a>(output: &'a Output, before: &str, after: &str) -> &'a str {
    let rest = output.stdout.split_once(before).unwrap_or_else(|| panic!("{before}\n{output}")).1;
    rest.split_once(after).map_or(rest, |(inside, _)| inside)
}

/// Runs on dom0, as root, what a hint names between these two texts.
#[track_caller]
fn typed(dom0: &Dom0, output: &Output, before: &str, after: &str) {
    let _ = dom0.sh(between(output, before, after)).exits(0);
}

#[test]
fn a_host_key_that_is_another_or_unknown_is_crossed_and_the_hint_records_it() {
    let dom0 = take();
    let file = format!("{}/known_hosts", dom0.node("alpha", "node1").etc());
    let good = dom0.file(&file);
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE7O2UcS2k4zX1vY0rkJmQ0p4yq0Wq2bJ6q3f0bN1c2d";
    dom0.write(&file, format!("[xen1]:2422 {other}\n"), 0o644);
    let found = finds(&dom0, &["FAIL - host-key"]);
    dom0.write(&file, format!("{}\n", between(&found, "known_hosts by: ", "\n")), 0o644);
    mended(&dom0);
    dom0.write(&file, "", 0o644);
    let found = finds(&dom0, &["FAIL - host-key"]);
    assert!(found.says("hint: here, as root: xen-fence enroll\n"), "{found}");
    let print = dom0.sh("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub").exits(0).stdout;
    let print = print.split(' ').nth(1).unwrap();
    let _ = ask(&dom0, "alpha", "node1", &["enroll", "--fingerprint", print]).exits(0);
    mended(&dom0);
    dom0.write(&file, good, 0o644);
}

#[test]
fn a_key_that_is_missing_here_and_then_on_dom0_is_crossed_and_put_there() {
    let dom0 = take();
    let etc = dom0.node("alpha", "node1").etc();
    let before = dom0.file(&format!("{etc}/id_ed25519.pub"));
    let _ = dom0.sh(&format!("mkdir /root/keys; mv {etc}/id_ed25519* /root/keys")).exits(0);
    let found = finds(&dom0, &["FAIL - key"]);
    assert!(found.says("hint: here, as root: xen-fence enroll\n"), "{found}");
    let _ = ask(&dom0, "alpha", "node1", &["enroll"]).exits(0);
    let found = finds(&dom0, &["FAIL - login"]);
    assert!(
        found.says(&format!("on xen1, as root: `keys` of [nodes.node1] in {POLICY}")),
        "{found}"
    );
    let key = between(&found, "has to hold \"", "\"");
    dom0.write(POLICY, dom0.file(POLICY).replace(before.trim(), key), 0o644);
    typed(&dom0, &found, "; then ", ", which");
    mended(&dom0);
    let _ = dom0.sh(&format!("mv -f /root/keys/* {etc}/")).exits(0);
}

#[test]
fn an_account_that_is_missing_is_crossed_and_made() {
    let dom0 = take();
    let _ = dom0.sh("userdel -f fence-alpha; ! getent passwd fence-alpha").exits(0);
    let found = finds(&dom0, &["FAIL - login"]);
    typed(&dom0, &found, "; then ", ", which");
    mended(&dom0);
}

#[test]
fn a_sudo_rule_or_a_login_shell_that_is_missing_is_crossed() {
    let dom0 = take();
    dom0.remove("/etc/sudoers.d/xen-fence");
    let found = finds(&dom0, &["FAIL - sudo"]).saying("dom0 says: sudo: a password is required");
    assert!(found.says("on xen1, as root: xen-fence-admin setup --cluster alpha puts"), "{found}");
    let _ = dom0.on(&["xen-fence-admin", "setup", "--cluster", "alpha", "--yes"]);
    mended(&dom0);
    let _ = dom0.sh("usermod -s /bin/false fence-alpha").exits(0);
    let found = finds(&dom0, &["FAIL - sudo"]);
    typed(&dom0, &found, "another shell, on xen1, as root: ", "\n");
    mended(&dom0);
}

#[test]
fn a_policy_that_is_missing_or_knows_us_not_is_crossed_and_its_check_says_where() {
    let dom0 = take();
    let good = dom0.file(POLICY);
    dom0.write(POLICY, good.replacen("uuid = ", "uuhd = ", 1), 0o644);
    let found = finds(&dom0, &["FAIL - policy"]);
    let said = dom0.sh(between(&found, "on xen1, as root: ", " says")).exits(1);
    assert!(said.says("unknown key `uuhd`"), "{said}");
    dom0.remove(POLICY);
    let _ = finds(&dom0, &["FAIL - policy"]);
    // sshd's file still has the key; the policy has another.
    let key = dom0.file(&format!("{}/id_ed25519.pub", dom0.node("alpha", "node1").etc()));
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE7O2UcS2k4zX1vY0rkJmQ0p4yq0Wq2bJ6q3f0bN1c2d";
    let revoked = good.replace(key.trim(), other);
    dom0.write(POLICY, &revoked, 0o644);
    let found = finds(&dom0, &["FAIL - policy"]);
    let ours = between(&found, "has to hold \"", "\"");
    dom0.write(POLICY, revoked.replace(other, ours), 0o644);
    typed(&dom0, &found, "; then ", "\n");
    mended(&dom0);
    dom0.write(POLICY, format!("from = [\"192.0.2.0/24\"]\n{good}"), 0o644);
    let found = finds(&dom0, &["FAIL - policy"]);
    let shown = dom0.sh(between(&found, "address, which `", "` shows")).exits(0);
    assert!(shown.says("10.77.0.11"), "{shown}");
    dom0.write(POLICY, good, 0o644);
    mended(&dom0);
}

/// Name and UUID of a domain, as a person reads them in `xl list -v`.
fn row(dom0: &Dom0, domain: &str) -> String {
    let listing = dom0.on(&["xl", "list", "-v"]).exits(0).stdout;
    let row = listing.lines().find(|line| line.starts_with(&format!("{domain} "))).unwrap();
    row.split_whitespace().find(|word| word.matches('-').count() == 4).unwrap().to_owned()
}

#[test]
fn a_policy_that_speaks_of_another_domain_is_crossed_and_corrected_from_the_listing() {
    let dom0 = take();
    let good = dom0.file(POLICY);
    let uuid = dom0.node("alpha", "node2").uuid.clone();
    let other = uuid.replace("5eed", "0bad");
    let place = format!("on xen1, under [nodes.node2] of {POLICY}: ");
    // Its own name, another UUID: nobody may be killed for that.
    dom0.write(POLICY, good.replace(&uuid, &other), 0o644);
    let found = finds(&dom0, &["FAIL node2 uuid", "warn node2 config"]).saying(&place);
    assert!(!found.says("is called"), "the guest is told of another's domain\n{found}");
    assert!(recorded(&dom0, "alpha", &["rehearsal", "is called \\\"alpha-node2\\\" like"]));
    dom0.write(POLICY, dom0.file(POLICY).replace(&other, &row(&dom0, "alpha-node2")), 0o644);
    mended(&dom0);
    // Neither: it looks like a node that is off.
    let unknown = good.replace(&uuid, &other).replace("alpha-node2\"", "alpha-nodeX\"");
    dom0.write(POLICY, &unknown, 0o644);
    let _ = finds(&dom0, &["warn node2 absent", "warn node2 config"]).saying(&place);
    dom0.write(
        POLICY,
        unknown.replace(&other, &row(&dom0, "alpha-node2")).replace("nodeX", "node2"),
        0o644,
    );
    mended(&dom0);
    // Of the one who asks it is more: it lives, and a fence of it would say that it is dead.
    let uuid = dom0.node("alpha", "node1").uuid.clone();
    let unknown = good
        .replace(&uuid, &uuid.replace("5eed", "0bad"))
        .replace("alpha-node1\"", "alpha-nodeX\"");
    dom0.write(POLICY, unknown, 0o644);
    let _ = finds(&dom0, &["FAIL node1 asker", "warn node1 config"]);
    dom0.write(POLICY, good, 0o644);
    mended(&dom0);
}

#[test]
fn a_configuration_that_does_not_fit_is_crossed_and_the_hint_mends_it() {
    let dom0 = take();
    let config = dom0.node("alpha", "node2").config();
    let good = dom0.file(&config);
    dom0.write(&config, good.replace("name = \"alpha-node2\"", "name = \"beta-db1\""), 0o644);
    let found = finds(&dom0, &["warn node2 config"]);
    let line = between(&found, &format!("on xen1, in {config}: "), "\n");
    dom0.write(&config, dom0.file(&config).replace("name = \"beta-db1\"", line), 0o644);
    mended(&dom0);
    dom0.write(&config, &good, 0o666);
    let found = finds(&dom0, &["warn node2 config"]);
    typed(&dom0, &found, "on xen1, as root: ", "\n");
    mended(&dom0);
    dom0.write(&config, format!("{good}pci = [ '0000:03:00.0' ]\n"), 0o644);
    let _ = finds(&dom0, &["warn node2 devices"]).saying("a PCI device of its own");
    dom0.write(&config, &good, 0o644);
    mended(&dom0);
}

#[test]
fn a_full_disk_under_the_journal_is_crossed() {
    let dom0 = take();
    let place = "/var/lib/xen-fence";
    let _ = dom0.on(&["mount", "-t", "tmpfs", "-o", "size=16k,mode=700", "none", place]).exits(0);
    let _ = dom0.sh(&format!("mkdir -m 700 {place}/journal; cat /dev/zero >{place}/filler"));
    let found = finds(&dom0, &["warn - journal"]);
    assert!(dom0.sh(between(&found, "as root: `", "`")).exits(0).says("100%"), "{found}");
    dom0.remove(&format!("{place}/filler"));
    mended(&dom0);
    let _ = dom0.on(&["umount", place]).exits(0);
}

#[test]
fn a_hold_and_a_brake_are_crossed_and_lifted_by_what_they_name() {
    let dom0 = take();
    let hold = "xen-fence-admin hold alpha node2 --for 1h --why upgrade";
    let _ = dom0.sh(hold).exits(0);
    let found = finds(&dom0, &["FAIL node2 hold"]);
    typed(&dom0, &found, "asks again; `", "`");
    mended(&dom0);
    let good = dom0.file(POLICY);
    dom0.write(POLICY, format!("brake = \"1 reset in 10m\"\n{good}"), 0o644);
    let _ = ask(&dom0, "alpha", "node1", &["reset", "node2"]).exits(0);
    let found = finds(&dom0, &["warn node2 brake"]);
    typed(&dom0, &found, "`xen-fence on node2`, or `", "`");
    mended(&dom0);
    dom0.write(POLICY, good, 0o644);
}

#[test]
fn settings_and_names_that_lead_nowhere_are_crossed() {
    let dom0 = take();
    let file = format!("{}/agent.toml", dom0.node("alpha", "node1").etc());
    let good = dom0.file(&file);
    dom0.write(&file, "dom0s = []\n", 0o644);
    let _ = check(&dom0).exits(1).saying("FAIL - settings").saying("agent.toml:1:1");
    dom0.remove(&file);
    let found = finds(&dom0, &["FAIL - settings"]);
    assert!(found.says("here, as root: xen-fence enroll --dom0 fence-CLUSTER@HOST"), "{found}");
    dom0.write(&file, "dom0 = [\"fence-alpha@xen9:2422\"]\n", 0o644);
    let found = finds(&dom0, &["FAIL - name"]);
    let line = between(&found, "here, as root: ", ", with").replace("ADDRESS", "10.77.0.254");
    let hosts = dom0.file("/etc/hosts");
    let _ = dom0.in_node("alpha", "node1").run(&["sh", "-c", &line]).exits(0);
    let _ = finds(&dom0, &["FAIL - host-key"]);
    dom0.write("/etc/hosts", hosts, 0o644);
    dom0.write(&file, "dom0 = [\"fence-alpha@xen1:2423\"]\n", 0o644);
    let _ = finds(&dom0, &["FAIL - address"]).saying("port 2423");
    dom0.write(&file, good, 0o644);
    // Another name for dom0, which sudo would ask DNS for.
    let place = ["check", "--dom0", "fence-alpha@10.77.0.254:2422"];
    let hosts = dom0.file("/etc/hosts");
    dom0.write("/etc/hosts", hosts.replace("xen1", "xen9"), 0o644);
    let found = ask(&dom0, "alpha", "node1", &place).exits(0);
    assert_eq!(crosses(&found), ["warn - host-name"], "{found}");
    typed(&dom0, &found, "hint: on xen1, as root: ", "\n");
    assert_eq!(crosses(&ask(&dom0, "alpha", "node1", &place)), [""; 0]);
    dom0.write("/etc/hosts", hosts, 0o644);
}
