//! `quecota_*`: the native C API.
//!
//! Rules for all of it, which the header repeats: NULL and a device that is not alive are refused with
//! QUECOTA_ERROR_NULL (or the value said with the function); strings are NUL-terminated UTF-8 of at most 2048 bytes
//! and are copied; every function but quecota_init() and quecota_deinit() may be called from any task when the
//! platform has a lock, also from inside an event callback, but not from inside a function of the platform table.
//!
//! [`mod@device`] is one device and its lock. Its [`provider`] is a table of C functions ([`table`], [`c_platform`]) or, on
//! hosts, Rust ([`rust_platform`]). The exports stand by subject: [`lifecycle`], [`configuration`], [`network`],
//! [`ota`], [`event`], [`failure`], [`http`], [`storage_check`]; those of a device go through [`mod@call`]. What they refuse leaves a line: [`refusal`].

#[macro_use]
mod refusal;
#[macro_use]
mod call;
mod c_platform;
mod callback;
mod closure;
mod config;
mod configuration;
mod device;
mod error;
mod event;
mod failure;
mod growing;
mod handle;
#[cfg(feature = "http")]
mod http;
mod lifecycle;
mod network;
mod ota;
mod provider;
#[cfg(feature = "host")]
mod rust_platform;
mod storage_check;
mod table;

pub use call::{Work, call, text, text_or_empty};
pub use callback::Callback;
pub use config::*;
pub use configuration::*;
pub use device::{Device, QUECOTA_ALIGN, QUECOTA_SIZE, quecota_memory_t};
pub use error::{Error, PANIC, quecota_error_t, quecota_error_values};
pub use event::*;
pub use failure::*;
pub use handle::quecota_t;
#[cfg(feature = "http")]
pub use http::*;
pub use lifecycle::*;
pub use network::*;
pub use ota::*;
#[cfg(feature = "host")]
pub use refusal::before_init;
pub use refusal::{CallRule, Given, drop_in_refused, refused};
#[cfg(feature = "host")]
pub use rust_platform::{DeviceRef, RustPlatform, publish};
pub use storage_check::*;
pub use table::*;
