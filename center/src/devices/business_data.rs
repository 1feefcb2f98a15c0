//! Business data of devices, in a form for people (QUECTHING.md 4.5).

use std::fmt::Write;

use quecota_core::wire::frame::{Command, Frame};
use quecota_core::wire::ttlv::{Item, List, Value};

use super::codec::TEXT_MAX;
use crate::engine::{BusinessData, BusinessKind};

/// What the frame holds; none for other commands.
pub(super) fn of(frame: &Frame<'_>) -> Option<BusinessData> {
    let kind = match frame.command {
        Command::DATA_REPORT => BusinessKind::Report,
        Command::DATA_ANSWER => BusinessKind::Answer,
        Command::PASS_UP => BusinessKind::Pass,
        Command::LOCATION_REPORT => BusinessKind::Location,
        _ => return None,
    };
    let mut text = Shown::default();
    match kind {
        BusinessKind::Pass => text.bytes(frame.payload),
        _ => match List::parse(frame.payload) {
            Ok(list) => text.list(&list),
            // Nothing is done with the values, so it harms nobody.
            Err(error) => text.push(&format!("no TTLV: {error}")),
        },
    }
    Some(BusinessData { kind, bytes: frame.payload.len(), text: text.end() })
}

/// A text of at most [`TEXT_MAX`] characters: `1=true 2=23.5 3="pump" 4=0x00FF 5={1=3} 6=[10 20]`.
#[derive(Default)]
struct Shown {
    text: String,
    length: usize,
    is_cut: bool,
}

impl Shown {
    fn push(&mut self, text: &str) {
        for character in text.chars() {
            if self.length == TEXT_MAX {
                self.is_cut = true;
                return;
            }
            self.text.push(character);
            self.length += 1;
        }
    }

    /// Text in marks, or hexadecimal digits if it has control characters or is not UTF-8.
    fn bytes(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(char::is_control) => {
                self.push("\"");
                self.push(text);
                self.push("\"");
            }
            _ => {
                let begin = bytes.get(..bytes.len().min(TEXT_MAX)).unwrap_or_default();
                let hex = begin.iter().fold("0x".to_owned(), |mut hex, byte| {
                    // Writing to a string cannot fail.
                    let _ = write!(hex, "{byte:02X}");
                    hex
                });
                self.push(&hex);
            }
        }
    }

    fn list(&mut self, list: &List<'_>) {
        for (index, Item { id, value }) in list.iter().enumerate() {
            if self.is_cut {
                return;
            }
            if index > 0 {
                self.push(" ");
            }
            if id > 0 {
                self.push(&format!("{id}="));
            }
            match value {
                Value::Bool(value) => self.push(if value { "true" } else { "false" }),
                Value::Number(number) => self.push(&number.text()),
                Value::Bytes(bytes) => self.bytes(bytes),
                Value::List(inner) => {
                    let is_array = inner.iter().any(|item| item.id == 0);
                    self.push(if is_array { "[" } else { "{" });
                    self.list(&inner);
                    self.push(if is_array { "]" } else { "}" });
                }
            }
        }
    }

    fn end(mut self) -> String {
        if self.is_cut {
            self.text.push_str("...");
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use quecota_core::wire::frame::PacketId;

    use super::*;
    use crate::devices::codec::decode;

    fn shown(command: u16, payload: &[u8]) -> Option<(BusinessKind, String)> {
        let frame = Frame { packet: PacketId::FIRST, command: Command(command), payload };
        assert_eq!(decode(&frame), None, "the engine acts on none of it");
        let data = of(&frame)?;
        assert_eq!(data.bytes, payload.len());
        Some((data.kind, data.text))
    }

    #[test]
    fn values_are_shown_with_their_ids() {
        let report = b"\x00\x07\x00\x08\x00\x12\x08\xEB\x00\x1B\x00\x04pump\x00\x22\x80\x29\
            \x00\x2C\x00\x02\x00\x0A\x00\x03\x00\x12\x80\x04\x00\x34\x00\x02\x00\x02\x00\x0A\x00\x02\x00\x14";
        let text = "[false 1=false 2=23.5 3=\"pump\" 4=-41 5={1=3 2=-4} 6=[10 20]";
        // The first id is that of an array element, which a list beside ids has not: that is no TTLV.
        assert!(shown(0x0014, report).unwrap().1.starts_with("no TTLV: "));
        let text = text.trim_start_matches("[false ");
        assert_eq!(shown(0x0014, &report[2..]), Some((BusinessKind::Report, text.to_owned())));
        assert_eq!(shown(0x0012, &[0, 9]), Some((BusinessKind::Answer, "1=true".to_owned())));
        let nmea = b"\x00\x13\x00\x09$GNGGA,1;";
        assert_eq!(shown(0x0122, nmea), Some((BusinessKind::Location, "2=\"$GNGGA,1;\"".to_owned())));
        assert_eq!(shown(0x00A4, b""), None);
    }

    #[test]
    fn bytes_are_text_or_digits_and_a_long_one_is_cut() {
        assert_eq!(shown(0x0024, b"hello"), Some((BusinessKind::Pass, "\"hello\"".to_owned())));
        assert_eq!(shown(0x0024, b"\x00\xFF"), Some((BusinessKind::Pass, "0x00FF".to_owned())));
        assert_eq!(shown(0x0024, b"\n").unwrap().1, "0x0A");
        for long in [vec![b'a'; 100_000], vec![0; 100_000]] {
            let text = shown(0x0024, &long).unwrap().1;
            assert_eq!((text.chars().count(), text.ends_with("...")), (TEXT_MAX + 3, true));
        }
    }
}
