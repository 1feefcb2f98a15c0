//! Configuration and state of the session, and the log.

use core::ffi::c_char;

use quecota_core::agent::Mode;
use quecota_core::platform::Level;

use super::error::{
    Error, NULL, PANIC, QUECOTA_ERROR_ROOM, QUECOTA_ERROR_UNKNOWN, VALUE, code, quecota_error_t,
};
use super::handle::quecota_t;
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

/// Product key and secret, 1..32 characters each; idle only; kept in the journal. A change forgets the device secret.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_product(
    device: *mut quecota_t,
    key: *const c_char,
    secret: *const c_char,
) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let key = string!(key, else if key.is_null() { NULL } else { VALUE });
        let secret = string!(secret, else if secret.is_null() { NULL } else { VALUE });
        code(device.tell(|agent, platform| agent.set_product(platform, key, secret)).and_then(|set| Ok(set?)))
    })
}

/// `mqtt://host:port`, `mqtts://host:port` or `host:port`, below 64 characters; idle only; kept in the journal. A
/// change forgets the device secret.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_server(device: *mut quecota_t, url: *const c_char) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let url = string!(url, else if url.is_null() { NULL } else { VALUE });
        code(device.tell(|agent, platform| agent.set_server(platform, url)).and_then(|set| Ok(set?)))
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
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let key = optional_string!(key, else VALUE).unwrap_or("");
        let secret = optional_string!(secret, else VALUE).unwrap_or("");
        code(device.tell(|agent, platform| agent.set_device(platform, key, secret)).and_then(|set| Ok(set?)))
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
    boundary!(PANIC, {
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
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.ask(|agent, _| agent.set_lifetime(seconds)).and_then(|set| Ok(set?)))
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
    boundary!(PANIC, {
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
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let version = optional_string!(version, else VALUE);
        code(device.tell(|agent, _| agent.set_app_version(version)).and_then(|set| Ok(set?)))
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
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let component = string!(component, else if component.is_null() { NULL } else { VALUE });
        let version = optional_string!(version, else VALUE).unwrap_or("");
        code(
            device
                .tell(|agent, platform| agent.set_mcu_version(platform, component, version))
                .and_then(|set| Ok(set?)),
        )
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
    boundary!(PANIC, {
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
    })
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

/// Connects (and stays connected) or disconnects. The same mode again does nothing.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_set_mode(device: *mut quecota_t, mode: quecota_mode_t) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let mode = match mode {
            0 => Mode::Idle,
            1 => Mode::Request,
            _ => return VALUE,
        };
        code(device.tell(|agent, platform| agent.set_mode(platform, mode)).and_then(|set| Ok(set?)))
    })
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
    boundary!(PANIC, {
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
    })
}
