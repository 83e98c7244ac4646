//! Bugs that are planted, one at a time, in a copy of the broker's source: each has to be found.
//!
//! The shipped broker has no switch for them. The copy has one, so that it is built once; a text that
//! is to be replaced and does not stand in the source exactly once ends the run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bug: what it is, in which file of the broker, what stands there and what stands there instead.
/// `PLANTED` becomes the question whether it is this one's turn.
pub struct Bug {
    pub name: &'static str,
    file: &'static str,
    instead_of: &'static str,
    stands: &'static str,
}

/// All of them. Their number is their place, counted from 1.
pub const BUGS: &[Bug] = &[
    Bug {
        name: "xl's word is believed: no listing behind the kill",
        file: "fence.rs",
        instead_of: "if self.kill_what_lives(seen)? {",
        stands: "if self.kill_what_lives(seen)? {\nif PLANTED { return self.proven(); }",
    },
    Bug {
        name: "each caller has a lock of its own",
        file: "serve/case.rs",
        instead_of: "self.run.join(format!(\"{}.lock\", self.cluster))",
        stands: "if PLANTED { return self.turn_path().with_extension(\"lock\"); }\nself.run.join(format!(\"{}.lock\", self.cluster))",
    },
    Bug {
        name: "the id of a retry is ignored",
        file: "earlier.rs",
        instead_of: "let retried = last.is_of(asked.id) || superseded;",
        stands: "let retried = !PLANTED && (last.is_of(asked.id) || superseded);",
    },
    Bug {
        name: "go is not awaited: silence is as good",
        file: "standoff.rs",
        instead_of: "Heard::Silence => self.let_go(now),",
        stands: "Heard::Silence if PLANTED => Next::Go(Then::Start),\nHeard::Silence => self.let_go(now),",
    },
    Bug {
        name: "a go that was on its way for too long counts",
        file: "standoff.rs",
        instead_of: "if now > self.until() {",
        stands: "if !PLANTED && now > self.until() {",
    },
    Bug {
        name: "what came before ready is not refused",
        file: "serve/mod.rs",
        instead_of: "if !self.session.has_spoken() {",
        stands: "if PLANTED || !self.session.has_spoken() {",
    },
    Bug {
        name: "a corpse counts as gone",
        file: "sight.rs",
        instead_of: "let dying = self.rows.iter().find(|sighted| !sighted.row.lives());",
        stands: "let dying = self.rows.iter().find(|sighted| !PLANTED && !sighted.row.lives());",
    },
    Bug {
        name: "nobody looks for what would bring the node back",
        file: "sight.rs",
        instead_of: "nodes.iter().map(|node| self.processes.restarters(node)).collect::<Result<_, _>>()?;",
        stands: "nodes.iter().map(|node| self.processes.restarters(node)).collect::<Result<_, _>>()?;\nlet restarters: Vec<Vec<Process>> = if PLANTED { nodes.iter().map(|_| Vec::new()).collect() } else { restarters };",
    },
    Bug {
        name: "device models are not waited for",
        file: "processes.rs",
        instead_of: "} else if entry.is_device_model_of(node, domids) {",
        stands: "} else if !PLANTED && entry.is_device_model_of(node, domids) {",
    },
    Bug {
        name: "what was absent before go is taken for absent behind it",
        file: "serve/kill.rs",
        instead_of: "let sight = if called_off || old || !sight.lives() {",
        stands: "let sight = if !PLANTED && (called_off || old || !sight.lives()) {",
    },
    Bug {
        name: "a power-on that is planned is not called off",
        file: "power_on/plan.rs",
        instead_of: "for path in tokens {",
        stands: "for path in tokens.into_iter().filter(|_| !PLANTED) {",
    },
    Bug {
        name: "every node of the cluster is everybody's target",
        file: "acl/decide.rs",
        instead_of: "if !self.targets.include(node.name()) {",
        stands: "if !PLANTED && !self.targets.include(node.name()) {",
    },
    Bug {
        name: "no key is asked for",
        file: "acl/decide.rs",
        instead_of: "if keys.value.iter().any(|known| known.fingerprint() == *key) {",
        stands: "if PLANTED || keys.value.iter().any(|known| known.fingerprint() == *key) {",
    },
    Bug {
        name: "the lock is let go once everything is checked",
        file: "serve/kill.rs",
        instead_of: "let asker = asker::find(work, &sight, &before)?;",
        stands: "let asker = asker::find(work, &sight, &before)?; let lock = if PLANTED { drop(lock); \
                 let own = work.lock_path().with_extension(work.id.to_string()); \
                 match take(case, &own, work.host.clock.now().after(GO_BY), \"planted\")? { \
                 Some(own) => own, None => return Ok(()) } } else { lock };",
    },
    Bug {
        name: "no intent is written",
        file: "serve/kill.rs",
        instead_of: "case.record(Event::Intent, Severe::Notice, \"killing\", &work.basis());",
        stands: "if !PLANTED { case.record(Event::Intent, Severe::Notice, \"killing\", &work.basis()); }",
    },
    Bug {
        name: "no outcome is written",
        file: "serve/kill.rs",
        instead_of: "case.record(Event::Outcome, severe, result, &format!(\"{text}{stated}\"));",
        stands: "if !PLANTED { case.record(Event::Outcome, severe, result, &format!(\"{text}{stated}\")); }",
    },
    Bug {
        name: "what was in flight when a broker was killed is not closed",
        file: "journal/in_flight.rs",
        instead_of: "(!lives(&self.broker())).then_some(Cut::BrokerEnded)",
        stands: "(!PLANTED && !lives(&self.broker())).then_some(Cut::BrokerEnded)",
    },
    Bug {
        name: "the record goes into the chain where the disk lost the one before",
        file: "journal/file.rs",
        instead_of: "let _torn = self.file.set_len(self.length);",
        stands: "if !PLANTED { let _torn = self.file.set_len(self.length); } else { return Ok(()); }",
    },
    Bug {
        name: "a hold that was set between ready and go is not seen",
        file: "serve/kill.rs",
        instead_of: "let restraint = restraint.again(work, node);",
        stands: "let restraint = if PLANTED { restraint } else { restraint.again(work, node) };",
    },
    Bug {
        name: "a reset stands for the next ones for ever",
        file: "earlier.rs",
        instead_of: "u128::from(age) <= RESET_IS_NEW.as_millis() && asked.lives",
        stands: "(PLANTED || u128::from(age) <= RESET_IS_NEW.as_millis()) && asked.lives",
    },
    Bug {
        name: "who was answered with a reset is answered with it again",
        file: "earlier.rs",
        instead_of: "let may_mean = asked.answered &&",
        stands: "let may_mean = !PLANTED && asked.answered &&",
    },
    Bug {
        name: "a hold that was set while the proof went on is not seen",
        file: "serve/scene.rs",
        instead_of: "if let Some(held) = held.filter(Restraint::forbids_kill) {",
        stands: "if let Some(held) = held.filter(Restraint::forbids_kill).filter(|_| !PLANTED) {",
    },
    Bug {
        name: "any power-on counts as the last reset's",
        file: "serve/join.rs",
        instead_of: "comes_up: last.is_some_and(|last| starting.iter().any(|id| last.is_of_request(id))),",
        stands: "comes_up: if PLANTED { !starting.is_empty() } else { last.is_some_and(|last| starting.iter().any(|id| last.is_of_request(id))) },",
    },
    Bug {
        name: "rows that cannot be read are left out of a listing",
        file: "toolstack/listing.rs",
        instead_of: "rows.push(Row::parse(text).map_err(|what| ListingError::Row { line, what })?);",
        stands: "match Row::parse(text) { Ok(row) => rows.push(row), Err(_) if PLANTED => {} Err(what) => return Err(ListingError::Row { line, what }) }",
    },
    Bug {
        name: "whoever still has the lock kills once more without a question",
        file: "serve/scene.rs",
        instead_of: "if std::mem::take(&mut self.go_is_fresh) && clock.now() < too_old {",
        stands: "if std::mem::take(&mut self.go_is_fresh) || (PLANTED && self.lock.is_some()) {",
    },
    Bug {
        name: "another kill is never too late",
        file: "serve/scene.rs",
        instead_of: "let too_old = self.case.asked_at.after(AGENT_DEADLINE);",
        stands: "let too_old = if PLANTED { clock.now() } else { self.case.asked_at }.after(AGENT_DEADLINE);",
    },
    Bug {
        name: "whoever still has the lock looks for no hold that was set since",
        file: "serve/scene.rs",
        instead_of: "if self.lock.is_none() {\n            // Most",
        stands: "if PLANTED && self.lock.is_some() && clock.now() < too_old { return Ok(()); }\n        if self.lock.is_none() {\n            // Most",
    },
];

