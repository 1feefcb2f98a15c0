//! `quecota_*`: the native C API.
//!
//! Rules for all of it, which the header repeats: NULL and a device that is not alive are refused with
//! QUECOTA_ERROR_NULL (or the value said with the function); strings are NUL-terminated UTF-8 of at most 2048 bytes
//! and are copied; every function but quecota_init() and quecota_deinit() may be called from any task when the
//! platform has a lock, also from inside an event callback, but not from inside a function of the platform table.

mod device;
mod error;
mod failure;
#[cfg(feature = "host")]
pub mod hosted;
mod http;
mod port;
mod table;

use core::ffi::{c_char, c_void};

use quecota_core::agent::{FetchEnd, FetchHead, Flow, Link, Mode};
use quecota_core::platform::{Level, SendId, System};

pub use device::{Callback, QUECOTA_ALIGN, QUECOTA_SIZE, quecota_t};
pub use error::{Error, code, quecota_error_t, quecota_error_values};
pub use failure::{quecota_failure_t, quecota_failure_values};
pub use http::{QUECOTA_HTTP_SIZE, quecota_http_next_t, quecota_http_next_values, quecota_http_t};
pub use table::{
    QUECOTA_LENGTH_UNKNOWN, QUECOTA_RECEIVE_MIN, QUECOTA_UNKNOWN, quecota_area_id_t, quecota_area_id_values,
    quecota_area_t, quecota_config_t, quecota_connect_t, quecota_dialect_t, quecota_dialect_values,
    quecota_event_cb_t, quecota_level_t, quecota_level_values, quecota_platform_t, quecota_resume_t,
    quecota_resume_values, quecota_staged_file_t, quecota_storage_result_t, quecota_storage_result_values,
    quecota_storage_t, quecota_system_t, quecota_transport_t,
};

use Error::{
    QUECOTA_ERROR_BUSY, QUECOTA_ERROR_NULL, QUECOTA_ERROR_PANIC, QUECOTA_ERROR_ROOM, QUECOTA_ERROR_UNKNOWN,
    QUECOTA_ERROR_VALUE,
};

const NULL: quecota_error_t = QUECOTA_ERROR_NULL as quecota_error_t;
const VALUE: quecota_error_t = QUECOTA_ERROR_VALUE as quecota_error_t;
const PANIC: quecota_error_t = QUECOTA_ERROR_PANIC as quecota_error_t;

/// quecota_poll() when there is nothing to poll: a device that is NULL, not started, or already in a poll.
const NOTHING_TO_POLL: u32 = 1000;

/// What the link did.
pub type quecota_link_t = i32;

/// Values of quecota_link_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_link_values {
    /// CONNACK with code 0.
    QUECOTA_LINK_CONNECTED = 0,
    /// CONNACK with another code: hand it over as `connack`.
    QUECOTA_LINK_REFUSED = 1,
    /// SUBACK that grants the filter.
    QUECOTA_LINK_SUBSCRIBED = 2,
    /// SUBACK that refuses it.
    QUECOTA_LINK_SUBSCRIBE_REFUSED = 3,
    /// No network, no such host, TLS trouble, or the connection closed.
    QUECOTA_LINK_LOST = 4,
}

/// Whether the transport is to go on with a fetch.
pub type quecota_flow_t = i32;

/// Values of quecota_flow_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_flow_values {
    /// Hand over the next bytes.
    QUECOTA_FLOW_CONTINUE = 0,
    /// Drop this fetch; nothing more of it is wanted, not even its end.
    QUECOTA_FLOW_STOP = 1,
}

const STOP: quecota_flow_t = quecota_flow_values::QUECOTA_FLOW_STOP as quecota_flow_t;

fn flow(result: Result<Flow, Error>) -> quecota_flow_t {
    match result {
        Ok(Flow::Continue) => quecota_flow_values::QUECOTA_FLOW_CONTINUE as quecota_flow_t,
        Ok(Flow::Stop) | Err(_) => STOP,
    }
}

/// Connection mode.
pub type quecota_mode_t = i32;

