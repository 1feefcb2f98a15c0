//! The texts that an application gets with OTA events (QUECTHING.md 2).
//!
//! They are printed as vendor devices print them: names and versions in quotes, nothing escaped.

use super::hex;
use crate::{
    limits,
    text::{Text, TooLong},
};

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl<'a> PlanEvent<'a> {
    /// `"comp","srcVer","tgtVer",battery,signal,space`.
    pub fn text(&self) -> Result<EventText, TooLong> {
        whole(|text| self.write(text))
    }

    /// The same, where it is to stand.
    pub fn write(&self, text: &mut EventText) -> Result<(), TooLong> {
        let mut writer = Writer::of(text);
        writer.quoted(self.component).quoted(self.source).quoted(self.target);
        writer.number(self.battery.into()).number(self.signal.into()).number(self.space.into());
        writer.outcome
    }

    /// Reads that text; borrows from it.
    pub fn parse(text: &'a str) -> Result<PlanEvent<'a>, EventError> {
        let form = "\"component\",\"source version\",\"target version\",battery,signal,space";
        Fields::whole(text, form, |fields| {
            Some(PlanEvent {
                component: fields.quoted()?,
                source: fields.comma()?.quoted()?,
                target: fields.comma()?.quoted()?,
                battery: fields.comma()?.unsigned()?,
                signal: fields.comma()?.signed()?,
                space: fields.comma()?.unsigned()?,
            })
        })
    }
}

/// 10701: the download of an MCU's firmware begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl<'a> StartEvent<'a> {
    /// `"comp",size,"md5",crc`, with SHA-256 also `,"sha256"`.
    pub fn text(&self) -> Result<EventText, TooLong> {
        whole(|text| self.write(text))
    }

    /// The same, where it is to stand.
    pub fn write(&self, text: &mut EventText) -> Result<(), TooLong> {
        let mut writer = Writer::of(text);
        writer.quoted(self.component).number(self.size.into());
        writer.quoted(&hex::text(&self.md5)).number(self.crc.into());
        if let Some(sha256) = &self.sha256 {
            writer.quoted(&hex::text(sha256));
        }
        writer.outcome
    }

    /// Reads that text; borrows from it.
    pub fn parse(text: &'a str) -> Result<StartEvent<'a>, EventError> {
        let form = "\"component\",size,\"md5\",crc or \"component\",size,\"md5\",crc,\"sha256\"";
        Fields::whole(text, form, |fields| {
            Some(StartEvent {
                component: fields.quoted()?,
                size: fields.comma()?.unsigned()?,
                md5: fields.comma()?.digest()?,
                crc: fields.comma()?.unsigned()?,
                sha256: if fields.is_at_end() { None } else { Some(fields.comma()?.digest()?) },
            })
        })
    }
}

/// 10703: a piece of an MCU's firmware is there to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

impl<'a> PieceEvent<'a> {
    /// `"comp",total,start,length`.
    pub fn text(&self) -> Result<EventText, TooLong> {
        whole(|text| self.write(text))
    }

    /// The same, where it is to stand.
    pub fn write(&self, text: &mut EventText) -> Result<(), TooLong> {
        let mut writer = Writer::of(text);
        writer.quoted(self.component).number(self.total.into());
        writer.number(self.start.into()).number(self.length.into());
        writer.outcome
    }

    /// Reads that text; borrows from it.
    pub fn parse(text: &'a str) -> Result<PieceEvent<'a>, EventError> {
        Fields::whole(text, "\"component\",total,start,length", |fields| {
            Some(PieceEvent {
                component: fields.quoted()?,
                total: fields.comma()?.unsigned()?,
                start: fields.comma()?.unsigned()?,
                length: fields.comma()?.unsigned()?,
            })
        })
    }
}

/// A text that `write` fills.
fn whole(write: impl FnOnce(&mut EventText) -> Result<(), TooLong>) -> Result<EventText, TooLong> {
    let mut text = Text::new();
    write(&mut text)?;
    Ok(text)
}

/// Writes the fields of an event text, one after another. The first that does not fit is the outcome.
struct Writer<'t> {
    text: &'t mut EventText,
    outcome: Result<(), TooLong>,
}

impl<'t> Writer<'t> {
    fn of(text: &'t mut EventText) -> Self {
        text.clear();
        Writer { text, outcome: Ok(()) }
    }

    fn push(&mut self, part: &str) {
        if self.outcome.is_ok() {
            self.outcome = self.text.push(part);
        }
    }

    fn separate(&mut self) {
        if !self.text.is_empty() {
            self.push(",");
        }
    }

    #[inline(never)]
    fn quoted(&mut self, field: &str) -> &mut Self {
        self.separate();
        self.push("\"");
        self.push(field);
        self.push("\"");
        self
    }

    #[inline(never)]
    fn number(&mut self, number: i64) -> &mut Self {
        self.separate();
        if self.outcome.is_ok() {
            self.outcome = self.text.push_number(number);
        }
        self
    }
}

/// The fields of an event text, one after another. Not with nom, whose slices of text could panic as far as a linker sees,
/// and firmware may parse events.
struct Fields<'a> {
    text: &'a str,
    /// How far it was right.
    at: usize,
}

impl<'a> Fields<'a> {
    /// What `read` makes of the text, if nothing is left of it.
    fn whole<T>(
        text: &'a str,
        form: &'static str,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, EventError> {
        let mut fields = Fields { text, at: 0 };
        let event = read(&mut fields);
        event.filter(|_| fields.is_at_end()).ok_or(EventError { offset: fields.at, form })
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.rest().first() == Some(&byte)).then(|| self.at = self.at.saturating_add(1))
    }

    fn comma(&mut self) -> Option<&mut Self> {
        self.skip(b',')?;
        Some(self)
    }

    fn quoted(&mut self) -> Option<&'a str> {
        self.skip(b'"')?;
        let length = self.rest().iter().position(|byte| *byte == b'"')?;
        let end = self.at.saturating_add(length);
        let field = self.text.get(self.at..end)?;
        self.at = end.saturating_add(1);
        Some(field)
    }

    fn digest<const N: usize>(&mut self) -> Option<[u8; N]> {
        hex::parse(self.quoted()?)
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
