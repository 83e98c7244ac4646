//! What is said of files of every kind, in words, as an object and by the exit status.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

const POLICY: &str = "actions = [\"reset\"]\n[nodes.node1]\nuuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\n\
    keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN\"]\n";

/// A draft with this text, in a directory of its own.
fn draft(text: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alpha.toml");
    fs::write(&file, text).unwrap();
    (dir, file)
}

/// The only thing that is said of a file.
fn only(path: &Path) -> Finding {
    let (_, mut findings) = of_file(path);
    assert_eq!(findings.len(), 1, "{findings:?}");
    findings.remove(0)
}

#[test]
fn a_draft_is_judged_by_its_text() {
    let (_dir, file) = draft(POLICY);
    let finding = only(&file);
    assert_eq!(finding.level, Level::Ok);
    assert_eq!(finding.message, "ok: 1 node, 0 operators; nodes may: reset");
    let (_dir, file) = draft(POLICY.replace("uuid", "uuhd"));
    let finding = only(&file);
    assert_eq!((finding.level, finding.place), (Level::Error, Some((3, 1))));
    assert!(finding.shown.contains("alpha.toml:3:1: unknown key `uuhd`"), "{}", finding.shown);
    assert!(finding.shown.contains("\n    | ^^^^"), "{}", finding.shown);
}

/// None of these holds anybody up, and none is taken for a policy.
#[test]
fn what_is_no_file_of_text_is_an_error_at_once() {
    let (dir, file) = draft(POLICY);
    let says = |words: &str| {
        let finding = only(&file);
        assert_eq!(finding.level, Level::Error, "{}", finding.shown);
        assert!(finding.shown.contains(words), "{}", finding.shown);
        assert!(finding.hint.is_some(), "{}", finding.shown);
    };
    // A gigabyte of nothing behind a sound policy: what is cut off might have been a line of it.
    fs::File::options().write(true).open(&file).unwrap().set_len(1 << 30).unwrap();
    says("is longer than 1048576 bytes");
    fs::write(&file, format!("{POLICY}{}", "\n".repeat(1 << 20))).unwrap();
    says("is longer than 1048576 bytes");
    fs::write(&file, [POLICY.as_bytes(), b"# \xff\n"].concat()).unwrap();
    says("is not UTF-8 text from byte");
    fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    says("is not a regular file");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    says("is not a regular file");
    fs::remove_dir(&file).unwrap();
    let other = dir.path().join("other");
    fs::write(&other, POLICY).unwrap();
    symlink(&other, &file).unwrap();
    says("is a symbolic link");
}

#[test]
fn what_is_not_there_could_not_be_looked_at() {
    let (dir, file) = draft(POLICY);
    fs::remove_file(&file).unwrap();
    for (path, words) in [
        (file, "does not exist"),
        (dir.path().join("Alpha.toml"), "its name is not that of a cluster"),
        (dir.path().join("alpha.tml"), "its name is not that of a cluster"),
    ] {
        let finding = only(&path);
        assert_eq!(finding.level, Level::Unable);
        assert!(finding.shown.contains(words), "{}", finding.shown);
        assert_eq!(run(&[path], Format::Json), Ending::Unable);
    }
}

