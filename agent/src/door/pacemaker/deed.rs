//! The actions of the fence agents' contract, and what each is called.

use crate::error::{Error, Kind};

/// What can be asked of a fence agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::door) enum Deed {
    On,
    Off,
    Reboot,
    Status,
    Monitor,
    List,
    ListStatus,
    Metadata,
    ValidateAll,
    Manpage,
}

impl Deed {
    /// All of them, in the order in which they are shown.
    pub(in crate::door) const ALL: &'static [Self] = &[
        Self::On,
        Self::Off,
        Self::Reboot,
        Self::Status,
        Self::Monitor,
        Self::List,
        Self::ListStatus,
        Self::Metadata,
        Self::ValidateAll,
        Self::Manpage,
    ];

    const fn row(self) -> (&'static str, &'static str) {
        match self {
            Self::On => ("on", "start the node; with several dom0s, if it is off on all"),
            Self::Off => ("off", "kill the node and prove its death"),
            Self::Reboot => {
                ("reboot", "the same, and have it started again, which is not waited for")
            }
            Self::Status => ("status", "tell whether the node is on (0), off (2) or unknown (1)"),
            Self::Monitor => {
                ("monitor", "tell whether a fence would work now, without naming a node")
            }
            Self::List => ("list", "list the nodes that dom0's policy lets this one name"),
            Self::ListStatus => ("list-status", "the same, with ON, OFF or UNKNOWN"),
            Self::Metadata => ("metadata", "print the metadata, in XML"),
            Self::ValidateAll => {
                ("validate-all", "check parameters, key and host keys; ask nobody")
            }
            Self::Manpage => ("manpage", "print the man page, in troff's format"),
        }
    }

    /// The word for it.
    pub(in crate::door) const fn word(self) -> &'static str {
        self.row().0
    }

    /// What it does, for people.
    pub(super) const fn text(self) -> &'static str {
        self.row().1
    }

    /// The one of a word, in whatever case.
    ///
    /// # Errors
    /// There is none, in the words by which Pacemaker knows that.
    pub(super) fn parse(word: &str) -> Result<Self, Error> {
        let word = word.to_ascii_lowercase();
        let found = match word.as_str() {
            "meta-data" => Some(Self::Metadata),
            "reset" => Some(Self::Reboot),
            word => Self::ALL.iter().copied().find(|deed| deed.word() == word),
        };
        found.ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|deed| deed.word()).collect();
            Error::new(Kind::Usage, format!("unsupported action: {word:?}"))
                .hint(format!("the actions are {}", words.join(", ")))
        })
    }
}
