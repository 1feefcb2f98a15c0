//! Single steps of a device, for a board that counts instructions: main.c calls these between two readings of its counter.
#![cfg_attr(target_os = "none", no_std)]

#[path = "../../bench/src/pipeline.rs"]
mod pipeline;

#[cfg(target_os = "none")]
mod bare_metal;

use core::hint::black_box;

use pipeline::{Platform, file, pipeline, sums};
use quecota_core::digest::{Announced, Digests};
use quecota_core::image::{Image, Piece, PlanRequirements};
use quecota_core::journal::{Journal, Outcome, Progress, Saved};
use quecota_core::ota::{Input, Machine, Timer};
use quecota_core::text::Text;
use quecota_core::wire::frame::{self, Command, Frame, PacketId};
use quecota_core::wire::hex;
use quecota_core::wire::message::PlanNotify;
use quecota_core::wire::ttlv::Writer;

/// Inputs that take a machine from no plan to the end of an upgrade.
const UPGRADE: [Input; 7] = [
    Input::Plan,
    Input::Confirm,
    Input::FirmwareInfo,
    Input::Head,
    Input::ImageStaged,
    Input::Expired(Timer::ApplyDelay),
    Input::ModuleIsTarget,
];

/// Copies a frame of a plan so often; what decoding is measured against. Returns its bytes.
#[unsafe(no_mangle)]
pub extern "C" fn bench_frame_copies(rounds: u32) -> u32 {
    with_frame(rounds, |_| true)
}

/// Copies it and decodes it. Returns its bytes; 0: it cannot be decoded.
#[unsafe(no_mangle)]
pub extern "C" fn bench_frames(rounds: u32) -> u32 {
    with_frame(rounds, |raw| Frame::parse(raw).is_ok_and(|frame| frame.command == Command::PLAN_NOTIFY))
}

/// Copies it, decodes it, and reads the plan in it. Returns its bytes; 0: it is no plan.
#[unsafe(no_mangle)]
pub extern "C" fn bench_plans(rounds: u32) -> u32 {
    with_frame(rounds, |raw| {
        let plan = Frame::parse(raw).map(|frame| black_box(PlanNotify::parse(frame.payload)).is_ok());
        plan == Ok(true)
    })
}

fn with_frame(rounds: u32, mut each: impl FnMut(&mut [u8]) -> bool) -> u32 {
    let mut frame = [0; 128];
    let Some(payload) = frame.get_mut(frame::HEADER..) else { return 0 };
    let mut writer = Writer::new(payload);
    writer.text(4, "MCU").text(5, "1_0_0").text(6, "2_0_0").number(7, 1u8);
    writer.number(8, 20u8).number(9, 10u8).number(10, 0x0001_AAAA_u32);
    let Ok(length) = writer.finish() else { return 0 };
    let Ok(length) = frame::seal(&mut frame, PacketId::FIRST, Command::PLAN_NOTIFY, length) else { return 0 };
    for _ in 0..rounds {
        let mut raw = black_box(frame);
        let Some(raw) = raw.get_mut(..length) else { return 0 };
        if !black_box(each(raw)) {
            return 0;
        }
    }
    length as u32
}

/// Upgrades of a machine, each from the plan to the new version. Returns the inputs it took in one; 0: it refused one.
#[unsafe(no_mangle)]
pub extern "C" fn bench_upgrades(rounds: u32) -> u32 {
    let mut machine: Machine = Machine::new();
    for _ in 0..rounds {
        for input in UPGRADE {
            if machine.take(black_box(input), 0).is_none() {
                return 0;
            }
        }
    }
    UPGRADE.len() as u32
}

/// Saves so many checkpoints of a download in the journal. Returns 1; 0: it was not written.
#[unsafe(no_mangle)]
pub extern "C" fn bench_journal_records(rounds: u32) -> u32 {
    let mut platform = Platform::with_room_for(1);
    let mut saved = Saved::default();
    let Ok((mut journal, _)) = Journal::open(&mut platform, &mut saved) else { return 0 };
    let announced = Announced { md5: Some([7; 16]), crc32: Some(7), sha256: None };
    let image = Image { target: text("2_0_0"), size: u32::MAX, announced, ..Image::NONE };
    let mut progress = Progress {
        image,
        source: text("1_0_0"),
        requirements: PlanRequirements::default(),
        wants_sha256: false,
        auto_confirm: false,
        state: 5,
        attempts: 0,
        piece: Piece { start: 0, length: u32::MAX },
        offset: 0,
        digests: Digests::of(&announced),
        own: None,
        restarts: 0,
        high_water: 0,
        listed: 0,
        remaining: 0,
    };
    for _ in 0..rounds {
        progress.offset = progress.offset.wrapping_add(16 * 1024);
        progress.high_water = progress.offset;
        if journal.save_progress(&mut platform, Some(black_box(&progress).borrowed())) != Ok(Outcome::Written)
        {
            return 0;
        }
    }
    1
}

fn text<const N: usize>(of: &str) -> Text<N> {
    Text::of(of).unwrap_or_default()
}

/// Makes a file of so many bytes and its digests, as `bench_download` does before. Returns 1.
#[unsafe(no_mangle)]
pub extern "C" fn bench_file(bytes: u32) -> u32 {
    u32::from(black_box(sums(&file(bytes as usize), false)).md5.is_some())
}

/// Downloads such a file through the whole agent, with MD5 and CRC-32. Returns 1; 0: it failed.
#[unsafe(no_mangle)]
pub extern "C" fn bench_download(bytes: u32) -> u32 {
    let file = file(bytes as usize);
    let sums = sums(&file, false);
    let (md5, crc) = (sums.md5.unwrap_or_default(), sums.crc32.unwrap_or_default().to_be_bytes());
    let (md5, crc) = (hex::text(&md5), hex::text(&crc));
    u32::from(pipeline(&file, md5.as_str(), crc.as_str(), None).is_ok())
}
