//! One device in memory of the caller, and the discipline of its lock.
//!
//! The lock is held around every use of the agent and never while an event callback runs. Events leave only from
//! `poll`, after the state has changed, so what a callback calls is taken as the state allows.

use core::cell::{Cell, UnsafeCell};
use core::ffi::c_void;

use quecota_core::agent::{Agent, Dialect, Event, EventValue, Resume};
use quecota_core::limits;

use super::error::{Error, QUECOTA_ERROR_NULL, QUECOTA_ERROR_REENTRY, QUECOTA_ERROR_STARTED};
use super::port::Port;
use super::table::{Table, quecota_config_t, quecota_event_cb_t};
use crate::boundary::CStrBuf;

/// Bytes of memory that quecota_init() needs for one device.
pub const QUECOTA_SIZE: usize = 8192;
/// Alignment of that memory.
pub const QUECOTA_ALIGN: usize = 8;

// When the first fails, raise QUECOTA_SIZE here; the headers follow by `cargo xtask headers`.
const _: () = assert!(size_of::<quecota_t>() <= QUECOTA_SIZE, "QUECOTA_SIZE is too small");
const _: () = assert!(align_of::<quecota_t>() <= QUECOTA_ALIGN, "QUECOTA_ALIGN is too small");

/// The gate reads the size of a device from the size of this symbol.
#[cfg(feature = "firmware-gate")]
#[unsafe(export_name = "quecota_size_of_device")]
static SIZE_OF_DEVICE: [u8; size_of::<quecota_t>()] = [0; size_of::<quecota_t>()];

/// What the first word of a live device holds.
const ALIVE: u32 = 0x5143_4F54;

/// A device: opaque, in memory of the caller. No function of it may be NULL-checked away: each refuses NULL and memory
/// that holds no live device.
#[derive(Debug)]
pub struct quecota_t {
    alive: Cell<u32>,
    /// The lock is taken; guarded by the lock itself. Finds calls from inside platform functions.
    held: Cell<bool>,
    table: Table,
    state: UnsafeCell<State>,
}

/// What the lock guards.
pub struct State {
    started: bool,
    polling: bool,
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

/// The lock, held.
struct Held<'a>(&'a quecota_t);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.set(false);
        self.0.unlock();
    }
}

/// The mark that a poll is under way; a poll inside a poll would deliver events out of order.
struct Polling<'a>(&'a quecota_t);

impl Drop for Polling<'_> {
    fn drop(&mut self) {
        // Fails only inside a platform function, where no poll can end.
        let _ = self.0.enter(|state, _| state.polling = false);
    }
}

impl quecota_t {
    /// Makes a device at `place`, not yet started.
    ///
    /// # Safety
    /// `place` may be written, is big and aligned enough, and the config's receive buffer is the device's until
    /// [`Self::end`].
    pub unsafe fn init(place: *mut Self, table: &Table, config: &quecota_config_t) {
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
            (&raw mut (*state).callback).write(callback);
            (&raw mut (*place).table).write(*table);
            (&raw mut (*place).held).write(Cell::new(false));
            (&raw mut (*place).alive).write(Cell::new(ALIVE));
        }
    }

    /// Whether this memory holds a device between init and end.
    pub fn is_alive(&self) -> bool {
        self.alive.get() == ALIVE
    }

    fn lock(&self) {
        let system = &self.table.system;
        if let Some(lock) = system.lock {
            // SAFETY: the platform's function with its ctx.
            unsafe { lock(system.ctx) }
        }
    }

    fn unlock(&self) {
        let system = &self.table.system;
        if let Some(unlock) = system.unlock {
            // SAFETY: the platform's function with its ctx.
            unsafe { unlock(system.ctx) }
        }
    }

    /// Uses the agent with the lock held.
    pub fn enter<R>(&self, work: impl FnOnce(&mut State, &mut Port<'_>) -> R) -> Result<R, Error> {
        self.lock();
        if self.held.get() {
            self.unlock();
            return Err(QUECOTA_ERROR_REENTRY);
        }
        self.held.set(true);
        let held = Held(self);
        // SAFETY: `held` was false and the lock is taken, so this is the only reference to the state.
        let state = unsafe { &mut *self.state.get() };
        let result = work(state, &mut Port(&self.table));
        drop(held);
        Ok(result)
    }

    /// Uses the agent of a started device.
    pub fn ask<R>(&self, work: impl FnOnce(&mut Agent<'static>, &mut Port<'_>) -> R) -> Result<R, Error> {
        self.enter(
            |state, port| {
                if state.started { Ok(work(&mut state.agent, port)) } else { Err(QUECOTA_ERROR_STARTED) }
            },
        )?
    }

    /// As [`Self::ask`], then lets the poll run soon: for what the network brings and the application wants.
    pub fn tell<R>(&self, work: impl FnOnce(&mut Agent<'static>, &mut Port<'_>) -> R) -> Result<R, Error> {
        let result = self.ask(work)?;
        let system = &self.table.system;
        if let Some(wake) = system.wake {
            // SAFETY: the platform's function with its ctx.
            unsafe { wake(system.ctx) }
        }
        Ok(result)
    }

    /// Loads the journal, then lets the platform's own task run, if it has one.
    pub fn start(&self) -> Result<(), Error> {
        self.enter(|state, port| {
            if state.started {
                return Err(QUECOTA_ERROR_STARTED);
            }
            state.agent.start(port);
            state.started = true;
            Ok(())
        })??;
        let system = &self.table.system;
        // SAFETY: the platform's function with its ctx; the device lives until `end`, which stops that task first.
        match system.run.map(|run| unsafe { run(system.ctx, core::ptr::from_ref(self).cast_mut()) }) {
            None | Some(0) => Ok(()),
            Some(_) => Err(Error::QUECOTA_ERROR_PLATFORM),
        }
    }

    /// One step, then the events that are there. Returns the milliseconds until the next is due.
    pub fn poll(&self) -> Result<u32, Error> {
        let mut wait = self.enter(|state, port| {
            if !state.started || state.polling {
                return Err(QUECOTA_ERROR_STARTED);
            }
            state.polling = true;
            Ok(state.agent.poll(port).0)
        })??;
        let _polling = Polling(self);
        while let Some((event, callback)) = self.enter(|state, _| match state.callback {
            Callback::NeverSet => None,
            callback => state.agent.next_event().map(|event| (event, callback)),
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

    /// Stops the platform's task, closes the connection and marks the memory as free again.
    pub fn end(&self) -> Result<(), Error> {
        use quecota_core::platform::Transport;
        let system = &self.table.system;
        if let Some(stop) = system.stop {
            // SAFETY: the platform's function with its ctx.
            unsafe { stop(system.ctx) }
        }
        self.enter(|state, port| {
            if state.polling {
                // Inside a callback: the poll that called it still needs the memory.
                return Err(QUECOTA_ERROR_REENTRY);
            }
            if state.started {
                port.fetch_cancel();
                port.disconnect();
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
pub fn place(memory: *mut c_void, size: usize) -> Result<*mut quecota_t, Error> {
    if memory.is_null() {
        Err(QUECOTA_ERROR_NULL)
    } else if size < size_of::<quecota_t>() {
        Err(Error::QUECOTA_ERROR_MEMORY)
    } else if !memory.addr().is_multiple_of(QUECOTA_ALIGN) {
        Err(Error::QUECOTA_ERROR_ALIGN)
    } else {
        Ok(memory.cast())
    }
}
