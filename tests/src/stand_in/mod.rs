//! The stand-in hypervisor: xl, xm and xenstore reads over domains that are process trees.
