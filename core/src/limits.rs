//! Every capacity of the device side, in one place. Bytes unless a name says otherwise.

/// Product key, longest (QUECTHING.md 1.2).
pub const PRODUCT_KEY: usize = 32;
/// Product secret, longest.
pub const PRODUCT_SECRET: usize = 32;
/// Device key, longest: the hardware id (IMEI, MAC) or an application's own key.
pub const DEVICE_KEY: usize = 32;
/// Device secret, longest (32 characters are what platforms hand out).
pub const DEVICE_SECRET: usize = 32;
/// MQTT client id: `qd` + product key + device key (QUECTHING.md 4.1).
pub const CLIENT_ID: usize = 2 + PRODUCT_KEY + DEVICE_KEY;
/// MQTT password of the longest bootstrap (QUECTHING.md 4.2).
pub const PASSWORD: usize = 256;
/// MQTT user name set by configuration, for brokers that demand one.
pub const USER_NAME: usize = 64;
/// Address of the platform, with scheme and port.
pub const SERVER_URL: usize = 64;
/// Firmware URL: what the smallest receive buffer takes. Servers that sign with temporary credentials make URLs of up
/// to some 1900 bytes.
pub const FIRMWARE_URL: usize = if cfg!(feature = "long-urls") { RECEIVE_BUFFER_MIN } else { 512 };
/// Longest topic: prefix, client id, leaf and a peer.
pub const TOPIC: usize = 160;
/// Component identifier (QUECTHING.md 3.2).
pub const COMPONENT: usize = 32;
/// Version of a component.
pub const VERSION: usize = 64;
/// MCU list `a:1;b:2` (QUECTHING.md 1.2).
pub const MCU_LIST: usize = 511;
/// Session key of the payload encryption.
pub const SESSION_KEY: usize = 16;
/// Text of the longest event value, without its NUL: a plan event with every field at its limit.
pub const EVENT_TEXT: usize = 256;
/// Reason of a failure in words, on the wire.
pub const REASON_TEXT: usize = 128;
/// Status reports that wait while offline.
pub const STATUS_QUEUE: usize = 16;
/// Bytes of events that wait for the application: a longest text and some eighty without value, or any mix.
pub const OUTBOX: usize = 640;
/// Plans in one list; a longer list is refused whole (QUECTHING.md 3.2).
pub const PLAN_LIST: usize = 20;
/// Files of one module package; without `lists` there is none.
pub const PACKAGE_FILES: usize = if cfg!(feature = "lists") { 5 } else { 0 };
/// URLs of the files of one module package together, each with a NUL; a list with longer ones is refused.
pub const PACKAGE_URLS: usize = FIRMWARE_URL + 1;
/// Receive buffer that the caller provides, at least.
pub const RECEIVE_BUFFER_MIN: usize = 2048;
/// Kinds of sentences that a position receiver gives, with the commas between.
pub const POSITION_KINDS: usize = 63;
/// Name of such a kind, as `GGA`.
pub const POSITION_KIND: usize = 7;
/// Longest uplink frame of the agent, stuffing included. Without business messages the longest is a status report with both
/// version texts and a reason at their limits, of which a third may be stuffed.
pub const SEND_BUFFER: usize = if cfg!(feature = "business") { 2048 } else { 1280 };
const _: () = assert!(4 * (2 * VERSION + MCU_LIST + COMPONENT + REASON_TEXT + 96) / 3 + 64 <= 1280);
/// A progress record is written once per interval of downloaded bytes.
pub const PROGRESS_INTERVAL: u32 = 16 * 1024;
/// Restarts of the device in one upgrade without a byte or a step more than ever before; one more ends it as a failure.
pub const RESTARTS: u8 = 20;
/// Nesting of TTLV structs that is followed.
pub const TTLV_DEPTH: usize = 8;
