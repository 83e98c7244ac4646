//! How the host is looked at: files and commands, each within a time limit, and the finding for
//! what could not be looked at.

use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::path::Path;
use std::time::Duration;
use xen_fence_broker::bounded;
use xen_fence_broker::command::{self, Finished};
pub(super) use xen_fence_broker::host::text;
use xen_fence_broker::names::ClusterName;

/// A command of the host that takes longer is not waited for.
const COMMAND: Duration = Duration::from_secs(10);
/// The same for what a file system answers.
const FILE: Duration = Duration::from_secs(3);

/// A question about too much was left open.
const OPEN: Code = Code {
    id: "XF049",
    severity: Severity::Warning,
    title: "whether too much could get through was not found out",
};
/// A question about a fence was left open.
const UNSURE: Code = Code {
    id: "XF149",
    severity: Severity::Warning,
    title: "whether a fence would fail was not found out",
};

/// Whether the audit can look at everything.
pub(crate) const FAMILY: Family = Family { codes: &[&OPEN, &UNSURE], look: as_root };

/// Which of the two halves of the report a question belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Too much could get through.
    TooMuch,
    /// A fence would fail.
    AFence,
}

fn as_root(_: &Scene) -> Vec<Finding> {
    if users::get_effective_uid() == 0 {
        return Vec::new();
    }
    let why = "only root can look at everything here; what is not said below was not looked at";
    vec![unseen(About::TooMuch, "the audit", why, "sudo xen-fence-admin audit")]
}

/// The finding for what could not be looked at.
pub(super) fn unseen(about: About, what: &str, why: impl Into<String>, mend: &str) -> Finding {
    let code = match about {
        About::TooMuch => &OPEN,
        About::AFence => &UNSURE,
    };
    finding(code, what, why, mend)
}

/// A finding that concerns the whole host.
pub(super) fn finding(
    code: &'static Code,
    about: impl ToString,
    evidence: impl Into<String>,
    mend: impl Into<String>,
) -> Finding {
    let (evidence, mend) = (evidence.into(), mend.into());
    Finding { code, clusters: Vec::new(), about: about.to_string(), evidence, mend }
}

/// A finding that concerns these clusters.
pub(super) fn finding_of(
    clusters: &[&ClusterName],
    code: &'static Code,
    about: impl ToString,
    evidence: impl Into<String>,
    mend: impl Into<String>,
) -> Finding {
    let clusters = clusters.iter().map(ToString::to_string).collect();
    Finding { clusters, ..finding(code, about, evidence, mend) }
}

/// Works on the file system, and not for longer than a file system that answers takes.
pub(super) fn in_time<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    bounded::within(FILE, work).map_err(|undone| format!("{what}: no answer {undone}"))
}

/// Runs a program of the host.
pub(super) fn run(program: &str, args: &[&str]) -> Result<Finished, String> {
    command::run(Path::new(program), args, COMMAND).map_err(|error| error.to_string())
}

/// Whether systemd is what runs this host's services.
pub(super) fn has_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// A word as a shell reads it back.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The same for a path.
pub(super) fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_for_a_shell() {
        for word in ["/etc/xen/a.cfg", "", "a b", "it's", "$(reboot)", "a;b", "*"] {
            let line = format!("printf %s {}", quoted(word));
            let said = run("/bin/sh", &["-c", &line]).unwrap();
            assert_eq!(said.stdout, word);
        }
        assert_eq!(quoted("/etc/xen/a.cfg"), "/etc/xen/a.cfg");
    }
}
