//! CPU time of other processes, for the programs that measure.

use std::fs;

/// Clock ticks of /proc a second (sysconf(_SC_CLK_TCK) of every Linux that Rust runs on).
const TICKS: f64 = 100.0;

/// CPU seconds that these processes and their children have used.
///
/// # Errors
/// One of them is not there.
pub fn seconds_of(processes: &[u32]) -> Result<f64, String> {
    let mut seconds = 0.0;
    for process in processes {
        let file = format!("/proc/{process}/stat");
        let stat = fs::read_to_string(&file).map_err(|error| format!("{file}: {error}"))?;
        // Behind the name in brackets, which may hold spaces: state is field 3, user and system time are 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks =
            |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or_default();
        seconds += (ticks(11) + ticks(12)) / TICKS;
        let children =
            fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        let children: Vec<u32> = children.split_whitespace().filter_map(|child| child.parse().ok()).collect();
        seconds += seconds_of(&children)?;
    }
    Ok(seconds)
}
