//! What figures were taken on.

use std::thread;

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
