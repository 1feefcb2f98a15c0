//! A platform written in Rust, which C code hands to quecota_init() as it hands a table of its own.
//!
//! [`publish`] gives it a `quecota_platform_t` that stands for it: an address, whose members are NULL.

use core::ptr;
use std::sync::{Mutex, OnceLock};

use quecota_core::platform::Platform;

use super::handle::quecota_t;
use super::table::quecota_platform_t;

/// A platform in Rust, with the task that polls its device.
pub trait RustPlatform: Sync {
    /// Whether this process made the platform. In a forked child its threads are missing and its lock may be held for
    /// ever.
    fn is_of_this_process(&self) -> bool;
    /// The platform behind the device's lock.
    fn platform(&self) -> &Mutex<dyn Platform + Send>;
    /// Lets the device's poll run soon. Called without the lock.
    fn wake(&self);
    /// Polls `device` from a thread of its own, from now on until [`Self::stop`]. Called without the lock. Fails when
    /// there can be no such thread, and when another device is polled already.
    fn run(&self, device: DeviceRef) -> std::io::Result<()>;
    /// Ends what [`Self::run`] began; once it returns, nobody uses the device any more. Called without the lock, and
    /// never from the thread that polls.
    fn stop(&self);
}

/// A running device as the threads of its platform see it: from `run` until `stop` has returned. Each call takes the
/// lock, so none may be made from inside the platform.
#[derive(Debug, Clone, Copy)]
pub struct DeviceRef(ptr::NonNull<quecota_t>);

// SAFETY: a device with a Rust platform has a lock, which it takes around every use of its state.
unsafe impl Send for DeviceRef {}
// SAFETY: as above.
unsafe impl Sync for DeviceRef {}

impl DeviceRef {
    /// # Safety
    /// `device` is the handle of a live device, which stays where it is until its platform's `stop` has returned.
    pub(super) unsafe fn new(device: &quecota_t) -> Self {
        DeviceRef(ptr::NonNull::from(device))
    }

    pub(super) fn handle(&self) -> ptr::NonNull<quecota_t> {
        self.0
    }
}

/// The platform of this process, once there is one, and what stands for it.
struct Published {
    table: quecota_platform_t,
    platform: &'static dyn RustPlatform,
}

// SAFETY: the table holds NULL pointers only; the platform is Sync.
unsafe impl Sync for Published {}
// SAFETY: as above.
unsafe impl Send for Published {}

static PUBLISHED: OnceLock<Published> = OnceLock::new();

/// The table that stands for `platform`. A process has one platform: later calls return the first one's.
pub fn publish(platform: &'static dyn RustPlatform) -> *const quecota_platform_t {
    let size = size_of::<quecota_platform_t>() as u32;
    let table =
        quecota_platform_t { size, transport: ptr::null(), storage: ptr::null(), system: ptr::null() };
    &raw const PUBLISHED.get_or_init(|| Published { table, platform }).table
}

/// The Rust platform that `table` stands for.
pub(super) fn published(table: *const quecota_platform_t) -> Option<&'static dyn RustPlatform> {
    PUBLISHED.get().filter(|published| ptr::eq(&raw const published.table, table)).map(|it| it.platform)
}
