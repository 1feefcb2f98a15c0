//! The platform table: what firmware provides, as C structs of function pointers.

use core::ffi::{c_char, c_void};

use super::handle::quecota_t;

/// One MQTT 3.1.1 connection. All strings live for the call only.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_connect_t {
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: *const c_char,
    /// Client id.
    pub client_id: *const c_char,
    /// NULL: send no user name, although there is a password, as QuecThing devices do.
    pub user_name: *const c_char,
    /// Password.
    pub password: *const c_char,
    /// Keep-alive in seconds. Clean session is always 1.
    pub keep_alive: u16,
}

/// MQTT and HTTP: one connection and one fetch at a time.
///
/// Each function returns at once: 0 when the operation is started, anything else when it cannot be started now (the
/// library tries again by its own timers). What becomes of it is told by the quecota_on_*() calls, never from inside
/// these functions. No member but `ctx` may be NULL.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_transport_t {
    /// sizeof(quecota_transport_t).
    pub size: u32,
    /// Handed to each function.
    pub ctx: *mut c_void,
    /// Starts to connect; a connection that is there is closed first. Answer: quecota_on_link().
    pub connect: Option<unsafe extern "C" fn(ctx: *mut c_void, to: *const quecota_connect_t) -> i32>,
    /// Closes the connection; no answer.
    pub disconnect: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// Subscribes with QoS 1. Answer: quecota_on_link() with QUECOTA_LINK_SUBSCRIBED.
    pub subscribe: Option<unsafe extern "C" fn(ctx: *mut c_void, filter: *const c_char) -> i32>,
    /// Sends `length` bytes with QoS 0, 1 or 2. One publish is under way at a time. Answer: quecota_on_sent() with `id`
    /// once the peer has it (QoS 0: once it is handed on). Topic and payload live for the call only.
    pub publish: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            topic: *const c_char,
            payload: *const u8,
            length: u32,
            qos: u8,
            id: u16,
        ) -> i32,
    >,
    /// Starts `GET url` with the range `start .. start + length - 1`; http:// or https://. Answer:
    /// quecota_on_fetch_begin(), quecota_on_fetch_data() as often as needed, quecota_on_fetch_end(). The url lives for
    /// the call only.
    pub fetch:
        Option<unsafe extern "C" fn(ctx: *mut c_void, url: *const c_char, start: u32, length: u32) -> i32>,
    /// Gives the fetch up. Answers that are under way may still come and are ignored.
    pub fetch_cancel: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
}

/// Which storage; the `area` argument of the functions of quecota_storage_t.
pub type quecota_area_id_t = i32;

/// Values of quecota_area_id_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_area_id_values {
    /// The staged image, or one piece of it.
    QUECOTA_AREA_IMAGE = 0,
    /// Progress and configuration.
    QUECOTA_AREA_JOURNAL = 1,
}

/// The shape of a storage area. Constant while the device lives.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct quecota_area_t {
    /// Bytes in all; a multiple of `erase`, not 0. The journal needs two erase blocks, and room for two copies of what
    /// it keeps: 8192 are enough for erase blocks up to 4096, else two blocks (docs/journal.md has the table).
    pub size: u32,
    /// Smallest unit that can be erased; a power of two, 16 at least.
    pub erase: u32,
    /// Smallest unit that can be written; a power of two, 1..=256 and not more than `erase`.
    pub program: u32,
    /// What an erased byte reads as: 0xFF or 0x00.
    pub erased: u8,
}

/// What the functions of quecota_storage_t return.
pub type quecota_storage_result_t = i32;

/// Values of quecota_storage_result_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_storage_result_values {
    /// Done.
    QUECOTA_STORAGE_OK = 0,
    /// Outside the area, or not aligned.
    QUECOTA_STORAGE_RANGE = 1,
    /// No room left (a file on a full disk).
    QUECOTA_STORAGE_FULL = 2,
    /// The storage failed.
    QUECOTA_STORAGE_FAILED = 3,
}

/// Two areas with flash semantics: a byte is written once between two erases. No member but `ctx` and `sync` may be
/// NULL.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_storage_t {
    /// sizeof(quecota_storage_t).
    pub size: u32,
    /// Handed to each function.
    pub ctx: *mut c_void,
    /// The staged image: firmware of a module must fit whole, that of an MCU comes in pieces of this size.
    pub image: quecota_area_t,
    /// The journal.
    pub journal: quecota_area_t,
    /// Fills `data` from `offset`; no alignment is promised.
    pub read: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            area: quecota_area_id_t,
            offset: u32,
            data: *mut u8,
            length: u32,
        ) -> quecota_storage_result_t,
    >,
    /// Writes; `offset` and `length` are multiples of `program`, the bytes were erased before.
    pub write: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            area: quecota_area_id_t,
            offset: u32,
            data: *const u8,
            length: u32,
        ) -> quecota_storage_result_t,
    >,
    /// Erases; `offset` and `length` are multiples of `erase`.
    pub erase: Option<
        unsafe extern "C" fn(
            ctx: *mut c_void,
            area: quecota_area_id_t,
            offset: u32,
            length: u32,
        ) -> quecota_storage_result_t,
    >,
    /// Everything written before is there after a power cut once this returns. NULL: writes are durable at once.
    pub sync:
        Option<unsafe extern "C" fn(ctx: *mut c_void, area: quecota_area_id_t) -> quecota_storage_result_t>,
}

/// How much a log line matters.
pub type quecota_level_t = i32;

