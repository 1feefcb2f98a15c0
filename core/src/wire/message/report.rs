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
    pub const REPORTED: Ids<'static> = Ids::of(&[1, 2, 3, 4]);
    /// What a plan's conditions compare: battery, free space and RSRP.
    pub const CONDITIONS: Ids<'static> = Ids::of(&[BATTERY.id, FLASH_FREE.id, RSRP.id]);

    /// Only the values that are wanted.
    pub fn only(self, wanted: Ids<'_>) -> StatusValues {
        StatusValues {
            battery: self.battery.filter(|_| wanted.contains(BATTERY.id)),
            voltage: self.voltage.filter(|_| wanted.contains(VOLTAGE.id)),
            signal: self.signal.filter(|_| wanted.contains(SIGNAL.id)),
            flash_free: self.flash_free.filter(|_| wanted.contains(FLASH_FREE.id)),
            rsrp: self.rsrp.filter(|_| wanted.contains(RSRP.id)),
            rsrq: self.rsrq.filter(|_| wanted.contains(RSRQ.id)),
            snr: self.snr.filter(|_| wanted.contains(SNR.id)),
        }
    }

    /// Reads the payload.
    pub fn parse(payload: &[u8]) -> Result<StatusValues, MessageError> {
        let fields = Fields::parse(payload)?;
        let whole = |field| fields.whole(field, i32::MIN.into());
        Ok(StatusValues {
            battery: whole(BATTERY)?,
            voltage: fields.number(VOLTAGE)?.map(|(_, voltage)| voltage),
            signal: whole(SIGNAL)?,
            flash_free: fields.whole(FLASH_FREE, 0)?,
            rsrp: whole(RSRP)?,
            rsrq: whole(RSRQ)?,
            snr: whole(SNR)?,
        })
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let number = |value: Option<i32>| value.map(Number::from);
        let mut writer = Writer::new(out);
        for (field, value) in [
            (BATTERY, number(self.battery)),
            (VOLTAGE, self.voltage),
            (SIGNAL, number(self.signal)),
            (FLASH_FREE, self.flash_free.map(Number::from)),
            (RSRP, number(self.rsrp)),
            (RSRQ, number(self.rsrq)),
            (SNR, number(self.snr)),
        ] {
            if let Some(value) = value {
                writer.number(field.id, value);
            }
        }
        finish(&mut writer)
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
    pub const REPORTED: Ids<'static> = Ids::of(&[1, 2, 3, 5, 11, 12, 13, 14]);
    /// The versions of the module and of the MCU components.
    pub const VERSIONS: Ids<'static> = Ids::of(&[MODULE_VERSION.id, MCU_LIST.id]);

    /// Only the values that are wanted.
    pub fn only(self, wanted: Ids<'_>) -> InfoValues<'a> {
        let text = |field: Field, value| if wanted.contains(field.id) { value } else { "" };
        InfoValues {
            module_model: text(MODULE_MODEL, self.module_model),
            module_version: text(MODULE_VERSION, self.module_version),
            mcu_list: self.mcu_list.filter(|_| wanted.contains(MCU_LIST.id)),
            cell: self.cell.filter(|_| wanted.contains(CELL.id)),
            iccid: text(ICCID, self.iccid),
            mcc: self.mcc.filter(|_| wanted.contains(MCC.id)),
            mnc: self.mnc.filter(|_| wanted.contains(MNC.id)),
            lac: self.lac.filter(|_| wanted.contains(LAC.id)),
            phone: text(PHONE, self.phone),
            sim: text(SIM, self.sim),
            sdk_version: text(SDK_VERSION, self.sdk_version),
            locators: text(LOCATORS, self.locators),
            data_protocol: text(DATA_PROTOCOL, self.data_protocol),
            communication_protocol: text(COMMUNICATION_PROTOCOL, self.communication_protocol),
        }
    }

    /// Reads the payload.
    pub fn parse(payload: &'a [u8]) -> Result<InfoValues<'a>, MessageError> {
        let fields = Fields::parse(payload)?;
        let text = |field| fields.text(field, usize::MAX);
        Ok(InfoValues {
            module_model: text(MODULE_MODEL)?,
            module_version: text(MODULE_VERSION)?,
            mcu_list: fields.text_or_none(MCU_LIST, usize::MAX)?,
            cell: fields.whole(CELL, 0)?,
            iccid: text(ICCID)?,
            mcc: fields.whole(MCC, 0)?,
            mnc: fields.whole(MNC, 0)?,
            lac: fields.whole(LAC, 0)?,
            phone: text(PHONE)?,
            sim: text(SIM)?,
            sdk_version: text(SDK_VERSION)?,
            locators: text(LOCATORS)?,
            data_protocol: text(DATA_PROTOCOL)?,
            communication_protocol: text(COMMUNICATION_PROTOCOL)?,
        })
    }

    /// Writes the payload; gives its length.
    pub fn emit(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut writer = Writer::new(out);
        writer
            .text_unless_empty(MODULE_MODEL, self.module_model)
            .text_unless_empty(MODULE_VERSION, self.module_version);
        if let Some(mcu_list) = self.mcu_list {
            writer.text(MCU_LIST.id, mcu_list);
        }
        if let Some(cell) = self.cell {
            writer.number(CELL.id, cell);
        }
        writer.text_unless_empty(ICCID, self.iccid);
        for (field, value) in [(MCC, self.mcc), (MNC, self.mnc), (LAC, self.lac)] {
            if let Some(value) = value {
                writer.number(field.id, value);
            }
        }
        writer
            .text_unless_empty(PHONE, self.phone)
            .text_unless_empty(SIM, self.sim)
            .text_unless_empty(SDK_VERSION, self.sdk_version)
            .text_unless_empty(LOCATORS, self.locators)
            .text_unless_empty(DATA_PROTOCOL, self.data_protocol)
            .text_unless_empty(COMMUNICATION_PROTOCOL, self.communication_protocol);
        finish(&mut writer)
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
        let some = STATUS.only(Ids::of(&[1, 5, 99]));
        assert_eq!(some, StatusValues { battery: Some(87), rsrp: Some(-104), ..StatusValues::default() });
        for values in [STATUS, some, StatusValues::default()] {
            let mut out = [0; 64];
            let length = values.emit(&mut out).unwrap();
            assert_eq!(StatusValues::parse(out.get(..length).unwrap()), Ok(values));
        }
    }

    #[test]
    fn a_device_without_mcu_tells_an_empty_list() {
        let info = InfoValues { module_model: "EC200U", mcu_list: Some(""), ..InfoValues::default() };
        let mut out = [0; 64];
        let length = info.emit(&mut out).unwrap();
        let parsed = InfoValues::parse(out.get(..length).unwrap()).unwrap();
        assert_eq!(parsed, info);
        assert_eq!(parsed.only(Ids::of(&[1])).mcu_list, None);
    }

    #[test]
    fn a_free_flash_below_zero_is_refused() {
        let error = StatusValues::parse(b"\x00\x22\x80\x01").unwrap_err();
        assert!(matches!(error, MessageError::OutOfRange { field: FLASH_FREE, min: 0, .. }));
    }
}
