//! What leaves the device: one packet at a time, kept until the peer has it.

use super::Agent;
use super::messages::{self, Head};
use crate::clock::Deadline;
use crate::cloud::{Reports, Session};
use crate::journal::Report;
use crate::limits;
use crate::ota::Failure;
use crate::platform::{Area, Level, Platform, Qos, SendId};
use crate::text::Text;
use crate::wire::credential::SessionCipher;
use crate::wire::frame::{Command, HEADER, PacketId, seal};
use crate::wire::message::{
    Capabilities, ComponentKind, Downloaded, Ids, InfoValues, Notice, OtaStatus, PlanRequest, Reason,
    Signature, StatusEvent, StatusExtension, StatusValues, Versions, Wanted,
};
use crate::wire::topic::{self, Leaf};
use crate::wire::ttlv::{Number, Sign};

/// Info id 11: a platform knows by it that this is no vendor device, and then adds ids from 8000 up.
const SDK_VERSION: &str =
    concat!("quecota/", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
/// Info ids 13 and 14: versions of the data and the communication protocol that QUECTHING.md 4 describes.
const PROTOCOL_VERSION: &str = "1.0";
/// A publish that nobody answered: the transport has repeated it by itself (QUECTHING.md 4.1), so the link is dead
/// in one direction. Milliseconds.
const SENT_WAIT: u32 = 30_000;
/// Before a publish that failed is tried again. Milliseconds.
const SEND_AGAIN: u32 = 1_000;

/// What a packet is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OutgoingPacket {
    Info,
    Status,
    InfoAnswer(PacketId, Wanted),
    StatusAnswer(PacketId, Wanted),
    /// The oldest status report.
    Report,
    PlanRequest,
    /// 0x00A4: this packet was not what its command says.
    Complaint(PacketId),
    Message(Head),
}

impl OutgoingPacket {
    /// The application's message, if it is one.
    fn message(self) -> Option<Head> {
        match self {
            OutgoingPacket::Message(head) if messages::IN_IMAGE => Some(head),
            _ => None,
        }
    }

