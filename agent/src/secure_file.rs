//! Files that decide whom the agent believes: opened once, judged on the open handle, read up to a
//! cap.
//!
//! Nothing here waits: a FIFO or a device in a file's place is refused, not opened for reading.

use crate::error::{Error, Kind};
use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Who besides the owner may do what with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// Nobody may read or write it: a key.
    Secret,
    /// Nobody may write it.
    Unwritable,
}

/// Reads a file; none if there is none.
///
/// # Errors
/// [`Kind::Config`], naming the file as `what`: it cannot be opened or read, is no regular file,
/// has another owner than root or the caller, a mode that is too loose, or more than `cap` bytes.
pub(crate) fn read(
    path: &Path,
    what: &str,
    privacy: Privacy,
    cap: u64,
) -> Result<Option<Vec<u8>>, Error> {
    let shown = path.display();
    let fail = |why: String| Error::new(Kind::Config, format!("{what} {shown} {why}"));
    let flags = (OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let error = fail(format!("cannot be opened: {}", reason(&error)));
            return Err(error.hint("run as root, or name a file that you may read"));
        }
    };
    judge(&file, path, what, privacy)?;
    let mut bytes = Vec::new();
    file.take(cap.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| fail(format!("cannot be read: {}", reason(&error))))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= cap) {
        Ok(Some(bytes))
    } else {
        Err(fail(format!("is longer than {cap} bytes")))
    }
}

fn judge(file: &File, path: &Path, what: &str, privacy: Privacy) -> Result<(), Error> {
    let shown = path.display();
    let fail = |why: String| Error::new(Kind::Config, format!("{what} {shown} {why}"));
    let meta = file
        .metadata()
        .map_err(|error| fail(format!("cannot be looked at: {}", reason(&error))))?;
    if !meta.is_file() {
        return Err(fail("is not a regular file".to_owned()));
    }
    let caller = nix::unistd::geteuid().as_raw();
    if meta.uid() != 0 && meta.uid() != caller {
        return Err(fail(format!(
            "belongs to user {}, who is neither root nor the caller (user {caller})",
            meta.uid()
        ))
        .hint(format!("chown {caller} {shown}")));
    }
    let (loose, verb, command) = match privacy {
        Privacy::Secret => (0o077, "may be used", "chmod 600"),
        Privacy::Unwritable => (0o022, "may be written", "chmod go-w"),
    };
    let mode = meta.mode() & 0o7777;
    if mode & loose == 0 {
        Ok(())
    } else {
        Err(fail(format!("{verb} by others than its owner: its mode is {mode:04o}"))
            .hint(format!("{command} {shown}")))
    }
}

/// An operating system's error as a person says it, without the number.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_lowercase().collect::<String>() + characters.as_str())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn file(mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "12345678").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn modes_are_judged() {
        for (mode, privacy, hint) in [
            (0o600, Privacy::Secret, None),
            (0o400, Privacy::Secret, None),
            (0o640, Privacy::Secret, Some("chmod 600 ")),
            (0o604, Privacy::Secret, Some("chmod 600 ")),
            (0o644, Privacy::Unwritable, None),
            (0o664, Privacy::Unwritable, Some("chmod go-w ")),
            (0o646, Privacy::Unwritable, Some("chmod go-w ")),
        ] {
            let (_dir, path) = file(mode);
            let result = read(&path, "the file", privacy, 8);
            match hint {
                None => assert_eq!(result.unwrap().as_deref(), Some(b"12345678".as_slice())),
                Some(hint) => {
                    let error = result.unwrap_err();
                    assert_eq!(error.kind, Kind::Config);
                    assert!(error.hints[0].starts_with(hint), "{error:?}");
                    assert!(error.message.contains(&format!("{mode:04o}")), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_strangers_file_is_refused() {
        if !nix::unistd::geteuid().is_root() {
            return; // Only root can give a file away.
        }
        let (_dir, path) = file(0o600);
        std::os::unix::fs::chown(&path, Some(54321), None).unwrap();
        let error = read(&path, "the file", Privacy::Secret, 8).unwrap_err();
        assert!(error.message.contains("belongs to user 54321"), "{error}");
    }

    #[test]
    fn missing_oversized_and_odd_files() {
        let (dir, path) = file(0o600);
        assert_eq!(read(&dir.path().join("none"), "the file", Privacy::Secret, 8).unwrap(), None);
        let error = read(&path, "the file", Privacy::Secret, 7).unwrap_err();
        assert!(error.message.contains("longer than 7 bytes"), "{error}");
        let error = read(dir.path(), "the file", Privacy::Unwritable, 8).unwrap_err();
        assert!(error.message.contains("not a regular file"), "{error}");
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let error = read(&fifo, "the file", Privacy::Secret, 8).unwrap_err();
        assert!(error.message.contains("not a regular file"), "{error}");
    }

    #[test]
    fn reasons_have_no_number() {
        assert_eq!(reason(&io::Error::from_raw_os_error(13)), "permission denied");
    }
}
