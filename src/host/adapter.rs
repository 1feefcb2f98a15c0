//! The host as the platform of a device: the device's lock, the thread that polls, and the way back to the agent.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use quecota_core::agent::Agent;
use quecota_core::platform::{Delivery, Platform, TransportEvent};

use super::signal;
use super::sink::{EventSink, Generation};
use crate::native::{DeviceRef, RustPlatform};

/// When the thread looks again after a step that could not be made.
const NOT_POLLED: Duration = Duration::from_secs(1);

/// A platform in Rust with the thread that polls its device.
pub(super) struct Adapter<P> {
    /// The lock of the device is that of its platform.
    platform: Mutex<P>,
    device: Arc<DeviceHandle>,
    poller: Mutex<Option<Poller>>,
    /// The process that made it.
    process: u32,
}

/// The thread that polls. It ends when `work` is dropped.
struct Poller {
    /// Ends its sleep.
    work: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl<P> Adapter<P> {
    /// `platform` for the device that `device` will be attached to.
    pub fn new(platform: P, device: Arc<DeviceHandle>) -> Self {
        Adapter {
            platform: Mutex::new(platform),
            device,
            poller: Mutex::default(),
            process: std::process::id(),
        }
    }

    fn poller(&self) -> MutexGuard<'_, Option<Poller>> {
        self.poller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Platform + Send + 'static> RustPlatform for Adapter<P> {
    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    fn platform(&self) -> &Mutex<dyn Platform + Send> {
        &self.platform
    }

    fn wake(&self) {
        if let Some(poller) = self.poller().as_ref() {
            // Full: the thread is told already. Disconnected: it panicked.
            let _ = poller.work.try_send(());
        }
    }

    fn run(&self, device: DeviceRef) -> io::Result<()> {
        let mut poller = self.poller();
        if poller.is_some() {
            return Err(io::Error::other("the host platform serves another device already"));
        }
        self.device.attach(device);
        let (work, inbox) = mpsc::sync_channel(1);
        let spawned = signal::spawn("quecota", move || {
            let mut wait = Duration::ZERO;
            while inbox.recv_timeout(wait) != Err(RecvTimeoutError::Disconnected) {
                wait = device.poll().map_or(NOT_POLLED, |millis| Duration::from_millis(millis.into()));
            }
        });
        match spawned {
            Ok(thread) => {
                *poller = Some(Poller { work, thread });
                Ok(())
            }
            Err(e) => {
                // A thread that delivers holds the device handle and may wait for the poller.
                drop(poller);
                self.device.detach();
                Err(e)
            }
        }
    }

    fn stop(&self) {
        let poller = self.poller().take();
        if let Some(Poller { work, thread }) = poller {
            drop(work);
            // It only fails if the thread panicked, and then it is over, too.
            let _ = thread.join();
        }
        self.device.detach();
    }
}

/// The device that the platform serves, for the threads that bring something.
#[derive(Default)]
pub(super) struct DeviceHandle {
    /// Locked before the device's lock, and as long as the device is used: once it is detached, nobody uses it.
    device: Mutex<Option<DeviceRef>>,
}

impl DeviceHandle {
    fn device(&self) -> MutexGuard<'_, Option<DeviceRef>> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&self, device: DeviceRef) {
        *self.device() = Some(device);
    }

    fn detach(&self) {
        *self.device() = None;
    }

    /// Calls `with` with the agent locked if `generation` is still the present one. Without a device nothing more is
    /// wanted.
    pub fn with(
        &self,
        generation: &Generation,
        with: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> Delivery,
    ) -> Delivery {
        let device = self.device();
        let delivery = device.as_ref().and_then(|device| {
            device.tell(
                |agent, platform| {
                    if generation.valid() { with(agent, platform) } else { Delivery::Stop }
                },
            )
        });
        delivery.unwrap_or(Delivery::Stop)
    }
}

impl EventSink for DeviceHandle {
    fn deliver(&self, generation: &Generation, event: TransportEvent<'_>) -> Delivery {
        self.with(generation, |agent, platform| agent.on_transport(platform, event))
    }
}