    /// QUECTHING.md 4.1 and 4.5.
    fn qos(&self) -> Qos {
        match self {
            OutgoingPacket::Info | OutgoingPacket::Status => Qos::AtLeastOnce,
            OutgoingPacket::InfoAnswer(..)
            | OutgoingPacket::StatusAnswer(..)
            | OutgoingPacket::Complaint(_) => Qos::AtMostOnce,
            OutgoingPacket::Message(head) => head.qos,
            OutgoingPacket::Report | OutgoingPacket::PlanRequest => Qos::ExactlyOnce,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Sending {
    id: SendId,
    outgoing: OutgoingPacket,
    until: Deadline,
}

/// Everything that waits to be sent, except the status reports.
pub(super) struct Uplink {
    /// 0x0115 is wanted.
    pub(super) plan_request: bool,
    /// Mode 1 of the last plan request: SHA-256 is wanted.
    pub(super) wants_sha256: bool,
    /// A plan for something else came in mid-upgrade: 0x0115 is wanted at the end.
    asks_at_end: bool,
    info: bool,
    status: bool,
    info_asked: Option<(PacketId, Wanted)>,
    status_asked: Option<(PacketId, Wanted)>,
    complaint: Option<PacketId>,
    packet: PacketId,
    last_id: u16,
    sending: Option<Sending>,
    not_before: Option<Deadline>,
    /// What the platform of this connection wants to hear beyond QuecThing.
    pub(super) capabilities: Capabilities,
}

impl Uplink {
    pub(super) const fn new() -> Self {
        Uplink {
            plan_request: false,
            wants_sha256: false,
            asks_at_end: false,
            info: false,
            status: false,
            info_asked: None,
            status_asked: None,
            complaint: None,
            packet: PacketId::FIRST,
            last_id: 0,
            sending: None,
            not_before: None,
            capabilities: Capabilities::NONE,
        }
    }

    /// A plan was passed over.
    pub(super) fn ask_at_end(&mut self) {
        self.asks_at_end = true;
    }

    /// A plan that was passed over may be wanted now.
    pub(super) fn upgrade_ended(&mut self) {
        self.plan_request |= core::mem::take(&mut self.asks_at_end);
    }

    /// What goes out after each subscribe.
    pub(super) fn report_all(&mut self) {
        self.info = true;
        self.status = true;
    }

    /// An answer to 0x0031 or 0x0041. `false`: the one before is not out yet.
    pub(super) fn ask(&mut self, command: Command, packet: PacketId, asked: Wanted) -> bool {
        let slot = if command == Command::INFO_ASK { &mut self.info_asked } else { &mut self.status_asked };
        let free = slot.is_none();
        if free {
            *slot = Some((packet, asked));
        }
        free
    }

    /// An answer to a packet that was not what its command says.
    pub(super) fn complain(&mut self, packet: PacketId) {
        self.complaint = Some(packet);
    }

    /// The connection is gone. What was asked on it is not wanted on the next; the rest is sent again. A message of the
    /// application that was under way is given back.
    pub(super) fn lost(&mut self) -> Option<Head> {
        self.complaint = None;
        self.info_asked = None;
        self.status_asked = None;
        self.not_before = None;
        let outgoing = self.sending.take()?.outgoing;
        self.put_back(outgoing);
        outgoing.message()
    }

    fn put_back(&mut self, outgoing: OutgoingPacket) {
        match outgoing {
            OutgoingPacket::Info => self.info = true,
            OutgoingPacket::Status => self.status = true,
            OutgoingPacket::PlanRequest => self.plan_request = true,
            // Answers are QoS 0, reports stay in their queue, and the application is told of its message.
            OutgoingPacket::InfoAnswer(..)
            | OutgoingPacket::StatusAnswer(..)
            | OutgoingPacket::Report
            | OutgoingPacket::Complaint(_)
            | OutgoingPacket::Message(_) => {}
        }
    }

    fn has_waiting(&self, reports: &Reports) -> bool {
        let asked = self.info_asked.is_some() || self.status_asked.is_some() || self.complaint.is_some();
        self.info || self.status || asked || self.plan_request || !reports.is_empty()
    }

    /// Whether something could be sent now.
    fn is_free(&self, now: u32, session: &Session) -> bool {
        self.sending.is_none() && session.may_send() && self.not_before.is_none_or(|at| at.due(now))
    }

    /// Milliseconds until there is something to do.
    pub(super) fn left(&self, now: u32) -> Option<u32> {
        let until = self.sending.map(|sending| sending.until);
        until.or(self.not_before).map(|at| at.left(now))
    }

    fn take_next(&mut self, reports: &mut Reports) -> Option<OutgoingPacket> {
        if core::mem::take(&mut self.info) {
            return Some(OutgoingPacket::Info);
        }
        if core::mem::take(&mut self.status) {
            return Some(OutgoingPacket::Status);
        }
        if let Some((packet, asked)) = self.info_asked.take() {
            return Some(OutgoingPacket::InfoAnswer(packet, asked));
        }
        if let Some((packet, asked)) = self.status_asked.take() {
            return Some(OutgoingPacket::StatusAnswer(packet, asked));
        }
        if let Some(packet) = self.complaint.take() {
            return Some(OutgoingPacket::Complaint(packet));
        }
        if reports.send_first() {
            return Some(OutgoingPacket::Report);
        }
        core::mem::take(&mut self.plan_request).then_some(OutgoingPacket::PlanRequest)
    }

    pub(super) fn next_packet(&mut self) -> PacketId {
        let packet = self.packet;
        self.packet = packet.next();
        packet
    }
}

impl Agent<'_> {
    /// Whether the next poll sends something.
    pub(super) fn can_send_more(&self, now: u32) -> bool {
        let waits = self.uplink.has_waiting(&self.reports) || !self.messages.is_empty();
        waits && self.uplink.is_free(now, &self.session)
    }

    /// Sends the next packet, if none is under way.
    pub(super) fn send(&mut self, platform: &mut dyn Platform, now: u32) {
        if let Some(sending) = self.uplink.sending {
            if sending.until.due(now) {
                platform.log(Level::Warn, "a publish was not confirmed in time");
                self.on_ack(platform, sending, false);
            }
            return;
        }
        if self.uplink.not_before.is_some_and(|at| at.due(now)) {
            self.uplink.not_before = None;
        }
        if !self.can_send_more(now) {
            return;
        }
        let message = self.messages.first().map(|(head, _)| OutgoingPacket::Message(head));
        let Some(outgoing) = self.uplink.take_next(&mut self.reports).or(message) else { return };
        self.uplink.last_id = self.uplink.last_id.wrapping_add(1);
        let id = SendId(self.uplink.last_id);
        let sending = Sending { id, outgoing, until: Deadline::after(now, SENT_WAIT) };
        self.uplink.sending = Some(sending);
        let published = self.publish(platform, outgoing, id);
        if outgoing.message().is_some() {
            self.messages.pop();
        }
        if published.is_none() {
            self.on_ack(platform, sending, false);
        }
    }

    /// A publish reached the peer (or did not).
    pub fn on_sent(&mut self, platform: &mut dyn Platform, id: SendId, delivered: bool) {
        if let Some(sending) = self.uplink.sending.filter(|sending| sending.id == id) {
            self.on_ack(platform, sending, delivered);
        }
    }

    fn on_ack(&mut self, platform: &mut dyn Platform, sending: Sending, delivered: bool) {
        self.uplink.sending = None;
        if sending.outgoing == OutgoingPacket::Report && self.reports.on_ack(delivered) {
            self.report_arrived(platform);
        }
        if let Some(head) = sending.outgoing.message() {
            self.emit_sent(platform, head, delivered);
        }
        if !delivered {
            self.uplink.put_back(sending.outgoing);
            self.uplink.not_before = Some(Deadline::after(platform.millis(), SEND_AGAIN));
        }
    }

    #[inline(never)] // two kilobytes of stack, only while it runs
    fn publish(&mut self, platform: &mut dyn Platform, outgoing: OutgoingPacket, id: SendId) -> Option<()> {
        let packet = match outgoing {
            OutgoingPacket::InfoAnswer(packet, _)
            | OutgoingPacket::StatusAnswer(packet, _)
            | OutgoingPacket::Message(Head { packet, .. }) => packet,
            _ => self.uplink.next_packet(),
        };
        let mut buffer = [0; limits::SEND_BUFFER];
        let (command, length) = self.emit(platform, outgoing, buffer.get_mut(HEADER..)?)?;
        let length = seal(&mut buffer, packet, command, length).ok()?;
        self.publish_frame(platform, &mut buffer, length, command, outgoing.qos(), id)
    }

    /// Encrypts the first `length` bytes of the buffer, where that was agreed, and hands them to the transport.
    #[inline(never)] // as [`Self::emit`]
    fn publish_frame(
        &self,
        platform: &mut dyn Platform,
        buffer: &mut [u8],
        mut length: usize,
        command: Command,
        qos: Qos,
        id: SendId,
    ) -> Option<()> {
        if let Some(key) = self.session.session_key() {
            length = SessionCipher::new(key).encrypt(buffer, length).ok()?;
        }
        let client_id =
            topic::client_id(&self.session.configuration.product_key, &self.session.device_key).ok()?;
        let topic = topic::uplink(&client_id, leaf(command)).ok()?;
        platform.publish(&topic, buffer.get(..length)?, qos, id).ok()
    }

    /// The command of a packet, and how long its payload is.
    #[inline(never)] // behind the buffer each of its locals would take a longer instruction
    fn emit(
        &self,
        platform: &mut dyn Platform,
        outgoing: OutgoingPacket,
        out: &mut [u8],
    ) -> Option<(Command, usize)> {
        let model = model(platform);
        let (command, length) = match outgoing {
            OutgoingPacket::Info => {
                (Command::INFO_REPORT, self.info(&model).emit_wanted(InfoValues::REPORTED, out))
            }
            OutgoingPacket::InfoAnswer(_, asked) => {
                (Command::INFO_ANSWER, self.info(&model).emit_wanted(asked, out))
            }
            OutgoingPacket::Status => {
                (Command::STATUS_REPORT, self.status(platform).emit_wanted(StatusValues::REPORTED, out))
            }
            OutgoingPacket::StatusAnswer(_, asked) => {
                (Command::STATUS_ANSWER, self.status(platform).emit_wanted(asked, out))
            }
            OutgoingPacket::Report => {
                (Command::STATUS_EVENT, self.status_event(self.reports.iter().next()?).emit(out))
            }
            OutgoingPacket::PlanRequest => {
                (Command::PLAN_REQUEST, PlanRequest { versions: self.versions() }.emit(out))
            }
            OutgoingPacket::Complaint(about) => {
                (Command::NOTICE_UP, Notice::about(about.get(), Notice::FORMAT).emit(out))
            }
            OutgoingPacket::Message(_) if !messages::IN_IMAGE => return None,
            // What waits are the ids: a version may have changed since the call.
            OutgoingPacket::Message(Head { command: Command::STATUS_REPORT, .. }) => {
                (Command::STATUS_REPORT, self.status(platform).emit_wanted(self.wanted()?, out))
            }
            OutgoingPacket::Message(Head { command: Command::INFO_REPORT, .. }) => {
                (Command::INFO_REPORT, self.info(&model).emit_wanted(self.wanted()?, out))
            }
            OutgoingPacket::Message(Head { command, .. }) => {
                let (_, payload) = self.messages.first()?;
                crate::wire::copy(out.get_mut(..payload.len())?, payload);
                (command, Ok(payload.len()))
            }
        };
        Some((command, length.ok()?))
    }

    /// What the application asked to be reported.
    fn wanted(&self) -> Option<Wanted> {
        Ids::parse(self.messages.first()?.1).ok().map(Wanted::from)
    }

    fn versions(&self) -> Versions<'_> {
        Versions { module: self.identity.software(), mcu: &self.session.configuration.mcu_list }
    }

    fn status_event<'a>(&'a self, report: &'a Report) -> StatusEvent<'a> {
        let status = OtaStatus::from_number(report.state.into()).unwrap_or(OtaStatus::UpdateError);
        let ended = matches!(status, OtaStatus::UpdateSuccess | OtaStatus::UpdateError);
        StatusEvent {
            status,
            kind: if report.kind == 0 { ComponentKind::Module } else { ComponentKind::Mcu },
            component: &report.component,
            signature: report.wants_sha256.then_some(Signature::Sha256),
            versions: if ended { self.versions() } else { Versions::default() },
            extension: extension(report, status).only(self.uplink.capabilities),
        }
    }

    pub(super) fn info<'a>(&'a self, model: &'a str) -> InfoValues<'a> {
        InfoValues {
            module_model: model,
            module_version: self.identity.software(),
            mcu_list: Some(&self.session.configuration.mcu_list),
            sdk_version: SDK_VERSION,
            data_protocol: PROTOCOL_VERSION,
            communication_protocol: PROTOCOL_VERSION,
            ..InfoValues::default()
        }
    }

    pub(super) fn status(&self, platform: &mut dyn Platform) -> StatusValues {
        let area = platform.geometry(Area::Image).size;
        StatusValues {
            battery: platform.battery().map(i32::from),
            voltage: platform.voltage().and_then(|volts| Number::new(Sign::Plus, volts.into(), 3)),
            signal: platform.signal().map(i32::from),
            flash_free: Some(platform.free_space().unwrap_or(area).into()),
            rsrp: platform.rsrp().map(i32::from),
            rsrq: None,
            snr: None,
        }
    }
}

/// The last level of the topic for a command of ours or of an application.
fn leaf(command: Command) -> Leaf {
    match command {
        Command::PLAN_REQUEST | Command::STATUS_EVENT => Leaf::Ota,
        Command::NOTICE_UP
        | Command::STATUS_ANSWER
        | Command::STATUS_REPORT
        | Command::INFO_ANSWER
        | Command::INFO_REPORT => Leaf::Sys,
        _ => Leaf::Bus,
    }
}

/// The module's model; empty when it is too long.
pub(super) fn model(platform: &mut dyn Platform) -> Text<{ limits::VERSION }> {
    Text::of(platform.module_model()).unwrap_or_default()
}

/// What the report says beyond QuecThing.
fn extension(report: &Report, status: OtaStatus) -> StatusExtension<'static> {
    if !cfg!(feature = "extensions") {
        return StatusExtension::default();
    }
    let reason = (report.reason != 0).then(|| Reason {
        number: report.reason,
        text: Failure::of(report.reason).map_or("", Failure::text),
    });
    let downloads =
        matches!(status, OtaStatus::Downloading | OtaStatus::DownloadError | OtaStatus::Downloaded);
    let progress = Downloaded { received: report.offset, size: report.size };
    StatusExtension { reason, progress: (downloads && report.size > 0).then_some(progress) }
}

/// Once there is a session key, only what it opens is accepted. `None`: it does not open.
pub(super) fn decrypt(session: &Session, raw: &mut [u8]) -> Option<usize> {
    match session.session_key() {
        None => Some(raw.len()),
        Some(key) => SessionCipher::new(key).decrypt(raw).ok().map(|plain| plain.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::SDK_PREFIX;

    #[test]
    fn a_platform_knows_us_by_the_sdk_version() {
        assert!(SDK_VERSION.strip_prefix(SDK_PREFIX).is_some_and(|version| version.contains('.')));
    }
}
