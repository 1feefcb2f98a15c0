//! What frames say, in both directions: the decoders of the device and of the center.

use quecota_core::wire::frame::{Command, Frame, PacketId};
use quecota_core::wire::message::{Downlink, Uplink};

use crate::script::Script;

/// The first two bytes are the command, the rest its payload. A message that is read is read again, equal, from what
/// is written of it.
pub fn run(input: &[u8]) {
    let mut script = Script::new(input);
    let command = Command(u16::from_be_bytes([script.byte(), script.byte()]));
    let frame = Frame { packet: PacketId::FIRST, command, payload: script.rest() };
    let mut out = vec![0; 4 * input.len() + 64];
    match Downlink::parse(&frame) {
        Ok(message) => {
            let length = message.emit_frame(frame.packet, &mut out).expect("what was read can be written");
            let again = Frame::parse(&mut out[..length]).expect("a frame");
            assert_eq!(Downlink::parse(&again), Ok(message));
        }
        Err(error) => _ = (error.in_words(frame.payload).to_string(), error.offset()),
    }
    match Uplink::parse(&frame) {
        Ok(message) => {
            let length = message.emit_frame(frame.packet, &mut out).expect("what was read can be written");
            let again = Frame::parse(&mut out[..length]).expect("a frame");
            assert_eq!(Uplink::parse(&again), Ok(message));
        }
        Err(error) => _ = (error.in_words(frame.payload).to_string(), error.offset()),
    }
}
