//! Configuration and state of the session, and the log.

use core::ffi::c_char;

use quecota_core::agent::Mode;
use quecota_core::platform::Level;
use quecota_core::wire::credential::PRODUCT_SECRET_MIN;

use super::call::asked;
use super::device::Device;
use super::error::{
    Error, QUECOTA_ERROR_NULL, QUECOTA_ERROR_ROOM, QUECOTA_ERROR_UNKNOWN, QUECOTA_ERROR_VALUE,
    quecota_error_t,
};
use super::handle::quecota_t;
use super::refusal::Given;
use super::table::quecota_level_t;

/// Connection mode.
pub type quecota_mode_t = i32;

/// Values of quecota_mode_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_mode_values {
    /// Disconnect and stay disconnected.
    QUECOTA_MODE_IDLE = 0,
    /// Connect and stay connected.
    QUECOTA_MODE_REQUEST = 1,
}

/// State of the session with the platform.
pub type quecota_work_state_t = i32;

/// Values of quecota_work_state_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum quecota_work_state_values {
    QUECOTA_STATE_UNINITIALIZED = 0,
    QUECOTA_STATE_INITIALIZED = 1,
    QUECOTA_STATE_AUTHENTICATING = 2,
    QUECOTA_STATE_AUTHENTICATED = 3,
    QUECOTA_STATE_AUTHENTICATE_FAILED = 4,
    QUECOTA_STATE_CONNECTING = 5,
    QUECOTA_STATE_CONNECTED = 6,
    QUECOTA_STATE_CONNECT_FAILED = 7,
    /// Online: reports and requests go through.
    QUECOTA_STATE_SUBSCRIBED = 8,
    QUECOTA_STATE_SUBSCRIBE_FAILED = 9,
    QUECOTA_STATE_DISCONNECTING = 10,
    QUECOTA_STATE_DISCONNECTED = 11,
    QUECOTA_STATE_DISCONNECT_FAILED = 12,
}

/// Product key of 1..32 characters and secret of 16..32; idle only; kept in the journal. A change forgets the device secret.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_product(
    device: *mut quecota_t,
    key: *const c_char,
    secret: *const c_char,
) -> quecota_error_t {
    native_call!(tell device, "set_product", Given::Text(key), "the key must have 1 to 32 characters, the secret 16 to 32, both UTF-8", move |agent, platform| {
        let (key, secret) = (text!(key)?, text!(secret)?);
        if agent.mode() == Mode::Idle && secret.len() < PRODUCT_SECRET_MIN {
            return Err(QUECOTA_ERROR_VALUE);
        }
        Ok(agent.set_product(platform, key, secret)?)
    })
}

/// `mqtt://host:port`, `mqtts://host:port` or `host:port`, below 64 characters; idle only; kept in the journal. A
/// change forgets the device secret.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_server(device: *mut quecota_t, url: *const c_char) -> quecota_error_t {
    native_call!(tell device, "set_server", Given::Text(url), "must be mqtt://host:port, mqtts://host:port or host:port, below 64 characters", move |agent, platform| {
        Ok(agent.set_server(platform, text!(url)?)?)
    })
}

/// The application's own device key (1..16 letters and digits) and secret; idle only; kept in the journal. NULL or empty key: the hardware id again.
/// NULL or empty secret: the platform gives one.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_device(
    device: *mut quecota_t,
    key: *const c_char,
    secret: *const c_char,
) -> quecota_error_t {
    native_call!(tell device, "set_device", Given::Text(key), "the key must have 1 to 16 letters and digits and not be the hardware id (NULL for that); the secret at most 32 letters and digits", move |agent, platform| {
        Ok(agent.set_device(platform, text_or_empty!(key)?, text_or_empty!(secret)?)?)
    })
}

/// MQTT user name, for brokers that demand one. NULL or empty, the default: none.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_user_name(
    device: *mut quecota_t,
    name: *const c_char,
) -> quecota_error_t {
    native_call!(ask device, "set_user_name", Given::Text(name), "must be UTF-8 of at most 64 bytes", move |agent, _| {
        Ok(agent.set_user_name(text_or_empty!(name)?)?)
    })
}

/// Keep-alive in seconds, not 0; idle only; 120 by default.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_lifetime(device: *mut quecota_t, seconds: u16) -> quecota_error_t {
    native_call!(ask device, "set_lifetime", Given::Number(seconds.into()), "must be 1 to 65535 seconds", move |agent, _| {
        Ok(agent.set_lifetime(seconds)?)
    })
}

/// Whether payloads are encrypted (`wanted` is not 0); idle only; not by default.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_session_encryption(
    device: *mut quecota_t,
    wanted: i32,
) -> quecota_error_t {
    native_call!(ask device, "set_session_encryption", Given::Number(wanted), "", move |agent, _| {
        Ok(agent.set_session_encryption(wanted != 0)?)
    })
}

