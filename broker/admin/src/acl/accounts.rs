//! The clusters' accounts: what they have to be, and how a missing one is made.
//!
//! An account that exists and is otherwise is never changed, because it may be a person's.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;
use users::os::unix::UserExt as _;

/// The group of all accounts of clusters, which sshd and sudo go by.
pub(crate) const GROUP: &str = "xen-fence";
/// The accounts' login shell, which is none.
pub(crate) const LAUNCHER: &str = "/usr/lib/xen-fence/xen-fence-launcher";

/// What there is of an account.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It is missing.
    Missing,
    /// It is as it has to be.
    Fits,
    /// It is not: the sentence says how, the command mends it.
    Otherwise {
        /// What is wrong.
        why: String,
        /// What mends it.
        hint: String,
    },
}

/// Looks the group up.
pub(crate) fn group_exists() -> bool {
    users::get_group_by_name(GROUP).is_some()
}

/// Looks an account up, as sshd and sudo will see it.
pub(crate) fn look_up(account: &str) -> Found {
    let Some(user) = users::get_user_by_name(account) else { return Found::Missing };
    let group = users::get_group_by_name(GROUP).map(|group| group.gid());
    let otherwise = |why: String, hint: String| Found::Otherwise { why, hint };
    if user.uid() == 0 {
        let why = format!("the account {account} has the user id 0 and would be root");
        return otherwise(why, format!("userdel {account}, then acl apply makes a fitting one"));
    }
    if user.shell() != LAUNCHER {
        let why = format!("the account {account} has the login shell {}", user.shell().display());
        return otherwise(why, format!("usermod --shell {LAUNCHER} {account}"));
    }
    if Some(user.primary_group_id()) != group {
        let why = format!("the account {account} is not in the group {GROUP} by its own entry");
        return otherwise(why, format!("usermod --gid {GROUP} {account}"));
    }
    if fs::read_to_string("/etc/shadow").is_ok_and(|shadow| is_locked(&shadow, account)) {
        let why = format!("the account {account} is locked, and sshd without PAM refuses it");
        return otherwise(why, format!("usermod --password '*' {account}"));
    }
    Found::Fits
}

/// Whether the accounts get through a directory of root's.
pub(crate) fn get_through(dir: &Metadata) -> bool {
    let is_theirs = || users::get_group_by_name(GROUP).is_some_and(|it| it.gid() == dir.gid());
    // Of the group's own directory, what others may counts for nothing.
    let bit = if dir.gid() != 0 && is_theirs() { 0o010 } else { 0o001 };
    dir.mode() & bit != 0
}

/// Makes the group.
pub(crate) fn make_group() -> Result<(), String> {
    run("/usr/sbin/groupadd", &["--system", GROUP])
}

/// Makes an account: no home of its own, no password, no shell but the launcher. With a home that
/// does not exist, sshd would complain of it in every session.
pub(crate) fn make_account(account: &str) -> Result<(), String> {
    // "*" is no password's hash, and unlike "!" it is not what sshd calls locked.
    let arguments = [
        "--system",
        "--gid",
        GROUP,
        "--no-create-home",
        "--home-dir",
        "/",
        "--shell",
        LAUNCHER,
        "--password",
        "*",
        "--comment",
        "xen-fence",
        account,
    ];
    run("/usr/sbin/useradd", &arguments)
}

fn is_locked(shadow: &str, account: &str) -> bool {
    shadow
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, rest)| name == account && rest.starts_with('!'))
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .map_err(|error| format!("{program} cannot be run: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{program} failed: {}", said.trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_account_is_told_from_one_without_a_password() {
        let shadow = "root:$y$x:1::\nfence-a:*:1::\nfence-b:!:1::\nfence-c:!*:1::\n";
        let locked = |account| is_locked(shadow, account);
        assert_eq!(
            ["root", "fence-a", "fence-b", "fence-c", "fence-d"].map(locked),
            [false, false, true, true, false]
        );
    }

    #[test]
    fn accounts_that_are_persons_or_root_do_not_fit() {
        assert_eq!(look_up("fence-nobody-has-this"), Found::Missing);
        assert!(matches!(look_up("root"), Found::Otherwise { .. }));
    }
}
