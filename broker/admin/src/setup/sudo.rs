//! sudo's own word on its rule, and on whether a cluster's account can start the broker.

use super::Fault;
use std::path::Path;
use std::time::Duration;
use xen_fence_broker::command;

const VISUDO: &str = "/usr/sbin/visudo";
const SUDO: &str = "/usr/bin/sudo";
const BROKER: [&str; 2] = ["/usr/sbin/xen-fence-broker", "serve"];
/// It may ask a directory server for groups.
const LIMIT: Duration = Duration::from_secs(30);

/// Whether a rule is one; where there is no visudo, nobody can say.
pub(super) fn accepts(rule: &Path) -> Result<(), Fault> {
    if !Path::new(VISUDO).exists() {
        return Ok(());
    }
    let rule = rule.display().to_string();
    match command::run(Path::new(VISUDO), &["-c", "-q", "-f", &rule], LIMIT) {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("visudo does not accept it: {}", done.last_words())),
        Err(error) => Err(error.to_string()),
    }
}

/// Asks sudo as root, which it answers without a password.
pub(super) fn lets(cluster: &str) -> Result<(), Fault> {
    let account = format!("fence-{cluster}");
    let arguments = ["-n", "-l", "-U", &account, BROKER[0], BROKER[1]];
    let why = match command::run(Path::new(SUDO), &arguments, LIMIT) {
        Ok(done) if done.status.success() => return Ok(()),
        Ok(done) => crate::output::escaped(done.last_words()),
        Err(error) => error.to_string(),
    };
    let said = if why.is_empty() { String::new() } else { format!(": {why}") };
    Err(format!(
        "sudo does not let {account} start the broker{said}\n  hint: /etc/sudoers needs the line \
         `@includedir /etc/sudoers.d`; `sudo -l -U {account}` shows what it may"
    ))
}
