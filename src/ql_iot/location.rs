//! Where the device is, in NMEA sentences (QUECTHING.md 4.5).
#![allow(unused_variables)] // the header shows the parameters' names

use core::ffi::c_void;
use core::ptr::null_mut;

use quecota_core::limits;
use quecota_core::platform::Qos;
use quecota_core::wire::frame::{Command, PacketId};
use quecota_core::wire::ttlv::Writer;

use super::business::send;
use super::lists;
use super::refusal::refuse;
use super::types::{FALSE, qbool, qint32_t};

const REFUSED: qint32_t = -1;
/// Id of the sentences in 0x0122.
const NMEA: u16 = 2;
/// Bytes of all sentences together.
const SENTENCES: usize = 1536;
const NO_RECEIVER: &str = "the platform table has no position receiver; report sentences of your own";

/// Sends the texts of a list, each followed by ";".
fn report(name: &str, list: *const c_void) -> Option<PacketId> {
    let mut text = [0; SENTENCES];
    let mut length = 0usize;
    for index in 0..u16::try_from(lists::count(list)).unwrap_or(u16::MAX) {
        let added = lists::of_index(list, index, |_, _, node| {
            let (data, size) = node.bytes()?;
            // SAFETY: the list's bytes, which live while it is looked at.
            let sentence = unsafe { core::slice::from_raw_parts(data, size as usize) };
            let end = length.checked_add(sentence.len())?.checked_add(1)?;
            for (to, byte) in text.get_mut(length..end)?.iter_mut().zip(sentence.iter().chain(b";")) {
                *to = *byte;
            }
            Some(end)
        });
        match added.flatten() {
            Some(end) => length = end,
            None => return refuse(name, "the list must hold NMEA sentences, 1536 bytes at most", None),
        }
    }
    let sentences = text.get(..length).filter(|sentences| !sentences.is_empty());
    let Some(sentences) = sentences else { return refuse(name, "there is no sentence to report", None) };
    let mut payload = [0; limits::SEND_BUFFER];
    let length = Writer::new(&mut payload).bytes(NMEA, sentences).finish().ok()?;
    send(name, Command::LOCATION_REPORT, Qos::AtLeastOnce, None, payload.get(..length)?)
}

/// Reports where the device is (0x0122, QoS 1): `nmeaTtlv` is a TTLV list of NMEA sentences, which stays the caller's.
/// Event 4 with code 10220 or 10320 follows.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportOutside(nmeaTtlv: *mut c_void) -> qbool {
    boundary!(FALSE, { qbool::from(report("Ql_iotCmdBusLocReportOutside", nmeaTtlv).is_some()) })
}

/// As Ql_iotCmdBusLocReportOutside(); returns the packet id, which comes back as the value of event 4, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportOutside_ex(nmeaTtlv: *mut c_void) -> qint32_t {
    boundary!(REFUSED, {
        report("Ql_iotCmdBusLocReportOutside_ex", nmeaTtlv).map_or(REFUSED, |packet| packet.get().into())
    })
}

/// Refused: the platform table has no position receiver.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportInside(titleTtlv: *mut c_void) -> qbool {
    boundary!(FALSE, { refuse("Ql_iotCmdBusLocReportInside", NO_RECEIVER, FALSE) })
}

/// Refused with -1: the platform table has no position receiver.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportInside_ex(titleTtlv: *mut c_void) -> qint32_t {
    boundary!(REFUSED, { refuse("Ql_iotCmdBusLocReportInside_ex", NO_RECEIVER, REFUSED) })
}

/// NULL: the platform table has no position receiver, so no sentences are supported.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotLocGetSupList() -> *mut c_void {
    boundary!(null_mut(), { refuse("Ql_iotLocGetSupList", NO_RECEIVER, null_mut()) })
}

/// NULL: the platform table has no position receiver.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotLocGetData(titleTtlv: *const c_void) -> *mut c_void {
    boundary!(null_mut(), { refuse("Ql_iotLocGetData", NO_RECEIVER, null_mut()) })
}
