//! `Ql_iot*` and `Quos_*`: the drop-in API of existing applications over one process-wide device.
//!
//! One file per family of functions: [`config`], [`ota`], [`text`]. Prototypes, return values and rules are those of
//! QUECTHING.md 1.2 to 1.6; for oddities of the vendor's library the return value is the same and the effect is safe
//! (DECISIONS.md). Nothing here allocates.

mod codes;
mod config;
mod default_device;
mod default_platform;
mod instance;
mod ota;
mod text;
mod types;

pub use codes::*;
pub use config::*;
pub use default_device::quecota_default_device;
pub use instance::{Ql_iotConfigSetEventCB, Ql_iotInit, Ql_iotInit_2_10};
pub use ota::*;
pub use text::*;
pub use types::*;
