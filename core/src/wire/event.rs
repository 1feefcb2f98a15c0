//! The texts that an application gets with OTA events (QUECTHING.md 2).
//!
//! They are printed as vendor devices print them: names and versions in quotes, nothing escaped.

use super::hex;
use super::message::Place;
use crate::limits;
use crate::text::{Text, TooLong};

/// The longest text of an event fits.
pub type EventText = Text<{ limits::EVENT_TEXT }>;

/// Not the text of that event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("from byte {offset} on the event text is not {form}")]
pub struct EventError {
    /// How far it was right.
    pub offset: usize,
    /// What would be right.
    pub form: &'static str,
}

/// 10700: a plan came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PlanEvent<'a> {
    /// The component's identifier.
    pub component: &'a str,
    /// Version that it has; may be empty.
    pub source: &'a str,
    /// Version that it gets.
    pub target: &'a str,
    /// Least battery charge, per cent.
    pub battery: u32,
    /// Weakest signal, dBm.
    pub signal: i32,
    /// Free space that it takes, bytes.
    pub space: u32,
}

/// 10701: the download of an MCU's firmware begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StartEvent<'a> {
    /// The component's identifier.
    pub component: &'a str,
    /// Bytes of the whole file.
    pub size: u32,
    /// Its MD5.
    pub md5: [u8; 16],
    /// Its CRC; printed in decimal, though it came in hex.
    pub crc: u32,
    /// Its SHA-256, when it was asked for.
    pub sha256: Option<[u8; 32]>,
}

/// 10703: a piece of an MCU's firmware is there to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PieceEvent<'a> {
    /// The component's identifier.
    pub component: &'a str,
    /// Bytes of the whole file.
    pub total: u32,
    /// Where the piece begins in the file.
    pub start: u32,
    /// Bytes of the piece.
    pub length: u32,
}

