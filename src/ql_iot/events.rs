//! The way of events to the application.

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::lists;
use super::slot::device;
use super::types::{qint32_t, quint32_t};
use crate::native::{Callback, Device};

/// What an application receives events with.
pub type EventCb = Option<
    unsafe extern "C" fn(event: quint32_t, errcode: qint32_t, value: *const c_void, valLen: quint32_t),
>;

/// Event "a message came", and its codes whose value applications expect in another form than the wire's.
const RECEIVE: u32 = 5;
const VALUES: i32 = 10210;
const WANTED_IDS: i32 = 10211;

/// The application's callback as it was set last, also before `Ql_iotInit`.
static CALLBACK: AtomicPtr<c_void> = AtomicPtr::new(ptr::null_mut());

/// Gives `device` the callback that was set before it was made, if one was.
pub fn pass_early_callback_on(device: &Device) {
    let early = CALLBACK.load(Ordering::SeqCst);
    if !early.is_null() {
        pass_callback_on(device, early);
    }
}

/// Sets the callback of `device` to `callback`, then to what another task has set meanwhile. The task that sets one
/// stores it before it looks for a device, and `Ql_iotInit` stores the device before it looks for a callback, so that
/// at least one of them passes it on.
fn pass_callback_on(device: &Device, mut callback: *mut c_void) {
    loop {
        let function = if callback.is_null() { None } else { Some(forward as _) };
        // Fails only inside a platform function, where no application calls.
        let _ = device.set_callback(Callback::set(function, callback));
        let latest = CALLBACK.load(Ordering::SeqCst);
        if latest == callback {
            return;
        }
        callback = latest;
    }
}

/// Sets the one receiver of events; NULL: events vanish from now on. Called before Ql_iotInit, it holds from then on.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetEventCB(
    eventCb: Option<
        unsafe extern "C" fn(event: quint32_t, errcode: qint32_t, value: *const c_void, valLen: quint32_t),
    >,
) {
    boundary!((), {
        let application: *mut c_void = eventCb.map_or(ptr::null_mut(), |function| function as *mut c_void);
        CALLBACK.store(application, Ordering::SeqCst);
        if let Some(device) = device() {
            pass_callback_on(device, application);
        }
    })
}

/// An event of the native device to the application, whose function is the `ctx`.
unsafe extern "C" fn forward(ctx: *mut c_void, event: u32, code: i32, value: *mut c_void, length: u32) {
    // SAFETY: `ctx` is NULL or the function that the application gave to Ql_iotConfigSetEventCB.
    let Some(function) = (unsafe { core::mem::transmute::<*mut c_void, EventCb>(ctx) }) else { return };
    // SAFETY: as the application asked.
    let call = |value: *const c_void, length| unsafe { function(event, code, value, length) };
    if event != RECEIVE || value.is_null() {
        return call(value, length);
    }
    // SAFETY: the native event's value, which is this callback's until it returns.
    let bytes = unsafe { core::slice::from_raw_parts_mut(value.cast::<u8>(), length as usize) };
    match code {
        // A list that is read when the application looks at it. It does so through the handle alone.
        VALUES => lists::lend(bytes, |list| call(list, 0)),
        // quint16_t [packet id, id, id ...], and the number of ids.
        WANTED_IDS => {
            let (numbers, _) = bytes.as_chunks_mut::<2>();
            for number in numbers.iter_mut() {
                *number = u16::from_be_bytes(*number).to_ne_bytes();
            }
            call(value, (length / 2).saturating_sub(1));
        }
        _ => call(value, length),
    }
}
