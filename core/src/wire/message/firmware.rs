//! 0x0113: where the firmware is and what it must be.

use super::{
    ComponentKind, Field, Fields, MessageError, Place, Records, Wanted, Wrong, field, payload,
    table::{Outcome, table},
};
use crate::limits;
use crate::wire::ttlv::{List, Writer};

/// 0x0113.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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

impl Default for Content<'_> {
    fn default() -> Self {
        Content::File { url: "", size: 0, md5: [0; 16], crc: 0, sha256: None }
    }
}

const URL: Field = field(1, "url").needed().at_most(limits::FIRMWARE_URL);
const SIZE: Field = field(2, "size").needed().positive();
const MD5: Field = field(3, "md5").needed();
const CRC: Field = field(15, "crc").needed();
const FILES: Field = field(20, "file list");

table! { PackageFile<'a>:
    url: URL,
    size: SIZE,
    md5: MD5,
    index: field(30, "file index").needed(),
}

payload!(FirmwareInfo<'a>);
impl<'a> Fields<'a> for FirmwareInfo<'a> {
    fn points(&mut self, mut act: impl FnMut(&'static [Field], &mut [Place<'_, 'a>]) -> Outcome) -> Outcome {
        const UPGRADE: &[Field] = &[
            field(4, "component").needed().at_most(limits::COMPONENT),
            field(5, "source version").at_most(limits::VERSION),
            field(6, "target version").needed().at_most(limits::VERSION),
            field(7, "component type").needed(),
        ];
        let FirmwareInfo { component, source, target, kind, content } = self;
        if let Content::File { url, size, md5, .. } = content {
            act(&[URL, SIZE, MD5], &mut [url.into(), size.into(), md5.into()])?;
        }
        act(UPGRADE, &mut [component.into(), source.into(), target.into(), kind.into()])?;
        if let Content::File { crc, sha256, .. } = content {
            act(const { &[CRC, field(16, "sha256")] }, &mut [Place::Crc(crc), sha256.into()])?;
        }
        Ok(())
    }

    fn read(&mut self, list: List<'a>) -> Outcome {
        if let Some(files) = Records::read(list, &FILES, limits::PACKAGE_FILES)? {
            self.content = Content::Files(files);
        }
        self.read_points(list)
    }

    fn write(&mut self, wanted: Wanted, writer: &mut Writer<'_>) {
        self.write_points(wanted, writer);
        if let Content::Files(files) = &self.content {
            files.write(&FILES, writer);
        }
    }
}

impl MessageError {
    /// Whether the firmware URL is what is too long.
    pub fn is_url_too_long(&self) -> bool {
        self.field() == Some((URL.id, Wrong::TooLong))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Range;
    use super::*;
    use crate::wire::ttlv::Kind;

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
        if !cfg!(feature = "lists") {
            return;
        }
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
        for wanted in [URL.id, SIZE.id, MD5.id, 4, 6, 7, CRC.id] {
            let error = parsed_with(wanted, |_| ()).unwrap_err();
            assert_eq!((error.field(), error.offset()), (Some((wanted, Wrong::Missing)), None));
        }
        assert!(parsed_with(16, |_| ()).is_ok());
    }

    #[test]
    fn a_crc_is_up_to_eight_hex_digits() {
        for (text, crc) in [("0x1F", Some(0x1F)), ("EFC5A1B9", Some(0xEFC5_A1B9)), ("0", Some(0))] {
            assert_eq!(parsed_with(CRC.id, |w| _ = w.text(15, text)).ok(), crc);
        }
        for text in ["0x", "123456789", "12 4", "g"] {
            let error = parsed_with(CRC.id, |w| _ = w.text(15, text)).unwrap_err();
            assert_eq!(error.field(), Some((CRC.id, Wrong::NotHex(8))), "{text}");
        }
    }

    #[test]
    fn a_digest_of_a_wrong_length_and_a_size_of_nothing_are_refused() {
        let error = parsed_with(MD5.id, |w| _ = w.text(3, "abc")).unwrap_err();
        assert_eq!(error.field(), Some((MD5.id, Wrong::NotHex(32))));
        let error = parsed_with(SIZE.id, |w| _ = w.number(2, 0u8)).unwrap_err();
        assert_eq!(error.field(), Some((SIZE.id, Wrong::OutOfRange(Range::U32))));
        let error = parsed_with(SIZE.id, |w| _ = w.text(2, "27954")).unwrap_err();
        assert_eq!(error.field(), Some((SIZE.id, Wrong::Kind(Kind::Number))));
        let error = parsed_with(URL.id, |w| _ = w.text(1, &"h".repeat(2049))).unwrap_err();
        assert_eq!(error.field(), Some((URL.id, Wrong::TooLong)));
        assert_eq!(usize::from(URL.most), limits::FIRMWARE_URL);
        assert!(error.is_url_too_long());
    }
}
