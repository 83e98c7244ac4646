//! One thing that is to be in its place: shown before, written whole, taken back if it does not do.

use super::Fault;
use super::diff;
use super::shipped::Kind;
use crate::acl::{accounts, keyfile};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use xen_fence_broker::acl::load::MAX_FILE;

/// One thing that is to be in its place.
pub(super) enum Step {
    /// A directory of this mode.
    Dir { path: &'static str, mode: u32 },
    /// A file with this text.
    Put(Put),
    /// A file that is another and stays: only its difference is shown.
    Keep { path: PathBuf, lines: Vec<String> },
    /// A sentence that has to be read.
    Note(String),
}

/// A file that is to have this text.
pub(super) struct Put {
    pub(super) path: PathBuf,
    pub(super) mode: u32,
    pub(super) kind: Kind,
    pub(super) new: String,
    pub(super) old: Option<String>,
}

/// What is in a file's place.
pub(super) enum Found {
    /// Nothing.
    Missing,
    /// A file with this text.
    File {
        /// What it says.
        text: String,
        /// Whether it is root's, with this mode.
        in_order: bool,
    },
}

/// Looks at a place for a file; whatever is no plain file there is a fault, and none is waited for.
pub(super) fn look(path: &Path, mode: u32) -> Result<Found, Fault> {
    look_of(path, mode, 0)
}

fn look_of(path: &Path, mode: u32, owner: u32) -> Result<Found, Fault> {
    let shown = path.display();
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Missing),
        Err(error) => return Err(format!("{shown} cannot be looked at: {error}")),
    };
    if !found.is_file() {
        return Err(format!("{shown} is not a regular file\n  hint: move it away"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{shown} cannot be read: {error}"))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_FILE) {
        return Err(format!("{shown} is longer than {MAX_FILE} bytes\n  hint: move it away"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|_| format!("{shown} is not UTF-8 text\n  hint: move it away"))?;
    Ok(Found::File { text, in_order: found.uid() == owner && found.mode() & 0o7777 == mode })
}

/// A directory that is to be there, unless it is as it has to be: accounts get through it, if they
/// have to.
pub(super) fn directory(
    path: &'static str,
    mode: u32,
    is_passed: bool,
) -> Result<Option<Step>, Fault> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(Step::Dir { path, mode })),
        Err(error) => Err(format!("{path} cannot be looked at: {error}")),
        Ok(found) if !found.is_dir() => {
            Err(format!("{path} is not a directory\n  hint: move it away"))
        }
        Ok(found) if found.uid() != 0 => {
            Err(format!("{path} does not belong to root\n  hint: chown root:root {path}"))
        }
        // Less than it may be is how somebody wants it.
        Ok(found)
            if found.mode() & 0o7777 & !mode == 0
                && found.mode() & 0o700 == 0o700
                && (!is_passed || accounts::get_through(&found)) =>
        {
            Ok(None)
        }
        Ok(_) => Ok(Some(Step::Dir { path, mode })),
    }
}

impl Step {
    /// Whether it writes.
    pub(super) const fn changes(&self) -> bool {
        matches!(self, Self::Dir { .. } | Self::Put(_))
    }

    /// Shows what is about to be done.
    pub(super) fn show(&self) {
        use crate::output::say;
        match self {
            Self::Dir { path, mode } => {
                say(format_args!("would put in order the directory {path}, mode {mode:04o}"));
            }
            Self::Put(put) => put.show(),
            Self::Keep { path, lines } => {
                let path = path.display();
                say(format_args!("{path} is another than that of this version, and stays:"));
                lines.iter().all(say);
                say(format_args!(
                    "  hint: to have this version's: mv {path} {path}.old, and run this again"
                ));
            }
            Self::Note(text) => {
                say(text);
            }
        }
    }

