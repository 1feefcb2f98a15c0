//! One device in memory of the caller, and its lock.
//!
//! The lock is held around every use of the agent and never while an event callback runs. Events leave only from
//! `poll`, after the state has changed, so what a callback calls is taken as the state allows.

use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_uchar, c_void};

use quecota_core::agent::{Agent, Dialect, Event, EventValue, Resume};
use quecota_core::limits;
use quecota_core::platform::Platform;
#[cfg(feature = "host")]
use std::sync::PoisonError;

use super::c_platform::CPlatform;
use super::config::{quecota_config_t, quecota_event_cb_t};
use super::error::{Error, QUECOTA_ERROR_NULL, QUECOTA_ERROR_REENTRY, QUECOTA_ERROR_STARTED};
use super::handle::quecota_t;
#[cfg(feature = "host")]
use super::rust_platform::{self, DeviceRef, RustPlatform};
use super::table::quecota_platform_t;
use crate::boundary::CStrBuf;

/// Bytes of memory that quecota_init() needs for one device.
pub const QUECOTA_SIZE: usize = 8192;
/// Alignment of that memory.
pub const QUECOTA_ALIGN: usize = 8;

// When the first fails, raise QUECOTA_SIZE here; `cargo xtask headers` renews the headers.
const _: () = assert!(size_of::<Device>() <= QUECOTA_SIZE, "QUECOTA_SIZE is too small");
const _: () = assert!(align_of::<Device>() <= QUECOTA_ALIGN, "QUECOTA_ALIGN is too small");
const _: () = assert!(align_of::<quecota_memory_t>() == QUECOTA_ALIGN);

/// The gate reads the size of a device from the size of this symbol.
#[cfg(feature = "firmware-gate")]
#[unsafe(export_name = "quecota_size_of_device")]
static SIZE_OF_DEVICE: [u8; size_of::<Device>()] = [0; size_of::<Device>()];

/// Memory for one device, for those who keep it in a variable.
#[repr(C)]
pub union quecota_memory_t {
    aligned: u64,
    bytes: [c_uchar; QUECOTA_SIZE],
}

/// What the first word of a live device holds.
const ALIVE: u32 = 0x5143_4F54;

/// A device in memory of the caller; C sees it as a [`quecota_t`].
#[derive(Debug)]
pub struct Device {
    alive: Cell<u32>,
    /// The lock is taken; guarded by the lock itself. Finds calls from inside platform functions.
    held: Cell<bool>,
    provider: Provider,
    state: UnsafeCell<State>,
}

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

/// What the lock guards.
pub struct State {
    started: bool,
    polling: bool,
    /// The task whose poll is delivering events.
    delivering: Option<Task>,
    callback: Callback,
    /// The agent.
    pub agent: Agent<'static>,
}

/// The application's single slot for events.
#[derive(Clone, Copy)]
pub enum Callback {
    /// Events wait, so that what was recovered from the journal is not lost.
    NeverSet,
    /// Set to NULL: events vanish.
    Off,
    /// Called, with its ctx.
    On(unsafe extern "C" fn(*mut c_void, u32, i32, *mut c_void, u32), *mut c_void),
}

impl Callback {
    /// The slot after the application has set it.
    pub fn set(function: quecota_event_cb_t, ctx: *mut c_void) -> Self {
        function.map_or(Callback::Off, |function| Callback::On(function, ctx))
    }

    fn deliver(self, event: &Event) {
        let Callback::On(function, ctx) = self else { return };
        let call = |value: *mut c_void, length: usize| {
            let length = u32::try_from(length).unwrap_or(0);
            // SAFETY: the application's function with its ctx; the value below lives through the call.
            unsafe { function(ctx, event.event, event.code, value, length) }
        };
        match event.value {
            EventValue::None => call(core::ptr::null_mut(), 0),
            EventValue::Text(text) => {
                let mut room = CStrBuf::<{ limits::EVENT_TEXT + 1 }>::EMPTY;
                let copy = room.hold(&text);
                let length = copy.length();
                call(copy.as_mut_ptr().cast(), length);
            }
            EventValue::Number(mut number) => call((&raw mut number).cast(), size_of::<u32>()),
        }
    }
}

