//! A device from quecota_init() to quecota_deinit().

use core::ffi::{c_char, c_void};

use quecota_core::text::Text;

use super::callback::Callback;
use super::config::{quecota_config_t, quecota_event_cb_t};
use super::device::{self, Device, live};
use super::error::{self, InitError, PANIC, QUECOTA_ERROR_NULL, Words, quecota_error_t};
use super::handle::quecota_t;
use super::provider::Provider;
use super::refusal::Given;
use super::table::quecota_platform_t;

/// Room for the line of a refused quecota_init().
const INIT_LINE: usize = 160;
/// quecota_poll() when there is nothing to poll: a device that is NULL, not started, or already in a poll.
const NOTHING_TO_POLL: u32 = 1000;

/// The version of this library, "major.minor.patch".
#[unsafe(no_mangle)]
pub extern "C" fn quecota_version() -> *const c_char {
    boundary!(core::ptr::null(), { concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast() })
}

/// What a code of quecota_error_t means, in English; never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn quecota_error_text(error: quecota_error_t) -> *const c_char {
    boundary!(core::ptr::null(), { error::text(error).as_ptr().cast() })
}

/// Makes a device in `memory`: `size` bytes (QUECOTA_SIZE), aligned to QUECOTA_ALIGN, which belong to it until
/// quecota_deinit(). `config` and `platform` are copied. On success `*device` is the handle. A refusal leaves a line in the
/// log of `platform` that names the struct, the member or area, and the rule.
///
/// Threads: from one task, not from an interrupt, and by nobody else for the same memory. It takes no lock, calls no function
/// of the platform but `log`, waits for nothing, and shares nothing with other devices, which other tasks may make and use
/// meanwhile.
///
/// # Safety
/// The pointers are NULL or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_init(
    memory: *mut c_void,
    size: usize,
    config: *const quecota_config_t,
    platform: *const quecota_platform_t,
    device: *mut *mut quecota_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        // SAFETY: the C caller's promise about the platform.
        let refused = |error| unsafe { refused(platform, error) };
        let (what, rule) = (Words::of("device"), Words::of("must not be NULL"));
        let no_device = InitError { code: QUECOTA_ERROR_NULL, what, rule };
        write_to!(device, core::ptr::null_mut(), else refused(no_device));
        let made = device::place(memory, size).and_then(|place| {
            // SAFETY: the C caller's promise about both structs.
            let (config, provider) = unsafe { (quecota_config_t::checked(config)?, Provider::of(platform)?) };
            // SAFETY: `place` is big and aligned enough, and the C caller lends it and the receive buffer.
            unsafe { Device::init(place, &provider, &config) };
            // SAFETY: not NULL, as was checked above.
            unsafe { device.write(place.cast()) };
            Ok(())
        });
        made.map_or_else(refused, |()| 0)
    })
}

/// The code of a refused quecota_init(), which leaves a line in the log of the platform, where it has one.
///
/// # Safety
/// As [`Provider::of`].
#[inline(never)] // its line is not on the stack while a device is made
unsafe fn refused(platform: *const quecota_platform_t, error: InitError) -> quecota_error_t {
    if !cfg!(feature = "texts") {
        return error.code as quecota_error_t;
    }
    let mut line = Text::<INIT_LINE>::new();
    for part in ["quecota_init() is refused: ", error.what.get(), " ", error.rule.get()] {
        // Names and rules are ours, and fit.
        let _ = line.push(part);
    }
    // SAFETY: the caller's promise.
    let is_logged = unsafe { Provider::log_before_init(platform, &line) };
    #[cfg(feature = "host")]
    if !is_logged {
        crate::host::log::without_device(&line);
    }
    #[cfg(not(feature = "host"))]
    let _ = is_logged;
    error.code as quecota_error_t
}

/// Loads the journal and goes on with what an earlier run left; once, before anything else. At its end the platform's
/// own task begins, where it has one; if that fails: QUECOTA_ERROR_PLATFORM.
///
/// # Safety
/// `device` is NULL or a handle of quecota_init().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_start(device: *mut quecota_t) -> quecota_error_t {
    native_call!(Device device, "start", Given::Nothing, "", move |device: &Device| device.start())
}

/// One step: timers, one message, one report; then events. Returns the milliseconds that may pass before the next
/// call; call it earlier when the platform's wake() was called. From one task only; called anywhere else, or inside an
/// event callback, or for a device that is NULL or not started, it does nothing and returns 1000. So it does on the Linux
/// platform, whose own thread polls.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_poll(device: *mut quecota_t) -> u32 {
    boundary!(NOTHING_TO_POLL, {
        // SAFETY: the C caller's promise about the handle.
        unsafe { live(device) }
            .and_then(|device| device.poll_of_application().ok())
            .unwrap_or(NOTHING_TO_POLL)
    })
}

/// Ends a device: stops the platform's task, gives up a fetch, closes the connection. What was stored stays, and a new
/// device goes on from it. Nobody else may be in a call of this device, nor make one later.
///
/// Inside an event callback: QUECOTA_ERROR_REENTRY, and nothing has changed. A port's table does not tell tasks apart,
/// so there every task gets QUECOTA_ERROR_REENTRY while a callback runs; call again after it has returned.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_deinit(device: *mut quecota_t) -> quecota_error_t {
    native_call!(Device device, "deinit", Given::Nothing, "", move |device: &Device| device.end())
}

/// Sets the one receiver of events. NULL: events vanish from now on. Events wait while none was ever set.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_event_callback(
    device: *mut quecota_t,
    event: quecota_event_cb_t,
    ctx: *mut c_void,
) -> quecota_error_t {
    native_call!(Device device, "set_event_callback", Given::Nothing, "", move |device: &Device| {
        device.set_callback(Callback::set(event, ctx))
    })
}
