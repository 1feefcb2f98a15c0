//! 0x0113: where the firmware is and what it must be.

use super::{
    ComponentKind, Field, Fields, MessageError, Record, Records, WriteFields, field, finish,
    plan::{COMPONENT, KIND, SOURCE, TARGET},
};
use crate::{
    limits,
    wire::{NoRoom, hex, ttlv::Writer},
};

const URL: Field = field(1, "url");
const SIZE: Field = field(2, "size");
const MD5: Field = field(3, "md5");
const CRC: Field = field(15, "crc");
const SHA256: Field = field(16, "sha256");
const FILES: Field = field(20, "file list");
const INDEX: Field = field(30, "file index");

/// Hex digits of a CRC-32.
const CRC_DIGITS: usize = 8;

/// 0x0113.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirmwareInfo<'a> {
    /// Which component it is for, 1..=32 bytes.
    pub component: &'a str,
    /// Version that it upgrades from; empty for "any".
    pub source: &'a str,
    /// Version that it is, 1..=64 bytes.
    pub target: &'a str,
    /// Whose firmware.
    pub kind: ComponentKind,
    /// The file or files.
    pub content: Content<'a>,
}

/// What there is to download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// One file.
    File {
        /// `http://` or `https://`, at most [`limits::FIRMWARE_URL`] bytes.
        url: &'a str,
        /// Bytes, at least 1.
        size: u32,
        /// MD5.
        md5: [u8; 16],
        /// CRC, announced as hex text.
        crc: u32,
        /// SHA-256, when the device asked for it.
        sha256: Option<[u8; 32]>,
    },
    /// 1..=5 files of a module package (id 20).
    Files(Records<'a, PackageFile<'a>>),
}

/// One file of a module package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackageFile<'a> {
    /// Its place in the package, as the platform numbers it.
    pub index: u32,
    /// `http://` or `https://`, at most [`limits::FIRMWARE_URL`] bytes.
    pub url: &'a str,
    /// Bytes, at least 1.
    pub size: u32,
    /// MD5.
    pub md5: [u8; 16],
}

impl<'a> Record<'a> for PackageFile<'a> {
    fn read(fields: &mut Fields<'a>) -> Self {
        let index = fields.whole(&INDEX, 0);
        PackageFile {
            index: fields.needed(&INDEX, index),
            url: fields.needed_text(&URL, limits::FIRMWARE_URL),
            size: read_size(fields),
            md5: read_md5(fields),
        }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer
            .text_unless_empty(URL, self.url)
            .number(SIZE.id, self.size)
            .text(MD5.id, &hex::text(&self.md5))
            .number(INDEX.id, self.index);
    }
}

impl<'a> FirmwareInfo<'a> {
    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Result<FirmwareInfo<'a>, MessageError> {
        let mut fields = Fields::parse(payload);
        let content = match Records::read(&mut fields, &FILES, limits::PACKAGE_FILES) {
            Some(files) => Content::Files(files),
            None => Content::File {
                url: fields.needed_text(&URL, limits::FIRMWARE_URL),
                size: read_size(&mut fields),
                md5: read_md5(&mut fields),
                crc: read_crc(&mut fields),
                sha256: fields.digest(&SHA256),
            },
        };
        if fields.number(&KIND).is_none() {
            fields.missing(&KIND);
        }
        let info = FirmwareInfo {
            component: fields.needed_text(&COMPONENT, limits::COMPONENT),
            source: fields.text(&SOURCE, limits::VERSION),
            target: fields.needed_text(&TARGET, limits::VERSION),
            kind: ComponentKind::read(&mut fields),
            content,
        };
        fields.finish(info)
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        if let Content::File { url, size, md5, .. } = &self.content {
            writer.text_unless_empty(URL, url).number(SIZE.id, *size).text(MD5.id, &hex::text(md5));
        }
        writer
            .text_unless_empty(COMPONENT, self.component)
            .text_unless_empty(SOURCE, self.source)
            .text_unless_empty(TARGET, self.target)
            .number(KIND.id, self.kind.number());
        match &self.content {
            Content::File { crc, sha256, .. } => {
                writer.text(CRC.id, &hex::text(&crc.to_be_bytes()));
                if let Some(sha256) = sha256 {
                    writer.text(SHA256.id, &hex::text(sha256));
                }
            }
            Content::Files(files) => files.write(FILES, &mut writer),
        }
        finish(&mut writer)
    }
}

impl MessageError {
    /// Whether the firmware URL is what is too long.
    pub fn is_url_too_long(&self) -> bool {
        matches!(self, MessageError::TooLong { field: URL, .. })
    }
}

