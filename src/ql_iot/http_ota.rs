//! HTTP OTA, upgrades without MQTT. Refused: plans come over MQTT alone. The calls of SDK 2.9 and the later ones.
#![allow(unused_variables)] // the header shows the parameters' names

use core::ffi::{c_char, c_void};
use core::ptr::null_mut;

use super::hand_out::hand_out;
use super::refusal::refuse;
use super::types::{FALSE, qbool, qint32_t, quint8_t, quint32_t};

const WHY: &str = "upgrades by HTTP alone are not served; plans come over MQTT";

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotHttpOtaReq(
    battery: quint8_t,
    upmode: quint8_t,
    pk: *const c_char,
    ps: *const c_char,
    url: *const c_char,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotHttpOtaReq", WHY, FALSE) })
}

/// Gives zeros and NULL pointers: nothing is configured.
///
/// # Safety
/// The pointers are NULL or places for what they point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotHttpOtaGet(
    battery: *mut quint8_t,
    upmode: *mut quint8_t,
    pk: *mut *mut c_char,
    ps: *mut *mut c_char,
    url: *mut *mut c_char,
) {
    boundary!((), {
        // SAFETY: the application's places.
        unsafe {
            hand_out(battery, 0);
            hand_out(upmode, 0);
            hand_out(pk, null_mut());
            hand_out(ps, null_mut());
            hand_out(url, null_mut());
        }
        refuse("Ql_iotHttpOtaGet", WHY, ())
    })
}

/// Has no effect: no event of an HTTP OTA comes.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotHttpOtaSetEventCb(
    eventCb: Option<
        unsafe extern "C" fn(event: quint32_t, errcode: qint32_t, value: *const c_void, valLen: quint32_t),
    >,
) {
    boundary!((), { refuse("Ql_iotHttpOtaSetEventCb", WHY, ()) })
}

/// Has no effect: no event of an HTTP OTA comes.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetHttpOtaEventCb(
    eventCb: Option<
        unsafe extern "C" fn(event: quint32_t, errcode: qint32_t, value: *const c_void, valLen: quint32_t),
    >,
) {
    boundary!((), { refuse("Ql_iotConfigSetHttpOtaEventCb", WHY, ()) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetHttpOtaProductInfo(pk: *const c_char, ps: *const c_char) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotConfigSetHttpOtaProductInfo", WHY, FALSE) })
}

/// Gives NULL pointers.
///
/// # Safety
/// The pointers are NULL or places for what they point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetHttpOtaProductInfo(pk: *mut *mut c_char, ps: *mut *mut c_char) {
    boundary!((), {
        // SAFETY: the application's places.
        unsafe {
            hand_out(pk, null_mut());
            hand_out(ps, null_mut());
        }
        refuse("Ql_iotConfigGetHttpOtaProductInfo", WHY, ())
    })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetHttpOtaTls(flag: qbool) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotConfigSetHttpOtaTls", WHY, FALSE) })
}

/// FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigGetHttpOtaTls() -> qbool {
    boundary!(FALSE, { refuse("Ql_iotConfigGetHttpOtaTls", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetHttpOtaServer(server_url: *const c_char) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotConfigSetHttpOtaServer", WHY, FALSE) })
}

/// Gives a NULL pointer.
///
/// # Safety
/// The pointers are NULL or places for what they point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetHttpOtaServer(server_url: *mut *mut c_char) {
    boundary!((), {
        // SAFETY: the application's places.
        unsafe {
            hand_out(server_url, null_mut());
        }
        refuse("Ql_iotConfigGetHttpOtaServer", WHY, ())
    })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetHttpOtaUp(battery: quint8_t, upmode: quint8_t, url: *const c_char) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotConfigSetHttpOtaUp", WHY, FALSE) })
}

/// Gives zeros and a NULL pointer.
///
/// # Safety
/// The pointers are NULL or places for what they point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetHttpOtaUp(
    battery: *mut quint8_t,
    upmode: *mut quint8_t,
    url: *mut *mut c_char,
) {
    boundary!((), {
        // SAFETY: the application's places.
        unsafe {
            hand_out(battery, 0);
            hand_out(upmode, 0);
            hand_out(url, null_mut());
        }
        refuse("Ql_iotConfigGetHttpOtaUp", WHY, ())
    })
}
