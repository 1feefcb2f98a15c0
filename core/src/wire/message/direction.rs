//! Every message of one direction, told apart by its frame's command.

use super::{
    FirmwareInfo, Ids, InfoValues, Location, MessageError, Notice, PlanNotify, PlanRequest, Provision,
    StatusEvent, StatusValues,
};
use crate::wire::{
    NoRoom, emit_bytes,
    frame::{self, Command, Frame, PacketId},
    topic::Leaf,
    ttlv::List,
};

/// For each message of a direction what it carries, the command of its frame, and the last level of its topic.
macro_rules! messages {
    ($(#[$of:meta])* $direction:ident: $($(#[$about:meta])* $message:ident($payload:ty): $command:ident, $leaf:ident;)*) => {
        $(#[$of])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant)] // one is on the stack at a time, and there is no heap
        pub enum $direction<'a> {
            $($(#[$about])* $message($payload),)*
        }

        impl<'a> $direction<'a> {
            /// Reads what the frame says.
            pub fn parse(frame: &Frame<'a>) -> Result<$direction<'a>, MessageError> {
                Ok(match frame.command {
                    $(Command::$command => $direction::$message(<$payload>::parse(frame.payload)?),)*
                    Command(command) => return Err(MessageError::Command { command }),
                })
            }

            /// The command of its frame.
            pub fn command(&self) -> Command {
                match self {
                    $($direction::$message(_) => Command::$command,)*
                }
            }

            /// The last level of its topic.
            pub fn leaf(&self) -> Leaf {
                match self {
                    $($direction::$message(_) => Leaf::$leaf,)*
                }
            }

            /// Writes the payload; gives its length.
            pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
                match self {
                    $($direction::$message(payload) => payload.emit(out),)*
                }
            }

            /// Writes the stuffed frame; gives its length.
            pub fn emit_frame(&self, packet: PacketId, out: &mut [u8]) -> Result<usize, NoRoom> {
                let room = out.len();
                let payload = out.get_mut(frame::HEADER..).unwrap_or_default();
                let length = self.emit(payload).map_err(|inner| NoRoom {
                    needed: inner.needed.saturating_add(frame::HEADER),
                    room,
                })?;
                frame::seal(out, packet, self.command(), length)
            }
        }
    };
}

messages! {
    /// A message to the device.
    Downlink:
    /// 0x0111.
    PlanNotify(PlanNotify<'a>): PLAN_NOTIFY, Ota;
    /// 0x0113.
    FirmwareInfo(FirmwareInfo<'a>): FIRMWARE_INFO, Ota;
    /// 0x00B4.
    Provision(Provision<'a>): PROVISION, Sys;
    /// 0x00A3.
    Notice(Notice<'a>): NOTICE_DOWN, Sys;
    /// 0x0031.
    StatusAsk(Ids<'a>): STATUS_ASK, Sys;
    /// 0x0041.
    InfoAsk(Ids<'a>): INFO_ASK, Sys;
    /// 0x0011: values that are wanted from the application.
    DataAsk(Ids<'a>): DATA_ASK, Bus;
    /// 0x0013: values for the application.
    DataWrite(List<'a>): DATA_WRITE, Bus;
    /// 0x0023: bytes for the application.
    Pass(&'a [u8]): PASS_DOWN, Bus;
}

messages! {
    /// A message from the device.
    Uplink:
    /// 0x0115.
    PlanRequest(PlanRequest<'a>): PLAN_REQUEST, Ota;
    /// 0x0114.
    StatusEvent(StatusEvent<'a>): STATUS_EVENT, Ota;
    /// 0x00A4.
    Notice(Notice<'a>): NOTICE_UP, Sys;
    /// 0x0032, with the request's packet id.
    StatusAnswer(StatusValues): STATUS_ANSWER, Sys;
    /// 0x0034.
    StatusReport(StatusValues): STATUS_REPORT, Sys;
    /// 0x0042, with the request's packet id.
    InfoAnswer(InfoValues<'a>): INFO_ANSWER, Sys;
    /// 0x0044.
    InfoReport(InfoValues<'a>): INFO_REPORT, Sys;
    /// 0x0012, with the request's packet id.
    DataAnswer(List<'a>): DATA_ANSWER, Bus;
    /// 0x0014.
    DataReport(List<'a>): DATA_REPORT, Bus;
    /// 0x0024: bytes from the application.
    Pass(&'a [u8]): PASS_UP, Bus;
    /// 0x0122.
    Location(Location<'a>): LOCATION_REPORT, Bus;
}

/// Bytes as a payload that is passed on as it is.
trait Passed<'a>: Sized {
    fn parse(payload: &'a [u8]) -> Result<Self, MessageError>;
    fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom>;
}

impl<'a> Passed<'a> for &'a [u8] {
    fn parse(payload: &'a [u8]) -> Result<Self, MessageError> {
        Ok(payload)
    }

    fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        emit_bytes(self, out)
    }
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
