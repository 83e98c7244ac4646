//! The names that the policy gives to things, each valid by construction.
//!
//! Whatever a toolstack could take for an option, a domain id or dom0 itself is no name here. Names
//! that cross the wire (nodes and operators) live in the protocol crate.

mod caller;
mod key;

pub use caller::Caller;
pub use key::{Fingerprint, PublicKey};

use std::fmt;

/// Why a text is not the name or key that it should be: a sentence, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NameError {
    message: String,
    hint: &'static str,
}

impl NameError {
    fn new(message: impl Into<String>, hint: &'static str) -> Self {
        Self { message: message.into(), hint }
    }

    /// What to write instead.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.hint
    }
}

/// A cluster's name: the stem of its policy file, and what its account is called after.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClusterName(String);

impl ClusterName {
    /// Accepts `[a-z][a-z0-9-]{0,25}`: with `fence-` before it, it still fits an account's 32
    /// characters.
    ///
    /// # Errors
    /// A sentence for anything else.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let well_formed = (1..=26).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if well_formed {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(
                format!("{text:?} is not the name of a cluster"),
                "a cluster's name is a lower-case letter, then at most 25 lower-case letters, digits and hyphens",
            ))
        }
    }

    /// The cluster whose account this is, if it has the form of one.
    #[must_use]
    pub fn from_account(account: &str) -> Option<Self> {
        Self::parse(account.strip_prefix(ACCOUNT_PREFIX)?).ok()
    }

    /// The cluster's account on dom0, such as `fence-alpha`.
    #[must_use]
    pub fn account(&self) -> String {
        format!("{ACCOUNT_PREFIX}{}", self.0)
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A domain's name as Xen knows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainName(String);

impl DomainName {
    /// Accepts 1 to 80 printable ASCII characters that no toolstack takes for something else.
    ///
    /// # Errors
    /// A sentence that says what a toolstack would take the name for.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refuse = |why: &str| {
            Err(NameError::new(
                format!("{text:?} cannot be the name of a domain: {why}"),
                "`domain` is the name in the first column of `xl list`",
            ))
        };
        if text.is_empty() {
            return refuse("it is empty");
        }
        if text.len() > MAX_DOMAIN_NAME {
            return refuse("it is longer than 80 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
            return refuse("only printable ASCII without spaces and slashes can stand in one");
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            return refuse("the toolstack reads digits as a domain id");
        }
        if text.starts_with('-') {
            return refuse("the toolstack reads a leading hyphen as an option");
        }
        if text.eq_ignore_ascii_case("Domain-0") {
            return refuse("it is dom0's own, and dom0 is never a target");
        }
        if text == "(null)" {
            return refuse("it is what the toolstack prints for a domain that has lost its name");
        }
        if text.starts_with("Zombie-") {
            return refuse("it is what xm prints for what is left of a dead domain");
        }
        if MIGRATION_SUFFIXES.iter().any(|suffix| text.ends_with(suffix)) {
            return refuse("it is what the toolstack calls a domain that is being migrated");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A domain's UUID: what stays attributable when its name is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uuid(u128);

impl Uuid {
    /// Reads the form 8-4-4-4-12 in either case; the nil UUID is dom0's and no node's.
    ///
    /// # Errors
    /// A sentence for anything else.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const HINT: &str = "the UUID is `uuid = …` in the domain's configuration, and the last column of `xl list -v`";
        let bytes = text.as_bytes();
        let well_formed = bytes.len() == 36
            && bytes.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        match u128::from_str_radix(&digits, 16) {
            Ok(0) if well_formed => Err(NameError::new("the nil UUID is dom0's own", HINT)),
            Ok(bits) if well_formed => Ok(Self(bits)),
            Ok(_) | Err(_) => Err(NameError::new(format!("{text:?} is not a UUID"), HINT)),
        }
    }
}

/// Lower-case hexadecimal digits in groups of 8-4-4-4-12.
impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        for (at, digit) in digits.char_indices() {
            if matches!(at, 8 | 12 | 16 | 20) {
                f.write_str("-")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

const ACCOUNT_PREFIX: &str = "fence-";
const MAX_DOMAIN_NAME: usize = 80;
/// What libxl puts behind a name during a migration (xl_migrate.c).
const MIGRATION_SUFFIXES: [&str; 2] = ["--incoming", "--migratedaway"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_name_fits_a_file_and_an_account() {
        let name = ClusterName::parse("alpha-2").unwrap();
        assert_eq!(name.account(), "fence-alpha-2");
        assert_eq!(ClusterName::from_account("fence-alpha-2"), Some(name));
        assert_eq!(ClusterName::parse(&"a".repeat(26)).unwrap().account().len(), 32);
        let long = "a".repeat(27);
        for bad in ["", "Alpha", "2alpha", "-a", "a_b", "a.toml", "../a", "a b", long.as_str()] {
            assert!(ClusterName::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["root", "fence-", "fence-Alpha", "xfence-alpha", "fencealpha"] {
            assert_eq!(ClusterName::from_account(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_domain_name_is_nothing_that_a_toolstack_takes_for_something_else() {
        let long = "d".repeat(81);
        for bad in [
            "",
            "0",
            "12",
            "-f",
            "--all",
            "Domain-0",
            "domain-0",
            "DOMAIN-0",
            "(null)",
            "a b",
            "a\tb",
            "a\nb",
            "a\0",
            "../x",
            "a/b",
            "dömain",
            "Zombie-a",
            "a--incoming",
            "a--migratedaway",
            long.as_str(),
        ] {
            assert!(DomainName::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["alpha-node1", "a", "1a", "Domain-01", "web.example", &"d".repeat(80)] {
            assert_eq!(DomainName::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn a_uuid_has_one_spelling_out_and_both_cases_in() {
        let uuid = Uuid::parse("0F6A1B2C-0000-4000-8000-00000000ABCD").unwrap();
        assert_eq!(uuid.to_string(), "0f6a1b2c-0000-4000-8000-00000000abcd");
        assert_eq!(Uuid::parse(&uuid.to_string()).unwrap(), uuid);
        for bad in [
            "",
            "00000000-0000-0000-0000-000000000000",
            "0f6a1b2c00004000800000000000abcd",
            "0f6a1b2c-0000-4000-8000-00000000abc",
            "0f6a1b2c-0000-4000-8000-00000000abcg",
            "+f6a1b2c-0000-4000-8000-00000000abcd",
            "0f6a1b2c-0000-4000-80000-0000000abcd",
        ] {
            assert!(Uuid::parse(bad).is_err(), "{bad:?}");
        }
    }
}
