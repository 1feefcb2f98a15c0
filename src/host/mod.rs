//! A ready platform for Linux: MQTT, HTTP(S) with ranges, and files, configured by environment variables.
//!
//! Each connection and each fetch has a thread of its own, which hands what comes to the agent through an
//! [`answer::EventSink`]. The thread that polls, and so calls the application, is that of [`hosted`](crate::native::hosted).

mod answer;
mod device;
#[cfg(any(feature = "faults", test))]
mod faults;
mod fetch;
mod log;
mod mqtt;
mod platform;
mod settings;
mod signal;
mod storage;
#[cfg(test)]
mod tls_tests;
mod trust;

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quecota_core::agent::{Agent, Flow};
use quecota_core::platform::{Level, Platform};

use crate::native::hosted::{self, Device, Hosted};
use crate::native::quecota_platform_t;
use answer::{Answer, Delivery, EventSink, Generation};
use log::Log;
use platform::{Host, StartError};
use settings::{SettingError, Settings};

/// The line to the device that this platform serves.
#[derive(Default)]
struct DeviceHandle {
    device: Mutex<Option<Device>>,
}

impl DeviceHandle {
    fn attach(&self, device: Device) {
        *self.device.lock().unwrap_or_else(PoisonError::into_inner) = Some(device);
    }

    /// Calls `with` with the agent locked if what comes under `generation` still counts. A device that has ended wants
    /// nothing more.
    fn with(
        &self,
        generation: &Generation,
        with: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> Delivery,
    ) -> Delivery {
        let device = *self.device.lock().unwrap_or_else(PoisonError::into_inner);
        let delivery = device.and_then(|device| {
            device.tell(
                |agent, platform| if generation.valid() { with(agent, platform) } else { Delivery::Stop },
            )
        });
        delivery.unwrap_or(Delivery::Stop)
    }
}

impl EventSink for DeviceHandle {
    fn deliver(&self, generation: &Generation, answer: Answer<'_>) -> Delivery {
        self.with(generation, |agent, platform| hand(agent, platform, answer))
    }
}

/// The `on_*` call that `answer` stands for.
fn hand(agent: &mut Agent<'static>, platform: &mut dyn Platform, answer: Answer<'_>) -> Delivery {
    match answer {
        Answer::Link(link) => agent.on_link(platform, link),
        Answer::Message { topic, payload } => {
            if !agent.on_message(platform, topic, payload) {
                return Delivery::NoRoom;
            }
        }
        Answer::Sent { id, delivered } => agent.on_sent(platform, id, delivered),
        Answer::FetchBegin(head) => return agent.on_fetch_begin(platform, head).into(),
        Answer::FetchData(data) => return agent.on_fetch_data(platform, data).into(),
        Answer::FetchEnd(end) => agent.on_fetch_end(platform, end),
    }
    Delivery::Taken
}

impl From<Flow> for Delivery {
    fn from(flow: Flow) -> Self {
        match flow {
            Flow::Continue => Delivery::Taken,
            Flow::Stop => Delivery::Stop,
        }
    }
}

impl Hosted for Host<DeviceHandle> {
    fn attach(&mut self, device: Device) {
        self.sink().attach(device);
    }
}

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

/// Makes the table at the first call that succeeds; from then on it is the same.
fn table() -> Result<*const quecota_platform_t, HostError> {
    /// Written once, under the lock.
    static MADE: AtomicPtr<quecota_platform_t> = AtomicPtr::new(ptr::null_mut());
    static MAKING: Mutex<()> = Mutex::new(());

    let _making = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
    let made = MADE.load(Ordering::Acquire);
    if !made.is_null() {
        return Ok(made);
    }
    let table = new_table(Settings::from_environment()?)?;
    MADE.store(ptr::from_ref(table).cast_mut(), Ordering::Release);
    Ok(table)
}

fn new_table(settings: Settings) -> Result<&'static quecota_platform_t, HostError> {
    #[cfg(any(feature = "faults", test))]
    if let Some(faults) = settings::faults(|name| std::env::var_os(name))? {
        return Ok(hosted::table(faults::host(settings, faults)?));
    }
    Ok(hosted::table(Host::start(settings, Arc::new(DeviceHandle::default()))?))
}

/// The platform of this host, configured by the QUECOTA_* environment variables: the same table at each call. NULL,
/// with a line on stderr that says why, when one of them is wrong or the folder cannot be used; may be called again
/// then.
#[unsafe(no_mangle)]
pub extern "C" fn quecota_host_platform() -> *const quecota_platform_t {
    boundary!(ptr::null(), {
        table().unwrap_or_else(|e| {
            Log::new(Level::Error).line(Level::Error, &e.to_string());
            ptr::null()
        })
    })
}
