//! The stand-in hypervisor's one binary; see `xen_fence_tests::stand_in`.

fn main() {
    std::process::exit(xen_fence_tests::stand_in::main());
}
