//! Ports for servers that tests and demonstrations start.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

/// A port of the loopback for a server that is started next: below those that a system gives to who asks for any (32768
/// and above on Linux), so that no other socket of the test and no connection gets it first, and never the same twice.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(97);
    let port = |_| 10_000 + (first.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % 22_000) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..1000).map(port).find(free).expect("one of 1000 ports of the loopback is free")
}
