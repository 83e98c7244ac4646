//! What mends a step that failed: the command, and the machine on which to type it.

use crate::ask::Answer;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::this_node;
use std::time::Duration;
use xen_fence_protocol::Refusal;

/// Where a broker's sentence ends and its hint begins.
const HINT: &str = " (hint: ";

/// A broker's sentence, how long the step took, and its hint, as far as it says so: one that is older
/// says no time.
pub(super) fn taken_apart(text: &str) -> (String, Option<Duration>, Option<String>) {
    let parts =
        text.split_once(HINT).and_then(|(text, hint)| Some((text, hint.strip_suffix(')')?)));
    let (text, hint) = parts.map_or((text, None), |(text, hint)| (text, Some(hint.to_owned())));
    let timed = text.strip_suffix(" ms)").and_then(|text| text.rsplit_once(" ("));
    let timed = timed.and_then(|(text, millis)| {
        let seconds = millis.parse::<f64>().ok()? / 1000.0;
        Some((text, Duration::try_from_secs_f64(seconds).ok()?))
    });
    match timed {
        Some((text, took)) => (text.to_owned(), Some(took), hint),
        None => (text.to_owned(), None, hint),
    }
}

/// What makes a key, and what records a host key.
pub(super) fn enroll(options: &str) -> String {
    format!("here, as root: xen-fence enroll {options}").trim_end().to_owned()
}

/// What makes a name independent of DNS.
pub(super) fn hosts_file(answer: &Answer) -> String {
    format!(
        "here, as root: echo \"ADDRESS {0}\" >>/etc/hosts, with the address of {0}; or name it by \
         its address in agent.toml",
        answer.endpoint.host
    )
}

pub(super) fn one_version(dom0: &str) -> String {
    format!(
        "on {dom0} and here: install the same version; `xen-fence --version` and \
         `xen-fence-admin --version` show them"
    )
}

/// What mends the step in which an attempt ended.
pub(super) fn of(step: &str, error: &Error, answer: &Answer) -> Vec<String> {
    let Endpoint { account, host, port } = &answer.endpoint;
    let own: Vec<String> = match step {
        "name" => vec![format!("{}; until then it needs DNS", hosts_file(answer))],
        "address" => {
            let unit = if *port == 22 { "ssh" } else { "xen-fence-sshd" };
            vec![format!(
                "on {host}, as root: systemctl start {unit}; `ss -ltn` has to show port {port}"
            )]
        }
        "host-key" if error.message.contains("is not known") => vec![enroll("")],
        "login" => vec![format!(
            "on {host}, as root: {}; then xen-fence-admin acl apply, which makes the account and \
                 its key file",
            has_key(answer)
        )],
        "session" | "sudo" => vec![
            format!(
                "on {host}, as root: xen-fence-admin setup --cluster {} puts the sudo rule in its \
                 place; `sudo -l -U {account}` has to show xen-fence-broker serve",
                cluster(account)
            ),
            format!(
                "or, where `getent passwd {account}` shows another shell, on {host}, as root: usermod \
                 -s /usr/lib/xen-fence/xen-fence-launcher {account}"
            ),
        ],
        "protocol" => vec![one_version(&host.to_string())],
        "policy" => refused(error, answer),
        _ => Vec::new(),
    };
    own.into_iter().chain(error.hints.iter().cloned()).collect()
}

/// What mends a refusal by the policy.
fn refused(error: &Error, answer: &Answer) -> Vec<String> {
    let Endpoint { account, host, .. } = &answer.endpoint;
    let file = policy(account);
    let is = |reason: Refusal| error.reason == Some(reason.word());
    let hint = if is(Refusal::Policy) {
        format!(
            "on {host}, as root: xen-fence-admin acl check says what is wrong in {file}, line and \
             column; mend that"
        )
    } else if is(Refusal::Identity) {
        format!("on {host}, as root: {}; then xen-fence-admin acl apply", has_key(answer))
    } else if is(Refusal::Source) {
        format!(
            "on {host}, as root: `from` in {file} has to hold this node's address, which \
             `xen-fence-admin log --cluster {}` shows; then xen-fence-admin acl apply",
            cluster(account)
        )
    } else if is(Refusal::NotYours) {
        format!(
            "here: xen-fence list shows the nodes that you may name; on {host}: {file} needs a table \
             [nodes.NAME] for it, and `targets`, where it is set, has to hold it"
        )
    } else {
        format!("on {host}, as root: {file} has to grant it in `actions`")
    };
    vec![hint]
}

/// What the policy has to have of this node.
fn has_key(answer: &Answer) -> String {
    let name = this_node::name();
    let name = name.as_ref().map_or("NAME", |name| name.as_str());
    let key = answer.told.own_key.as_deref().unwrap_or("the public key");
    format!(
        "`keys` of [nodes.{name}] in {} has to hold \"{key}\"",
        policy(&answer.endpoint.account)
    )
}

fn policy(account: &str) -> String {
    format!("/etc/xen-fence/clusters.d/{}.toml", cluster(account))
}

fn cluster(account: &str) -> &str {
    this_node::cluster_of(account).unwrap_or("CLUSTER")
}
