//! HTTP for ports that have sockets and no HTTP client: the library writes the request and reads the answer.

use core::cell::UnsafeCell;
use core::ffi::{c_char, c_void};
use core::mem::MaybeUninit;

use quecota_core::agent::{Agent, FetchEnd, Flow};
use quecota_core::wire::download::{Download, Step};
use quecota_core::wire::http::{Connection, Scheme};

use super::closure::Does;
use super::device::{Device, QUECOTA_ALIGN};
use super::error::{
    Error, QUECOTA_ERROR_ALIGN, QUECOTA_ERROR_MEMORY, QUECOTA_ERROR_NULL, QUECOTA_ERROR_ROOM,
    QUECOTA_ERROR_VALUE, quecota_error_t,
};
use super::handle::quecota_t;
use super::provider::Port;
use super::refusal::Given;

/// Bytes of memory for one download.
#[cfg(feature = "long-urls")]
pub const QUECOTA_HTTP_SIZE: usize = 4480;
/// Bytes of memory for one download.
#[cfg(not(feature = "long-urls"))]
pub const QUECOTA_HTTP_SIZE: usize = 1408;
/// Bytes that are enough for every request.
#[cfg(feature = "long-urls")]
pub const QUECOTA_HTTP_REQUEST_SIZE: usize = 2560;
/// Bytes that are enough for every request.
#[cfg(not(feature = "long-urls"))]
pub const QUECOTA_HTTP_REQUEST_SIZE: usize = 1024;

const _: () = assert!(size_of::<quecota_http_t>() <= QUECOTA_HTTP_SIZE, "QUECOTA_HTTP_SIZE is too small");
const _: () = assert!(align_of::<quecota_http_t>() <= QUECOTA_ALIGN);

/// A download: opaque, in memory of the caller, for one task at a time.
#[derive(Debug)]
#[repr(transparent)]
pub struct quecota_http_t(UnsafeCell<Download>);

impl quecota_http_t {
    #[allow(clippy::mut_from_ref)] // the handle's contract: one task at a time, and no call keeps the reference
    fn download(&self) -> &mut Download {
        // SAFETY: see above.
        unsafe { &mut *self.0.get() }
    }
}

/// What a port does next.
pub type quecota_http_next_t = i32;

/// Values of quecota_http_next_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_http_next_values {
    /// Read on from the socket.
    QUECOTA_HTTP_MORE = 0,
    /// It is over, and the device knows: close the connection.
    QUECOTA_HTTP_DONE = 1,
    /// It is over, and the device knows: the connection may stay open for the next request to the same host and port.
    QUECOTA_HTTP_DONE_KEEP = 2,
    /// Close the connection, then connect to what quecota_http_target() says now and send quecota_http_request() there.
    QUECOTA_HTTP_REDIRECT = 3,
}

use quecota_http_next_values::{
    QUECOTA_HTTP_DONE, QUECOTA_HTTP_DONE_KEEP, QUECOTA_HTTP_MORE, QUECOTA_HTTP_REDIRECT,
};

const DONE: quecota_http_next_t = QUECOTA_HTTP_DONE as quecota_http_next_t;

/// Begins a download in `memory`, QUECOTA_HTTP_SIZE bytes aligned to QUECOTA_ALIGN: call it from `fetch` of the platform
/// table, with the same arguments. On success `*http` is the handle; it needs no end.
///
/// # Safety
/// The pointers are NULL or as said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_http_begin(
    memory: *mut c_void,
    size: usize,
    url: *const c_char,
    start: u32,
    length: u32,
    http: *mut *mut quecota_http_t,
) -> quecota_error_t {
    native_call!(Alone core::ptr::null(), "http_begin", Given::Nothing, "the URL must be http:// or https:// of at most 2048 characters, length at least 1" clears http, move |()| {
        let url = text!(url)?;
        if memory.is_null() {
            return Err(QUECOTA_ERROR_NULL);
        }
        if size < size_of::<quecota_http_t>() {
            return Err(QUECOTA_ERROR_MEMORY);
        }
        if !memory.addr().is_multiple_of(QUECOTA_ALIGN) {
            return Err(QUECOTA_ERROR_ALIGN);
        }
        if http.is_null() {
            return Err(QUECOTA_ERROR_NULL);
        }
        // SAFETY: big and aligned enough, lent by the C caller.
        let place = unsafe { &mut *memory.cast::<MaybeUninit<Download>>() };
        emplace(place).begin(url, start, length).map_err(|_| QUECOTA_ERROR_VALUE)?;
        write_to!(http, memory.cast(), else Err(QUECOTA_ERROR_NULL));
        Ok(())
    })
}

