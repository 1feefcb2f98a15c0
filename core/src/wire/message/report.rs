//! 0x0032/0x0034 and 0x0042/0x0044: what a device tells of itself, asked or not.

use super::{Field, Fields, Ids, MessageError, WriteFields, field, finish};
use crate::wire::{
    NoRoom,
    ttlv::{Number, Writer},
};

const BATTERY: Field = field(1, "battery");
const VOLTAGE: Field = field(2, "voltage");
const SIGNAL: Field = field(3, "signal");
const FLASH_FREE: Field = field(4, "free flash");
const RSRP: Field = field(5, "RSRP");
const RSRQ: Field = field(6, "RSRQ");
const SNR: Field = field(7, "SNR");

/// 0x0032 and 0x0034; what is not told is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatusValues {
    /// Id 1, per cent.
    pub battery: Option<i32>,
    /// Id 2, volts.
    pub voltage: Option<Number>,
    /// Id 3, RSSI in dBm.
    pub signal: Option<i32>,
    /// Id 4, bytes.
    pub flash_free: Option<u64>,
    /// Id 5, dBm.
    pub rsrp: Option<i32>,
    /// Id 6, dB.
    pub rsrq: Option<i32>,
    /// Id 7, dB.
    pub snr: Option<i32>,
}

impl StatusValues {
    /// What a vendor device reports after each connect.
    pub const REPORTED: Wanted = Wanted::NOTHING.and(1).and(2).and(3).and(4);
    /// What a plan's conditions compare: battery, free space and RSRP.
    pub const CONDITIONS: Ids<'static> = Ids::of(&[BATTERY.id, FLASH_FREE.id, RSRP.id]);

    /// Reads the payload.
    pub fn parse(payload: &[u8]) -> Result<StatusValues, MessageError> {
        let mut fields = Fields::parse(payload);
        let whole = |fields: &mut Fields<'_>, field| fields.whole(field, i32::MIN.into());
        let values = StatusValues {
            battery: whole(&mut fields, &BATTERY),
            voltage: fields.number(&VOLTAGE).map(|(_, voltage)| voltage),
            signal: whole(&mut fields, &SIGNAL),
            flash_free: fields.whole(&FLASH_FREE, 0),
            rsrp: whole(&mut fields, &RSRP),
            rsrq: whole(&mut fields, &RSRQ),
            snr: whole(&mut fields, &SNR),
        };
        fields.finish(values)
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        self.emit_wanted(Wanted::EVERYTHING, out)
    }

    /// Writes a payload of those values that are wanted; gives its length.
    pub fn emit_wanted(&self, wanted: Wanted, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut values = Values { wanted, writer: Writer::new(out) };
        values.signed(&BATTERY, self.battery);
        values.number(&VOLTAGE, self.voltage);
        values.signed(&SIGNAL, self.signal);
        values.number(&FLASH_FREE, self.flash_free);
        values.signed(&RSRP, self.rsrp);
        values.signed(&RSRQ, self.rsrq);
        values.signed(&SNR, self.snr);
        finish(&mut values.writer)
    }
}

const MODULE_MODEL: Field = field(1, "module model");
const MODULE_VERSION: Field = field(2, "module version");
const MCU_LIST: Field = field(3, "MCU list");
const CELL: Field = field(4, "cell id");
const ICCID: Field = field(5, "ICCID");
const MCC: Field = field(6, "MCC");
const MNC: Field = field(7, "MNC");
const LAC: Field = field(8, "LAC");
const PHONE: Field = field(9, "phone number");
const SIM: Field = field(10, "SIM number");
const SDK_VERSION: Field = field(11, "SDK version");
const LOCATORS: Field = field(12, "locators");
const DATA_PROTOCOL: Field = field(13, "data protocol version");
const COMMUNICATION_PROTOCOL: Field = field(14, "communication protocol version");

/// 0x0042 and 0x0044; a text that is not told is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InfoValues<'a> {
    /// Id 1.
    pub module_model: &'a str,
    /// Id 2.
    pub module_version: &'a str,
    /// Id 3, `a:1;b:2`. It may be told and empty: there is no MCU (any more).
    pub mcu_list: Option<&'a str>,
    /// Id 4.
    pub cell: Option<u64>,
    /// Id 5.
    pub iccid: &'a str,
    /// Id 6.
    pub mcc: Option<u32>,
    /// Id 7.
    pub mnc: Option<u32>,
    /// Id 8.
    pub lac: Option<u32>,
    /// Id 9.
    pub phone: &'a str,
    /// Id 10.
    pub sim: &'a str,
    /// Id 11; ours begins with `quecota/`.
    pub sdk_version: &'a str,
    /// Id 12, joined.
    pub locators: &'a str,
    /// Id 13.
    pub data_protocol: &'a str,
    /// Id 14.
    pub communication_protocol: &'a str,
}

