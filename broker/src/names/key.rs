//! Public keys and their fingerprints, as OpenSSH writes them.
//!
//! Nothing is verified with them here: sshd does that. They are compared, and written into sshd's
//! key files from their parsed parts only, so that no option can be smuggled in with one.

use super::NameError;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// `SHA256:` and 43 characters of base64: what `ssh-keygen -l` prints.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// Reads a fingerprint in the one form that OpenSSH writes.
    ///
    /// # Errors
    /// A sentence for anything else.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let decoded = text
            .strip_prefix("SHA256:")
            .filter(|digest| digest.len() == 43)
            .and_then(|digest| STANDARD_NO_PAD.decode(digest).ok());
        match decoded {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(NameError::new(
                "that is not the fingerprint of a key",
                "`ssh-keygen -lf KEY.pub` prints it: SHA256: and 43 characters",
            )),
        }
    }

    /// The fingerprint itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A public key: its type and its blob. The comment is not kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: &'static Kind,
    blob: Vec<u8>,
}

impl PublicKey {
    /// Reads `TYPE BASE64 [COMMENT]`, a line of a `.pub` file without options before it.
    ///
    /// # Errors
    /// A sentence that says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        const HINT: &str =
            "a key is the one line of the .pub file: its type, base64 and perhaps a comment";
        if text.contains("PRIVATE KEY") {
            return Err(NameError::new(
                "that is a private key, and it is known to others now",
                "make a new pair with ssh-keygen; only the line of the .pub file belongs here",
            ));
        }
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(NameError::new("a key is one line without control characters", HINT));
        }
        let mut words = text.split(' ').filter(|word| !word.is_empty());
        let (Some(name), Some(base64)) = (words.next(), words.next()) else {
            return Err(NameError::new("a key has at least a type and base64", HINT));
        };
        let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
            return Err(NameError::new(
                format!("{name:?} is not a type of key that is accepted"),
                "accepted are ssh-ed25519, ecdsa-sha2-nistp256, -384 and -521, ssh-rsa and their \
                 sk- forms, without options before the type",
            ));
        };
        let Ok(blob) = STANDARD.decode(base64) else {
            return Err(NameError::new("the key's base64 cannot be decoded", HINT));
        };
        if kind.fits(&blob) {
            Ok(Self { kind, blob })
        } else {
            Err(NameError::new(
                format!("the base64 is not that of a whole {name} key"),
                "copy the line of the .pub file again: a part of it seems to be missing",
            ))
        }
    }

    /// The SHA-256 of the blob, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let digest = Sha256::digest(&self.blob);
        Fingerprint(format!("SHA256:{}", STANDARD_NO_PAD.encode(digest)))
    }

    /// How long the modulus of an RSA key is; none for other types, whose length is fixed.
    #[must_use]
    pub fn rsa_bits(&self) -> Option<usize> {
        if self.kind.name != "ssh-rsa" {
            return None;
        }
        let (_name, rest) = take_string(&self.blob)?;
        let (_exponent, rest) = take_string(rest)?;
        let (modulus, _) = take_string(rest)?;
        // A number that would look negative has a zero byte before it (RFC 4251, section 5).
        let at = modulus.iter().position(|byte| *byte != 0)?;
        let (first, more) = modulus.get(at..)?.split_first()?;
        let of_first = usize::try_from(u8::BITS.saturating_sub(first.leading_zeros())).ok()?;
        Some(more.len().saturating_mul(8).saturating_add(of_first))
    }

    /// Type and base64, made anew from the parsed parts: safe to write into a key file.
    #[must_use]
    pub fn type_and_base64(&self) -> String {
        format!("{} {}", self.kind.name, STANDARD.encode(&self.blob))
    }
}

/// A type of key: its name, and the number of strings in its blob, the name's own included.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Kind {
    name: &'static str,
    strings: usize,
}

/// The blobs' forms: RFC 8709, RFC 5656, RFC 4253 and PROTOCOL.u2f of OpenSSH.
const KINDS: &[Kind] = &[
    Kind { name: "ssh-ed25519", strings: 2 },
    Kind { name: "ecdsa-sha2-nistp256", strings: 3 },
    Kind { name: "ecdsa-sha2-nistp384", strings: 3 },
    Kind { name: "ecdsa-sha2-nistp521", strings: 3 },
    Kind { name: "ssh-rsa", strings: 3 },
    Kind { name: "sk-ssh-ed25519@openssh.com", strings: 3 },
    Kind { name: "sk-ecdsa-sha2-nistp256@openssh.com", strings: 4 },
];

