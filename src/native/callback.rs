//! The application's receiver of events.

use core::ffi::c_void;

use quecota_core::agent::{Event, EventValue};
use quecota_core::limits;

use super::config::quecota_event_cb_t;
use crate::boundary::CStrBuf;

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

    /// Calls the application's function with `event`. `received` is what belongs to [`EventValue::Received`]: where it
    /// is, and how many bytes before its NUL.
    pub fn deliver(self, event: &Event, received: (*mut u8, usize)) {
        let Callback::On(function, ctx) = self else { return };
        let call = |value: *mut c_void, length: usize| {
            let length = u32::try_from(length).unwrap_or(0);
            // SAFETY: the application's function with its ctx; the value below lives through the call.
            unsafe { function(ctx, event.event, event.code, value, length) }
        };
        match &event.value {
            EventValue::None | EventValue::Ended(_) => call(core::ptr::null_mut(), 0),
            EventValue::Text(text) => {
                let mut room = CStrBuf::<{ limits::EVENT_TEXT + 1 }>::EMPTY;
                let copy = room.hold(text);
                let length = copy.length();
                call(copy.as_mut_ptr().cast(), length);
            }
            EventValue::Received => call(received.0.cast(), received.1),
            EventValue::Number(number) => {
                let mut number = *number;
                call((&raw mut number).cast(), size_of::<u32>());
            }
        }
    }
}
