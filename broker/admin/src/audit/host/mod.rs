//! The host's half of the audit: files, accounts, sshd, sudo, names, room and witnesses.
//!
//! It looks and changes nothing. Every look has a time limit, and what could not be looked at is a
//! finding of its own.

pub(super) mod accounts;
pub(super) mod files;
pub(super) mod journals;
pub(super) mod key_files;
pub(super) mod keys;
pub(super) mod look;
pub(super) mod names;
pub(super) mod policy;
pub(super) mod programs;
pub(super) mod room;
pub(super) mod sshd;
pub(super) mod sudo;
pub(super) mod witnesses;
pub(super) mod xen;
