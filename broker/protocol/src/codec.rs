//! Bytes to lines and lines to fields; strict, bounded, without guessing.

use crate::VERSION;
use std::fmt;

/// Why a line was not understood. The sentence is shown to whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WireError {
    /// The line is empty.
    Empty,
    /// The line is longer than this many bytes.
    Oversized(usize),
    /// The bytes ended before the line did.
    Unterminated,
    /// A byte outside printable ASCII.
    Byte(u8),
    /// The first field is not a protocol version of xen-fence at all.
    NotOurs,
    /// The first field names a version that this side does not speak.
    UnknownVersion,
    /// The second field is no word of this side of the protocol.
    UnknownWord,
    /// The action is none that a broker knows.
    UnknownAction,
    /// The request id is not 32 lower-case hexadecimal digits.
    Id,
    /// A name does not have the form of a name.
    Name,
    /// The action needs a node and none was named, or the other way round.
    NodeMismatch,
    /// The field of this name is missing.
    Missing(&'static str),
    /// The field of this name has a value that it cannot have.
    Field(&'static str),
    /// Something follows the last field.
    Trailing,
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the line is empty"),
            Self::Oversized(cap) => write!(f, "the line is longer than {cap} bytes"),
            Self::Unterminated => write!(f, "the line does not end with a newline"),
            Self::Byte(byte) => {
                write!(f, "the line holds the byte 0x{byte:02x}, which is not printable ASCII")
            }
            Self::NotOurs => write!(f, "the line does not begin with \"{VERSION}\""),
            Self::UnknownVersion => {
                write!(f, "the line is of another protocol version; this side speaks \"{VERSION}\"")
            }
            Self::UnknownWord => write!(f, "the line's second word is not known"),
            Self::UnknownAction => write!(
                f,
                "the action is not known; known are reset, off, on, status, list, monitor and check"
            ),
            Self::Id => write!(f, "the request id is not 32 lower-case hexadecimal digits"),
            Self::Name => write!(
                f,
                "the name is not a letter or digit followed by up to 63 letters, digits, dots, \
                 underscores and hyphens"
            ),
            Self::NodeMismatch => {
                write!(f, "reset, off, on and status name a node; list and monitor name none")
            }
            Self::Missing(field) => write!(f, "the field \"{field}\" is missing"),
            Self::Field(field) => write!(f, "the field \"{field}\" has no meaning that is known"),
            Self::Trailing => write!(f, "something follows the line's last field"),
        }
    }
}

impl std::error::Error for WireError {}

/// Collects bytes from a stream and gives out whole lines, none longer than its cap.
#[derive(Debug)]
pub struct LineBuffer {
    bytes: Vec<u8>,
    cap: usize,
}

impl LineBuffer {
    /// An empty buffer whose lines may have `cap` bytes, newline included.
    #[must_use]
    pub const fn new(cap: usize) -> Self {
        Self { bytes: Vec::new(), cap }
    }

    /// Adds bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes the next whole line, newline included, if there is one.
    ///
    /// # Errors
    /// [`WireError::Oversized`] as soon as the next line is known to be too long, ended or not.
    pub fn take_line(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        match self.bytes.iter().position(|byte| *byte == b'\n') {
            Some(end) if end < self.cap => {
                let rest = self.bytes.split_off(end.saturating_add(1));
                Ok(Some(std::mem::replace(&mut self.bytes, rest)))
            }
            None if self.bytes.len() < self.cap => Ok(None),
            Some(_) | None => Err(WireError::Oversized(self.cap)),
        }
    }

    /// The bytes that came after the last line taken.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes
    }
}

/// The fields of one line, read in order.
pub(crate) struct Fields<'line> {
    rest: Option<&'line str>,
}

