//! Configuration and state of the session, and the log.

use core::ffi::c_char;

use quecota_core::agent::{CallError, Mode};
use quecota_core::platform::Level;
use quecota_core::wire::credential::PRODUCT_SECRET_MIN;

use super::error::{Error, NULL, QUECOTA_ERROR_ROOM, QUECOTA_ERROR_UNKNOWN, VALUE, code, quecota_error_t};
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
    native_call!(
        device,
        "quecota_set_product",
        Given::Text(key),
        "the key must have 1 to 32 characters, the secret 16 to 32, both UTF-8",
        {
            let device = device!(device, else NULL);
            let key = string!(key, else if key.is_null() { NULL } else { VALUE });
            let secret = string!(secret, else if secret.is_null() { NULL } else { VALUE });
            code(
                device
                    .tell(|agent, platform| {
                        if agent.mode() == Mode::Idle && secret.len() < PRODUCT_SECRET_MIN {
                            return Err(CallError::Value);
                        }
                        agent.set_product(platform, key, secret)
                    })
                    .and_then(|set| Ok(set?)),
            )
        }
    )
}

/// `mqtt://host:port`, `mqtts://host:port` or `host:port`, below 64 characters; idle only; kept in the journal. A
/// change forgets the device secret.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_server(device: *mut quecota_t, url: *const c_char) -> quecota_error_t {
    native_call!(
        device,
        "quecota_set_server",
        Given::Text(url),
        "must be mqtt://host:port, mqtts://host:port or host:port, below 64 characters",
        {
            let device = device!(device, else NULL);
            let url = string!(url, else if url.is_null() { NULL } else { VALUE });
            code(device.tell(|agent, platform| agent.set_server(platform, url)).and_then(|set| Ok(set?)))
        }
    )
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
    native_call!(
        device,
        "quecota_set_device",
        Given::Text(key),
        "the key must have 1 to 16 letters and digits and not be the hardware id (NULL for that); the secret at most 32 letters and digits",
        {
            let device = device!(device, else NULL);
            let key = optional_string!(key, else VALUE).unwrap_or("");
            let secret = optional_string!(secret, else VALUE).unwrap_or("");
            code(
                device
                    .tell(|agent, platform| agent.set_device(platform, key, secret))
                    .and_then(|set| Ok(set?)),
            )
        }
    )
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
    native_call!(device, "quecota_set_user_name", Given::Text(name), "must be UTF-8 of at most 64 bytes", {
        let device = device!(device, else NULL);
        let name = optional_string!(name, else VALUE).unwrap_or("");
        code(device.ask(|agent, _| agent.set_user_name(name)).and_then(|set| Ok(set?)))
    })
}

/// Keep-alive in seconds, not 0; idle only; 120 by default.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_lifetime(device: *mut quecota_t, seconds: u16) -> quecota_error_t {
    native_call!(
        device,
        "quecota_set_lifetime",
        Given::Number(seconds.into()),
        "must be 1 to 65535 seconds",
        {
            let device = device!(device, else NULL);
            code(device.ask(|agent, _| agent.set_lifetime(seconds)).and_then(|set| Ok(set?)))
        }
    )
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
    native_call!(device, "quecota_set_session_encryption", Given::Number(wanted.into()), "", {
        let device = device!(device, else NULL);
        code(device.ask(|agent, _| agent.set_session_encryption(wanted != 0)).and_then(|set| Ok(set?)))
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
    native_call!(
        device,
        "quecota_set_app_version",
        Given::Text(version),
        "must be UTF-8 of at most 64 bytes",
        {
            let device = device!(device, else NULL);
            let version = optional_string!(version, else VALUE);
            code(device.tell(|agent, _| agent.set_app_version(version)).and_then(|set| Ok(set?)))
        }
    )
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
    native_call!(
        device,
        "quecota_set_mcu_version",
        Given::Text(component),
        "component 1 to 32 bytes without ; and :, version at most 64 without ;, all components 512 at most",
        {
            let device = device!(device, else NULL);
            let component = string!(component, else if component.is_null() { NULL } else { VALUE });
            let version = optional_string!(version, else VALUE).unwrap_or("");
            code(
                device
                    .tell(|agent, platform| agent.set_mcu_version(platform, component, version))
                    .and_then(|set| Ok(set?)),
            )
        }
    )
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
    native_call!(
        device,
        "quecota_get_mcu_version",
        Given::Text(component),
        "the component must be UTF-8 of at most 2048 bytes",
        {
            let device = device!(device, else NULL);
            let component = optional_string!(component, else VALUE);
            let room = bytes_mut!(version, size, else NULL);
            code(
                device
                    .ask(|agent, _| {
                        let version = match component {
                            None => agent.mcu_list(),
                            Some(component) => agent.mcu_version(component).ok_or(QUECOTA_ERROR_UNKNOWN)?,
                        };
                        fill(room, version)
                    })
                    .flatten(),
            )
        }
    )
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
    native_call!(
        device,
        "quecota_set_mode",
        Given::Number(mode.into()),
        "must be QUECOTA_MODE_IDLE or, with a device key of 1 to 16 letters and digits, QUECOTA_MODE_REQUEST",
        {
            let device = device!(device, else NULL);
            let mode = match mode {
                0 => Mode::Idle,
                1 => Mode::Request,
                _ => return VALUE,
            };
            code(
                device
                    .tell(|agent, platform| {
                        if mode == Mode::Request && !is_device_key(agent.device().0) {
                            return Err(CallError::Value);
                        }
                        agent.set_mode(platform, mode)
                    })
                    .and_then(|set| Ok(set?)),
            )
        }
    )
}

/// The mode that was set; QUECOTA_MODE_IDLE also for a device that is NULL or not started.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_get_mode(device: *mut quecota_t) -> quecota_mode_t {
    boundary!(0, {
        let device = device!(device, else 0);
        device.ask(|agent, _| agent.mode() as quecota_mode_t).unwrap_or(0)
    })
}

/// The state of the session; QUECOTA_STATE_UNINITIALIZED for a device that is NULL or not started.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_get_work_state(device: *mut quecota_t) -> quecota_work_state_t {
    boundary!(0, {
        let device = device!(device, else 0);
        device.ask(|agent, _| agent.work_state() as quecota_work_state_t).unwrap_or(0)
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
    native_call!(
        device,
        "quecota_log",
        Given::Number(level.into()),
        "level must be QUECOTA_LEVEL_*, the line UTF-8 of at most 2048 bytes",
        {
            let device = device!(device, else NULL);
            let line = string!(line, else if line.is_null() { NULL } else { VALUE });
            let level = match level {
                1 => Level::Error,
                2 => Level::Warn,
                3 => Level::Info,
                4 => Level::Debug,
                _ => return VALUE,
            };
            code(device.enter(|_, platform| platform.log(level, line)))
        }
    )
}