/// The variable that says whose turn it is, to the copy.
pub const TURN: &str = "XEN_FENCE_PLANTED";

const SWITCH: &str = "
/// Whether it is the turn of the planted bug of this number.
pub fn planted(number: usize) -> bool {
    static TURN: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    let read = || std::env::var(\"XEN_FENCE_PLANTED\").ok().and_then(|turn| turn.parse().ok());
    *TURN.get_or_init(|| read().unwrap_or(0)) == number
}
";

/// Builds this test against a copy of the broker that has the bugs; answers with the program.
///
/// # Errors
/// A sentence that says what is in the way.
pub fn build() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).ok_or("no workspace")?;
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    // TARGET/PROFILE/schedules
    let target = own.ancestors().nth(2).ok_or("this is not where cargo puts programs")?;
    let copy = target.join("planted");
    lay_out(root, &copy).map_err(|error| format!("{} cannot be made: {error}", copy.display()))?;
    plant(&copy.join("broker/src"))?;
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--locked",
            "--quiet",
            "--profile",
            "schedules",
            "-p",
            "xen-fence-schedules",
        ])
        .args(["--message-format", "json", "--target-dir"])
        .arg(copy.join("target"))
        .current_dir(&copy)
        .env_remove("CARGO_MANIFEST_DIR")
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot be run: {error}"))?;
    let lines = String::from_utf8_lossy(&built.stdout).into_owned();
    let messages = lines.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut program = messages.filter_map(|message: serde_json::Value| {
        let is_it = message["target"]["name"] == "schedules";
        message["executable"].as_str().filter(|_| is_it).map(PathBuf::from)
    });
    program
        .next_back()
        .filter(|_| built.status.success())
        .ok_or_else(|| "the copy cannot be built".to_owned())
}

