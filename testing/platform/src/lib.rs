//! Simulated flash, platform, server and faults for tests; never shipped.

pub mod answers;
pub mod bench;
pub mod board;
pub mod cuts;
pub mod faults;
pub mod figures;
pub mod flash;
pub mod http;
pub mod upgrade;
pub mod world;