impl Kind {
    /// Whether the blob begins with this type's name and holds what such a key holds, no more.
    fn fits(&self, blob: &[u8]) -> bool {
        let mut rest = blob;
        let mut count = 0_usize;
        while let Some((string, after)) = take_string(rest) {
            let fits = match count {
                0 => string == self.name.as_bytes(),
                1 if self.name.ends_with("ed25519") || self.name.contains("ed25519@") => {
                    string.len() == 32
                }
                _ => !string.is_empty(),
            };
            if !fits {
                return false;
            }
            count = count.saturating_add(1);
            rest = after;
        }
        rest.is_empty() && count == self.strings
    }
}

/// A string of the SSH wire: four bytes of length, then as many bytes (RFC 4251, section 5).
fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ssh-keygen -lf` of OpenSSH 9.2 printed for these keys.
    #[test]
    fn fingerprints_are_those_of_ssh_keygen() {
        for (line, fingerprint) in [
            (
                "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN node1",
                "SHA256:U/Qb9WEnDFN32kbA4/khJpQ2marLSF/jYL4pz1f26hk",
            ),
            (
                "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBAGLRaUphSfV2oDHzPqmALcS0JH+ohojByYfrFHh4duH/D0ZaDGsBhy3fx4dRQjx1/9LIB8y+vIFbz4oIwv7o9ssWQF0O5cFazyenbpcPA3sosLaaeC0xtahG7znb9EtQ1/7bXdscUl1kBx7xdFztBhSHvgoBtU4QhEiT5mk8lP+HHiSOw==",
                "SHA256:RqriuBXLt4MVhxJ4qJzaN9c3I74FfNPccXNPtkFc7Mc",
            ),
        ] {
            let key = PublicKey::parse(line).unwrap();
            assert_eq!(key.fingerprint().as_str(), fingerprint);
            assert_eq!(Fingerprint::parse(fingerprint), Ok(key.fingerprint()));
            let mut words = line.split(' ');
            let bare = format!("{} {}", words.next().unwrap(), words.next().unwrap());
            assert_eq!(key.type_and_base64(), bare, "without the comment");
        }
    }

    #[test]
    fn the_length_of_an_rsa_key_is_that_of_its_modulus() {
        let key = |modulus: &[u8]| {
            let strings = [&b"ssh-rsa"[..], &[1, 0, 1], modulus];
            let length = |it: &[u8]| u32::try_from(it.len()).unwrap().to_be_bytes();
            let blob: Vec<u8> =
                strings.iter().flat_map(|it| [&length(it)[..], *it].concat()).collect();
            PublicKey::parse(&format!("ssh-rsa {}", STANDARD.encode(blob))).unwrap()
        };
        assert_eq!(key(&[&[0, 0x80][..], &[7; 127]].concat()).rsa_bits(), Some(1024));
        assert_eq!(key(&[0x7f, 0xff]).rsa_bits(), Some(15));
        let line =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBM1MWVx/aXNCQ/9eGUMx0a5n9T6hbPWJvjw1TBT8tDN";
        assert_eq!(PublicKey::parse(line).unwrap().rsa_bits(), None);
    }

    #[test]
    fn keys_of_a_security_key_have_their_own_form() {
        let string = |bytes: &[u8]| {
            let mut out = u32::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
            out.extend_from_slice(bytes);
            out
        };
        for (name, parts) in [
            ("sk-ssh-ed25519@openssh.com", vec![&[7_u8; 32][..], b"ssh:"]),
            ("sk-ecdsa-sha2-nistp256@openssh.com", vec![b"nistp256", &[4; 65], b"ssh:"]),
        ] {
            let whole: Vec<u8> = std::iter::once(name.as_bytes())
                .chain(parts.iter().copied())
                .flat_map(string)
                .collect();
            let line = |blob: &[u8]| format!("{name} {}", STANDARD.encode(blob));
            assert!(PublicKey::parse(&line(&whole)).is_ok(), "{name}");
            assert!(PublicKey::parse(&line(&whole[..whole.len() - 1])).is_err(), "{name} cut");
            let longer = [whole, string(b"x")].concat();
            assert!(PublicKey::parse(&line(&longer)).is_err(), "{name} with more");
        }
    }

    #[test]
    fn fingerprints_have_one_form() {
        for bad in [
            "",
            "U/Qb9WEnDFN32kbA4/khJpQ2marLSF/jYL4pz1f26hk",
            "SHA256:U/Qb9WEnDFN32kbA4/khJpQ2marLSF/jYL4pz1f26hk=",
            "SHA256:U/Qb9WEnDFN32kbA4/khJpQ2marLSF/jYL4pz1f26h",
            "SHA256:U/Qb9WEnDFN32kbA4/khJpQ2marLSF/jYL4pz1f26h ",
            "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
        ] {
            assert!(Fingerprint::parse(bad).is_err(), "{bad:?}");
        }
    }
}
