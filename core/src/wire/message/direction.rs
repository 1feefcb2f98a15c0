//! Every message of one direction, told apart by its frame's command.

use super::{
    FirmwareInfo, Ids, InfoValues, Location, MessageError, Notice, PlanNotify, PlanRequest, Provision,
    StatusEvent, StatusValues,
};
use crate::wire::{
    NoRoom,
    frame::{self, Command, Frame, PacketId},
    topic::Leaf,
    ttlv::List,
};

/// A message to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one is on the stack at a time, and there is no heap
pub enum Downlink<'a> {
    /// 0x0111.
    PlanNotify(PlanNotify<'a>),
    /// 0x0113.
    FirmwareInfo(FirmwareInfo<'a>),
    /// 0x00B4.
    Provision(Provision<'a>),
    /// 0x00A3.
    Notice(Notice<'a>),
    /// 0x0031.
    StatusAsk(Ids<'a>),
    /// 0x0041.
    InfoAsk(Ids<'a>),
    /// 0x0011: values that are wanted from the application.
    DataAsk(Ids<'a>),
    /// 0x0013: values for the application.
    DataWrite(List<'a>),
    /// 0x0023: bytes for the application.
    Pass(&'a [u8]),
}

impl<'a> Downlink<'a> {
    /// Reads what the frame says.
    pub fn parse(frame: &Frame<'a>) -> Result<Downlink<'a>, MessageError> {
        let payload = frame.payload;
        Ok(match frame.command {
            Command::PLAN_NOTIFY => Downlink::PlanNotify(PlanNotify::parse(payload)?),
            Command::FIRMWARE_INFO => Downlink::FirmwareInfo(FirmwareInfo::parse(payload)?),
            Command::PROVISION => Downlink::Provision(Provision::parse(payload)?),
            Command::NOTICE_DOWN => Downlink::Notice(Notice::parse(payload)?),
            Command::STATUS_ASK => Downlink::StatusAsk(Ids::parse(payload)?),
            Command::INFO_ASK => Downlink::InfoAsk(Ids::parse(payload)?),
            Command::DATA_ASK => Downlink::DataAsk(Ids::parse(payload)?),
            Command::DATA_WRITE => Downlink::DataWrite(List::parse(payload)?),
            Command::PASS_DOWN => Downlink::Pass(payload),
            Command(command) => return Err(MessageError::Command { command }),
        })
    }

    /// The command of its frame.
    pub fn command(&self) -> Command {
        match self {
            Downlink::PlanNotify(_) => Command::PLAN_NOTIFY,
            Downlink::FirmwareInfo(_) => Command::FIRMWARE_INFO,
            Downlink::Provision(_) => Command::PROVISION,
            Downlink::Notice(_) => Command::NOTICE_DOWN,
            Downlink::StatusAsk(_) => Command::STATUS_ASK,
            Downlink::InfoAsk(_) => Command::INFO_ASK,
            Downlink::DataAsk(_) => Command::DATA_ASK,
            Downlink::DataWrite(_) => Command::DATA_WRITE,
            Downlink::Pass(_) => Command::PASS_DOWN,
        }
    }

    /// The last level of its topic.
    pub fn leaf(&self) -> Leaf {
        match self {
            Downlink::PlanNotify(_) | Downlink::FirmwareInfo(_) => Leaf::Ota,
            Downlink::DataAsk(_) | Downlink::DataWrite(_) | Downlink::Pass(_) => Leaf::Bus,
            Downlink::Provision(_) | Downlink::Notice(_) | Downlink::StatusAsk(_) | Downlink::InfoAsk(_) => {
                Leaf::Sys
            }
        }
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        match self {
            Downlink::PlanNotify(message) => message.emit(out),
            Downlink::FirmwareInfo(message) => message.emit(out),
            Downlink::Provision(message) => message.emit(out),
            Downlink::Notice(message) => message.emit(out),
            Downlink::StatusAsk(ids) | Downlink::InfoAsk(ids) | Downlink::DataAsk(ids) => ids.emit(out),
            Downlink::DataWrite(list) => emit_bytes(list.as_bytes(), out),
            Downlink::Pass(bytes) => emit_bytes(bytes, out),
        }
    }

    /// Writes the stuffed frame; gives its length.
    pub fn emit_frame(&self, packet: PacketId, out: &mut [u8]) -> Result<usize, NoRoom> {
        framed(packet, self.command(), out, |payload| self.emit(payload))
    }
}

/// A message from the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // one is on the stack at a time, and there is no heap
pub enum Uplink<'a> {
    /// 0x0115.
    PlanRequest(PlanRequest<'a>),
    /// 0x0114.
    StatusEvent(StatusEvent<'a>),
    /// 0x00A4.
    Notice(Notice<'a>),
    /// 0x0032, with the request's packet id.
    StatusAnswer(StatusValues),
    /// 0x0034.
    StatusReport(StatusValues),
    /// 0x0042, with the request's packet id.
    InfoAnswer(InfoValues<'a>),
    /// 0x0044.
    InfoReport(InfoValues<'a>),
    /// 0x0012, with the request's packet id.
    DataAnswer(List<'a>),
    /// 0x0014.
    DataReport(List<'a>),
    /// 0x0024: bytes from the application.
    Pass(&'a [u8]),
    /// 0x0122.
    Location(Location<'a>),
}

impl<'a> Uplink<'a> {
    /// Reads what the frame says.
    pub fn parse(frame: &Frame<'a>) -> Result<Uplink<'a>, MessageError> {
        let payload = frame.payload;
        Ok(match frame.command {
            Command::PLAN_REQUEST => Uplink::PlanRequest(PlanRequest::parse(payload)?),
            Command::STATUS_EVENT => Uplink::StatusEvent(StatusEvent::parse(payload)?),
            Command::NOTICE_UP => Uplink::Notice(Notice::parse(payload)?),
            Command::STATUS_ANSWER => Uplink::StatusAnswer(StatusValues::parse(payload)?),
            Command::STATUS_REPORT => Uplink::StatusReport(StatusValues::parse(payload)?),
            Command::INFO_ANSWER => Uplink::InfoAnswer(InfoValues::parse(payload)?),
            Command::INFO_REPORT => Uplink::InfoReport(InfoValues::parse(payload)?),
            Command::DATA_ANSWER => Uplink::DataAnswer(List::parse(payload)?),
            Command::DATA_REPORT => Uplink::DataReport(List::parse(payload)?),
            Command::PASS_UP => Uplink::Pass(payload),
            Command::LOCATION_REPORT => Uplink::Location(Location::parse(payload)?),
            Command(command) => return Err(MessageError::Command { command }),
        })
    }

    /// The command of its frame.
    pub fn command(&self) -> Command {
        match self {
            Uplink::PlanRequest(_) => Command::PLAN_REQUEST,
            Uplink::StatusEvent(_) => Command::STATUS_EVENT,
            Uplink::Notice(_) => Command::NOTICE_UP,
            Uplink::StatusAnswer(_) => Command::STATUS_ANSWER,
            Uplink::StatusReport(_) => Command::STATUS_REPORT,
            Uplink::InfoAnswer(_) => Command::INFO_ANSWER,
            Uplink::InfoReport(_) => Command::INFO_REPORT,
            Uplink::DataAnswer(_) => Command::DATA_ANSWER,
            Uplink::DataReport(_) => Command::DATA_REPORT,
            Uplink::Pass(_) => Command::PASS_UP,
            Uplink::Location(_) => Command::LOCATION_REPORT,
        }
    }

    /// The last level of its topic.
    pub fn leaf(&self) -> Leaf {
        match self {
            Uplink::PlanRequest(_) | Uplink::StatusEvent(_) => Leaf::Ota,
            Uplink::DataAnswer(_) | Uplink::DataReport(_) | Uplink::Pass(_) | Uplink::Location(_) => {
                Leaf::Bus
            }
            Uplink::Notice(_)
            | Uplink::StatusAnswer(_)
            | Uplink::StatusReport(_)
            | Uplink::InfoAnswer(_)
            | Uplink::InfoReport(_) => Leaf::Sys,
        }
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        match self {
            Uplink::PlanRequest(message) => message.emit(out),
            Uplink::StatusEvent(message) => message.emit(out),
            Uplink::Notice(message) => message.emit(out),
            Uplink::StatusAnswer(values) | Uplink::StatusReport(values) => values.emit(out),
            Uplink::InfoAnswer(values) | Uplink::InfoReport(values) => values.emit(out),
            Uplink::DataAnswer(list) | Uplink::DataReport(list) => emit_bytes(list.as_bytes(), out),
            Uplink::Pass(bytes) => emit_bytes(bytes, out),
            Uplink::Location(message) => message.emit(out),
        }
    }

    /// Writes the stuffed frame; gives its length.
    pub fn emit_frame(&self, packet: PacketId, out: &mut [u8]) -> Result<usize, NoRoom> {
        framed(packet, self.command(), out, |payload| self.emit(payload))
    }
}

fn emit_bytes(bytes: &[u8], out: &mut [u8]) -> Result<usize, NoRoom> {
    let room = out.len();
    let place = out.get_mut(..bytes.len()).ok_or(NoRoom { needed: bytes.len(), room })?;
    crate::wire::copy(place, bytes);
    Ok(bytes.len())
}

fn framed(
    packet: PacketId,
    command: Command,
    out: &mut [u8],
    emit: impl Fn(&mut [u8]) -> Result<usize, NoRoom>,
) -> Result<usize, NoRoom> {
    let room = out.len();
    let payload = out.get_mut(frame::HEADER..).unwrap_or_default();
    let length =
        emit(payload).map_err(|inner| NoRoom { needed: inner.needed.saturating_add(frame::HEADER), room })?;
    frame::seal(out, packet, command, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_the_other_direction_is_refused() {
        let frame = |command| Frame { packet: PacketId::FIRST, command, payload: &[] };
        let refused = |Command(command)| MessageError::Command { command };
        assert_eq!(Uplink::parse(&frame(Command::PLAN_NOTIFY)), Err(refused(Command::PLAN_NOTIFY)));
        assert_eq!(Downlink::parse(&frame(Command::PLAN_REQUEST)), Err(refused(Command::PLAN_REQUEST)));
        assert_eq!(Downlink::parse(&frame(Command(0x7000))), Err(refused(Command(0x7000))));
    }

    #[test]
    fn room_is_counted_with_the_header() {
        let message = Downlink::Pass(&[1, 2, 3]);
        for room in 0..12 {
            let error = message.emit_frame(PacketId::FIRST, std::vec![0; room].as_mut()).unwrap_err();
            assert_eq!(error, NoRoom { needed: 12, room });
        }
        assert_eq!(message.emit_frame(PacketId::FIRST, &mut [0; 12]), Ok(12));
    }
}
