//! The hypervisor's own tools: do they answer within the time that the broker gives them?

use super::look::{self, finding};
use super::policy;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::path::{Path, PathBuf};
use std::time::Instant;
use xen_fence_broker::serve::toolstack;
use xen_fence_broker::settings::Settings;

const XENSTORE: Code =
    Code { id: "XF147", severity: Severity::Serious, title: "xenstore does not answer" };
const TOOLSTACK: Code = Code {
    id: "XF148",
    severity: Severity::Serious,
    title: "the toolstack does not list the domains in time",
};

/// xenstore and the toolstack.
pub(crate) const FAMILY: Family = Family { codes: &[&XENSTORE, &TOOLSTACK], look };

/// The same two places that the broker knows.
const XENSTORE_LS: [&str; 2] = ["/usr/bin/xenstore-ls", "/usr/sbin/xenstore-ls"];

fn look(_: &Scene) -> Vec<Finding> {
    // With xenstored dead every command of xl hangs: it is one fault, not two.
    if let Some(finding) = xenstore() {
        return vec![finding];
    }
    // Without settings the broker asks no toolstack, which is the policy's finding.
    policy::settings().ok().and_then(|settings| lists(&settings)).into_iter().collect()
}

fn xenstore() -> Option<Finding> {
    let there = XENSTORE_LS.iter().find(|path| Path::new(path).is_file());
    let program = there.or(XENSTORE_LS.first()).copied().unwrap_or_default();
    let why = look::run(program, &["-f", "/local/domain/0/backend"]).err()?;
    let evidence = format!("{why}: no command of the toolstack works either");
    let mend = "systemctl status xenstored: a xenstored that died cannot be started anew under \
                running domains, so shut down what still can, and boot this host";
    Some(finding(&XENSTORE, "xenstore", evidence, mend))
}

fn lists(settings: &Settings) -> Option<Finding> {
    let begun = Instant::now();
    let toolstack = toolstack(settings);
    let why = toolstack.list().err()?;
    let evidence = format!("{why} (after {} ms)", begun.elapsed().as_millis());
    let mend = format!(
        "try {} list -v by hand, as root; where it is another program, name it in \
         /etc/xen-fence/broker.toml",
        program(settings).display()
    );
    Some(finding(&TOOLSTACK, toolstack.name(), evidence, mend))
}

/// The toolstack's program.
pub(super) fn program(settings: &Settings) -> PathBuf {
    let create = toolstack(settings).create_command(Path::new("/"));
    create.first().map(PathBuf::from).unwrap_or_default()
}
