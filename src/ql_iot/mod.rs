//! `Ql_iot*` and `Quos_*`: the drop-in API of existing applications over one process-wide device.
//!
//! Prototypes, return values and rules are those of QUECTHING.md 1.2 to 1.6; where the vendor's library has an oddity,
//! the application gets the same return value and a safe effect (DECISIONS.md). Nothing here allocates.

mod codes;
mod config;
mod default_device;
mod default_platform;
mod instance;
mod ota;
mod strings;
mod types;

pub use codes::*;
pub use config::*;
pub use default_device::quecota_default_device;
pub use instance::{Ql_iotConfigSetEventCB, Ql_iotInit, Ql_iotInit_2_10};
pub use ota::*;
pub use strings::*;
pub use types::*;
