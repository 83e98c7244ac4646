//! Threads that a broker begins, so that a disk which hangs does not hang a fence. They are real
//! ones; the broker waits here until each has ended or hangs, so that they run one at a time.

use super::Caller;
use crate::calls::{Answer, are_of};
use libc::{c_int, c_long, c_void, pthread_attr_t, pthread_t, timespec};
use std::ptr::null;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A thread of a broker.
#[derive(Default)]
pub struct Helper {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Runs,
    Hangs,
    /// Whatever it does from now on, its world may be gone.
    LetGo,
    Ended,
}

struct Begun {
    begin: extern "C" fn(*mut c_void) -> *mut c_void,
    with: *mut c_void,
    caller: Caller,
}

impl Helper {
    fn set(&self, to: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = to;
        self.changed.notify_all();
    }

    fn wait_while(&self, state: State) -> State {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waits = self.changed.wait_while(guard, |now| *now == state);
        *waits.unwrap_or_else(PoisonError::into_inner)
    }

    /// Hangs in a call, until the world has ended.
    pub fn hang(&self) {
        self.set(State::Hangs);
        self.wait_while(State::Hangs);
    }

    /// Lets it come to its end; its calls fail and touch nothing.
    pub fn let_go(&self) {
        self.set(State::LetGo);
    }

    pub(super) fn was_let_go(&self) -> bool {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) == State::LetGo
    }
}

unsafe extern "C" {
    fn pthread_create(
        id: *mut pthread_t,
        attributes: *const pthread_attr_t,
        begin: extern "C" fn(*mut c_void) -> *mut c_void,
        with: *mut c_void,
    ) -> c_int;
}

impl Caller {
    /// Begins a thread, and waits until it has ended or hangs.
    pub(crate) fn thread(
        &self,
        id: *mut pthread_t,
        attributes: *const pthread_attr_t,
        begin: extern "C" fn(*mut c_void) -> *mut c_void,
        with: *mut c_void,
    ) -> c_int {
        if self.is_dead() || self.world().lacks_threads(self.broker) {
            return libc::EAGAIN;
        }
        let helper = Arc::new(Helper::default());
        let caller =
            Self { world: self.world, broker: self.broker, helper: Some(Arc::clone(&helper)) };
        let begun = Box::into_raw(Box::new(Begun { begin, with, caller }));
        // SAFETY: nobody's call now, so this is the C library's own; the thread takes what it is
        // given.
        let failed = unsafe { pthread_create(id, attributes, run, begun.cast()) };
        if failed != 0 {
            return failed;
        }
        if helper.wait_while(State::Runs) == State::Hangs {
            self.open_of().hung.push(helper);
        }
        0
    }

    /// A call without a name: of the broker's threads, those that wait for each other (futex(2)).
    #[expect(clippy::too_many_arguments, reason = "syscall(2) has so many")]
    pub(crate) fn raw(
        &self,
        number: c_long,
        a: c_long,
        operation: c_long,
        c: c_long,
        until: c_long,
        e: c_long,
        f: c_long,
    ) -> Answer<c_long> {
        let waits = number == libc::SYS_futex
            && matches!(operation as c_int & 0x7f, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET);
        if waits && until != 0 && self.helper.is_none() {
            // What it waits for hangs: the time runs out.
            // SAFETY: futex(2) takes a pointer to a time there; std waits until a moment.
            let until = unsafe { &*(until as *const timespec) };
            if !self.is_dead() {
                let until = super::micros(until);
                while self.world().now < until && !self.is_dead() {
                    self.pause_until(until);
                }
            }
            return Err(libc::ETIMEDOUT);
        }
        // SAFETY: the caller's own arguments go on as they are.
        let answer = unsafe { libc::syscall(number, a, operation, c, until, e, f) };
        // SAFETY: it is this thread's own errno.
        if answer == -1 { Err(unsafe { *libc::__errno_location() }) } else { Ok(answer) }
    }
}

extern "C" fn run(begun: *mut c_void) -> *mut c_void {
    // SAFETY: it was made for this thread alone.
    let begun = unsafe { Box::from_raw(begun.cast::<Begun>()) };
    let helper = begun.caller.helper.clone();
    are_of(&raw const begun.caller);
    let answer = (begun.begin)(begun.with);
    are_of(null());
    if let Some(helper) = helper {
        helper.set(State::Ended);
    }
    answer
}
