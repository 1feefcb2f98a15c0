//! `Ql_iot*` and `Quos_*`: the drop-in API of existing applications over one process-wide device.
//!
//! One file per family of functions: [`config`], [`ota`], [`ttlv`], [`business`], [`system`], [`location`], [`mod@text`], and
//! those that are refused: [`gateway`], [`http_ota`], [`modbus`], [`unserved`]. Prototypes, return values and rules are those of
//! QUECTHING.md 1.2 to 1.6; for oddities of the vendor's library the return value is the same and the effect is safe:
//! nothing is sent and nothing stored. [`lists`] alone allocates, by the C allocator.

mod business;
mod codes;
mod config;
mod default_device;
mod default_platform;
#[cfg(any(feature = "host", test))]
mod environment;
mod events;
mod gateway;
mod hand_out;
mod http_ota;
mod instance;
mod lists;
mod location;
mod modbus;
mod ota;
mod refusal;
mod slot;
mod system;
mod text;
mod ttlv;
mod types;
mod unserved;

pub use business::*;
pub use codes::*;
pub use config::*;
pub use default_device::quecota_default_device;
pub use events::Ql_iotConfigSetEventCB;
pub use gateway::*;
pub use http_ota::*;
pub use instance::{Ql_iotInit, Ql_iotInit_2_10};
pub use location::*;
pub use modbus::*;
pub use ota::*;
pub use system::*;
pub use text::*;
pub use ttlv::*;
pub use types::*;
pub use unserved::*;
