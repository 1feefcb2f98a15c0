//! `Ql_iotConfig*` and the work state.

use core::cell::UnsafeCell;
use core::ffi::c_char;
use core::ptr;
use core::sync::atomic::{AtomicU8, Ordering};

use quecota_core::agent::{CallError, Mode};
use quecota_core::limits;
use quecota_core::platform::Level;

use super::codes::{QIot_connMode_e, QIot_protocolType_t, QIot_protocolType_t_values, QIot_state_e};
use super::hand_out::hand_out;
use super::slot::device;
use super::types::{FALSE, TRUE, qbool, quint8_t, quint32_t};
use crate::native::{Error, Given};

/// Longest device key that an application may set (QUECTHING.md 1.2).
const OWN_DEVICE_KEY: usize = 16;
/// MQTT authentication version that Ql_iotConfigGetProductinfo tells.
const AUTH_VERSION: &str = "3";
/// PDP contexts that may be chosen.
const PDP_CONTEXTS: core::ops::RangeInclusive<u8> = 1..=15;

/// The chosen PDP context. It means nothing to this library; ports with several may ask for it.
static PDP_CONTEXT: AtomicU8 = AtomicU8::new(1);

fn accepted(result: Result<Result<(), CallError>, Error>) -> qbool {
    match result {
        Ok(Ok(())) => TRUE,
        _ => FALSE,
    }
}

/// A string that applications see: a copy with its NUL, rewritten only when it changes, because they read it without
/// a lock (QUECTHING.md 1.5).
struct Shown<const N: usize>(UnsafeCell<[u8; N]>);

// SAFETY: written only with the device's lock held; applications read it as the vendor's API has it.
unsafe impl<const N: usize> Sync for Shown<N> {}

impl<const N: usize> Shown<N> {
    const fn new() -> Self {
        Shown(UnsafeCell::new([0; N]))
    }

    /// Where applications find `text` now. Called with the device's lock held.
    fn show(&self, text: &str) -> *mut c_char {
        let place = self.0.get().cast::<u8>();
        let bytes = text.as_bytes().iter().take(N.saturating_sub(1)).chain(core::iter::once(&0));
        for (index, byte) in bytes.enumerate() {
            // SAFETY: at most N - 1 bytes and the NUL; volatile, as others may be reading.
            unsafe {
                let to = place.add(index);
                if to.read_volatile() != *byte {
                    to.write_volatile(*byte);
                }
            }
        }
        place.cast()
    }
}

static PRODUCT_KEY: Shown<{ limits::PRODUCT_KEY + 1 }> = Shown::new();
static PRODUCT_SECRET: Shown<{ limits::PRODUCT_SECRET + 1 }> = Shown::new();
static AUTH_VERSION_SHOWN: Shown<2> = Shown::new();
static SERVER: Shown<{ limits::SERVER_URL + 1 }> = Shown::new();
static SOFT_VERSION: Shown<{ 2 * limits::VERSION + 1 }> = Shown::new();
static MCU_LIST: Shown<{ limits::MCU_LIST + 1 }> = Shown::new();
static DEVICE_KEY: Shown<{ limits::DEVICE_KEY + 1 }> = Shown::new();
static DEVICE_SECRET: Shown<{ limits::DEVICE_SECRET + 1 }> = Shown::new();

/// IDLE disconnects, REQ connects. TRUE without effect when it is the mode already; FALSE for AUTO and others, and for
/// REQ without product key, product secret or server.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetConnmode(mode: QIot_connMode_e) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetConnmode",
        Given::Number(mode),
        "must be 0 (idle) or 1 (connect); 1 needs Ql_iotConfigSetProductinfo() before, and Ql_iotConfigSetServer() unless there is a default server",
        {
            let Some(device) = device() else { return FALSE };
            let mode = match mode {
                0 => Mode::Idle,
                1 => Mode::Request,
                _ => return FALSE,
            };
            accepted(device.tell(|agent, platform| agent.set_mode(platform, mode)))
        }
    )
}

