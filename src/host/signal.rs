//! The library takes no signal of the application, and raises none.

use std::io;
use std::mem::zeroed;
use std::ptr::null_mut;
use std::thread::{Builder, JoinHandle};

use libc::{
    SIG_BLOCK, SIG_SETMASK, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGXFSZ, c_int, pthread_sigmask,
    sigaddset, sigdelset, sigemptyset, sigfillset, sigismember, sigpending, sigset_t, sigtimedwait, timespec,
};

/// Starts a thread that runs with all signals blocked but those of a fault of its own (SEGV, BUS, FPE, ILL). A signal to
/// the process goes to a thread of the application, and a write to a closed connection is an error and no SIGPIPE.
pub(super) fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    // A new thread inherits the mask of the one that starts it, so that there is no moment without it.
    let _blocked = Blocked::new(&all_but_faults());
    Builder::new().name(name.to_owned()).spawn(work)
}

/// Runs `write` in a thread of the application. A broken pipe is an error of it and no SIGPIPE.
pub(super) fn without_broken_pipe<T>(write: impl FnOnce() -> T) -> T {
    without(SIGPIPE, write)
}

/// The same for a file that grows beyond RLIMIT_FSIZE and SIGXFSZ.
pub(super) fn without_file_limit<T>(write: impl FnOnce() -> T) -> T {
    without(SIGXFSZ, write)
}

fn without<T>(signal: c_int, write: impl FnOnce() -> T) -> T {
    let only = only(signal);
    let pending_before = is_pending(signal);
    let _blocked = Blocked::new(&only);
    let result = write();
    if !pending_before {
        // Takes the signal back that the write has raised in this thread; none is there as a rule.
        // SAFETY: the pointers live for the call; a null pointer means that no details are wanted.
        unsafe { sigtimedwait(&only, null_mut(), &timespec { tv_sec: 0, tv_nsec: 0 }) };
    }
    result
}

/// Signals that are blocked in this thread until this is dropped.
struct Blocked {
    before: sigset_t,
}

impl Blocked {
    fn new(signals: &sigset_t) -> Self {
        // SAFETY: a plain C struct, written by the call; it can only fail for an unknown first argument.
        unsafe {
            let mut before = zeroed::<sigset_t>();
            pthread_sigmask(SIG_BLOCK, signals, &mut before);
            Blocked { before }
        }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: the mask that `new` got; a null pointer where POSIX allows it.
        unsafe { pthread_sigmask(SIG_SETMASK, &self.before, null_mut()) };
    }
}

fn all_but_faults() -> sigset_t {
    // SAFETY: a plain C struct that sigfillset initialises before anything reads it.
    unsafe {
        let mut set = zeroed::<sigset_t>();
        sigfillset(&mut set);
        for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL] {
            sigdelset(&mut set, signal);
        }
        set
    }
}

fn only(signal: c_int) -> sigset_t {
    // SAFETY: as above.
    unsafe {
        let mut set = zeroed::<sigset_t>();
        sigemptyset(&mut set);
        sigaddset(&mut set, signal);
        set
    }
}

fn is_pending(signal: c_int) -> bool {
    // SAFETY: a plain C struct, written by the call.
    unsafe {
        let mut set = zeroed::<sigset_t>();
        sigpending(&mut set) == 0 && sigismember(&set, signal) == 1
    }
}

/// Puts /dev/null where one of the descriptors 0, 1 and 2 is closed, so that no file or socket of the library gets that
/// number: a daemon may have closed them, and what it prints would then land in a file of the library.
pub(super) fn keep_standard_descriptors() {
    for descriptor in 0..=2 {
        // SAFETY: a flag is read, a constant path opened; neither touches memory of ours.
        unsafe {
            if libc::fcntl(descriptor, libc::F_GETFD) == -1 {
                // Gets the lowest free number, which is this one. Where it fails, nothing can be opened at all.
                libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::ptr::null;

    fn blocked(signal: c_int) -> bool {
        // SAFETY: a plain C struct, written by the call; a null new set asks for the present one.
        unsafe {
            let mut set = zeroed::<sigset_t>();
            assert_eq!(pthread_sigmask(SIG_BLOCK, null(), &mut set), 0);
            sigismember(&set, signal) == 1
        }
    }

    #[test]
    fn a_thread_of_the_library_takes_no_signal_but_its_own_faults() {
        let within = spawn("test", || {
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGCHLD, libc::SIGUSR1, SIGPIPE] {
                assert!(blocked(signal), "{signal}");
            }
            for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL] {
                assert!(!blocked(signal), "{signal}");
            }
        });
        within.unwrap().join().unwrap();
        assert!(!blocked(libc::SIGTERM));
    }

    #[test]
    fn a_broken_pipe_is_an_error_and_leaves_no_signal() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        // The test program ignores SIGPIPE, as every Rust program does: here it must be seen.
        // SAFETY: the default action is set back to what it was below.
        let before = unsafe { libc::signal(SIGPIPE, libc::SIG_DFL) };
        let error = without_broken_pipe(|| ours.write_all(b"x")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(!is_pending(SIGPIPE));
        // SAFETY: the action that `signal` gave.
        unsafe { libc::signal(SIGPIPE, before) };
    }
}
