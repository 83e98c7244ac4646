//! A broker that runs beside others in one thread: it has a stack of its own, and goes on only when
//! it is resumed. It never unwinds out of its stack.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;

/// A broker needs a tenth of it.
const STACK: usize = 1 << 20;

thread_local! {
    /// The fiber that is being begun; it takes itself from here.
    static BEGUN: Cell<*mut Fiber> = const { Cell::new(null_mut()) };
    /// Stacks that nobody uses.
    static STACKS: RefCell<Vec<*mut libc::c_void>> = const { RefCell::new(Vec::new()) };
}

/// Some work on a stack of its own.
pub struct Fiber {
    inside: Box<libc::ucontext_t>,
    outside: Box<libc::ucontext_t>,
    stack: *mut libc::c_void,
    work: Option<Box<dyn FnOnce()>>,
    ended: bool,
    /// It panicked; what it said is on standard error.
    pub panicked: bool,
}

impl Fiber {
    /// Work that begins when it is first resumed.
    pub fn new(work: Box<dyn FnOnce()>) -> Box<Self> {
        let stack = STACKS.with_borrow_mut(Vec::pop).unwrap_or_else(new_stack);
        // SAFETY: a ucontext_t is plain data, for which zero is a value; getcontext fills it in.
        let (mut inside, outside) = unsafe {
            let blank = || Box::new(std::mem::zeroed::<libc::ucontext_t>());
            (blank(), blank())
        };
        // SAFETY: the context has a stack that stays mapped for as long as the thread lives, and
        // `begin` never returns, so no context has to follow it.
        unsafe {
            assert_eq!(libc::getcontext(&raw mut *inside), 0, "getcontext");
            inside.uc_stack.ss_sp = stack;
            inside.uc_stack.ss_size = STACK;
            inside.uc_link = null_mut();
            libc::makecontext(&raw mut *inside, begin, 0);
        }
        Box::new(Self { inside, outside, stack, work: Some(work), ended: false, panicked: false })
    }

    /// Goes on with it until it pauses or ends.
    pub fn resume(fiber: *mut Self) {
        BEGUN.set(fiber);
        // SAFETY: the caller's fiber is alive and not running; both contexts were made by
        // getcontext or are written by this very call.
        unsafe { libc::swapcontext(&raw mut *(*fiber).outside, &raw const *(*fiber).inside) };
    }

    /// Pauses it; called from inside.
    pub fn pause(fiber: *mut Self) {
        // SAFETY: the fiber runs, so its `outside` was written when it was resumed.
        unsafe { libc::swapcontext(&raw mut *(*fiber).inside, &raw const *(*fiber).outside) };
    }

    /// Whether it has ended.
    pub const fn has_ended(&self) -> bool {
        self.ended
    }
}

impl Drop for Fiber {
    fn drop(&mut self) {
        // What is left on the stack of one that has not ended is lost.
        STACKS.with_borrow_mut(|stacks| stacks.push(self.stack));
    }
}

extern "C" fn begin() {
    let fiber = BEGUN.get();
    // SAFETY: whoever resumed it for the first time has just put it there, and waits.
    let work = unsafe { (*fiber).work.take() };
    let panicked = work.is_some_and(|work| catch_unwind(AssertUnwindSafe(work)).is_err());
    // SAFETY: as above.
    unsafe {
        (*fiber).panicked = panicked;
        (*fiber).ended = true;
    }
    Fiber::pause(fiber);
    unreachable!("a fiber that has ended is not resumed");
}

fn new_stack() -> *mut libc::c_void {
    let (read_write, private) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at no fixed address touches no memory that is in use; its lowest page is
    // made inaccessible, so that a stack that overflows ends the program.
    unsafe {
        let stack = libc::mmap(null_mut(), STACK, read_write, private, -1, 0);
        assert_ne!(stack, libc::MAP_FAILED, "no memory for a stack");
        libc::mprotect(stack, 4096, libc::PROT_NONE);
        stack
    }
}
