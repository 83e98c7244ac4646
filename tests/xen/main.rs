//! The installed product on the real hypervisor: through sshd and sudo, judged by what the guests'
//! disk and Xen itself say. `tests/xen-lab suite` runs it.

mod fence;
mod in_flight;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use xen_fence_tests::lab::Lab;

/// The lab for one case alone, as it was when both nodes had begun to write.
fn fresh() -> MutexGuard<'static, Lab> {
    static LAB: OnceLock<Mutex<Lab>> = OnceLock::new();
    let mut raised = false;
    let raise = || {
        raised = true;
        Mutex::new(Lab::raise().unwrap())
    };
    let mut lab = LAB.get_or_init(raise).lock().unwrap_or_else(PoisonError::into_inner);
    if !raised {
        lab.restore().unwrap();
    }
    lab
}

fn pause(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}
