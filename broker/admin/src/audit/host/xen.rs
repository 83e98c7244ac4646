//! The hypervisor's own tools: do they answer within the time that the broker gives them?
//!
//! They are asked once, for both halves of the audit: what one half takes for answered is what the
//! other goes by.

use super::look::finding;
use super::policy;
use crate::audit::{Code, Family, Finding, Scene, Severity};
use std::path::{Path, PathBuf};
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

fn look(scene: &Scene) -> Vec<Finding> {
    let guests = scene.guests();
    // With xenstored dead every command of xl hangs: it is one fault, not two.
    if let Some(why) = guests.dead_xenstore() {
        return vec![xenstore(&why)];
    }
    // Without settings the broker asks no toolstack, which is the policy's finding.
    let settings = policy::settings().ok();
    settings
        .zip(guests.unlisted())
        .map(|(settings, why)| unlisted(&settings, why))
        .into_iter()
        .collect()
}

fn xenstore(why: &str) -> Finding {
    let evidence = format!("{why}: no command of the toolstack works either");
    let mend = "systemctl status xenstored: a xenstored that died cannot be started anew under \
                running domains, so shut down what still can, and boot this host";
    finding(&XENSTORE, "xenstore", evidence, mend)
}

fn unlisted(settings: &Settings, why: &str) -> Finding {
    let mend = format!(
        "try {} list -v by hand, as root; where it is another program, name it in \
         /etc/xen-fence/broker.toml",
        program(settings).display()
    );
    finding(&TOOLSTACK, toolstack(settings).name(), why, mend)
}

/// The toolstack's program.
pub(super) fn program(settings: &Settings) -> PathBuf {
    let create = toolstack(settings).create_command(Path::new("/"));
    create.first().map(PathBuf::from).unwrap_or_default()
}
