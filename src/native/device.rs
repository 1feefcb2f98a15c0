//! One device in memory of the caller, and its lock.
//!
//! The lock is held around every use of the agent and never while an event callback runs. Events leave only from
//! `poll`, after the state has changed, so what a callback calls is taken as the state allows.

use core::cell::{Cell, UnsafeCell};
use core::ffi::{c_uchar, c_void};
use core::mem::MaybeUninit;

#[cfg(feature = "http")]
use quecota_core::agent::Flow;
use quecota_core::agent::{Agent, Dialect, Event, EventValue, Resume};
use quecota_core::limits;
use quecota_core::platform::Platform;
use quecota_core::text::Text;

use super::callback::Callback;
use super::closure::Does;
use super::config::quecota_config_t;
use super::error::{
    Error, InitError, QUECOTA_ERROR_NULL, QUECOTA_ERROR_REENTRY, QUECOTA_ERROR_STARTED, Words,
};
use super::handle::quecota_t;
use super::provider::{Port, Provider, Task};
#[cfg(feature = "host")]
use super::rust_platform::DeviceRef;

/// Bytes of memory that quecota_init() needs for one device.
#[cfg(all(target_pointer_width = "32", feature = "long-urls"))]
pub const QUECOTA_SIZE: usize = 6848;
/// Bytes of memory that quecota_init() needs for one device.
#[cfg(all(target_pointer_width = "32", not(feature = "long-urls")))]
pub const QUECOTA_SIZE: usize = 5248;
/// Bytes of memory that quecota_init() needs for one device.
#[cfg(not(target_pointer_width = "32"))]
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

/// What the lock guards.
pub struct State {
    started: bool,
    polling: bool,
    /// The task whose poll is delivering events.
    delivering: Option<Task>,
    callback: Callback,
    /// The component of the upgrade whose end is told, or was told last.
    ended: Text<{ limits::COMPONENT }>,
    /// The agent.
    pub agent: Agent<'static>,
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
        let _ = self.0.with_state(|state, _| {
            state.polling = false;
            state.delivering = None;
            Ok(())
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
            emplace(&mut *(&raw mut (*state).agent).cast(), receive);
            (*state).agent.set_dialect(if config.dialect == 0 { Dialect::V2_10 } else { Dialect::V2_9 });
            (*state).agent.set_resume(if config.resume == 0 { Resume::Asking } else { Resume::AtOnce });
            (&raw mut (*state).started).write(false);
            (&raw mut (*state).polling).write(false);
            (&raw mut (*state).delivering).write(None);
            (&raw mut (*state).callback).write(callback);
            (&raw mut (*state).ended).write(Text::new());
            (&raw mut (*place).provider).write(*provider);
            (&raw mut (*place).held).write(Cell::new(false));
            (&raw mut (*place).alive).write(Cell::new(ALIVE));
        }
    }

    /// Whether this memory holds a device between init and end.
    pub fn is_alive(&self) -> bool {
        self.alive.get() == ALIVE
    }

