//! Settings of the whole host, in broker.toml: all optional, all refused together if one is wrong.

use crate::secure_file;
use serde::Deserialize;
use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;
use toml::Spanned;

/// Where the settings lie.
pub const SETTINGS_FILE: &str = "/etc/xen-fence/broker.toml";

/// The toolstack that this host is run with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolstackKind {
    /// xl, of every Xen since 4.1.
    #[default]
    Xl,
    /// xm with xend, of the Xen before.
    Xm,
}

/// The host's settings, with the defaults where the file says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    toolstack: ToolstackKind,
    xl: Option<PathBuf>,
    xm: Option<PathBuf>,
    dump: Option<Dump>,
}

/// What is wanted of a core before a kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Where it goes.
    pub directory: PathBuf,
    /// How long writing it may hold up the kill.
    pub time: Duration,
    /// How large it may become, in MiB; as much has to be free.
    pub megabytes: u64,
}

impl Dump {
    /// The same, with no more than so much time.
    #[must_use]
    pub fn within(&self, most: Duration) -> Self {
        Self { time: self.time.min(most), ..self.clone() }
    }

    /// How large it may become, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.megabytes.saturating_mul(1 << 20)
    }
}

/// A core's default limits: half of the time that an agent has left, and a guest of usual size.
const DUMP_SECONDS: u64 = 20;
const DUMP_MEGABYTES: u64 = 4096;
/// Longer than this no agent would wait.
const DUMP_LONGEST: u64 = 30;

impl Settings {
    /// The toolstack to ask.
    #[must_use]
    pub const fn toolstack(&self) -> ToolstackKind {
        self.toolstack
    }

    /// What is wanted of a core before a kill, if one is.
    #[must_use]
    pub const fn dump(&self) -> Option<&Dump> {
        self.dump.as_ref()
    }

    /// The xl to call, if the file names one.
    #[must_use]
    pub fn xl(&self) -> Option<&Path> {
        self.xl.as_deref()
    }

    /// The xm to call, if the file names one.
    #[must_use]
    pub fn xm(&self) -> Option<&Path> {
        self.xm.as_deref()
    }
}

/// What is wrong with the settings; it has the form of an error in the policy.
pub type SettingsError = crate::acl::PolicyError;

/// Reads the settings; a file that does not exist means the defaults.
///
/// # Errors
/// The file is not root's alone or wrong in any part: then nobody may be served.
pub fn load(path: &Path) -> Result<Settings, SettingsError> {
    match secure_file::read(path, MAX_FILE) {
        Ok(text) => parse(path, &text),
        Err(error) if error.is_missing() => Ok(Settings::default()),
        Err(error) => Err(error.into()),
    }
}

/// Reads the settings from the text of their file.
///
/// # Errors
/// The first thing that is wrong with the text.
pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
    let raw: Raw =
        toml::from_str(text).map_err(|error| SettingsError::of_toml(path, text, &error))?;
    let refuse = |at: &Spanned<String>, message: &str, hint: &str| {
        SettingsError::at(path, text, at.span(), message.to_owned(), Some(hint.to_owned()))
    };
    let toolstack = match &raw.toolstack {
        None => ToolstackKind::default(),
        Some(word) => match word.as_ref().as_str() {
            "xl" => ToolstackKind::Xl,
            "xm" => ToolstackKind::Xm,
            _ => {
                return Err(refuse(
                    word,
                    "that toolstack is not known",
                    "toolstack = \"xl\", or \"xm\" where xend runs",
                ));
            }
        },
    };
    let program = |written: Option<Spanned<String>>| match written {
        None => Ok(None),
        Some(at) if is_program(at.as_ref()) => Ok(Some(PathBuf::from(at.into_inner()))),
        Some(at) => Err(refuse(
            &at,
            "that is not the absolute path of a program",
            "xl = \"/usr/sbin/xl\": the program itself, without arguments and `..`",
        )),
    };
    let dump = match raw.dump {
        Some(at) if !is_program(at.as_ref()) => {
            return Err(refuse(&at, "that is not the absolute path of a directory", DUMP_HINT));
        }
        dump => dump.map(Spanned::into_inner),
    };
    let number = |written: &Option<Spanned<u64>>, default: u64, most: u64, what: &str| {
        let Some(at) = written else { return Ok(default) };
        let number = *at.as_ref();
        if dump.is_some() && (1..=most).contains(&number) {
            return Ok(number);
        }
        let message = if dump.is_some() {
            format!("{what} is not from 1 to {most}")
        } else {
            format!("{what} means nothing without dump")
        };
        Err(SettingsError::at(path, text, at.span(), message, Some(DUMP_HINT.to_owned())))
    };
    let seconds = number(&raw.dump_seconds, DUMP_SECONDS, DUMP_LONGEST, "dump_seconds")?;
    let megabytes = number(&raw.dump_megabytes, DUMP_MEGABYTES, u64::MAX >> 20, "dump_megabytes")?;
    let dump = dump.map(|directory| Dump {
        directory: PathBuf::from(directory),
        time: Duration::from_secs(seconds),
        megabytes,
    });
    Ok(Settings { toolstack, xl: program(raw.xl)?, xm: program(raw.xm)?, dump })
}

