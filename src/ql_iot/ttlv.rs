//! `Ql_iotTtlv*`: lists of values with ids, as the thing model has them (QUECTHING.md 1.3, 4.4).

use core::ffi::{c_char, c_void};
use core::ptr::null_mut;

use quecota_core::wire::ttlv::{DECIMALS_MAX, Number};

use super::codes::QIot_dpDataType_e;
use super::hand_out::hand_out;
use super::lists::{self, New};
use super::refusal::refuse;
use super::types::{FALSE, TRUE, qbool, qint64_t, quint8_t, quint16_t, quint32_t};

/// The number of elements; 0 for NULL and for what is no list.
///
/// Rules of all Ql_iotTtlv functions: a list is made by the first Ql_iotTtlvIdAdd* on a `void *` that is NULL, and ends
/// with Ql_iotTtlvFree(). Handles that are NULL, freed or no handles at all are refused. Before Ql_iotInit() only one
/// task may use them; from then on every task, and the event callback, but not a function of the platform table.
///
/// # Safety
/// None: the handle is looked up.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotTtlvCountGet(ttlvHead: *const c_void) -> quint32_t {
    boundary!(0, { lists::count(ttlvHead) })
}

/// Frees the list at `*ttlvHead` with all that is in it, and writes NULL there. The list of an event lives until the
/// callback returns, and one that was added to another belongs to that: of those only the pointer becomes NULL.
///
/// # Safety
/// `ttlvHead` is NULL or points to a handle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvFree(ttlvHead: *mut *mut c_void) {
    boundary!((), {
        if !ttlvHead.is_null() {
            // SAFETY: not NULL; the caller's promise.
            unsafe { lists::release(ttlvHead) }
        }
    })
}

/// Removes the elements with this id (0: all of an array). A list that has none left is freed, and `*ttlvHead` is NULL
/// then.
///
/// # Safety
/// As Ql_iotTtlvFree().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvRemove(ttlvHead: *mut *mut c_void, id: quint16_t) {
    boundary!((), {
        if !ttlvHead.is_null() {
            // SAFETY: not NULL; the caller's promise.
            unsafe { lists::remove(ttlvHead, id) }
        }
    })
}

/// # Safety
/// `head` is NULL or points to a handle.
unsafe fn add(head: *mut *mut c_void, id: u16, new: New<'_>) -> qbool {
    // SAFETY: not NULL; the caller's promise.
    qbool::from(!head.is_null() && unsafe { lists::add(head, id, new) }.is_ok())
}

/// What every addition asks for.
const ID: &str = "ttlvHead must be the place of a list, id 1 to 8191 or 0 for an array, and memory is needed";
const NUMBER: &str =
    "a finite number below 2^64 and at most 15 decimals; ttlvHead and id as Ql_iotTtlvIdAddBool()";
const DATA: &str =
    "data must not be NULL, at most 65535 bytes, a text 2048; ttlvHead and id as Ql_iotTtlvIdAddBool()";
const LIST: &str =
    "vHead must be a list of its own, nested at most 8 deep; ttlvHead and id as Ql_iotTtlvIdAddBool()";

/// As [`boundary!`], for an addition: one that was refused leaves a line.
macro_rules! added {
    ($name:literal, $rule:expr, $body:block) => {
        logged($name, $rule, boundary!(FALSE, $body))
    };
}

fn logged(name: &str, rule: &str, added: qbool) -> qbool {
    if added == FALSE { refuse(name, rule, FALSE) } else { added }
}

/// Adds a bool. `id` is 1..8191, or 0 for an element of an array; a list has only ids or only array elements. FALSE: the
/// id, the handle or the memory is wrong, and nothing has changed.
///
/// # Safety
/// As Ql_iotTtlvFree().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddBool(
    ttlvHead: *mut *mut c_void,
    id: quint16_t,
    value: qbool,
) -> qbool {
    added!("Ql_iotTtlvIdAddBool", ID, {
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Bool(value != FALSE)) }
    })
}

