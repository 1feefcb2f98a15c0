//! `Ql_iotSubDev*` and `Ql_iotGwDev*`: sub-devices behind a gateway. Refused: the protocol of sub-devices is not known.
#![allow(unused_variables)] // the header shows the parameters' names

use core::ffi::{c_char, c_void};

use super::refusal::refuse;
use super::types::{FALSE, qbool, qint32_t, quint8_t, quint16_t, quint32_t};

const WHY: &str = "the protocol of sub-devices is not known";

/// Has no effect: no event of a sub-device comes.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetSubDevEventCB(
    eventCb: Option<
        unsafe extern "C" fn(
            event: quint32_t,
            errcode: qint32_t,
            subPk: *const c_char,
            subDk: *const c_char,
            value: *const c_void,
            valLen: quint32_t,
        ),
    >,
) {
    boundary!((), { refuse("Ql_iotConfigSetSubDevEventCB", WHY, ()) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotConfigSetSubDevAuth(authMode: quint8_t, authKey: *mut quint8_t) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotConfigSetSubDevAuth", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevSetConnMode(r#type: quint8_t, mode: quint8_t) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevSetConnMode", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevConn(
    subPk: *const c_char,
    subPs: *const c_char,
    subDk: *const c_char,
    subDs: *const c_char,
    sessionType: quint8_t,
    keepalive: quint16_t,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevConn", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevDisconn(subPk: *const c_char, subDk: *const c_char) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevDisconn", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevDeauth(
    subPk: *const c_char,
    subPs: *const c_char,
    subDk: *const c_char,
    subDs: *const c_char,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevDeauth", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevHTB(subPk: *const c_char, subDk: *const c_char) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevHTB", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevPassTransSend(
    subPk: *const c_char,
    subDk: *const c_char,
    payload: *mut quint8_t,
    payloadlen: quint16_t,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevPassTransSend", WHY, FALSE) })
}

/// Refused with -1.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevPassTransSend_ex(
    subPk: *const c_char,
    subDk: *const c_char,
    payload: *mut quint8_t,
    payloadlen: quint16_t,
) -> qint32_t {
    boundary!(-1, { refuse("Ql_iotSubDevPassTransSend_ex", WHY, -1) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevTslReport(
    subPk: *const c_char,
    subDk: *const c_char,
    ttlvHead: *const c_void,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevTslReport", WHY, FALSE) })
}

/// Refused with -1.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevTslReport_ex(
    subPk: *const c_char,
    subDk: *const c_char,
    ttlvHead: *const c_void,
) -> qint32_t {
    boundary!(-1, { refuse("Ql_iotSubDevTslReport_ex", WHY, -1) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotSubDevTslAck(
    subPk: *const c_char,
    subDk: *const c_char,
    pkgId: quint16_t,
    ttlvHead: *const c_void,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotSubDevTslAck", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotGwDevInfoReport(
    subPk: *const c_char,
    subDk: *const c_char,
    subVer: *const c_char,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotGwDevInfoReport", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotGwDevLocReport(
    subPk: *const c_char,
    subDk: *const c_char,
    ttlvHead: *const c_void,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotGwDevLocReport", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotGwDevOtaReq(
    subPk: *const c_char,
    subDk: *const c_char,
    subVer: *const c_char,
    mode: quint8_t,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotGwDevOtaReq", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotGwDevOtaUpdate(
    subPk: *const c_char,
    subDk: *const c_char,
    subVer: *const c_char,
    action: quint8_t,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotGwDevOtaUpdate", WHY, FALSE) })
}

/// Refused with -1.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotGwDevOtaRead(
    subPk: *const c_char,
    subDk: *const c_char,
    startAddr: quint32_t,
    size: quint16_t,
    buff: *mut quint8_t,
) -> qint32_t {
    boundary!(-1, { refuse("Ql_iotGwDevOtaRead", WHY, -1) })
}
