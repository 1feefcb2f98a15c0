//! What the application provides beside the platform.

use core::ffi::c_void;
use core::mem::offset_of;

use quecota_core::limits;

use super::error::{InitError, QUECOTA_ERROR_RECEIVE, QUECOTA_ERROR_VALUE, Words};
use super::growing::Growing;

/// `event` of the event callback.
pub type quecota_event_t = u32;

/// Values of quecota_event_t. The code of events 1, 2, 3 and 6 is 10200 for success; else a reason.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_event_values {
    /// Authenticated with the platform, or why not.
    QUECOTA_EVENT_AUTH = 1,
    /// Connected to the platform, or why not.
    QUECOTA_EVENT_CONNECT = 2,
    /// Subscribed, or why not.
    QUECOTA_EVENT_SUBSCRIBE = 3,
    /// A business message was sent (code 10200 to 10250) or not (10300 to 10350). Only in an archive with the drop-in API, as 5.
    QUECOTA_EVENT_SEND = 4,
    /// A business message came. Code 10200: bytes for the application (0x0023); 10210: values that the platform sets
    /// (0x0013), as TTLV that was checked; 10211: ids of values that the platform wants (0x0011), two bytes each, big
    /// endian, after the packet id, which the answer repeats.
    QUECOTA_EVENT_RECEIVE = 5,
    /// Logged out.
    QUECOTA_EVENT_LOGOUT = 6,
    /// OTA: the code is one of quecota_ota_t.
    QUECOTA_EVENT_OTA = 7,
    /// The platform reports an error: the code.
    QUECOTA_EVENT_SERVER = 8,
}

/// Event for the application. Called from the context of quecota_poll(), with no lock held and after the state has
/// changed, so it may make every call of this library but quecota_poll() and quecota_deinit().
///
/// `value` is a copy of `length` bytes with a NUL behind them, which the callback may write on; it lives for the call
/// only. NULL and 0 when the event has no value.
///
/// Threads: the task that polls, never an interrupt, and never two events of a device at once; on the Linux platform that is a
/// thread of the library. What other tasks and interrupts read of what it writes needs their own protection. It uses the stack
/// of the polling task, below some hundred bytes of the library, and while it runs nothing else of the device does: what takes
/// longer than a flash operation is handed to another task, which calls quecota_ota_action() when it is done.
///
/// It must return: a C++ exception or a longjmp() out of it ends the process or leaves the device unusable, so catch
/// exceptions inside.
pub type quecota_event_cb_t =
    Option<unsafe extern "C" fn(ctx: *mut c_void, event: u32, code: i32, value: *mut c_void, length: u32)>;

/// The event conventions.
pub type quecota_dialect_t = i32;

/// Values of quecota_dialect_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_dialect_values {
    /// All event values are text; "not authenticated any more" is event 10 (SDK 2.10).
    QUECOTA_DIALECT_2_10 = 0,
    /// The value of 10707 is a binary uint32_t; "not authenticated any more" is event 9 (SDK 2.9).
    QUECOTA_DIALECT_2_9 = 1,
}

/// What becomes of an upgrade that was confirmed before the device restarted.
pub type quecota_resume_t = i32;

/// Values of quecota_resume_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_resume_values {
    /// It is offered again (QUECOTA_OTA_PLAN) and waits for an answer, because the battery may be lower now.
    QUECOTA_RESUME_ASK = 0,
    /// It goes on by itself; its next event is QUECOTA_OTA_START.
    QUECOTA_RESUME_AT_ONCE = 1,
}

/// What the application provides beside the platform.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_config_t {
    /// sizeof(quecota_config_t).
    pub size: u32,
    /// QUECOTA_DIALECT_*.
    pub dialect: quecota_dialect_t,
    /// Room for messages from the platform until they are handled; belongs to the device until quecota_deinit().
    pub receive: *mut u8,
    /// Bytes of `receive`; QUECOTA_RECEIVE_MIN at least.
    pub receive_size: u32,
    /// May be NULL: events then wait until quecota_set_event_callback().
    pub event: quecota_event_cb_t,
    /// Handed to `event`.
    pub event_ctx: *mut c_void,
    /// QUECOTA_RESUME_*.
    pub resume: quecota_resume_t,
}

/// Smallest receive buffer, in bytes.
pub const QUECOTA_RECEIVE_MIN: u32 = 2048;
const _: () = assert!(QUECOTA_RECEIVE_MIN as usize == limits::RECEIVE_BUFFER_MIN);

// SAFETY: repr(C), size first; NULL pointers, absent functions and zeros are valid values.
unsafe impl Growing for quecota_config_t {
    const NAME: Words = Words::of("config");
    const FIRST: usize = offset_of!(quecota_config_t, event_ctx) + size_of::<usize>();
}

impl quecota_config_t {
    /// Copies and checks.
    ///
    /// # Safety
    /// A pointer that is not NULL points to as many readable bytes as its first member says.
    pub unsafe fn checked(config: *const quecota_config_t) -> Result<Self, InitError> {
        let mut copy = quecota_config_t::absent();
        // SAFETY: the caller's promise.
        unsafe { copy.copy_from(config)? };
        let config = copy;
        if config.receive.is_null() || config.receive_size < QUECOTA_RECEIVE_MIN {
            return Err(InitError {
                code: QUECOTA_ERROR_RECEIVE,
                what: Words::of("config.receive"),
                rule: Words::of("must not be NULL, and receive_size at least QUECOTA_RECEIVE_MIN"),
            });
        }
        let value = |what, rule| InitError {
            code: QUECOTA_ERROR_VALUE,
            what: Words::of(what),
            rule: Words::of(rule),
        };
        if !matches!(config.dialect, 0 | 1) {
            return Err(value("config.dialect", "must be one of QUECOTA_DIALECT_*"));
        }
        if !matches!(config.resume, 0 | 1) {
            return Err(value("config.resume", "must be one of QUECOTA_RESUME_*"));
        }
        Ok(config)
    }
}
