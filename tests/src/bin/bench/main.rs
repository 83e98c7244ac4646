//! Measures a fence against what an administrator would type instead: `ssh dom0 sudo -n true`.
//!
//! All three run in the same domain, over the same bridge, through the same sshd, one after the
//! other in each round, so that whatever else the machine does falls on all alike. Compare the
//! ratios; the milliseconds are this machine's. `bench storm` measures a fence while another tenant
//! makes noise, against the same fence in quiet.

mod storm;

use serde_json::Value;
use std::process::{Command, ExitCode};
use std::time::Instant;
use xen_fence_tests::series::{Series, broker, table};
use xen_fence_tests::throwaway::{Dom0, Error, Result};

const SELF: &str = "/usr/lib/stand-in/bench";
const ETC: &str = "/etc/xen-fence";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("inside") => inside(rounds(args.next())),
        Some("storm") => {
            storm::compare(args.next().and_then(|word| word.parse().ok()).unwrap_or(6))
        }
        Some("fences") => storm::fences(rounds(args.next())),
        first => compare(rounds(first.map(ToOwned::to_owned))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn rounds(word: Option<String>) -> usize {
    word.and_then(|word| word.parse().ok()).unwrap_or(30)
}

/// Raises the dom0, has the rounds run in node1, and prints what came of them.
fn compare(rounds: usize) -> Result<()> {
    let dom0 = Dom0::builder().cluster("alpha", &["node1", "node2"]).raise()?;
    let program = std::env::current_exe().map_err(|error| Error::new(error.to_string()))?;
    let bytes = std::fs::read(program).map_err(|error| Error::new(error.to_string()))?;
    dom0.write(SELF, &bytes, 0o755);
    // Somebody who may log in and run one harmless command as root, by the same key.
    let key = dom0.file(&format!("{}/id_ed25519.pub", dom0.node("alpha", "node1").etc()));
    let _ = dom0
        .sh("useradd --system --no-create-home --home-dir / --gid xen-fence --shell /bin/sh --password '*' typist")
        .succeeded()?;
    dom0.write("/etc/xen-fence/keys/typist", &key, 0o644);
    dom0.write("/etc/sudoers.d/typist", "typist ALL = (root) NOPASSWD: /usr/bin/true\n", 0o440);
    // A second address of the same dom0, at which nobody is.
    let known = format!("{}/known_hosts", dom0.node("alpha", "node1").etc());
    let key = dom0.file(&known).split_once(' ').map(|(_, key)| key.to_owned()).unwrap_or_default();
    dom0.write(&known, format!("{}[{NOBODY}]:2422 {key}", dom0.file(&known)), 0o644);

    println!("{rounds} rounds of each, one after the other, on this machine as it is now:");
    let output = dom0.in_node("alpha", "node1").run(&[SELF, "inside", &rounds.to_string()]);
    let output = output.succeeded()?;
    let mut series: Vec<Series> = Vec::new();
    for line in output.stdout.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, millis] = fields.as_slice() else { continue };
        let Ok(millis) = millis.parse() else { continue };
        match series.iter_mut().find(|one| one.name == *name) {
            Some(one) => one.millis.push(millis),
            None => series.push(Series { name: (*name).to_owned(), millis: vec![millis] }),
        }
    }
    table("", &series, |name| !name.starts_with("agent: "));
    let median = |wanted: &str| {
        series.iter().find(|one| one.name == wanted).map_or(f64::NAN, Series::median)
    };
    let fence = median(FENCE);
    println!(
        "\nA proven fence takes {:.2} times the former, {:.2} times the latter.",
        fence / median(TUNED),
        fence / median(PLAIN)
    );
    println!(
        "Heartbeat's plugin says what it is in {:.1} times what a program that does nothing takes.",
        median(NAMES) / median(NOTHING)
    );
    let dead = median(DEAD) - fence;
    println!("A dead address that is tried first costs {dead:.0} ms, of {MOST_FOR_DEAD} at most.");

    table("\nWhere the agent's time goes (phases of the same runs):", &series, |name| {
        name.starts_with("agent: ")
    });
    table(
        "\nWhere the broker's time goes (from its records):",
        &broker(&dom0.journal("alpha")),
        |_| true,
    );
    if dead > MOST_FOR_DEAD {
        return Err(Error::new("what is promised of a dead address does not hold here"));
    }
    Ok(())
}