/// Adds a whole number; see Ql_iotTtlvIdAddBool().
///
/// # Safety
/// As Ql_iotTtlvFree().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddInt(
    ttlvHead: *mut *mut c_void,
    id: quint16_t,
    num: qint64_t,
) -> qbool {
    added!("Ql_iotTtlvIdAddInt", ID, {
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Int(num)) }
    })
}

/// Adds a number with up to 15 decimals, as few as give the same number back. FALSE also for NaN, for infinity and from
/// 2^64 on. On the wire a whole number is an INT.
///
/// # Safety
/// As Ql_iotTtlvFree().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddFloat(ttlvHead: *mut *mut c_void, id: quint16_t, num: f64) -> qbool {
    added!("Ql_iotTtlvIdAddFloat", NUMBER, {
        let Some(number) = Number::from_f64(num) else { return FALSE };
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Float(number)) }
    })
}

/// Adds a number rounded to `decimals` (0..15) decimals; see Ql_iotTtlvIdAddFloat().
///
/// # Safety
/// As Ql_iotTtlvFree().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddFloat_ex(
    ttlvHead: *mut *mut c_void,
    id: quint16_t,
    num: f64,
    decimals: quint8_t,
) -> qbool {
    added!("Ql_iotTtlvIdAddFloat_ex", NUMBER, {
        let Some(number) = rounded(num, decimals) else { return FALSE };
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Float(number)) }
    })
}

/// Half away from zero. `None`: more than 15 decimals, or no number.
fn rounded(float: f64, decimals: u8) -> Option<Number> {
    let number = Number::from_f64(float)?;
    if decimals > DECIMALS_MAX {
        return None;
    }
    let (mut magnitude, mut has, mut last) = (number.magnitude(), number.decimals(), 0);
    while has > decimals {
        last = magnitude % 10;
        magnitude /= 10;
        has = has.saturating_sub(1);
    }
    Number::new(number.sign(), magnitude.saturating_add(u64::from(last >= 5)), has)
}

/// Adds bytes, at most 65535; see Ql_iotTtlvIdAddBool(). They are copied.
///
/// # Safety
/// As Ql_iotTtlvFree(); `data` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddByte(
    ttlvHead: *mut *mut c_void,
    id: quint16_t,
    data: *const quint8_t,
    len: quint32_t,
) -> qbool {
    added!("Ql_iotTtlvIdAddByte", DATA, {
        let bytes = bytes!(data, len, else FALSE);
        if bytes.len() > usize::from(u16::MAX) {
            return FALSE;
        }
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Bytes(bytes)) }
    })
}

/// Adds raw data, at most 65535 bytes. Nothing is known of its own type on the wire: it goes out as bytes.
///
/// # Safety
/// As Ql_iotTtlvIdAddByte().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddRaw(
    ttlvHead: *mut *mut c_void,
    id: quint16_t,
    data: *const quint8_t,
    len: quint32_t,
) -> qbool {
    added!("Ql_iotTtlvIdAddRaw", DATA, {
        let bytes = bytes!(data, len, else FALSE);
        if bytes.len() > usize::from(u16::MAX) {
            return FALSE;
        }
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Raw(bytes)) }
    })
}

/// Adds a text of at most 2048 bytes in any encoding; see Ql_iotTtlvIdAddBool(). It is copied. NULL: FALSE.
///
/// # Safety
/// As Ql_iotTtlvFree(); `data` is NULL or a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddString(
    ttlvHead: *mut *mut c_void,
    id: quint16_t,
    data: *const c_char,
) -> qbool {
    added!("Ql_iotTtlvIdAddString", DATA, {
        if data.is_null() {
            return FALSE;
        }
        let text = raw!(data, else FALSE);
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Bytes(text)) }
    })
}