/// The mode that was set.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigGetConnmode() -> QIot_connMode_e {
    boundary!(0, {
        let Some(device) = device() else { return 0 };
        device.ask(|agent, _| agent.mode() as QIot_connMode_e).unwrap_or(0)
    })
}

/// Product key and secret. FALSE unless idle, and for NULL or empty strings. Strings of more than 32 characters: TRUE,
/// but nothing is set. A change forgets the device secret.
///
/// # Safety
/// The pointers are NULL or NUL-terminated strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigSetProductinfo(pk: *const c_char, ps: *const c_char) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetProductinfo",
        Given::Text(pk),
        "key and secret must be UTF-8 and not empty; only while the mode is idle",
        {
            let Some(device) = device() else { return FALSE };
            let (key, secret) = (string!(pk, else FALSE), string!(ps, else FALSE));
            let result = device.tell(|agent, platform| {
                let too_long = key.len() > limits::PRODUCT_KEY || secret.len() > limits::PRODUCT_SECRET;
                if too_long && !key.is_empty() && !secret.is_empty() && agent.mode() == Mode::Idle {
                    platform.log(
                        Level::Warn,
                        "Ql_iotConfigSetProductinfo: at most 32 characters each; nothing was set",
                    );
                    return Ok(());
                }
                agent.set_product(platform, key, secret)
            });
            accepted(result)
        }
    )
}

/// Where product key, secret and the version of the authentication are found; NULL places are left out. FALSE and
/// NULL pointers before Ql_iotInit.
///
/// # Safety
/// The pointers are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetProductinfo(
    pk: *mut *mut c_char,
    ps: *mut *mut c_char,
    ver: *mut *mut c_char,
) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigGetProductinfo",
        Given::Nothing,
        "the device is in use by the platform or belongs to another process",
        {
            let shown = device().and_then(|device| {
                device
                    .ask(|agent, _| {
                        let (key, secret) = agent.product();
                        (
                            PRODUCT_KEY.show(key),
                            PRODUCT_SECRET.show(secret),
                            AUTH_VERSION_SHOWN.show(AUTH_VERSION),
                        )
                    })
                    .ok()
            });
            let (key, secret, version) = shown.unwrap_or((ptr::null_mut(), ptr::null_mut(), ptr::null_mut()));
            // SAFETY: the application's places.
            unsafe {
                hand_out(pk, key);
                hand_out(ps, secret);
                hand_out(ver, version);
            }
            qbool::from(shown.is_some())
        }
    )
}

/// The platform's address, below 64 characters; MQTT only; FALSE unless idle. A change forgets the device secret. The
/// old HTTP addresses of the vendor's platform become its MQTT ones.
///
/// # Safety
/// `server_url` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigSetServer(
    r#type: QIot_protocolType_t,
    server_url: *const c_char,
) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetServer",
        Given::Text(server_url),
        "type must be QIOT_PPROTOCOL_MQTT, url mqtt://host:port or mqtts://host:port below 64 characters; only while the mode is idle",
        {
            let Some(device) = device() else { return FALSE };
            let url = match string!(server_url, else FALSE) {
                "iot-south.quectel.com:2883" | "http://iot-south.quectel.com:2883" => {
                    "mqtt://iot-south.quectel.com:1883"
                }
                "https://iot-south.quectel.com:2884" => "mqtts://iot-south.quectel.com:8883",
                url => url,
            };
            if r#type != QIot_protocolType_t_values::QIOT_PPROTOCOL_MQTT as QIot_protocolType_t
                || url.len() >= limits::SERVER_URL
            {
                return FALSE;
            }
            accepted(device.tell(|agent, platform| agent.set_server(platform, url)))
        }
    )
}