impl<'a> InfoValues<'a> {
    /// What a vendor device reports after each connect.
    pub const REPORTED: Wanted = Wanted::NOTHING.and(1).and(2).and(3).and(5).and(11).and(12).and(13).and(14);
    /// The versions of the module and of the MCU components.
    pub const VERSIONS: Ids<'static> = Ids::of(&[MODULE_VERSION.id, MCU_LIST.id]);

    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Result<InfoValues<'a>, MessageError> {
        let mut fields = Fields::parse(payload);
        let values = InfoValues {
            module_model: fields.text(&MODULE_MODEL, usize::MAX),
            module_version: fields.text(&MODULE_VERSION, usize::MAX),
            mcu_list: fields.text_or_none(&MCU_LIST, usize::MAX),
            cell: fields.whole(&CELL, 0),
            iccid: fields.text(&ICCID, usize::MAX),
            mcc: fields.whole(&MCC, 0),
            mnc: fields.whole(&MNC, 0),
            lac: fields.whole(&LAC, 0),
            phone: fields.text(&PHONE, usize::MAX),
            sim: fields.text(&SIM, usize::MAX),
            sdk_version: fields.text(&SDK_VERSION, usize::MAX),
            locators: fields.text(&LOCATORS, usize::MAX),
            data_protocol: fields.text(&DATA_PROTOCOL, usize::MAX),
            communication_protocol: fields.text(&COMMUNICATION_PROTOCOL, usize::MAX),
        };
        fields.finish(values)
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        self.emit_wanted(Wanted::EVERYTHING, out)
    }

    /// Writes a payload of those values that are wanted; gives its length.
    pub fn emit_wanted(&self, wanted: Wanted, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut values = Values { wanted, writer: Writer::new(out) };
        values.text(&MODULE_MODEL, self.module_model);
        values.text(&MODULE_VERSION, self.module_version);
        if let Some(mcu_list) = self.mcu_list.filter(|_| wanted.has(MCU_LIST.id)) {
            values.writer.text(MCU_LIST.id, mcu_list);
        }
        values.number(&CELL, self.cell);
        values.text(&ICCID, self.iccid);
        values.number(&MCC, self.mcc);
        values.number(&MNC, self.mnc);
        values.number(&LAC, self.lac);
        values.text(&PHONE, self.phone);
        values.text(&SIM, self.sim);
        values.text(&SDK_VERSION, self.sdk_version);
        values.text(&LOCATORS, self.locators);
        values.text(&DATA_PROTOCOL, self.data_protocol);
        values.text(&COMMUNICATION_PROTOCOL, self.communication_protocol);
        finish(&mut values.writer)
    }
}

/// Which values are to be told: a set of ids. Ids above 31 are none of a device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted(u32);

impl Wanted {
    /// None.
    pub const NOTHING: Wanted = Wanted(0);
    /// All that there are.
    pub const EVERYTHING: Wanted = Wanted(u32::MAX);

    /// And this one.
    #[must_use]
    pub const fn and(self, id: u16) -> Self {
        if id < u32::BITS as u16 { Wanted(self.0 | 1 << id) } else { self }
    }

    /// Whether this one is among them.
    pub const fn has(self, id: u16) -> bool {
        id < u32::BITS as u16 && self.0 & 1 << id != 0
    }
}

impl From<Ids<'_>> for Wanted {
    fn from(ids: Ids<'_>) -> Wanted {
        ids.iter().fold(Wanted::NOTHING, Wanted::and)
    }
}

/// Writes the values that are wanted and told.
struct Values<'b> {
    wanted: Wanted,
    writer: Writer<'b>,
}

impl Values<'_> {
    #[inline(never)]
    fn text(&mut self, field: &Field, text: &str) {
        if self.wanted.has(field.id) {
            self.writer.text_unless_empty(*field, text);
        }
    }

    #[inline(never)]
    fn signed(&mut self, field: &Field, value: Option<i32>) {
        self.number(field, value);
    }

    fn number(&mut self, field: &Field, value: Option<impl Into<Number>>) {
        if let Some(value) = value.filter(|_| self.wanted.has(field.id)) {
            self.writer.number(field.id, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: StatusValues = StatusValues {
        battery: Some(87),
        voltage: Some(Number::ZERO),
        signal: Some(-71),
        flash_free: Some(u32::MAX as u64 + 1),
        rsrp: Some(-104),
        rsrq: Some(-9),
        snr: Some(12),
    };

    #[test]
    fn a_status_is_read_as_written_and_as_wanted() {
        let mut out = [0; 64];
        for values in [STATUS, StatusValues::default()] {
            let length = values.emit(&mut out).unwrap();
            assert_eq!(StatusValues::parse(out.get(..length).unwrap()), Ok(values));
        }
        let length = STATUS.emit_wanted(Ids::of(&[1, 5, 99]).into(), &mut out).unwrap();
        let some = StatusValues { battery: Some(87), rsrp: Some(-104), ..StatusValues::default() };
        assert_eq!(StatusValues::parse(out.get(..length).unwrap()), Ok(some));
    }

    #[test]
    fn a_device_without_mcu_tells_an_empty_list() {
        let info = InfoValues { module_model: "EC200U", mcu_list: Some(""), ..InfoValues::default() };
        let mut out = [0; 64];
        let length = info.emit(&mut out).unwrap();
        let parsed = InfoValues::parse(out.get(..length).unwrap()).unwrap();
        assert_eq!(parsed, info);
        let length = info.emit_wanted(Wanted::NOTHING.and(1), &mut out).unwrap();
        assert_eq!(InfoValues::parse(out.get(..length).unwrap()).unwrap().mcu_list, None);
    }

    #[test]
    fn a_free_flash_below_zero_is_refused() {
        let error = StatusValues::parse(b"\x00\x22\x80\x01").unwrap_err();
        assert!(matches!(error, MessageError::OutOfRange { field: FLASH_FREE, min: 0, .. }));
    }
}