    fn handle(&self) -> &quecota_t {
        // SAFETY: a handle has no bytes; it is the device's address.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// Uses state and platform with the lock held.
    fn use_state<R>(
        &self,
        work: impl FnOnce(&mut State, &mut Port<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        self.provider.locked(|platform| {
            let _held = self.hold()?;
            // SAFETY: `held` was false and the lock is taken, so this is the only reference to the state.
            work(unsafe { &mut *self.state.get() }, platform)
        })
    }

    /// Marks the state as in use. Called with the lock.
    #[inline(never)]
    fn hold(&self) -> Result<Held<'_>, Error> {
        if self.held.replace(true) { Err(QUECOTA_ERROR_REENTRY) } else { Ok(Held(&self.held)) }
    }

    /// Sets something of the agent before the start.
    pub fn prepare<R>(
        &self,
        work: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> R,
    ) -> Result<R, Error> {
        self.enter(|state, platform| work(&mut state.agent, platform))
    }

    /// Uses the agent of a started device. Once in the image, whatever the work is.
    #[inline(never)]
    pub fn use_agent(&self, work: &mut Does<'_, Agent<'static>>) -> Result<(), Error> {
        self.use_state(|state, platform| {
            if state.started { work.work(&mut state.agent, platform) } else { Err(QUECOTA_ERROR_STARTED) }
        })
    }

    /// The same, then lets the poll run soon: for what the network brings and the application wants.
    pub fn tell_agent(&self, work: &mut Does<'_, Agent<'static>>) -> Result<(), Error> {
        self.use_agent(work)?;
        self.provider.wake();
        Ok(())
    }

    /// The same for a part of a fetch: STOP also where the device takes none.
    #[cfg(feature = "http")]
    pub fn flow(&self, mut part: impl FnMut(&mut Agent<'static>, &mut Port<'_>) -> Flow) -> Flow {
        let mut flow = Flow::Stop;
        let mut work = |agent: &mut Agent<'static>, platform: &mut Port<'_>| {
            flow = part(agent, platform);
            Ok(())
        };
        // Why the device takes none, its state says.
        let _ = self.tell_agent(&mut Does::of(&mut work));
        flow
    }

    /// Uses state and platform with the lock held.
    fn with_state(
        &self,
        mut work: impl FnMut(&mut State, &mut Port<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.guarded(&mut Does::of(&mut work))
    }

    /// The same, once in the image, whatever the work is.
    #[inline(never)]
    fn guarded(&self, work: &mut Does<'_, State>) -> Result<(), Error> {
        self.use_state(|state, platform| work.work(state, platform))
    }

    /// Uses state and platform with the lock held, for a result.
    pub fn enter<R>(&self, work: impl FnOnce(&mut State, &mut dyn Platform) -> R) -> Result<R, Error> {
        self.use_state(|state, platform| Ok(work(state, platform)))
    }

    /// Uses the agent of a started device, for a result.
    pub fn ask<R>(&self, work: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> R) -> Result<R, Error> {
        self.enter(|state, platform| {
            if state.started { Ok(work(&mut state.agent, platform)) } else { Err(QUECOTA_ERROR_STARTED) }
        })?
    }

    /// As [`Self::ask`], then lets the poll run soon.
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
        self.with_state(|state, platform| {
            if state.started {
                return Err(QUECOTA_ERROR_STARTED);
            }
            state.agent.start(platform);
            state.started = true;
            Ok(())
        })?;
        // SAFETY: `end` calls `stop` before the memory is given back.
        unsafe { self.provider.run(self.handle()) }
    }

    /// [`Self::poll`] for a task of the application. An error where the platform has a thread that polls.
    pub fn poll_of_application(&self) -> Result<u32, Error> {
        if self.provider.polls_by_itself() { Err(QUECOTA_ERROR_REENTRY) } else { self.poll() }
    }

    /// One step, then the events that are there. Returns the milliseconds until the next is due.
    pub fn poll(&self) -> Result<u32, Error> {
        let task = self.provider.task();
        let mut wait = 0;
        self.with_state(|state, platform| {
            if !state.started || state.polling {
                return Err(QUECOTA_ERROR_STARTED);
            }
            state.polling = true;
            wait = state.agent.poll(platform).0;
            Ok(())
        })?;
        let _polling = Polling(self);
        while self.deliver(task)? {
            // What the callback called may be due at once.
            wait = 0;
        }
        Ok(wait)
    }

    /// The component of the upgrade whose end was told last; empty before the first.
    pub fn ended(&self) -> Result<Text<{ limits::COMPONENT }>, Error> {
        self.enter(|state, _| state.ended)
    }

    /// Hands the oldest event to the application, without the lock. `false`: there is none, or no callback was ever set.
    #[inline(never)] // the event is not on the stack while the agent polls
    fn deliver(&self, task: Task) -> Result<bool, Error> {
        let mut event = Event::NONE;
        let mut to = Callback::NeverSet;
        let mut received: (*mut u8, usize) = (core::ptr::null_mut(), 0);
        self.with_state(|state, _| {
            state.delivering = None;
            if !matches!(state.callback, Callback::NeverSet) && state.agent.take_event(&mut event) {
                // By its parts: copied whole it would bring `memmove` along.
                to = match state.callback {
                    Callback::On(function, ctx) => Callback::On(function, ctx),
                    _ => Callback::Off,
                };
                state.delivering = Some(task);
                if let EventValue::Ended(component) = &event.value {
                    // As long as any name of a component.
                    let _ = state.ended.set(component);
                }
                // Stays where it is, and only the application touches it, until the next event is asked for.
                let bytes = state.agent.received();
                received = (bytes.as_mut_ptr(), bytes.len());
            }
            Ok(())
        })?;
        to.deliver(&event, received);
        Ok(!matches!(to, Callback::NeverSet))
    }

    /// Sets the application's slot for events; works before the start, too.
    pub fn set_callback(&self, callback: Callback) -> Result<(), Error> {
        self.with_state(|state, _| {
            state.callback = callback;
            Ok(())
        })
    }

    /// Stops the platform's task, closes the connection and marks the memory as free again. Inside an event callback
    /// it is refused, with nothing changed: the poll that called it still needs the memory.
    pub fn end(&self) -> Result<(), Error> {
        let task = self.provider.task();
        self.with_state(
            |state, _| {
                if state.delivering == Some(task) { Err(QUECOTA_ERROR_REENTRY) } else { Ok(()) }
            },
        )?;
        self.provider.stop();
        self.with_state(|state, platform| {
            if state.polling {
                // Another task polls, against the rule that nobody is in a call of this device.
                return Err(QUECOTA_ERROR_REENTRY);
            }
            if state.started {
                let platform: &mut dyn Platform = platform;
                platform.fetch_cancel();
                platform.disconnect();
            }
            Ok(())
        })?;
        self.alive.set(0);
        Ok(())
    }
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("started", &self.started).finish_non_exhaustive()
    }
}