/// Where the protocol and the address in force are found; NULL places are left out.
///
/// # Safety
/// The pointers are NULL or places for what they point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetServer(
    r#type: *mut QIot_protocolType_t,
    server_url: *mut *mut c_char,
) {
    boundary!((), {
        let shown = device().and_then(|device| device.ask(|agent, _| SERVER.show(agent.server())).ok());
        // SAFETY: the application's places.
        unsafe {
            hand_out(r#type, QIot_protocolType_t_values::QIOT_PPROTOCOL_MQTT as QIot_protocolType_t);
            hand_out(server_url, shown.unwrap_or(ptr::null_mut()));
        }
    })
}

/// Keep-alive, 1..65535 s; FALSE unless idle. (The wire has 21 s at least.)
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetLifetime(lifetime: quint32_t) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetLifetime",
        Given::Count(lifetime),
        "must be 1 to 65535 seconds; only while the mode is idle",
        {
            let Some(device) = device() else { return FALSE };
            let Ok(seconds) = u16::try_from(lifetime) else { return FALSE };
            accepted(device.ask(|agent, _| agent.set_lifetime(seconds)))
        }
    )
}

/// The keep-alive that was set, in seconds.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigGetLifetime() -> quint32_t {
    boundary!(0, {
        let Some(device) = device() else { return 0 };
        device.ask(|agent, _| agent.lifetime().into()).unwrap_or(0)
    })
}

/// The PDP context, 1..15; FALSE unless idle. Kept for ports that have several; this library itself has no use for it.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetPdpContextId(contextID: quint8_t) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetPdpContextId",
        Given::Count(contextID.into()),
        "must be 1 to 15; only while the mode is idle",
        {
            let Some(device) = device() else { return FALSE };
            let set = device.ask(|agent, _| {
                let allowed = agent.mode() == Mode::Idle && PDP_CONTEXTS.contains(&contextID);
                if allowed {
                    PDP_CONTEXT.store(contextID, Ordering::Relaxed);
                }
                allowed
            });
            qbool::from(set.unwrap_or(false))
        }
    )
}

/// The PDP context; 1 unless it was set.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigGetPdpContextId() -> quint8_t {
    boundary!(0, { PDP_CONTEXT.load(Ordering::Relaxed) })
}

/// Whether payloads are to be encrypted; FALSE unless idle.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetSessionFlag(flag: qbool) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetSessionFlag",
        Given::Count(flag.into()),
        "only while the mode is idle",
        {
            let Some(device) = device() else { return FALSE };
            accepted(device.ask(|agent, _| agent.set_session_encryption(flag != FALSE)))
        }
    )
}

/// Whether payloads are to be encrypted.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigGetSessionFlag() -> qbool {
    boundary!(FALSE, {
        let Some(device) = device() else { return FALSE };
        qbool::from(device.ask(|agent, _| agent.session_encryption()).unwrap_or(false))
    })
}

/// Text behind the module's firmware version, without a separator; NULL: none any more.
///
/// # Safety
/// `appVer` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigSetAppVersion(appVer: *const c_char) -> qbool {
    iot_call!(FALSE, "Ql_iotConfigSetAppVersion", Given::Text(appVer), "must be UTF-8 of at most 64 bytes", {
        let Some(device) = device() else { return FALSE };
        let version = optional_string!(appVer, else FALSE);
        accepted(device.tell(|agent, _| agent.set_app_version(version)))
    })
}

/// The software version: the module's with the application's behind it. NULL before Ql_iotInit.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigGetSoftVersion() -> *mut c_char {
    boundary!(ptr::null_mut(), {
        let Some(device) = device() else { return ptr::null_mut() };
        device.ask(|agent, _| SOFT_VERSION.show(agent.software_version())).unwrap_or(ptr::null_mut())
    })
}

/// The version of an MCU component (1..32 characters): 0..64 characters, an empty one deletes the component. During an
/// upgrade of that component it decides whether that succeeded.
///
/// # Safety
/// The pointers are NULL or NUL-terminated strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigSetMcuVersion(compno: *const c_char, version: *const c_char) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetMcuVersion",
        Given::Text(compno),
        "component 1 to 32 bytes without ; and :, version at most 64 without ;, all components 512 at most",
        {
            let Some(device) = device() else { return FALSE };
            let (component, version) = (string!(compno, else FALSE), string!(version, else FALSE));
            accepted(device.tell(|agent, platform| agent.set_mcu_version(platform, component, version)))
        }
    )
}