/// Values of quecota_level_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_level_values {
    /// Something is lost or refused.
    QUECOTA_LEVEL_ERROR = 1,
    /// Something is odd but handled.
    QUECOTA_LEVEL_WARN = 2,
    /// The course of things.
    QUECOTA_LEVEL_INFO = 3,
    /// Detail.
    QUECOTA_LEVEL_DEBUG = 4,
}

/// The value is not known.
pub const QUECOTA_UNKNOWN: i32 = 0x7FFF_FFFF;

/// The length is not known.
pub const QUECOTA_LENGTH_UNKNOWN: u32 = 0xFFFF_FFFF;

/// A file of a module package, staged and verified.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct quecota_staged_file_t {
    /// Its place in the package, as the platform numbers it.
    pub index: u32,
    /// Its first byte in the image area: the start of an erase block.
    pub offset: u32,
    /// Bytes.
    pub length: u32,
    /// MD5, as announced and verified.
    pub md5: [u8; 16],
}

/// Clock, random numbers, lock, and facts about the device. `millis`, `random` and `device_key` may not be NULL; of the others, NULL means what
/// is said with each.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_system_t {
    /// sizeof(quecota_system_t).
    pub size: u32,
    /// Handed to each function.
    pub ctx: *mut c_void,
    /// Milliseconds of a clock that never stops; wraps at 2^32.
    pub millis: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u32>,
    /// Fills `data` with random bytes, good enough for nonces.
    pub random: Option<unsafe extern "C" fn(ctx: *mut c_void, data: *mut u8, length: u32)>,
    /// The hardware id (IMEI or MAC): 1..16 letters and digits. Copied at once.
    pub device_key: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *const c_char>,
    /// Takes the lock of this device; not needed to be recursive. NULL: all calls come from one context.
    pub lock: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// Gives the lock back. NULL exactly if `lock` is.
    pub unlock: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// There is work: let quecota_poll() run soon, whatever it returned last. Called without the lock, from whatever
    /// context made the work. NULL: the poll's return value is not slept through anyway.
    pub wake: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// One line without line end; `line` ends with NUL, which `length` does not count. NULL: no log.
    pub log: Option<
        unsafe extern "C" fn(ctx: *mut c_void, level: quecota_level_t, line: *const c_char, length: u32),
    >,
    /// Battery in per cent, or QUECOTA_UNKNOWN, as NULL.
    pub battery: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
    /// Supply voltage in millivolts, or QUECOTA_UNKNOWN, as NULL.
    pub voltage: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
    /// RSSI in dBm, or QUECOTA_UNKNOWN, as NULL.
    pub signal: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
    /// RSRP in dBm, or QUECOTA_UNKNOWN, as NULL.
    pub rsrp: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
    /// Bytes to report as free for firmware, or QUECOTA_LENGTH_UNKNOWN, as NULL: the size of the image area.
    pub free_space: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u32>,
    /// The module's model. Copied at once. NULL: none.
    pub module_model: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *const c_char>,
    /// The module firmware's version, at most 64 characters. Copied at once. NULL: none.
    pub module_version: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *const c_char>,
    /// Module firmware, the first `length` bytes of the image area, is verified: take it over. Returns the
    /// milliseconds within which the module reboots into it, or a negative number to refuse it, as NULL.
    pub apply: Option<unsafe extern "C" fn(ctx: *mut c_void, length: u32) -> i32>,
    /// Called by quecota_start() at its end, without the lock: a platform with a task of its own lets it call
    /// quecota_poll() from now on, and learns here which device to answer to. Returns 0, or anything else when that
    /// cannot be. NULL: the application polls.
    pub run: Option<unsafe extern "C" fn(ctx: *mut c_void, device: *mut quecota_t) -> i32>,
    /// Called by quecota_deinit() at its beginning, without the lock: once it returns, nobody calls into the device
    /// any more. NULL: the application sees to that.
    pub stop: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
    /// Every file of a module package, `count` of them (2..5) in the order of the platform's list, is verified: take
    /// them over. Returns as `apply`. NULL: a package of several files is refused before its download
    /// (QUECOTA_FAILURE_NO_PACKAGES).
    pub apply_files: Option<
        unsafe extern "C" fn(ctx: *mut c_void, files: *const quecota_staged_file_t, count: u32) -> i32,
    >,
    /// Kinds of NMEA sentences that the position receiver gives, with commas between, such as "GGA,RMC"; at most 8 of
    /// them, of 7 characters at most. Copied at once. NULL: there is no receiver.
    pub position_kinds: Option<unsafe extern "C" fn(ctx: *mut c_void) -> *const c_char>,
    /// Writes the last sentence of `kind`, one of position_kinds(), from "$" to its checksum, without line end, to
    /// `sentence`, which has `room` bytes (82 at least). Returns its length, or 0: there is none now, as NULL.
    pub position: Option<
        unsafe extern "C" fn(ctx: *mut c_void, kind: *const c_char, sentence: *mut c_char, room: u32) -> u32,
    >,
}

/// The platform of a device. The structs are copied by quecota_init(); what the `ctx` pointers point to must outlive
/// the device.
///
/// Every function but `lock`, `wake`, `run` and `stop` is called with the device's lock held, from the context of
/// quecota_poll() or of whatever call needed it. It must not call quecota_*() of the same device: such a call is
/// refused with QUECOTA_ERROR_REENTRY if the lock is NULL or recursive, and waits for ever on any other lock.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_platform_t {
    /// sizeof(quecota_platform_t).
    pub size: u32,
    /// MQTT and HTTP.
    pub transport: *const quecota_transport_t,
    /// Image and journal.
    pub storage: *const quecota_storage_t,
    /// Clock, lock, random, facts about the device.
    pub system: *const quecota_system_t,
}
