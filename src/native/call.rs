//! The way of every export that works on a device: one dispatcher, so that in the image an export is little more than
//! its own work.

use core::ffi::c_char;

use quecota_core::agent::Agent;

use super::closure::Does;
use super::device::{Device, live};
use super::error::{Error, PANIC, QUECOTA_ERROR_NULL, QUECOTA_ERROR_VALUE, code, quecota_error_t};
use super::handle::quecota_t;
use super::provider::Port;
use super::refusal::{CallRule, Given, native_refused};
use crate::boundary;

/// A closure that uses what it is given; `dyn FnMut` has more in its table of functions.
pub trait Uses<T> {
    /// Calls it.
    fn work(&mut self, with: T) -> Result<(), Error>;
}

impl<T, F: FnMut(T) -> Result<(), Error>> Uses<T> for F {
    fn work(&mut self, with: T) -> Result<(), Error> {
        self(with)
    }
}

/// What an export does.
pub enum Work<'w> {
    /// Something without a device.
    Alone(&'w mut dyn Uses<()>),
    /// Uses a device that may not be started, and takes its lock by itself.
    Device(&'w mut dyn for<'d> Uses<&'d Device>),
    /// Uses the agent of a started device.
    Ask(Does<'w, Agent<'static>>),
    /// The same, and the poll is to run soon: what the network brings and the application wants.
    Tell(Does<'w, Agent<'static>>),
}

impl<'w> Work<'w> {
    /// [`Work::Ask`].
    pub fn ask(work: &'w mut impl FnMut(&mut Agent<'static>, &mut Port<'_>) -> Result<(), Error>) -> Self {
        Work::Ask(Does::of(work))
    }

    /// [`Work::Tell`].
    pub fn tell(work: &'w mut impl FnMut(&mut Agent<'static>, &mut Port<'_>) -> Result<(), Error>) -> Self {
        Work::Tell(Does::of(work))
    }
}

/// Does the work of a call. A refusal leaves a line.
///
/// # Safety
/// `device` is NULL or memory of a device, and `given` a string with its NUL.
#[inline(never)]
pub unsafe fn call(
    device: *const quecota_t,
    call: &CallRule,
    given: Given,
    mut work: Work<'_>,
) -> quecota_error_t {
    // SAFETY: the caller's promise.
    let code = boundary::contain(PANIC, || code(unsafe { run(device, &mut work) }));
    // SAFETY: the caller's promise.
    unsafe { native_refused(device, call, given, code) };
    code
}

/// Does the work of a call that says its refusals otherwise.
///
/// # Safety
/// `device` is NULL or memory of a device.
#[inline(never)]
pub unsafe fn run(device: *const quecota_t, work: &mut Work<'_>) -> Result<(), Error> {
    // SAFETY: the caller's promise.
    let device = unsafe { live(device) }.ok_or(QUECOTA_ERROR_NULL);
    match work {
        Work::Alone(work) => work.work(()),
        Work::Device(work) => work.work(device?),
        Work::Ask(work) => device?.use_agent(work),
        Work::Tell(work) => device?.tell_agent(work),
    }
}

/// What the agent of a started device says; `otherwise` where there is none.
///
/// # Safety
/// `device` is NULL or memory of a device.
pub unsafe fn asked<R>(
    device: *const quecota_t,
    otherwise: R,
    mut question: impl FnMut(&Agent<'static>) -> R,
) -> R {
    let mut answer = otherwise;
    let mut work = |agent: &mut Agent<'static>, _: &mut Port<'_>| {
        answer = question(agent);
        Ok(())
    };
    // SAFETY: the caller's promise. Why there is no answer is not asked.
    let _ = unsafe { run(device, &mut Work::ask(&mut work)) };
    answer
}

/// See [`text!`].
///
/// # Safety
/// `text` is NULL or a NUL-terminated string that lives for `'a`.
#[inline(never)]
pub unsafe fn text<'a>(text: *const c_char) -> Result<&'a str, Error> {
    if text.is_null() {
        return Err(QUECOTA_ERROR_NULL);
    }
    // SAFETY: the caller's promise.
    unsafe { boundary::string(text) }.ok_or(QUECOTA_ERROR_VALUE)
}

/// See [`text_or_empty!`].
///
/// # Safety
/// As [`text()`].
#[inline(never)]
pub unsafe fn text_or_empty<'a>(text: *const c_char) -> Result<&'a str, Error> {
    // SAFETY: the caller's promise.
    if text.is_null() { Ok("") } else { unsafe { self::text(text) } }
}

/// As `native_call!`, for a call with an answer of its own, which is `$otherwise` unless the work writes `*$answer`.
macro_rules! answer_call {
    ($answer:ident = $otherwise:expr, $($call:tt)*) => {{
        let mut answer = $otherwise;
        let $answer = &mut answer;
        native_call!($($call)*);
        answer
    }};
}

/// As [`boundary!`], for a call of the native API that returns a quecota_error_t. The word before the device makes
/// the [`Work`]; the name is the one behind `quecota_`. What `clears` points to is 0 unless the call writes to it.
macro_rules! native_call {
    ($way:ident $device:expr, $name:literal, $given:expr, $rule:literal $(clears $out:ident)?, $work:expr) => {{
        static CALL: $crate::native::CallRule = $crate::native::CallRule { name: $name, rule: $rule };
        $(if !$out.is_null() {
            // SAFETY: not NULL; that it may be written is the documented duty of the C caller.
            unsafe { $out.write_bytes(0, 1) };
        })?
        match $crate::native::Work::$way(&mut $work) {
            // SAFETY: the C caller's promise about the handle and the string.
            work => unsafe { $crate::native::call($device, &CALL, $given, work) },
        }
    }};
}
