//! Simulated flash, platform, server and faults for tests; never shipped.

pub mod answers;
pub mod faults;
pub mod flash;
pub mod hardware;
pub mod harness;
pub mod http;
pub mod mock_platform;
pub mod power_loss;
pub mod report;
pub mod scenario;