const DUMP_HINT: &str = "dump = \"/var/lib/xen-fence/dumps\", and if its limits do not fit, \
                         dump_seconds = 20 (30 at most) and dump_megabytes = 4096";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    toolstack: Option<Spanned<String>>,
    xl: Option<Spanned<String>>,
    xm: Option<Spanned<String>>,
    dump: Option<Spanned<String>>,
    dump_seconds: Option<Spanned<u64>>,
    dump_megabytes: Option<Spanned<u64>>,
}

fn is_program(written: &str) -> bool {
    let path = Path::new(written);
    path.is_absolute()
        && !path.components().any(|part| part == Component::ParentDir)
        && !written.ends_with('/')
        && !written.chars().any(|c| c.is_control() || c == ' ')
}

const MAX_FILE: u64 = 64 << 10;

impl fmt::Display for ToolstackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xl => "xl",
            Self::Xm => "xm",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        parse(Path::new(SETTINGS_FILE), text).unwrap_err().to_string()
    }

    #[test]
    fn a_missing_or_empty_file_means_the_defaults() {
        assert_eq!(parse(Path::new(SETTINGS_FILE), "").unwrap(), Settings::default());
        assert_eq!(load(Path::new("/no/such/file.toml")).unwrap(), Settings::default());
        assert_eq!(Settings::default().toolstack(), ToolstackKind::Xl);
    }

    #[test]
    fn what_the_file_says_is_what_holds() {
        let text = "toolstack = \"xm\"\nxl = \"/opt/xen/bin/xl\"\nxm = \"/opt/xen/bin/xm\"\n";
        let settings = parse(Path::new(SETTINGS_FILE), text).unwrap();
        assert_eq!(settings.toolstack(), ToolstackKind::Xm);
        assert_eq!(settings.xl(), Some(Path::new("/opt/xen/bin/xl")));
        assert_eq!(settings.xm(), Some(Path::new("/opt/xen/bin/xm")));
    }

    /// The example that is installed: all of it commented out, and right when it is not.
    #[test]
    fn the_example_shows_every_key() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("host/examples/broker.toml");
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(parse(Path::new(SETTINGS_FILE), &text).unwrap(), Settings::default());
        let text = text.replace("\n#toolstack", "\ntoolstack").replace("\n#x", "\nx");
        let settings = parse(Path::new(SETTINGS_FILE), &text.replace("\n#dump", "\ndump")).unwrap();
        assert!(settings.xl().is_some() && settings.xm().is_some() && settings.dump().is_some());
    }

    #[test]
    fn anything_else_is_refused_with_its_place() {
        for (text, words) in [
            ("toolstack = \"virsh\"\n", "broker.toml:1:13: that toolstack is not known"),
            ("toolstack = 1\n", "broker.toml:1:13: invalid type"),
            ("\ntimeout = 5\n", "broker.toml:2:1: unknown key `timeout`"),
            ("xl = \"xl\"\n", "broker.toml:1:6: that is not the absolute path"),
            ("xl = \"/usr/sbin/xl -f\"\n", "not the absolute path"),
            ("xm = \"/usr/../xm\"\n", "not the absolute path"),
            ("xm = \n", "broker.toml:1:"),
            ("dump = \"cores\"\n", "broker.toml:1:8: that is not the absolute path of a directory"),
            ("dump_seconds = 5\n", "dump_seconds means nothing without dump"),
            (
                "dump = \"/d\"\ndump_seconds = 31\n",
                "broker.toml:2:16: dump_seconds is not from 1 to 30",
            ),
            ("dump = \"/d\"\ndump_megabytes = 0\n", "dump_megabytes is not from 1"),
        ] {
            assert!(told(text).contains(words), "{}", told(text));
        }
    }
}
