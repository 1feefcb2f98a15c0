//! What can go wrong with a call, for C.

use quecota_core::agent::CallError;
use quecota_core::c_words;
use quecota_core::text::without_nuls;

/// Result of most calls: QUECOTA_OK or what went wrong; quecota_error_text() says it in words. A number keeps its meaning in
/// every later version, which may add more: no code is ever renumbered or used again.
pub type quecota_error_t = i32;

/// Values of quecota_error_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_error_values {
    /// Done, or started.
    QUECOTA_OK = 0,
    /// A pointer is NULL that must not be, or the memory holds no live device.
    QUECOTA_ERROR_NULL = 1,
    /// The memory for the device is smaller than QUECOTA_SIZE.
    QUECOTA_ERROR_MEMORY = 2,
    /// The memory for the device is not aligned to QUECOTA_ALIGN.
    QUECOTA_ERROR_ALIGN = 3,
    /// The `size` member of a struct is smaller than the first version of that struct was.
    QUECOTA_ERROR_STRUCT = 4,
    /// A function that the platform must have is NULL.
    QUECOTA_ERROR_PLATFORM = 5,
    /// The receive buffer is NULL or smaller than QUECOTA_RECEIVE_MIN.
    QUECOTA_ERROR_RECEIVE = 6,
    /// A storage area's sizes break the rules of quecota_area_t.
    QUECOTA_ERROR_AREA = 7,
    /// quecota_start() was not called, or was called twice.
    QUECOTA_ERROR_STARTED = 8,
    /// Called from inside a function of the platform table.
    QUECOTA_ERROR_REENTRY = 9,
    /// A value is empty, too long or not of the right form.
    QUECOTA_ERROR_VALUE = 10,
    /// Only while the connection mode is idle.
    QUECOTA_ERROR_NOT_IDLE = 11,
    /// No session with the platform.
    QUECOTA_ERROR_OFFLINE = 12,
    /// Not allowed in the present OTA state.
    QUECOTA_ERROR_STATE = 13,
    /// Product key, product secret or server is not set.
    QUECOTA_ERROR_INCOMPLETE = 14,
    /// Outside the piece that is staged.
    QUECOTA_ERROR_RANGE = 15,
    /// Storage failed, or gave other bytes than were written.
    QUECOTA_ERROR_STORAGE = 16,
    /// No room now: poll, then offer it again.
    QUECOTA_ERROR_BUSY = 17,
    /// The caller's buffer is too small.
    QUECOTA_ERROR_ROOM = 18,
    /// The component is not known.
    QUECOTA_ERROR_UNKNOWN = 19,
    /// A bug in this library (hosts only; please report it).
    QUECOTA_ERROR_PANIC = 20,
    /// The process that made the device has forked, and this is the child (Linux platform only).
    QUECOTA_ERROR_FORKED = 21,
}

pub use quecota_error_values as Error;
pub use quecota_error_values::*;

/// QUECOTA_ERROR_NULL, for C.
pub(super) const NULL: quecota_error_t = QUECOTA_ERROR_NULL as quecota_error_t;
/// QUECOTA_ERROR_VALUE, for C.
pub(super) const VALUE: quecota_error_t = QUECOTA_ERROR_VALUE as quecota_error_t;
/// QUECOTA_ERROR_PANIC, for C.
pub const PANIC: quecota_error_t = QUECOTA_ERROR_PANIC as quecota_error_t;

/// The code of a result, for C.
pub fn code(result: Result<(), Error>) -> quecota_error_t {
    match result {
        Ok(()) => QUECOTA_OK as quecota_error_t,
        Err(error) => error as quecota_error_t,
    }
}

/// What quecota_init() refuses: which struct, member or area, and the rule that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitError {
    /// For C.
    pub code: Error,
    /// The struct, its member, or the area.
    pub what: Words,
    /// What it must be.
    pub rule: Words,
}

/// Words of a line in the log. Without the feature `texts` there are none, nor any bytes that lead to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words(#[cfg(feature = "texts")] &'static str);

impl Words {
    /// These.
    #[cfg_attr(not(feature = "texts"), allow(unused_variables))]
    pub const fn of(text: &'static str) -> Words {
        Words(
            #[cfg(feature = "texts")]
            text,
        )
    }

    /// The text.
    pub const fn get(self) -> &'static str {
        #[cfg(feature = "texts")]
        return self.0;
        #[cfg(not(feature = "texts"))]
        ""
    }
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotIdle => QUECOTA_ERROR_NOT_IDLE,
            CallError::Value => QUECOTA_ERROR_VALUE,
            CallError::Offline => QUECOTA_ERROR_OFFLINE,
            CallError::State => QUECOTA_ERROR_STATE,
            CallError::Incomplete => QUECOTA_ERROR_INCOMPLETE,
            CallError::Range => QUECOTA_ERROR_RANGE,
            CallError::Storage => QUECOTA_ERROR_STORAGE,
        }
    }
}

/// The same as text of Rust.
pub fn error_words(code: quecota_error_t) -> &'static str {
    without_nuls(text(code))
}

/// The text of an error code, for C; "unknown error code" for a number that is none.
pub fn text(code: quecota_error_t) -> &'static str {
    if !cfg!(feature = "texts") {
        return c_words!("");
    }
    match code {
        0 => c_words!("no error"),
        1 => c_words!("a pointer is NULL that must not be, or the memory holds no live device"),
        2 => c_words!("the memory is smaller than QUECOTA_SIZE or QUECOTA_HTTP_SIZE"),
        3 => c_words!("the memory is not aligned to QUECOTA_ALIGN"),
        4 => c_words!("the size member of a struct is too small: set it to sizeof the struct"),
        5 => c_words!("a function that the platform must have is NULL"),
        6 => c_words!("the receive buffer is NULL or smaller than QUECOTA_RECEIVE_MIN"),
        7 => c_words!("the sizes of a storage area break the rules of quecota_area_t"),
        8 => c_words!("quecota_start() was not called, or was called twice"),
        9 => c_words!("called from inside a function of the platform table"),
        10 => c_words!("a value is empty, too long or not of the right form"),
        11 => c_words!("only while the connection mode is idle"),
        12 => c_words!("no session with the platform"),
        13 => c_words!("not allowed in the present OTA state"),
        14 => c_words!("product key, product secret or server is not set"),
        15 => c_words!("outside the piece that is staged"),
        16 => c_words!("storage failed, or gave other bytes than were written"),
        17 => c_words!("no room now: poll, then offer it again"),
        18 => c_words!("the caller's buffer is too small"),
        19 => c_words!("the component is not known"),
        20 => c_words!("a bug in this library"),
        21 => c_words!("the device belongs to the process that this one was forked from"),
        _ => c_words!("unknown error code"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_code_has_its_own_text() {
        let texts: std::collections::HashSet<_> = (0..=QUECOTA_ERROR_FORKED as i32).map(text).collect();
        assert_eq!(texts.len(), QUECOTA_ERROR_FORKED as usize + 1);
        assert!(
            !texts.contains(text(QUECOTA_ERROR_FORKED as i32 + 1)),
            "a code beyond the last has no text yet"
        );
    }
}
