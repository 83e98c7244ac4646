//! The names and small values on the wire, each valid by construction.

use crate::codec::WireError;
use crate::limits::{MAX_NODE_NAME, MAX_TEXT};
use std::fmt;
use std::hash::{Hash, Hasher};

/// A node's name as its cluster knows it (`uname -n`), or an operator's; ASCII case does not
/// count, because cluster-glue lower-cases it on the way.
#[derive(Clone, Debug)]
pub struct NodeName(String);

impl NodeName {
    /// Accepts `[A-Za-z0-9][A-Za-z0-9._-]{0,63}`.
    ///
    /// # Errors
    /// [`WireError::Name`] for anything else.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let mut bytes = text.bytes();
        let first_is_good = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let rest_is_good =
            bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if first_is_good && rest_is_good && text.len() <= MAX_NODE_NAME {
            Ok(Self(text.to_owned()))
        } else {
            Err(WireError::Name)
        }
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case: what file names and maps use.
    #[must_use]
    pub fn lower(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

impl PartialEq for NodeName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for NodeName {}

impl Hash for NodeName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.lower().hash(state);
    }
}

impl PartialOrd for NodeName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NodeName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.lower().cmp(&other.lower())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// 128 random bits that name one request, also across the processes that retry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(u128);

impl RequestId {
    /// Makes an id of 128 bits, which the caller took from the kernel's random numbers.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Reads 32 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`WireError::Id`] for anything else.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let well_formed =
            text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !well_formed {
            return Err(WireError::Id);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| WireError::Id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The name by which a dom0 signs its replies: its host name, without a domain of DNS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// Reads a host name from the wire; it has the form of a node name.
    ///
    /// # Errors
    /// [`WireError::Name`] if it does not.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        NodeName::parse(text).map(|name| Self(name.0))
    }

    /// Makes a host name of whatever the kernel says this host is called: bytes that the wire does
    /// not carry become `_`, and an empty name becomes `dom0`.
    #[must_use]
    pub fn of_kernel(text: &str) -> Self {
        let cleaned: String = text
            .chars()
            .take(MAX_NODE_NAME)
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' })
            .collect();
        Self::parse(&cleaned).unwrap_or_else(|_| Self("dom0".to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The broker's version, such as `0.1.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(String);

impl Version {
    /// Accepts up to 32 letters, digits, dots, plus signs and hyphens.
    ///
    /// # Errors
    /// [`WireError::Field`] for anything else.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let well_formed = (1..=32).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-'));
        if well_formed { Ok(Self(text.to_owned())) } else { Err(WireError::Field("version")) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A sentence for a person: printable ASCII, not empty, at most [`MAX_TEXT`] bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// Makes a sentence of anything: what is not printable ASCII is escaped as `\u{…}`, so that no
    /// byte can forge a line or drive a terminal, and what is too long is cut and says so.
    #[must_use]
    pub fn escaped(text: &str) -> Self {
        const CUT: &str = " [cut]";
        let mut out = String::with_capacity(text.len());
        for character in text.trim().chars() {
            let escaped = if matches!(character, ' '..='~') {
                character.to_string()
            } else {
                character.escape_unicode().to_string()
            };
            if out.len().saturating_add(escaped.len()).saturating_add(CUT.len()) > MAX_TEXT {
                out.push_str(CUT);
                break;
            }
            out.push_str(&escaped);
        }
        if out.is_empty() { Self("-".to_owned()) } else { Self(out) }
    }

    /// Reads a sentence from the wire.
    ///
    /// # Errors
    /// [`WireError::Field`] if it is empty, too long, or begins or ends with a space.
    pub fn parse(text: &str) -> Result<Self, WireError> {
        let well_formed = (1..=MAX_TEXT).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
            && text.trim() == text;
        if well_formed { Ok(Self(text.to_owned())) } else { Err(WireError::Field("text")) }
    }

    /// The sentence itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_names_are_compared_without_case() {
        assert_eq!(NodeName::parse("Node2").unwrap(), NodeName::parse("nODE2").unwrap());
        let name = |text| NodeName::parse(text).unwrap();
        assert_eq!((name("Node2").as_str(), name("Node2").lower()), ("Node2", "node2".to_owned()));
        assert_ne!(name("node2"), name("node3"));
        assert!(name("NODE2") < name("node3") && name("node2") < name("NODE3"));
        let nodes = std::collections::HashSet::from([name("node2")]);
        assert!(nodes.contains(&name("NODE2")) && !nodes.contains(&name("node3")));
    }

    /// Two names of which one is the other in another case are one key of a map.
    #[test]
    fn equal_names_have_equal_hashes_and_others_have_not() {
        let hash = |text: &str| {
            let mut hasher = std::hash::DefaultHasher::new();
            NodeName::parse(text).unwrap().hash(&mut hasher);
            hasher.finish()
        };
        assert_eq!(hash("node2"), hash("NODE2"));
        assert_ne!(hash("node2"), hash("node3"));
    }

    #[test]
    fn what_is_no_version_and_no_sentence_is_refused() {
        for good in ["1", "0.1.0", "1.2.3-rc1+git"] {
            assert_eq!(Version::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "1_2", "1 2", "ö", &"1".repeat(33)] {
            assert_eq!(Version::parse(bad), Err(WireError::Field("version")), "{bad:?}");
        }
        for bad in ["", " a", "a ", "a\tb", "ö", &"a".repeat(MAX_TEXT + 1)] {
            assert_eq!(Text::parse(bad), Err(WireError::Field("text")), "{bad:?}");
        }
        assert_eq!(Text::parse(&"a".repeat(MAX_TEXT)).unwrap().as_str().len(), MAX_TEXT);
    }

    #[test]
    fn names_that_are_no_names_are_refused() {
        let long = "a".repeat(65);
        for bad in ["", "-f", ".", "../x", "a b", "a/b", "a\0", "nöde", "_a", long.as_str()] {
            assert_eq!(NodeName::parse(bad), Err(WireError::Name), "{bad:?}");
        }
        assert!(NodeName::parse(&"a".repeat(64)).is_ok());
    }

    #[test]
    fn an_id_has_one_spelling() {
        let text = "00000000000000000000000000c0ffee";
        assert_eq!(RequestId::parse(text).unwrap().to_string(), text);
        for bad in
            ["", "c0ffee", "00000000000000000000000000C0FFEE", "+0000000000000000000000000c0ffee"]
        {
            assert_eq!(RequestId::parse(bad), Err(WireError::Id), "{bad:?}");
        }
    }

    #[test]
    fn no_byte_of_a_sentence_can_forge_a_line() {
        let text = Text::escaped("one\ntwo\x1b[31m \u{202e}");
        assert_eq!(text.as_str(), "one\\u{a}two\\u{1b}[31m \\u{202e}");
        assert!(Text::parse(text.as_str()).is_ok());
    }

    #[test]
    fn a_long_sentence_is_cut_and_says_so() {
        let text = Text::escaped(&"\u{fffd}".repeat(1000));
        assert!(text.as_str().len() <= MAX_TEXT && text.as_str().ends_with(" [cut]"));
        assert_eq!(Text::escaped(" \t").as_str(), "-");
        let fits = "a".repeat(MAX_TEXT - " [cut]".len());
        assert_eq!(Text::escaped(&fits).as_str(), fits);
    }

    #[test]
    fn a_kernel_host_name_always_becomes_a_name() {
        assert_eq!(HostName::of_kernel("xen1").as_str(), "xen1");
        assert_eq!(HostName::of_kernel("(none)").as_str(), "dom0");
        assert_eq!(HostName::of_kernel("a b").as_str(), "a_b");
    }
}