/// Adds a list as a struct, or as an array if its elements have id 0. On TRUE `vHead` belongs to the other list and is
/// freed with it; it may still be added to. On FALSE it is the caller's as before: `vHead` is no list, is another's or
/// contains the other list already, or the lists would be nested more than 8 deep.
///
/// # Safety
/// As Ql_iotTtlvFree(); `vHead` is looked up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdAddStruct(
    ttlvHead: *mut *mut c_void,
    id: quint16_t,
    vHead: *mut c_void,
) -> qbool {
    added!("Ql_iotTtlvIdAddStruct", LIST, {
        if vHead.is_null() {
            return FALSE;
        }
        // SAFETY: the caller's promise.
        unsafe { add(ttlvHead, id, New::Struct(vHead)) }
    })
}

/// The element at `index`, from 0, with its id and type (NULL places are left out). NULL: there is none. The node lives as
/// long as its list.
///
/// # Safety
/// `id` and `r#type` are NULL or may be written; `ttlvHead` is looked up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvNodeGet(
    ttlvHead: *const c_void,
    index: quint16_t,
    id: *mut quint16_t,
    r#type: *mut QIot_dpDataType_e,
) -> *mut c_void {
    boundary!(null_mut(), {
        let found = lists::of_index(ttlvHead, index, |node, id, content| (node, id, content.kind()));
        let Some((node, its_id, kind)) = found else { return null_mut() };
        // SAFETY: the application's places.
        unsafe {
            hand_out(id, its_id);
            hand_out(r#type, kind as QIot_dpDataType_e);
        }
        node
    })
}

/// Writes what was found; FALSE when nothing was.
///
/// # Safety
/// `place` is NULL or may be written.
unsafe fn found<T>(place: *mut T, value: Option<T>) -> qbool {
    let Some(value) = value else { return FALSE };
    // SAFETY: the caller's promise.
    unsafe { hand_out(place, value) }
    TRUE
}

/// Writes where bytes were found; returns how many, 0 for none.
///
/// # Safety
/// `place` is NULL or may be written.
unsafe fn found_bytes(place: *mut *mut quint8_t, value: Option<(*mut u8, u32)>) -> quint32_t {
    let (data, length) = value.unwrap_or((null_mut(), 0));
    // SAFETY: the caller's promise.
    unsafe { hand_out(place, data) }
    length
}

/// The bool of a node. FALSE: it has none.
///
/// # Safety
/// `value` is NULL or may be written; the handle is looked up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvNodeGetBool(node: *const c_void, value: *mut qbool) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the application's place.
        unsafe { found(value, lists::of_node(node, |node| node.bool().map(qbool::from))) }
    })
}

/// The whole number of a node. FALSE: it has none, or one with decimals or beyond a qint64_t.
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvNodeGetInt(node: *const c_void, value: *mut qint64_t) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the application's place.
        unsafe { found(value, lists::of_node(node, |node| node.int())) }
    })
}

/// The number of a node, whole or not. FALSE: it has none.
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvNodeGetFloat(node: *const c_void, value: *mut f64) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the application's place.
        unsafe { found(value, lists::of_node(node, |node| node.float())) }
    })
}

/// Where the bytes or the text of a node are, and how many. They are the list's, with a NUL behind them. 0 and NULL: it
/// has none.
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvNodeGetByte(node: *const c_void, value: *mut *mut quint8_t) -> quint32_t {
    boundary!(0, {
        // SAFETY: the application's place.
        unsafe { found_bytes(value, lists::of_node(node, |node| node.bytes())) }
    })
}

/// As Ql_iotTtlvNodeGetByte().
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvNodeGetRaw(node: *const c_void, value: *mut *mut quint8_t) -> quint32_t {
    boundary!(0, {
        // SAFETY: the application's place.
        unsafe { found_bytes(value, lists::of_node(node, |node| node.bytes())) }
    })
}

