//! The parts of the core that a device could not do without, whatever its agent is: `cargo xtask size core` links these functions and
//! what they need, and nothing else.
#![cfg_attr(target_os = "none", no_std)]

use quecota_core::digest::{Crc32, Digests, Sums};
use quecota_core::journal::{
    Configuration, Journal, JournalError, Opening, Outcome, ProgressRef, Reports, Saved,
};
use quecota_core::ota::{Input, Machine, Row};
use quecota_core::platform::Storage;
use quecota_core::wire::frame::{Command, Frame};
use quecota_core::wire::message::{Content, FirmwareInfo, PlanNotify};

/// Reads a frame and the message of an upgrade in it: how many plans it names, or the bytes of the file. `None`: it is neither.
#[unsafe(no_mangle)]
pub fn core_parse(raw: &mut [u8]) -> Option<u32> {
    let frame = Frame::parse(raw).ok()?;
    match frame.command {
        Command::PLAN_NOTIFY => Some(PlanNotify::parse(frame.payload).ok()?.iter().count() as u32),
        Command::FIRMWARE_INFO => match FirmwareInfo::parse(frame.payload).ok()?.content {
            Content::File { size, .. } => Some(size),
            Content::Files(_) => None,
        },
        _ => None,
    }
}

/// A step of the state machine.
#[unsafe(no_mangle)]
pub fn core_step(machine: &mut Machine, input: Input, now: u32) -> Option<&'static Row> {
    machine.take_due(now);
    machine.take(input, now)
}

/// Opens the journal.
#[unsafe(no_mangle)]
pub fn core_open(storage: &mut dyn Storage, saved: &mut Saved) -> Result<(Journal, Opening), JournalError> {
    Journal::open(storage, saved)
}

/// Saves the progress of an upgrade.
#[unsafe(no_mangle)]
pub fn core_save_progress(
    journal: &mut Journal,
    storage: &mut dyn Storage,
    progress: Option<ProgressRef<'_>>,
) -> Result<Outcome, JournalError> {
    journal.save_progress(storage, progress)
}

/// Saves who the device is.
#[unsafe(no_mangle)]
pub fn core_save_configuration(
    journal: &mut Journal,
    storage: &mut dyn Storage,
    configuration: &Configuration,
) -> Result<Outcome, JournalError> {
    journal.save_configuration(storage, configuration)
}

/// Saves the reports that were not sent.
#[unsafe(no_mangle)]
pub fn core_save_reports(
    journal: &mut Journal,
    storage: &mut dyn Storage,
    reports: &Reports,
) -> Result<Outcome, JournalError> {
    journal.save_reports(storage, reports)
}

/// MD5 and CRC-32 of a file, as far as it came.
#[unsafe(no_mangle)]
pub fn core_digest(digests: &mut Digests, data: &[u8]) -> Sums {
    digests.update(data);
    digests.finish()
}

/// CRC-32 of some bytes.
#[unsafe(no_mangle)]
pub fn core_crc(crc: &mut Crc32, data: &[u8]) {
    crc.update(data);
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn quecota_a_panic_is_reachable() -> !;
    }
    // SAFETY: never linked, so never called.
    unsafe { quecota_a_panic_is_reachable() }
}
