//! What the tests of xen-fence are made of: a stand-in hypervisor whose domains really live and
//! die, and a throwaway dom0 in which the installed product runs.

pub mod stand_in;
pub mod throwaway;