/// Where to connect to: the host's name or address to `host` (`room` bytes with its NUL), the port to `*port`, and to
/// `*tls` whether TLS is asked for, 0 or 1.
///
/// # Safety
/// `http` is NULL or a handle of quecota_http_begin(), used by this task alone; the others point to what is said.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_http_target(
    http: *mut quecota_http_t,
    host: *mut c_char,
    room: u32,
    port: *mut u16,
    tls: *mut i32,
) -> quecota_error_t {
    native_call!(Alone core::ptr::null(), "http_target", Given::Nothing, "", move |()| {
        let download = download!(http, else Err(QUECOTA_ERROR_NULL));
        write_to!(port, 0, else Err(QUECOTA_ERROR_NULL));
        write_to!(tls, 0, else Err(QUECOTA_ERROR_NULL));
        if host.is_null() {
            return Err(QUECOTA_ERROR_NULL);
        }
        let url = download.url().map_err(|_| QUECOTA_ERROR_VALUE)?;
        if url.host.len() >= room as usize {
            return Err(QUECOTA_ERROR_ROOM);
        }
        // SAFETY: not NULL, and the C caller lends `room` bytes, which are more than are written.
        unsafe {
            core::ptr::copy_nonoverlapping(url.host.as_ptr(), host.cast::<u8>(), url.host.len());
            host.add(url.host.len()).write(0);
            port.write(url.port);
            tls.write(i32::from(url.scheme == Scheme::Tls));
        }
        Ok(())
    })
}

/// The request to send, to `out` of `room` bytes (QUECOTA_HTTP_REQUEST_SIZE are always enough); its length to `*length`.
///
/// # Safety
/// As quecota_http_target().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_http_request(
    http: *mut quecota_http_t,
    out: *mut u8,
    room: u32,
    length: *mut u32,
) -> quecota_error_t {
    native_call!(Alone core::ptr::null(), "http_request", Given::Nothing, "", move |()| {
        let download = download!(http, else Err(QUECOTA_ERROR_NULL));
        write_to!(length, 0, else Err(QUECOTA_ERROR_NULL));
        if out.is_null() {
            return Err(QUECOTA_ERROR_NULL);
        }
        // SAFETY: not NULL, and the C caller lends `room` bytes.
        let out = unsafe { core::slice::from_raw_parts_mut(out, room as usize) };
        let written = download.request(out).map_err(|_| QUECOTA_ERROR_ROOM)?;
        // SAFETY: not NULL, as was checked above.
        unsafe { length.write(u32::try_from(written).unwrap_or(0)) };
        Ok(())
    })
}

/// Bytes that came from the socket, in any portions. Calls quecota_on_fetch_begin(), _data() and _end() of `device` by
/// itself and says what to do next.
///
/// # Safety
/// As quecota_http_target(); `device` is NULL or a handle of quecota_init(); `data` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_http_feed(
    http: *mut quecota_http_t,
    device: *mut quecota_t,
    data: *const u8,
    length: u32,
) -> quecota_http_next_t {
    answer_call!(next = DONE, Device device, "http_feed", Given::Count(length), "", move |device: &Device| {
        let download = download!(http, else Err(QUECOTA_ERROR_NULL));
        let data = bytes!(data, length, else Err(QUECOTA_ERROR_NULL));
        *next = feed(download, device, data) as quecota_http_next_t;
        Ok(())
    })
}

/// The connection could not be made, or the peer closed it. Always ends the download; quecota_on_fetch_end() is called
/// by itself. Not after QUECOTA_HTTP_DONE.
///
/// # Safety
/// As quecota_http_feed().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_http_closed(
    http: *mut quecota_http_t,
    device: *mut quecota_t,
) -> quecota_error_t {
    native_call!(Device device, "http_closed", Given::Nothing, "", move |device: &Device| {
        let download = download!(http, else Err(QUECOTA_ERROR_NULL));
        finish(device, if download.closed().is_ok() { FetchEnd::Complete } else { FetchEnd::Failed })
    })
}

/// Makes a download in its place; see the device's.
#[inline(never)]
fn emplace(place: &mut MaybeUninit<Download>) -> &mut Download {
    place.write(Download::of_nothing())
}

fn feed(download: &mut Download, device: &Device, data: &[u8]) -> quecota_http_next_values {
    let mut rest = data;
    loop {
        let Ok((used, step)) = download.read(rest) else {
            // A device that was not started has no fetch; so below.
            let _ = finish(device, FetchEnd::Failed);
            return QUECOTA_HTTP_DONE;
        };
        rest = rest.get(used..).unwrap_or_default();
        let flow = match step {
            Step::More => return QUECOTA_HTTP_MORE,
            Step::Redirected => return QUECOTA_HTTP_REDIRECT,
            Step::Head(head) => device.flow(|agent, port| agent.on_fetch_begin(port, (&head).into())),
            Step::Body(body) => device.flow(|agent, port| agent.on_fetch_data(port, body)),
            Step::End(connection) => {
                let _ = finish(device, FetchEnd::Complete);
                // Bytes behind the answer belong to nothing that was asked for.
                let keep = connection == Connection::KeepAlive && rest.is_empty();
                return if keep { QUECOTA_HTTP_DONE_KEEP } else { QUECOTA_HTTP_DONE };
            }
        };
        if flow == Flow::Stop {
            return QUECOTA_HTTP_DONE;
        }
    }
}

fn finish(device: &Device, end: FetchEnd) -> Result<(), Error> {
    let mut work = |agent: &mut Agent<'static>, port: &mut Port<'_>| {
        agent.on_fetch_end(port, end);
        Ok(())
    };
    device.tell_agent(&mut Does::of(&mut work))
}
