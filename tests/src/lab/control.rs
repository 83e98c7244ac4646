//! Scripts that run in the lab's dom0, through a virtio port: see tests/image/control. The port
//! outlives going back to a snapshot, and costs a tenth of what a login does.

use crate::error::{Doing, Result};
use crate::running::Output;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as BASE64;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The way into one dom0.
#[derive(Debug)]
pub(super) struct Control {
    port: Mutex<Port>,
    waiting: Waiting,
}

#[derive(Debug)]
struct Port {
    stream: UnixStream,
    last: u64,
}

type Waiting = Arc<Mutex<HashMap<u64, Sender<String>>>>;

/// A script that is running in dom0.
#[derive(Debug)]
pub struct Script {
    words: String,
    began: Instant,
    answer: Receiver<String>,
}

/// Nothing that a test runs in dom0 takes longer.
const LONGEST: Duration = Duration::from_secs(300);

impl Control {
    pub(super) fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).doing("reach the lab's dom0")?;
        let lines = BufReader::new(stream.try_clone().doing("share a socket")?);
        let waiting = Waiting::default();
        let there = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in lines.split(b'\n').map_while(std::result::Result::ok) {
                let line = String::from_utf8_lossy(&line);
                let Some((number, answer)) = line.trim().split_once(' ') else { continue };
                let Ok(number) = number.parse::<u64>() else { continue };
                if let Some(sender) = locked(&there).remove(&number) {
                    let _ = sender.send(answer.to_owned());
                }
            }
        });
        Ok(Self { port: Mutex::new(Port { stream, last: 0 }), waiting })
    }

    /// Starts a script in dom0.
    pub(super) fn start(&self, script: &str) -> Result<Script> {
        let mut port = locked(&self.port);
        port.last += 1;
        let number = port.last;
        let (sender, answer) = channel();
        locked(&self.waiting).insert(number, sender);
        let began = Instant::now();
        let line = format!("{number} {}\n", BASE64.encode(script));
        port.stream.write_all(line.as_bytes()).doing("write to the lab's dom0")?;
        Ok(Script { words: script.to_owned(), began, answer })
    }
}

impl Script {
    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end in five minutes, or what it said is not understood.
    #[must_use]
    #[track_caller]
    pub fn wait(self) -> Output {
        let answer = self.answer.recv_timeout(LONGEST);
        let Ok(answer) = answer else { panic!("no answer from dom0 to: {}", self.words) };
        let mut fields = answer.split(' ');
        let code = fields.next().and_then(|code| code.parse().ok());
        let mut text = || {
            let field = fields.next()?.strip_prefix('=')?;
            Some(String::from_utf8_lossy(&BASE64.decode(field).ok()?).into_owned())
        };
        let (Some(code), Some(stdout), Some(stderr)) = (code, text(), text()) else {
            panic!("dom0 answered {answer:?} to: {}", self.words)
        };
        Output { command: self.words, code, stdout, stderr, took: self.began.elapsed() }
    }

    /// Waits for its end, no longer than this: whether it ended.
    pub fn ends_within(self, time: Duration) -> std::result::Result<Output, Self> {
        match self.answer.recv_timeout(time) {
            Ok(answer) => {
                let (sender, receiver) = channel();
                let _ = sender.send(answer);
                Ok(Self { answer: receiver, ..self }.wait())
            }
            Err(_) => Err(self),
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
