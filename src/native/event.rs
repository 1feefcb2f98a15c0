//! OTA events as structs, for C: what an application would else read from their texts.

use core::ffi::{c_char, c_void};
use core::mem::offset_of;

use quecota_core::limits;
use quecota_core::wire::event::{PieceEvent, PlanEvent, StartEvent};

use super::device::live;
use super::error::{Error, NULL, PANIC, VALUE, Words, quecota_error_t};
use super::failure::{quecota_failure_t, quecota_ota_failure};
use super::growing::Growing;
use super::handle::quecota_t;
use super::ota::{quecota_ota_t, quecota_ota_values};

/// Bytes of a component's name, with its NUL.
pub const QUECOTA_COMPONENT_SIZE: usize = 33;
/// Bytes of a component's version, with its NUL.
pub const QUECOTA_VERSION_SIZE: usize = 65;

const _: () = assert!(QUECOTA_COMPONENT_SIZE == limits::COMPONENT + 1);
const _: () = assert!(QUECOTA_VERSION_SIZE == limits::VERSION + 1);

/// The value of QUECOTA_OTA_PLAN. Set `size` before quecota_parse_plan().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct quecota_plan_t {
    /// sizeof(quecota_plan_t).
    pub size: u32,
    /// Least battery charge that the plan asks for, in per cent; 0: any.
    pub battery: u32,
    /// Weakest signal that it asks for, in dBm; 0: any.
    pub signal: i32,
    /// Free bytes that it asks for; 0: any.
    pub space: u32,
    /// Which component is to be upgraded.
    pub component: [c_char; QUECOTA_COMPONENT_SIZE],
    /// The version that it has; may be empty.
    pub source_version: [c_char; QUECOTA_VERSION_SIZE],
    /// The version that it gets.
    pub target_version: [c_char; QUECOTA_VERSION_SIZE],
}

/// The value of QUECOTA_OTA_START. Set `size` before quecota_parse_download().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct quecota_download_t {
    /// sizeof(quecota_download_t).
    pub size: u32,
    /// Bytes of the whole file; 0: module firmware.
    pub total: u32,
    /// The CRC as the platform announced it.
    pub crc: u32,
    /// Not 0: there is a `sha256`.
    pub has_sha256: i32,
    /// MD5 of the whole file.
    pub md5: [u8; 16],
    /// SHA-256 of the whole file, where quecota_ota_request() asked for it; else zeros.
    pub sha256: [u8; 32],
    /// Which component; empty: module firmware, which the library downloads and applies by itself.
    pub component: [c_char; QUECOTA_COMPONENT_SIZE],
}

/// The value of QUECOTA_OTA_DOWNLOADED. Set `size` before quecota_parse_piece().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct quecota_piece_t {
    /// sizeof(quecota_piece_t).
    pub size: u32,
    /// Bytes of the whole file; 0: module firmware.
    pub total: u32,
    /// The piece's first byte within the file: where quecota_ota_read() begins.
    pub start: u32,
    /// Bytes of the piece.
    pub length: u32,
    /// Which component; empty: module firmware, of which there is nothing to read.
    pub component: [c_char; QUECOTA_COMPONENT_SIZE],
}

/// How an upgrade ended: QUECOTA_OTA_SUCCESS or QUECOTA_OTA_FAILED. Set `size` before quecota_parse_end().
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct quecota_end_t {
    /// sizeof(quecota_end_t).
    pub size: u32,
    /// Not 0: the component has its target version.
    pub succeeded: i32,
    /// Why it failed; QUECOTA_FAILURE_NONE if it did not.
    pub failure: quecota_failure_t,
    /// Which component.
    pub component: [c_char; QUECOTA_COMPONENT_SIZE],
}

// SAFETY: repr(C), size first; zeros are valid values.
unsafe impl Growing for quecota_plan_t {
    const NAME: Words = Words::of("plan");
    const FIRST: usize = size_of::<Self>();
}
// SAFETY: as above.
unsafe impl Growing for quecota_download_t {
    const NAME: Words = Words::of("download");
    const FIRST: usize = size_of::<Self>();
}
// SAFETY: as above.
unsafe impl Growing for quecota_piece_t {
    const NAME: Words = Words::of("piece");
    const FIRST: usize = size_of::<Self>();
}
// SAFETY: as above.
unsafe impl Growing for quecota_end_t {
    const NAME: Words = Words::of("end");
    const FIRST: usize = offset_of!(quecota_end_t, failure) + size_of::<quecota_failure_t>();
}

/// Reads the value of a QUECOTA_OTA_PLAN into `*plan`. QUECOTA_ERROR_VALUE: it is no such text, or its names are too long;
/// `*plan` is as it was then. As the other quecota_parse_*() it needs no device, and may be called from anywhere.
///
/// # Safety
/// `value` is NULL or `length` bytes; `plan` is NULL or a struct of the size that its first member gives.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_parse_plan(
    value: *const c_void,
    length: u32,
    plan: *mut quecota_plan_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        let value = bytes!(value, length, else NULL);
        let Some(event) = core::str::from_utf8(value).ok().and_then(|text| PlanEvent::parse(text).ok())
        else {
            return VALUE;
        };
        let mut parsed = quecota_plan_t {
            size: 0,
            battery: event.battery,
            signal: event.signal,
            space: event.space,
            component: [0; QUECOTA_COMPONENT_SIZE],
            source_version: [0; QUECOTA_VERSION_SIZE],
            target_version: [0; QUECOTA_VERSION_SIZE],
        };
        let fits = put(&mut parsed.component, event.component)
            && put(&mut parsed.source_version, event.source)
            && put(&mut parsed.target_version, event.target);
        // SAFETY: the C caller's promise about the struct.
        if fits { unsafe { hand_out(plan, parsed) } } else { VALUE }
    })
}

