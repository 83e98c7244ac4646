//! Real Heartbeat clusters, in domains that start it when they boot. Each node has a resource that writes
//! numbered lines to a file; the files are the judges of each take-over.
//!
//! Nothing here decides when a node is dead: that is Heartbeat's and dom0's.

mod beside;
mod cluster;
mod course;
mod lines;
mod split;
mod take_over;

use std::path::Path;
use xen_fence_tests::skipped;

/// Whether Heartbeat is not here; the report says so.
fn lacks_it(case: &str) -> bool {
    let lacks = !Path::new(cluster::HEARTBEAT).exists();
    if lacks {
        skipped(case, "there is no Heartbeat here (package heartbeat)");
    }
    lacks
}
