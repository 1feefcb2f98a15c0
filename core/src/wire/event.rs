//! The texts that an application gets with OTA events (QUECTHING.md 2).
//!
//! They are printed as vendor devices print them: names and versions in quotes, nothing escaped.

use nom::{
    IResult, Parser,
    bytes::complete::{tag, take_till},
    character::complete::{char, i32 as signed, u32 as unsigned},
    combinator::{eof, opt},
    sequence::{delimited, preceded},
};

use super::hex;
use crate::{
    limits,
    text::{Text, TooLong},
};

type EventText = Text<{ limits::EVENT_TEXT }>;

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
        let mut text = Text::new();
        push_quoted(&mut text, self.component)?;
        push_quoted(&mut text, self.source)?;
        push_quoted(&mut text, self.target)?;
        push_number(&mut text, self.battery.into())?;
        push_number(&mut text, self.signal.into())?;
        push_number(&mut text, self.space.into())?;
        Ok(text)
    }

    /// Reads that text; borrows from it.
    pub fn parse(text: &'a str) -> Result<PlanEvent<'a>, EventError> {
        let fields = (quoted, next(quoted), next(quoted), next(unsigned), next(signed), next(unsigned));
        let form = "\"component\",\"source version\",\"target version\",battery,signal,space";
        let (component, source, target, battery, signal, space) = whole(fields, text, form)?;
        Ok(PlanEvent { component, source, target, battery, signal, space })
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
        let mut text = Text::new();
        push_quoted(&mut text, self.component)?;
        push_number(&mut text, self.size.into())?;
        push_quoted(&mut text, &hex::text(&self.md5))?;
        push_number(&mut text, self.crc.into())?;
        if let Some(sha256) = &self.sha256 {
            push_quoted(&mut text, &hex::text(sha256))?;
        }
        Ok(text)
    }

    /// Reads that text; borrows from it.
    pub fn parse(text: &'a str) -> Result<StartEvent<'a>, EventError> {
        let fields = (quoted, next(unsigned), next(digest), next(unsigned), opt(next(digest)));
        let form = "\"component\",size,\"md5\",crc or \"component\",size,\"md5\",crc,\"sha256\"";
        let (component, size, md5, crc, sha256) = whole(fields, text, form)?;
        Ok(StartEvent { component, size, md5, crc, sha256 })
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
        let mut text = Text::new();
        push_quoted(&mut text, self.component)?;
        push_number(&mut text, self.total.into())?;
        push_number(&mut text, self.start.into())?;
        push_number(&mut text, self.length.into())?;
        Ok(text)
    }

    /// Reads that text; borrows from it.
    pub fn parse(text: &'a str) -> Result<PieceEvent<'a>, EventError> {
        let fields = (quoted, next(unsigned), next(unsigned), next(unsigned));
        let (component, total, start, length) = whole(fields, text, "\"component\",total,start,length")?;
        Ok(PieceEvent { component, total, start, length })
    }
}

fn separate(text: &mut EventText) -> Result<(), TooLong> {
    if text.is_empty() { Ok(()) } else { text.push(",") }
}

fn push_quoted(text: &mut EventText, field: &str) -> Result<(), TooLong> {
    separate(text)?;
    text.push("\"")?;
    text.push(field)?;
    text.push("\"")
}

fn push_number(text: &mut EventText, number: i64) -> Result<(), TooLong> {
    separate(text)?;
    text.push_number(number)
}

fn quoted(text: &str) -> IResult<&str, &str> {
    delimited(char('"'), take_till(|c| c == '"'), char('"')).parse(text)
}

fn digest<const N: usize>(text: &str) -> IResult<&str, [u8; N]> {
    nom::combinator::map_opt(quoted, hex::parse).parse(text)
}

/// A comma and a field.
fn next<'a, O>(
    field: impl Parser<&'a str, Output = O, Error = nom::error::Error<&'a str>>,
) -> impl Parser<&'a str, Output = O, Error = nom::error::Error<&'a str>> {
    preceded(tag(","), field)
}

/// The fields and nothing behind them.
fn whole<'a, O>(
    fields: impl Parser<&'a str, Output = O, Error = nom::error::Error<&'a str>>,
    text: &'a str,
    form: &'static str,
) -> Result<O, EventError> {
    let stop = |rest: &str| EventError { offset: text.len().saturating_sub(rest.len()), form };
    match (fields, eof).parse(text) {
        Ok((_, (fields, _))) => Ok(fields),
        Err(nom::Err::Error(error) | nom::Err::Failure(error)) => Err(stop(error.input)),
        Err(nom::Err::Incomplete(_)) => Err(stop("")),
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
