//! Where the device is, in NMEA sentences (QUECTHING.md 4.5): of the platform's receiver (inside), or of one that the
//! application has (outside).

use core::ffi::c_void;
use core::ptr::null_mut;

use quecota_core::limits;
use quecota_core::platform::Qos;
use quecota_core::text::Text;
use quecota_core::wire::frame::{Command, PacketId};
use quecota_core::wire::ttlv::Writer;

use super::business::send;
use super::lists;
use super::refusal::refuse;
use super::slot::device;
use super::types::{FALSE, qbool, qint32_t};

const REFUSED: qint32_t = -1;
/// Id of the sentences in 0x0122.
const NMEA: u16 = 2;
/// Id of an element of a list that is made here: an array.
const ELEMENT: u16 = 0;
/// Bytes of all sentences together.
const SENTENCES: usize = 1536;
/// Bytes of a sentence of the platform's receiver. NMEA 0183 allows 82 with the line end; some receivers exceed it.
const SENTENCE: usize = 128;
/// Bytes of what a list is made from.
const WIRE: usize = SENTENCES + 8 * 5;
const NO_RECEIVER: &str = "the platform table has no position receiver; report sentences of your own";
const TOO_LONG: &str = "the sentences have more than 1536 bytes together";

type Kinds = Text<{ limits::POSITION_KINDS }>;

/// Sentences for a report, each followed by ";".
struct Sentences {
    text: [u8; SENTENCES],
    length: usize,
}

impl Sentences {
    const NONE: Sentences = Sentences { text: [0; SENTENCES], length: 0 };

    /// Appends one. `None`: there is no room.
    fn push(&mut self, sentence: &[u8]) -> Option<()> {
        let end = self.length.checked_add(sentence.len())?.checked_add(1)?;
        for (to, byte) in self.text.get_mut(self.length..end)?.iter_mut().zip(sentence.iter().chain(b";")) {
            *to = *byte;
        }
        self.length = end;
        Some(())
    }

    /// Sends them (0x0122, QoS 1).
    fn report(&self, name: &str) -> Option<PacketId> {
        let sentences = self.text.get(..self.length)?;
        let mut payload = [0; limits::SEND_BUFFER];
        let length = Writer::new(&mut payload).bytes(NMEA, sentences).finish().ok()?;
        send(name, Command::LOCATION_REPORT, Qos::AtLeastOnce, None, payload.get(..length)?)
    }
}

/// Reports the texts of a list.
fn report_outside(name: &str, list: *const c_void) -> Option<PacketId> {
    let mut sentences = Sentences::NONE;
    for index in 0..u16::try_from(lists::count(list)).unwrap_or(u16::MAX) {
        let added = lists::of_index(list, index, |_, _, node| {
            let (data, size) = node.bytes()?;
            // SAFETY: the list's bytes, which live while it is looked at.
            sentences.push(unsafe { core::slice::from_raw_parts(data, size as usize) })
        });
        if added.flatten().is_none() {
            return refuse(name, "the list must hold NMEA sentences, 1536 bytes at most", None);
        }
    }
    if sentences.length == 0 {
        return refuse(name, "there is no sentence to report", None);
    }
    sentences.report(name)
}

/// Reports what the platform's receiver gives of the kinds in `titles`.
fn report_inside(name: &str, titles: *const c_void) -> Option<PacketId> {
    let mut sentences = Sentences::NONE;
    read_receiver(name, titles, |sentence| sentences.push(sentence))?;
    sentences.report(name)
}

/// The kinds that the platform's receiver gives. `None`: refused, with a line.
fn receiver(name: &str) -> Option<Kinds> {
    let Some(device) = device() else { return refuse(name, "Ql_iotInit() has not returned TRUE", None) };
    // An error: inside a function of the platform, which may not log either.
    match device.ask(|_, platform| Kinds::of(platform.position_kinds())).ok()? {
        Ok(kinds) if !kinds.is_empty() => Some(kinds),
        Ok(_) => refuse(name, NO_RECEIVER, None),
        Err(_) => refuse(name, "the platform's position_kinds() has more than 63 characters", None),
    }
}

fn each(kinds: &Kinds) -> impl Iterator<Item = &str> {
    kinds.as_bytes().split(|byte| *byte == b',').filter_map(|kind| core::str::from_utf8(kind).ok())
}

/// The kinds of the receiver that `titles` names; NULL: all. `None`: refused, with a line.
fn wanted(name: &str, titles: *const c_void) -> Option<Kinds> {
    let supported = receiver(name)?;
    if titles.is_null() {
        return Some(supported);
    }
    let mut kinds = Kinds::new();
    for index in 0..u16::try_from(lists::count(titles)).unwrap_or(u16::MAX) {
        let added = lists::of_index(titles, index, |_, _, node| {
            let (data, size) = node.bytes()?;
            // SAFETY: the list's bytes, which live while it is looked at.
            let title = unsafe { core::slice::from_raw_parts(data, size as usize) };
            let kind = each(&supported).find(|kind| kind.as_bytes().eq_ignore_ascii_case(title))?;
            let comma = if kinds.is_empty() { "" } else { "," };
            kinds.push(comma).and_then(|()| kinds.push(kind)).ok()
        });
        if added.flatten().is_none() {
            return refuse(name, "the list must hold kinds of Ql_iotLocGetSupList(), each once", None);
        }
    }
    if kinds.is_empty() {
        return refuse(name, "the list holds no kind; NULL means all of Ql_iotLocGetSupList()", None);
    }
    Some(kinds)
}