/// A configuration that does not say whose it is costs the node its power-on.
#[test]
fn a_configuration_without_the_uuid_is_an_error_with_the_line_to_add() {
    const UUID: &str = "uuid = \"0f6a1b2c-0000-4000-8000-000000000001\"";
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("node1.cfg");
    let text = format!("{POLICY}config = \"{}\"\n", config.display());
    let file = dir.path().join("alpha.toml");
    fs::write(&file, text).unwrap();
    let second = || {
        let (_, mut findings) = of_file(&file);
        assert_eq!(findings[0].level, Level::Ok);
        (findings.len() > 1).then(|| findings.remove(1))
    };
    // On another machine than dom0 it is not there.
    let finding = second().unwrap();
    assert_eq!(finding.level, Level::Note);
    assert!(finding.message.contains("was not looked at"), "{}", finding.message);
    fs::write(&config, "name = \"node1\"\n").unwrap();
    let finding = second().unwrap();
    assert_eq!(finding.level, Level::Error);
    if users::get_effective_uid() != 0 {
        // Only root's own file is believed, and that is what is said then.
        return assert!(finding.message.contains("user id"), "{}", finding.message);
    }
    assert!(finding.message.contains("no plain `uuid"), "{}", finding.message);
    assert!(finding.shown.ends_with(&format!("add this line to it:\n{UUID}")), "{}", finding.shown);
    // What it prints is what mends it.
    fs::write(&config, format!("name = \"node1\"\n{UUID}\n")).unwrap();
    assert!(second().is_none());
    fs::write(&config, format!("name = \"other\x1b[1m\"\n{UUID}\n")).unwrap();
    let finding = second().unwrap();
    assert!(finding.message.contains("says name \"other\\u{1b}[1m\""), "{}", finding.message);
}

/// As `acl apply` would refuse them where they are installed.
#[test]
fn drafts_that_are_given_together_share_neither_keys_nor_uuids() {
    let dir = tempfile::tempdir().unwrap();
    let put = |path: &str, text: &str| {
        let file = dir.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        file
    };
    let other = POLICY.replace("000000000001", "000000000002").replace(
        "IBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN",
        "IE635By9TamHQAQfjPqiszpmb31e+6vm0isRK41ZAQOW",
    );
    let alpha = put("alpha.toml", POLICY);
    let files = [alpha.clone(), put("beta.toml", &other)];
    assert_eq!(run(&files, Format::Table), Ending::Well);
    // The next version of a cluster's policy is no other cluster.
    assert_eq!(run(&[alpha.clone(), put("next/alpha.toml", POLICY)], Format::Table), Ending::Well);
    let files = [alpha, put("gamma.toml", POLICY), put("broken.toml", "what = 1")];
    let found = of_files(&files);
    let levels: Vec<_> = found.iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Level::Ok, Level::Ok, Level::Error, Level::Error, Level::Error]);
    let [_, _, _, uuid, key] = found.as_slice() else { panic!("{found:?}") };
    for (conflict, thing) in [(uuid, "have the UUID"), (key, "have the key SHA256:")] {
        assert_eq!(conflict.file, files[1]);
        let places = format!("gamma.toml nodes.node1 and alpha.toml nodes.node1 {thing}");
        assert!(conflict.message.starts_with(&places), "{}", conflict.shown);
    }
    assert_eq!(run(&files, Format::Json), Ending::Wrong);
}

#[test]
fn a_host_is_judged_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("broker.toml");
    let levels = |dir: &Path| {
        let findings = of_host(dir, &settings);
        findings.iter().map(|finding| finding.level).collect::<Vec<_>>()
    };
    let clusters = dir.path().join("clusters.d");
    assert_eq!(levels(&clusters), [Level::Unable]);
    fs::create_dir(&clusters).unwrap();
    assert_eq!(levels(&clusters), [Level::Note, Level::Ok]);
    fs::write(clusters.join("README"), "").unwrap();
    fs::write(clusters.join("alpha.toml"), "").unwrap();
    assert_eq!(levels(&clusters), [Level::Error, Level::Note, Level::Ok]);
}

#[test]
fn an_object_says_what_the_text_says() {
    let (_dir, file) = draft(POLICY.replace("uuid", "uuhd"));
    let object = only(&file).object();
    assert_eq!(object["file"], file.display().to_string());
    assert_eq!(object["level"], "error");
    assert_eq!((&object["line"], &object["column"]), (&json!(3), &json!(1)));
    assert!(object["message"].as_str().unwrap().starts_with("unknown key"), "{object}");
    let words = [Level::Ok, Level::Note, Level::Error, Level::Unable].map(Level::word);
    assert_eq!(words, ["ok", "note", "error", "unable"]);
}