/// Values of quecota_mode_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_mode_values {
    /// Stay away.
    QUECOTA_MODE_IDLE = 0,
    /// Connect and stay connected.
    QUECOTA_MODE_REQUEST = 1,
}

/// Where the session stands.
pub type quecota_work_state_t = i32;

/// Values of quecota_work_state_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum quecota_work_state_values {
    /// Also for a device that is NULL or not started.
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
    /// A business message was sent, or not.
    QUECOTA_EVENT_SEND = 4,
    /// A business message came.
    QUECOTA_EVENT_RECEIVE = 5,
    /// Logged out.
    QUECOTA_EVENT_LOGOUT = 6,
    /// OTA: the code is one of quecota_ota_t.
    QUECOTA_EVENT_OTA = 7,
    /// The platform reports an error: the code.
    QUECOTA_EVENT_SERVER = 8,
}

/// `code` of a QUECOTA_EVENT_OTA.
pub type quecota_ota_t = i32;

/// Values of quecota_ota_t. Texts quote names and give numbers in decimal, separated by commas.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_ota_values {
    /// There is a plan: `"component","source version","target version",battery,signal,space`. Answer with
    /// QUECOTA_ACTION_CONFIRM or QUECOTA_ACTION_REFUSE.
    QUECOTA_OTA_PLAN = 10700,
    /// The download starts: `"component",size,"md5",crc` and, where asked for, `,"sha256"`; no value for a module.
    QUECOTA_OTA_START = 10701,
    /// The download goes on; no value.
    QUECOTA_OTA_DOWNLOADING = 10702,
    /// A piece is staged and can be read: `"component",size,start,length`; no value for a module.
    QUECOTA_OTA_DOWNLOADED = 10703,
    /// The update runs; no value.
    QUECOTA_OTA_UPDATING = 10704,
    /// The component has its target version; no value.
    QUECOTA_OTA_SUCCESS = 10705,
    /// The upgrade failed; no value.
    QUECOTA_OTA_FAILED = 10706,
    /// A plan of several components was answered: `0` refused, `1` confirmed.
    QUECOTA_OTA_ANSWERED = 10707,
}

/// The application's answer to an OTA event.
pub type quecota_action_t = i32;

/// Values of quecota_action_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_action_values {
    /// Refuse the plan.
    QUECOTA_ACTION_REFUSE = 0,
    /// Confirm the plan.
    QUECOTA_ACTION_CONFIRM = 1,
    /// The staged piece was read: fetch the next.
    QUECOTA_ACTION_NEXT = 2,
    /// The last piece was read and the MCU is updating itself.
    QUECOTA_ACTION_UPDATING = 3,
}

/// How far an upgrade is.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct quecota_progress_t {
    /// The state as reported to the platform: 0 no plan, 1 plan received, 2 confirmed, 3 refused, 4 download starts,
    /// 5 downloading, 6 download failed, 8 piece or file staged, 9 updating, 11 success, 12 failed.
    pub state: i32,
    /// Bytes of the file that are downloaded.
    pub received: u32,
    /// Bytes of the file in all; 0 before it is known.
    pub size: u32,
}

/// The version of this library, "major.minor.patch".
#[unsafe(no_mangle)]
pub extern "C" fn quecota_version() -> *const c_char {
    boundary!(core::ptr::null(), { concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast() })
}

/// What a code of quecota_error_t means, in English; never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn quecota_error_text(error: quecota_error_t) -> *const c_char {
    boundary!(core::ptr::null(), { error::text(error).as_ptr() })
}

/// Makes a device in `memory`: `size` bytes (QUECOTA_SIZE), aligned to QUECOTA_ALIGN, which belong to it until
/// quecota_deinit(). `config` and `platform` are copied. On success `*device` is the handle.
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
        write_to!(device, core::ptr::null_mut(), else NULL);
        code(device::place(memory, size).and_then(|place| {
            // SAFETY: the C caller's promise about both structs.
            let (config, table) =
                unsafe { (quecota_config_t::checked(config)?, table::Table::copied(platform)?) };
            // SAFETY: `place` is big and aligned enough, and the C caller lends it and the receive buffer.
            unsafe { quecota_t::init(place, &table, &config) };
            // SAFETY: not NULL, as was checked above.
            unsafe { device.write(place) };
            Ok(())
        }))
    })
}

