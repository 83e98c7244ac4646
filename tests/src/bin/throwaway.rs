//! The helper of the throwaway dom0: `hold` holds one, `enter` runs a command in one, `sweep` removes
//! the cgroup of one whose holder was killed; their caller is the library. `shell` is for people.

use std::ffi::OsString;
use std::process::ExitCode;
use xen_fence_tests::throwaway::{Dom0, Entry, Error, Init, Result, What, enter, hold, sweep};

const USAGE: &str = "usage: throwaway hold [--systemd]\n       throwaway sweep\n       throwaway shell [COMMAND...]\n       throwaway enter --init=PID \
[--domain=PID [--etc=DIRECTORY]] [--cgroup=GROUP] [--detach] -- COMMAND...";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let word = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let done = match word.to_str() {
        Some("hold") => hold(if rest.iter().any(|word| word == "--systemd") {
            Init::Systemd
        } else {
            Init::Plain
        }),
        Some("sweep") => sweep(),
        Some("shell") => shell(&rest),
        Some("enter") => entry(rest).and_then(enter),
        _ => Err(Error::new(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("throwaway: {error}");
            ExitCode::from(125)
        }
    }
}

/// Raises a dom0 with two clusters, runs a shell or a command in it, and removes it.
fn shell(words: &[OsString]) -> Result<()> {
    let dom0 = Dom0::builder()
        .cluster("alpha", &["node1", "node2"])
        .cluster("beta", &["db1", "db2"])
        .raise()?;
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let words = if words.is_empty() { vec!["bash"] } else { words };
    let status = dom0.place().command(&words).status();
    status.map(drop).map_err(|error| Error::new(format!("cannot run a shell: {error}")))
}

fn entry(words: Vec<OsString>) -> Result<Entry> {
    let mut entry = Entry::default();
    let mut words = words.into_iter();
    for word in words.by_ref() {
        if word == "--" {
            break;
        }
        let word = word.to_str().unwrap_or_default();
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        let number = || value.parse::<i32>().map_err(|_| Error::new(USAGE));
        match name {
            "--init" => entry.init = number()?,
            "--domain" => entry.domain = Some(number()?),
            "--etc" => entry.etc = Some(value.into()),
            "--cgroup" => entry.cgroup = Some(value.to_owned()),
            "--detach" => entry.detach = true,
            "--mute-log" => entry.detach = true,
            _ => return Err(Error::new(USAGE)),
        }
    }
    let command: Vec<OsString> = words.collect();
    if !command.is_empty() {
        entry.what = What::Program(command);
    }
    Ok(entry)
}
