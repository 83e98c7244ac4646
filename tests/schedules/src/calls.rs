//! The calls of the C library that the broker makes, each put before the library's own.
//!
//! The broker is not changed for the tests: what it is linked against is. A call from a broker that
//! is being simulated goes to [`Caller`]; every other one goes on to the C library. Nothing is
//! decided here.

#![allow(
    clippy::missing_safety_doc,
    reason = "each of these has the contract of the C library's function of its name"
)]

use crate::kernel::Caller;
use libc::{
    DIR, c_char, c_int, c_long, c_uint, c_void, clockid_t, dirent64, mode_t, off64_t, passwd,
    pid_t, pollfd, posix_spawn_file_actions_t, posix_spawnattr_t, size_t, sockaddr, socklen_t,
    ssize_t, timespec, uid_t,
};
use std::cell::Cell;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static CURRENT: Cell<*const Caller> = const { Cell::new(null()) };
}

/// From now on calls of this thread are those of a broker; of nobody in particular with null.
/// Answers with whose they were.
pub fn are_of(caller: *const Caller) -> *const Caller {
    CURRENT.try_with(|current| current.replace(caller)).unwrap_or(null())
}

/// Whoever calls, if it is a broker. While its call is carried out it is nobody's.
fn taken() -> Option<&'static Caller> {
    // SAFETY: a caller is set only while it is alive: the world that owns it runs its fiber, or waits
    // for its thread.
    unsafe { are_of(null()).as_ref() }
}

/// An errno, or what a call answers.
pub type Answer<T> = Result<T, c_int>;

/// What a call answers when it failed.
trait Failed {
    const FAILED: Self;
}
impl Failed for c_int {
    const FAILED: Self = -1;
}
impl Failed for i64 {
    const FAILED: Self = -1;
}
impl Failed for isize {
    const FAILED: Self = -1;
}
impl<T> Failed for *mut T {
    const FAILED: Self = null_mut();
}

macro_rules! calls {
    ($(fn $name:ident($($arg:ident: $type:ty),*) -> $answer:ty => $of_broker:expr;)*) => { $(
        /// Stands before the C library's.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> $answer {
            if let Some(caller) = taken() {
                let carried_out: fn(&Caller, $($type),*) -> Answer<$answer> = $of_broker;
                let answer = carried_out(caller, $($arg),*);
                are_of(caller);
                return answer.unwrap_or_else(|errno| {
                    // SAFETY: it is this thread's own errno.
                    unsafe { *libc::__errno_location() = errno };
                    <$answer as Failed>::FAILED
                });
            }
            static REAL: AtomicUsize = AtomicUsize::new(0);
            let mut real = REAL.load(Ordering::Relaxed);
            if real == 0 {
                let name = concat!(stringify!($name), "\0");
                // SAFETY: the name ends in a zero byte.
                real = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr().cast()) } as usize;
                assert!(real != 0, "{name} is not in the C library");
                REAL.store(real, Ordering::Relaxed);
            }
            // SAFETY: the C library's function of this name has this signature. A variadic one takes
            // its arguments where a plain one does, on the machines that this is for.
            unsafe {
                let real: unsafe extern "C" fn($($type),*) -> $answer = std::mem::transmute(real);
                real($($arg),*)
            }
        }
    )* };
}

