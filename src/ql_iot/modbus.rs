//! `Ql_iotMB*`: Modbus sub-devices. Refused: the configuration that the vendor's tool makes is not known.
#![allow(unused_variables)] // the header shows the parameters' names

use core::ffi::{c_char, c_void};

use super::codes::{QIot_MBDataBits_e, QIot_MBParity_e, QIot_MBStopBits_e};
use super::refusal::refuse;
use super::types::{FALSE, qbool, quint8_t, quint16_t, quint32_t};

const WHY: &str = "Modbus sub-devices are not served; the form of their configuration is not known";

/// A serial port of a Modbus gateway.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QIot_MBPortCfg_t {
    /// Its number.
    pub port: quint16_t,
    /// Bits per second.
    pub baudrate: quint32_t,
    /// QIOT_MBUART_DATABITS_*.
    pub dataBits: QIot_MBDataBits_e,
    /// QIOT_MBUART_PARITY_*.
    pub parity: QIot_MBParity_e,
    /// QIOT_MBUART_STOPBITS_*.
    pub stopBits: QIot_MBStopBits_e,
}

/// Sends bytes to a serial port.
pub type QIot_MBSend_f =
    Option<unsafe extern "C" fn(port: quint16_t, buf: *const quint8_t, bufLen: quint32_t) -> qbool>;

/// Says what a Modbus configuration holds.
pub type QIot_MBInitCb_f = Option<
    unsafe extern "C" fn(
        pk: *mut c_char,
        ps: *mut c_char,
        portInfo: *mut *mut QIot_MBPortCfg_t,
        portNum: quint32_t,
    ),
>;

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotMBInit(
    uartList: *mut quint16_t,
    uartNum: quint32_t,
    sendFunc: QIot_MBSend_f,
    initCb: QIot_MBInitCb_f,
) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotMBInit", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotMBDeinit() -> qbool {
    boundary!(FALSE, { refuse("Ql_iotMBDeinit", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotMBCloudRecv(ttlvHead: *const c_void) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotMBCloudRecv", WHY, FALSE) })
}

/// Refused with FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotMBLocalRecv(uart: quint16_t, data: *mut quint8_t, len: quint32_t) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotMBLocalRecv", WHY, FALSE) })
}
