//! One line in the log, level warn, for each call that is refused: the call, its value and the rule.
//!
//! A call from inside a function of the platform leaves none, because the platform is in use; neither does
//! QUECOTA_ERROR_BUSY, which only asks to come again. Where there is no device, before quecota_init() and with
//! quecota_http_begin(), _target() and _request(), the Linux platform writes the line to stderr, and a port none.

use core::ffi::c_char;

use quecota_core::platform::Level;
use quecota_core::text::Text;

use super::device::{Device, live};
use super::error::{Error, error_words, quecota_error_t};
use super::handle::quecota_t;
use crate::boundary;

/// Room for a line.
const LINE: usize = 256;
/// Most bytes of a value that are shown.
const SHOWN: usize = 48;

/// An export, as the line of a refusal names it.
pub struct CallRule {
    /// Its name behind `quecota_`.
    pub name: &'static str,
    /// What is right for its value; empty where the text of the error says it.
    pub rule: &'static str,
}

/// The value of a call that a line shows. Never a secret.
#[derive(Clone, Copy)]
pub enum Given {
    /// It has none, or only secrets and addresses.
    Nothing,
    /// A number.
    Number(i32),
    /// A number that is never negative.
    Count(u32),
    /// A string of the C caller, or NULL. Of an address only what stands behind `user:password@`.
    Text(*const c_char),
}

/// As [`boundary!`], for a call of the drop-in API that is refused by returning `$refusal`.
macro_rules! iot_call {
    ($refusal:expr, $name:literal, $given:expr, $rule:literal, $body:block) => {{
        let given = $given;
        let answer = $crate::boundary::contain($refusal, || $body);
        if answer == $refusal {
            // SAFETY: the C caller's promise about the string, as in the body.
            unsafe { $crate::native::drop_in_refused(device(), $name, given, $rule) };
        }
        answer
    }};
}

/// The line of a call of the native API that returned `code`.
///
/// # Safety
/// `device` is NULL or memory of a device, and `given` a string with its NUL.
pub unsafe fn native_refused(device: *const quecota_t, call: &CallRule, given: Given, code: quecota_error_t) {
    const SILENT: [i32; 3] = [0, Error::QUECOTA_ERROR_BUSY as i32, Error::QUECOTA_ERROR_REENTRY as i32];
    if !cfg!(feature = "texts") || SILENT.contains(&code) {
        return;
    }
    // SAFETY: the caller's promise.
    let device = unsafe { live(device) };
    let is_of_value = code == Error::QUECOTA_ERROR_VALUE as i32 || code == Error::QUECOTA_ERROR_RANGE as i32;
    let why = if is_of_value && !call.rule.is_empty() { call.rule } else { error_words(code) };
    // SAFETY: the caller's promise.
    let given = unsafe { shown(given) };
    refused(device, &["quecota_", call.name], &given, why);
}

/// The line of a call of the drop-in API that was refused.
///
/// # Safety
/// `given` is a string with its NUL.
pub unsafe fn drop_in_refused(device: Option<&Device>, call: &str, given: Given, rule: &str) {
    let why = if device.is_some() { rule } else { "Ql_iotInit() has not returned TRUE" };
    // SAFETY: the caller's promise.
    let given = unsafe { shown(given) };
    refused(device, &[call], &given, why);
}

/// The line of a call that was refused; `given` is no secret.
pub fn refused(device: Option<&Device>, call: &[&str], given: &str, why: &str) {
    boundary::contain((), || write(device, call, given, why));
}

/// # Safety
/// The string ends with its NUL.
unsafe fn shown(given: Given) -> Text<SHOWN> {
    let mut shown = Text::new();
    let whole = match given {
        Given::Nothing => "",
        Given::Number(number) => return in_decimal(number.into()),
        Given::Count(number) => return in_decimal(number.into()),
        Given::Text(text) if text.is_null() => "NULL",
        // SAFETY: not NULL; the caller's promise.
        Given::Text(text) => unsafe { boundary::string(text) }.unwrap_or("not UTF-8, or too long"),
    };
    // By bytes: the searches of `str` may panic as far as a linker can see.
    let start = whole.bytes().rposition(|byte| byte == b'@').map_or(0, |at| at.saturating_add(1));
    let whole = whole.get(start..).unwrap_or_default();
    // One line: what follows a control character is left out, and what does not fit.
    let end = whole.bytes().position(|byte| byte.is_ascii_control()).unwrap_or(whole.len());
    let fitting = (0..=end.min(SHOWN)).rev().find_map(|end| whole.get(..end));
    let _ = shown.push(fitting.unwrap_or_default());
    shown
}

/// A line of a drop-in call that was refused before there is a device.
#[cfg(feature = "host")]
pub fn before_init(call: &str, why: &str) {
    write(None, &[call], "", why);
}

fn in_decimal(number: i64) -> Text<SHOWN> {
    let mut shown = Text::new();
    // Twenty digits fit.
    let _ = shown.push_number(number);
    shown
}

fn write(device: Option<&Device>, call: &[&str], given: &str, why: &str) {
    let mut line = Text::<LINE>::new();
    // Names and rules are ours, and fit.
    let _ = line.push_all(call);
    let _ = line.push_all(&["(", given, ") is refused: ", why]);
    let logged =
        device.is_some_and(|device| device.enter(|_, platform| platform.log(Level::Warn, &line)).is_ok());
    #[cfg(feature = "host")]
    if !logged {
        crate::host::log::without_device(&line);
    }
    #[cfg(not(feature = "host"))]
    let _ = logged;
}
