//! Calls that are refused, with a log line that says why.

use quecota_core::platform::Level;
use quecota_core::text::Text;

use super::slot::device;

/// Logs that `name` was refused and why; returns `value`. Nothing is logged before Ql_iotInit.
pub fn refuse<T>(name: &str, why: &str, value: T) -> T {
    let mut line = Text::<160>::new();
    // What does not fit is left out.
    let _ = line.push(name);
    let _ = line.push(": ");
    let _ = line.push(why);
    if let Some(device) = device() {
        // Fails only inside a platform function, which may not log either.
        let _ = device.ask(|_, platform| platform.log(Level::Warn, &line));
    }
    value
}
