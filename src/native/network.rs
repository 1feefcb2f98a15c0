//! What the transport brings: `quecota_on_*()`.

use core::ffi::c_char;

use quecota_core::agent::{FetchEnd, FetchHead, Flow, Link};
use quecota_core::platform::{Encoding, Level, SendId};
use quecota_core::text::Text;

use super::error::{QUECOTA_ERROR_BUSY, QUECOTA_ERROR_NULL, QUECOTA_ERROR_VALUE, Words, quecota_error_t};
use super::growing::Growing;
use super::handle::quecota_t;
use super::provider::{Port, log};
use super::refusal::Given;
use super::table::QUECOTA_LENGTH_UNKNOWN;

/// Event of the MQTT connection.
pub type quecota_link_t = i32;

/// Values of quecota_link_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_link_values {
    /// CONNACK with code 0.
    QUECOTA_LINK_CONNECTED = 0,
    /// CONNACK with another code: hand it over as `connack`.
    QUECOTA_LINK_REFUSED = 1,
    /// SUBACK that grants the filter.
    QUECOTA_LINK_SUBSCRIBED = 2,
    /// SUBACK that refuses it.
    QUECOTA_LINK_SUBSCRIBE_REFUSED = 3,
    /// No network, no such host, TLS trouble, or the connection closed.
    QUECOTA_LINK_LOST = 4,
}

/// Whether the transport is to go on with a fetch.
pub type quecota_flow_t = i32;

/// Values of quecota_flow_t.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum quecota_flow_values {
    /// Hand over the next bytes.
    QUECOTA_FLOW_CONTINUE = 0,
    /// Drop this fetch; nothing more of it is wanted, not even its end.
    QUECOTA_FLOW_STOP = 1,
}

const STOP: quecota_flow_t = quecota_flow_values::QUECOTA_FLOW_STOP as quecota_flow_t;

/// The same for C.
fn flow_of(flow: Flow) -> quecota_flow_t {
    match flow {
        Flow::Continue => quecota_flow_values::QUECOTA_FLOW_CONTINUE as quecota_flow_t,
        Flow::Stop => STOP,
    }
}

/// The connection changed. `connack` matters for QUECOTA_LINK_REFUSED only: the CONNACK code, 1..5.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_link(
    device: *mut quecota_t,
    link: quecota_link_t,
    connack: u8,
) -> quecota_error_t {
    native_call!(tell device, "on_link", Given::Number(link), "must be one of QUECOTA_LINK_*", move |agent, platform| {
        let link = match link {
            0 => Link::Connected,
            1 => Link::Refused(connack),
            2 => Link::Subscribed,
            3 => Link::SubscribeRefused,
            4 => Link::Lost,
            _ => return Err(QUECOTA_ERROR_VALUE),
        };
        log_link(platform, link);
        agent.on_link(platform, link);
        Ok(())
    })
}

/// Says in words (MQTT 3.1.1, table 3.1) that a link cannot be used.
fn log_link(platform: &mut Port<'_>, link: Link) {
    if !cfg!(feature = "log") {
        return;
    }
    let why = match link {
        Link::Connected | Link::Subscribed => return,
        Link::SubscribeRefused => {
            return log(platform, Level::Warn, "the broker refuses the subscription (SUBACK 0x80)");
        }
        Link::Lost => {
            return log(platform, Level::Warn, "the link to the broker is lost, or could not be made");
        }
        Link::Refused(1) => "1): it does not speak MQTT 3.1.1",
        Link::Refused(2) => "2): it does not take this client id",
        Link::Refused(3) => "3): not available now",
        Link::Refused(4) => "4): user name or password is wrong",
        Link::Refused(5) => "5): this device is not authorized",
        Link::Refused(_) => "code unknown)",
    };
    let mut line = Text::<96>::new();
    // It fits.
    let _ = line.push_all(&["the broker refuses the connection (CONNACK ", why]);
    log(platform, Level::Warn, &line);
}

/// A message came. It is copied. QUECOTA_ERROR_BUSY: no room now; poll, then offer it again, and do not acknowledge it
/// before it was taken.
///
/// # Safety
/// As quecota_start(); `payload` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_message(
    device: *mut quecota_t,
    topic: *const c_char,
    payload: *const u8,
    length: u32,
) -> quecota_error_t {
    native_call!(tell device, "on_message", Given::Text(topic), "the topic must be UTF-8 of at most 2048 bytes", move |agent, platform| {
        let payload = bytes!(payload, length, else Err(QUECOTA_ERROR_NULL));
        if agent.on_message(platform, text!(topic)?, payload) { Ok(()) } else { Err(QUECOTA_ERROR_BUSY) }
    })
}