impl<'line> Fields<'line> {
    /// Checks length, end, bytes and version of a line and stands before its second field.
    pub(crate) fn of_line(line: &'line [u8], cap: usize) -> Result<Self, WireError> {
        if line.len() > cap {
            return Err(WireError::Oversized(cap));
        }
        let body = line.strip_suffix(b"\n").ok_or(WireError::Unterminated)?;
        if let Some(byte) = body.iter().find(|byte| !matches!(byte, b' '..=b'~')) {
            return Err(WireError::Byte(*byte));
        }
        let text = std::str::from_utf8(body).map_err(|_| WireError::NotOurs)?;
        if text.is_empty() {
            return Err(WireError::Empty);
        }
        let mut fields = Self { rest: Some(text) };
        let version = fields.next("version")?;
        if version == VERSION {
            Ok(fields)
        } else if version.starts_with("xen-fence/") {
            Err(WireError::UnknownVersion)
        } else {
            Err(WireError::NotOurs)
        }
    }

    /// The next field; `name` is what an error calls it.
    pub(crate) fn next(&mut self, name: &'static str) -> Result<&'line str, WireError> {
        let rest = self.rest.ok_or(WireError::Missing(name))?;
        let (field, rest) = match rest.split_once(' ') {
            Some((field, rest)) => (field, Some(rest)),
            None => (rest, None),
        };
        self.rest = rest;
        if field.is_empty() { Err(WireError::Missing(name)) } else { Ok(field) }
    }

    /// The last field of a line that may be without it.
    pub(crate) fn optional(&mut self) -> Result<Option<&'line str>, WireError> {
        if self.rest.is_some() { self.next("optional").map(Some) } else { Ok(None) }
    }

    /// Everything that is left: the sentence at the end of a line.
    pub(crate) fn remainder(&mut self, name: &'static str) -> Result<&'line str, WireError> {
        self.rest.take().ok_or(WireError::Missing(name))
    }

    /// Makes sure that nothing is left.
    pub(crate) fn end(&self) -> Result<(), WireError> {
        if self.rest.is_none() { Ok(()) } else { Err(WireError::Trailing) }
    }
}

/// Gives an enum its words on the wire: one table, read in both directions.
macro_rules! words {
    ($type:ident, $field:literal, { $($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        impl $type {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word on the wire.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// Reads the word.
            ///
            /// # Errors
            /// [`WireError::Field`] for a word that is not in the table.
            pub fn from_word(word: &str) -> Result<Self, WireError> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(WireError::Field($field)),
                }
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.word())
            }
        }
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let mut buffer = LineBuffer::new(8);
        buffer.push(b"one\ntw");
        assert_eq!(buffer.take_line(), Ok(Some(b"one\n".to_vec())));
        assert_eq!(buffer.take_line(), Ok(None));
        assert_eq!(buffer.rest(), b"tw");
        buffer.push(b"o\n");
        assert_eq!(buffer.take_line(), Ok(Some(b"two\n".to_vec())));
        assert_eq!(buffer.take_line(), Ok(None));
    }

    #[test]
    fn a_line_longer_than_the_cap_is_refused_before_it_ends() {
        let mut buffer = LineBuffer::new(8);
        buffer.push(b"1234567");
        assert_eq!(buffer.take_line(), Ok(None));
        buffer.push(b"8");
        assert_eq!(buffer.take_line(), Err(WireError::Oversized(8)));
        let mut buffer = LineBuffer::new(8);
        buffer.push(b"1234567\n");
        assert_eq!(buffer.take_line(), Ok(Some(b"1234567\n".to_vec())));
        buffer.push(b"12345678\n");
        assert_eq!(buffer.take_line(), Err(WireError::Oversized(8)));
    }

    #[test]
    fn an_error_is_a_sentence_with_what_it_is_about() {
        for (error, about) in [
            (WireError::Oversized(512), "512 bytes"),
            (WireError::Byte(0x1b), "0x1b"),
            (WireError::UnknownVersion, VERSION),
            (WireError::Missing("node"), "\"node\" is missing"),
            (WireError::Field("power"), "\"power\""),
        ] {
            assert!(error.to_string().contains(about), "{error}");
        }
    }
}
