//! QEMU's monitor: one JSON object a line, as its documentation of QMP has it.

use crate::error::{Doing, Error, Result};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A connection to the monitor of one machine.
#[derive(Debug)]
pub(super) struct Monitor {
    lines: BufReader<UnixStream>,
}

impl Monitor {
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).doing("reach QEMU's monitor")?;
        let mut monitor = Self { lines: BufReader::new(stream) };
        monitor.read()?;
        monitor.execute(&json!({ "execute": "qmp_capabilities" }))?;
        Ok(monitor)
    }

    /// A command as a person types it at the monitor. Those used here say nothing when all is well.
    pub(super) fn command(&mut self, line: &str) -> Result<()> {
        let answer = self.execute(
            &json!({ "execute": "human-monitor-command", "arguments": { "command-line": line } }),
        )?;
        match answer.as_str().map(str::trim) {
            None | Some("") => Ok(()),
            Some(words) => Err(Error::new(format!("QEMU's monitor, asked to {line}: {words}"))),
        }
    }

    fn execute(&mut self, command: &Value) -> Result<Value> {
        let stream = self.lines.get_mut();
        writeln!(stream, "{command}").doing("write to QEMU's monitor")?;
        loop {
            let mut answer = self.read()?;
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
            if let Some(error) = answer.get("error") {
                return Err(Error::new(format!("QEMU's monitor, asked {command}: {error}")));
            }
        }
    }

    fn read(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.lines.read_line(&mut line).doing("read from QEMU's monitor")?;
        serde_json::from_str(&line).doing(format!("understand QEMU's monitor, which said {line:?}"))
    }
}
