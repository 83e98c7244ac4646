//! The rules of speech: every byte that the agent writes goes through here.
//!
//! Standard output holds the answer, standard error the talk: `xen-fence: error: …`, then
//! `xen-fence: hint: …`, lower case, no full stop. A closed pipe or terminal never ends a
//! fence, so no write here can fail loudly. On a terminal the last line of the talk tells what is
//! going on.

use crate::course::Watch;
use crate::error::Error;
use crate::phase::{Phase, Phases, millis};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Says things.
pub(crate) struct Report {
    verbose: bool,
    /// For what has one line to say and no more.
    silent: bool,
    live: Option<Live>,
    again: Option<String>,
}

impl Report {
    /// A report; on a terminal it shows what is being waited for.
    pub(crate) fn new(verbose: bool, json: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        let live = !dumb && !json && io::stderr().is_terminal();
        Self { verbose, silent: false, live: live.then(Live::start), again: None }
    }

    /// A report that tells the answer alone.
    pub(crate) const fn silent() -> Self {
        Self { verbose: false, silent: true, live: None, again: None }
    }

    /// Prints a line of the answer.
    pub(crate) fn answer(&self, line: &str) {
        self.clear();
        let _ = writeln!(io::stdout(), "{line}");
        let _ = io::stdout().flush();
    }

    /// Prints an error and its hints.
    pub(crate) fn error(&self, error: &Error) {
        self.say(&format!("error: {error}"));
        for hint in &error.hints {
            self.say(&format!("hint: {hint}"));
        }
    }

    /// Prints what clap has to say about a command line, in our form.
    pub(crate) fn usage(&self, text: &str) {
        self.say(text.trim_end());
    }

    /// Prints what was done.
    pub(crate) fn news(&self, text: &str) {
        self.say(text);
    }

    /// Prints something to know.
    pub(crate) fn warning(&self, text: &str) {
        self.say(&format!("warning: {text}"));
    }

    /// Prints something that only `-v` shows.
    pub(crate) fn detail(&self, text: &str) {
        if self.verbose {
            self.say(text);
        }
    }

    /// Prints the one line of timings, for those who watch.
    pub(crate) fn timings(&self, phases: &Phases, total: Duration) {
        if self.verbose || self.live.is_some() {
            self.say(&format!("{phases}total {} ms", millis(total)));
        }
    }

    fn say(&self, text: &str) {
        if self.silent {
            return;
        }
        self.clear();
        let _ = writeln!(io::stderr(), "xen-fence: {text}");
    }

    fn clear(&self) {
        if let Some(live) = &self.live {
            live.show(None);
        }
    }
}

impl Watch for Report {
    fn begins(&mut self, phase: Phase) {
        if !matches!(phase, Phase::Resolve | Phase::Connect) {
            self.again = None;
        }
        if let Some(live) = &self.live {
            // What keeps it from connecting says more than that it connects.
            if self.again.is_none() {
                live.show(Some(phase.doing().to_owned()));
            }
        }
    }

    fn ended(&mut self, phase: Phase, took: Duration, detail: &str) {
        if self.verbose {
            let word = phase.word();
            self.say(format!("{word:12} {:>8} ms  {detail}", millis(took)).trim_end());
        }
    }

    fn retries(&mut self, error: &Error) {
        let text = format!("trying again: {error}");
        if self.again.as_deref() == Some(text.as_str()) {
            return;
        }
        if self.verbose || self.live.is_none() {
            self.say(&text);
        } else if let Some(live) = &self.live {
            // The cause stands at the end, and the line is short.
            let cause = error.message.rsplit(": ").next().unwrap_or_default();
            live.show(Some(format!("trying again: {cause}")));
        }
        self.again = Some(text);
    }

    fn details(&mut self, text: &str) {
        self.detail(text);
    }

    fn tells(&mut self, text: &str) {
        match &self.live {
            Some(live) if !self.verbose => live.show(Some(text.to_owned())),
            Some(_) | None => self.detail(text),
        }
    }

    fn warns(&mut self, text: &str) {
        self.warning(text);
    }
}

/// The line at the bottom of a terminal, redrawn every second by a thread, because whoever waits
/// for dom0 is inside a call then.
struct Live(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    doing: Option<(String, Instant)>,
    drawn: bool,
}

/// Longer lines would wrap and could not be taken back.
const WIDTH: usize = 72;

impl Live {
    fn start() -> Self {
        let shown = Arc::new(Mutex::new(Shown::default()));
        let of_thread = Arc::downgrade(&shown);
        let redraw = move || {
            loop {
                thread::sleep(Duration::from_secs(1));
                let Some(shown) = of_thread.upgrade() else { return };
                shown.lock().unwrap_or_else(PoisonError::into_inner).draw();
            }
        };
        // Without the thread the seconds do not count up.
        let _ = thread::Builder::new().name("terminal".to_owned()).spawn(redraw);
        Self(shown)
    }

    fn show(&self, doing: Option<String>) {
        let mut shown = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match (&shown.doing, &doing) {
            (Some((before, since)), Some(doing)) if before == doing => *since,
            (Some(_) | None, _) => Instant::now(),
        };
        shown.doing = doing.map(|doing| (doing, since));
        shown.draw();
    }
}

impl Shown {
    fn draw(&mut self) {
        let mut line = String::new();
        if self.drawn {
            line.push_str("\r\u{1b}[K");
        }
        self.drawn = self.doing.is_some();
        if let Some((doing, since)) = &self.doing {
            let text: String = doing.chars().take(WIDTH).collect();
            let seconds = since.elapsed().as_secs();
            line.push_str(&text);
            line.push_str(" …");
            if seconds > 0 {
                line.push_str(&format!(" {seconds} s"));
            }
        }
        let mut stderr = io::stderr();
        let _ = stderr.write_all(line.as_bytes());
        let _ = stderr.flush();
    }
}
