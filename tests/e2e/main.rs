//! The installed product in a throwaway dom0, end to end.

mod harness;

use xen_fence_tests::throwaway::{Builder, Dom0};

/// Two clusters of two nodes each: what most cases need.
fn two_clusters() -> Builder {
    Dom0::builder().cluster("alpha", &["node1", "node2"]).cluster("beta", &["db1", "db2"])
}