/// A task that calls; equal for all tasks where the platform cannot tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Task(usize);

impl Provider {
    /// The platform that the C caller of quecota_init() means.
    ///
    /// # Safety
    /// As [`CPlatform::copied`].
    pub unsafe fn of(platform: *const quecota_platform_t) -> Result<Self, Error> {
        #[cfg(feature = "host")]
        if let Some(platform) = rust_platform::published(platform) {
            return Ok(Provider::Rust(platform));
        }
        // SAFETY: the caller's promise.
        unsafe { CPlatform::copied(platform) }.map(Provider::C)
    }

    fn wake(&self) {
        match self {
            Provider::C(platform) => platform.wake(),
            #[cfg(feature = "host")]
            Provider::Rust(platform) => platform.wake(),
        }
    }

    fn run(&self, device: &Device) -> Result<(), Error> {
        match self {
            Provider::C(platform) => platform.run(device.handle()),
            #[cfg(feature = "host")]
            Provider::Rust(platform) => {
                // SAFETY: `end` calls `stop` before the memory is given back.
                let device = unsafe { DeviceRef::new(device) };
                platform.run(device).map_err(|_| Error::QUECOTA_ERROR_PLATFORM)
            }
        }
    }

    fn stop(&self) {
        match self {
            Provider::C(platform) => platform.stop(),
            #[cfg(feature = "host")]
            Provider::Rust(platform) => platform.stop(),
        }
    }

    fn task(&self) -> Task {
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
    fn take(platform: &'a CPlatform) -> Self {
        platform.lock();
        Lock(platform)
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.0.unlock();
    }
}

/// The state is in use; guarded by the lock.
struct Held<'a>(&'a Cell<bool>);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// A poll is under way; a poll inside a poll would deliver events out of order.
struct Polling<'a>(&'a Device);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        // Fails only inside a platform function, where no poll can end.
        let _ = self.0.enter(|state, _| {
            state.polling = false;
            state.delivering = None;
        });
    }
}

impl Device {
    /// Makes a device at `place`, not yet started.
    ///
    /// # Safety
    /// `place` may be written, is big and aligned enough, and the config's receive buffer is the device's until
    /// [`Self::end`].
    pub unsafe fn init(place: *mut Self, provider: &Provider, config: &quecota_config_t) {
        // SAFETY: `checked` has seen that it is not NULL; it is ours until the end.
        let receive =
            unsafe { core::slice::from_raw_parts_mut(config.receive, config.receive_size as usize) };
        let callback = match config.event {
            None => Callback::NeverSet,
            set => Callback::set(set, config.event_ctx),
        };
        // Piece by piece, so that the agent is made in its place and not on the stack of a small task.
        // SAFETY: the caller's promise; each member is written once and none is read before.
        unsafe {
            let state = UnsafeCell::raw_get(&raw const (*place).state);
            (&raw mut (*state).agent).write(Agent::new(receive));
            (*state).agent.set_dialect(if config.dialect == 0 { Dialect::V2_10 } else { Dialect::V2_9 });
            (*state).agent.set_resume(if config.resume == 0 { Resume::Asking } else { Resume::AtOnce });
            (&raw mut (*state).started).write(false);
            (&raw mut (*state).polling).write(false);
            (&raw mut (*state).delivering).write(None);
            (&raw mut (*state).callback).write(callback);
            (&raw mut (*place).provider).write(*provider);
            (&raw mut (*place).held).write(Cell::new(false));
            (&raw mut (*place).alive).write(Cell::new(ALIVE));
        }
    }

    /// Whether this memory holds a device between init and end.
    pub fn is_alive(&self) -> bool {
        self.alive.get() == ALIVE
    }

    /// The device as C sees it.
    pub fn handle(&self) -> *mut quecota_t {
        core::ptr::from_ref(self).cast::<quecota_t>().cast_mut()
    }

