//! The lab with the real hypervisor, for people: boots it, gives a shell in its dom0, records what
//! its xl prints, measures.

use std::process::{Command, ExitCode};
use xen_fence_tests::lab::{Lab, figures, record};
use xen_fence_tests::{Error, Result};

const USAGE: &str = "usage: xen-lab boot\n       xen-lab shell [COMMAND...]\n       \
                     xen-lab record DIRECTORY [GROUP...]\n       xen-lab figures [ROUNDS]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.split_first() {
        Some((word, [])) if word == "boot" => boot(),
        Some((word, command)) if word == "shell" => match shell(command) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Some((word, [directory, groups @ ..])) if word == "record" => {
            raise().and_then(|mut lab| record(&mut lab, directory.as_ref(), groups))
        }
        Some((word, [])) if word == "figures" => raise().and_then(|lab| figures(&lab, 20)),
        Some((word, [rounds])) if word == "figures" => match rounds.parse() {
            Ok(rounds) => raise().and_then(|lab| figures(&lab, rounds)),
            Err(_) => Err(Error::new(USAGE)),
        },
        _ => Err(Error::new(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xen-lab: {error}");
            ExitCode::from(125)
        }
    }
}

/// Boots it, tells how to get in, and keeps it until the Enter key.
fn boot() -> Result<()> {
    let lab = raise()?;
    println!("a shell in dom0:  {}", lab.login().join(" "));
    println!("the console:      {}", lab.console().display());
    println!("Enter ends it.");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map(drop).map_err(|error| Error::new(error.to_string()))
}

/// Ends as the command there does.
fn shell(command: &[String]) -> Result<ExitCode> {
    let lab = raise()?;
    let login = lab.login();
    let mut ssh = Command::new(&login[0]);
    ssh.args(&login[1..]).args(command);
    let status = ssh.status();
    let status = status.map_err(|error| Error::new(format!("cannot run ssh: {error}")))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(255)))
}

fn raise() -> Result<Lab> {
    let lab = Lab::raise()?;
    match lab.booted_in {
        Some(time) => {
            println!("dom0 answered after {:.1} s; node1 and node2 write", time.as_secs_f64())
        }
        None => println!("dom0, node1 and node2 are where an earlier boot left them"),
    }
    Ok(lab)
}