const FENCE: &str = "xen-fence off node2, its death proven";
/// What a dead address may cost, in milliseconds.
const MOST_FOR_DEAD: f64 = 250.0;
const DEAD: &str = "the same, its dom0 behind a dead address as well";
const TUNED: &str = "ssh dom0 sudo -n true, curve25519 on both sides";
const PLAIN: &str = "ssh dom0 sudo -n true, as OpenSSH comes";

const NAMES: &str = "external/xen-fence getconfignames";
const NOTHING: &str = "true";
const PLUGIN: &str = "/usr/lib/stonith/plugins/external/xen-fence";
/// An address on the bridge that nobody has.
const NOBODY: &str = "10.77.0.99";

/// Runs in node1: the rounds, a line for each figure.
fn inside(rounds: usize) -> Result<()> {
    let identity = format!("{ETC}/id_ed25519");
    let known = format!("UserKnownHostsFile={ETC}/known_hosts");
    let ssh = [
        "-F",
        "none",
        "-T",
        "-i",
        &identity,
        "-o",
        &known,
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
        "-p",
        "2422",
    ];
    let typed = ["typist@xen1", "sudo -n true"];
    let tuned = [&ssh[..], &["-o", "KexAlgorithms=curve25519-sha256"], &typed].concat();
    let plain = [&ssh[..], &typed].concat();
    let ways = [NOBODY, "xen1"].map(|host| format!("fence-alpha@{host}:2422"));
    let dead = ["off", "node2", "--dom0", &ways[0], "--dom0", &ways[1]];
    // The first two rounds warm caches and are not counted.
    for round in 0..rounds + 2 {
        let (fence, said) = timed("xen-fence", &["off", "node2", "--json"])?;
        let (tuned, _) = timed("ssh", &tuned)?;
        let (plain, _) = timed("ssh", &plain)?;
        let _started = timed("xen-fence", &["on", "node2"])?;
        let (dead, _) = timed("xen-fence", &dead)?;
        let _started = timed("xen-fence", &["on", "node2"])?;
        let (names, _) = timed(PLUGIN, &["getconfignames"])?;
        let (nothing, _) = timed("true", &[])?;
        if round < 2 {
            continue;
        }
        println!("{FENCE}\t{fence}\n{DEAD}\t{dead}\n{TUNED}\t{tuned}\n{PLAIN}\t{plain}");
        println!("{NAMES}\t{names}\n{NOTHING}\t{nothing}");
        let said: Value =
            serde_json::from_str(&said).map_err(|error| Error::new(error.to_string()))?;
        for (name, millis) in phases(&said) {
            println!("agent: {name}\t{millis}");
        }
    }
    Ok(())
}

/// The phases of the one dom0 that was asked, in the order in which they came.
fn phases(said: &Value) -> Vec<(String, f64)> {
    const ORDER: [&str; 8] =
        ["resolve", "connect", "key_exchange", "login", "channel", "ready", "proof", "start"];
    let phases = &said["dom0s"][0]["phases"];
    let taken = |name: &&str| Some(((*name).to_owned(), phases[*name].as_f64()?));
    ORDER.iter().filter_map(taken).collect()
}

/// Runs a command that has to succeed; how long it took in milliseconds, and what it printed.
fn timed(program: &str, args: &[&str]) -> Result<(f64, String)> {
    let began = Instant::now();
    let output = Command::new(program).args(args).output();
    let took = began.elapsed().as_secs_f64() * 1000.0;
    let output = output.map_err(|error| Error::new(format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok((took, String::from_utf8_lossy(&output.stdout).into_owned()));
    }
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::new(format!("{program} {}: {}: {stderr}", args.join(" "), output.status)))
}