    /// Uses state and platform with the lock held.
    pub fn enter<R>(&self, work: impl FnOnce(&mut State, &mut dyn Platform) -> R) -> Result<R, Error> {
        match &self.provider {
            Provider::C(platform) => {
                let _lock = Lock::take(platform);
                let mut platform = platform;
                self.with_state(&mut platform, work)
            }
            #[cfg(feature = "host")]
            Provider::Rust(platform) => {
                if !platform.is_of_this_process() {
                    return Err(Error::QUECOTA_ERROR_FORKED);
                }
                // After a panic that was contained the device goes on with what it has.
                let mut platform = platform.platform().lock().unwrap_or_else(PoisonError::into_inner);
                self.with_state(&mut *platform, work)
            }
        }
    }

    fn with_state<R>(
        &self,
        platform: &mut dyn Platform,
        work: impl FnOnce(&mut State, &mut dyn Platform) -> R,
    ) -> Result<R, Error> {
        if self.held.replace(true) {
            return Err(QUECOTA_ERROR_REENTRY);
        }
        let _held = Held(&self.held);
        // SAFETY: `held` was false and the lock is taken, so this is the only reference to the state.
        Ok(work(unsafe { &mut *self.state.get() }, platform))
    }

    /// Uses the agent of a started device.
    pub fn ask<R>(&self, work: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> R) -> Result<R, Error> {
        self.enter(|state, platform| {
            if state.started { Ok(work(&mut state.agent, platform)) } else { Err(QUECOTA_ERROR_STARTED) }
        })?
    }

    /// As [`Self::ask`], then lets the poll run soon: for what the network brings and the application wants.
    pub fn tell<R>(
        &self,
        work: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> R,
    ) -> Result<R, Error> {
        let result = self.ask(work)?;
        self.provider.wake();
        Ok(result)
    }

    /// Loads the journal, then lets the platform's own task run, if it has one.
    pub fn start(&self) -> Result<(), Error> {
        self.enter(|state, platform| {
            if state.started {
                return Err(QUECOTA_ERROR_STARTED);
            }
            state.agent.start(platform);
            state.started = true;
            Ok(())
        })??;
        self.provider.run(self)
    }

    /// One step, then the events that are there. Returns the milliseconds until the next is due.
    pub fn poll(&self) -> Result<u32, Error> {
        let task = self.provider.task();
        let mut wait = self.enter(|state, platform| {
            if !state.started || state.polling {
                return Err(QUECOTA_ERROR_STARTED);
            }
            state.polling = true;
            Ok(state.agent.poll(platform).0)
        })??;
        let _polling = Polling(self);
        while let Some((event, callback)) = self.enter(|state, _| {
            let next = match state.callback {
                Callback::NeverSet => None,
                callback => state.agent.next_event().map(|event| (event, callback)),
            };
            state.delivering = next.is_some().then_some(task);
            next
        })? {
            callback.deliver(&event);
            // What the callback called may be due at once.
            wait = 0;
        }
        Ok(wait)
    }

    /// Sets the application's slot for events; works before the start, too.
    pub fn set_callback(&self, callback: Callback) -> Result<(), Error> {
        self.enter(|state, _| state.callback = callback)
    }

    /// Stops the platform's task, closes the connection and marks the memory as free again. Inside an event callback
    /// it is refused, with nothing changed: the poll that called it still needs the memory.
    pub fn end(&self) -> Result<(), Error> {
        let task = self.provider.task();
        let inside = self.enter(|state, _| state.delivering == Some(task))?;
        if inside {
            return Err(QUECOTA_ERROR_REENTRY);
        }
        self.provider.stop();
        self.enter(|state, platform| {
            if state.polling {
                // Another task polls, against the rule that nobody is in a call of this device.
                return Err(QUECOTA_ERROR_REENTRY);
            }
            if state.started {
                platform.fetch_cancel();
                platform.disconnect();
            }
            Ok(())
        })??;
        self.alive.set(0);
        Ok(())
    }
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("started", &self.started).finish_non_exhaustive()
    }
}

/// Memory to a checked place for a device.
pub fn place(memory: *mut c_void, size: usize) -> Result<*mut Device, Error> {
    if memory.is_null() {
        Err(QUECOTA_ERROR_NULL)
    } else if size < size_of::<Device>() {
        Err(Error::QUECOTA_ERROR_MEMORY)
    } else if !memory.addr().is_multiple_of(QUECOTA_ALIGN) {
        Err(Error::QUECOTA_ERROR_ALIGN)
    } else {
        Ok(memory.cast())
    }
}
