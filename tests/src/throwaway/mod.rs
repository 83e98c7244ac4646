//! A throwaway dom0 made of namespaces over an overlay of the machine's own root file system.
//!
//! It has accounts, an /etc, sshd, sudo, a syslog daemon and a network of its own, and in it the
//! *installed* product runs. Nothing of it is seen on the machine, and when the value is dropped,
//! or the program that holds it dies in whatever way, nothing of it is left.
//!
//! ```no_run
//! use xen_fence_tests::throwaway::Dom0;
//! # fn main() -> xen_fence_tests::throwaway::Result<()> {
//! let dom0 = Dom0::builder()
//!     .cluster("alpha", &["node1", "node2"])
//!     .cluster("beta", &["db1", "db2"])
//!     .raise()?;
//! dom0.in_node("alpha", "node1").run(&["xen-fence", "reset", "node2"]).exits(0);
//! assert!(dom0.domid("alpha", "node2").is_some());
//! assert!(dom0.in_node("alpha", "node1").run(&["xen-fence", "off", "db1"]).code == 3);
//! println!("{:#?}", dom0.journal("alpha"));
//! # Ok(())
//! # }
//! ```

mod builder;
mod cgroup;
pub(crate) mod clusters;
mod command;
mod dom0;
mod enter;
mod holder;
mod inside;
mod limits;
mod look;
mod network;
mod pair;
pub(crate) mod product;
mod root;
mod services;

pub use crate::error::{Error, Result};
pub use crate::running::{Output, Running};
pub use builder::Builder;
pub use clusters::{ADDRESS, Node};
pub use command::Place;
pub use dom0::Dom0;
pub use enter::{Entry, What, enter};
pub use holder::{Init, hold, sweep};
pub use inside::HOST;
pub use look::Process;
pub use network::Network;
pub use product::BUILT;
pub use services::{Sshd, Syslog};