/// The fields of an event in their order, and how its text looks.
macro_rules! event {
    ($event:ident, $form:literal: $($field:ident),*) => {
        impl<'a> $event<'a> {
            #[doc = concat!("`", $form, "`.")]
            pub fn text(&self) -> Result<EventText, TooLong> {
                let mut text = Text::new();
                self.write(&mut text)?;
                Ok(text)
            }

            /// The same, where it is to stand.
            pub fn write(&self, text: &mut EventText) -> Result<(), TooLong> {
                let mut event = *self;
                write(text, &[$((&mut event.$field).into()),*])
            }

            /// Reads that text; borrows from it.
            pub fn parse(text: &'a str) -> Result<$event<'a>, EventError> {
                let mut event = $event::default();
                let mut fields = Fields { text, at: 0 };
                let read = fields.read(&mut [$((&mut event.$field).into()),*]);
                read.map(|()| event).ok_or(EventError { offset: fields.at, form: $form })
            }
        }
    };
}

event!(PlanEvent, r#""component","source version","target version",battery,signal,space"#:
    component, source, target, battery, signal, space);
event!(StartEvent, r#""component",size,"md5",crc or "component",size,"md5",crc,"sha256""#:
    component, size, md5, crc, sha256);
event!(PieceEvent, r#""component",total,start,length"#: component, total, start, length);

/// Writes the fields of an event; a digest that is not there is left out.
#[inline(never)]
fn write(text: &mut EventText, fields: &[Place<'_, '_>]) -> Result<(), TooLong> {
    text.clear();
    for field in fields {
        let digits;
        let (quoted, number) = match field {
            Place::U32(number) => ("", Some(i64::from(**number))),
            Place::I32(number) => ("", Some(i64::from(**number))),
            Place::Text(text) => (**text, None),
            _ => {
                let Some(digest) = field.digest() else { continue };
                digits = hex::text(digest);
                (digits.as_str(), None)
            }
        };
        if !text.is_empty() {
            text.push(",")?;
        }
        match number {
            Some(number) => text.push_number(number)?,
            None => ["\"", quoted, "\""].into_iter().try_for_each(|part| text.push(part))?,
        }
    }
    Ok(())
}

/// The fields of an event text, one after another. Not with nom, whose slices of text could panic as far as a linker sees,
/// and firmware may parse events.
struct Fields<'a> {
    text: &'a str,
    /// How far it was right.
    at: usize,
}

impl<'a> Fields<'a> {
    /// `None`: the text is not what the fields want, or goes on behind them.
    fn read(&mut self, fields: &mut [Place<'_, 'a>]) -> Option<()> {
        for field in fields {
            if matches!(field, Place::Sha256(_)) && self.rest().is_empty() {
                break;
            }
            if self.at > 0 {
                self.skip(b',')?;
            }
            match field {
                Place::U32(number) => **number = self.unsigned()?,
                Place::I32(number) => **number = self.signed()?,
                Place::Text(text) => **text = self.quoted()?,
                Place::Md5(digest) => **digest = hex::parse(self.quoted()?)?,
                Place::Sha256(digest) => **digest = Some(hex::parse(self.quoted()?)?),
                _ => return None,
            }
        }
        self.rest().is_empty().then_some(())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.rest().first() == Some(&byte)).then(|| self.at = self.at.saturating_add(1))
    }

    fn quoted(&mut self) -> Option<&'a str> {
        self.skip(b'"')?;
        let length = self.rest().iter().position(|byte| *byte == b'"')?;
        let end = self.at.saturating_add(length);
        let field = self.text.get(self.at..end)?;
        self.at = end.saturating_add(1);
        Some(field)
    }

    fn unsigned(&mut self) -> Option<u32> {
        let digits = self.rest().iter().take_while(|byte| byte.is_ascii_digit());
        let mut length = 0_usize;
        let mut value = 0_u32;
        for digit in digits {
            value = value.checked_mul(10)?.checked_add(u32::from(digit.wrapping_sub(b'0')))?;
            length = length.saturating_add(1);
        }
        self.at = self.at.saturating_add(length);
        (length > 0).then_some(value)
    }

    fn signed(&mut self) -> Option<i32> {
        let is_negative = self.skip(b'-').is_some();
        let value = i64::from(self.unsigned()?);
        i32::try_from(if is_negative { value.wrapping_neg() } else { value }).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_devices_print_it() {
        let text = r#""MCU","1","2",30,-113,698000"#;
        let event = PlanEvent {
            component: "MCU",
            source: "1",
            target: "2",
            battery: 30,
            signal: -113,
            space: 698_000,
        };
        assert_eq!(&*event.text().unwrap(), text);
        assert_eq!(PlanEvent::parse(text), Ok(event));
        let bare = PlanEvent { source: "", battery: 0, signal: 0, space: 0, ..event };
        assert_eq!(&*bare.text().unwrap(), r#""MCU","","2",0,0,0"#);
    }

    #[test]
    fn a_start_prints_its_crc_in_decimal() {
        let md5 = hex::parse("95cb0c4a1e2d3f450162738495a6b7c8").unwrap();
        let event = StartEvent { component: "STM32", size: 27954, md5, crc: 0xEFC5_A1B9, sha256: None };
        let text = r#""STM32",27954,"95cb0c4a1e2d3f450162738495a6b7c8",4022706617"#;
        assert_eq!(&*event.text().unwrap(), text);
        assert_eq!(StartEvent::parse(text), Ok(event));
        let event = StartEvent { sha256: Some([0xAB; 32]), ..event };
        let text = event.text().unwrap();
        assert!(text.ends_with(&std::format!(",\"{}\"", "ab".repeat(32))));
        assert_eq!(StartEvent::parse(&text), Ok(event));
    }

    #[test]
    fn a_piece_reads_as_devices_print_it() {
        let text = r#""MCU",50000,20000,20000"#;
        let event = PieceEvent { component: "MCU", total: 50_000, start: 20_000, length: 20_000 };
        assert_eq!(&*event.text().unwrap(), text);
        assert_eq!(PieceEvent::parse(text), Ok(event));
    }

    #[test]
    fn every_field_at_its_limit_fits() {
        let (component, version) = ("c".repeat(limits::COMPONENT), "v".repeat(limits::VERSION));
        let plan = PlanEvent {
            component: &component,
            source: &version,
            target: &version,
            battery: u32::MAX,
            signal: i32::MIN,
            space: u32::MAX,
        };
        assert_eq!(PlanEvent::parse(&plan.text().unwrap()), Ok(plan));
        let (size, crc, md5) = (u32::MAX, u32::MAX, [0xFF; 16]);
        let start = StartEvent { component: &component, size, md5, crc, sha256: Some([0xFF; 32]) };
        assert_eq!(StartEvent::parse(&start.text().unwrap()), Ok(start));
    }

    #[test]
    fn a_broken_text_is_refused_with_its_place() {
        for (text, offset) in [
            ("", 0),
            ("\"MCU\"", 5),
            ("\"MCU\",1,2,", 10),
            ("\"MCU\",1,2,3 ", 11),
            ("\"MCU\",1,2,x", 10),
            ("\"MCU\",1,4294967296,3", 8),
        ] {
            assert_eq!(PieceEvent::parse(text).unwrap_err().offset, offset, "{text}");
        }
    }
}
