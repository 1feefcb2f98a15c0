//! The one signal that network code raises.

/// Blocks SIGPIPE in the calling thread.
///
/// A write to a connection that the peer has closed raises it, and by default it ends the process: in a C program,
/// unlike a Rust one, nobody has ignored it. Only our own threads are touched; the write then returns an error.
pub(super) fn block_broken_pipe() {
    // SAFETY: `set` is a plain C struct that sigemptyset initialises before anything reads it; the calls take
    // pointers that live for the call, and a null pointer where POSIX allows it.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGPIPE);
        // It can only fail for an unknown first argument.
        libc::pthread_sigmask(libc::SIG_BLOCK, &set, std::ptr::null_mut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_blocks_the_signal() {
        fn blocked() -> bool {
            // SAFETY: as above; a null new set asks for the present one.
            unsafe {
                let mut set = std::mem::zeroed::<libc::sigset_t>();
                assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &mut set), 0);
                libc::sigismember(&set, libc::SIGPIPE) == 1
            }
        }
        let before = blocked();
        let within = std::thread::spawn(|| {
            block_broken_pipe();
            blocked()
        });
        assert!(within.join().unwrap());
        assert_eq!(blocked(), before);
    }
}