/// Loads the journal and goes on with what an earlier run left; once, before anything else. At its end the platform's
/// own task begins, where it has one; if that fails: QUECOTA_ERROR_PLATFORM.
///
/// # Safety
/// `device` is NULL or a handle of quecota_init().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_start(device: *mut quecota_t) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.start())
    })
}

/// One step: timers, one message, one report; then events. Returns the milliseconds that may pass before the next
/// call; call it earlier when the platform's wake() was called. From one task only; called anywhere else, or inside an
/// event callback, or for a device that is NULL or not started, it does nothing and returns 1000.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_poll(device: *mut quecota_t) -> u32 {
    boundary!(NOTHING_TO_POLL, {
        let device = device!(device, else NOTHING_TO_POLL);
        device.poll().unwrap_or(NOTHING_TO_POLL)
    })
}

/// Ends a device: stops the platform's task, gives up a fetch, closes the connection. What was stored stays, and a new
/// device goes on from it. Nobody else may be in a call of this device, nor make one later. Inside an event callback:
/// QUECOTA_ERROR_REENTRY.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_deinit(device: *mut quecota_t) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.end())
    })
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
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.set_callback(Callback::set(event, ctx)))
    })
}

// ------------------------------------------------------------------------------------------- from the transport

/// The connection changed. `connack` matters for QUECOTA_LINK_REFUSED only: the CONNACK code, 1..5.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_link(
    device: *mut quecota_t,
    link: quecota_link_t,
    connack: u8,
) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let link = match link {
            0 => Link::Connected,
            1 => Link::Refused(connack),
            2 => Link::Subscribed,
            3 => Link::SubscribeRefused,
            4 => Link::Lost,
            _ => return VALUE,
        };
        code(device.tell(|agent, port| agent.on_link(port, link)))
    })
}

/// A message came. It is copied. QUECOTA_ERROR_BUSY: no room now; poll, then offer it again, and do not acknowledge it
/// before it was taken.
///
/// # Safety
/// As quecota_start(); `payload` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_message(
    device: *mut quecota_t,
    topic: *const c_char,
    payload: *const u8,
    length: u32,
) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let topic = string!(topic, else if topic.is_null() { NULL } else { VALUE });
        let payload = bytes!(payload, length, else NULL);
        code(
            device
                .tell(|agent, port| agent.on_message(port, topic, payload))
                .and_then(|taken| if taken { Ok(()) } else { Err(QUECOTA_ERROR_BUSY) }),
        )
    })
}

/// The publish `id` reached the peer (`delivered` is not 0), or was lost.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_sent(device: *mut quecota_t, id: u16, delivered: i32) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.tell(|agent, port| agent.on_sent(port, SendId(id), delivered != 0)))
    })
}

/// The head of the HTTP answer came: its status, the first byte of the body within the file (Content-Range; 0 when
/// there is none), the length of the body and that of the whole file, each QUECOTA_LENGTH_UNKNOWN when the answer does
/// not tell. A transport does not judge: it hands over every status.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_fetch_begin(
    device: *mut quecota_t,
    status: u16,
    first: u32,
    length: u32,
    total: u32,
) -> quecota_flow_t {
    boundary!(STOP, {
        let device = device!(device, else STOP);
        let known = |length: u32| Some(length).filter(|length| *length != QUECOTA_LENGTH_UNKNOWN);
        let head = FetchHead { status, first, length: known(length), total: known(total) };
        flow(device.tell(|agent, port| agent.on_fetch_begin(port, head)))
    })
}

/// The next bytes of the body, in any portions; written to storage before this returns.
///
/// # Safety
/// As quecota_start(); `data` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_fetch_data(
    device: *mut quecota_t,
    data: *const u8,
    length: u32,
) -> quecota_flow_t {
    boundary!(STOP, {
        let device = device!(device, else STOP);
        let data = bytes!(data, length, else STOP);
        flow(device.tell(|agent, port| agent.on_fetch_data(port, data)))
    })
}

