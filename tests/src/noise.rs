//! A tenant's noise at the sshd of a throwaway dom0: the program `noise`, run in a node.

use crate::error::{Doing, Error, Result};
use crate::running::Running;
use crate::throwaway::{ADDRESS, Dom0};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ChildStdout;

/// Where it is in dom0, and so in its domains.
const PROGRAM: &str = "/usr/lib/stand-in/noise";

/// A hundred addresses that a node gives itself, and nobody keeps it from it.
pub const MANY_ADDRESSES: &str = "from=10.77.0.100-10.77.0.199";

/// Noise that goes on until it is dropped.
pub struct Noise {
    process: Running,
    told: BufReader<ChildStdout>,
    /// What it has got.
    pub up: String,
}

impl Noise {
    /// Has db1 of the cluster beta make this noise, and returns when it has got what it can get.
    pub fn make(dom0: &Dom0, program: &Path, words: &[&str]) -> Result<Self> {
        let bytes = std::fs::read(program).doing(format!("read {}", program.display()))?;
        dom0.write(PROGRAM, &bytes, 0o755);
        // The kernel counts an account's processes by its number, which accounts of other throwaway dom0s
        // have as well: this one's is its own.
        let number = (60_000 + dom0.init() % 5_000).to_string();
        let own =
            ["sh", "-c", "test $(id -u fence-beta) = $0 || usermod --uid $0 fence-beta", &number];
        let _ = dom0.place().must(&own)?;
        let place = dom0.in_node("beta", "db1");
        if words.contains(&MANY_ADDRESSES) {
            let line =
                "for n in $(seq 100 199); do ip address replace 10.77.0.$n/24 dev eth0; done";
            let _ = place.must(&["sh", "-ec", line])?;
        }
        let to = format!("{ADDRESS}:{}", dom0.sshd().port());
        let command = [&[PROGRAM, &to, "account=fence-beta"], words].concat();
        let mut process = place.spawn(&command);
        let out = process.stdout().ok_or_else(|| Error::new("noise has no output"))?;
        let mut told = BufReader::new(out);
        let mut up = String::new();
        told.read_line(&mut up).doing("hear from the noise")?;
        let up = up.strip_prefix("up ").ok_or_else(|| Error::new("no noise could be made"))?;
        let up = up.trim_end().to_owned();
        Ok(Self { process, told, up })
    }

    /// Ends it; what it had got in the end.
    pub fn end(mut self) -> Result<String> {
        let _ = self.process.wait();
        let mut end = String::new();
        self.told.read_to_string(&mut end).doing("hear from the noise")?;
        Ok(end.trim().trim_start_matches("end ").to_owned())
    }
}