/// Reads the value of a QUECOTA_OTA_START into `*download`. No value (NULL and 0) is what a module has: an empty component
/// and zeros. QUECOTA_ERROR_VALUE: it is no such text; `*download` is as it was then.
///
/// # Safety
/// As quecota_parse_plan().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_parse_download(
    value: *const c_void,
    length: u32,
    download: *mut quecota_download_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        let value = bytes!(value, length, else NULL);
        let mut parsed = quecota_download_t {
            size: 0,
            total: 0,
            crc: 0,
            has_sha256: 0,
            md5: [0; 16],
            sha256: [0; 32],
            component: [0; QUECOTA_COMPONENT_SIZE],
        };
        if !value.is_empty() {
            let Some(event) = core::str::from_utf8(value).ok().and_then(|text| StartEvent::parse(text).ok())
            else {
                return VALUE;
            };
            (parsed.total, parsed.crc, parsed.md5) = (event.size, event.crc, event.md5);
            parsed.has_sha256 = event.sha256.is_some().into();
            parsed.sha256 = event.sha256.unwrap_or_default();
            if !put(&mut parsed.component, event.component) {
                return VALUE;
            }
        }
        // SAFETY: the C caller's promise about the struct.
        unsafe { hand_out(download, parsed) }
    })
}

/// Reads the value of a QUECOTA_OTA_DOWNLOADED into `*piece`. No value (NULL and 0) is what a module has: an empty
/// component and zeros. QUECOTA_ERROR_VALUE: it is no such text; `*piece` is as it was then.
///
/// # Safety
/// As quecota_parse_plan().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_parse_piece(
    value: *const c_void,
    length: u32,
    piece: *mut quecota_piece_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        let value = bytes!(value, length, else NULL);
        let mut parsed = quecota_piece_t {
            size: 0,
            total: 0,
            start: 0,
            length: 0,
            component: [0; QUECOTA_COMPONENT_SIZE],
        };
        if !value.is_empty() {
            let Some(event) = core::str::from_utf8(value).ok().and_then(|text| PieceEvent::parse(text).ok())
            else {
                return VALUE;
            };
            (parsed.total, parsed.start, parsed.length) = (event.total, event.start, event.length);
            if !put(&mut parsed.component, event.component) {
                return VALUE;
            }
        }
        // SAFETY: the C caller's promise about the struct.
        unsafe { hand_out(piece, parsed) }
    })
}

/// How the upgrade ended, to `*end`; call it inside the event. `code` is that of the event: QUECOTA_OTA_SUCCESS or
/// QUECOTA_OTA_FAILED; QUECOTA_ERROR_VALUE for any other.
///
/// # Safety
/// `device` as for quecota_start(), `end` as for quecota_parse_plan().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_parse_end(
    device: *mut quecota_t,
    code: quecota_ota_t,
    end: *mut quecota_end_t,
) -> quecota_error_t {
    boundary!(PANIC, {
        // SAFETY: the C caller's promise about the handle.
        let Some(live) = (unsafe { live(device) }) else { return NULL };
        let succeeded = code == quecota_ota_values::QUECOTA_OTA_SUCCESS as quecota_ota_t;
        if !succeeded && code != quecota_ota_values::QUECOTA_OTA_FAILED as quecota_ota_t {
            return VALUE;
        }
        // SAFETY: the caller's promise about the handle.
        let failure = if succeeded { 0 } else { unsafe { quecota_ota_failure(device) } };
        let mut ended = quecota_end_t {
            size: 0,
            succeeded: succeeded.into(),
            failure,
            component: [0; QUECOTA_COMPONENT_SIZE],
        };
        // Inside a function of the platform table there is none to be had.
        let component = live.ended().unwrap_or_default();
        // SAFETY: the C caller's promise about the struct.
        if put(&mut ended.component, &component) { unsafe { hand_out(end, ended) } } else { VALUE }
    })
}

/// Copies `text` with a NUL behind it. `false`: it does not fit.
fn put(to: &mut [c_char], text: &str) -> bool {
    if text.len() >= to.len() {
        return false;
    }
    let bytes = text.bytes().chain(core::iter::once(0));
    for (to, byte) in to.iter_mut().zip(bytes) {
        *to = byte as c_char;
    }
    true
}

/// Writes as much of `value` as the caller's struct holds; what a newer header has besides is zero. Its size stays.
///
/// # Safety
/// `to` is NULL or as large as its first member says.
pub(super) unsafe fn hand_out<T: Growing>(to: *mut T, value: T) -> quecota_error_t {
    if to.is_null() {
        return NULL;
    }
    // SAFETY: it begins with its size.
    let given = unsafe { to.cast::<u32>().read() };
    if (given as usize) < T::FIRST {
        return Error::QUECOTA_ERROR_STRUCT as quecota_error_t;
    }
    let known = size_of::<T>().min(given as usize);
    let (to, from) = (to.cast::<u8>(), (&raw const value).cast::<u8>());
    // SAFETY: the caller promises `given` writable bytes, `known` of them are in `value`, and the size comes first.
    unsafe {
        core::ptr::copy_nonoverlapping(from, to, known);
        core::ptr::write_bytes(to.add(known), 0, (given as usize).saturating_sub(known));
        to.cast::<u32>().write(given);
    }
    0
}
