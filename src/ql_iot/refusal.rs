//! Calls that are refused, with a log line that says why.

use super::slot::device;
use crate::native::refused;

/// Logs that `name` was refused and why; returns `value`.
pub fn refuse<T>(name: &str, why: &str, value: T) -> T {
    refused(device(), &[name], "", why);
    value
}