/// Hex text of up to 32 bits; vendors read it with a C library, so a leading `0x` and missing zeros are right too.
fn read_crc(fields: &mut Fields<'_>) -> u32 {
    let Some((offset, bytes)) = fields.bytes(&CRC).filter(|(_, bytes)| !bytes.is_empty()) else {
        fields.missing(&CRC);
        return 0;
    };
    let digits = match bytes {
        [b'0', b'x' | b'X', digits @ ..] => digits,
        digits => digits,
    };
    let crc = digits.iter().try_fold(0u32, |crc, digit| Some(crc << 4 | u32::from(hex::value(*digit)?)));
    match crc.filter(|_| (1..=CRC_DIGITS).contains(&digits.len())) {
        Some(crc) => crc,
        None => {
            let length = bytes.len();
            fields.refuse(MessageError::NotHex { field: CRC, offset, length, digits: CRC_DIGITS });
            0
        }
    }
}

fn read_size(fields: &mut Fields<'_>) -> u32 {
    let size = fields.whole(&SIZE, 1);
    fields.needed(&SIZE, size)
}

fn read_md5(fields: &mut Fields<'_>) -> [u8; 16] {
    let md5 = fields.digest(&MD5);
    fields.needed(&MD5, md5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ttlv::List;

    const INFO: FirmwareInfo<'_> = FirmwareInfo {
        component: "STM32",
        source: "",
        target: "2_0_0",
        kind: ComponentKind::Mcu,
        content: Content::File {
            url: "http://ota.example.org:8083/f/1?k=2",
            size: 27954,
            md5: [0xA5; 16],
            crc: 0x0FC5_A1B9,
            sha256: None,
        },
    };

    fn round(info: FirmwareInfo<'_>) {
        let mut out = [0; 1024];
        let length = info.emit(&mut out).unwrap();
        assert_eq!(FirmwareInfo::parse(out.get(..length).unwrap()), Ok(info));
    }

    #[test]
    fn one_file_and_several_keep_their_form() {
        round(INFO);
        let Content::File { url, size, md5, crc, .. } = INFO.content else { unreachable!() };
        let content = Content::File { url, size, md5, crc, sha256: Some([0x2B; 32]) };
        round(FirmwareInfo { content, ..INFO });
        let file = PackageFile { index: 0, url, size, md5 };
        let files = [file, PackageFile { index: 1, size: 1, ..file }];
        let content = Content::Files(Records::of(&files));
        round(FirmwareInfo { content, kind: ComponentKind::Module, source: "1", ..INFO });
    }

    /// INFO with one data point replaced.
    fn parsed_with(id: u16, write: impl Fn(&mut Writer<'_>)) -> Result<u32, MessageError> {
        let mut bytes = [0; 512];
        let length = INFO.emit(&mut bytes).unwrap();
        let mut out = [0; 4096];
        let mut writer = Writer::new(&mut out);
        for item in List::parse(bytes.get(..length).unwrap()).unwrap() {
            if item.id == id { write(&mut writer) } else { _ = writer.value(item.id, item.value) }
        }
        let length = writer.finish().unwrap();
        match FirmwareInfo::parse(out.get(..length).unwrap())?.content {
            Content::File { crc, .. } => Ok(crc),
            Content::Files(_) => unreachable!(),
        }
    }

    #[test]
    fn every_mandatory_data_point_is_missed_by_name() {
        for wanted in [URL, SIZE, MD5, COMPONENT, TARGET, KIND, CRC] {
            let error = parsed_with(wanted.id, |_| ()).unwrap_err();
            assert_eq!(error, MessageError::Missing { field: wanted, offset: 0 });
        }
        assert!(parsed_with(SHA256.id, |_| ()).is_ok());
    }

    #[test]
    fn a_crc_is_up_to_eight_hex_digits() {
        for (text, crc) in [("0x1F", Some(0x1F)), ("EFC5A1B9", Some(0xEFC5_A1B9)), ("0", Some(0))] {
            assert_eq!(parsed_with(CRC.id, |w| _ = w.text(15, text)).ok(), crc);
        }
        for text in ["0x", "123456789", "12 4", "g"] {
            let error = parsed_with(CRC.id, |w| _ = w.text(15, text)).unwrap_err();
            assert!(matches!(error, MessageError::NotHex { field: CRC, digits: 8, .. }), "{text}: {error}");
        }
    }

    #[test]
    fn a_digest_of_a_wrong_length_and_a_size_of_nothing_are_refused() {
        let error = parsed_with(MD5.id, |w| _ = w.text(3, "abc")).unwrap_err();
        assert!(matches!(error, MessageError::NotHex { field: MD5, length: 3, digits: 32, .. }));
        let error = parsed_with(SIZE.id, |w| _ = w.number(2, 0u8)).unwrap_err();
        assert!(matches!(error, MessageError::OutOfRange { field: SIZE, min: 1, .. }));
        let error = parsed_with(SIZE.id, |w| _ = w.text(2, "27954")).unwrap_err();
        assert!(matches!(error, MessageError::Kind { field: SIZE, wanted: super::super::Kind::Number, .. }));
        let error = parsed_with(URL.id, |w| _ = w.text(1, &"h".repeat(2049))).unwrap_err();
        assert!(matches!(error, MessageError::TooLong { field: URL, length: 2049, max: 2048, .. }));
        assert!(error.is_url_too_long());
    }
}
