//! Everything that sudo can start in dom0 on behalf of a guest.
//!
//! [`serve::serve`] is the whole story on one screen, in the order an auditor would ask: who, may
//! they, what exactly, is the asker alive, is it written down, kill, prove, answer, power on. What
//! it calls is a noun of the field with a module of its own.

pub mod acl;
pub mod bounded;
pub mod brake;
pub mod clock;
pub mod command;
pub mod detach;
pub mod domain_config;
pub mod dump;
pub mod earlier;
pub mod fence;
pub mod flood;
pub mod hold;
pub mod host;
pub mod identity;
pub mod journal;
pub mod lock;
mod media;
pub mod names;
pub mod power_on;
pub mod processes;
pub mod recorder;
pub mod secure_file;
pub mod serve;
pub mod session;
pub mod settings;
pub mod sight;
pub mod standoff;
pub mod state;
mod sys;
pub mod syslog;
pub mod target;
pub mod toolstack;
mod whole_file;
pub mod xenstore;
