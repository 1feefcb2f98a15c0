//! What figures were taken on.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

fn said(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The processor, and how many of them.
pub fn processors() -> String {
    let all = said("/proc/cpuinfo");
    let model = all.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {count} processors", model.map_or("processor unknown", |(_, model)| model))
}

/// How busy it is: the load of the last 1, 5 and 15 minutes.
pub fn load() -> String {
    let load = said("/proc/loadavg");
    load.split_whitespace().take(3).collect::<Vec<_>>().join(", ")
}

/// How long it takes to hand a byte to another thread and to get it back, in microseconds: what wakes somebody each time, as
/// a server does, costs several times as much on a virtual machine whose host is busy, and no load shows it.
pub fn hand_over() -> std::io::Result<f64> {
    const TIMES: u32 = 20_000;
    let (mut near, mut far) = UnixStream::pair()?;
    let echo = thread::spawn(move || {
        let mut byte = [0];
        while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
    });
    let begun = Instant::now();
    let mut byte = [1];
    for _ in 0..TIMES {
        near.write_all(&byte)?;
        near.read_exact(&mut byte)?;
    }
    let took = begun.elapsed();
    drop(near);
    let _ = echo.join();
    Ok(took.as_secs_f64() * 1e6 / f64::from(TIMES))
}

/// How long it takes to touch a page of own memory that nobody has touched for five seconds, and again at once, in
/// microseconds: the host of a virtual machine may take away what rests. What is seldom done, over much memory, costs so much
/// more for each page.
pub fn rested_page() -> (f64, f64) {
    const PAGE: usize = 4096;
    const PAGES: usize = 2_000;
    let mut memory = vec![1u8; PAGE * PAGES];
    thread::sleep(Duration::from_secs(5));
    let mut touch = || {
        let begun = Instant::now();
        for first in memory.iter_mut().step_by(PAGE) {
            *std::hint::black_box(first) = 2;
        }
        begun.elapsed().as_secs_f64() * 1e6 / PAGES as f64
    };
    (touch(), touch())
}
