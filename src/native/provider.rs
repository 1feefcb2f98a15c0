//! The platform of a device: functions of a C table or, on hosts, Rust.

use quecota_core::platform::{Level, Platform};
#[cfg(feature = "host")]
use std::sync::PoisonError;

use super::c_platform::{CPlatform, log_by_table};
use super::error::{Error, InitError};
use super::handle::quecota_t;
#[cfg(feature = "host")]
use super::rust_platform::{self, DeviceRef, RustPlatform};
use super::table::quecota_platform_t;

/// The platform: transport, storage and system.
#[derive(Clone, Copy)]
#[allow(clippy::large_enum_variant)] // one per device, in memory of the caller: there is no heap to move it to
pub enum Provider {
    /// Functions of a C table.
    C(CPlatform),
    /// Rust.
    #[cfg(feature = "host")]
    Rust(&'static dyn RustPlatform),
}

/// The platform as one call uses it. On bare metal there is one kind, and the compiler knows each function of it.
#[cfg(not(feature = "host"))]
pub type Port<'p> = &'p CPlatform;
/// The platform as one call uses it.
#[cfg(feature = "host")]
pub type Port<'p> = dyn Platform + 'p;

/// Writes a line to the platform's log.
pub fn log(platform: &mut Port<'_>, level: Level, line: &str) {
    let platform: &mut dyn Platform = platform;
    platform.log(level, line);
}

/// A task that calls; equal for all tasks where the platform cannot tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task(usize);

impl Provider {
    /// The platform that the C caller of quecota_init() means.
    ///
    /// # Safety
    /// As [`CPlatform::copied`].
    pub unsafe fn of(platform: *const quecota_platform_t) -> Result<Self, InitError> {
        #[cfg(feature = "host")]
        if let Some(platform) = rust_platform::published(platform) {
            return Ok(Provider::Rust(platform));
        }
        // SAFETY: the caller's promise.
        unsafe { CPlatform::copied(platform) }.map(Provider::C)
    }

    /// Writes a line to the log of a platform that has no device yet. `false`: it has no usable log.
    ///
    /// # Safety
    /// As [`CPlatform::copied`].
    pub unsafe fn log_before_init(platform: *const quecota_platform_t, line: &str) -> bool {
        #[cfg(feature = "host")]
        if let Some(platform) = rust_platform::published(platform) {
            let logged = Provider::Rust(platform).locked(|platform| {
                platform.log(Level::Warn, line);
                Ok(())
            });
            return logged.is_ok();
        }
        // SAFETY: the caller's promise.
        unsafe { log_by_table(platform, line) }
    }

    /// Lets the poll run soon. Called without the lock.
    #[inline(never)]
    pub fn wake(&self) {
        match self {
            Provider::C(platform) => platform.wake(),
            #[cfg(feature = "host")]
            Provider::Rust(platform) => platform.wake(),
        }
    }

    /// Lets the platform's own task poll `device`, where there is one, until [`Self::stop`]. Called without the lock.
    ///
    /// # Safety
    /// `device` is alive, and stays where it is until `stop` has returned.
    pub unsafe fn run(&self, device: &quecota_t) -> Result<(), Error> {
        match self {
            Provider::C(platform) => platform.run(core::ptr::from_ref(device).cast_mut()),
            // SAFETY: the caller's promise.
            #[cfg(feature = "host")]
            Provider::Rust(platform) => match platform.run(unsafe { DeviceRef::new(device) }) {
                Ok(()) => Ok(()),
                Err(e) => {
                    let line = std::format!("no thread polls the device: {e}");
                    self.locked(|platform| {
                        platform.log(Level::Error, &line);
                        Err(Error::QUECOTA_ERROR_PLATFORM)
                    })
                }
            },
        }
    }

    /// Whether [`Self::run`] has a task of its own poll, and quecota_poll() has nothing to do.
    pub fn polls_by_itself(&self) -> bool {
        match self {
            // The task of a table calls quecota_poll().
            Provider::C(_) => false,
            #[cfg(feature = "host")]
            Provider::Rust(_) => true,
        }
    }

    /// Ends what [`Self::run`] began; nobody uses the device any more. Called without the lock.
    pub fn stop(&self) {
        match self {
            Provider::C(platform) => platform.stop(),
            #[cfg(feature = "host")]
            Provider::Rust(platform) => platform.stop(),
        }
    }

    /// Calls `work` with the platform, the lock held.
    pub fn locked<R>(&self, work: impl FnOnce(&mut Port<'_>) -> Result<R, Error>) -> Result<R, Error> {
        match self {
            Provider::C(platform) => {
                let _lock = Lock::take(platform);
                let mut platform = platform;
                work(&mut platform)
            }
            #[cfg(feature = "host")]
            Provider::Rust(platform) => {
                if !platform.is_of_this_process() {
                    return Err(Error::QUECOTA_ERROR_FORKED);
                }
                // After a panic that was contained the device goes on with what it has.
                work(&mut *platform.platform().lock().unwrap_or_else(PoisonError::into_inner))
            }
        }
    }

    /// The task that calls.
    pub fn task(&self) -> Task {
        match self {
            Provider::C(_) => Task(0),
            #[cfg(feature = "host")]
            Provider::Rust(_) => {
                std::thread_local!(static HERE: u8 = const { 0 });
                Task(HERE.with(|here| core::ptr::from_ref(here).addr()))
            }
        }
    }
}

impl core::fmt::Debug for Provider {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Provider::C(platform) => platform.fmt(f),
            #[cfg(feature = "host")]
            Provider::Rust(_) => f.write_str("Rust"),
        }
    }
}

/// The lock of a C platform, held.
struct Lock<'a>(&'a CPlatform);

impl<'a> Lock<'a> {
    #[inline(never)]
    fn take(platform: &'a CPlatform) -> Self {
        platform.lock();
        Lock(platform)
    }
}

impl Drop for Lock<'_> {
    #[inline(never)]
    fn drop(&mut self) {
        self.0.unlock();
    }
}
