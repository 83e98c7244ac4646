//! The product's own programs: there, able to run, and of one version.

use super::look::{self, finding};
use crate::acl::accounts::LAUNCHER;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::path::Path;

const MISSING: Code = Code {
    id: "XF133",
    severity: Severity::Serious,
    title: "a program of xen-fence is missing or cannot run",
};
const VERSION: Code = Code {
    id: "XF134",
    severity: Severity::Warning,
    title: "a program of xen-fence is of another version",
};

/// The product's programs.
pub(crate) const FAMILY: Family = Family { codes: &[&MISSING, &VERSION], look };

/// One of them.
pub(super) struct Program {
    pub(super) path: &'static str,
    /// What a fence needs it for.
    needed: &'static str,
}

/// Each that a fence goes through.
pub(super) const PROGRAMS: [Program; 3] = [
    Program { path: "/usr/sbin/xen-fence-broker", needed: "it is what sudo starts" },
    Program { path: LAUNCHER, needed: "it is the accounts' login shell" },
    Program {
        path: "/usr/lib/xen-fence/xen-fence-keys",
        needed: "the sshd for fencing asks it for keys",
    },
];

const MEND: &str = "install the package again, or in its source: make dom0 && make install-dom0";

fn look(_: &Scene) -> Vec<Finding> {
    PROGRAMS.iter().filter_map(of_program).collect()
}

fn of_program(program: &Program) -> Option<Finding> {
    let Program { path, needed } = program;
    if !Path::new(path).is_file() {
        let evidence = format!("it does not exist; {needed}");
        return Some(finding(&MISSING, path, evidence, MEND));
    }
    let done = match look::run(path, &["--version"]) {
        Ok(done) => done,
        Err(why) => {
            let evidence = format!("{why}; {needed}");
            return Some(finding(&MISSING, path, evidence, MEND));
        }
    };
    let own = env!("CARGO_PKG_VERSION");
    let version = done.stdout.trim().rsplit_once(' ').map(|(_, version)| version);
    match version.filter(|_| done.status.success()) {
        Some(version) if version == own => None,
        Some(version) => {
            let evidence = format!("it is {version}; this program is {own}");
            Some(finding(&VERSION, path, evidence, MEND))
        }
        None => {
            let evidence = format!(
                "asked for its version it says none ({}, {}); {needed}",
                done.ending(),
                done.last_words()
            );
            Some(finding(&MISSING, path, evidence, MEND))
        }
    }
}