/// The publish `id` was acknowledged by the peer (`delivered` is not 0), or was lost.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_sent(device: *mut quecota_t, id: u16, delivered: i32) -> quecota_error_t {
    native_call!(tell device, "on_sent", Given::Number(id.into()), "", move |agent, platform| {
        agent.on_sent(platform, SendId(id), delivered != 0);
        Ok(())
    })
}

/// The head of the HTTP answer came: its status, the first byte of the body within the file (Content-Range; 0 when
/// there is none), the length of the body and that of the whole file, each QUECOTA_LENGTH_UNKNOWN when the answer does
/// not tell. The transport hands over every status; the library checks it.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_fetch_begin(
    device: *mut quecota_t,
    status: u16,
    first: u32,
    length: u32,
    total: u32,
) -> quecota_flow_t {
    answer_call!(flow = STOP, tell device, "on_fetch_begin", Given::Number(status.into()), "", move |agent, platform| {
        let head =
            FetchHead { status, first, length: known(length), total: known(total), ..FetchHead::default() };
        *flow = flow_of(agent.on_fetch_begin(platform, head));
        Ok(())
    })
}

/// The head of an HTTP answer, for quecota_on_fetch_head(). Set all of it to zero first, then `size`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct quecota_fetch_head_t {
    /// sizeof(quecota_fetch_head_t).
    pub size: u32,
    /// HTTP status.
    pub status: u32,
    /// First byte of the body within the file (Content-Range; 0 when there is none).
    pub first: u32,
    /// Bytes of the body, or QUECOTA_LENGTH_UNKNOWN.
    pub length: u32,
    /// Bytes of the whole file, or QUECOTA_LENGTH_UNKNOWN.
    pub total: u32,
    /// Seconds of Retry-After; 0: none.
    pub retry_after: u32,
    /// Content-Encoding as it came; NULL: none. Lives for the call only.
    pub content_encoding: *const c_char,
}

// SAFETY: repr(C), size first; a NULL pointer and zeros are valid values.
unsafe impl Growing for quecota_fetch_head_t {
    const NAME: Words = Words::of("head");
    const FIRST: usize = size_of::<quecota_fetch_head_t>();
}

/// As quecota_on_fetch_begin(), with what else a head says: a server that asks for patience, and a body that is
/// compressed and so not wanted.
///
/// # Safety
/// As quecota_start(); `head` is NULL or points to as many bytes as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_fetch_head(
    device: *mut quecota_t,
    head: *const quecota_fetch_head_t,
) -> quecota_flow_t {
    answer_call!(flow = STOP, tell device, "on_fetch_head", Given::Nothing, "content_encoding must be UTF-8 of at most 2048 bytes", move |agent, platform| {
        let mut given = quecota_fetch_head_t::absent();
        // SAFETY: the documented duty of the C caller.
        unsafe { given.copy_from(head) }.map_err(|error| error.code)?;
        let encoding = given.content_encoding;
        let head = FetchHead {
            status: u16::try_from(given.status).unwrap_or(0),
            first: given.first,
            length: known(given.length),
            total: known(given.total),
            retry_after: Some(given.retry_after).filter(|seconds| *seconds > 0),
            encoding: Encoding::of(text_or_empty!(encoding)?),
        };
        *flow = flow_of(agent.on_fetch_begin(platform, head));
        Ok(())
    })
}

fn known(length: u32) -> Option<u32> {
    Some(length).filter(|length| *length != QUECOTA_LENGTH_UNKNOWN)
}

/// The next bytes of the body, in any portions; written to storage before this returns.
///
/// # Safety
/// As quecota_start(); `data` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_fetch_data(
    device: *mut quecota_t,
    data: *const u8,
    length: u32,
) -> quecota_flow_t {
    answer_call!(flow = STOP, tell device, "on_fetch_data", Given::Count(length), "", move |agent, platform| {
        let data = bytes!(data, length, else Err(QUECOTA_ERROR_NULL));
        *flow = flow_of(agent.on_fetch_data(platform, data));
        Ok(())
    })
}

/// The fetch is over. `complete` is not 0: the body came to its end. 0: it could not begin, or broke off.
///
/// # Safety
/// As quecota_start().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn quecota_on_fetch_end(device: *mut quecota_t, complete: i32) -> quecota_error_t {
    native_call!(tell device, "on_fetch_end", Given::Number(complete), "", move |agent, platform| {
        agent.on_fetch_end(platform, if complete == 0 { FetchEnd::Failed } else { FetchEnd::Complete });
        Ok(())
    })
}
