//! A device in the field, written from QUECTHING.md alone: raw sockets, its own MQTT packets, frames, TTLV, credentials and
//! cipher. It shares no code with the library, so that an error made twice in the same way cannot hide.
//!
//! Every wait has a deadline. A device by itself blocks; A test leads a [`FieldDevice`] step by step, or gives a [`DeviceRunner`] a
//! [`Script`] that says what the device does at each offer: upgrade, refuse, fail, lie, die, reboot, and how it reports that.

pub mod command;
pub mod credential;
mod device;
pub mod download;
pub mod fleet;
pub mod frame;
pub mod mqtt;
mod ota;
mod reports;
mod runner;
pub mod script;
mod trace;
pub mod ttlv;

pub use credential::SessionEncryption;
pub use device::{FieldDevice, Flash, Status, TIMEOUT};
pub use ota::{File, Firmware, Plan, firmware_of, plans_of};
pub use runner::{DeviceRunner, ExitReason, Until};
pub use script::{Conduct, Delivery, Ending, Phase, Script, Sdk};
pub use trace::{Trace, TraceEvent};
