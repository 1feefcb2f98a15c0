//! Commands of QUECTHING.md 4.5.
#![allow(missing_docs)] // their names are those of the table

pub const STATUS_ASK: u16 = 0x0031;
pub const STATUS_ANSWER: u16 = 0x0032;
pub const STATUS_REPORT: u16 = 0x0034;
pub const INFO_ASK: u16 = 0x0041;
pub const INFO_ANSWER: u16 = 0x0042;
pub const INFO_REPORT: u16 = 0x0044;
pub const PROVISION: u16 = 0x00B4;
pub const PLAN_NOTIFY: u16 = 0x0111;
pub const FIRMWARE_INFO: u16 = 0x0113;
pub const STATUS_EVENT: u16 = 0x0114;
pub const PLAN_REQUEST: u16 = 0x0115;
