//! One line of known_hosts: marker, names, key.

use crate::public_key::PublicKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The word in front of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Marker {
    None,
    Revoked,
    Authority,
}

/// The hosts that a line speaks of.
#[derive(Debug)]
pub(super) enum Names {
    /// Patterns, separated by commas.
    Patterns(String),
    /// One name, hashed.
    Hashed,
    /// It cannot be said which.
    Unreadable,
}

/// A line that is neither empty nor a comment.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) marker: Marker,
    pub(super) names: Names,
    /// The key, or what is wrong with the line.
    pub(super) key: Result<PublicKey, &'static str>,
}

impl Line {
    /// Reads a line; none for a comment or nothing.
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let first = fields.next().filter(|first| !first.starts_with('#'))?;
        let broken = |marker, names, why| Some(Self { marker, names, key: Err(why) });
        let (marker, hosts) = match first {
            "@revoked" => (Marker::Revoked, fields.next()),
            "@cert-authority" => (Marker::Authority, fields.next()),
            _ if first.starts_with('@') => {
                return broken(Marker::None, Names::Unreadable, "the marker is not known");
            }
            _ => (Marker::None, Some(first)),
        };
        let Some(hosts) = hosts else {
            return broken(marker, Names::Unreadable, "the host names are missing");
        };
        let names = match hosts.strip_prefix('|') {
            None => Names::Patterns(hosts.to_ascii_lowercase()),
            Some(hash) if is_hash(hash) => Names::Hashed,
            Some(_) => {
                return broken(
                    marker,
                    Names::Unreadable,
                    "the hashed host name is not well formed",
                );
            }
        };
        let (Some(kind), Some(base64)) = (fields.next(), fields.next()) else {
            return broken(marker, names, "the key is missing");
        };
        let key = PublicKey::of_fields(kind, base64)
            .ok_or("the key is not one of the type it is said to be");
        Some(Self { marker, names, key })
    }
}

impl Names {
    /// Whether a name, in lower case, is one of these as it stands, and not by a pattern.
    pub(super) fn hold_literally(&self, name: &str, line: &str, unhash: super::Unhash<'_>) -> bool {
        match self {
            Self::Patterns(patterns) => {
                self.hold(name, line, unhash) && patterns.split(',').any(|pattern| pattern == name)
            }
            Self::Hashed | Self::Unreadable => self.hold(name, line, unhash),
        }
    }

    /// Whether a name, in lower case, is one of these.
    pub(super) fn hold(&self, name: &str, line: &str, unhash: super::Unhash<'_>) -> bool {
        match self {
            Self::Unreadable => false,
            // The marker, which the SSH library does not know, is cut off.
            Self::Hashed => {
                let line = line.find('|').and_then(|start| line.get(start..)).unwrap_or_default();
                unhash(line, name)
            }
            Self::Patterns(patterns) => {
                let mut found = false;
                for pattern in patterns.split(',') {
                    match pattern.strip_prefix('!') {
                        Some(pattern) if matches(pattern, name) => return false,
                        Some(_) => {}
                        None => found |= matches(pattern, name),
                    }
                }
                found
            }
        }
    }
}

/// `1|salt|hash`, both of the 20 bytes of SHA-1.
fn is_hash(text: &str) -> bool {
    let is_sha1 = |part: &str| STANDARD.decode(part).is_ok_and(|bytes| bytes.len() == 20);
    text.strip_prefix("1|")
        .and_then(|rest| rest.split_once('|'))
        .is_some_and(|(salt, hash)| is_sha1(salt) && is_sha1(hash))
}

/// Matches `*` and `?`; what is before a star that failed is never tried again, so the time is
/// bounded by the product of the lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut pattern, mut name) = (pattern.as_bytes(), name.as_bytes());
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((b'*', after)), _) => {
                star = Some((after, name));
                pattern = after;
            }
            (Some((wanted, rest)), Some((byte, tail))) if *wanted == b'?' || wanted == byte => {
                (pattern, name) = (rest, tail);
            }
            (None, None) => return true,
            (Some(_) | None, _) => {
                let Some((after, from)) = star else { return false };
                let Some((_, tail)) = from.split_first() else { return false };
                star = Some((after, tail));
                (pattern, name) = (after, tail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("xen1", "xen1", true),
            ("xen1", "xen12", false),
            ("xen?", "xen1", true),
            ("xen?", "xen", false),
            ("*", "anything", true),
            ("*", "", true),
            ("x*1", "xen1", true),
            ("x*1", "xen2", false),
            ("*n*1", "xen1n1", true),
            ("[127.0.0.*]:2422", "[127.0.0.1]:2422", true),
            ("", "", true),
            ("", "x", false),
            ("a*a*a*a*b", &"a".repeat(200), false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn hashes() {
        let twenty = STANDARD.encode([1; 20]);
        for (text, expected) in [
            (format!("1|{twenty}|{twenty}"), true),
            (format!("2|{twenty}|{twenty}"), false),
            (format!("1|{twenty}"), false),
            (format!("1|{twenty}|AAAA"), false),
            (format!("1|{twenty}|{twenty}|x"), false),
            (format!("1|!|{twenty}"), false),
            (String::new(), false),
        ] {
            assert_eq!(is_hash(&text), expected, "{text}");
        }
    }
}
