//! Broker.
pub mod acl;
pub mod names;
pub mod secure_file;
pub mod settings;