    /// Does it.
    pub(super) fn carry_out(&self) -> Result<(), Fault> {
        match self {
            Self::Dir { path, mode } => {
                make(Path::new(path), *mode).map_err(|error| format!("{path}: {error}"))
            }
            Self::Put(put) => {
                put.carry_out().map_err(|why| format!("{}: {why}", put.path.display()))
            }
            Self::Keep { .. } | Self::Note(_) => Ok(()),
        }
    }
}

/// What was done.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir { path, .. } => write!(f, "put in order the directory {path}"),
            Self::Put(put) => write!(f, "wrote {}", put.path.display()),
            Self::Keep { path, .. } => write!(f, "{}", path.display()),
            Self::Note(text) => f.write_str(text),
        }
    }
}

impl Put {
    fn show(&self) {
        use crate::output::say;
        let (path, mode) = (self.path.display(), self.mode);
        match &self.old {
            None => {
                say(format_args!(
                    "would write {path}, new, mode {mode:04o}; without its comments:"
                ));
                diff::without_comments(&self.new).iter().all(say);
            }
            Some(old) if *old == self.new => {
                say(format_args!("would make {path} root's, mode {mode:04o}"));
            }
            Some(old) => {
                say(format_args!("would write {path}, mode {mode:04o}:"));
                diff::changes(old, &self.new).iter().all(say);
            }
        }
    }

    fn carry_out(&self) -> Result<(), String> {
        let now = match look(&self.path, self.mode)? {
            Found::Missing => None,
            Found::File { text, .. } => Some(text),
        };
        if now != self.old {
            return Err("it is another than the one that was shown, and is left alone".to_owned());
        }
        if let Some(dir) = self.path.parent() {
            make_parents(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        keyfile::place(&self.path, &self.new, self.mode, |new| self.kind.check_before(new))
            .map_err(|error| error.to_string())?;
        self.kind.check_after().map_err(|why| {
            let back = match &self.old {
                Some(old) => keyfile::place(&self.path, old, self.mode, |_| Ok(())),
                None => fs::remove_file(&self.path),
            };
            match back {
                Ok(()) => format!("{why}; it is as it was before"),
                Err(error) => format!("{why}; and it could not be put back: {error}"),
            }
        })
    }
}

/// A directory for files of others, as of systemd; one that is there is theirs.
fn make_parents(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)
}

fn make(dir: &Path, mode: u32) -> io::Result<()> {
    match fs::DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Whatever the umask is. Not through a link, should one have come there since.
    let handle = OpenOptions::new().read(true).open(dir)?;
    if !handle.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    handle.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_writes_meanwhile_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/alpha.toml");
        let put = |old: Option<&str>, new: &str| {
            let (old, new) = (old.map(str::to_owned), new.to_owned());
            Put { path: path.clone(), mode: 0o640, kind: Kind::Plain, new, old }.carry_out()
        };
        put(None, "one").unwrap();
        assert!(put(None, "two").is_err() && put(Some("zero"), "two").is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "one");
        put(Some("one"), "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    }

    #[test]
    fn only_a_plain_file_is_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let me = fs::metadata(dir.path()).unwrap().uid();
        let file = dir.path().join("rule");
        assert!(matches!(look_of(&file, 0o644, me), Ok(Found::Missing)));
        fs::write(&file, "text").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        for (mode, owner, fits) in [(0o640, me, true), (0o644, me, false), (0o640, me + 1, false)] {
            let found = look_of(&file, mode, owner).unwrap();
            assert!(
                matches!(found, Found::File { text, in_order } if text == "text" && in_order == fits)
            );
        }
        fs::write(&file, [0xff]).unwrap();
        assert!(look_of(&file, 0o640, me).is_err_and(|why| why.contains("UTF-8")));
        File::create(&file).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert!(look_of(&file, 0o640, me).is_err_and(|why| why.contains("longer")));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
        assert!(look_of(&link, 0o644, me).is_err_and(|why| why.contains("regular")));
        assert!(look_of(dir.path(), 0o644, me).is_err_and(|why| why.contains("regular")));
    }
}