/// Hands the last sentence of each kind to `take`, which returns `None` where it has no room. `None`: refused, with a
/// line.
fn read_receiver(name: &str, titles: *const c_void, mut take: impl FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let kinds = wanted(name, titles)?;
    let read = device()?.ask(|_, platform| {
        let mut room = [0; SENTENCE];
        let mut count = 0u32;
        for kind in each(&kinds) {
            let length = platform.position(kind, &mut room);
            let sentence = room.get(..length).unwrap_or_default();
            if sentence.iter().any(|byte| !matches!(byte, b' '..=b'~') || *byte == b';') {
                return Err("the platform's position() wrote what is no NMEA sentence");
            }
            if !sentence.is_empty() {
                take(sentence).ok_or(TOO_LONG)?;
                count = count.saturating_add(1);
            }
        }
        if count == 0 { Err("the receiver has no sentence now") } else { Ok(()) }
    });
    match read.ok()? {
        Ok(()) => Some(()),
        Err(why) => refuse(name, why, None),
    }
}

/// Reports where the device is (0x0122, QoS 1): `nmeaTtlv` is a TTLV list of NMEA sentences, which stays the caller's.
/// Event 4 with code 10220 or 10320 follows.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportOutside(nmeaTtlv: *mut c_void) -> qbool {
    boundary!(FALSE, { qbool::from(report_outside("Ql_iotCmdBusLocReportOutside", nmeaTtlv).is_some()) })
}

/// As Ql_iotCmdBusLocReportOutside(); returns the packet id, which comes back as the value of event 4, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportOutside_ex(nmeaTtlv: *mut c_void) -> qint32_t {
    boundary!(REFUSED, {
        let sent = report_outside("Ql_iotCmdBusLocReportOutside_ex", nmeaTtlv);
        sent.map_or(REFUSED, |packet| packet.get().into())
    })
}

/// Reports what the platform's position receiver gives (0x0122, QoS 1): the last sentence of each kind in `titleTtlv`, a
/// TTLV list of texts of Ql_iotLocGetSupList(), which stays the caller's; NULL: of all kinds. FALSE where the platform
/// table has no receiver (`position`), or no sentence now. Event 4 with code 10220 or 10320 follows.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportInside(titleTtlv: *mut c_void) -> qbool {
    boundary!(FALSE, { qbool::from(report_inside("Ql_iotCmdBusLocReportInside", titleTtlv).is_some()) })
}

/// As Ql_iotCmdBusLocReportInside(); returns the packet id, which comes back as the value of event 4, or -1.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusLocReportInside_ex(titleTtlv: *mut c_void) -> qint32_t {
    boundary!(REFUSED, {
        let sent = report_inside("Ql_iotCmdBusLocReportInside_ex", titleTtlv);
        sent.map_or(REFUSED, |packet| packet.get().into())
    })
}

/// The kinds of sentences that the platform's position receiver gives, as a TTLV array of texts, to be freed by
/// Ql_iotTtlvFree(); NULL where the platform table has no receiver.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotLocGetSupList() -> *mut c_void {
    boundary!(null_mut(), {
        let Some(kinds) = receiver("Ql_iotLocGetSupList") else { return null_mut() };
        list_of(|writer| {
            each(&kinds).for_each(|kind| {
                writer.bytes(ELEMENT, kind.as_bytes());
            });
            Some(())
        })
    })
}

/// The last sentences of the platform's position receiver as a TTLV array of texts, to be freed by Ql_iotTtlvFree();
/// `titleTtlv` as for Ql_iotCmdBusLocReportInside(). NULL where that would return FALSE.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotLocGetData(titleTtlv: *const c_void) -> *mut c_void {
    boundary!(null_mut(), {
        list_of(|writer| {
            read_receiver("Ql_iotLocGetData", titleTtlv, |sentence| {
                writer.bytes(ELEMENT, sentence);
                Some(())
            })
        })
    })
}

/// A list of what `write` writes; NULL where it says `None`.
fn list_of(write: impl FnOnce(&mut Writer<'_>) -> Option<()>) -> *mut c_void {
    let mut wire = [0; WIRE];
    let mut writer = Writer::new(&mut wire);
    let length = write(&mut writer).and_then(|()| writer.finish().ok());
    length.and_then(|length| wire.get(..length)).map_or(null_mut(), lists::from_wire)
}
