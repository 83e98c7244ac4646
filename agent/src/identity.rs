//! The agent's own private key: read once from a file that nobody else may read.
//!
//! Only what is needed to refuse a wrong file with a clear sentence, and to name the key by its
//! fingerprint, is parsed here; the SSH library parses the key itself.

use crate::error::{Error, Kind};
use crate::public_key::{PublicKey, take_string};
use crate::secure_file::{self, Privacy};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use std::path::{Path, PathBuf};

/// Far more than the largest RSA key needs.
const MAX_KEY_FILE: u64 = 64 * 1024;

/// A private key, and what may be said of it.
pub(crate) struct Identity {
    path: PathBuf,
    text: String,
    public: Option<PublicKey>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Identity {
    /// Reads the key file.
    ///
    /// # Errors
    /// [`Kind::Config`] if it is missing, loose, encrypted or no private key.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let shown = path.display();
        let bytes = secure_file::read(path, "the key file", Privacy::Secret, MAX_KEY_FILE)?
            .ok_or_else(|| {
                Error::new(Kind::Config, format!("the key file {shown} does not exist"))
                    .hint("name the key with --identity, or `identity` in agent.toml")
                    .hint(format!(
                        "a new one: ssh-keygen -t ed25519 -N '' -f {shown}; then give {shown}.pub \
                         to the owner of dom0"
                    ))
            })?;
        let fail = |why: &str| Error::new(Kind::Config, format!("the key file {shown} {why}"));
        let text = String::from_utf8(bytes)
            .map_err(|_| fail("is not a private key in PEM or OpenSSH's format"))?;
        match Look::at(&text) {
            Look::Plain(public) => Ok(Self { path: path.to_owned(), text, public }),
            Look::Encrypted => {
                Err(fail("is encrypted, and nobody is there to type its passphrase")
                    .hint(format!("ssh-keygen -p -N '' -f {shown}")))
            }
            Look::Public => Err(fail("holds a public key; the private one is needed")),
            Look::NoKey => Err(fail("is not a private key in PEM or OpenSSH's format")),
        }
    }

    /// The file that it came from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Its public half, where the file shows it to more than the SSH library.
    pub(crate) const fn public(&self) -> Option<&PublicKey> {
        self.public.as_ref()
    }

    /// Its type and fingerprint, or its file where only the SSH library can read it.
    pub(crate) fn name(&self) -> String {
        match &self.public {
            Some(key) => format!("{} {}", key.kind(), key.fingerprint()),
            None => format!("in {}", self.path.display()),
        }
    }
}

/// What a file looks like.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Plain(Option<PublicKey>),
    Encrypted,
    Public,
    NoKey,
}

impl Look {
    fn at(text: &str) -> Self {
        let Some((_, rest)) = text.split_once("-----BEGIN ") else {
            let public = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| text.starts_with(start));
            return if public { Self::Public } else { Self::NoKey };
        };
        let Some((label, body)) = rest.split_once("-----") else { return Self::NoKey };
        match label {
            "OPENSSH PRIVATE KEY" => Self::at_openssh(body).unwrap_or(Self::NoKey),
            "ENCRYPTED PRIVATE KEY" => Self::Encrypted,
            _ if body.contains("Proc-Type: 4,ENCRYPTED") => Self::Encrypted,
            _ if label.ends_with("PRIVATE KEY") => Self::Plain(None),
            _ if label.ends_with("PUBLIC KEY") => Self::Public,
            _ => Self::NoKey,
        }
    }

    /// OpenSSH's own format (PROTOCOL.key): magic, cipher, KDF, its options, count, public key.
    fn at_openssh(body: &str) -> Option<Self> {
        let base64: String =
            body.split("-----END").next()?.chars().filter(|c| !c.is_whitespace()).collect();
        let bytes = STANDARD.decode(base64).ok()?;
        let rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
        let (cipher, rest) = take_string(rest)?;
        let (_kdf, rest) = take_string(rest)?;
        let (_options, rest) = take_string(rest)?;
        let (_count, rest) = rest.split_first_chunk::<4>()?;
        let (public, _private) = take_string(rest)?;
        let public = PublicKey::of_blob(public)?;
        Some(if cipher == b"none" { Self::Plain(Some(public)) } else { Self::Encrypted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn openssh(cipher: &str) -> String {
        let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat();
        let public = [string(b"ssh-ed25519"), string(&[7; 32])].concat();
        let bytes = [
            b"openssh-key-v1\0".to_vec(),
            string(cipher.as_bytes()),
            string(b"none"),
            string(b""),
            1_u32.to_be_bytes().to_vec(),
            string(&public),
            string(&[1; 64]),
        ]
        .concat();
        let label = "OPENSSH PRIVATE KEY";
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes))
    }

    #[test]
    fn keys_are_told_apart_by_their_form() {
        assert!(matches!(Look::at(&openssh("none")), Look::Plain(Some(_))));
        for (text, look) in [
            (openssh("aes256-ctr"), Look::Encrypted),
            ("-----BEGIN RSA PRIVATE KEY-----\nMII".into(), Look::Plain(None)),
            ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n".into(), Look::Encrypted),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII".into(), Look::Encrypted),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END".into(), Look::NoKey),
            ("-----BEGIN CERTIFICATE-----\nMII".into(), Look::NoKey),
            ("ssh-ed25519 AAAA me@here".into(), Look::Public),
            ("hello".into(), Look::NoKey),
            (String::new(), Look::NoKey),
        ] {
            assert_eq!(Look::at(&text), look, "{text}");
        }
    }

    #[test]
    fn a_missing_key_names_the_file_and_the_way_out() {
        let error = Identity::read(Path::new("/nonexistent/key")).unwrap_err();
        assert_eq!(error.kind, Kind::Config);
        assert!(error.message.contains("/nonexistent/key does not exist"), "{error}");
        assert!(error.hints.iter().any(|hint| hint.contains("ssh-keygen -t ed25519")));
    }
}
