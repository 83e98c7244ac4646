//! sshd's key file of one cluster: its text from the policy, and how it gets to its place.
//!
//! A line is written from parsed parts only, so nothing in the policy can add an option to it.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use xen_fence_broker::acl::Cluster;
use xen_fence_broker::names::{Caller, PublicKey};

/// The whole file: a line for each key of each node and operator, in the order of the policy.
pub(crate) fn text(cluster: &Cluster) -> String {
    let mut out = format!(
        "# Written by `xen-fence-admin acl apply` from clusters.d/{}.toml; it overwrites changes.\n",
        cluster.name()
    );
    for node in cluster.nodes() {
        let caller = Caller::Node(node.name().clone());
        add_lines(&mut out, &caller, cluster.from(), node.keys());
    }
    for operator in cluster.operators() {
        let caller = Caller::Operator(operator.name().clone());
        add_lines(&mut out, &caller, operator.from(), operator.keys());
    }
    out
}

fn add_lines<N: ToString>(
    out: &mut String,
    caller: &Caller,
    from: Option<&[N]>,
    keys: &[PublicKey],
) {
    let from = from.map_or_else(String::new, |nets| {
        let nets: Vec<_> = nets.iter().map(ToString::to_string).collect();
        format!("from=\"{}\",", nets.join(","))
    });
    for key in keys {
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "restrict,{from}command=\"xen-fence {caller} {}\" {}",
            key.fingerprint(),
            key.type_and_base64()
        );
    }
}

/// The callers and keys of a file, for showing what changes: `node node1 SHA256:…`.
pub(crate) fn callers(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.split_once("command=\"xen-fence ")?.1.split_once('"'))
        .map(|(caller, _)| caller)
        .collect()
}

/// The text of a key file that is in order; none if it is missing or has to be written anew.
pub(crate) fn current(path: &Path, owner: u32) -> Option<String> {
    let found = fs::symlink_metadata(path).ok()?;
    let in_order = found.is_file() && found.uid() == owner && found.mode() & 0o7777 == MODE;
    in_order.then(|| fs::read_to_string(path).ok()).flatten()
}

/// Puts a key file in its place whole: sshd sees the old one or the new one.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    place(path, text, MODE, |_| Ok(()))
}

/// Puts a file of this mode in its place whole, if the check of what is about to be put there is
/// content.
pub(crate) fn place(
    path: &Path,
    text: &str,
    mode: u32,
    check: impl FnOnce(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // No account begins with a dot, so sshd never takes this for a key file; sudo and systemd read no
    // file of such a name either.
    let new = dir.join(format!(".{name}.new"));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    // Whatever the umask is: sshd reads the file as the account.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if let Err(error) = check(&new) {
        fs::remove_file(&new)?;
        return Err(error);
    }
    fs::rename(&new, path)?;
    File::open(dir)?.sync_all()
}

const MODE: u32 = 0o644;

#[cfg(test)]
mod tests {
    use super::*;
    use xen_fence_broker::acl::parse;
    use xen_fence_broker::names::ClusterName;

    const KEY1: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN";
    const KEY2: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE635By9TamHQAQfjPqiszpmb31e+6vm0isRK41ZAQOW";

    fn alpha() -> Cluster {
        let text = format!(
            "actions = []\nfrom = [\"192.168.2.0/24\", \"fd00:2::7\"]\n[nodes.Node1]\n\
             uuid = \"0f6a1b2c-0000-4000-8000-000000000001\"\n\
             keys = [\"{KEY1} a \\\",command=\\\"sh\\\" comment\"]\n\
             [operators.nagios]\nactions = [\"status\"]\nkeys = [\"{KEY2}\"]\n"
        );
        parse(&ClusterName::parse("alpha").unwrap(), &text).unwrap()
    }

    /// The form that sshd and the launcher take; the launcher's tests hold the same one.
    #[test]
    fn a_line_fixes_the_caller_and_nothing_of_a_comment_is_in_it() {
        let text = text(&alpha());
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with('#') && lines.len() == 3, "{text}");
        assert_eq!(
            lines[1],
            format!(
                "restrict,from=\"192.168.2.0/24,fd00:2::7/128\",command=\"xen-fence node Node1 \
                 SHA256:U/Qb9WEnDFN32kbA4/khJpQ2marLSF/jYL4pz1f26hk\" {KEY1}"
            )
        );
        assert!(lines[2].starts_with("restrict,command=\"xen-fence operator nagios SHA256:"));
        assert!(lines[2].ends_with(KEY2));
        assert_eq!(callers(&text).len(), 2);
        assert!(callers(&text)[1].starts_with("operator nagios SHA256:"));
    }

    #[test]
    fn a_file_is_replaced_whole_and_known_as_current() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fence-alpha");
        fs::write(dir.path().join(".fence-alpha.new"), "torn").unwrap();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        let me = fs::metadata(dir.path()).unwrap().uid();
        assert_eq!(current(&path, me), None, "loose modes");
        write(&path, "new").unwrap();
        assert_eq!(current(&path, me).as_deref(), Some("new"));
        assert_eq!(current(&path, me + 1), None, "somebody else's");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