/// The fetch is over. `complete` is not 0: the body came to its end. 0: it could not begin, or broke off.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_fetch_end(device: *mut quecota_t, complete: i32) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let end = if complete == 0 { FetchEnd::Failed } else { FetchEnd::Complete };
        code(device.tell(|agent, port| agent.on_fetch_end(port, end)))
    })
}

// ------------------------------------------------------------------------------------------------- configuration

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
        code(device.tell(|agent, port| agent.set_product(port, key, secret)).and_then(|set| Ok(set?)))
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
        code(device.tell(|agent, port| agent.set_server(port, url)).and_then(|set| Ok(set?)))
    })
}

/// A device key and secret of one's own; idle only; kept in the journal. NULL or empty key: the hardware id again.
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
        code(device.tell(|agent, port| agent.set_device(port, key, secret)).and_then(|set| Ok(set?)))
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
/// upgrade of that component the target version means success; the version that it had, nothing; another one, failure.
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
                .tell(|agent, port| agent.set_mcu_version(port, component, version))
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
        code(device.tell(|agent, port| agent.set_mode(port, mode)).and_then(|set| Ok(set?)))
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

/// Where the session stands.
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
        code(device.enter(|_, port| port.log(level, line)))
    })
}

// ----------------------------------------------------------------------------------------------------------- OTA

/// Asks the platform for an upgrade plan. `want_sha256` is not 0: the SHA-256 of the file is wanted, too.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_request(device: *mut quecota_t, want_sha256: i32) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let mode = u32::from(want_sha256 != 0);
        code(device.tell(|agent, port| agent.request_plan(port, mode)).and_then(|asked| Ok(asked?)))
    })
}

/// Answers an OTA event; welcome inside the event callback.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_action(
    device: *mut quecota_t,
    action: quecota_action_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        let Ok(action) = u8::try_from(action) else { return VALUE };
        code(device.tell(|agent, port| agent.ota_action(port, action)).and_then(|taken| Ok(taken?)))
    })
}

/// Reads from the staged piece: up to `size` bytes from `offset`, which counts from the start of the whole file.
/// `*read` is how many there were, at least 1 on success; 0 otherwise.
///
/// # Safety
/// As quecota_start(); `data` points to `size` bytes, `read` to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_read(
    device: *mut quecota_t,
    offset: u32,
    data: *mut u8,
    size: u32,
    read: *mut u32,
) -> quecota_error_t {
    boundary!(PANIC, {
        write_to!(read, 0, else NULL);
        let device = device!(device, else NULL);
        let room = bytes_mut!(data, size, else NULL);
        if room.is_empty() {
            return VALUE;
        }
        code(device.tell(|agent, port| agent.read(port, offset, room)).and_then(|count| {
            let count = u32::try_from(count?).unwrap_or(u32::MAX);
            // SAFETY: not NULL, as was checked above.
            unsafe { read.write(count) };
            Ok(())
        }))
    })
}

/// The application's own mark: it says that the bytes before `offset` of the present MCU image are in its flash and
/// stay there when power goes. On QUECOTA_OK the mark is in the journal. After a reboot the download goes on there, and
/// the first QUECOTA_OTA_DOWNLOADED begins there, even if the staging area holds only pieces of the image: what was
/// staged behind the mark is not fetched again, what was not yet is at most 16 KB of it (an erase block of the image
/// area, if that is larger).
///
/// `offset` counts from the start of the whole file. Where a piece is staged (state 8): from the start that
/// QUECOTA_OTA_DOWNLOADED named to the end of that piece; until the next one: the end of the piece before it. 0 takes
/// the mark back; before the download begins (states 1 and 2) the image then begins again at its first byte.
///
/// A mark holds for one image: component, target version, size and digests. For any other it is void, and so it is
/// when the digests of the whole image turn out wrong: write where QUECOTA_OTA_DOWNLOADED says, also when that is
/// before the mark. Each call writes some 200 bytes to the journal: once for each 16 KB is a good pace. Counts as a
/// read: the application has 60 s again.
///
/// QUECOTA_ERROR_STATE: no MCU upgrade of which a file is known is in states 1 to 8. QUECOTA_ERROR_RANGE: another
/// offset than said. QUECOTA_ERROR_STORAGE: not in the journal, or the staged bytes cannot be read. Welcome inside the
/// event callback.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_checkpoint(device: *mut quecota_t, offset: u32) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.tell(|agent, port| agent.mark(port, offset)).and_then(|marked| Ok(marked?)))
    })
}