/// A workspace like this one, whose broker is a copy. What has not changed since is left as it is, so
/// that nothing is built twice.
fn lay_out(root: &Path, copy: &Path) -> std::io::Result<()> {
    fs::create_dir_all(copy)?;
    copy_all(&root.join("broker"), &copy.join("broker"))?;
    for file in ["Cargo.toml", "Cargo.lock"] {
        put(&copy.join(file), &fs::read(root.join(file))?)?;
    }
    for dir in ["agent", "tests", "docs"] {
        let link = copy.join(dir);
        if fs::read_link(&link).ok() != Some(root.join(dir)) {
            let _old = fs::remove_file(&link);
            std::os::unix::fs::symlink(root.join(dir), &link)?;
        }
    }
    Ok(())
}

fn copy_all(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to)?;
        } else {
            put(&to, &fs::read(entry.path())?)?;
        }
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) { Ok(()) } else { fs::write(path, bytes) }
}

fn plant(source: &Path) -> Result<(), String> {
    let edit = |file: &str, change: &dyn Fn(String) -> Result<String, String>| {
        let path = source.join(file);
        let cannot = |error: std::io::Error| format!("{}: {error}", path.display());
        let text = change(fs::read_to_string(&path).map_err(cannot)?)?;
        fs::write(&path, text).map_err(cannot)
    };
    edit("lib.rs", &|text| Ok(text + SWITCH))?;
    for (number, bug) in (1..).zip(BUGS) {
        edit(bug.file, &|text| {
            if text.matches(bug.instead_of).count() != 1 {
                return Err(format!(
                    "broker/src/{} has not just one {:?}: plant \"{}\" elsewhere",
                    bug.file, bug.instead_of, bug.name
                ));
            }
            let stands = bug.stands.replace("PLANTED", &format!("crate::planted({number})"));
            Ok(text.replace(bug.instead_of, &stands))
        })?;
    }
    Ok(())
}