#[cfg(feature = "host")]
impl DeviceRef {
    fn device(&self) -> &Device {
        // SAFETY: `start` made this from a device, which lives until the platform's `stop` has returned.
        unsafe { self.handle().cast().as_ref() }
    }

    /// Uses the agent with the lock held, then wakes the poll. `None`: the device is not started.
    pub fn tell<R>(&self, work: impl FnOnce(&mut Agent<'static>, &mut dyn Platform) -> R) -> Option<R> {
        self.device().tell(work).ok()
    }

    /// One step of the platform's own thread. Returns the milliseconds until the next is due; `None`: the device cannot
    /// be polled now.
    pub fn poll(&self) -> Option<u32> {
        self.device().poll().ok()
    }
}

/// Makes the agent in its place. A function of its own with a reference, so that nothing of it is on the stack first.
#[inline(never)]
fn emplace(place: &mut MaybeUninit<Agent<'static>>, receive: &'static mut [u8]) {
    place.write(Agent::new(receive));
}

/// The device behind a handle.
///
/// # Safety
/// `device` is NULL or memory of a device; what holds no live device is only asked whether it does.
pub unsafe fn live<'d>(device: *const quecota_t) -> Option<&'d Device> {
    // SAFETY: the caller's promise.
    unsafe { device.cast::<Device>().as_ref() }.filter(|device| device.is_alive())
}

/// Memory to a checked place for a device.
pub fn place(memory: *mut c_void, size: usize) -> Result<*mut Device, InitError> {
    let refused = |code, rule| Err(InitError { code, what: Words::of("memory"), rule: Words::of(rule) });
    if memory.is_null() {
        refused(QUECOTA_ERROR_NULL, "must not be NULL")
    } else if size < size_of::<Device>() {
        refused(Error::QUECOTA_ERROR_MEMORY, "must have QUECOTA_SIZE bytes")
    } else if !memory.addr().is_multiple_of(QUECOTA_ALIGN) {
        refused(Error::QUECOTA_ERROR_ALIGN, "must be aligned to QUECOTA_ALIGN")
    } else {
        Ok(memory.cast())
    }
}