/// Text that is appended to the module's version as it is reported. NULL or empty: none.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_app_version(
    device: *mut quecota_t,
    version: *const c_char,
) -> quecota_error_t {
    native_call!(tell device, "set_app_version", Given::Text(version), "must be UTF-8 of at most 64 bytes", move |agent, _| {
        Ok(agent.set_app_version(Some(text_or_empty!(version)?))?)
    })
}

/// The version that an MCU component runs, at most 64 characters; NULL or empty: there is no such component. During an
/// upgrade of that component the target version means success, the version before changes nothing, and any other means
/// failure.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_mcu_version(
    device: *mut quecota_t,
    component: *const c_char,
    version: *const c_char,
) -> quecota_error_t {
    native_call!(tell device, "set_mcu_version", Given::Text(component), "component 1 to 32 bytes without ; and :, version at most 64 without ;, all components 512 at most", move |agent, platform| {
        Ok(agent.set_mcu_version(platform, text!(component)?, text_or_empty!(version)?)?)
    })
}

/// Copies the version of an MCU component with its NUL to `version`; `component` NULL: all of them, as `a:1;b:2`.
/// QUECOTA_ERROR_UNKNOWN: no such component. QUECOTA_ERROR_ROOM: `size` is too small (512 is enough for all).
///
/// # Safety
/// As quecota_start(); `version` points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_get_mcu_version(
    device: *mut quecota_t,
    component: *const c_char,
    version: *mut c_char,
    size: u32,
) -> quecota_error_t {
    native_call!(ask device, "get_mcu_version", Given::Text(component), "the component must be UTF-8 of at most 2048 bytes", move |agent, _| {
        let room = bytes_mut!(version, size, else Err(QUECOTA_ERROR_NULL));
        let version = if component.is_null() {
            agent.mcu_list()
        } else {
            agent.mcu_version(text!(component)?).ok_or(QUECOTA_ERROR_UNKNOWN)?
        };
        fill(room, version)
    })
}

/// 1..=16 letters and digits (QUECTHING.md 1.2). The hardware id is the port's and may be anything.
fn is_device_key(key: &str) -> bool {
    (1..=16).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Copies `text` and a NUL, or nothing.
fn fill(room: &mut [u8], text: &str) -> Result<(), Error> {
    if room.len() <= text.len() {
        return Err(QUECOTA_ERROR_ROOM);
    }
    let with_nul = text.as_bytes().iter().chain(core::iter::once(&0));
    room.iter_mut().zip(with_nul).for_each(|(to, from)| *to = *from);
    Ok(())
}

/// Connects (and stays connected) or disconnects. The same mode again does nothing. QUECOTA_ERROR_VALUE also when neither
/// the application nor the platform has given a device key of 1..16 letters and digits.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_mode(device: *mut quecota_t, mode: quecota_mode_t) -> quecota_error_t {
    native_call!(tell device, "set_mode", Given::Number(mode), "must be QUECOTA_MODE_IDLE or, with a device key of 1 to 16 letters and digits, QUECOTA_MODE_REQUEST", move |agent, platform| {
        let mode = match mode {
            0 => Mode::Idle,
            1 if is_device_key(agent.device().0) => Mode::Request,
            _ => return Err(QUECOTA_ERROR_VALUE),
        };
        Ok(agent.set_mode(platform, mode)?)
    })
}

/// The mode that was set; QUECOTA_MODE_IDLE also for a device that is NULL or not started.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_get_mode(device: *mut quecota_t) -> quecota_mode_t {
    boundary!(0, {
        // SAFETY: the C caller's promise about the handle.
        unsafe { asked(device, 0, |agent| agent.mode() as quecota_mode_t) }
    })
}

/// The state of the session; QUECOTA_STATE_UNINITIALIZED for a device that is NULL or not started.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_get_work_state(device: *mut quecota_t) -> quecota_work_state_t {
    boundary!(0, {
        // SAFETY: the C caller's promise about the handle.
        unsafe { asked(device, 0, |agent| agent.work_state() as quecota_work_state_t) }
    })
}

/// Writes one line to the platform's log, as the library does.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_log(
    device: *mut quecota_t,
    level: quecota_level_t,
    line: *const c_char,
) -> quecota_error_t {
    native_call!(Device device, "log", Given::Number(level), "level must be QUECOTA_LEVEL_*, the line UTF-8 of at most 2048 bytes", move |device: &Device| {
        let line = text!(line)?;
        let level = match level {
            1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            4 => Level::Debug,
            _ => return Err(QUECOTA_ERROR_VALUE),
        };
        device.enter(|_, platform| platform.log(level, line))
    })
}