/// Where the version of a component is found, and its length: no NUL ends it. `compno` NULL: the whole list,
/// `name:version;name:version`, and its length. An unknown component: (quint32_t)-1. `version` NULL: 0.
///
/// # Safety
/// `compno` is NULL or a NUL-terminated string, `version` NULL or a place for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetMcuVersion(
    compno: *const c_char,
    version: *mut *mut c_char,
) -> quint32_t {
    boundary!(0, {
        const UNKNOWN: quint32_t = quint32_t::MAX;
        if version.is_null() {
            return iot_call!(
                0,
                "Ql_iotConfigGetMcuVersion",
                Given::Text(compno),
                "version must not be NULL",
                { 0 }
            );
        }
        iot_call!(UNKNOWN, "Ql_iotConfigGetMcuVersion", Given::Text(compno), "the component is not known", {
            let component = optional_string!(compno, else UNKNOWN);
            let found = device().and_then(|device| {
                device
                    .ask(|agent, _| {
                        let list = agent.mcu_list();
                        let (start, length) = match component {
                            None => (0, list.len()),
                            Some(component) => {
                                // The agent's answer is a part of its list: the same part of the list that is shown.
                                let version = agent.mcu_version(component)?;
                                let start = version.as_ptr().addr().checked_sub(list.as_ptr().addr())?;
                                (Some(start).filter(|start| *start <= list.len())?, version.len())
                            }
                        };
                        // SAFETY: `start` is inside the list, which was shown whole.
                        Some((unsafe { MCU_LIST.show(list).add(start) }, length))
                    })
                    .ok()
                    .flatten()
            });
            let Some((place, length)) = found else { return UNKNOWN };
            // SAFETY: not NULL; the application's place.
            unsafe { version.write(place) };
            quint32_t::try_from(length).unwrap_or(UNKNOWN)
        })
    })
}

/// The state of the session; UNINITIALIZE before Ql_iotInit.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotGetWorkState() -> QIot_state_e {
    boundary!(0, {
        let Some(device) = device() else { return 0 };
        device.ask(|agent, _| agent.work_state() as QIot_state_e).unwrap_or(0)
    })
}

/// A device key of the application's own (at most 16 letters and digits) and its secret (at most 32). An empty key:
/// the hardware id again. FALSE for the hardware id itself, and unless idle.
///
/// # Safety
/// The pointers are NULL or NUL-terminated strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigSetDkDs(dk: *const c_char, ds: *const c_char) -> qbool {
    iot_call!(
        FALSE,
        "Ql_iotConfigSetDkDs",
        Given::Text(dk),
        "key at most 16 letters and digits and not the hardware id, secret at most 32; only while the mode is idle",
        {
            let Some(device) = device() else { return FALSE };
            let key = string!(dk, else FALSE);
            let secret = optional_string!(ds, else FALSE).unwrap_or("");
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if key.len() > OWN_DEVICE_KEY
                || secret.len() > limits::DEVICE_SECRET
                || !plain(key)
                || !plain(secret)
            {
                return FALSE;
            }
            let result = device.tell(|agent, platform| {
                if !key.is_empty() && key == platform.device_key() {
                    return Err(CallError::Value);
                }
                agent.set_device(platform, key, secret)
            });
            accepted(result)
        }
    )
}

/// Where device key and secret in force are found; NULL places are left out.
///
/// # Safety
/// The pointers are NULL or places for a pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetDkDs(dk: *mut *mut c_char, ds: *mut *mut c_char) -> qbool {
    boundary!(FALSE, {
        let shown = device().and_then(|device| {
            device
                .ask(|agent, _| {
                    let (key, secret) = agent.device();
                    (DEVICE_KEY.show(key), DEVICE_SECRET.show(secret))
                })
                .ok()
        });
        let (key, secret) = shown.unwrap_or((ptr::null_mut(), ptr::null_mut()));
        // SAFETY: the application's places.
        unsafe {
            hand_out(dk, key);
            hand_out(ds, secret);
        }
        qbool::from(shown.is_some())
    })
}
