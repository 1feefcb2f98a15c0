//! `Ql_iotCmdSys*`, `Ql_iotSys*`, and the resets: what the device tells of itself, and how it forgets.

use core::ffi::c_void;
use core::ptr::null_mut;

use quecota_core::limits;
use quecota_core::platform::Qos;
use quecota_core::wire::frame::Command;
use quecota_core::wire::message::Ids;

use super::business::send;
use super::lists;
use super::refusal::refuse;
use super::slot::device;
use super::types::{FALSE, TRUE, qbool, quint16_t, quint32_t};
use crate::native::Given;

/// Ids that one call may name.
const IDS_MAX: quint32_t = 32;
/// All info values at their longest.
const VALUES: usize = 1280;
const _: () = assert!(VALUES >= limits::MCU_LIST + 4 * limits::VERSION + 256);

/// What the device tells of itself.
#[derive(Clone, Copy)]
enum ReportKind {
    /// 0x0034.
    Status,
    /// 0x0044.
    Info,
}

/// The ids of the caller; empty for NULL or too many.
///
/// # Safety
/// `ids` is NULL or points to `size` numbers.
unsafe fn ids_of<'a>(ids: *mut u16, size: u32) -> &'a [u16] {
    if ids.is_null() || size > IDS_MAX {
        return &[];
    }
    // SAFETY: not NULL; the caller's promise.
    unsafe { core::slice::from_raw_parts(ids, size as usize) }
}

/// Works on the values as they go over the wire; those that the device does not know are left out.
fn with_values<R>(kind: ReportKind, ids: &[u16], work: impl FnOnce(&[u8]) -> Option<R>) -> Option<R> {
    let mut values = [0; VALUES];
    let ids = Ids::of(ids);
    let length = device()?
        .ask(|agent, platform| match kind {
            ReportKind::Status => agent.status_values(platform, ids, &mut values),
            ReportKind::Info => agent.info_values(platform, ids, &mut values),
        })
        .ok()??;
    work(values.get(..length)?)
}

fn report(name: &str, kind: ReportKind, ids: &[u16]) -> qbool {
    let command = match kind {
        ReportKind::Status => Command::STATUS_REPORT,
        ReportKind::Info => Command::INFO_REPORT,
    };
    let has_values = with_values(kind, ids, |values| (!values.is_empty()).then_some(()));
    if has_values.is_none() {
        return refuse(name, "none of the ids has a value here; 1 to 32 ids are right", FALSE);
    }
    let mut payload = [0; 2 * IDS_MAX as usize];
    let sent = Ids::of(ids).emit(&mut payload).ok().and_then(|length| {
        let payload = payload.get(..length)?;
        send(name, command, Qos::AtLeastOnce, None, payload)
    });
    qbool::from(sent.is_some())
}

fn list(kind: ReportKind, ids: &[u16]) -> *mut c_void {
    let made = with_values(kind, ids, |values| (!values.is_empty()).then(|| lists::from_wire(values)));
    made.unwrap_or(null_mut())
}

/// Reports status values (QIOT_DPID_STATUS_*, 1 to 32 ids) to the platform (0x0034, QoS 1), as they are when the report goes
/// out. Ids without a value are left out; FALSE when none is left, or offline. Event 4 with code 10230 or 10330 follows.
///
/// # Safety
/// `ids` points to `size` numbers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotCmdSysStatusReport(ids: *mut quint16_t, size: quint32_t) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the caller's promise.
        report("Ql_iotCmdSysStatusReport", ReportKind::Status, unsafe { ids_of(ids, size) })
    })
}

/// Reports info values (QIOT_DPID_INFO_*, 1 to 32 ids) to the platform (0x0044, QoS 1); see Ql_iotCmdSysStatusReport().
/// Event 4 has code 10240 or 10340.
///
/// # Safety
/// As Ql_iotCmdSysStatusReport().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotCmdSysDevInfoReport(ids: *mut quint16_t, size: quint32_t) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the caller's promise.
        report("Ql_iotCmdSysDevInfoReport", ReportKind::Info, unsafe { ids_of(ids, size) })
    })
}

/// Status values as a TTLV list, to be freed by Ql_iotTtlvFree(). Ids without a value are left out; NULL when none is
/// left.
///
/// # Safety
/// As Ql_iotCmdSysStatusReport().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotSysGetDevStatus(ids: *mut quint16_t, size: quint32_t) -> *mut c_void {
    boundary!(null_mut(), {
        // SAFETY: the caller's promise.
        list(ReportKind::Status, unsafe { ids_of(ids, size) })
    })
}

/// Info values as a TTLV list; see Ql_iotSysGetDevStatus().
///
/// # Safety
/// As Ql_iotCmdSysStatusReport().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotSysGetDevInfo(ids: *mut quint16_t, size: quint32_t) -> *mut c_void {
    boundary!(null_mut(), {
        // SAFETY: the caller's promise.
        list(ReportKind::Info, unsafe { ids_of(ids, size) })
    })
}

/// Forgets what the platform has given, device secret and server, and authenticates anew if the device was to be
/// connected.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotRst() -> qbool {
    iot_call!(FALSE, "Ql_iotRst", Given::Nothing, "not from inside a function of the platform", {
        let Some(device) = device() else { return FALSE };
        if device.tell(|agent, platform| agent.reset(platform)).is_ok() { TRUE } else { FALSE }
    })
}

/// Disconnects and forgets all that was configured but the MCU versions: product, server, device key and secret,
/// lifetime, encryption.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotClear() -> qbool {
    iot_call!(FALSE, "Ql_iotClear", Given::Nothing, "not from inside a function of the platform", {
        let Some(device) = device() else { return FALSE };
        if device.tell(|agent, platform| agent.clear(platform)).is_ok() { TRUE } else { FALSE }
    })
}

/// Refused: neither the command of the time request nor that of its answer is known.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdSysNTPReq() -> qbool {
    boundary!(FALSE, { refuse("Ql_iotCmdSysNTPReq", "the command of the time request is not known", FALSE) })
}
