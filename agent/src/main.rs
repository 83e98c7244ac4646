//! `xen-fence`: asks dom0 to fence a node of this cluster, and believes only proof.
//!
//! One program with three front doors, told apart by how it is called ([`door`]); behind all of them
//! stands one [`call`]. Nothing here decides whether a node is dead.

#![forbid(unsafe_code)]

mod ask;
mod call;
mod cli;
mod client;
mod clock;
mod config;
mod course;
mod door;
mod endpoint;
mod enroll;
mod error;
mod exit;
mod fence;
mod gather;
mod identity;
mod json;
mod kept_id;
mod known_hosts;
mod phase;
mod power_on;
mod public_key;
mod reach;
mod rehearsal;
mod report;
mod resolve;
mod secure_file;
mod targets;
mod this_node;
mod transport;
mod verdict;

use clock::Moment;
use door::Door;
use std::process::ExitCode;

fn main() -> ExitCode {
    let begun = Moment::now();
    Door::called(std::env::args_os().next().as_deref()).open(begun)
}