/// The text of a node, which is the list's. NULL: it has none.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotTtlvNodeGetString(node: *const c_void) -> *mut c_char {
    boundary!(null_mut(), { lists::of_node(node, |node| node.text()).unwrap_or(null_mut()) })
}

/// The struct or array of a node, which is the list's. NULL: it has none.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotTtlvNodeGetStruct(node: *const c_void) -> *mut c_void {
    boundary!(null_mut(), { lists::of_node(node, |node| node.list()).unwrap_or(null_mut()) })
}

/// The type of a node. FALSE: it is no node.
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvNodeGetType(node: *const c_void, r#type: *mut QIot_dpDataType_e) -> qbool {
    boundary!(FALSE, {
        let kind = lists::of_node(node, |node| Some(node.kind() as QIot_dpDataType_e));
        // SAFETY: the application's place.
        unsafe { found(r#type, kind) }
    })
}

/// The bool of the first element with this id. FALSE: there is none.
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdGetBool(
    ttlvHead: *const c_void,
    id: quint16_t,
    value: *mut qbool,
) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the application's place.
        unsafe { found(value, lists::of_id(ttlvHead, id, |node| node.bool().map(qbool::from))) }
    })
}

/// The whole number of the first element with this id; see Ql_iotTtlvNodeGetInt().
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdGetInt(
    ttlvHead: *const c_void,
    id: quint16_t,
    value: *mut qint64_t,
) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the application's place.
        unsafe { found(value, lists::of_id(ttlvHead, id, |node| node.int())) }
    })
}

/// The number of the first element with this id; see Ql_iotTtlvNodeGetFloat().
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdGetFloat(
    ttlvHead: *const c_void,
    id: quint16_t,
    value: *mut f64,
) -> qbool {
    boundary!(FALSE, {
        // SAFETY: the application's place.
        unsafe { found(value, lists::of_id(ttlvHead, id, |node| node.float())) }
    })
}

/// The bytes of the first element with this id; see Ql_iotTtlvNodeGetByte().
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdGetByte(
    ttlvHead: *const c_void,
    id: quint16_t,
    value: *mut *mut quint8_t,
) -> quint32_t {
    boundary!(0, {
        // SAFETY: the application's place.
        unsafe { found_bytes(value, lists::of_id(ttlvHead, id, |node| node.bytes())) }
    })
}

/// As Ql_iotTtlvIdGetByte().
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdGetRaw(
    ttlvHead: *const c_void,
    id: quint16_t,
    value: *mut *mut quint8_t,
) -> quint32_t {
    boundary!(0, {
        // SAFETY: the application's place.
        unsafe { found_bytes(value, lists::of_id(ttlvHead, id, |node| node.bytes())) }
    })
}

/// The text of the first element with this id; see Ql_iotTtlvNodeGetString().
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotTtlvIdGetString(ttlvHead: *const c_void, id: quint16_t) -> *mut c_char {
    boundary!(null_mut(), { lists::of_id(ttlvHead, id, |node| node.text()).unwrap_or(null_mut()) })
}

/// The struct or array of the first element with this id; see Ql_iotTtlvNodeGetStruct().
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotTtlvIdGetStruct(ttlvHead: *const c_void, id: quint16_t) -> *mut c_void {
    boundary!(null_mut(), { lists::of_id(ttlvHead, id, |node| node.list()).unwrap_or(null_mut()) })
}

/// The type of the first element with this id. FALSE: there is none.
///
/// # Safety
/// As Ql_iotTtlvNodeGetBool().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotTtlvIdGetType(
    ttlvHead: *const c_void,
    id: quint16_t,
    r#type: *mut QIot_dpDataType_e,
) -> qbool {
    boundary!(FALSE, {
        let kind = lists::of_id(ttlvHead, id, |node| Some(node.kind() as QIot_dpDataType_e));
        // SAFETY: the application's place.
        unsafe { found(r#type, kind) }
    })
}
