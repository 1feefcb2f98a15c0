//! Simulated flash, platform, server and faults for tests; never shipped.

pub mod flash;
pub mod http;
