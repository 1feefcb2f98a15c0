//! 0x0032/0x0034 and 0x0042/0x0044: what a device tells of itself, asked or not.

use super::{Ids, MessageError, field, payload, table};
use crate::wire::ttlv::Number;

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
    pub const CONDITIONS: Ids<'static> = Ids::of(&[1, 4, 5]);
}

payload!(StatusValues);
table! { StatusValues:
    battery: field(1, "battery"),
    voltage: field(2, "voltage"),
    signal: field(3, "signal"),
    flash_free: field(4, "free flash"),
    rsrp: field(5, "RSRP"),
    rsrq: field(6, "RSRQ"),
    snr: field(7, "SNR"),
}

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
    pub const VERSIONS: Ids<'static> = Ids::of(&[2, 3]);
}

payload!(InfoValues<'a>);
table! { InfoValues<'a>:
    module_model: field(1, "module model"),
    module_version: field(2, "module version"),
    mcu_list: field(3, "MCU list"),
    cell: field(4, "cell id"),
    iccid: field(5, "ICCID"),
    mcc: field(6, "MCC"),
    mnc: field(7, "MNC"),
    lac: field(8, "LAC"),
    phone: field(9, "phone number"),
    sim: field(10, "SIM number"),
    sdk_version: field(11, "SDK version"),
    locators: field(12, "locators"),
    data_protocol: field(13, "data protocol"),
    communication_protocol: field(14, "communication protocol"),
}

/// Which values are to be told: a set of ids. Those above 31 are only in [`Wanted::EVERYTHING`].
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
        self.0 == u32::MAX || id < u32::BITS as u16 && self.0 & 1 << id != 0
    }
}

impl From<Ids<'_>> for Wanted {
    fn from(ids: Ids<'_>) -> Wanted {
        ids.iter().fold(Wanted::NOTHING, Wanted::and)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

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
        let payload = b"\x00\x22\x80\x01";
        let words = StatusValues::parse(payload).unwrap_err().in_words(payload).to_string();
        assert_eq!(words, "free flash (id 4) at byte 0 is -1; 0 to 9223372036854775807 are right");
    }
}