calls! {
    fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int => Caller::clock_gettime;
    fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int => |caller, time, _| caller.sleep(time);
    fn clock_nanosleep(clock: clockid_t, flags: c_int, time: *const timespec, left: *mut timespec) -> c_int
        => |caller, _, flags, time, _| caller.sleep_on_clock(flags, time);
    fn syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long
        => Caller::raw;
    fn pthread_create(id: *mut libc::pthread_t, attributes: *const libc::pthread_attr_t,
        begin: extern "C" fn(*mut c_void) -> *mut c_void, with: *mut c_void) -> c_int
        => |caller, id, attributes, begin, with| Ok(caller.thread(id, attributes, begin, with));
    fn pthread_sigmask(how: c_int, set: *const libc::sigset_t, old: *mut libc::sigset_t) -> c_int
        => |_, _, _, _| Ok(0);

    fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int
        => |caller, path, flags, _| caller.open(libc::AT_FDCWD, path, flags);
    fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int
        => |caller, path, flags, _| caller.open(libc::AT_FDCWD, path, flags);
    fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int
        => |caller, dir, path, flags, _| caller.open(dir, path, flags);
    fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int
        => |caller, dir, path, flags, _| caller.open(dir, path, flags);
    fn close(fd: c_int) -> c_int => Caller::close;
    fn read(fd: c_int, to: *mut c_void, count: size_t) -> ssize_t => Caller::read;
    fn recv(fd: c_int, to: *mut c_void, count: size_t, flags: c_int) -> ssize_t
        => |caller, fd, to, count, _| caller.read(fd, to, count);
    fn write(fd: c_int, from: *const c_void, count: size_t) -> ssize_t => Caller::write;
    fn send(fd: c_int, from: *const c_void, count: size_t, flags: c_int) -> ssize_t
        => |caller, fd, from, count, _| caller.write(fd, from, count);
    fn lseek64(fd: c_int, offset: off64_t, whence: c_int) -> off64_t => Caller::seek;
    fn ftruncate64(fd: c_int, length: off64_t) -> c_int => Caller::truncate;
    fn fsync(fd: c_int) -> c_int => Caller::sync;
    fn fdatasync(fd: c_int) -> c_int => Caller::sync;
    fn flock(fd: c_int, operation: c_int) -> c_int => Caller::flock;
    fn fcntl(fd: c_int, command: c_int, with: c_long) -> c_int => Caller::control;
    fn fcntl64(fd: c_int, command: c_int, with: c_long) -> c_int => Caller::control;
    fn ioctl(fd: c_int, request: libc::c_ulong, with: *mut c_void) -> c_int => |_, _, _, _| Ok(0);
    fn statx(dir: c_int, path: *const c_char, flags: c_int, mask: c_uint, to: *mut libc::statx) -> c_int
        => |caller, dir, path, flags, _, to| caller.stat(dir, path, flags, to);
    fn mkdir(path: *const c_char, mode: mode_t) -> c_int => |caller, path, _| caller.mkdir(path);
    fn rename(from: *const c_char, to: *const c_char) -> c_int => Caller::rename;
    fn unlink(path: *const c_char) -> c_int => Caller::unlink;
    fn readlink(path: *const c_char, to: *mut c_char, count: size_t) -> ssize_t => Caller::readlink;
    fn realpath(path: *const c_char, to: *mut c_char) -> *mut c_char => Caller::realpath;
    fn opendir(path: *const c_char) -> *mut DIR => Caller::opendir;
    fn readdir64(dir: *mut DIR) -> *mut dirent64 => Caller::readdir;
    fn closedir(dir: *mut DIR) -> c_int => Caller::closedir;
    fn poll(of: *mut pollfd, count: libc::nfds_t, millis: c_int) -> c_int => Caller::poll;

    fn getpid() -> pid_t => Caller::getpid;
    fn setsid() -> pid_t => Caller::getpid;
    fn getpwuid_r(uid: uid_t, to: *mut passwd, room: *mut c_char, count: size_t, found: *mut *mut passwd) -> c_int
        => Caller::getpwuid;
    fn pipe2(to: *mut c_int, flags: c_int) -> c_int => |caller, to, _| caller.pipe(to);
    fn socketpair(domain: c_int, kind: c_int, protocol: c_int, to: *mut c_int) -> c_int
        => |caller, _, _, _, to| caller.pipe(to);
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int => |caller, _, _, _| caller.socket();
    fn connect(fd: c_int, to: *const sockaddr, length: socklen_t) -> c_int
        => |caller, _, _, _| caller.reach_syslog();
    fn posix_spawn_file_actions_adddup2(actions: *mut posix_spawn_file_actions_t, fd: c_int, becomes: c_int)
        -> c_int => |caller, _, fd, becomes| caller.spawn_with(fd, becomes);
    fn posix_spawnp(pid: *mut pid_t, program: *const c_char, actions: *const posix_spawn_file_actions_t,
        attributes: *const posix_spawnattr_t, args: *const *mut c_char, environment: *const *mut c_char) -> c_int
        => |caller, pid, program, _, _, args, _| caller.spawn(pid, program, args);
    fn fork() -> pid_t => Caller::fork;
    fn waitpid(pid: pid_t, status: *mut c_int, options: c_int) -> pid_t
        => |caller, pid, status, _| caller.wait(pid, status);
    fn kill(pid: pid_t, signal: c_int) -> c_int => |caller, pid, _| caller.kill(pid);
    fn killpg(group: pid_t, signal: c_int) -> c_int => |caller, group, _| caller.kill(group);
}
