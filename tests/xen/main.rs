//! The installed product on the real hypervisor: through sshd and sudo, judged by what the guests'
//! disk and Xen itself say. `tests/xen-lab suite` runs it.

mod audit;
mod backends;
mod comebacks;
mod faults;
mod fence;
mod in_flight;
mod kills;
mod power_on;
mod states;

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;
use xen_fence_tests::lab::Lab;

/// As many labs as there are threads of the test harness, and no more than this.
static LABS: [Mutex<Option<Lab>>; 2] = [const { Mutex::new(None) }; 2];

/// A lab for one case alone, as it was when both nodes had begun to write.
struct Fresh(MutexGuard<'static, Option<Lab>>);

fn fresh() -> Fresh {
    // One boots; the other resumes from what it booted.
    static RAISING: Mutex<()> = Mutex::new(());
    let mut lab = free();
    match &mut *lab {
        Some(lab) => lab.restore().unwrap(),
        None => {
            let _turn = RAISING.lock().unwrap_or_else(PoisonError::into_inner);
            *lab = Some(Lab::raise().unwrap());
        }
    }
    Fresh(lab)
}

/// One that no other case has.
fn free() -> MutexGuard<'static, Option<Lab>> {
    loop {
        for lab in &LABS {
            match lab.try_lock() {
                Ok(free) => return free,
                Err(TryLockError::Poisoned(free)) => return free.into_inner(),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

impl Deref for Fresh {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Fresh {
    fn deref_mut(&mut self) -> &mut Lab {
        self.0.as_mut().unwrap()
    }
}

fn pause(seconds: u64) {
    std::thread::sleep(Duration::from_secs(seconds));
}