/// The mark in force, to `*offset`: where the application goes on with the present image; 0: at its first byte. After a
/// reboot it is there as soon as quecota_start() returns, and is certain from QUECOTA_OTA_START on, when the image is
/// known to be the same.
///
/// # Safety
/// As quecota_start(); `offset` points to a uint32_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_get_checkpoint(
    device: *mut quecota_t,
    offset: *mut u32,
) -> quecota_error_t {
    boundary!(PANIC, {
        write_to!(offset, 0, else NULL);
        let device = device!(device, else NULL);
        code(device.ask(|agent, _| agent.marked()).map(|marked| {
            // SAFETY: not NULL, as was checked above.
            unsafe { offset.write(marked) };
        }))
    })
}

/// Ends the upgrade, in any state. A plan that was not answered is refused; a later upgrade fails (QUECOTA_OTA_FAILED)
/// with QUECOTA_FAILURE_CANCELLED, and what is staged is void. Of a plan of several components, those that have not begun
/// do not begin. The platform may offer the plan again. QUECOTA_ERROR_STATE: there is no upgrade, or module firmware was
/// handed over already, and the version that runs then decides. Welcome inside the event callback.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_cancel(device: *mut quecota_t) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.tell(|agent, port| agent.cancel(port)).and_then(|taken| Ok(taken?)))
    })
}

/// Now is no time to restart (actuators move, say): verified module firmware is not handed to apply() until
/// quecota_ota_allow_apply(). May be called at any time, best when the movement begins; it holds until then or until the
/// device starts anew. After 45 minutes of waiting (counted from when the firmware would have been handed over) the
/// upgrade fails with QUECOTA_FAILURE_HELD_TOO_LONG, because the platform stops waiting for it, too.
/// QUECOTA_ERROR_STATE: the firmware was handed over already. Welcome inside the event callback.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_hold_apply(device: *mut quecota_t) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.ask(|agent, _| agent.hold_apply()).and_then(|held| Ok(held?)))
    })
}

/// Module firmware may be handed over again: what was held back is before this returns, so the module may restart at
/// any moment from now on. Right at any time.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_allow_apply(device: *mut quecota_t) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.tell(|agent, port| agent.allow_apply(port)))
    })
}

/// The MCU, or the link to it, is slow: the upgrade does not fail for the next `milliseconds`. While a piece is staged
/// (state 8) that is about reading it, which else may pause for 60 s; in all at most 50 minutes for one piece. While the
/// MCU updates (state 9) it is about its new version, which else must be reported within 20 minutes; in all at most 100
/// minutes more. Longer than what would be left anyway: else nothing changes. A platform may give up sooner (the one of
/// this project after 60 minutes in 8 and 30 minutes in 9); a version that is reported later is still seen.
///
/// QUECOTA_ERROR_STATE: no MCU upgrade is in state 8 or 9. QUECOTA_ERROR_RANGE: more than there can be in all; nothing
/// changes. Welcome inside the event callback.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_need_time(device: *mut quecota_t, milliseconds: u32) -> quecota_error_t {
    boundary!(PANIC, {
        let device = device!(device, else NULL);
        code(device.tell(|agent, port| agent.need_time(port, milliseconds)).and_then(|granted| Ok(granted?)))
    })
}

/// How far the upgrade is, to `*progress`.
///
/// # Safety
/// As quecota_start(); `progress` points to a quecota_progress_t.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_ota_progress(
    device: *mut quecota_t,
    progress: *mut quecota_progress_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        write_to!(progress, quecota_progress_t::default(), else NULL);
        let device = device!(device, else NULL);
        code(device.ask(|agent, _| agent.ota_progress()).map(|now| {
            let now =
                quecota_progress_t { state: i32::from(now.state), received: now.received, size: now.size };
            // SAFETY: not NULL, as was checked above.
            unsafe { progress.write(now) };
        }))
    })
}
