//! Public keys as SSH writes them: a type, a blob and a fingerprint.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};

/// A public key whose type stands in its blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicKey {
    kind: String,
    blob: Vec<u8>,
}

impl PublicKey {
    /// A key from its blob; none if the blob does not begin with the name of a type.
    pub(crate) fn of_blob(blob: &[u8]) -> Option<Self> {
        let (kind, rest) = take_string(blob)?;
        let kind = std::str::from_utf8(kind).ok()?;
        let is_name = !kind.is_empty()
            && kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-@._".contains(&byte));
        (is_name && !rest.is_empty()).then(|| Self { kind: kind.to_owned(), blob: blob.to_vec() })
    }

    /// A key from the two fields of a line; none unless the blob is of the type that is named.
    pub(crate) fn of_fields(kind: &str, base64: &str) -> Option<Self> {
        Self::of_blob(&STANDARD.decode(base64).ok()?).filter(|key| key.kind == kind)
    }

    /// The type, such as `ssh-ed25519`.
    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    /// The bytes.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    pub(crate) fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// The type and the blob as a line has them.
    pub(crate) fn fields(&self) -> String {
        format!("{} {}", self.kind, STANDARD.encode(&self.blob))
    }
}

/// Splits off one string of SSH's wire format: four bytes of length, then so many bytes.
pub(crate) fn take_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIMZ6Tt3kE1jzBVP9dw4t9yyXk2mCFTfsEI0V6I1mCkrM";

    #[test]
    fn keys_are_read_and_shown() {
        let key = PublicKey::of_fields("ssh-ed25519", KEY).unwrap();
        assert_eq!(key.kind(), "ssh-ed25519");
        assert_eq!(key.fields(), format!("ssh-ed25519 {KEY}"));
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert_eq!(key.fingerprint().len(), 50);
    }

    #[test]
    fn what_is_no_key_is_none() {
        for (kind, base64) in [
            ("ssh-rsa", KEY),
            ("ssh-ed25519", "AAAA"),
            ("ssh-ed25519", "not base64"),
            ("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5"),
            ("", ""),
        ] {
            assert_eq!(PublicKey::of_fields(kind, base64), None, "{kind} {base64}");
        }
        assert_eq!(take_string(&[0xff, 0xff, 0xff, 0xff, 1]), None);
    }
}
