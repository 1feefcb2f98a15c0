//! A ready platform for Linux: MQTT, HTTP(S) with ranges, and files, configured by environment variables.
//!
//! Each connection and each fetch has a thread of its own, which delivers what comes through an
//! [`sink::EventSink`]. The thread that polls, and so calls the application, is that of the [`adapter`].

mod adapter;
mod broker;
mod device;
#[cfg(any(feature = "faults", test))]
mod faults;
mod fetch;
pub mod log;
mod mqtt;
mod platform;
mod settings;
mod signal;
mod sink;
mod storage;
#[cfg(test)]
mod tls_tests;
mod trust;

use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use quecota_core::platform::Level;

use crate::native::{self, RustPlatform, quecota_platform_t};
use adapter::{Adapter, DeviceHandle};
use log::Log;
use platform::{Host, StartError};
use settings::{SettingError, Settings};

/// Why there is no platform.
#[derive(Debug, thiserror::Error)]
enum HostError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Start(#[from] StartError),
    #[cfg(any(feature = "faults", test))]
    #[error(transparent)]
    Faults(#[from] settings::FaultsSettingError),
    #[cfg(any(feature = "faults", test))]
    #[error("no thread for the faults: {0}")]
    FaultsThread(#[from] std::io::Error),
}

/// Makes the platform at the first call that succeeds; from then on it is the same.
fn table() -> Result<*const quecota_platform_t, HostError> {
    static PLATFORM: Mutex<Option<&'static dyn RustPlatform>> = Mutex::new(None);

    let mut platform = PLATFORM.lock().unwrap_or_else(PoisonError::into_inner);
    let platform = match *platform {
        Some(made) => made,
        None => *platform.insert(new_platform(Settings::from_environment()?)?),
    };
    Ok(native::publish(platform))
}

fn new_platform(settings: Settings) -> Result<&'static dyn RustPlatform, HostError> {
    log::take_crate_lines(Log::new(settings.log));
    #[cfg(any(feature = "faults", test))]
    if let Some(faults) = settings::faults(|name| std::env::var_os(name))? {
        return Ok(Box::leak(Box::new(faults::host(settings, faults)?)));
    }
    let device = Arc::new(DeviceHandle::default());
    let host = Host::start(settings, device.clone())?;
    Ok(Box::leak(Box::new(Adapter::new(host, device))))
}

/// The platform of this host, configured by the QUECOTA_* environment variables: the same at each call. NULL, with a
/// line on stderr that says why, when one of them is wrong or the folder cannot be used; may be called again then.
#[unsafe(no_mangle)]
pub extern "C" fn quecota_host_platform() -> *const quecota_platform_t {
    boundary!(ptr::null(), {
        table().unwrap_or_else(|e| {
            Log::new(Level::Error).line(Level::Error, &e.to_string());
            ptr::null()
        })
    })
}

// The default platform of a host: weak, so that an object file of the application may define another. It is one jump
// to `quecota_host_platform()`, because Rust has no weak functions.
core::arch::global_asm!(
    ".weak quecota_default_platform",
    ".type quecota_default_platform, %function",
    ".text",
    "quecota_default_platform:",
    #[cfg(target_arch = "x86_64")]
    "jmp quecota_host_platform@PLT",
    #[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "powerpc"))]
    "b quecota_host_platform",
    #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
    "tail quecota_host_platform",
);
