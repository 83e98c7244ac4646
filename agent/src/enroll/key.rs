//! The node's own key: an ed25519 one that ssh-keygen makes, in the place of none.

use super::{Enrolled, files};
use crate::clock::Deadline;
use crate::error::{Error, Kind};
use crate::identity::Identity;
use crate::public_key::PublicKey;
use crate::secure_file::{self, Privacy, reason};
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A key is made in some milliseconds, unless the machine has no randomness yet.
const LIMIT: Duration = Duration::from_secs(20);

/// A public key is one line.
const MAX_PUBLIC: u64 = 16 * 1024;

/// The public key of the node, whose private one is made if there is none.
///
/// # Errors
/// One is there and cannot be used, or none can be made.
pub(super) fn have(
    path: &Path,
    dry_run: bool,
    enrolled: &mut Enrolled,
) -> Result<Option<String>, Error> {
    let shown = path.display().to_string();
    // Whatever is there stays, also a link that leads nowhere.
    if fs::symlink_metadata(path).is_ok() {
        let identity = Identity::read(path)?;
        enrolled.done.push(format!("the key {shown} is there and stays: {}", identity.name()));
        return public(path, &identity, enrolled).map(Some);
    }
    if dry_run {
        enrolled.does(dry_run, "made", &format!("the key {shown}"));
        return Ok(None);
    }
    make(path, enrolled.node.as_str())?;
    enrolled.does(dry_run, "made", &format!("the key {shown}"));
    let identity = Identity::read(path)?;
    public(path, &identity, enrolled).map(Some)
}

/// The public half: from the key file, or from the one beside it.
fn public(path: &Path, identity: &Identity, enrolled: &mut Enrolled) -> Result<String, Error> {
    let beside = PathBuf::from(format!("{}.pub", path.display()));
    let bytes = secure_file::read(&beside, "the public key", Privacy::Unwritable, MAX_PUBLIC);
    let mend = format!("ssh-keygen -y -f {} >{}", path.display(), beside.display());
    if let Some(key) = identity.public().map(PublicKey::fields) {
        let other = bytes.as_ref().ok().and_then(Option::as_ref);
        if other.is_some_and(|bytes| fields(bytes).as_ref() != Some(&key)) {
            let file = beside.display();
            enrolled.warnings.push(format!("{file} is of another key, and is not used: {mend}"));
        }
        return Ok(key);
    }
    fields(&bytes?.unwrap_or_default()).ok_or_else(|| {
        Error::new(Kind::Config, format!("{} does not hold the public key", beside.display()))
            .hint(mend)
    })
}

/// Type and key of the first line of a public key's file.
fn fields(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let mut fields = text.split_ascii_whitespace();
    let (kind, base64) = fields.next().zip(fields.next())?;
    PublicKey::of_fields(kind, base64).map(|key| key.fields())
}

/// Makes a key in a directory of its own, and gives it its name only where nobody has it.
fn make(path: &Path, comment: &str) -> Result<(), Error> {
    let fail = |why: &str| {
        Error::new(Kind::Config, format!("the key {} cannot be made: {why}", path.display()))
    };
    let io = |error: io::Error| fail(&reason(&error)).hint("run as root");
    files::directory_of(path).map_err(io)?;
    let dir = path.with_file_name(format!(".enroll.{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&dir).map_err(io)?;
    let (made, named) = (dir.join("key"), PathBuf::from(format!("{}.pub", path.display())));
    let result = ssh_keygen(&made, comment).map_err(|why| {
        fail(&why).hint("ssh-keygen makes it: is openssh-client (openssh) installed?")
    });
    let result = result.and_then(|()| {
        fs::File::open(&made).and_then(|file| file.sync_all()).map_err(io)?;
        fs::hard_link(&made, path).map_err(io)?;
        // One that is there is not this key's; the private key alone is read.
        match fs::hard_link(made.with_extension("pub"), &named) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(io(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    });
    fs::remove_dir_all(&dir).map_err(io)?;
    result
}

fn ssh_keygen(file: &Path, comment: &str) -> Result<(), String> {
    let said = |error: &io::Error| format!("ssh-keygen: {}", reason(error));
    let mut child = Command::new("/usr/bin/ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(file)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| said(&error))?;
    let until = Deadline::after(LIMIT);
    loop {
        match child.try_wait().map_err(|error| said(&error))? {
            Some(status) if status.success() => return Ok(()),
            Some(_) => {
                let mut words = String::new();
                let heard =
                    child.stderr.take().map(|errors| errors.take(500).read_to_string(&mut words));
                let words = if matches!(heard, Some(Ok(_))) { words.as_str() } else { "" };
                let words = xen_fence_protocol::Text::escaped(words.lines().last().unwrap_or(""));
                return Err(format!("ssh-keygen says: {words}"));
            }
            None if until.left().is_none() => {
                // It ends with the pipe at the latest.
                let _ = child.kill();
                return Err(format!("ssh-keygen did not end within {} s", LIMIT.as_secs()));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
