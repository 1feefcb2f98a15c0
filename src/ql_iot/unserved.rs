//! Calls of single subjects whose protocol is not known: bind codes, data collection, other ways to authenticate, cJSON.
#![allow(unused_variables)] // the header shows the parameters' names

use core::ffi::{c_char, c_void};
use core::ptr::null_mut;

use super::hand_out::hand_out;
use super::refusal::refuse;
use super::types::{FALSE, TRUE, qbool, quint8_t, quint16_t, quint32_t};

const WHY: &str = "the protocol of this call is not known";

/// JSON of the cJSON library, which the application brings.
#[derive(Debug)]
pub struct cJSON {
    _opaque: [u8; 0],
}

/// Refused with FALSE, as SDK 2.9 does: 0x00B5 has no topic there, and its fields are not known.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBindcodeReport(bindcode: *mut quint8_t, len: quint32_t) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotCmdBindcodeReport", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotDBindcodeSet(bindcode: *const c_char, timeout: quint32_t) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotDBindcodeSet", WHY, FALSE) })
}

/// 0 seconds are left, and the bind code is NULL.
///
/// # Safety
/// The pointers are NULL or places for what they point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotDBindcodeGet(bindcode: *mut *mut c_char) -> quint32_t {
    boundary!(0, {
        // SAFETY: the application's places.
        unsafe {
            hand_out(bindcode, null_mut());
        }
        refuse("Ql_iotDBindcodeGet", WHY, 0)
    })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotDataCollSend(
    lastPack: qbool,
    packNum: quint32_t,
    dataLen: quint16_t,
    data: *mut quint8_t,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotDataCollSend", WHY, FALSE) })
}

/// Refused with FALSE: Ql_iotConfigSetProductinfo() and Ql_iotConfigSetDkDs() set a device's own key and secret.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetAuthODOS(
    pk: *const c_char,
    ps: *const c_char,
    dk: *const c_char,
    ds: *const c_char,
) -> qbool {
    boundary!(FALSE, {
        refuse(
            "Ql_iotConfigSetAuthODOS",
            "set the product by Ql_iotConfigSetProductinfo and the device by Ql_iotConfigSetDkDs",
            FALSE,
        )
    })
}

/// Refused with FALSE: TLS is by certificates.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetPsk(psk: *const c_char) -> qbool {
    boundary!(FALSE, {
        refuse(
            "Ql_iotConfigSetPsk",
            "TLS with a pre-shared key is not served; use mqtts:// with certificates",
            FALSE,
        )
    })
}

/// Gives a NULL pointer.
///
/// # Safety
/// The pointers are NULL or places for what they point to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetPsk(psk: *mut *mut c_char) {
    boundary!((), {
        // SAFETY: the application's places.
        unsafe {
            hand_out(psk, null_mut());
        }
        refuse("Ql_iotConfigGetPsk", "there is no pre-shared key", ())
    })
}

/// Refused with NULL: the form of the JSON is not known.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotTtlv2Json(ttlvHead: *const c_void) -> *mut cJSON {
    boundary!(null_mut(), {
        let why = "the form of the JSON is not known; read the list by Ql_iotTtlvNodeGet";
        refuse("Ql_iotTtlv2Json", why, null_mut())
    })
}

/// Refused with NULL: the form of the JSON is not known.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotJson2Ttlv(json: *const cJSON) -> *mut c_void {
    boundary!(null_mut(), {
        let why = "the form of the JSON is not known; build the list by Ql_iotTtlvIdAdd*";
        refuse("Ql_iotJson2Ttlv", why, null_mut())
    })
}

/// 0: the device authenticates with its product secret, and later with the device secret that it got. FALSE for NULL.
///
/// # Safety
/// `authType` is NULL or may be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotConfigGetAuth(authType: *mut quint32_t) -> qbool {
    boundary!(FALSE, {
        write_to!(authType, 0, else FALSE);
        TRUE
    })
}
