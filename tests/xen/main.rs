//! The installed product on the real hypervisor: through sshd and sudo, judged by what the guests'
//! disk and Xen itself say. `tests/xen-lab suite` runs it.

mod backends;
mod fence;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use xen_fence_tests::lab::Lab;

/// The lab for one case alone, as it was when both nodes had begun to write.
fn fresh() -> MutexGuard<'static, Lab> {
    static LAB: OnceLock<Mutex<Lab>> = OnceLock::new();
    let mut booted = false;
    let boot = || {
        let lab = Lab::boot().unwrap();
        // They load modules and fill caches until then.
        std::thread::sleep(Duration::from_secs(5));
        lab.save().unwrap();
        booted = true;
        Mutex::new(lab)
    };
    let mut lab = LAB.get_or_init(boot).lock().unwrap_or_else(PoisonError::into_inner);
    if !booted {
        lab.restore().unwrap();
    }
    lab
}
