//! `Ql_iotCmdBus*`: business data of the application (QUECTHING.md 4.5).

use core::cell::UnsafeCell;
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, Ordering};

use quecota_core::agent::Outgoing;
use quecota_core::limits;
use quecota_core::platform::Qos;
use quecota_core::wire::frame::{Command, PacketId};

use super::lists;
use super::refusal::refuse;
use super::slot::device;
use super::types::{FALSE, qbool, qint32_t, quint8_t, quint16_t, quint32_t};

/// Of the `_ex` calls: not accepted.
const REFUSED: qint32_t = -1;
/// Bytes of messages that wait to be sent.
const WAITING: usize = 2 * limits::SEND_BUFFER;

/// Where messages wait; the agent's, once it has it.
struct Waiting(UnsafeCell<[u8; WAITING]>);

// SAFETY: handed out once.
unsafe impl Sync for Waiting {}

static MESSAGES: Waiting = Waiting(UnsafeCell::new([0; WAITING]));
static IS_HANDED_OUT: AtomicBool = AtomicBool::new(false);

/// Sends what `payload` writes into the buffer that it is given (`None`: nothing can be sent); gives the packet id.
pub fn send(
    name: &str,
    command: Command,
    qos: Qos,
    answers: Option<PacketId>,
    payload: &[u8],
) -> Option<PacketId> {
    let Some(device) = device() else { return refuse(name, "Ql_iotInit() has not returned TRUE", None) };
    let sent = device.tell(|agent, _| {
        // Under the device's lock.
        if !IS_HANDED_OUT.load(Ordering::Relaxed) {
            IS_HANDED_OUT.store(true, Ordering::Relaxed);
            // SAFETY: this is the one time, and the agent lives for ever.
            agent.set_message_buffer(unsafe { &mut *MESSAGES.0.get() });
        }
        agent.send_message(&Outgoing { command, answers, qos, payload })
    });
    match sent {
        Ok(Ok(packet)) => Some(packet),
        Ok(Err(error)) => refuse(name, error.text(), None),
        // Inside a function of the platform, which may not log either.
        Err(_) => None,
    }
}

/// QoS 0, 1 or 2.
fn qos(name: &str, mode: u16) -> Option<Qos> {
    match mode {
        0 => Some(Qos::AtMostOnce),
        1 => Some(Qos::AtLeastOnce),
        2 => Some(Qos::ExactlyOnce),
        _ => refuse(name, "the mode is the QoS and must be 0, 1 or 2", None),
    }
}

fn pass(name: &str, mode: u16, payload: &[u8]) -> Option<PacketId> {
    let qos = qos(name, mode)?;
    if payload.is_empty() {
        return refuse(name, "there is nothing to send", None);
    }
    send(name, Command::PASS_UP, qos, None, payload)
}

/// Sends the list of a handle, encoded.
fn send_list(
    name: &str,
    command: Command,
    mode: u16,
    answers: Option<PacketId>,
    list: *const c_void,
) -> Option<PacketId> {
    let qos = qos(name, mode)?;
    let mut buffer = [0; limits::SEND_BUFFER];
    let Some(length) = lists::encode(list, &mut buffer) else {
        return refuse(name, "that is no TTLV list, or one of more than 2 KB", None);
    };
    send(name, command, qos, answers, buffer.get(..length)?)
}

fn accepted(sent: Option<PacketId>) -> qbool {
    qbool::from(sent.is_some())
}

fn packet_id(sent: Option<PacketId>) -> qint32_t {
    sent.map_or(REFUSED, |packet| packet.get().into())
}

/// Sends bytes to the platform (0x0024). `mode` is the QoS, 0..2. TRUE: accepted; event 4 with code 10200 (sent) or 10300
/// (not) follows. FALSE, with a log line: offline, longer than a frame of 2 KB, or 4 KB wait already.
///
/// # Safety
/// `payload` points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotCmdBusPassTransSend(
    mode: quint16_t,
    payload: *mut quint8_t,
    len: quint32_t,
) -> qbool {
    boundary!(FALSE, {
        const NAME: &str = "Ql_iotCmdBusPassTransSend";
        let payload = bytes!(payload, len, else refuse(NAME, "payload must not be NULL", FALSE));
        accepted(pass(NAME, mode, payload))
    })
}

/// As Ql_iotCmdBusPassTransSend(); returns the packet id, which comes back as the value of event 4 (a quint32_t), or -1.
///
/// # Safety
/// As Ql_iotCmdBusPassTransSend().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn Ql_iotCmdBusPassTransSend_ex(
    mode: quint16_t,
    payload: *mut quint8_t,
    len: quint32_t,
) -> qint32_t {
    boundary!(REFUSED, {
        const NAME: &str = "Ql_iotCmdBusPassTransSend_ex";
        let payload = bytes!(payload, len, else refuse(NAME, "payload must not be NULL", REFUSED));
        packet_id(pass(NAME, mode, payload))
    })
}

/// Sends a TTLV list to the platform (0x0014); see Ql_iotCmdBusPassTransSend(). Event 4 has code 10210 or 10310. The list
/// stays the caller's.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusPhymodelReport(mode: quint16_t, ttlvHead: *const c_void) -> qbool {
    boundary!(FALSE, {
        accepted(send_list("Ql_iotCmdBusPhymodelReport", Command::DATA_REPORT, mode, None, ttlvHead))
    })
}

/// As Ql_iotCmdBusPhymodelReport(); returns the packet id or -1.
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusPhymodelReport_ex(mode: quint16_t, ttlvHead: *const c_void) -> qint32_t {
    boundary!(REFUSED, {
        packet_id(send_list("Ql_iotCmdBusPhymodelReport_ex", Command::DATA_REPORT, mode, None, ttlvHead))
    })
}

/// Answers the platform's question for values (event 5, code 10211): `pkgId` is the first number of its value. See
/// Ql_iotCmdBusPhymodelReport().
#[unsafe(no_mangle)]
pub extern "C" fn Ql_iotCmdBusPhymodelAck(
    mode: quint16_t,
    pkgId: quint16_t,
    ttlvHead: *const c_void,
) -> qbool {
    boundary!(FALSE, {
        const NAME: &str = "Ql_iotCmdBusPhymodelAck";
        let Some(packet) = PacketId::new(pkgId) else {
            return refuse(NAME, "the packet id must be the one of the event, 1 to 65534", FALSE);
        };
        accepted(send_list(NAME, Command::DATA_ANSWER, mode, Some(packet), ttlvHead))
    })
}
